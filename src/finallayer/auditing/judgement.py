"""What the rules and numerics say of a run that was observed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from math import inf
from pathlib import Path

from finallayer.auditing.outcome import Audit
from finallayer.check.config import Config
from finallayer.check.filters import Filter, Sources
from finallayer.expr import Node, Origin, through
from finallayer.findings import Finding
from finallayer.live.observation import Observation
from finallayer.rules import all_rules
from finallayer.rules.judging import judge, outermost
from finallayer.rules.margin import safe_margins

#: What adds losses up.
_ADDS = frozenset({"add", "sub"})
#: What weighs a loss, or averages it.
_WEIGHS = frozenset({"scale", "neg", "mean", "identity", "cast", "reshape"})


def judged(seen: Observation) -> Audit:
    """The audit of what was observed: comments in the source keep findings quiet, as those of a check."""
    rules = all_rules()
    sources = Sources()
    every = tuple(_with_layers(f, seen.layers) for f in outermost([one.finding for one in judge(seen.seen)]))
    config = Config(Path.cwd(), frozenset(rules))
    once = {(f.rule.code, f.origin): f for f in reversed(every)}  # a traced function is met at each of its calls
    findings = tuple(Filter(config, rules, sources).shown(list(reversed(once.values()))))
    return Audit(findings, tuple(map(str, seen.losses)), _margin(findings, seen.losses), seen, sources.lines)


def _with_layers(finding: Finding, layers: Mapping[tuple[Origin, str], str]) -> Finding:
    """The finding, with what the layers are called that it points to."""
    names = [(r, layers.get((r.origin, r.message.partition(" ")[0]))) for r in finding.related]
    related = tuple(r._replace(message=f"{r.message}: layer `{name}`") if name else r for r, name in names)
    return finding if related == finding.related else replace(finding, related=related)


def _margin(findings: Iterable[Finding], losses: Iterable[Node]) -> dict[str, float] | None:
    """The safe margin of the whole: the least of all that is known of its parts."""
    known = [f.safe_margin for f in findings if f.safe_margin]
    known += [m for loss in losses for term in terms(loss) if (m := safe_margins(term)) is not None]
    formats = known[0].keys() if known else ()
    return {dtype: min(m.get(dtype, inf) for m in known) for dtype in formats} or None


def terms(loss: Node) -> Iterator[Node]:
    """The losses that a sum of losses adds up."""
    waiting = [loss]
    while waiting:
        term = waiting.pop()
        if term.op in _ADDS:
            waiting += term.args
        elif through(term, _WEIGHS).op in _ADDS:
            waiting += term.args[:1]
        else:
            yield term
