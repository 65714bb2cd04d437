"""What a scope gives to the functions that are called in it: ``with arg_scope([dense], activation_fn=None)``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from finallayer.source.values import Built, External, Function, List, Value

#: The functions that a scope is for, and what it gives them.
Scope: TypeAlias = "tuple[tuple[Value, ...], Mapping[str, Value]]"


def scopes_of(value: Value) -> list[Scope]:
    """The scopes that a context manager opens, the outermost first: one that is given again opens all that it holds."""
    if not isinstance(value, Built) or value.signature.op != "arg_scope":
        return []
    functions = value.bound.get("inputs")
    if isinstance(functions, Built):
        return scopes_of(functions)
    given = {name: argument for name, argument in value.keywords.items() if argument is not functions}
    items = functions.items if isinstance(functions, List) else functions
    return [(items, given)] if isinstance(items, tuple) else []


def given_by(scopes: list[Scope], callee: Value) -> dict[str, Value]:
    """What the open scopes give a function, the innermost last."""
    given: dict[str, Value] = {}
    for functions, arguments in scopes:
        if isinstance(callee, (External, Function)) and callee in functions:
            given.update(arguments)
    return given
