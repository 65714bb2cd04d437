"""Tensors: abstract values as nodes of the loss expression, and the operations on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from finallayer.canonical import bernoulli_logs, build
from finallayer.expr import TRANSPARENT, Node, make, through
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
            for i, sighting in enumerate(run.sightings):
                if sighting.node is log:
                    marked = Node(log.op, log.args, {**log.attrs, "entropy": True}, log.origin)
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
