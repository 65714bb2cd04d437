"""One program on disk, fixed."""

from __future__ import annotations

from pathlib import Path

from finallayer.check.config import Config
from finallayer.check.repair import Repair, repair
from finallayer.rules import all_rules

RULES = all_rules()


def repaired(file: Path, unsafe: bool = False) -> Repair:
    """What fixing one file comes to; nothing is written."""
    return repair([file], Config(file.parent, frozenset(RULES)), RULES, unsafe=unsafe, jobs=1)


def fixed_bytes(folder: Path, data: bytes, name: str = "program.py") -> bytes:
    """A file's bytes after the fixes of all that is found in it."""
    file = folder / name
    file.write_bytes(data)
    changed = {d.path.name: new for d, new in repaired(file).changed}
    return changed.get(name, data)


def fixed(folder: Path, program: str) -> str:
    return fixed_bytes(folder, program.encode()).decode()
