"""From one file to its findings: what the front end sees in it, judged by every rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from finallayer.findings import Finding, Fix
from finallayer.rules.judging import Judged, Place, judge, outermost, place_of
from finallayer.source.files import Unreadable
from finallayer.source.reading import read

if TYPE_CHECKING:
    from finallayer.fix.flow.context import Context
    from finallayer.source import Project


class Analysis(NamedTuple):
    """What the analysis of one file gave: findings (they may stand in files that it imports), in module lines."""

    path: str
    findings: tuple[Finding, ...] = ()
    dependencies: tuple[str, ...] = ()  # the project files that were read for it
    notes: tuple[str, ...] = ()  # what could not be read, one line each


def analyse(path: str, project: Project, data: bytes | None = None, fixes: Context | None = None) -> Analysis:
    """Analyse one file (``data``: its content, where it is not on disk). Never raises for what the file holds.

    ``fixes``: what fixes are to be worked out from; without it findings come without.
    """
    from finallayer.source import sightings

    try:
        file = read(path, data)
        seen = sightings(file, project)
        judged = list(judge(seen))
        findings = outermost([finding for finding, _, _ in judged])
        if fixes is not None:
            fixes.adopt(file)
            findings = _with_fixes(findings, judged, fixes)
    except Unreadable as why:
        return Analysis(path, notes=(str(why),))
    except (Exception, RecursionError) as error:  # ours to mend, but no reason to leave the other files unchecked
        return Analysis(path, notes=(f"could not be analysed ({type(error).__name__}: {error}); please report this",))
    return Analysis(path, findings, tuple(sorted(project.dependencies(path))), file.notes)


def what_is_wrong(path: str) -> Analysis | None:
    """The notes on a file in which nothing can be found, but which was named: whether it can be read at all."""
    try:
        file = read(path)
        _ = file.tree
    except Unreadable as why:
        return Analysis(path, notes=(str(why),))
    return Analysis(path, notes=file.notes) if file.notes else None


def _with_fixes(findings: Sequence[Finding], judged: Sequence[Judged], context: Context) -> tuple[Finding, ...]:
    """The findings with a fix where there is one that every value met at the place agrees on."""
    from finallayer.fix.proposals import propose

    fixes: dict[Place, set[Fix | None]] = {}
    for finding, sighting, match in judged:
        fixes.setdefault(place_of(finding), set()).add(propose(finding.rule.code, sighting, match, context))
    agreed = {place: proposed.pop() for place, proposed in fixes.items() if len(proposed) == 1}
    return tuple(replace(f, fix=agreed.get(place_of(f))) for f in findings)
