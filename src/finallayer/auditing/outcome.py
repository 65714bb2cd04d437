"""The audit of a loss: what was found, what the loss is, and what it makes of the batch that it was given."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from html import escape
from math import isfinite
from typing import Any

from finallayer import report
from finallayer.auditing.terms import Classifiers
from finallayer.expr import Node, Origin
from finallayer.findings import Finding, Severity
from finallayer.live.observation import Batch, Blind, Observation

#: The format of which the batch is judged where its own isn't known.
USUAL = "float32"
#: A floor below this is none, however many samples are added up.
TINY = 1e-6


#: Why no margin is told: whether any term is a classifier's.
_UNKNOWN = {
    False: "no term is seen to be a classifier's loss on a target",
    True: "the loss is no cross-entropy, or not all of it is understood",
}


class LossError(AssertionError):
    """A loss has findings of the severity that was asked for."""


@dataclass(frozen=True, eq=False, repr=False)
class Audit:
    """What one run of a loss has shown."""

    findings: tuple[Finding, ...]
    expressions: tuple[str, ...]  # what the loss computes
    safe_margin: dict[str, float] | None  # format -> up to which margin its gradient is right; None: not known
    observed: Observation
    lines: Callable[[Origin], Sequence[str]]
    terms: tuple[Classifiers, ...] = ()  # where a prediction meets its target
    others: tuple[Node, ...] = ()  # what else is made of a softmax or sigmoid, and has no margin

    @property
    def blind(self) -> tuple[Blind, ...]:
        """What stands between the predictions and the loss, and isn't understood."""
        return tuple(self.observed.blind)

    @cached_property
    def margins(self) -> list[float]:
        """How far the target trailed in each sample of the batch: the best other logit minus the target's."""
        return [float(m) for batch in self._batches for m in batch.margins]

    @property
    def silenced(self) -> float | None:
        """The share of the batch past the safe margin, misclassified: its gradient is wrong, or 0; None: not known."""
        if any(self._limit(batch) is None for batch in self._batches):
            return None
        return self._share(lambda batch: (batch.margins > self._limit(batch)).sum())

    @cached_property
    def collapsed(self) -> float | None:
        """The share of the batch whose gradient is exactly 0 because it is classified so confidently."""
        from finallayer.auditing.ends import collapse

        def lost(batch: Batch) -> Any:
            ends = collapse(batch.loss, batch.dtype, batch.classes)
            return 0 if ends is None else (-batch.margins >= ends).sum()

        return self._share(lost)

    @cached_property
    def floor(self) -> float | None:
        """The least value that the loss can take, however right the model is; None where that isn't known."""
        from finallayer.auditing.ends import floor

        batches, losses = self._batches, self.observed.losses
        if len(losses) != 1 or not batches or not all(b.hard for b in batches):
            return None
        parts = {id(n) for n in losses[0].walk()}
        least = floor(losses[0], batches[0].classes)
        if any(id(n) in parts for n in self.observed.altered) or len({b.classes for b in batches}) > 1:
            return None
        return least if least is None or abs(least) < TINY or not any(map(_adds_up, losses[0].walk())) else None

    @property
    def _batches(self) -> list[Batch]:
        return [b for b in self.observed.batches if any(term.measures(b.loss) for term in self.terms)]

    def _limit(self, batch: Batch) -> float | None:
        own = (term.margins for term in self.terms if term.measures(batch.loss))
        margins = next(own, None) or self.safe_margin or {}
        return margins.get(batch.dtype, margins.get(USUAL))

    def _share(self, count: Callable[[Batch], Any]) -> float | None:
        batches = self._batches
        samples = sum(len(b.margins) for b in batches)
        return float(sum(count(b) for b in batches) / samples) if samples else None

    def besides(self, told: Iterable[Finding]) -> Audit:
        """The same without the findings that were told already."""
        known = {(f.rule.code, f.origin) for f in told}
        return replace(self, findings=tuple(f for f in self.findings if (f.rule.code, f.origin) not in known))

    def raise_for(self, severity: str = "error") -> Audit:
        """Raise :class:`LossError` where anything at least as severe was found: ``advice``, ``warning``, ``error``."""
        least = {str(s): s for s in Severity}.get(severity)
        if least is None:
            raise ValueError(f"a severity is advice, warning or error, not {severity!r}")
        if any(f.severity >= least for f in self.findings):
            raise LossError(f"\n{self}")
        return self

    def __str__(self) -> str:
        return "\n".join(self._text())

    __repr__ = __str__

    def _text(self) -> Iterator[str]:
        for loss in self.expressions:
            yield f"loss: {loss}"
        yield from self._of_batch()
        for blind in self.blind:
            where = f" ({blind.origin.path}:{blind.origin.line})" if blind.origin else ""
            yield f"blind: {blind.name}{where} isn't understood"
        yield ""
        yield from report.render("text", self._report())

    def _of_batch(self) -> Iterator[str]:
        if self.safe_margin is not None:
            yield f"safe margin: {', '.join(f'{_nats(m)} ({dtype})' for dtype, m in self.safe_margin.items())}"
        elif self.expressions:
            yield f"safe margin: not known, {_UNKNOWN[bool(self.terms)]}"
        for other in dict.fromkeys(map(str, self.others if self.safe_margin is not None else ())):
            yield f"without a target, and so without a margin: {other}"
        if self.margins:
            silenced = "" if self.silenced is None else f"; silenced {self.silenced:.1%}"
            yield f"batch: {len(self.margins)} samples, the worst trails by {max(self.margins):.1f}{silenced}"

    def _report(self) -> report.Report:
        files = len({f.origin.path for f in self.findings}) or 1
        closing = () if self.findings else ("No findings.",)
        return report.Report(self.findings, files, self.lines, closing=closing)

    def to_json(self) -> str:
        """The audit as one object of JSON: ``findings`` as those of a check."""
        margin = self.safe_margin
        said = {
            "findings": json.loads("".join(report.render("json", self._report()))),
            "expressions": list(self.expressions),
            "safe_margin": None if margin is None else {k: _finite(m) for k, m in margin.items()},
            "margins": [_finite(m) for m in self.margins],
            "silenced": self.silenced,
            "collapsed": self.collapsed,
            "floor": self.floor,
            "blind": [{"name": b.name, "line": b.origin and b.origin.line} for b in self.blind],
        }
        return json.dumps(said, indent=2, ensure_ascii=False, allow_nan=False)

    def sarif(self) -> str:
        """The findings as SARIF 2.1.0."""
        return "\n".join(report.render("sarif", self._report()))

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return f"<pre>{escape(str(self))}</pre>"


def _finite(number: float) -> float | None:
    """A number as JSON has it."""
    return number if isfinite(number) else None


def _adds_up(node: Node) -> bool:
    """Whether an operation adds up the samples, of which an expression on one row knows only one."""
    return node.op == "sum" and node.attrs.get("axis") in (None, 0)


def _nats(margin: float) -> str:
    return f"{margin:.1f}" if isfinite(margin) else "no limit"
