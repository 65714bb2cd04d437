"""The state of whole projects: a fix depends on every program that may come to read what it changes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from finallayer.check.glance import Files
from finallayer.disk import contents, digest
from finallayer.source.folders import is_foreign, is_program
from finallayer.source.importers import LARGEST_SETTINGS, MOST_ENTRIES, MOST_FILES, SETTINGS, root_of


class Surroundings:
    """The projects around files, each looked at once a run."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._states: dict[Path, str | None] = {}
        self._began = time.time_ns()

    def state(self, paths: Iterable[str]) -> str | None:
        """Changes when any program does, comes or goes in the projects of some files, or any file of settings.

        None where they are too large, or where one changed since the run began: a fix may be made for either.
        """
        together = list(paths)
        roots = sorted({root_of([path]) for path in together} | {root_of(together)})
        states = [self._state_below(root) for root in roots]
        return None if None in states else _digest(map(str, states))

    def _state_below(self, root: Path) -> str | None:
        if root not in self._states:
            found = _found_below(root)
            states = [f"{one.path}\0{self._content(one)}" for one in found or ()]
            unknown = found is None or any(_changed(one.path) > self._began for one in found)
            self._states[root] = None if unknown else _digest(states)
        return self._states[root]

    def _content(self, found: _Found) -> str:
        """What stands for a file's content, as far as fixes look at it: not at settings that are too large."""
        if found.is_program:
            return self._files.content(found.path)
        try:
            return digest(contents(found.path, LARGEST_SETTINGS))
        except OSError:
            return ""


class _Found(NamedTuple):
    """A file that a fix may depend on: a program, or settings."""

    path: str
    is_program: bool


def _found_below(root: Path) -> list[_Found] | None:
    """Every program and file of settings below a root, in order; None where there are more than fixes look at."""
    found: list[_Found] = []
    programs = 0
    for entries, entry in enumerate(_files(str(root))):
        if entries >= MOST_ENTRIES or programs >= MOST_FILES:
            return None
        if is_program(entry):
            programs += 1
            found.append(_Found(entry.path, is_program=True))
        elif entry.name.endswith(SETTINGS):
            found.append(_Found(entry.path, is_program=False))
    return sorted(found)


def _files(folder: str) -> Iterator[os.DirEntry[str]]:
    waiting = [folder]
    while waiting:
        try:
            entries = list(os.scandir(waiting.pop()))
        except OSError:
            continue  # not ours to read, nor the fix's
        for entry in entries:
            if _is_folder(entry):
                if not is_foreign(entry):
                    waiting.append(entry.path)
            else:
                yield entry


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _changed(path: str) -> int:
    """When a file was last changed; never, where it can't be read."""
    try:
        return os.stat(path).st_mtime_ns  # noqa: PTH116
    except OSError:
        return 0


def _digest(parts: Iterable[str]) -> str:
    return blake2b("\n".join(parts).encode(errors="surrogateescape"), digest_size=16).hexdigest()
