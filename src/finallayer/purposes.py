"""What a log of probabilities is for, read off what is done with it.

The log of a policy's or a target's probabilities is taken for an entropy, for the weight of a reward or for the ratio
of two policies: no classifier is trained by it. What stands beside the log shows that; no name does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from finallayer.expr import GUARDS, MOVES, PICKS, TRANSPARENT, Node, Role, having, through
from finallayer.kinds import PROBABILITY_KINDS, Kind

#: Products and sums nested deeper than this are one factor, or term: shared parts are visited once for each use.
DEEPEST = 6
_GUARDS = TRANSPARENT | GUARDS
#: What leaves a factor or a term what it is, but for its sign, size and shape.
_SIGNS = (MOVES - PICKS - {"stop_gradient"}) | {"neg", "scale", "join"}
_MASKS = having(Role.MASK)
_CONSTANTS = having(Role.CONSTANT)
#: The name of what a comparison gives where nobody knows the answer.
COMPARED = "compare"
#: What only moves a log, and leaves it to be trained through.
_MOVES = (TRANSPARENT | _SIGNS) - {"stop_gradient"}


def purposes(
    op: str, args: Sequence[Node], attrs: dict[str, Any], acts: Callable[[], bool]
) -> Iterator[tuple[Node, str]]:
    """The logs of which this operation shows what they are for: ``no_loss``, or perhaps not (``rewarded``, by an
    environment); or weighted and summed ``over_classes``. ``acts``: whether the program acts in an environment."""
    if op == "mul":
        factors = [factor for a in args for factor in _factors(a)]
        yield from ((log, "no_loss") for log in _entropies(factors))
        yield from _of_policies(factors, acts)
    elif op == "sample" and args:
        yield from ((drawn, "no_loss") for drawn in _drawn_from(args[0]))
    elif op == "cumsum" and args and args[0].op == "log":  # of which exp makes a running product
        yield args[0], "no_loss"
    elif op == "exp" and args[0].op == "sub":  # exp(log p - log q): how much likelier one policy makes an action
        yield from ((term, "no_loss") for term in _terms(args[0]) if term.op == "log")
    elif op == "sum" and "axis" in attrs:
        product = through(args[0], _SIGNS)
        factors = _factors(product) if product.op == "mul" else []
        if not any(f.kind is Kind.TARGET for f in factors):
            yield from ((f, "over_classes") for f in factors if f.op == "log")


def summed_along(op: str, args: Sequence[Node], attrs: dict[str, Any]) -> Iterator[tuple[Node, int]]:
    """The logs that this operation weights and sums, and along which axis."""
    axis = attrs.get("axis")
    if op == "sum" and type(axis) is int and args:
        product = through(args[0], _SIGNS)
        factors = _factors(product) if product.op == "mul" else []
        yield from ((f, axis) for f in factors if f.op == "log")


def _entropies(factors: list[Node]) -> Iterator[Node]:
    """``p * log(p + eps)``, also as ``p * (log(p) - log(q))``: the gradient is right where p vanishes."""
    logs = [(i, term) for i, factor in enumerate(factors) for term in _terms(factor) if term.op == "log"]
    for i, log in logs:
        p = through(log.args[0], _GUARDS)
        if any(through(other, _GUARDS) == p for j, other in enumerate(factors) if j != i):
            yield log


def _drawn_from(scores: Node) -> Iterator[Node]:
    """``categorical(log(p))`` draws as p says, whatever becomes of the smallest entries; nothing is trained by it."""
    x = through(scores, _GUARDS | _SIGNS | {"sum", "mean", "div"})  # at some temperature
    if x.op in ("log", "softmax"):
        yield x


def _of_policies(factors: list[Node], acts: Callable[[], bool]) -> Iterator[tuple[Node, str]]:
    """The log of one picked probability, times an advantage or a return; or any, times its own ratio to another's."""
    for factor, others in _each(factors):
        for log, by_action in _picked_logs(factor):
            if any(_is_advantage(o) for o in others):
                yield log, "no_loss"
            elif any(_is_return(o, by_action, acts) for o in others):
                yield log, "rewarded"
        if factor.op == "log":
            p = through(factor.args[0], _GUARDS)
            if any(step.op == "div" and through(step.args[0], _GUARDS) == p for o in others for step in _made_of(o)):
                yield factor, "no_loss"


def _each(factors: list[Node]) -> Iterator[tuple[Node, list[Node]]]:
    """Every factor with all the others."""
    return ((factor, factors[:i] + factors[i + 1 :]) for i, factor in enumerate(factors))


def _picked_logs(factor: Node) -> Iterator[tuple[Node, bool]]:
    """The logs in a factor that are taken of one entry of each row, picked by an index or by a one-hot row; True where
    the row is made of an index in the same product, as policies do with their action."""
    x = through(factor, _MOVES)
    if x.op == "sum" and "axis" in x.attrs:
        parts = _factors(through(x.args[0], _MOVES))
        by_action = any(p.op == "one_hot" for p in parts)
        yield from ((p, by_action) for p in parts if p.op == "log" and any(o.kind is Kind.TARGET for o in parts))
    elif x.op == "log" and (_passes(x.args[0], PICKS) or _passes(factor, PICKS)):
        yield x, False


def _passes(x: Node, ops: frozenset[str]) -> bool:
    """Whether the way down from a value, as far as it only moves and guards it, passes one of these operations."""
    while x.op in _GUARDS | _SIGNS and x.args:
        if x.op in ops:
            return True
        x = x.args[0]
    return False


def _tells(part: Node) -> bool:
    """Whether this tells which samples count: a weight with such a part is no return."""
    return part.op in _MASKS or (part.op == "opaque" and part.attrs.get("name") == COMPARED)


def _is_advantage(factor: Node) -> bool:
    """Whether a factor is detached on purpose, or holds the ratio of two policies. A focal loss's weight, too, may be
    detached, but is made of probabilities."""
    return any(
        (step.op == "stop_gradient" and not any(n.kind in PROBABILITY_KINDS for n in step.walk()))
        or (step.op == "div" and through(step.args[0], _GUARDS).kind in PROBABILITY_KINDS)
        or (step.op == "exp" and step.args[0].op == "sub" and any(t.op == "log" for t in _terms(step.args[0])))
        for step in _made_of(factor)
    )


def _is_return(factor: Node, by_action: bool, acts: Callable[[], bool]) -> bool:
    """Whether a factor may be a return: in a program that acts in an environment anything that isn't made of
    probabilities; elsewhere, of an action, data that nobody knows, as is a placeholder of a number a row."""
    if factor.op == "const" or any(n.kind in PROBABILITY_KINDS or n.kind is Kind.TARGET for n in _made_of(factor)):
        return False
    if acts():
        return True
    parts = list(factor.walk())
    unknown = factor.kind is Kind.UNKNOWN and not any(map(_tells, parts))
    data = any(part.op not in _CONSTANTS for part in parts if not part.args)
    return unknown and data and (by_action or factor.rank == 1)


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
