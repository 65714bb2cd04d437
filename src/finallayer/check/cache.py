"""The results of earlier runs, one small file each in ``.finallayer_cache``.

An entry holds as long as the file, every project file that was read for it, where the imports lead that were followed,
and finallayer itself are what they were when it was analysed; its fixes as long as no program of the project has
changed. Findings are kept before the
settings have filtered them, so changing those costs nothing.
Entries are written whole or not at all, and one that can't be understood counts as absent: any number of runs may share
the folder.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import sys
from collections.abc import Mapping
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

from finallayer import __version__
from finallayer.check.glance import Files
from finallayer.check.judge import Analysis
from finallayer.check.record import pack, unpack
from finallayer.check.surroundings import Surroundings
from finallayer.disk import contents
from finallayer.rules.base import Rule

FOLDER = ".finallayer_cache"


class Cache:
    """Analyses by file, below a project's folder. Where that can't be written, nothing is kept and nothing fails."""

    def __init__(self, root: Path, files: Files, rules: Mapping[str, Rule]) -> None:
        self.folder = root / FOLDER
        self._files = files
        self._surroundings = Surroundings(files)
        self._rules = rules
        self._stamp = _stamp()
        self._ready = False
        self._ours: dict[Path, bool] = {}  # folders that are no links, which lead elsewhere

    def get(self, path: str, fixes: bool = False) -> Analysis | None:
        """The analysis of a file as it is now, if an earlier run has made it.

        ``fixes``: whether its findings are to come with their fixes, as they are now; without it they come without.
        """
        try:
            if not self._is_ours(self._entry(path).parent):
                return None
            entry = json.loads(contents(self._entry(path), follow=False))
            if entry["stamp"] != self._stamp or entry["path"] != path:
                return None
            for file, (asked, state) in entry["files"].items():
                if self._files.fingerprint(file, asked) != state:
                    return None
            if fixes and entry["findings"] and self._surroundings.state(entry["files"]) != entry["surroundings"]:
                return None
            findings = (unpack(f, self._rules) for f in entry["findings"])
            return Analysis(
                path,
                tuple(f if fixes else replace(f, fix=None, unfixed="") for f in findings),
                (),
                tuple(map(str, entry["notes"])),
                bool(entry["unread"]),
                bool(entry["in_part"]),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None

    def put(self, analysis: Analysis, fixes: bool = False) -> None:
        """Keep an analysis; ``fixes``: whether they were looked for, in all programs around."""
        parts = [state.path for state in analysis.states]
        entry = {
            "stamp": self._stamp,
            "path": analysis.path,
            "files": {state.path: (state.asked, state.fingerprint) for state in analysis.states},
            "surroundings": self._surroundings.state(parts) or "" if fixes and analysis.findings else "",
            "findings": [pack(f) for f in analysis.findings],
            "notes": analysis.notes,
            "unread": analysis.unread,
            "in_part": analysis.in_part,
        }
        with contextlib.suppress(OSError):
            self._prepare()
            file = self._entry(analysis.path)
            file.parent.mkdir(exist_ok=True)
            if self._is_ours(file.parent):
                _write(file, entry)

    def _entry(self, path: str) -> Path:
        key = blake2b(path.encode(errors="surrogateescape"), digest_size=16).hexdigest()
        return self.folder / key[:2] / f"{key}.json"

    def _prepare(self) -> None:
        if self._ready:
            return
        self.folder.mkdir(exist_ok=True)
        if not _is_folder(self.folder):
            raise NotADirectoryError(self.folder)
        with contextlib.suppress(FileExistsError), (self.folder / ".gitignore").open("x") as ignore:
            ignore.write("*\n")
        self._ready = True

    def _is_ours(self, folder: Path) -> bool:
        """Whether a folder of entries is what it seems: a link that somebody committed would lead anywhere."""
        if not self._ours.get(folder):
            self._ours[folder] = _is_folder(self.folder) and _is_folder(folder)
        return self._ours[folder]


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def _write(file: Path, entry: dict[str, Any]) -> None:
    temporary = file.with_suffix(f".{os.getpid()}.tmp")
    try:
        with temporary.open("x") as new:
            new.write(json.dumps(entry, separators=(",", ":")))
        temporary.replace(file)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _stamp() -> str:
    """What else an analysis depends on: finallayer's version, its files (for who works on it), and Python's grammar."""
    package = Path(__file__).parent.parent
    newest = max(f.stat().st_mtime_ns for f in package.rglob("*.py"))
    return f"{__version__} {newest} python{sys.version_info[0]}.{sys.version_info[1]}"
