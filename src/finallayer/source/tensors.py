"""Tensors: abstract values as nodes of the loss expression, and the operations on them."""

from __future__ import annotations

from typing import Any

from finallayer.canonical import bernoulli_logs, build, naive_normaliser
from finallayer.expr import Node, make
from finallayer.source.interpreter import Interpreter
from finallayer.source.limits import small
from finallayer.source.purposes import purposes
from finallayer.source.values import List, Site, Union, Value, opaque


def tensor_operation(
    run: Interpreter,
    op: str,
    args: list[Node],
    attrs: dict[str, Any],
    site: Site,
    framework: str = "",
) -> Node:
    """The canonical node for an operation, written down."""
    for log, purpose in purposes(op, args, attrs, site.frame.module):
        _note(run, log, purpose)
    made = build(op, tuple(args), attrs, run.origin(site))
    for log in bernoulli_logs(made):
        run.saw(log, framework)
    normaliser = naive_normaliser(made)
    if normaliser is not None:
        run.saw(normaliser, framework)
    return run.saw(made, framework)


def _note(run: Interpreter, log: Node, purpose: str) -> None:
    """Say of a log that was written down what it is for, as what is now done with it shows."""
    for i, sighting in enumerate(run.sightings):
        seen = sighting.node
        if seen is log or (seen.origin is log.origin and seen.op == log.op and seen.args == log.args):
            marked = Node(log.op, log.args, {**seen.attrs, purpose: True}, log.origin)
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
