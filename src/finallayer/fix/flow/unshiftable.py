"""Arrays from which NumPy can't take their maximum as a softmax does: without a sign, of truth values, or empty."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from finallayer.fix.flow.analysed import AnalysedModule
from finallayer.fix.flow.bindings import path_of
from finallayer.fix.flow.callers import parameter_behind
from finallayer.fix.flow.context import Context
from finallayer.fix.flow.descent import definition
from finallayer.fix.flow.known_calls import runs
from finallayer.fix.text.syntax import last_name
from finallayer.source.values import Bound

#: Types of which a difference below zero is none, or is refused; and a function that reads images of one.
_TYPES = frozenset("uint8 uint16 uint32 uint64 ubyte ushort uint uintc ulonglong bool bool_ imread".split())
_LOGICAL = frozenset("logical_and logical_or logical_not logical_xor isnan isin isfinite isclose any all".split())
_EMPTY = frozenset("zeros empty ones".split())
#: What makes other numbers of them again.
_CONVERTING = frozenset("astype float float16 float32 float64 double mean divide true_divide asfarray".split())
#: Names and parameters followed, one into the other, before the question is given up.
_DEEPEST = 4


def unshiftable(context: Context, module: AnalysedModule, scores: ast.expr) -> str:
    """Where the program hands such an array on to be softmaxed; empty where it doesn't say so."""
    found = (home.syntax.where(e) for home, e in _sources(context, module, scores, _DEEPEST) if _is_unshiftable(e))
    return next(found, "")


def _sources(
    context: Context, module: AnalysedModule, node: ast.expr, depth: int
) -> Iterator[tuple[AnalysedModule, ast.expr]]:
    """The expressions that say what an expression stands for: behind names, and at the calls of its function."""
    function = parameter_behind(module.syntax, node)
    path = path_of(node)
    statement = definition(module.syntax, node, path) if path is not None else None
    if not depth or (function is None and statement is None):
        yield module, node
    elif statement is not None:
        yield from _sources(context, module, statement.value, depth - 1)
    elif function is not None:
        for home, given in _given(context, function, path or ""):
            yield from _sources(context, home, given, depth - 1)


def _given(context: Context, function: ast.FunctionDef, parameter: str) -> Iterator[tuple[AnalysedModule, ast.expr]]:
    """What the program's calls of a function give one of its parameters."""
    names = [a.arg for a in (*function.args.posonlyargs, *function.args.args)]
    for module in context.modules().values():
        for call in (n for n in module.syntax.nodes if isinstance(n, ast.Call)):
            callees = [v for v in module.values(call.func) if runs(v, function)]
            if not callees:
                continue
            own = names[1:] if any(isinstance(c, Bound) for c in callees) else names
            given = {**dict(zip(own, call.args, strict=False)), **{k.arg or "": k.value for k in call.keywords}}
            if parameter in given:
                yield module, given[parameter]


def _is_unshiftable(node: ast.expr) -> bool:
    match node:
        case ast.Compare() | ast.BoolOp() | ast.UnaryOp(op=ast.Not()):
            return True
        case ast.BinOp(op=ast.Div()):
            return False
        case ast.Call(func=func, args=args, keywords=keywords):
            name = last_name(func)
            told = {_said(n) for n in (*args, *(k.value for k in keywords))}
            if told & _TYPES or name in _TYPES | _LOGICAL:
                return True
            if name in _CONVERTING:
                return False
            return (name in _EMPTY and told & {"0"} != set()) or any(map(_is_empty, args[:1]))
    return _is_empty(node)


def _said(node: ast.expr) -> str:
    """What an argument says: the name of a type, as a name or a text, or a number."""
    return str(node.value) if isinstance(node, ast.Constant) else last_name(node)


def _is_empty(node: ast.expr) -> bool:
    return isinstance(node, (ast.List, ast.Tuple)) and not node.elts
