"""Taking out the call of a softmax or sigmoid that the project has written by hand, a function of its own."""

from __future__ import annotations

import ast
from collections.abc import Mapping

from finallayer.expr import Node
from finallayer.fix.fixers.removal import Removal, bracketed
from finallayer.fix.flow.analysed import AnalysedModule
from finallayer.fix.flow.callers import is_plain, parameter_behind, references
from finallayer.fix.flow.head import Head
from finallayer.source.values import Function


def without_helper(made: Node, modules: Mapping[str, AnalysedModule]) -> Removal | None:
    """``sigmoid(x @ w)`` becomes ``x @ w``, where that is the only call of a function which gives the sigmoid.

    The function itself stays: others may import it. Its formula would be the same place for each of its calls.
    """
    home = modules.get(made.origin.path) if made.origin is not None else None
    place = home.syntax.expression(made.origin) if home is not None else None
    if home is None or place is None or made.origin is None:
        return None
    function = next((n for n in home.syntax.around(place) if isinstance(n, ast.FunctionDef)), None)
    given = _given(made, function, home) if function is not None and is_plain(home, function) else []
    if function is None or not given:
        return None
    found = [(m, r) for m in modules.values() for r in references(m.syntax, function.name) if _may_be(m, r, function)]
    match found:
        case [(module, reference)]:
            call = module.syntax.parent(reference)
        case _:
            return None
    if not isinstance(call, ast.Call) or call.func is not reference or len(call.args) != 1 or call.keywords:
        return None
    (z,) = call.args
    handed = module.values(z)
    if not handed or any(all(v is not g.args[0] for g in given) for v in handed) or not module.syntax.is_legible(z):
        return None
    if (
        isinstance(module.syntax.parent(call), (ast.Return, ast.Lambda))
        and parameter_behind(module.syntax, z) is not None
    ):
        return None  # all that the function around does
    edit = module.syntax.replace(call, bracketed(module.syntax, call, z))
    return Removal((edit,), Head(made.op, frozenset({made.origin})))


def _may_be(module: AnalysedModule, reference: ast.expr, function: ast.FunctionDef) -> bool:
    """Whether an expression stands for a function, or nobody knows what for."""
    values = module.values(reference)
    return not values or any(isinstance(v, Function) and v.node is function for v in values)


def _given(made: Node, function: ast.FunctionDef, module: AnalysedModule) -> list[Node]:
    """What a function gives, where that always is the probabilities that its formula makes."""
    given = [v for owner, v in module.uses.given if isinstance(owner, Function) and owner.node is function]
    known = [v for v in given if isinstance(v, Node) and v.op == made.op and v.origin == made.origin and v.args]
    return known if len(known) == len(given) else []
