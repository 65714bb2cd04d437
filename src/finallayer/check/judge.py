"""From one file to its findings: what the front end sees in it, judged by every rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from finallayer.disk import digest
from finallayer.expr import Origin
from finallayer.findings import Finding, Fix, Refusal, Related
from finallayer.rules.judging import Judged, Place, judge, outermost, place_of
from finallayer.source.budget import MOST_STEPS_TO_FIX
from finallayer.source.files import Unreadable
from finallayer.source.project import State, fingerprint
from finallayer.source.reading import bytes_of, read

if TYPE_CHECKING:
    from finallayer.fix.flow.context import Context
    from finallayer.source import Project
    from finallayer.source.interpreter import Makers

    Contexts = Callable[[], Context]


#: How a note begins on what went wrong while a fix was worked out.
BROKEN = "the fix could not be worked out"
#: Why there is no fix where working it out would take too long.
TOO_LONG = "its program takes too many steps for a fix to be worked out"


class Analysis(NamedTuple):
    """What the analysis of one file gave: findings (they may stand in files that it imports), in module lines."""

    path: str
    findings: tuple[Finding, ...] = ()
    states: tuple[State, ...] = ()  # what was read for it: of the file itself, and of others of the project
    notes: tuple[str, ...] = ()  # what could not be read, one line each
    unread: bool = False  # it could not be read or analysed at all; the notes say why
    in_part: bool = False  # some of its statements or functions cost too much to be analysed to their end


def analyse(path: str, project: Project, data: bytes | None = None, fixes: Contexts | None = None) -> Analysis:
    """Analyse one file (``data``: its content, where it is not on disk). Never raises for what the file holds.

    ``fixes``: gives what fixes are to be worked out from, and is asked where anything is found; without it findings
    come without.
    """
    from finallayer.check import shortfalls
    from finallayer.source import interpret

    content = ""
    try:
        data = bytes_of(path) if data is None else data
        content = digest(data)
        file = project.entry(path, data, content)
        seen, budget, makers = interpret(file, project)
        judged = list(judge(seen))
        findings = outermost([finding for finding, _, _ in judged])
        if fixes is not None and budget.steps > MOST_STEPS_TO_FIX:
            findings = tuple(replace(f, unfixed=TOO_LONG) for f in findings)
        elif fixes is not None and findings:
            context = fixes()
            context.adopt(file, content)
            findings = _with_fixes(findings, judged, context)
        findings = tuple(replace(f, related=(*f.related, *_made(f, makers))) for f in findings)
        broken = dict.fromkeys(f.unfixed for f in findings if f.unfixed.startswith(BROKEN))
    except Unreadable as why:
        return unread(path, str(why), content)
    except (Exception, RecursionError) as error:  # ours to mend, but no reason to leave the other files unchecked
        return not_analysed(path, error, content)
    notes = (*file.notes, *shortfalls.notes(file, budget), *broken)
    states = (project.state(path, content), *map(project.state, sorted(project.dependencies(path))))
    return Analysis(path, findings, states, notes, in_part=budget.cut_short)


def _made(finding: Finding, makers: Makers) -> Iterator[Related]:
    """Where the loss and the layer that a finding speaks of were made, if on other lines: the lines to edit."""
    places = [finding.origin, *(r.origin for r in finding.related)]
    told = set(places)
    for called in places:
        made = makers.get(called, {})
        for place, name in made.items():
            if len(made) == 1 and not any(_is_on_lines_of(place, other) for other in told):
                told.add(place)
                yield Related(place, f"`{name.rpartition('.')[2]}` made here")


def _is_on_lines_of(place: Origin, other: Origin) -> bool:
    return place.path == other.path and other.line <= place.line <= max(other.line, other.end_line)


def unread(path: str, why: str, content: str = "") -> Analysis:
    """What there is of a file that could not be read; ``content``: what stands for what it holds."""
    return Analysis(path, (), (State(path, "", fingerprint(content, ())),), notes=(why,), unread=True)


def not_analysed(path: str, error: BaseException, content: str = "") -> Analysis:
    """What there is of a file in which we failed."""
    return unread(path, f"could not be analysed ({type(error).__name__}: {error}); please report this", content)


def what_is_wrong(path: str) -> Analysis | None:
    """The notes on a file in which nothing can be found, but which was named: whether it can be read at all."""
    try:
        file = read(path)
        _ = file.tree
    except Unreadable as why:
        return unread(path, str(why))
    return Analysis(path, notes=file.notes) if file.notes else None


def _with_fixes(findings: Sequence[Finding], judged: Sequence[Judged], context: Context) -> tuple[Finding, ...]:
    """The findings with the fix that every value met at the place agrees on, or why there is none."""
    from finallayer.fix.proposals import propose_all

    fixes: dict[Place, set[Fix | Refusal]] = {place_of(finding): set() for finding in findings}
    shown = [j for j in judged if place_of(j.finding) in fixes]
    for one, proposed in zip(shown, propose_all(shown, context, _broken), strict=True):
        fixes[place_of(one.finding)].add(proposed)
    return tuple(_with_one_of(f, fixes.get(place_of(f), set())) for f in findings)


def _broken(error: BaseException) -> Refusal:
    return Refusal(f"{BROKEN} ({type(error).__name__}: {error}); please report this")


def _with_one_of(finding: Finding, proposed: set[Fix | Refusal]) -> Finding:
    refusals = sorted(p.why for p in proposed if isinstance(p, Refusal))
    if refusals:
        return replace(finding, unfixed=refusals[0])
    match list(proposed):
        case [Fix() as fix]:
            return replace(finding, fix=fix)
    return replace(finding, unfixed="it is reached in several ways, and each wants another fix")
