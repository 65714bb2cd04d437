"""Findings for reading: the place, the message, and the source with what is meant marked under it."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator

from finallayer.expr import Origin
from finallayer.findings import Finding, Severity
from finallayer.report import Report
from finallayer.report.places import shown

#: The most characters of a source line that are shown.
WIDEST = 140

_BOLD, _RED, _YELLOW, _BLUE, _FAINT = "1", "1;31", "1;33", "1;34", "2"
_COLOUR = {Severity.ERROR: _RED, Severity.WARNING: _YELLOW, Severity.ADVICE: _BLUE}


def render(report: Report) -> Iterator[str]:
    """Each finding with its source, then one line that sums up."""
    for finding in report.findings:
        yield from _finding(finding, report)
        yield ""
    yield _summary(report)


def _finding(finding: Finding, report: Report) -> Iterator[str]:
    rule, paint = finding.rule, _Paint(report.colour)
    place = paint(shown(finding.origin), _BOLD)
    yield f"{place}: {paint(rule.code, _COLOUR[rule.severity])} {finding.message} {paint(f'({rule.name})', _FAINT)}"
    yield from _excerpt(finding.origin, report, "^", _COLOUR[rule.severity])
    for origin, message in finding.related:
        yield f"  {shown(origin)}: {message}"
        yield from _excerpt(origin, report, "-", _BLUE)


def _excerpt(origin: Origin, report: Report, mark: str, colour: str) -> Iterator[str]:
    """The first line of a place with the marks under it; nothing where the source can't be had."""
    lines = report.lines(origin)
    if not lines:
        return
    paint = _Paint(report.colour)
    source = lines[0]
    ends_here = origin.end_line in (0, origin.line)
    end = origin.end_column if ends_here else len(source.rstrip())
    start, source, length = _window(source, origin.column, max(1, end - origin.column))
    number = str(origin.line)
    bar = paint("|", _FAINT)
    under = _blank(source[:start]) + paint(mark * max(1, _width(source[start : start + length])), colour)
    yield f"{' ' * len(number)} {bar}"
    yield f"{paint(number, _FAINT)} {bar} {source}"
    yield f"{' ' * len(number)} {bar} {under}{'' if ends_here else paint(' ...', _FAINT)}"


def _window(source: str, column: int, length: int) -> tuple[int, str, int]:
    """The part of a source line that is shown, and where in it the marks begin and how many characters they span."""
    if len(source) <= WIDEST:
        return column, source, length
    first = max(0, min(column - WIDEST // 4, len(source) - WIDEST))
    dots = "..." if first else ""
    shown_part = dots + source[first : first + WIDEST] + ("..." if first + WIDEST < len(source) else "")
    start = column - first + len(dots)
    return start, shown_part, min(length, first + WIDEST - column)


def _blank(text: str) -> str:
    """As wide as the text: its tabs, and a space for each column of everything else."""
    return "".join("\t" if c == "\t" else " " * _width(c) for c in text)


def _width(text: str) -> int:
    """How many columns of a terminal the text takes."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _summary(report: Report) -> str:
    checked = _count(report.files, "file")
    if not report.findings:
        return f"No findings in {checked}."
    by_severity = Counter(f.rule.severity for f in report.findings)
    parts = [_count(by_severity[s], str(s)) for s in sorted(by_severity, reverse=True)]
    within = len({f.origin.path for f in report.findings})
    return f"Found {', '.join(parts)} in {within} of {checked}."


def _count(number: int, noun: str) -> str:
    plural = noun if number == 1 or noun == "advice" else f"{noun}s"
    return f"{number} {plural}"


class _Paint:
    """Colours text, or doesn't."""

    def __init__(self, on: bool) -> None:
        self._on = on

    def __call__(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._on else text
