"""Logits that a program already has beside their probabilities: ``logits, p = net(x)``, ``out["logits"]``."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from finallayer.expr import Node
from finallayer.fix.flow.analysed import AnalysedModule
from finallayer.fix.flow.bindings import are_shown, reaching, readers
from finallayer.fix.flow.context import Context
from finallayer.fix.flow.naming import Named
from finallayer.source.values import Dict, List, Value

#: What a program calls what it doesn't read.
_UNNAMED = "_"


class _Neighbours(NamedTuple):
    """What stands beside the probabilities in what a call gave: an item for each key."""

    key: object
    items: dict[object, Value]

    def logits_key(self) -> Iterator[object]:
        """The keys of the very logits of which the probabilities at the key are made."""
        made = self.items.get(self.key)
        if isinstance(made, Node) and made.args:
            yield from (k for k, v in self.items.items() if k != self.key and v is made.args[0])


def at_hand(module: AnalysedModule, probabilities: ast.expr, context: Context) -> Named | None:
    """How the logits of some probabilities are written where these are read, if they came together."""
    match probabilities:
        case ast.Name(id=name):
            return _unpacked(module, probabilities, name, context)
        case ast.Subscript(value=owner, slice=ast.Constant(value=key)):
            found = _key([_Neighbours(key, _items(v)) for v in module.values(owner)])
            if found is not None:
                quoted = repr(found).replace("'", _quote(module, probabilities))
                return Named(f"{module.syntax.text(owner)}[{quoted}]")
    return None


def _unpacked(module: AnalysedModule, read: ast.Name, name: str, context: Context) -> Named | None:
    """``logits`` of ``logits, p = net(x)``, with a name where it had none."""
    statement = reaching(module.syntax, read, name)
    match statement:
        case ast.Assign(targets=[ast.Tuple(elts=elements)], value=given):
            names = [e.id if isinstance(e, ast.Name) else None for e in elements]
        case _:
            return None
    if names.count(name) != 1 or None in names:
        return None
    values = [_items(v) for v in module.values(given)]
    if any(len(items) != len(names) for items in values):
        return None
    found = _key([_Neighbours(names.index(name), items) for items in values])
    target = elements[found] if isinstance(found, int) else None
    if not isinstance(target, ast.Name):
        return None
    if target.id != _UNNAMED:
        same = reaching(module.syntax, read, target.id) is statement
        return Named(target.id) if same and names.count(target.id) == 1 else None
    scope = module.syntax.scope(read)
    if readers(scope, _UNNAMED) or are_shown(scope):
        return None
    fresh = context.name(module.syntax, target, f"{name}@{statement.lineno}", "logits")
    return Named(fresh, (module.syntax.replace(target, fresh),))


def _key(found: Sequence[_Neighbours]) -> object | None:
    """The one key at which the logits always are."""
    keys = {tuple(neighbours.logits_key()) for neighbours in found}
    (only,) = keys if len(keys) == 1 else ((),)
    return only[0] if len(only) == 1 else None


def _items(value: Value) -> dict[object, Value]:
    match value:
        case List(items=items, exact=True):
            return dict(enumerate(items))
        case Dict(slots=slots):
            return {k: v for k, v in slots.items() if isinstance(k, (str, int))}
    return dict(enumerate(value)) if isinstance(value, tuple) else {}


def _quote(module: AnalysedModule, item: ast.expr) -> str:
    """The quotes that an item's key is written in."""
    return '"' if '"' in module.syntax.text(item) else "'"
