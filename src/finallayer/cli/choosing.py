"""Which fixes are made: the safe ones or all, those at one place, those that somebody says yes to."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import click

from finallayer.cli.spot import Spot
from finallayer.disk import contents
from finallayer.findings import Edit, Finding
from finallayer.fix.repair import Choose
from finallayer.fix.text.documents import Document
from finallayer.report.diff import differences, painted
from finallayer.report.places import plain, shown, shown_path
from finallayer.report.text import mark_of
from finallayer.source.importers import root_of

ANSWERS = {
    "y": "make this fix",
    "n": "leave it",
    "a": "make it and all that follow",
    "q": "leave it and all that follow",
}


def at(spot: Spot, choose: Choose) -> Choose:
    """Only the fixes of what is found on one line, and those once: behind a fix, lines are others."""
    chosen: list[Finding] = []

    def only_there(findings: Sequence[Finding], now: Mapping[str, bytes]) -> Sequence[Finding]:
        if chosen:
            return ()
        chosen.extend(f for f in choose(findings, now) if spot.covers(f.origin))
        return tuple(chosen)

    return only_there


def within(path: str, choose: Choose) -> Choose:
    """Only the fixes that change nothing but one file."""

    def of_the_file(findings: Sequence[Finding], now: Mapping[str, bytes]) -> Sequence[Finding]:
        return [f for f in choose(findings, now) if f.fix and all(e.path == path for e in f.fix.edits)]

    return of_the_file


class Bounds:
    """What may be written: what lies, links resolved, in the projects of what was named, and the files named."""

    def __init__(self, named: Sequence[Path]) -> None:
        inside = [str(p.absolute() / "_") if p.is_dir() else str(p.absolute()) for p in named]
        roots = {str(root_of([path])) for path in inside} | {os.path.dirname(p) for p in inside}  # noqa: PTH120
        self._files = {os.path.realpath(path) for path in inside}
        self._within = tuple(os.path.join(os.path.realpath(root), "") for root in roots)  # noqa: PTH118

    def cover(self, path: str) -> bool:
        """Whether a file, or the one that it leads to, lies within."""
        real = os.path.realpath(path)
        return real in self._files or real.startswith(self._within)

    def choosing(self, choose: Choose) -> Choose:
        """Only the fixes that write nothing beyond."""

        def of_what_is_covered(findings: Sequence[Finding], now: Mapping[str, bytes]) -> Sequence[Finding]:
            return [f for f in choose(findings, now) if f.fix and not self.beyond(f)]

        return of_what_is_covered

    def beyond(self, finding: Finding) -> list[str]:
        """The files beyond that a finding's fix would write."""
        return sorted({e.path for e in finding.fix.edits if not self.cover(e.path)}) if finding.fix else []

    def refusal(self, finding: Finding) -> str:
        """Why a finding's fix is not made; empty where it writes nothing beyond."""
        beyond = ", ".join(map(shown_path, self.beyond(finding)))
        return f"the fix would write {beyond}, which is a link out of the project" if beyond else ""

    def kept(self, findings: Sequence[Finding]) -> tuple[Finding, ...]:
        """The findings, without the fixes that would write beyond."""
        refused = ((f, self.refusal(f)) for f in findings)
        return tuple(replace(f, fix=None, unfixed=why) if why else f for f, why in refused)


class Asking:
    """Shows each fix, and asks for it. What is left once isn't asked for again when another fix has moved it."""

    def __init__(self, choose: Choose, ask: Callable[[], str], colour: bool = False) -> None:
        self._choose = choose
        self._ask = ask
        self._colour = colour
        self._always = ""  # the answer to all that follows
        self._declined: Counter[tuple[str, ...]] = Counter()

    def __call__(self, findings: Sequence[Finding], now: Mapping[str, bytes]) -> Sequence[Finding]:
        """The findings whose fixes are wanted."""
        declined = Counter(self._declined)
        return [f for f in self._choose(findings, now) if self._wanted(f, now, declined)]

    def declined(self, finding: Finding) -> bool:
        """Whether somebody said no to a finding's fix."""
        return self._always == "q" or self._declined[_identity(finding)] > 0

    def _wanted(self, finding: Finding, now: Mapping[str, bytes], declined: Counter[tuple[str, ...]]) -> bool:
        identity = _identity(finding)
        if declined[identity]:
            declined[identity] -= 1
            return False
        answer = self._always or self._answer(finding, now)
        if answer in "aq":
            self._always = answer
        if answer in "nq":
            self._declined[identity] += 1
        return answer in "ya"

    def _answer(self, finding: Finding, now: Mapping[str, bytes]) -> str:
        for line in self._shown(finding, now):
            click.echo(line)
        while True:
            click.echo(f"Make this fix [{','.join(ANSWERS)},?]? ", nl=False)
            answer = self._ask().strip().lower()[:1]
            if answer in ANSWERS:
                return answer
            for key, meaning in ANSWERS.items():
                click.echo(f"{key} - {meaning}")

    def _shown(self, finding: Finding, now: Mapping[str, bytes]) -> Iterator[str]:
        assert finding.fix is not None
        yield ""
        yield f"{shown(finding.origin)}: {finding.rule.code} {mark_of(finding)} {plain(finding.message)}"
        if not finding.fix.safe:
            yield f"  unsafe fix: {plain(finding.fix.note)}"
        by_file: dict[str, list[Edit]] = {}
        for edit in finding.fix.edits:
            by_file.setdefault(edit.path, []).append(edit)
        for path, edits in by_file.items():
            data = now[path] if path in now else contents(path)
            for line in differences(path, data, Document(Path(path), data).edited(edits)):
                yield painted(line) if self._colour else plain(line)


def _identity(finding: Finding) -> tuple[str, ...]:
    """What a finding keeps when the lines above it change."""
    return (finding.origin.path, finding.rule.code, *(e.text for e in (finding.fix.edits if finding.fix else ())))


def next_answer() -> str:
    """A line from the terminal; its end leaves all that follows."""
    sys.stdout.flush()
    answer = ""
    try:
        answer = sys.stdin.readline()
    finally:
        if not answer:  # Ctrl-D, Ctrl-C: what follows begins on a line of its own
            click.echo()
    return answer or "q"
