"""Abstract values as nodes of the loss expression."""

from __future__ import annotations

from finallayer.expr import Node, make
from finallayer.source.limits import small
from finallayer.source.values import List, Union, Value, opaque


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
