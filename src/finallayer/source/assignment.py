"""Binding values to names, attributes, items, and several of them at once."""

from __future__ import annotations

import ast
import re

from finallayer.expr import Node
from finallayer.source.attributes import set_attribute
from finallayer.source.batches import part_of
from finallayer.source.containers import get_item, sequence, store_item
from finallayer.source.followed import hand, hand_attribute
from finallayer.source.interpreter import ASSIGN, Interpreter
from finallayer.source.patches import bounded, patched
from finallayer.source.surgery import put_module, unsettle
from finallayer.source.uses import Uses
from finallayer.source.values import Frame, List, Site, Value, renamed


def assign(run: Interpreter, place: ast.expr, value: Value, frame: Frame) -> None:
    """Bind a value to a name, attribute, item, or several of them."""
    match place:
        case ast.Name(id=name):
            run.bind(scope_of(name, frame), name, named(value, name))
            if name in frame.globals:  # whoever runs later may read it
                hand(run, value)
        case ast.Attribute(value=owner, attr=name):
            whole = run.evaluate(owner, frame)
            set_attribute(run, whole, name, value)
            hand_attribute(run, name, value, frame)
            if isinstance(whole, Node):
                unsettle(run, place, frame, value)
        case ast.Subscript(value=ast.Attribute(value=owner, attr="_modules"), slice=ast.Constant(value=str(name))):
            put_module(run, owner, name, value, frame)
        case ast.Subscript(value=owner, slice=index):
            whole = run.evaluate(owner, frame)
            at = run.evaluate(index, frame)
            store_item(run, whole, at, value)
            hand(run, value)
            if isinstance(whole, Node):
                unsettle(run, owner, frame, value)
            if run.uses is not None:
                _remember_item(run.uses, owner, value, frame)
            changed = patched(whole, index, value) or bounded(whole, at, value, Site(place, frame).origin)
            if changed is not None and isinstance(owner, (ast.Name, ast.Attribute)):
                change(run, owner, changed, frame)
        case ast.Tuple(elts=places) | ast.List(elts=places):
            for inner, part in zip(places, unpack(value, places), strict=False):
                assign(run, inner, part, frame)
        case ast.Starred(value=inner):
            assign(run, inner, value, frame)


def _remember_item(uses: Uses, whole: ast.expr, item: Value, frame: Frame) -> None:
    """What is read by the name of a list or dictionary may be the item that it got."""
    match whole:
        case ast.Name(id=name):
            at: Frame | None = frame
            while at is not None and name not in at.vars:
                at = at.parent
            if at is not None:
                uses.binds(at.module, at.scope, name, item)
        case ast.Attribute(value=owner, attr=name):
            uses.keeps(uses.values[frame.module.path][owner][-1].value, name, item)


def change(run: Interpreter, place: ast.expr, value: Value, frame: Frame) -> None:
    """What stands at a place has been changed in place: also for whoever handed it to this function."""
    assign(run, place, value, frame)
    if isinstance(place, ast.Name):
        frame.changed |= {place.id}


ASSIGN.update({ast.Name: assign, ast.Attribute: assign})


#: The name of an opaque value that no variable holds: a place in the source, or an item of another.
_UNNAMED = re.compile(r":|\[")


def named(value: Value, name: str) -> Value:
    """A value that nobody understands goes by the name of the variable that holds it first."""
    if isinstance(value, Node) and value.op == "opaque" and _UNNAMED.search(value.attrs["name"]):
        return value if value.attrs.get("fed") else renamed(name, value)
    return value


def scope_of(name: str, frame: Frame) -> Frame:
    """The frame in which a name is bound that is bound here."""
    if name in frame.globals:
        return frame.module.frame
    if name in frame.nonlocals:
        outer = frame.parent
        while outer is not None and name not in outer.vars:
            outer = outer.parent
        if outer is not None:
            return outer
    return frame


def unpack(value: Value, places: list[ast.expr]) -> list[Value]:
    """The parts of a value for so many targets."""
    items = sequence(value)
    starred = next((i for i, p in enumerate(places) if isinstance(p, ast.Starred)), None)
    if items is not None and starred is not None and len(items) >= len(places) - 1:
        behind = len(places) - starred - 1
        middle = List(tuple(items[starred : len(items) - behind]))
        return [*items[:starred], middle, *items[len(items) - behind :]]
    if items is not None and len(items) == len(places):
        return list(items)
    if isinstance(value, Node) and value.attrs.get("batched"):
        return [part_of(value, i) for i in range(len(places))]
    return [get_item(value, i) for i in range(len(places))]
