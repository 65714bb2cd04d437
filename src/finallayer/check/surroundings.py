"""The state of whole projects: a fix depends on every program that may come to read what it changes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from pathlib import Path

from finallayer.check.glance import Files
from finallayer.source.folders import SUFFIXES, is_foreign
from finallayer.source.importers import MOST_ENTRIES, MOST_FILES, root_of


class Surroundings:
    """The projects around files, each looked at once a run."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._states: dict[Path, str | None] = {}
        self._began = time.time_ns()

    def state(self, paths: Iterable[str]) -> str | None:
        """Changes when any program does, comes or goes in the projects of some files.

        None where they are too large, or where a program changed since the run began: a fix may be made for either.
        """
        together = list(paths)
        roots = sorted({root_of([path]) for path in together} | {root_of(together)})
        states = [self._state_below(root) for root in roots]
        return None if None in states else _digest(map(str, states))

    def _state_below(self, root: Path) -> str | None:
        if root not in self._states:
            programs = _programs(root)
            contents = [f"{program}\0{self._files.content(program)}" for program in programs or ()]
            unknown = programs is None or any(_changed(program) > self._began for program in programs)
            self._states[root] = None if unknown else _digest(contents)
        return self._states[root]


def _programs(root: Path) -> list[str] | None:
    """Every program below a root, in order; None where there are more than fixes look at."""
    found: list[str] = []
    for entries, path in enumerate(_files(str(root))):
        if entries >= MOST_ENTRIES or len(found) >= MOST_FILES:
            return None
        if path.endswith(SUFFIXES):
            found.append(path)
    return sorted(found)


def _files(folder: str) -> Iterator[str]:
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
                yield entry.path


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _changed(program: str) -> int:
    """When a file was last changed; never, where it can't be read."""
    try:
        return os.stat(program).st_mtime_ns  # noqa: PTH116
    except OSError:
        return 0


def _digest(parts: Iterable[str]) -> str:
    return blake2b("\n".join(parts).encode(errors="surrogateescape"), digest_size=16).hexdigest()
