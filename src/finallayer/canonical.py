"""Smart constructors: the many ways to write an operation by hand become one canonical node.

``exp(z) / sum(exp(z))`` is a softmax, ``log(1 + exp(z))`` a softplus, ``z - logsumexp(z)`` a log-softmax. Where the
hand-written form isn't safe, the node says so (``naive=True``). Every front end builds its expressions here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from finallayer.expr import GUARDS, MOVES, SEVERAL, UNMOVED, Node, Origin, Role, having, is_comparison, make, through
from finallayer.kinds import PROBABILITY_KINDS, Kind

#: Below this, the exp of a score can't overflow float32, nor can the sum of a few.
LARGEST_SAFE_SCORE = 80.0
#: A constant up to this size, added to a probability, is there to keep a log from zero.
LARGEST_EPS = 1e-2
#: The largest numbers of float16, bfloat16, float32 and float64.
_LIMITS = frozenset({65504.0, 3.3895313892515355e38, 3.4028234663852886e38, 1.7976931348623157e308})
_GUARDED = MOVES | GUARDS
_RECKONED = having(Role.ARITHMETIC) | {"scale", "shift"}
_OF_TWO = having(Role.ARITHMETIC) | {"where", "logaddexp", "matmul"}
#: What leaves every number where it was along the last axis.
_SAME_LAST = UNMOVED | {"index"}


def build(op: str, args: tuple[Node, ...], attrs: dict[str, Any], origin: Origin | None) -> Node:
    """The canonical node for an operation on these arguments."""
    builder = _BUILDERS.get(op)
    lacks = op in _OF_TWO and "value" not in attrs and not 2 <= len(args) <= (3 if op == "where" else 2)
    node = builder(args, attrs, origin) if builder and args and not lacks else None
    if node is None and (lacks or op in SPELLINGS):  # what the call lacks, nobody knows
        return Node("opaque", (), {"name": op, "of": tuple(map(hash, args))}, origin)
    return node if node is not None else Node(op, args, attrs, origin)


#: Losses of which an attribute, ``from_logits``, says which they are.
SPELLINGS_OF_LOSSES = frozenset({"xent", "bce"})
#: What is always built as an operation of another name, if it can be told at all.
SPELLINGS = SPELLINGS_OF_LOSSES | {"where", "logaddexp"}
Builder = Callable[[tuple[Node, ...], dict[str, Any], Origin | None], Node | None]
_BUILDERS: dict[str, Builder] = {}


def _builds(op: str) -> Callable[[Builder], Builder]:
    def register(builder: Builder) -> Builder:
        _BUILDERS[op] = builder
        return builder

    return register


def constant(node: Node) -> float | None:
    """The number that a node stands for, if it is one."""
    value = node.attrs.get("value") if node.op == "const" else None
    return float(value) if isinstance(value, (int, float)) and not math.isnan(value) else None


def bare(node: Node) -> Node:
    """The node without what only moves or guards its numbers."""
    return through(node, _GUARDED)


def is_shift_of(shift: Node, z: Node) -> bool:
    """Whether ``shift`` is the maximum of ``z`` (any axis, any shape)."""
    top = through(shift, MOVES)
    return top.op == "max" and bool(top.args) and through(top.args[0], MOVES) == through(z, MOVES)


def _is_sum_of(total: Node, term: Node) -> Node | None:
    """The sum node under ``total`` when it adds up ``term`` (the scores of either may be clipped)."""
    total = bare(total)
    if total.op == "sum" and total.args and _unclipped(total.args[0]) == _unclipped(term):
        return total
    return None


def _unclipped(term: Node) -> Node:
    """The term without what moves it; of an exp, its scores without their clip."""
    term = through(term, MOVES)
    return through(term.args[0], MOVES | {"clip"}) if term.op == "exp" else term


@_builds("abs")
def _abs(args: tuple[Node, ...], attrs: dict[str, Any], origin: Origin | None) -> Node | None:
    return Node("identity", args, attrs, origin) if args[0].kind in PROBABILITY_KINDS else None


@_builds("activation")
def _activation(args: tuple[Node, ...], attrs: dict[str, Any], origin: Origin | None) -> Node | None:
    """The positive part of a probability is the probability."""
    is_relu = str(attrs.get("name", "")).rpartition(".")[2].lower() in ("relu", "relu6")
    return Node("identity", args, {}, origin) if is_relu and args[0].kind in PROBABILITY_KINDS else None


@_builds("add")
def _add(args: tuple[Node, ...], attrs: dict[str, Any], origin: Origin | None) -> Node | None:
    x, y = args
    if constant(x) is not None:
        x, y = y, x
    eps = constant(y)
    if eps is not None and abs(eps) <= LARGEST_EPS:
        return Node("add_eps", (x,), {"eps": eps}, origin) if eps else x
    if eps == 0.5 and x.op == "scale" and x.attrs.get("by") == 0.5 and _is_tanh(x.args[0]):
        return _sigmoid_by_tanh(x.args[0], origin)
    p = _outcome(x, y)
    if p is not None:
        return Node("gather", (p,), {"by": "outcome"}, origin)
    for p, small in ((x, y), (y, x)):
        if p.kind in PROBABILITY_KINDS and _is_taken_for_epsilon(small):
            return Node("add_eps", (p,), {"eps": None}, origin)
    return Node("add", (x, y), attrs, origin)


def _outcome(x: Node, y: Node) -> Node | None:
    """The p of ``y*p + (1-y)*(1-p)``: the probability of what happened, as indexing by the class would give."""
    if x.op == y.op == "mul":
        for one, other in ((x, y), (y, x)):
            for p, t in (one.args, one.args[::-1]):
                if p.kind in PROBABILITY_KINDS and set(other.args) == {make("one_minus", p), make("one_minus", t)}:
                    return p
    return None


def _is_tanh(node: Node) -> bool:
    return node.op == "activation" and str(node.attrs.get("name", "")).rpartition(".")[2] == "tanh"


def _sigmoid_by_tanh(tanh: Node, origin: Origin | None) -> Node:
    """``(1 + tanh(z/2)) / 2``, which is the sigmoid of z."""
    z = tanh.args[0]
    if z.op == "scale" and z.attrs.get("by") == 0.5:
        return Node("sigmoid", z.args, {}, origin)
    return Node("sigmoid", (make("scale", z, by=2.0),), {}, origin)


def _is_taken_for_epsilon(node: Node) -> bool:
    """Whether the front end, which knows no more of a value than its name, takes it for a small number."""
    return node.op == "opaque" and node.attrs.get("taken_for") == "epsilon"


@_builds("clip")
def _clip(args: tuple[Node, ...], attrs: dict[str, Any], origin: Origin | None) -> Node | None:
    """A bound that no number of its format lies beyond is none."""
    bounds = {side: attrs.get(side) for side in ("low", "high")}
    kept = {side: bound for side, bound in bounds.items() if not (isinstance(bound, float) and abs(bound) in _LIMITS)}
    if len(kept) == len(bounds) or len(args) != 1:
        return None
    if all(bound is None for bound in kept.values()):
        return args[0]
    return Node("clip", args, {name: v for name, v in attrs.items() if name not in bounds or name in kept}, origin)


@_builds("sub")
def _sub(args: tuple[Node, ...], _attrs: dict[str, Any], origin: Origin | None) -> Node | None:
    x, y = args
    left, right = constant(x), constant(y)
    if left is not None and abs(left - 1) <= LARGEST_EPS:
        return Node("one_minus", (y,), {}, origin)
    if right is not None and abs(right) <= LARGEST_EPS:
        return Node("add_eps", (x,), {"eps": -right}, origin) if right else x
    if is_shift_of(y, x):
        return Node(
            "shift", (x,), {"axis": axis} if (axis := through(y, MOVES).attrs.get("axis")) is not None else {}, origin
        )
    total = through(y, MOVES)
    if total.op == "logsumexp" and total.args and _same_scores(total.args[0], x):
        axis = total.attrs.get("axis")
        naive = bool(total.attrs.get("naive"))
        return Node("log_softmax", (x,), {"axis": axis} | ({"naive": True} if naive else {}), origin)
    return None


def _same_scores(a: Node, b: Node) -> bool:
    ignore = MOVES | {"shift"}
    return through(a, ignore) == through(b, ignore)


@_builds("mul")
def _mul(args: tuple[Node, ...], _attrs: dict[str, Any], origin: Origin | None) -> Node | None:
    x, y = args
    if constant(x) is not None:
        x, y = y, x
    by = constant(y)
    if by is None:
        return None
    return _scaled(x, by, origin)


def _scaled(x: Node, by: float, origin: Origin | None) -> Node:
    if by == 0.5 and x.op == "add" and constant(x.args[1]) == 1 and _is_tanh(x.args[0]):
        return _sigmoid_by_tanh(x.args[0], origin)
    return Node("neg", (x,), {}, origin) if by == -1 else x if by == 1 else Node("scale", (x,), {"by": by}, origin)


@_builds("div")
def _div(args: tuple[Node, ...], _attrs: dict[str, Any], origin: Origin | None) -> Node | None:
    x, y = args
    by = constant(y)
    if by is not None:
        return _scaled(x, 1 / by if by else math.inf, origin)
    top, bottom = through(x, MOVES), bare(y)
    if top.op == "exp":
        total = _is_sum_of(y, top)
        if total is not None and not _is_shifted_across(top.args[0], total):
            return _normalised(top, total, origin)
        if bottom.op == "add" and constant(bottom.args[1]) == 1 and bottom.args[0] == top:
            return Node("sigmoid", top.args, {"naive": True}, origin)
    if top.op == "pow" and top.args[0].kind is Kind.PROBS and _is_sum_of(y, top) is not None:
        power = make("mul", make("log", top.args[0]), top.args[-1]) if len(top.args) > 1 else make("log", top.args[0])
        return Node("softmax", (power,), {"axis": bare(y).attrs.get("axis")}, origin)  # at another temperature
    weighted = _weighted_softmax(top, y, origin) or _masked_softmax(top, y, origin)
    if weighted is not None:
        return weighted
    if top.kind is Kind.PROBS and _is_sum_of(y, top) is not None:
        return Node("identity", (x,), {}, origin)  # probabilities, normalised once more
    if constant(x) == 1 and bottom.op == "add" and constant(bottom.args[1]) == 1:
        power = bottom.args[0]
        if power.op == "exp" and power.args[0].op == "neg":
            return Node("sigmoid", power.args[0].args, {"naive": True}, origin)
        if power.op == "exp" and power.args[0].kind is Kind.LOGITS:  # of minus the scores
            return Node("sigmoid", (make("neg", power.args[0]),), {"naive": True}, origin)
    return None


def _weighted_softmax(top: Node, bottom: Node, origin: Origin | None) -> Node | None:
    """``exp(z) / sum(w * exp(z))``, also with the weights, or a mask, above the line."""
    total = bare(bottom)
    below = through(total.args[0], MOVES) if total.op == "sum" else total
    if below.op != "mul" or top.op not in ("exp", "mul"):
        return None
    for power, weights in (below.args, below.args[::-1]):
        power = through(power, MOVES)
        if power.op == "exp" and top in (power, below):
            naive = {} if is_shifted(power.args[0]) else {"naive": True}
            return Node("weighted_softmax", (power.args[0], weights), {"axis": total.attrs.get("axis")} | naive, origin)
    return None


def _masked_softmax(top: Node, bottom: Node, origin: Origin | None) -> Node | None:
    """``where(mask, exp(z), 0)`` over its sum."""
    masked = (top.op == "clip" and top.attrs.get("low") == 0) or (top.op == "mask" and top.attrs.get("value") == 0)
    power = through(top.args[0], MOVES) if masked else top
    total = bare(bottom)
    if power is top or power.op != "exp" or total.op != "sum" or through(total.args[0], MOVES) != top:
        return None
    naive = {} if is_shifted(power.args[0]) else {"naive": True}
    mask = make("opaque", name="mask")
    return Node("weighted_softmax", (power.args[0], mask), {"axis": total.attrs.get("axis")} | naive, origin)


def _is_shifted_across(z: Node, total: Node) -> bool:
    """Whether the maximum of another axis than that of the sum was subtracted, which leaves no softmax."""
    axes = {z.attrs.get("axis"), total.attrs.get("axis")} if z.op == "shift" else set()
    return len(axes) == 2 and None not in axes and axes != {1, -1}


def _normalised(top: Node, total: Node, origin: Origin | None) -> Node:
    """exp(z) over its sum: a softmax, naive unless the maximum of z was subtracted."""
    z = top.args[0]
    axis = total.attrs.get("axis")
    attrs: dict[str, Any] = {"axis": axis}
    if "axis" not in total.attrs:
        attrs["whole"] = True  # summed over every axis
    below = through(total.args[0], MOVES)
    if is_shifted(z) and is_shifted(below.args[0]):
        return Node("softmax", (z.args[0] if z.op == "shift" else z,), attrs, origin)
    return Node("softmax", (z,), attrs | {"naive": True}, origin)


def is_shifted(z: Node) -> bool:
    """Whether something that may be the maximum was subtracted before the exp, so that it can't overflow."""
    z = through(z, MOVES | {"scale", "div"})
    if z.op == "log":  # a power of something, normalised: probabilities at another temperature
        return True
    if z.op == "clip":
        high = z.attrs.get("high")
        return isinstance(high, (int, float)) and high <= LARGEST_SAFE_SCORE
    return z.op == "shift" or (z.op == "sub" and z.args[1].op != "const")


@_builds("log")
def _log(args: tuple[Node, ...], attrs: dict[str, Any], origin: Origin | None) -> Node | None:
    x = through(args[0], MOVES)
    if x.op == "add" and constant(x.args[1]) == 1 and x.args[0].op == "exp":
        return Node("softplus", x.args[0].args, {"naive": True}, origin)
    total = bare(args[0])
    mixture = _mixture(total)
    if mixture is not None:
        return Node("log", (_replaced(args[0], total, mixture),), attrs, origin)
    picked = _picked_by_data(total)
    if picked is not None:
        return Node("log", (_replaced(args[0], total, picked),), attrs, origin)
    if total.op == "sum" and total.args:
        power = through(total.args[0], MOVES)
        if power.op == "exp":
            z = power.args[0]
            naive = {} if is_shifted(z) else {"naive": True}
            kept = {name: total.attrs[name] for name in ("axis", "keepdims") if name in total.attrs}
            return Node("logsumexp", (z,), {"axis": None} | kept | naive, origin)
    return None


def _mixture(x: Node) -> Node | None:
    """What the outputs of several softmaxes, or sigmoids, add up to: their mean, or weighed by shares."""
    members = _members(x)
    kinds = {m.kind for m in members if m is not None}
    if len(members) < 2 or None in members or len(kinds) > 1:
        return None
    return Node("mixture", tuple(dict.fromkeys(m for m in members if m is not None)), {}, x.origin)


def _members(x: Node, deep: int = 4) -> list[Node | None]:
    """The probabilities that a sum adds up; None for a term that is anything else."""
    x = _unpadded(through(x, MOVES | {"scale"}))
    if x.kind in PROBABILITY_KINDS:
        return [None if x.op == "stop_gradient" else x]
    if x.op == "add" and deep:
        return _complements(x) or [m for arg in x.args for m in _members(arg, deep - 1)]
    if x.op in ("mean", "sum") and through(x.args[0], MOVES).op == "concat" and deep:
        return [m for arg in through(x.args[0], MOVES).args for m in _members(arg, deep - 1)]
    if x.op == "mul":
        for p, share in (x.args, x.args[::-1]):
            if p.kind in PROBABILITY_KINDS and not through(share, _GUARDED | {"one_minus"}).args:
                return [p]
    return [None]


def _complements(total: Node) -> list[Node | None]:
    """The distributions of ``s * p + (1 - s) * q``, as far as they are known: what is mixed by a share and its
    complement are distributions both, such as that of a vocabulary and that of what is copied."""
    terms = [_shared(a) for a in total.args]
    if any(t is None for t in terms):
        return []
    one, two = (t for t in terms if t is not None)
    for share, p in (one.args, one.args[::-1]):
        for other, q in (two.args, two.args[::-1]):
            s, t = through(share, MOVES), through(other, MOVES)
            if t == make("one_minus", s) or s == make("one_minus", t):
                known = [m for m in (p, q) if m.kind is Kind.PROBS and m.op != "stop_gradient"]
                return [*known, *known] if len(known) == 1 else [*known]
    return []


def _shared(x: Node) -> Node | None:
    """The product behind a term that may be lengthened by entries that it doesn't have: ``s * p``."""
    x = through(x, MOVES)
    if x.op in SEVERAL:
        products = {product for product in map(_shared, x.args) if product is not None}
        return products.pop() if len(products) == 1 else None
    return x if x.op == "mul" else None


def _unpadded(x: Node) -> Node:
    """A value without the zeros that it is lengthened by."""
    if x.op != "concat" or len(x.args) != 2:
        return x
    first, last = x.args
    return through(first, MOVES) if constant(last) == 0 else through(last, MOVES) if constant(first) == 0 else x


def quotient_logs(log: Node) -> tuple[Node, ...]:
    """The logs that ``log(p / q)`` is the difference of, or ``log(p * q)`` the sum, as far as they are of probabilities
    that differ.

    An epsilon or clip of the whole keeps a factor, or what is divided, from 0, not what it is divided by.
    """
    x = bare(log.args[0]) if log.op == "log" else log
    if (
        x is log
        or x.op not in ("div", "mul")
        or {bare(a) for a in x.args} & {make("one_minus", bare(a)) for a in x.args}
    ):
        return ()
    parts = [_probability(a) for a in x.args]
    if x.op == "mul" and None in parts:
        return ()
    guards = (True, x.op == "mul")
    guarded = [_replaced(log.args[0], x, p) if g else p for p, g in zip(parts, guards, strict=True) if p is not None]
    return tuple(make("log", p, origin=log.origin) for p in guarded)


def _probability(x: Node) -> Node | None:
    """A value that is a probability, as such or once it is picked by data; None where it isn't, or carries no
    gradient."""
    known = x.kind in PROBABILITY_KINDS
    if known:
        return None if x.op == "stop_gradient" else x
    return _picked_by_data(through(x, MOVES))


def _picked_by_data(total: Node) -> Node | None:
    """The entry of each row that a one-hot row of labels picks, where the rows are data: ``sum(y * p, axis)``."""
    if total.op != "sum" or "axis" not in total.attrs:
        return None
    inner = through(total.args[0], MOVES)
    if inner.op == "sum":  # over one axis after the other
        return _picked_by_data(inner)
    if inner.op == "mul":
        for labels, p in (inner.args, inner.args[::-1]):
            if _is_given(through(labels, MOVES)) and p.kind in PROBABILITY_KINDS:
                return _picked_by_one_hot(p, labels, total.attrs["axis"], total.origin)
    return None


def _is_given(x: Node) -> bool:
    """Whether a value is fed, or handed to a function that nobody calls: data, made of nothing."""
    return bool(x.attrs.get("fed")) or (x.op == "opaque" and "@" in str(x.attrs.get("name")) and "of" not in x.attrs)


def _replaced(node: Node, old: Node, new: Node) -> Node:
    """The node with another one in place of one below it, along first arguments."""
    if node is old:
        return new
    return Node(node.op, (_replaced(node.args[0], old, new), *node.args[1:]), node.attrs, node.origin)


@_builds("log1p")
def _log1p(args: tuple[Node, ...], _attrs: dict[str, Any], origin: Origin | None) -> Node | None:
    x = through(args[0], MOVES)
    if x.op == "exp":
        return Node("softplus", x.args, {"naive": True}, origin)
    if x.op == "neg" and x.args[0].kind in PROBABILITY_KINDS:
        return Node("log", (Node("one_minus", x.args, {}, origin),), {}, origin)
    return None


@_builds("maximum")
def _maximum(args: tuple[Node, ...], _attrs: dict[str, Any], origin: Origin | None) -> Node | None:
    return _bounded(args, "low", origin)


@_builds("minimum")
def _minimum(args: tuple[Node, ...], _attrs: dict[str, Any], origin: Origin | None) -> Node | None:
    return _bounded(args, "high", origin)


def _bounded(args: tuple[Node, ...], side: str, origin: Origin | None) -> Node | None:
    x, y = args if constant(through(args[0], MOVES)) is None else args[::-1]
    bound = constant(through(y, MOVES))
    if bound is not None or _is_taken_for_epsilon(y):
        return Node("clip", (x,), {side: bound}, origin)
    return Node("clip", (y,), {side: None}, origin) if _is_taken_for_epsilon(x) else None


@_builds("pool")
def _pool(args: tuple[Node, ...], attrs: dict[str, Any], origin: Origin | None) -> Node | None:
    """Means of probabilities are a mixture of them."""
    blends = attrs.get("blends") and args[0].kind in PROBABILITY_KINDS
    return Node("mixture", args, {}, origin) if blends else None


@_builds("matmul")
def _matmul(args: tuple[Node, ...], _attrs: dict[str, Any], origin: Origin | None) -> Node | None:
    """Shares of examples times the one-hot rows of their labels add up to probabilities of the classes."""
    shares, labels = args
    mixes = shares.kind is Kind.PROBS and through(labels, _SAME_LAST).op == "one_hot"
    return Node("mixture", (shares,), {}, origin) if mixes else None


@_builds("sum")
def _sum(args: tuple[Node, ...], attrs: dict[str, Any], origin: Origin | None) -> Node | None:
    """A one-hot row times probabilities, summed, picks the target's entry; shares times sigmoids mix them."""
    x = args[0]
    if x.op == "mul" and "axis" in attrs:
        for share, p in (x.args, x.args[::-1]):
            if share.kind is Kind.PROBS and p.kind is Kind.SIGMOID_PROBS:
                return Node("mixture", (p,), {}, origin)
        for mask, rest in (x.args, x.args[::-1]):
            if mask.kind is Kind.TARGET and rest.kind in PROBABILITY_KINDS:
                return _picked_by_one_hot(rest, mask, attrs["axis"], origin)
    return None


def _picked_by_one_hot(p: Node, mask: Node, axis: Any, origin: Origin | None) -> Node:
    """The entry of each row that a one-hot row picks."""
    along = {"picked_along": axis} if type(axis) is int else {}
    return Node("gather", (p, mask), {"by": "one_hot"} | along, origin)


@_builds("where")
def _where(args: tuple[Node, ...], _attrs: dict[str, Any], origin: Origin | None) -> Node | None:
    """A value chosen by a condition (which comes last): guarded where the other choice is a constant."""
    x, y, *conditions = args
    for condition in conditions:
        size = _absolute(x, y, condition, origin)
        if size is not None:
            return size
    for value, other in ((x, y), (y, x)):
        if constant(other) is not None and constant(value) is None:
            return Node("clip", (value,), {"low": constant(other)}, origin)
    return make("join", x, y, origin=origin)


def _absolute(x: Node, y: Node, condition: Node, origin: Origin | None) -> Node | None:
    """``z`` or ``-z``, as the sign of z has it: its size, or that negated."""
    if condition.op == "threshold" and condition.attrs.get("value") == 0 and "above" in condition.attrs:
        z, minus = condition.args[0], make("neg", condition.args[0])
        if (x, y) in ((z, minus), (minus, z)):
            size = build("abs", (z,), {}, origin)
            return size if (x == z) == condition.attrs["above"] else build("neg", (size,), {}, origin)
    return None


@_builds("logaddexp")
def _logaddexp(args: tuple[Node, ...], _attrs: dict[str, Any], origin: Origin | None) -> Node | None:
    zero, z = args if constant(args[0]) is not None else args[::-1]
    return Node("softplus", (z,), {}, origin) if constant(zero) == 0 else None


@_builds("xent")
def _xent(args: tuple[Node, ...], attrs: dict[str, Any], origin: Origin | None) -> Node | None:
    return _by_from_logits("xent", args, attrs, origin)


@_builds("bce")
def _bce(args: tuple[Node, ...], attrs: dict[str, Any], origin: Origin | None) -> Node | None:
    return _by_from_logits("bce", args, attrs, origin)


def _by_from_logits(op: str, args: tuple[Node, ...], attrs: dict[str, Any], origin: Origin | None) -> Node | None:
    """The loss on logits, or the one on probabilities with the framework's clip; None where nobody knows which."""
    from_logits = attrs.get("from_logits", False)
    if from_logits not in (True, False):
        return None
    of_probs = ("eps", "on_logits") if from_logits else ()
    kept = {name: value for name, value in attrs.items() if name not in of_probs}
    return Node(f"{op}_logits" if from_logits else f"{op}_probs", args, kept, origin)


def naive_normaliser(log: Node) -> Node | None:
    """The logsumexp in ``log(exp(a) / sum(exp(b)))``, or more such terms: a contrastive loss by hand."""
    x = bare(log.args[0])
    if x.op != "div" or bare(x.args[0]).op != "exp":
        return None
    for total in _addends(bare(x.args[1])):
        power = through(total.args[0], MOVES) if total.op == "sum" else total
        if total.op == "sum" and power.op == "exp" and not is_shifted(power.args[0]):
            attrs = {"axis": total.attrs.get("axis"), "naive": True}
            return Node("logsumexp", power.args, attrs, log.origin)
    return None


def _addends(x: Node) -> list[Node]:
    """The terms of a sum written with a plus, as far as they are reached in a few steps."""
    return [bare(t) for a in x.args for t in (a.args if a.op == "add" else (a,))] if x.op == "add" else [x]


def bernoulli_logs(node: Node) -> tuple[Node, ...]:
    """The logs of ``y*log(p) + (1-y)*log(1-p)``: the formula says that p is a probability, whoever made it.

    Gives each log anew, of a leaf of kind SIGMOID_PROBS, where p's own kind isn't known; empty where the node isn't
    the formula, or is the entropy of p, which may be data, or where comparisons take part in p, as in a clip by hand.
    """
    if node.op not in ("add", "sub"):
        return ()
    sides = [_weighted_log(through(side, MOVES | {"neg"})) for side in node.args]
    for left, right in (sides, sides[::-1]):
        if left and right and right[0].op == right[1].args[0].op == "one_minus":
            p = left[1].args[0]
            if (
                p.kind is Kind.UNKNOWN
                and not _is_compared(p)
                and left[0] != p
                and right[0].args == (left[0],)
                and right[1].args[0].args == (p,)
            ):
                leaf = make("bernoulli", p, origin=p.origin)
                complement = make("one_minus", leaf, origin=right[1].args[0].origin)
                other = make("log", complement, origin=right[1].origin, of_opposite=True)
                return make("log", leaf, origin=left[1].origin), other
    return ()


def _is_compared(x: Node) -> bool:
    """Whether a comparison takes part in a sum of products: ``(p > a) * p + (p <= a) * a`` is a clip."""
    seen: set[int] = set()
    stack = [x]
    while stack:
        step = through(stack.pop(), _GUARDED)
        if is_comparison(step):
            return True
        if step.op in _RECKONED and id(step) not in seen:
            seen.add(id(step))
            stack += step.args
    return False


def _weighted_log(node: Node) -> tuple[Node, Node] | None:
    """The weight and the log of ``y * log(p)``."""
    if node.op == "mul":
        for weight, log in (node.args, node.args[::-1]):
            if log.op == "log":
                return through(weight, MOVES | {"neg"}), log
    return None
