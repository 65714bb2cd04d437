"""Logits that a program already has beside their probabilities: ``logits, p = net(x)``, ``out["logits"]``.

Or that each call of a function hands it beside them: ``def loss(p, logits, y)``.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from finallayer.catalog import Param
from finallayer.expr import Node
from finallayer.fix.flow.analysed import AnalysedModule
from finallayer.fix.flow.bindings import are_shown, binds, path_of, reaching, readers
from finallayer.fix.flow.callers import parameter_behind
from finallayer.fix.flow.context import Context
from finallayer.fix.flow.known_calls import arguments, runs
from finallayer.fix.flow.naming import Named
from finallayer.source.values import Bound, Dict, List, Value

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
            together = _unpacked(module, probabilities, name, context)
            return together or _handed_together(module, probabilities, context)
        case ast.Attribute() if path := path_of(probabilities):
            return _unpacked(module, probabilities, path, context)
        case ast.Subscript(value=owner, slice=ast.Constant(value=key)):
            found = _key([_Neighbours(key, _items(v)) for v in module.values(owner)])
            if found is not None:
                quoted = repr(found).replace("'", _quote(module, probabilities))
                return Named(f"{module.syntax.text(owner)}[{quoted}]")
    return None


def _unpacked(module: AnalysedModule, read: ast.expr, path: str, context: Context) -> Named | None:
    """``logits`` of ``logits, p = net(x)``, with a name where it had none."""
    statement = reaching(module.syntax, read, path)
    match statement:
        case ast.Assign(targets=[ast.Tuple(elts=elements)], value=given):
            paths = [path_of(e) for e in elements]
        case _:
            return None
    if paths.count(path) != 1 or None in paths:
        return None
    values = [_items(v) for v in module.values(given)]
    if any(len(items) != len(paths) for items in values):
        return None
    found = _key([_Neighbours(paths.index(path), items) for items in values])
    target = elements[found] if isinstance(found, int) else None
    written = path_of(target) if target is not None else None
    if target is None or written is None:
        return None
    if written != _UNNAMED:
        same = reaching(module.syntax, read, written) is statement
        return Named(written) if same and paths.count(written) == 1 else None
    scope = module.syntax.scope(read)
    if readers(scope, _UNNAMED) or are_shown(scope):
        return None
    fresh = context.name(module.syntax, target, f"{path}@{statement.lineno}", "logits")
    return Named(fresh, (module.syntax.replace(target, fresh),))


def _handed_together(module: AnalysedModule, read: ast.Name, context: Context) -> Named | None:
    """The parameter that each call gives the very logits of which the probabilities are made that it gives another."""
    function = parameter_behind(module.syntax, read)
    if function is None:
        return None
    names = [a.arg for a in (*function.args.posonlyargs, *function.args.args)]
    found = list[_Neighbours]()
    for there in context.modules().values():
        for call in there.syntax.all_of(ast.Call):
            callees = there.values(call.func)
            if any(runs(c, function) for c in callees):
                bound = any(isinstance(c, Bound) for c in callees)
                found += _given(there, call, names[bound:], read.id)
    key = _key(found)
    changed = isinstance(key, str) and any(binds(statement, key) for statement in function.body)
    return Named(key) if isinstance(key, str) and not changed else None


def _given(module: AnalysedModule, call: ast.Call, names: Sequence[str], read: str) -> Iterator[_Neighbours]:
    """What a call hands the parameters of a function, an item for each."""
    given = {
        a.meaning: module.values(a.node) for a in arguments([Param(n, n) for n in names], call.args, call.keywords)
    }
    times = len(given.get(read, ()))
    if not times or not given.keys() <= set(names):
        yield _Neighbours(read, {})
    for i in range(times):
        yield _Neighbours(read, {name: values[i] for name, values in given.items() if len(values) == times})


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
