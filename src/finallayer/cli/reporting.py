"""From what a check found to the report that is shown of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from finallayer.cli.terminal import wants_colour
from finallayer.report import Report

if TYPE_CHECKING:
    from finallayer.check.run import Outcome


def report_of(outcome: Outcome, *, aside: bool = False, closing: Sequence[str] = (), reasons: bool = False) -> Report:
    """The report of an outcome; ``aside``: where it goes to standard error."""
    return Report(
        outcome.findings,
        outcome.files,
        outcome.sources.lines,
        wants_colour(aside),
        outcome.unread,
        outcome.in_part,
        outcome.notes,
        closing,
        reasons,
    )
