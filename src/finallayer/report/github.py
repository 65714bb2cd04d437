"""Findings as workflow commands, which GitHub shows beside the lines of a pull request."""

from __future__ import annotations

from collections.abc import Iterator

from finallayer.findings import Finding, Severity
from finallayer.report import Report
from finallayer.report.places import in_its_cell, plain, shown_path

_COMMAND = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.ADVICE: "notice"}


def render(report: Report) -> Iterator[str]:
    """One command a finding."""
    return map(_command, report.findings)


def _command(finding: Finding) -> str:
    rule, origin = finding.rule, finding.origin
    where = {"file": shown_path(origin.path)}
    message = finding.message
    if origin.cell is None:
        where |= {
            "line": str(origin.line),
            "endLine": str(max(origin.line, origin.end_line)),
            "col": str(origin.column + 1),
        }
        if origin.end_line in (0, origin.line):  # GitHub takes columns for places within one line only
            where["endColumn"] = str(origin.end_column + 1)
        else:
            del where["col"]
    else:  # a line within a cell is not a line of the file
        message = f"{in_its_cell(origin)}: {message}"
    where["title"] = f"{rule.code} {rule.name}"
    properties = ",".join(f"{key}={_escaped(value, ':,')}" for key, value in where.items())
    return f"::{_COMMAND[finding.severity]} {properties}::{_escaped(message)}"


def _escaped(text: str, also: str = "") -> str:
    for character in "%\r\n" + also:
        text = text.replace(character, f"%{ord(character):02X}")
    return plain(text)
