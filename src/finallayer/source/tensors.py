"""Tensors: abstract values as nodes of the loss expression, and the operations on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from finallayer.canonical import bernoulli_logs, build, naive_normaliser
from finallayer.expr import TRANSPARENT, Node, make, through
from finallayer.kinds import Kind
from finallayer.source.limits import small
from finallayer.source.values import List, Site, Union, Value, opaque

if TYPE_CHECKING:
    from finallayer.source.interpreter import Interpreter


def tensor_operation(
    run: Interpreter,
    op: str,
    args: list[Node],
    attrs: dict[str, Any],
    site: Site,
    framework: str = "",
) -> Node:
    """The canonical node for an operation, written down."""
    if op == "mul" and len(args) == 2:
        _note_entropy(run, args)
        _note_policy(run, args)
    if op == "exp" and args and args[0].op == "sub":  # how much likelier a policy makes an action than another does
        for log in _logs(args[0].args):
            _mark(run, log, "ratio")
    if op == "sum" and args and "axis" in attrs:
        _note_distribution(run, through(args[0], _FACTORS))
    if op == "sample" and args:
        _note_sampling(run, args[0])
    if op == "cumsum" and args and args[0].op == "log":  # of which exp makes a running product
        _mark(run, args[0], "product")
    made = build(op, tuple(args), attrs, run.origin(site))
    for log in bernoulli_logs(made):
        run.saw(log, framework)
    normaliser = naive_normaliser(made)
    if normaliser is not None:
        run.saw(normaliser, framework)
    return run.saw(made, framework)


_FACTORS = frozenset({"neg", "scale"})
_GUARDS = TRANSPARENT | {"clip", "add_eps"}


def _note_entropy(run: Interpreter, args: list[Node]) -> None:
    """``p * log(p + eps)`` is an entropy: its gradient is right where p vanishes, so the log is told apart; also in
    the divergence ``p * (log(p) - log(q))``."""
    for weight, value in (args, args[::-1]):
        value = through(value, _FACTORS)
        for log in value.args if value.op in ("add", "sub") else (value,):
            log = through(log, _FACTORS | {"cast", "join"})
            if log.op == "log" and through(log.args[0], _GUARDS) in [through(p, _GUARDS) for p in _factors(weight)]:
                _mark(run, log, "entropy")


def _factors(x: Node, deep: int = 4) -> list[Node]:
    x = through(x, _FACTORS)
    return [f for a in x.args for f in _factors(a, deep - 1)] if x.op == "mul" and deep else [x]


#: Of so many axes, a softmax gives one distribution a row.
MOST_AXES = 2
#: What may stand between a log and the return that weighs it.
_SUMMED = (TRANSPARENT - {"stop_gradient"}) | _FACTORS | {"sum", "mean"}


def _note_policy(run: Interpreter, args: list[Node]) -> None:
    """``log(p[action]) * advantage`` is a policy gradient: the log of one entry, weighed by what no network of this
    expression gave. A constant weight is a class's, a mask's or a focal loss's own (which holds p) a sample's."""
    for value, weight in (args, args[::-1]):
        log, picked = _log_behind(value)
        if log is not None and _is_return(weight, of=through(log.args[0], _GUARDS), picked=picked):
            _mark(run, log, "policy")


def _note_sampling(run: Interpreter, scores: Node) -> None:
    """``categorical(log(p))`` draws as p says, whatever becomes of the smallest entries; nothing is trained by it."""
    scores = through(scores, _SUMMED | {"div"})  # at some temperature
    log, _ = _log_behind(scores)
    drawn = through(scores, _GUARDS) if log is None else log
    if drawn.op in ("log", "softmax"):
        _mark(run, drawn, "sampled")


def _log_behind(value: Node) -> tuple[Node | None, bool]:
    """The log behind a value, and whether the value holds it for one entry of each row alone."""
    picked = False
    while value.op in _SUMMED and value.args:
        picked = picked or _picks(value)
        value = value.args[0]
        if value.op == "mul":  # log(p) * one_hot(action)
            for log, mask in (value.args, value.args[::-1]):
                if mask.op == "one_hot":
                    picked, value = True, log
    if value.op != "log":
        return None, False
    p = value.args[0]
    while p.op in _GUARDS and p.args:
        picked = picked or _picks(p)
        p = p.args[0]
    return value, picked and not _several_a_row(p)


def _several_a_row(p: Node) -> bool:
    """Whether a softmax gives several distributions a row, of which picking by an index leaves a whole one."""
    axis = p.attrs.get("axis")
    return (p.rank or 0) > MOST_AXES or (isinstance(axis, int) and axis >= MOST_AXES)


def _picks(step: Node) -> bool:
    return step.op == "gather" or (step.op == "index" and step.attrs.get("at") is not None)


#: What tells which samples count: a weight with one of these in it is no return.
_MASKS = frozenset({"compare", "threshold", "mask", "one_hot"})


def _is_return(weight: Node, of: Node, picked: bool) -> bool:
    """Whether a weight makes a log of probabilities (or of one picked entry of them) a policy gradient: it is data
    that nobody knows, no constant and no mask, and not made of the probability itself unless the gradient stops."""
    parts = list(weight.walk())
    if picked and any(_is_ratio(part) for part in parts):
        return True
    if through(weight, _FACTORS).op == "stop_gradient":
        return picked or of in parts
    known = all(part.op in ("const", "numbers") for part in parts if not part.args)
    return picked and weight.kind is Kind.UNKNOWN and not known and not any(p.op in _MASKS or p == of for p in parts)


def _is_ratio(x: Node) -> bool:
    """Whether two policies are compared: ``p / q``, or ``exp(log(p) - log(q))``."""
    if x.op == "exp" and x.args[0].op == "sub":
        return bool(_logs(x.args[0].args))
    return x.op == "div" and through(x.args[0], _GUARDS).op == "softmax"


def _note_distribution(run: Interpreter, product: Node) -> None:
    """``(q * log(p)).sum(axis)`` is a cross-entropy, even of rows that were picked by an action."""
    for value, weight in (product.args, product.args[::-1]) if product.op == "mul" else ():
        for log in _logs((value,)):
            if weight.op not in ("one_hot", "stop_gradient") and not any(_is_ratio(part) for part in weight.walk()):
                _mark(run, log, "over_classes")


def _logs(values: tuple[Node, ...]) -> list[Node]:
    """Those of some values that are logs, but for their sign and scale."""
    return [log for log in (through(value, _FACTORS) for value in values) if log.op == "log"]


def _mark(run: Interpreter, log: Node, what: str) -> None:
    """Say on every sighting of a log what the log is, other than a classifier's loss."""
    for i, sighting in enumerate(run.sightings):
        seen = sighting.node
        if seen is log or (seen.origin is log.origin and seen.args == log.args and seen.op == log.op):
            marked = Node(log.op, log.args, {**seen.attrs, what: True}, log.origin)
            run.sightings[i] = sighting._replace(node=marked)


def to_node(value: Value) -> Node:
    """A value as a tensor."""
    if isinstance(value, Node):
        return value
    if isinstance(value, (bool, int, float)) and small(value):
        return make("const", value=value)
    if isinstance(value, Union) and all(isinstance(v, (Node, bool, int, float)) for v in value.values):
        return make("join", *(to_node(v) for v in value.values))
    if isinstance(value, List) and len(value.items) == 1:
        return to_node(value.items[0])
    return opaque("value", value)
