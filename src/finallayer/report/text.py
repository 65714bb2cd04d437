"""Findings for reading: the place, the message, and the source with what is meant marked under it."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator
from typing import Protocol

from finallayer.expr import Origin
from finallayer.findings import Finding, Severity
from finallayer.report import Report
from finallayer.report.places import plain, shown

#: What marks a finding that has a safe fix, and one that has an unsafe one.
SAFE, UNSAFE = "[*]", "[?]"
#: The most characters of a source line that are shown.
WIDEST = 140

_BOLD, _RED, _YELLOW, _BLUE, _CYAN, _FAINT = "1", "1;31", "1;33", "1;34", "1;36", "2"
_COLOUR = {Severity.ERROR: _RED, Severity.WARNING: _YELLOW, Severity.ADVICE: _BLUE}


def render(report: Report) -> Iterator[str]:
    """Each finding with its source, then a line that sums up, and one on what can be fixed."""
    for finding in report.findings:
        yield from _finding(finding, report)
        yield ""
    yield from report.closing or (*_summary(report), *_fixable(report))


def _finding(finding: Finding, report: Report) -> Iterator[str]:
    rule, paint = finding.rule, _Paint(report.colour)
    place = paint(shown(finding.origin), _BOLD)
    code = paint(rule.code, _COLOUR[finding.severity])
    mark = f"{paint(mark_of(finding), _CYAN)} " if finding.fix else ""
    yield f"{place}: {code} {mark}{plain(finding.message)} {paint(f'({rule.name})', _FAINT)}"
    yield from _excerpt(finding.origin, report, "^", _COLOUR[finding.severity])
    for origin, message in finding.related:
        yield f"  {shown(origin)}: {plain(message)}"
        yield from _excerpt(origin, report, "-", _BLUE)
    if finding.fix and not finding.fix.safe and not finding.unfixed:
        yield f"  {paint('unsafe fix', _BOLD)}: {plain(finding.fix.note)}"
    if finding.unfixed and (report.reasons or finding.fix):
        yield f"  {paint('not fixed' if finding.fix else 'no fix', _BOLD)}: {plain(finding.unfixed)}"


def mark_of(finding: Finding) -> str:
    """The mark of a finding that has a fix."""
    return SAFE if finding.fix and finding.fix.safe else UNSAFE


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
    before, marked, after = (
        plain(source[i:j]) for i, j in ((0, start), (start, start + length), (start + length, None))
    )
    number = str(origin.line)
    bar = paint("|", _FAINT)
    under = _blank(before) + paint(mark * max(1, _width(marked)), colour)
    yield f"{' ' * len(number)} {bar}"
    yield f"{paint(number, _FAINT)} {bar} {before}{marked}{after}"
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


def _summary(report: Report) -> Iterator[str]:
    if report.findings:
        by_severity = Counter(f.severity for f in report.findings)
        parts = [count(by_severity[s], str(s)) for s in sorted(by_severity, reverse=True)]
        within = len({f.origin.path for f in report.findings})
        yield f"Found {', '.join(parts)} in {within} of {count(report.files, 'file')}{unseen(report)}."
    elif not (report.unread or report.in_part):
        yield f"No findings in {count(report.files, 'file')}."
    elif report.unread < report.files:
        yield f"Nothing found in {count(report.files - report.unread, 'file')}{unseen(report)}."


class Unseen(Protocol):
    """How much was not looked at."""

    @property
    def unread(self) -> int: ...
    @property
    def in_part(self) -> int: ...


def unseen(of: Unseen) -> str:
    """The end of a line that sums up: how many files were not analysed, or not to their end."""
    unread = f"; {count(of.unread, 'file')} could not be read" if of.unread else ""
    return unread + (f"; {count(of.in_part, 'file')} analysed in part" if of.in_part else "")


def _fixable(report: Report) -> Iterator[str]:
    """What could be done about the findings, in one line."""
    paint = _Paint(report.colour)
    fixes = [f.fix.safe for f in report.findings if f.fix]
    safe, unsafe = fixes.count(True), fixes.count(False)
    if safe:
        more = f"; {paint(UNSAFE, _CYAN)} {unsafe} more with `--unsafe-fixes`" if unsafe else ""
        yield f"{paint(SAFE, _CYAN)} {safe} fixable with `finallayer fix`{more}."
    elif unsafe:
        yield f"{paint(UNSAFE, _CYAN)} {unsafe} fixable with `finallayer fix --unsafe-fixes`."


def count(number: int, noun: str) -> str:
    """A number and what it counts."""
    plural = noun if number == 1 or noun == "advice" else f"{noun}s"
    return f"{number} {plural}"


class _Paint:
    """Colours text, or doesn't."""

    def __init__(self, on: bool) -> None:
        self._on = on

    def __call__(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._on else text
