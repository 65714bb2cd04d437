"""What the rules and numerics say of a run that was observed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from math import inf
from pathlib import Path

from finallayer.auditing.outcome import Audit
from finallayer.auditing.terms import classifiers
from finallayer.check.config import Config
from finallayer.check.filters import Filter, Sources
from finallayer.expr import Origin
from finallayer.findings import Finding
from finallayer.live.observation import Observation
from finallayer.rules import all_rules
from finallayer.rules.judging import judge, outermost


def judged(seen: Observation) -> Audit:
    """The audit of what was observed: comments in the source keep findings quiet, as those of a check."""
    rules = all_rules()
    sources = Sources()
    every = tuple(_with_layers(f, seen.layers) for f in outermost([one.finding for one in judge(seen.seen)]))
    config = Config(Path.cwd(), frozenset(rules))
    once = {(f.rule.code, f.origin): f for f in reversed(every)}  # a traced function is met at each of its calls
    findings = tuple(Filter(config, rules, sources).shown(list(reversed(once.values()))))
    split = [classifiers(loss) for loss in seen.losses]
    terms = tuple(term for found, _ in split for term in found)
    others = tuple(other for _, rest in split for other in rest)
    margin = _least([*(f.safe_margin for f in every), *(term.margins for term in terms)])
    return Audit(findings, tuple(map(str, seen.losses)), margin, seen, sources.lines, terms, others)


def _with_layers(finding: Finding, layers: Mapping[tuple[Origin, str], str]) -> Finding:
    """The finding, with what the layers are called that it points to."""
    names = [(r, layers.get((r.origin, r.message.partition(" ")[0]))) for r in finding.related]
    related = tuple(r._replace(message=f"{r.message}: layer `{name}`") if name else r for r, name in names)
    return finding if related == finding.related else replace(finding, related=related)


def _least(margins: Iterable[dict[str, float] | None]) -> dict[str, float] | None:
    """The safe margin of the whole: the least of all that is known of its parts."""
    known = [m for m in margins if m]
    formats = known[0].keys() if known else ()
    return {dtype: min(m.get(dtype, inf) for m in known) for dtype in formats} or None
