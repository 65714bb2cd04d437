"""report.html of a trial."""

from __future__ import annotations

from pathlib import Path

from finallayer.compare.folder import PAGE
from finallayer.compare.own.outcome import Outcome
from finallayer.compare.results import write_atomically


def write_page(outcome: Outcome, folder: Path) -> Path:
    """Write the page; its path."""
    page = folder / PAGE
    write_atomically(page, "")
    return page
