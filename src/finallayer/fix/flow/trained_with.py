"""The callbacks that Keras trains a model with: where each of them is made, as far as the text says it."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from finallayer.fix.flow.analysed import AnalysedModule, alternatives
from finallayer.fix.flow.bindings import home
from finallayer.source.values import Bound, Function

#: Lists and functions followed, one into the other, before the question is given up.
_DEEPEST = 6


class Callback(NamedTuple):
    """The call that makes a callback; none where the text leaves open which it is."""

    module: AnalysedModule
    made: ast.Call | None


def trained_with(
    module: AnalysedModule, callbacks: ast.expr, modules: Mapping[str, AnalysedModule], depth: int = 0
) -> Iterator[Callback]:
    """What an expression for callbacks, or for one of them, comes to."""
    unknown = Callback(module, None)

    def each(parts: Iterable[ast.expr], within: AnalysedModule = module) -> Iterator[Callback]:
        return (found for part in parts for found in trained_with(within, part, modules, depth + 1))

    if depth > _DEEPEST:
        yield unknown
        return
    match callbacks:
        case ast.Constant(value=None):
            return
        case ast.List(elts=items) | ast.Tuple(elts=items):
            yield from each(items)
        case ast.Starred(value=value):
            yield from each([value])
        case ast.IfExp(body=body, orelse=orelse):
            yield from each([body, orelse])
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            yield from each([left, right])
        case ast.BoolOp(values=values):
            yield from each(values)
        case ast.Name() | ast.Attribute():
            bound = _bound(module, callbacks)
            yield from each(bound) if bound else [unknown]
        case ast.Call(func=ast.Name(id="list"), args=items):
            yield from each(items)
        case ast.Call():
            functions = [c for v in module.values(callbacks.func) for c in alternatives(v)]
            functions = [f.function if isinstance(f, Bound) else f for f in functions]
            if not any(isinstance(f, Function) for f in functions):
                yield Callback(module, callbacks)
                return
            for function in functions:
                within = modules.get(function.frame.module.path) if isinstance(function, Function) else None
                given = _given(function.node) if isinstance(function, Function) else []
                yield from each(given, within) if within is not None and given else [unknown]
        case _:
            yield unknown


def _bound(module: AnalysedModule, callbacks: ast.Name | ast.Attribute) -> list[ast.expr] | None:
    """All that a file binds to a name or attribute, or adds to it; None where that is more than can be followed."""
    found: list[ast.expr] = []
    for node in _same(module, callbacks):
        around = module.syntax.parent(node)
        if not isinstance(node.ctx, ast.Load):
            if not isinstance(around, (ast.Assign, ast.AnnAssign, ast.AugAssign)) or around.value is None:
                return None
            found.append(around.value)
        elif isinstance(around, ast.Attribute) and around.attr in ("append", "extend", "insert"):
            call = module.syntax.parent(around)
            if not isinstance(call, ast.Call) or not call.args:
                return None
            found.append(call.args[-1])
    return found


def _same(module: AnalysedModule, callbacks: ast.Name | ast.Attribute) -> Iterator[ast.Name | ast.Attribute]:
    """The nodes by which a file says the same name, or the same attribute of whatever object."""
    if isinstance(callbacks, ast.Attribute):
        yield from (n for n in module.syntax.nodes if isinstance(n, ast.Attribute) and n.attr == callbacks.attr)
        return
    scope = home(module.syntax, callbacks)
    names = (n for n in module.syntax.nodes if isinstance(n, ast.Name) and n.id == callbacks.id)
    yield from (n for n in names if home(module.syntax, n) is scope)


def _given(function: ast.AST) -> list[ast.expr]:
    """What a function returns."""
    if isinstance(function, ast.Lambda):
        return [function.body]
    return [n.value for n in ast.walk(function) if isinstance(n, ast.Return) and n.value is not None]
