"""Assignments in a function that nobody reads once an expression is gone."""

from __future__ import annotations

import ast

from finallayer.fix.bindings import binds, readers
from finallayer.fix.syntax import Syntax
from finallayer.rules.base import Edit


def removals(syntax: Syntax, gone: ast.expr, kept: ast.expr) -> tuple[Edit, ...]:
    """Edits that take out the assignments that only ``gone`` read, and those that only they read, and so on.

    ``kept`` is the part of ``gone`` that lives on in the new text. A name of a module may be read from anywhere, and
    one that is assigned twice, or on a line with a comment or another statement, is left alone.
    """
    scope = syntax.scope(gone)
    if isinstance(scope, (ast.Module, ast.Lambda)) or syntax.file.cells:
        return ()
    going = set(ast.walk(gone)) - set(ast.walk(kept))
    statements: list[ast.Assign] = []
    while True:
        unread = [s for s in _assignments(scope) if s not in statements and _is_unread(syntax, scope, s, going)]
        if not unread:
            return tuple(syntax.remove(s) for s in statements)
        statements += unread
        for statement in unread:
            going |= set(ast.walk(statement))


def _assignments(scope: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.Assign]:
    return [s for s in scope.body if isinstance(s, ast.Assign)]


def _is_unread(
    syntax: Syntax, scope: ast.FunctionDef | ast.AsyncFunctionDef, statement: ast.Assign, going: set[ast.AST]
) -> bool:
    match statement.targets:
        case [ast.Name(id=name)]:
            found = readers(scope, name)
            once = sum(binds(s, name) for s in scope.body) == 1
            return bool(found) and all(r in going for r in found) and once and syntax.is_alone(statement)
    return False
