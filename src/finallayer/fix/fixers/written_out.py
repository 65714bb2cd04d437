"""Taking out a sigmoid that is written as a formula: ``1 / (1 + exp(-z))`` becomes ``z``."""

from __future__ import annotations

import ast

from finallayer.expr import Node
from finallayer.fix.fixers.removal import Removal
from finallayer.fix.flow.analysed import AnalysedModule
from finallayer.fix.flow.bindings import changes_after
from finallayer.fix.flow.callers import parameter_behind
from finallayer.fix.flow.head import Head
from finallayer.fix.flow.known_calls import known_call, sides
from finallayer.fix.text.names import names_head
from finallayer.fix.text.spelling import negated
from finallayer.fix.text.syntax import is_minus


def without_formula(made: Node, module: AnalysedModule) -> Removal | None:
    """How a sigmoid's formula gives way to its scores; None in a function for it alone."""
    syntax, place = module.syntax, module.syntax.expression(made.origin)
    power = _power(module, place) if made.op == "sigmoid" and place is not None else None
    if power is None or place is None or made.origin is None:
        return None
    z = power.operand if is_minus(power) else power
    if names_head(getattr(syntax.scope(place), "name", "")) or parameter_behind(syntax, z) is not None:
        return None
    if changes_after(syntax, place, z) or not syntax.is_legible(z):
        return None
    text = syntax.text(z) if is_minus(power) else negated(syntax.text(z))
    return Removal((syntax.replace(place, text),), Head(made.op, frozenset({made.origin})))


def _power(module: AnalysedModule, place: ast.expr) -> ast.expr | None:
    """What the exponential is of in ``1 / (1 + exp(...))``."""
    division = sides(module, place, ast.Div, "div")
    total = sides(module, division[1], ast.Add, "add") if division is not None and _is_one(division[0]) else None
    for one, other in (total, total[::-1]) if total is not None else ():
        power = known_call(module, other, "exp") if _is_one(one) else None
        if power is not None:
            return power.only_operand
    return None


def _is_one(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) in (int, float) and node.value == 1
