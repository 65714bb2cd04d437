"""How a run ends: its exit code, and what is said of a cell that hasn't run to its end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

COMPLETE, INCOMPLETE, INTERRUPTED = 0, 1, 130
NOT_RUN_YET, CUT_SHORT = "not run yet", "interrupted"

Place = TypeVar("Place")


def cut_short(missing: Mapping[Place, str]) -> dict[Place, str]:
    """The missing cells and their reasons, once Ctrl-C has ended those that were to run."""
    return {place: CUT_SHORT if reason == NOT_RUN_YET else reason for place, reason in missing.items()}
