"""From what a front end met to findings: every sighting is put before the rules that look at its operation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

from finallayer.expr import Origin
from finallayer.findings import Finding, Match, Related, Sighting
from finallayer.rules import rules_by_operation
from finallayer.rules.base import Rule
from finallayer.rules.margin import safe_margins

#: A rule's code, and where it finds something.
Place = tuple[str, Origin]


class Judged(NamedTuple):
    """A finding, and what it was found in."""

    finding: Finding
    sighting: Sighting
    match: Match


def judge(seen: Iterable[Sighting]) -> Iterator[Judged]:
    """What every rule finds in what a front end met."""
    judges = rules_by_operation()
    for sighting in seen:
        if sighting.node.origin is None:
            continue
        for rule in judges.get(sighting.node.op, ()):
            with suppress(RecursionError):  # an expression of a thousand operations is nobody's final layer
                yield from [
                    m for m in _matches(rule, sighting, sighting.node.origin) if _whatever_is_done(rule, sighting)
                ]


def _whatever_is_done(rule: Rule, sighting: Sighting) -> bool:
    """Whether what is done to an alternative in other runs is as wrong: else, they may be chosen together."""
    judges = rules_by_operation()
    others = (sighting._replace(node=other) for other in sighting.instead)
    return all(
        any(any(r.judge(other)) for r in judges.get(other.node.op, ()) if r.severity >= rule.severity)
        for other in others
    )


def _matches(rule: Rule, sighting: Sighting, origin: Origin) -> Iterator[Judged]:
    for match in rule.judge(sighting):
        margin = None if match.expression is None else safe_margins(match.expression)
        expression = str(match.expression or sighting.node)
        related = (*match.related, *_called_from(sighting))
        finding = Finding(rule, origin, match.message, expression, margin, related, judged=match.severity)
        yield Judged(finding, sighting, match)


def _called_from(sighting: Sighting) -> tuple[Related, ...]:
    """The call that handed the function its wrong value, where the loss stands in a function of its own."""
    return (Related(sighting.caller, "called from here"),) if sighting.caller is not None else ()


def place_of(finding: Finding) -> Place:
    return finding.rule.code, finding.origin


def outermost(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """The findings without those at a place that another of the same rule already points to."""
    pointed_at = {(f.rule.code, r.origin) for f in findings for r in f.related if r.origin != f.origin}
    return tuple(f for f in findings if place_of(f) not in pointed_at)
