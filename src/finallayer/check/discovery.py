"""Which files a check reads: those named, and below a folder each program, notebook and model git doesn't ignore."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from finallayer.check.check_error import CheckError
from finallayer.check.ignore import Patterns
from finallayer.check.saved import SUFFIXES as SAVED
from finallayer.disk import contents
from finallayer.source.folders import SUFFIXES, is_foreign


class Discovered(NamedTuple):
    """The files to check, absolute, each once, in order; and each folder that could not be read, with the reason."""

    files: list[Path]
    unread: dict[str, str]


def discover(paths: Sequence[Path], exclude: Patterns) -> Discovered:
    """The files to check. Raises :class:`CheckError` where a path is no file or folder.

    A file that is named is checked whatever its suffix and whatever git ignores; only ``exclude``, the project's own
    setting, keeps it out (a pre-commit hook names files).
    """
    found: dict[Path, None] = {}
    unread: dict[str, str] = {}
    for path in paths:
        whole = Path(os.path.abspath(path))  # noqa: PTH100 (resolve() would follow links)
        mode = _mode(whole, path)
        if stat.S_ISDIR(mode):
            found |= dict.fromkeys(map(Path, _walk(whole, exclude, unread)))
        elif not stat.S_ISREG(mode):
            raise CheckError(f"{path}: neither a file nor a folder")
        elif not exclude.covers(str(whole)):
            found[whole] = None
    return Discovered(list(found), unread)


def _mode(whole: Path, named: Path) -> int:
    try:
        return whole.stat().st_mode
    except OSError as error:  # a name that is too long, say
        absent = error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
        raise CheckError(f"{named}: {'no such file or folder' if absent else error.strerror or error}") from None


def _walk(root: Path, exclude: Patterns, unread: dict[str, str]) -> Iterator[str]:
    """Every file below a folder that is to be checked, sorted, without following links to folders."""
    tree = _work_tree(root)
    specs = [exclude, *_gitignores_above(root, tree)]
    waiting = [iter(_Folder.read(str(root), specs, tree is not None, unread))]
    while waiting:
        for item in waiting[-1]:
            if isinstance(item, _Folder):
                waiting.append(iter(_Folder.read(item.path, item.specs, item.in_work_tree, unread)))
                break
            yield item
        else:
            waiting.pop()


class _Folder(NamedTuple):
    """A folder that is to be entered, what is ignored there, and whether it belongs to a repository."""

    path: str
    specs: list[Patterns]
    in_work_tree: bool

    @classmethod
    def read(
        cls, path: str, specs: list[Patterns], in_work_tree: bool, unread: dict[str, str]
    ) -> Iterator[str | _Folder]:
        """The files in it that are to be checked, and the folders that are to be entered, sorted."""
        try:
            with os.scandir(path) as found:
                entries = sorted(found, key=lambda e: e.name)
        except OSError as error:
            unread[path] = error.strerror or type(error).__name__
            return
        names = {e.name for e in entries}
        in_work_tree = in_work_tree or ".git" in names
        if ".gitignore" in names and in_work_tree:
            specs = [*specs, *_gitignore(Path(path))]
        for entry in entries:
            if _is(entry, os.DirEntry.is_dir, follow_symlinks=False):
                if not (is_foreign(entry) or _ignored(entry.path, True, specs)):
                    yield cls(entry.path, specs, in_work_tree)
            elif entry.name.endswith((*SUFFIXES, *SAVED)) and _is(entry, os.DirEntry.is_file):
                yield from () if _ignored(entry.path, False, specs) else (entry.path,)


def _is(entry: os.DirEntry[str], kind: Callable[..., bool], **how: bool) -> bool:
    try:
        return kind(entry, **how)
    except OSError:  # a link to itself, or into a folder that isn't ours to read
        return False


def _ignored(path: str, is_folder: bool, specs: list[Patterns]) -> bool:
    """The project's own setting ignores for good; among .gitignore files the innermost that speaks decides."""
    if specs[0].verdict(path, is_folder):
        return True
    verdicts = (spec.verdict(path, is_folder) for spec in reversed(specs[1:]))
    return next((v for v in verdicts if v is not None), False)


def _work_tree(folder: Path) -> Path | None:
    """The top of the repository that a folder lies in."""
    return next((f for f in (folder, *folder.parents) if os.path.exists(f / ".git")), None)  # noqa: PTH110


def _gitignores_above(root: Path, top: Path | None) -> list[Patterns]:
    """What the work tree around ``root`` ignores, outermost first; nothing if it ignores ``root``, which was named."""
    if top is None:
        return []
    between = [f for f in reversed(root.parents) if f.is_relative_to(top)]
    specs = [*_patterns_of(top / ".git" / "info" / "exclude", top), *(s for f in between for s in _gitignore(f))]
    way = [f for f in (*between, root) if f != top]
    return [] if any(s.verdict(str(f), True) for f in way for s in specs) else specs


def _gitignore(folder: Path) -> list[Patterns]:
    return _patterns_of(folder / ".gitignore", folder)


def _patterns_of(file: Path, root: Path) -> list[Patterns]:
    try:
        lines = contents(file).decode(errors="replace").splitlines()
    except OSError:
        return []
    return [Patterns(str(root), lines)] if lines else []
