"""The two arms of a trial: the program as it is, and as it is fixed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

AS_IS, FIXED = "as-is", "fixed"
ARMS = (AS_IS, FIXED)


@dataclass(frozen=True)
class Mended:
    """What the fixed arm has in place of a finding: the rule, its name, and how often where."""

    rule: str
    name: str
    path: str
    number: int


@dataclass(frozen=True)
class Program:
    """A program and what is compared with it; paths of files are relative to ``root``.

    ``root``: the folder that each run gets a copy of. ``scripts``: arm -> the file that is run. ``changed``: arm -> the
    files that it has other than they are on disk. ``diff``: from the one to the other. ``other``: what the second arm
    is called, where it isn't the first one, fixed.
    """

    root: Path
    scripts: Mapping[str, str]
    arguments: Sequence[str]
    changed: Mapping[str, Mapping[str, bytes]]
    diff: Sequence[str]
    mended: Sequence[Mended] = ()
    other: str | None = None
    shown: str = field(default="")

    def describe(self) -> dict[str, Any]:
        """What the results say of it."""
        return {
            "script": self.shown or self.scripts[AS_IS],
            "against": self.other,
            "arguments": list(self.arguments),
            "mended": [asdict(one) for one in self.mended],
            "diff": list(self.diff),
        }
