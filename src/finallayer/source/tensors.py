"""Tensors: abstract values as nodes of the loss expression, and the operations on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from finallayer.canonical import bernoulli_logs, build
from finallayer.expr import TRANSPARENT, Node, make, through
from finallayer.kinds import Kind
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
    made = build(op, tuple(args), attrs, run.origin(site))
    for log in bernoulli_logs(made):
        run.saw(log, framework)
    return run.saw(made, framework)


_FACTORS = frozenset({"neg", "scale"})
_GUARDS = TRANSPARENT | {"clip", "add_eps"}


def _note_entropy(run: Interpreter, args: list[Node]) -> None:
    """``p * log(p + eps)`` is an entropy: its gradient is right where p vanishes, so the log is told apart."""
    args = [through(a, _FACTORS) for a in args]
    for p, log in (args, args[::-1]):
        if log.op == "log" and through(log.args[0], _GUARDS) == through(p, _GUARDS):
            _mark(run, log, "entropy")


#: Of so many axes, a softmax gives one distribution a row.
MOST_AXES = 2
#: What may stand between a log and the return that weighs it.
_SUMMED = TRANSPARENT | _FACTORS | {"sum", "mean"}


def _note_policy(run: Interpreter, args: list[Node]) -> None:
    """``log(p[action]) * advantage`` is a policy gradient: the log of one entry, weighed by what no network of this
    expression gave. A constant weight is a class's, a mask's or a focal loss's own (which holds p) a sample's."""
    for value, weight in (args, args[::-1]):
        log = _picked_log(value)
        if log is not None and _is_return(weight, of=through(log.args[0], _GUARDS)):
            _mark(run, log, "policy")


def _picked_log(value: Node) -> Node | None:
    """The log behind a value that holds it for one entry of each row alone; None where it holds them all."""
    picked = False
    while value.op in _SUMMED and value.args:
        picked = picked or _picks(value)
        value = value.args[0]
        if value.op == "mul":  # log(p) * one_hot(action)
            for log, mask in (value.args, value.args[::-1]):
                if mask.op == "one_hot":
                    picked, value = True, log
    if value.op != "log":
        return None
    p = value.args[0]
    while p.op in _GUARDS and p.args:
        picked = picked or _picks(p)
        p = p.args[0]
    return value if picked and not _several_a_row(p) else None


def _several_a_row(p: Node) -> bool:
    """Whether a softmax gives several distributions a row, of which picking by an index leaves a whole one."""
    axis = p.attrs.get("axis")
    return (p.rank or 0) > MOST_AXES or (isinstance(axis, int) and axis >= MOST_AXES)


def _picks(step: Node) -> bool:
    return step.op == "gather" or (step.op == "index" and step.attrs.get("at") is not None)


#: What tells which samples count: a weight with one of these in it is no return.
_MASKS = frozenset({"compare", "threshold", "mask", "one_hot"})


def _is_return(weight: Node, of: Node) -> bool:
    """Whether a weight is data that nobody knows: no constant, no mask, and not made of the probability itself."""
    parts = list(weight.walk())
    known = all(part.op in ("const", "numbers") for part in parts if not part.args)
    return weight.kind is Kind.UNKNOWN and not known and not any(p.op in _MASKS or p == of for p in parts)


def _mark(run: Interpreter, log: Node, what: str) -> None:
    """Say on every sighting of a log what the log is, other than a classifier's loss."""
    for i, sighting in enumerate(run.sightings):
        if sighting.node is log:
            marked = Node(log.op, log.args, {**log.attrs, what: True}, log.origin)
            run.sightings[i] = sighting._replace(node=marked)


def to_node(value: Value) -> Node:
    """A value as a tensor."""
    if isinstance(value, Node):
        return value
    if isinstance(value, (bool, int, float)):
        return make("const", value=value)
    if isinstance(value, Union) and all(isinstance(v, (Node, bool, int, float)) for v in value.values):
        return make("join", *(to_node(v) for v in value.values))
    if isinstance(value, List) and len(value.items) == 1:
        return to_node(value.items[0])
    return opaque("value", value)
