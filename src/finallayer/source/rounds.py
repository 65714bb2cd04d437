"""The last round of a loop of which nobody knows how often it runs, or that is too long to be run item by item.

What a network's last layer does, it may do inside the loop over its layers: ``if i == len(layers) - 1``.
"""

from __future__ import annotations

import ast

from finallayer.canonical import constant
from finallayer.expr import Node
from finallayer.source.calls import callable_value
from finallayer.source.containers import sequence
from finallayer.source.interpreter import Interpreter
from finallayer.source.tensors import to_node
from finallayer.source.values import MISSING, Frame, List, Missing, Value, opaque
from finallayer.source.walking import names_in_body


def last_item(
    run: Interpreter, loop: ast.For | ast.AsyncFor, iterable: Value, any_item: Value, frame: Frame
) -> Value | Missing:
    """What a loop gets in its last round; MISSING where that is a round like any other."""
    items = sequence(iterable)
    if items:
        numbers = all(type(item) is int for item in items)
        return items[-1] if not numbers or _asks(loop, loop.target) else MISSING
    if isinstance(iterable, List) and len(iterable.items) > 1 and callable_value(iterable.items[-1]):
        return iterable.items[-1]
    match loop.iter, loop.target:
        case ast.Call(func=ast.Name(id="range"), args=[end] | [_, end], keywords=[]), ast.Name() as index:
            if _asks(loop, index):
                return _before(run.evaluate(end, frame))
        case ast.Call(func=ast.Name(id="enumerate"), args=[counted]), ast.Tuple(elts=[ast.Name() as index, _]):
            if _asks(loop, index) and isinstance(any_item, tuple):
                last = _before(opaque("len", run.evaluate(_first_zipped(counted), frame)))
                return MISSING if isinstance(last, Missing) else (last, any_item[1])
    return MISSING


def _first_zipped(iterable: ast.expr) -> ast.expr:
    match iterable:
        case ast.Call(func=ast.Name(id="zip"), args=[first, *_]):
            return first
    return iterable


def _before(end: Value) -> Node | Missing:
    """The index before an end that nobody knows."""
    return Node("sub", (end, to_node(1)), {}, None) if isinstance(end, Node) else MISSING


def _asks(loop: ast.For | ast.AsyncFor, index: ast.expr) -> bool:
    """Whether the loop's body compares the index with something, to tell one round from the others."""
    return isinstance(index, ast.Name) and index.id in names_in_body(loop).compared


def counted_from(node: Value) -> tuple[Node, float] | None:
    """A number that nobody knows, and what was added to it."""
    if not isinstance(node, Node):
        return None
    added = 0.0
    while node.op in ("add", "sub") and len(node.args) == 2:
        number = constant(node.args[1])
        if number is None:
            break
        added += number if node.op == "add" else -number
        node = node.args[0]
    return node, added
