"""Between which numbers a value lies for certain, by interval arithmetic over its expression."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, isnan, log
from typing import Any, NamedTuple

from finallayer.canonical import constant
from finallayer.expr import GUARDS, MOVES, SEVERAL, TRANSPARENT, UNREAD, Node, through
from finallayer.kinds import LOG_KINDS, PROBABILITY_KINDS


class Interval(NamedTuple):
    """All numbers from ``low`` to ``high``."""

    low: float
    high: float


#: Up to here exp stays finite in float32 (88.7), summed over a few thousand terms.
LARGEST_EXPONENT = 80.0
#: A logit of which nearly all the probability is one class's: a sigmoid of 0.95.
SURE = 3.0
#: What lies deeper in an expression than this is taken for any number: shared parts are visited once for each use.
DEEPEST = 10

ANY = Interval(-inf, inf)
UNIT = Interval(0, 1)
SIGNED_UNIT = Interval(-1, 1)
NEVER_NEGATIVE = Interval(0, inf)
NEVER_POSITIVE = Interval(-inf, 0)


def exp_is_safe(z: Node) -> bool:
    """Whether ``exp(z)`` can't overflow: negated squares, cosines over a temperature, z minus its maximum ..."""
    return interval(z).high <= LARGEST_EXPONENT or is_similarity(z)


def may_be_logits(z: Node) -> bool:
    """Whether numbers may be logits as they are: negative, too, and large enough that a class can become certain."""
    low, high = interval(z)
    return low < 0 and max(-low, high) > SURE


def is_similarity(z: Node) -> bool:
    """Whether a cosine, or what else lies within [-1, 1], is divided by a temperature that the program is given: nobody
    gives one below 0.0125. One that is learned may become any."""
    z = through(z, MOVES | {"neg"})
    if z.op != "div" or through(z.args[1], MOVES).op != "opaque":
        return False
    low, high = interval(z.args[0])
    return -1 <= low <= high <= 1


def interval(z: Node, deep: int = 0) -> Interval:
    """The numbers between which every element of ``z`` lies; all numbers where its operation isn't known."""
    value = constant(z)
    if value is not None:
        return Interval(value, value)
    if z.op == "numbers" and "low" in z.attrs:
        return Interval(z.attrs["low"], z.attrs["high"])
    if z.attrs.get("taken_for") == "log_probability":
        return NEVER_POSITIVE  # a name proves nothing, but is reason enough to keep silent
    known = _OF_KIND.get(z.kind) or _OF_OPERATION.get(z.op, ANY)
    if isinstance(known, Interval):
        return known
    return known(z, [interval(a, deep + 1) for a in z.args]) if deep < DEEPEST and z.args else ANY


_OF_KIND = dict.fromkeys(PROBABILITY_KINDS, UNIT) | dict.fromkeys(LOG_KINDS, NEVER_POSITIVE)

_OF_ACTIVATION = {
    "tanh": SIGNED_UNIT,
    "hard_tanh": SIGNED_UNIT,
    "hardtanh": SIGNED_UNIT,
    "softsign": SIGNED_UNIT,
    "erf": SIGNED_UNIT,
    "sin": SIGNED_UNIT,
    "cos": SIGNED_UNIT,
    "sigmoid": UNIT,
    "hard_sigmoid": UNIT,
    "hardsigmoid": UNIT,
    "relu": NEVER_NEGATIVE,
    "relu6": Interval(0, 6),
    "softplus": NEVER_NEGATIVE,
}

Arithmetic = Callable[[Node, list[Interval]], Interval]


def _hull(_z: Node, parts: list[Interval]) -> Interval:
    return Interval(min(p.low for p in parts), max(p.high for p in parts))


def _activation(z: Node, _parts: list[Interval]) -> Interval:
    return _OF_ACTIVATION.get(str(z.attrs.get("name")).rpartition(".")[2].lower(), ANY)


def _join(z: Node, parts: list[Interval]) -> Interval:
    """One of several values. Of ``z`` and ``-z`` it is ``|z|`` or ``-|z|``: its exp is written to be safe."""
    for x, y in (z.args, z.args[::-1]) if len(z.args) == 2 else ():
        if x.op == "neg" and x.args[0] == y:
            return Interval(0, 0)
    return _hull(z, parts)


def _log(_z: Node, parts: list[Interval]) -> Interval:
    low, high = parts[0]
    return Interval(log(low) if low > 0 else -inf, log(high) if 0 < high < inf else inf)


def _neg(_z: Node, parts: list[Interval]) -> Interval:
    return Interval(-parts[0].high, -parts[0].low)


def _add(_z: Node, parts: list[Interval]) -> Interval:
    return Interval(sum(p.low for p in parts), sum(p.high for p in parts))


def _sub(z: Node, parts: list[Interval]) -> Interval:
    if through(z.args[1], TRANSPARENT).op == "max":
        return NEVER_POSITIVE
    return _add(z, [parts[0], _neg(z, parts[1:])])


def _mul(z: Node, parts: list[Interval]) -> Interval:
    if z.args[0] == z.args[1]:
        return NEVER_NEGATIVE
    return NEVER_POSITIVE if _is_minus_weighed_square(z) else _product(*parts)


def _is_minus_weighed_square(product: Node) -> bool:
    """``-gamma * d**2``: a precision is positive, as a temperature is, though nobody can tell."""
    minus = square = False
    for factor in (through(a, MOVES) for a in product.args):
        size = through(factor.args[0], MOVES) if factor.op == "neg" else factor
        minus ^= factor.op == "neg"
        is_square = size.op in ("pow", "length", "abs") or (size.op == "mul" and size.args[:1] == size.args[1:])
        if not is_square and size.op != "opaque":
            return False
        square = square or is_square
    return minus and square


def _div(z: Node, parts: list[Interval]) -> Interval:
    """By a divisor of one sign the quotient keeps, or flips, the sign of what is divided. What a negated square or
    distance is divided by, a temperature or a variance, is positive, though nobody can tell."""
    x, y = parts
    if _is_normalised(z):
        return SIGNED_UNIT
    if y == ANY and x.high <= 0:
        return NEVER_POSITIVE
    if y.low > 0 and y.high < inf:
        return _product(x, Interval(1 / y.high, 1 / y.low))
    if y.low >= 0:
        return _product(x, NEVER_NEGATIVE)
    return _product(x, NEVER_POSITIVE) if y.high <= 0 else ANY


def _is_normalised(z: Node) -> bool:
    """Whether a value is divided by its own maximum or sum, or by its range: it then lies within [-1, 1], by the
    meaning of distances, counts and weights, though a negative maximum would have it otherwise."""
    x, y = (through(a, MOVES | GUARDS) for a in z.args)
    if y.op == "sqrt" and any(_is_square_of(x, term) for term in _terms(_unguarded(y.args[0]))):
        return True  # x / sqrt(1 + a * x**2)
    own = through(x.args[0], MOVES) if x.op == "sub" else x
    tops = y.args if y.op == "sub" else (y,)
    return any(t.op in _OF_ALL and bool(t.args) and _size(t.args[0]) == _size(own) for t in map(_unguarded, tops))


def _terms(x: Node) -> tuple[Node, ...]:
    return x.args if x.op == "add" else (x,)


def _is_square_of(x: Node, term: Node) -> bool:
    """Whether a term is the square of x, or some times that."""
    factors = [_unguarded(f) for f in term.args] if term.op == "mul" else [through(term, MOVES | {"scale"})]
    if [*map(_unguarded, term.args)] == [x, x]:
        return True
    return any(f.args[:1] == (x,) and (f.op == "pow" or f.args[1:] == (x,)) for f in factors)


_OF_ALL = frozenset({"max", "sum", "length"})


def _unguarded(x: Node) -> Node:
    return through(x, MOVES | GUARDS)


def _size(x: Node) -> Node:
    return through(x, MOVES | {"abs"})


def _scale(z: Node, parts: list[Interval]) -> Interval:
    by = _number(z.attrs.get("by"))
    return ANY if by is None else _product(parts[0], Interval(by, by))


def _product(x: Interval, y: Interval) -> Interval:
    ends = [a * b if a and b else 0.0 for a in x for b in y]  # 0 times infinity is 0: the bound is never reached
    return Interval(min(ends), max(ends))


def _sum(z: Node, parts: list[Interval]) -> Interval:
    """A sum of how many terms, nobody knows: it keeps the sign of its terms. Of two unit vectors' products it is their
    cosine."""
    (x,) = parts
    if z.args[0].op == "mul" and all(_is_unit(a) for a in z.args[0].args):
        return SIGNED_UNIT
    return _sign_of(x)


def _clip(z: Node, parts: list[Interval]) -> Interval:
    low, high = _number(z.attrs.get("low")), _number(z.attrs.get("high"))
    (x, *_) = parts
    return Interval(max(x.low, -inf if low is None else low), min(x.high, inf if high is None else high))


def _one_minus(z: Node, parts: list[Interval]) -> Interval:
    return _add(z, [Interval(1, 1), _neg(z, parts)])


def _pow(z: Node, parts: list[Interval]) -> Interval:
    """An even power is never negative, nor is any power of what never is."""
    power = _number(z.attrs["value"]) if "value" in z.attrs else constant(z.args[-1])
    return NEVER_NEGATIVE if parts[0].low >= 0 or (power is not None and power % 2 == 0) else ANY


def _nll(z: Node, parts: list[Interval]) -> Interval:
    """The negative of an entry of each row, or their mean; of their sum the sign is known."""
    picked = _neg(z, parts)
    return _sign_of(picked) if z.attrs.get("reduction") in ("sum", UNREAD) else picked


def _sign_of(x: Interval) -> Interval:
    return NEVER_NEGATIVE if x.low >= 0 else NEVER_POSITIVE if x.high <= 0 else ANY


def _matmul(z: Node, _parts: list[Interval]) -> Interval:
    return SIGNED_UNIT if all(_is_unit(a) for a in z.args) else ANY


def _norm(z: Node, _parts: list[Interval]) -> Interval:
    return SIGNED_UNIT if _is_unit(z) else ANY


def _is_unit(x: Node) -> bool:
    """Whether a value's rows are vectors of length 1, or shorter."""
    x = through(x, MOVES)
    if x.op in SEVERAL:
        return bool(x.args) and all(_is_unit(a) for a in x.args)
    if x.op == "div":
        below = through(x.args[1], MOVES | GUARDS)
        return below.op == "length" and below.args[:1] == x.args[:1]
    return x.op == "norm" and str(x.attrs.get("name")).endswith("normalize")


def _same(_z: Node, parts: list[Interval]) -> Interval:
    return parts[0]


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isnan(value) else None


_OF_OPERATION: dict[str, Interval | Arithmetic] = {
    **dict.fromkeys(("abs", "exp", "sqrt", "softplus", "length"), NEVER_NEGATIVE),
    **dict.fromkeys((*TRANSPARENT, "add_eps", "mean", "max", "min"), _same),
    "concat": _hull,
    "join": _join,
    "log": _log,
    "cosine": SIGNED_UNIT,
    "norm": _norm,
    "shift": NEVER_POSITIVE,
    "activation": _activation,
    "neg": _neg,
    "add": _add,
    "sub": _sub,
    "mul": _mul,
    "div": _div,
    "pow": _pow,
    "scale": _scale,
    "one_minus": _one_minus,
    "clip": _clip,
    "sum": _sum,
    "matmul": _matmul,
    "nll": _nll,
}
