"""From one file to its findings: what the front end sees in it, judged by every rule."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from finallayer.rules import rules_by_operation
from finallayer.rules.base import Finding, Related, Sighting
from finallayer.rules.margin import safe_margins
from finallayer.source.files import Unreadable, read

if TYPE_CHECKING:
    from finallayer.source import Project


class Analysis(NamedTuple):
    """What the analysis of one file gave: findings (they may stand in files that it imports), in module lines."""

    path: str
    findings: tuple[Finding, ...] = ()
    dependencies: tuple[str, ...] = ()  # the project files that were read for it
    notes: tuple[str, ...] = ()  # what could not be read, one line each


def analyse(path: str, project: Project, data: bytes | None = None) -> Analysis:
    """Analyse one file (``data``: its content, where it is not on disk). Never raises for what the file holds."""
    from finallayer.source import sightings

    try:
        file = read(path, data)
        seen = sightings(file, project)
    except Unreadable as why:
        return Analysis(path, notes=(str(why),))
    except (Exception, RecursionError) as error:  # ours to mend, but no reason to leave the other files unchecked
        return Analysis(path, notes=(f"could not be analysed ({type(error).__name__}: {error}); please report this",))
    dependencies = tuple(sorted(project.dependencies(path)))
    return Analysis(path, _outermost(list(_findings(seen))), dependencies, file.notes)


def _findings(seen: list[Sighting]) -> Iterator[Finding]:
    judges = rules_by_operation()
    for sighting in seen:
        if sighting.node.origin is None:
            continue
        for rule in judges.get(sighting.node.op, ()):
            for match in rule.judge(sighting):
                margin = None if match.expression is None else safe_margins(match.expression)
                expression = str(match.expression or sighting.node)
                related = (*match.related, *_called_from(sighting))
                yield Finding(rule, sighting.node.origin, match.message, expression, margin, related)


def _outermost(findings: list[Finding]) -> tuple[Finding, ...]:
    """The findings without those at a place that another of the same rule already points to."""
    pointed_at = {(f.rule.code, r.origin) for f in findings for r in f.related}
    return tuple(f for f in findings if (f.rule.code, f.origin) not in pointed_at)


def _called_from(sighting: Sighting) -> tuple[Related, ...]:
    """The call that handed the function its wrong value, where the loss stands in a function of its own."""
    return (Related(sighting.caller, "called from here"),) if sighting.caller is not None else ()
