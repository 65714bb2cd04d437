"""A flag that chooses between logits and probabilities: ``return z if from_logits else softmax(z)``.

Who takes the softmax out of one branch makes both alike, and the flag an orphan: whoever wants logits sets the flag.
"""

from __future__ import annotations

import ast
from typing import NamedTuple

from finallayer.fix.flow.callers import parameter_behind
from finallayer.fix.text.syntax import Syntax, is_inside


class Flag(NamedTuple):
    """A condition that says whether a function gives probabilities; its parameter, where it is one, and for logits."""

    test: ast.expr
    function: ast.FunctionDef | None
    name: str
    for_logits: bool


def flag_of(syntax: Syntax, head: ast.expr, logits: str) -> Flag | None:
    """The flag by which a program chooses between a head and the logits alone, spelled as they are there."""
    inner: ast.AST = head
    for outer in syntax.around(head):
        if isinstance(outer, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            before = _before_the_last(outer, inner)
            alike = before is not None and _texts(syntax, before.body) == _without(syntax, inner, head, logits)
            return _flag(syntax, before.test, for_logits=True) if before is not None and alike else None
        if isinstance(outer, (ast.If, ast.IfExp)) and not is_inside(outer.test, head):
            in_body = inner is outer.body or (isinstance(outer, ast.If) and inner in outer.body)
            left = _without(syntax, inner, head, logits)
            instead, flag = _gives(syntax, outer, in_body), _flag(syntax, outer.test, for_logits=not in_body)
            skipped = left == f"{logits} = {logits}" and instead is None and flag.function is not None
            if skipped or instead == left:
                return flag
        inner = outer
    return None


def _gives(syntax: Syntax, choice: ast.If | ast.IfExp, in_body: bool) -> str | None:
    """What the other branch of a choice comes to, nothing where it does more; None where there is none."""
    other = choice.orelse if in_body else choice.body
    if not other:
        return None
    return _texts(syntax, other) if isinstance(other, list) else syntax.text(other)


def _texts(syntax: Syntax, block: list[ast.stmt]) -> str:
    return syntax.text(block[0]) if len(block) == 1 else ""


def _without(syntax: Syntax, around: ast.AST, head: ast.expr, logits: str) -> str:
    """What is left of an expression or statement where the logits stand in the head's place."""
    return syntax.text(around).replace(syntax.text(head), logits)


def _before_the_last(function: ast.AST, statement: ast.AST) -> ast.If | None:
    """The choice before the last statement of a function that may have ended it: ``if flag: return z``."""
    match getattr(function, "body", []):
        case [*_, ast.If(orelse=[]) as before, ast.Return() as last] if last is statement:
            return before
    return None


def _flag(syntax: Syntax, test: ast.expr, for_logits: bool) -> Flag:
    """A condition as a flag: of a parameter, or of what is not one."""
    turned = isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)
    read = test.operand if isinstance(test, ast.UnaryOp) and turned else test
    function = parameter_behind(syntax, read)
    name = read.id if isinstance(read, ast.Name) else ""
    return Flag(test, function, name, for_logits is not turned)
