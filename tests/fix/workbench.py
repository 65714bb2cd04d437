"""One program on disk, fixed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from finallayer.check import run
from finallayer.check.config import Config
from finallayer.fix.repair import Repair, all_with_a_fix, repair, safe_ones
from finallayer.rules import all_rules

RULES = all_rules()


def repaired(file: Path, unsafe: bool = False) -> Repair:
    """What fixing one file comes to; nothing is written."""
    return repaired_together([file], unsafe)


def repaired_together(files: Sequence[Path], unsafe: bool = False) -> Repair:
    """What fixing files of one folder, or all of the folder, comes to; nothing is written."""
    root = files[0] if files[0].is_dir() else files[0].parent
    config = Config(root, frozenset(RULES))
    first = run.check(files, config, RULES, use_cache=False, jobs=1)
    choose = all_with_a_fix if unsafe else safe_ones
    return repair(first.concerned, partial(run.found_in, config=config, rules=RULES), choose)


def fixed_bytes(folder: Path, data: bytes, name: str = "program.py") -> bytes:
    """A file's bytes after the fixes of all that is found in it."""
    file = folder / name
    file.write_bytes(data)
    changed = {d.path.name: new for d, new in repaired(file).changed}
    return changed.get(name, data)


def fixed(folder: Path, program: str) -> str:
    return fixed_bytes(folder, program.encode()).decode()
