"""Assignments in a function that nobody reads once an expression is gone."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence

from finallayer.findings import Edit
from finallayer.fix.flow.bindings import are_shown, binds, readers
from finallayer.fix.text.syntax import Syntax


def removals(syntax: Syntax, gone: Sequence[ast.expr], new: Iterable[str]) -> tuple[Edit, ...]:
    """Edits that take out the assignments that only ``gone`` read, and those that only they read, and so on.

    ``gone``: expressions of one function. ``new``: the texts in their place; what those read stays. So does a module's
    name, which may be read from anywhere, and what is assigned twice, or on a line with a comment or another statement.
    """
    scope = syntax.scope(gone[0])
    if isinstance(scope, (ast.Module, ast.Lambda)) or are_shown(scope):
        return ()
    read = {n.id for text in new for n in ast.walk(ast.parse(text.strip())) if isinstance(n, ast.Name)}
    going = {n for expression in gone for n in ast.walk(expression)}
    statements: list[ast.Assign] = []
    while True:
        unread = [s for s in scope.body if isinstance(s, ast.Assign) and _is_unread(syntax, scope, s, going)]
        unread = [s for s in unread if s not in statements and not read & _names(s)]
        if not unread:
            return tuple(syntax.remove(s) for s in statements)
        statements += unread
        for statement in unread:
            going |= set(ast.walk(statement))


def _names(statement: ast.Assign) -> set[str]:
    return {t.id for t in statement.targets if isinstance(t, ast.Name)}


def _is_unread(
    syntax: Syntax, scope: ast.FunctionDef | ast.AsyncFunctionDef, statement: ast.Assign, going: set[ast.AST]
) -> bool:
    match statement.targets:
        case [ast.Name(id=name)]:
            found = readers(scope, name)
            once = sum(binds(s, name) for s in scope.body) == 1
            return bool(found) and all(r in going for r in found) and once and syntax.is_alone(statement)
    return False
