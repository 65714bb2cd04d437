"""Who may call a function: the calls that the analysis saw, and what shows that there may be others."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from finallayer.fix.flow.bindings import reaching
from finallayer.fix.text.syntax import Syntax, last_name
from finallayer.source.symbols import TRANSFORMS, construct_of
from finallayer.source.uses import Uses

#: Decorators that leave a function's parameters what they are.
_PLAIN_DECORATORS = frozenset(
    "function jit njit staticmethod classmethod property no_grad inference_mode compile filter_jit compact".split()
)


def references(syntax: Syntax, name: str) -> Iterator[ast.expr]:
    """Every expression of a file that may mean a function by its name."""
    yield from (n for n in syntax.loads() if n.id == name)
    attributes = (n for n in syntax.nodes if isinstance(n, ast.Attribute))
    yield from (n for n in attributes if n.attr == name and isinstance(n.ctx, ast.Load))


def is_plain(function: ast.FunctionDef) -> bool:
    """Whether nothing that decorates a function hands it other arguments than its callers do."""
    decorators = (d.func if isinstance(d, ast.Call) else d for d in function.decorator_list)
    return all(last_name(d) in _PLAIN_DECORATORS for d in decorators)


def parameter_behind(syntax: Syntax, read: ast.expr) -> ast.FunctionDef | None:
    """The function whose parameter a name still is."""
    function = syntax.scope(read)
    if not isinstance(read, ast.Name) or not isinstance(function, ast.FunctionDef):
        return None
    return function if isinstance(reaching(syntax, read, read.id), ast.arguments) else None


def unknown_callers(function: ast.FunctionDef, syntaxes: Mapping[str, Syntax], uses: Uses) -> Iterator[str]:
    """What may call a function with other arguments than the analysis saw, a phrase each."""
    if not is_plain(function):
        yield f"what decorates `{function.name}` (line {function.lineno})"
    for path, syntax in syntaxes.items():
        for reference in references(syntax, function.name):
            call = syntax.parent(reference)
            if not uses.evaluated(path, reference):
                yield f"`{function.name}` in code that nothing runs (line {reference.lineno})"
            elif not isinstance(call, ast.Call) or (call.func is not reference and not _transforms(path, call, uses)):
                yield f"`{function.name}` is handed on (line {reference.lineno})"


def _transforms(path: str, call: ast.Call, uses: Uses) -> bool:
    """Whether a call gives a function back that the interpreter knows to call the one it was given."""
    callees = uses.of(path, call.func)
    return bool(callees) and all(construct_of(c) in TRANSFORMS for c in callees)
