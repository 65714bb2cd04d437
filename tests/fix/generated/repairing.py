"""A generated project on disk, fixed, and checked again."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import NamedTuple

from finallayer.check import run
from finallayer.check.config import Config

from ..workbench import RULES, repaired_together
from .playing import write
from .projects import Project


class Mended(NamedTuple):
    """A project's files after its safe fixes (None without any), and what its check then finds that it may not."""

    after: dict[str, str] | None
    why: str = ""


def repaired_project(project: Project, folder: Path) -> Mended:
    """A project after its safe fixes; these are written."""
    write(folder, project.files)
    checked = folder if project.checked == "." else folder / project.checked
    before = _found(checked, folder)
    repair = repaired_together([checked])
    if not repair.changed:
        return Mended(None)
    after = dict(project.files)
    for document, new in repair.changed:
        after[str(Path(document.path).resolve().relative_to(folder.resolve()))] = new.decode()
    write(folder, after)
    return Mended(after, _why(before, _found(checked, folder)))


def _found(checked: Path, folder: Path) -> Counter[str]:
    """How often each rule finds something."""
    found = run.check([checked], Config(folder, frozenset(RULES)), RULES, use_cache=False, jobs=1).findings
    return Counter(f.rule.code for f in found)


def _why(before: Counter[str], after: Counter[str]) -> str:
    if after.total() < before.total() and not after - before:
        return ""
    return f"found before: {dict(before)}, after the fix: {dict(after)}"
