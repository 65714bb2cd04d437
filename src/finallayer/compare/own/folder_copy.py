"""A copy of a working folder for a program to run in, so that what it writes is its own.

Programs and small files are copied. Large files, folders of many that hold no program, and what is no part of a program
(a repository's store, environments) are links to the original: a run that writes into those writes there.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from finallayer.compare.compare_error import BadInputError
from finallayer.compare.folder import LOCK, MEASUREMENTS

LEFT_OUT = frozenset({"__pycache__", ".ipynb_checkpoints", ".mypy_cache", ".pytest_cache", ".ruff_cache"})
LINKED = frozenset({".git", ".hg", ".svn", "node_modules"})
PROGRAMS = (".py", ".pyw", ".ipynb", ".toml", ".cfg", ".ini", ".yaml", ".yml", ".json")
#: Larger files are linked; so are folders without programs of more files, or of more bytes.
LARGE_FILE = 8 * 2**20
LARGE_FOLDER, MANY_FILES = 32 * 2**20, 500
#: No working folder holds more that has to be copied.
MOST_FILES, MOST_ENTRIES = 20_000, 500_000


@dataclass
class _Folder:
    copied: list[str] = field(default_factory=list)
    linked: list[str] = field(default_factory=list)
    inner: dict[str, _Folder] = field(default_factory=dict)
    holds_programs: bool = False
    files: int = 0
    size: int = 0

    @property
    def is_large(self) -> bool:
        return not self.holds_programs and (self.files > MANY_FILES or self.size > LARGE_FOLDER)


def copy_folder(root: Path, into: Path, without: Path) -> None:
    """Make ``into`` a copy of a folder, but for what lies in ``without``.

    Raises ``BadInputError`` where there is too much to copy.
    """
    seen = _Scan(without.resolve()).folder(root)
    if seen.files > MOST_FILES:
        raise BadInputError(
            f"{root} holds {seen.files:,} files to copy; expected a working folder of no more than {MOST_FILES:,}: "
            f"run the command nearer to the script"
        )
    _make(seen, root, into)


class _Scan:
    def __init__(self, without: Path) -> None:
        self._without = str(without)
        self._entries = 0

    def folder(self, path: Path | str) -> _Folder:
        """What of a folder is copied, and what linked; large folders within are linked as a whole."""
        found = _Folder()
        for entry in self._listed(path):
            if entry.is_symlink() or entry.name in LINKED:
                found.linked.append(entry.name)
            elif entry.is_dir():
                self._inner(entry, found)
            elif entry.is_file():
                size = entry.stat().st_size
                is_program = entry.name.endswith(PROGRAMS)
                found.holds_programs |= is_program and entry.name.endswith(PROGRAMS[:3])
                (found.linked if size > LARGE_FILE else found.copied).append(entry.name)
                found.files += size <= LARGE_FILE
                found.size += size if size <= LARGE_FILE else 0
        return found

    def _inner(self, entry: os.DirEntry[str], found: _Folder) -> None:
        path = Path(entry.path)
        if (path / LOCK).exists() and (path / MEASUREMENTS).exists():  # another trial's report
            return
        if (path / "pyvenv.cfg").exists():
            found.linked.append(entry.name)
            return
        inner = self.folder(entry.path)
        if inner.is_large:
            found.linked.append(entry.name)
            return
        found.inner[entry.name] = inner
        found.holds_programs |= inner.holds_programs
        found.files += inner.files
        found.size += inner.size

    def _listed(self, path: Path | str) -> Iterator[os.DirEntry[str]]:
        try:
            entries = sorted(os.scandir(path), key=lambda entry: entry.name)
        except PermissionError:
            return
        for entry in entries:
            self._entries += 1
            if self._entries > MOST_ENTRIES:
                raise BadInputError(
                    f"the working folder holds more than {MOST_ENTRIES:,} entries; expected the folder of a program: "
                    f"run the command nearer to the script"
                )
            if entry.name not in LEFT_OUT and os.path.realpath(entry.path) != self._without:
                yield entry


def _make(folder: _Folder, source: Path, into: Path) -> None:
    into.mkdir(parents=True, exist_ok=True)
    for name in folder.copied:
        shutil.copy2(source / name, into / name)
    for name in folder.linked:
        (into / name).symlink_to(os.path.realpath(source / name))
    for name, inner in folder.inner.items():
        _make(inner, source / name, into / name)
