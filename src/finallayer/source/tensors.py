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
    if isinstance(value, List) and value.items and all(isinstance(item, Node) for item in value.items):
        return make("concat", *map(to_node, value.items), axis=0)  # as it is handed to a framework, which stacks it
    stated = numbers_in(value)
    if stated:
        return make("numbers", low=min(stated), high=max(stated), of=(hash(stated),))
    return opaque("value", value)


def numbers_in(value: Value) -> tuple[float, ...]:
    """The numbers that an array is spelled with, row by row; none where any of them isn't known."""
    if not (isinstance(value, tuple) or (isinstance(value, List) and value.exact)):
        return ()
    found: list[float] = []
    for item in value.items if isinstance(value, List) else value:
        row = (float(item),) if isinstance(item, (int, float)) and small(item) else numbers_in(item)
        if not row:
            return ()
        found += row
    return tuple(found)
