"""Findings for people and programs: a file each for every output format.

A format is a module of this package with a function ``render(report)`` that yields the output's lines, and one line in
:data:`FORMATS`. In every output lines and columns count from 1 and an end column is the one behind the last character.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from finallayer.expr import Origin
from finallayer.findings import Finding, Note

#: Format -> one line of help. The module of the same name renders it.
FORMATS = {
    "text": "for reading, with the source",
    "json": "one array of objects",
    "sarif": "SARIF 2.1.0, for code scanning",
    "github": "annotations of a GitHub workflow",
    "gitlab": "a Code Quality report, for merge requests",
    "junit": "JUnit XML, for the test results of most CI services",
}
#: The formats that say of each finding whether it can be fixed.
WITH_FIXES = frozenset({"text", "json", "sarif"})


def _no_source(_origin: Origin) -> Sequence[str]:
    return ()


@dataclass(frozen=True)
class Report:
    """What is to be shown: the findings, in notebooks by cell, and where their source lines are to be had."""

    findings: Sequence[Finding]
    files: int = 0  # how many were checked
    lines: Callable[[Origin], Sequence[str]] = _no_source
    colour: bool = False
    unread: int = 0  # how many could not be read, which notes say
    in_part: int = 0  # how many could not be analysed to their end
    notes: Sequence[Note] = ()
    closing: Sequence[str] = ()  # what text ends with, where it isn't a count of what is shown
    reasons: bool = False  # whether to say why a finding has no fix


def render(output_format: str, report: Report) -> Iterator[str]:
    """The report's lines in a format of :data:`FORMATS`."""
    module = importlib.import_module(f"{__name__}.{output_format}")
    lines: Iterator[str] = module.render(report)
    return lines
