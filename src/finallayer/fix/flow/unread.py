"""Assignments in a function that nobody reads once an expression is gone."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Sequence

from finallayer.findings import Edit
from finallayer.fix.flow.bindings import are_shown, reaching, readers
from finallayer.fix.text.deletion import whole_line
from finallayer.fix.text.syntax import Scope, Syntax
from finallayer.source.walking import walk

_BLOCKS = ("body", "orelse", "finalbody")


def removals(
    syntax: Syntax, gone: Sequence[ast.expr], new: Iterable[str], replaced: Collection[ast.Assign | None] = ()
) -> tuple[Edit, ...]:
    """Edits that take out the assignments that only ``gone`` read, and those that only they read, and so on.

    ``new``: the texts in their place; what those read stays. ``replaced``: assignments that others replace.
    """
    found = [s for s in unread(syntax, gone, new) if s not in replaced]
    going = [s for s in found if syntax.is_alone(s) and _leaves_some(syntax, s)]
    return tuple(whole_line(syntax, s) or syntax.remove(s) for s in going)


def unread(syntax: Syntax, gone: Sequence[ast.expr], new: Iterable[str]) -> list[ast.Assign]:
    """The assignments of one function that nobody reads once some expressions in it are gone.

    A module's name may be read from anywhere; so may all of a function that shows its names.
    """
    scope = syntax.scope(gone[0])
    if isinstance(scope, (ast.Module, ast.Lambda)) or are_shown(scope):
        return []
    read = {n.id for text in new for n in walk(ast.parse(text.strip())) if isinstance(n, ast.Name)}
    going = {n for expression in gone for n in walk(expression)}
    candidates = [s for s in _assignments(syntax, scope) if _name(s) not in read | syntax.declared]
    found: list[ast.Assign] = []
    while True:
        more = [s for s in candidates if s not in found and _is_unread(syntax, scope, s, going)]
        if not more:
            return found
        found += more
        going |= {n for statement in more for n in walk(statement)}


def _assignments(syntax: Syntax, scope: Scope) -> list[ast.Assign]:
    """The assignments of a function to a name alone."""
    return [
        n
        for n in walk(scope)
        if isinstance(n, ast.Assign) and _name(n) is not None and syntax.scope(n.targets[0]) is scope
    ]


def _name(statement: ast.Assign) -> str | None:
    match statement.targets:
        case [ast.Name(id=name)]:
            return name
    return None


def _is_unread(syntax: Syntax, scope: Scope, statement: ast.Assign, going: set[ast.AST]) -> bool:
    """Whether all that reads what a statement assigns, and there is some, is going."""
    name = _name(statement) or ""
    origins = {reader: reaching(syntax, reader, name) for reader in readers(scope, name)}
    reading = [reader for reader, origin in origins.items() if origin is statement or origin is None]
    return bool(reading) and all(reader in going for reader in reading)


def _leaves_some(syntax: Syntax, statement: ast.stmt) -> bool:
    """Whether something is left of a statement's block without it."""
    parent = syntax.parent(statement)
    return all(len(block) > 1 for name in _BLOCKS if statement in (block := getattr(parent, name, [])))
