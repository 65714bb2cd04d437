"""Axes: which of them are certainly not the same, and along which a reader looks for the classes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from finallayer.expr import GUARDS, MOVES, PICKS, Node, through
from finallayer.kinds import LOG_KINDS, PROBABILITY_KINDS
from finallayer.rules.route import route, softmax_of

#: What changes of a factor no more than its sign and size, and its place.
_SIGNS = (MOVES - PICKS) | {"neg", "scale"}
#: What averages a loss over the examples, or adds it up, on the way to its sign.
_AVERAGES = _SIGNS | GUARDS | {"mean", "sum", "mul", "div"}


class Axes(NamedTuple):
    """How many axes a value has, as far as that is known."""

    rank: int | None
    least: int

    @classmethod
    def of(cls, x: Node, read: Read | None = None) -> Axes:
        """Those of a value, also as one who reads it shows."""
        shown = 0 if read is None else max(read.least, read.axis + 1 if read.axis >= 0 else -read.axis)
        return cls(x.rank, max(x.least_rank, shown))

    @property
    def agree(self) -> bool:
        """Whether all that is known of them can be true."""
        return self.rank is None or self.least <= self.rank

    def apart(self, one: int, other: int) -> bool:
        """Whether two axes are certainly not the same."""
        if self.rank is not None:
            return one % self.rank != other % self.rank if self.rank else False
        if (one < 0) == (other < 0):
            return one != other
        return self.least > max(one, other) - min(one, other)

    def same(self, one: Any, other: Any) -> bool:
        """Whether two axes, or what a program gives for them, are certainly the same."""
        counted = bool(self.rank) and isinstance(one, int) and isinstance(other, int)
        return bool(one == other or (counted and one % self.rank == other % self.rank))

    def is_first(self, axis: int) -> bool:
        """Whether an axis is certainly the first."""
        return axis == 0 or axis == -(self.rank or 0)


class Read(NamedTuple):
    """A value that is read as a row of classes along an axis."""

    value: Node
    axis: int
    least: int = 0  # how many axes the reader shows it to have at the least


def picked(x: Node) -> Iterator[Read]:
    """From where, and along which axis, one entry of each row is picked on the way to a probability."""
    yield from (read for step in (*route(x), x) if (read := _pick(step)) is not None)


def _pick(step: Node) -> Read | None:
    axis = step.attrs.get("picked_along", step.attrs.get("axis") if step.op == "gather" else None)
    if type(axis) is not int or step.op not in PICKS or not step.args:
        return None
    return Read(step.args[0], axis, max((a.least_rank for a in step.args[1:]), default=0))  # an index has as many axes


def picked_logs(x: Node) -> Iterator[Read]:
    """The log-probabilities of which a loss picks one entry of each row before it averages them."""
    waiting, seen = [x], set[int]()
    while waiting:
        step = waiting.pop()
        if id(step) in seen:
            continue
        seen.add(id(step))
        read = _pick(step)
        if read is not None and read.value.kind in LOG_KINDS:
            yield read
        elif step.op in _AVERAGES or step.op in PICKS:
            waiting += step.args if step.op == "mul" else step.args[:1]


def summed_logs(total: Node) -> Iterator[Read]:
    """The log-probabilities that are weighted and summed along an axis, but not by others of the same axis: what
    distils a row of examples does that on purpose."""
    axis, product = total.attrs.get("axis"), through(total.args[0], _SIGNS)
    if type(axis) is not int or product.op != "mul":
        return
    factors = [through(f, _SIGNS) for f in product.args]
    made = [softmax_of(f) for f in factors]
    for log, softmax in zip(factors, made, strict=True):
        others = (m for f, m in zip(factors, made, strict=True) if m is not None and f.kind in PROBABILITY_KINDS)
        if softmax is None or log.kind not in LOG_KINDS:
            continue
        if all(other.attrs.get("axis") != softmax.attrs.get("axis") for other in others):
            yield Read(log, axis)


def averaged(mean: Node) -> Iterator[Read]:
    """What a mean is taken of: picked, or summed, along the classes, so that it has another axis for the mean."""
    x = through(mean.args[0], _SIGNS)
    reads = [*summed_logs(x)] if x.op == "sum" else [r for r in (_pick(x),) if x.attrs.get("by") == "one_hot" and r]
    axis = mean.attrs.get("axis")
    return (r._replace(least=max(r.least, axis + 2 if type(axis) is int and axis >= 0 else 2)) for r in reads)
