"""Which files a check reads: those named, and below a folder each Python file and notebook that git wouldn't ignore."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from finallayer.check.check_error import CheckError
from finallayer.check.ignore import Patterns
from finallayer.source.folders import SUFFIXES, is_foreign


def discover(paths: Sequence[Path], exclude: Patterns) -> list[Path]:
    """The files to check, absolute, each once, in order. Raises :class:`CheckError` where a path is no file or folder.

    A file that is named is checked whatever its suffix and whatever git ignores; only ``exclude``, the project's own
    setting, keeps it out (a pre-commit hook names files).
    """
    found: dict[Path, None] = {}
    for path in paths:
        whole = Path(os.path.abspath(path))  # noqa: PTH100 (resolve() would follow links)
        if whole.is_dir():
            found |= dict.fromkeys(_walk(whole, exclude))
        elif whole.is_file():
            if not exclude.covers(str(whole)):
                found[whole] = None
        else:
            what = "neither a file nor a folder" if whole.exists() else "no such file or folder"
            raise CheckError(f"{path}: {what}")
    return list(found)


def _walk(root: Path, exclude: Patterns) -> Iterator[Path]:
    """Every file below a folder that is to be checked, sorted, without following links to folders."""
    return _files_of(str(root), [exclude, *_gitignores_above(root)])


def _files_of(folder: str, specs: list[Patterns]) -> Iterator[Path]:
    try:
        entries = sorted(os.scandir(folder), key=lambda e: e.name)
    except OSError:
        return  # not ours to read
    if any(e.name == ".gitignore" for e in entries) and _in_work_tree(folder):
        specs = [*specs, *_gitignore(Path(folder))]
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            if not (is_foreign(entry) or _ignored(entry.path, True, specs)):
                yield from _files_of(entry.path, specs)
        elif entry.name.endswith(SUFFIXES) and _is_file(entry) and not _ignored(entry.path, False, specs):
            yield Path(entry.path)


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # a link to itself
        return False


def _ignored(path: str, is_folder: bool, specs: list[Patterns]) -> bool:
    """The project's own setting ignores for good; among .gitignore files the innermost that speaks decides."""
    if specs[0].verdict(path, is_folder):
        return True
    verdicts = (spec.verdict(path, is_folder) for spec in reversed(specs[1:]))
    return next((v for v in verdicts if v is not None), False)


def _gitignores_above(root: Path) -> list[Patterns]:
    """What the work tree around ``root`` ignores, outermost first; nothing if it ignores ``root``, which was named."""
    top = next((f for f in (root, *root.parents) if (f / ".git").exists()), None)
    if top is None:
        return []
    between = [f for f in reversed(root.parents) if f.is_relative_to(top)]
    specs = [*_patterns_of(top / ".git" / "info" / "exclude", top), *(s for f in between for s in _gitignore(f))]
    way = [f for f in (*between, root) if f != top]
    return [] if any(s.verdict(str(f), True) for f in way for s in specs) else specs


def _in_work_tree(folder: str) -> bool:
    return any((f / ".git").exists() for f in (Path(folder), *Path(folder).parents))


def _gitignore(folder: Path) -> list[Patterns]:
    return _patterns_of(folder / ".gitignore", folder)


def _patterns_of(file: Path, root: Path) -> list[Patterns]:
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    return [Patterns(str(root), lines)] if lines else []
