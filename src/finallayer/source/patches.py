"""Tensors of which some entries are assigned: ``out[..., 4:] = softmax(out[..., 4:])``."""

from __future__ import annotations

import ast

from finallayer.expr import TRANSPARENT, Node, Origin, through
from finallayer.kinds import LOG_KINDS, PROBABILITY_KINDS
from finallayer.source.values import Patched, Value

_MADE = PROBABILITY_KINDS | LOG_KINDS


def patched(whole: Value, index: ast.expr, part: Value) -> Node | None:
    """What a tensor is once some of its entries are what a softmax or sigmoid gave; None where they are of its kind."""
    if not isinstance(whole, Node) or not isinstance(part, Node) or part.kind not in _MADE or part.kind is whole.kind:
        return None
    return part if _is_all(index) else Patched(whole, index, part)


def bounded(whole: Value, at: Value, value: Value, origin: Origin) -> Node | None:
    """What a tensor is once those of its entries that are too small, or too large, are set to a number."""
    mask = through(at, TRANSPARENT) if isinstance(at, Node) else None
    if not isinstance(whole, Node) or whole.kind not in _MADE or mask is None or mask.op != "threshold":
        return None
    if mask.args[0] != whole or not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    return Node("clip", (whole,), {"high" if mask.attrs.get("above") else "low": value}, origin)


def _is_all(index: ast.expr) -> bool:
    match index:
        case ast.Constant(value=value):
            return value is Ellipsis
        case ast.Slice(lower=None, upper=None, step=None):
            return True
        case ast.Tuple(elts=parts):
            return all(map(_is_all, parts))
    return False


def read(whole: Patched, index: ast.expr) -> tuple[Node | None, Node]:
    """What was assigned at an index, if anything was; and the tensor to read from, if not."""
    asked = ast.dump(index)
    node: Node = whole
    while isinstance(node, Patched):
        if ast.dump(node.index) == asked:
            return node.part, node
        if not _apart(node.index, index):
            return None, node
        node = node.old
    return None, node


def _apart(one: ast.expr, other: ast.expr) -> bool:
    """Whether two indices certainly have no entry in common: the same but for slices that meet end to end."""
    match one, other:
        case ast.Tuple(elts=[*before, last]), ast.Tuple(elts=[*as_before, other_last]):
            return [*map(ast.dump, before)] == [*map(ast.dump, as_before)] and _apart(last, other_last)
        case ast.Slice(step=None) as a, ast.Slice(step=None) as b:
            return _meets(a.upper, b.lower) or _meets(b.upper, a.lower)
        case ast.Constant(value=int() as a), ast.Constant(value=int() as b):
            return a != b and (a < 0) == (b < 0)
    return False


def _meets(end: ast.expr | None, start: ast.expr | None) -> bool:
    return end is not None and start is not None and ast.dump(end) == ast.dump(start)
