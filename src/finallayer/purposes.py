"""What a log of probabilities is for, read off what is done with it.

A log that is only drawn from trains nothing. One that is weighed by its own probability, as in an entropy, or whose exp
is taken again, as in the ratio of two policies, has a gradient that vanishes with the probability: a guard before it
costs nothing there. What stands beside the log shows that; no name does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from finallayer.canonical import quotient_logs
from finallayer.expr import GUARDS, MOVES, PICKS, TRANSPARENT, Node, through

#: Products and sums nested deeper than this are one factor, or term: shared parts are visited once for each use.
DEEPEST = 6
_GUARDS = TRANSPARENT | GUARDS
#: ``where`` of two values and the condition that chooses between them.
_WHERE_TAKES = 3
#: What makes probabilities of scores that may be put together of several.
_SCORED = frozenset({"softmax", "log_softmax", "weighted_softmax"})
#: What leaves a factor or a term what it is, but for its sign, size and shape.
_SIGNS = (MOVES - PICKS - {"stop_gradient"}) | {"neg", "scale", "join"}
#: The operations that may show what a log is for.
TELLING = _SCORED | PICKS | {"mul", "matmul", "sample", "cumsum", "exp", "where", "sum", "argmax"}


def purposes(op: str, args: Sequence[Node], attrs: dict[str, Any]) -> Iterator[tuple[Node, str]]:
    """The logs of which this operation shows what they are for: ``no_loss``, ``self_weighted``, or ``of_picked``."""
    if op in ("mul", "matmul"):
        factors = [f for a in args for f in _factors(a)]
        yield from ((log, "self_weighted") for log in _self_weighted(factors))
        if any(factor.op == "one_hot" for factor in factors):
            yield from ((factor, "of_picked") for factor in factors if factor.op == "log")
    elif op in PICKS and args and (op == "gather" or attrs.get("each")):
        log = through(args[0], _SIGNS)
        if log.op == "log":
            yield log, "of_picked"
    elif op == "sample" and args:
        yield from ((drawn, "no_loss") for drawn in _drawn_from(args[0]))
    elif op == "argmax" and args:
        yield from ((drawn, "no_loss") for drawn in _drawn_by_noise(args[0]))
    elif op in _SCORED and args:
        yield from ((term, "no_loss") for term in _shifting(args[0]))
        if op == "softmax":  # softmax(z + log(p)) is as small as p
            yield from ((term, "self_weighted") for term in _weighing(args[0]))
    elif op == "cumsum" and args and args[0].op == "log":  # of which exp makes a running product
        yield args[0], "no_loss"
    elif op == "exp" and args[0].op == "sub":  # exp(log p - log q): how much likelier one policy makes an action
        yield from ((term, "self_weighted") for term in _terms(args[0]) if term.op == "log")
    elif op == "where" and len(args) == _WHERE_TAKES:
        yield from ((log, "no_loss") for log in _chosen(*args))


def summed_along(op: str, args: Sequence[Node], attrs: dict[str, Any]) -> Iterator[tuple[Node, int]]:
    """The logs that this operation weights and sums, and along which axis."""
    axis = attrs.get("axis")
    if op == "sum" and type(axis) is int and args:
        product = through(args[0], _SIGNS)
        factors = _factors(product) if product.op == "mul" else []
        yield from ((f, axis) for f in factors if f.op == "log")


def _self_weighted(factors: list[Node]) -> Iterator[Node]:
    """``p * log(p + eps)``, also as ``p * (log(p) - log(q))`` or with p over another's: the gradient is right where p
    vanishes."""
    terms = [(i, term) for i, factor in enumerate(factors) for term in _terms(factor) if term.op == "log"]
    for i, log in [(i, log) for i, term in terms for log in (term, *quotient_logs(term))]:
        p = _bare(log.args[0])
        if any(_holds(other, p) for j, other in enumerate(factors) if j != i):
            yield log


def _holds(factor: Node, p: Node) -> bool:
    """Whether a factor vanishes with a probability: it is that, its part in a mixture, or that over something."""
    parts = [_bare(factor), *(_bare(step.args[0]) for step in _made_of(factor) if step.op == "div")]
    return p in parts or (p.op == "mixture" and any(part in map(_bare, p.args) for part in parts))


def _bare(x: Node) -> Node:
    return through(x, _GUARDS)


def _drawn_from(scores: Node) -> Iterator[Node]:
    """``categorical(log(p))`` draws as p says, whatever becomes of the smallest entries; nothing is trained by it."""
    x = through(scores, _GUARDS | _SIGNS | {"sum", "mean", "div"})  # at some temperature
    if x.op in ("log", "softmax"):
        yield x


def _drawn_by_noise(scores: Node) -> Iterator[Node]:
    """``argmax(log(p) - log(-log(u)))`` draws as p says: the log of minus a log of noise is Gumbel's."""
    logs = [term for term in _terms(scores) if term.op == "log"]
    if any(_bare(through(log.args[0], _SIGNS | _GUARDS)).op == "log" for log in logs):
        yield from logs


def _shifting(scores: Node) -> Iterator[Node]:
    """``softmax(z + log(1 - p))``: the log takes from the scores what was chosen before, as a mask does."""
    terms = _terms(through(scores, _SIGNS | {"div"}))  # at some temperature
    if len(terms) > 1:
        yield from (term for term in terms if term.op == "log" and _bare(term.args[0]).op == "one_minus")


def _weighing(scores: Node) -> Iterator[Node]:
    """The logs that are added to other scores, which they weigh by their probabilities."""
    terms = _terms(through(scores, _SIGNS))
    if len(terms) > 1:
        yield from (term for term in terms if term.op == "log")


def _chosen(x: Node, y: Node, condition: Node) -> Iterator[Node]:
    """The logs in the pieces of a function that is put together for accuracy: ``log(1 - exp(x))`` where x is far from
    0, and another formula of x where it isn't."""
    asked = {*map(hash, condition.args), *condition.attrs.get("of", ())}
    if not asked.isdisjoint(hash(part) for piece in (x, y) for part in _made_of(piece) if part.op != "const"):
        pieces = [through(piece, _SIGNS) for piece in (x, y)]
        if not any(piece.op == "const" for piece in pieces):
            yield from (piece for piece in pieces if piece.op == "log")


def _made_of(x: Node) -> Iterator[Node]:
    """A value's operations, each once, without those that only made an index."""
    seen: set[int] = set()
    stack = [x]
    while stack:
        step = stack.pop()
        if id(step) not in seen:
            seen.add(id(step))
            yield step
            stack += step.args[:1] if step.op in PICKS else step.args


def _factors(x: Node, deep: int = DEEPEST) -> list[Node]:
    x = through(x, _SIGNS)
    return [f for a in x.args for f in _factors(a, deep - 1)] if x.op == "mul" and deep else [x]


def _terms(x: Node, deep: int = DEEPEST) -> list[Node]:
    x = through(x, _SIGNS)
    return [t for a in x.args for t in _terms(a, deep - 1)] if x.op in ("add", "sub") and deep else [x]
