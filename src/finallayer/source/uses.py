"""What an analysis remembers of every expression, for those who ask where a value goes: fixes, above all.

A fix that changes what a model gives must know all that reads it. Recording costs memory, so an analysis does it only
where it is asked to.
"""

from __future__ import annotations

import ast
from collections import Counter
from functools import lru_cache
from typing import NamedTuple

from finallayer.source.limits import MOST_LEAVES, surveyable
from finallayer.source.values import Dict, List, MadeOf, Module, Value
from finallayer.source.walking import children

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


class Seen(NamedTuple):
    """One value that an expression had, and the definition that was run alone to get there (None: the program ran)."""

    value: Value
    alone: ast.AST | None


class Variable(NamedTuple):
    """A name, and where the function begins that it belongs to (0, 0: the module)."""

    path: str
    line: int
    column: int
    name: str


class Uses:
    """Every value of every expression, what each object gave when it was called, and what nobody calls."""

    def __init__(self) -> None:
        self.values: dict[str, dict[ast.expr, list[Seen]]] = {}  # by file
        self.given: list[tuple[Value, Value]] = []  # (a model, layer or function, what calling it gave)
        self.bound: dict[Variable, list[Value]] = {}  # every value of the names that functions read from around them
        self.kept: dict[str, list[tuple[Value, Value]]] = {}  # by attribute: (whose, its value)
        self.made_of = MadeOf()  # what went into opaque values
        self.alone: ast.AST | None = None
        self.complete = True  # False where the analysis stopped before the program's end
        self.in_a_text = False  # whether statements were run that stand in a text
        self.unread: set[str] = set()  # files that it would have had to read, too
        self.elsewhere: tuple[Uses, ...] = ()  # other programs of the project that run the same code
        self._entered: Counter[ast.AST] = Counter()
        self._entered_alone: Counter[ast.AST] = Counter()

    def saw(self, path: str, node: ast.expr, value: Value) -> None:
        self.values.setdefault(path, {}).setdefault(node, []).append(Seen(as_it_is(value), self.alone))

    def gave(self, owner: Value, value: Value) -> None:
        self.given.append((owner, as_it_is(value)))

    def binds(self, module: Module, scope: ast.AST, name: str, value: Value) -> None:
        """A name of a function, or of the module, gets a value."""
        if name in _closed_over(module.tree).get(scope, ()):
            self.bound.setdefault(variable(module.path, scope, name), []).append(as_it_is(value))

    def keeps(self, owner: Value, attribute: str, value: Value) -> None:
        """An attribute gets a value, or what it is gets an item."""
        self.kept.setdefault(attribute, []).append((owner, as_it_is(value)))

    def enters(self, definition: ast.AST, alone: bool = False) -> None:
        """A function is run: by a call, or alone, for want of one."""
        (self._entered_alone if alone else self._entered)[definition] += 1

    def is_called(self, definition: ast.AST | None) -> bool:
        """Whether any call in the program enters a definition."""
        return definition is not None and self._entered[definition] > self._entered_alone[definition]

    def of(self, path: str, node: ast.AST) -> list[Value]:
        """The values that an expression had, without those that only a run on unknown arguments had."""
        if not isinstance(node, ast.expr):
            return []
        seen = self.values.get(path, {}).get(node, [])
        return [s.value for s in seen if s.alone is None or not self.is_called(s.alone)]

    def evaluated(self, path: str, node: ast.expr) -> bool:
        """Whether the program comes to an expression, as far as its calls are known."""
        return any(s.alone is None or not self.is_called(s.alone) for s in self.values.get(path, {}).get(node, ()))

    def is_called_anywhere(self, definition: ast.AST | None) -> bool:
        """Whether this program, or another that is looked at with it, enters a definition by a call."""
        return self.is_called(definition) or any(other.is_called(definition) for other in self.elsewhere)

    def evaluated_anywhere(self, path: str, node: ast.expr) -> bool:
        """Whether this program, or another that is looked at with it, comes to an expression."""
        return self.evaluated(path, node) or any(other.evaluated(path, node) for other in self.elsewhere)


def variable(path: str, scope: ast.AST, name: str) -> Variable:
    """A name of a scope, wherever an edit has moved what is around it."""
    return Variable(path, getattr(scope, "lineno", 0), getattr(scope, "col_offset", 0), name)


@lru_cache(maxsize=64)
def _closed_over(tree: ast.Module) -> dict[ast.AST, set[str]]:
    """The names that the functions within each scope read, their own among them."""
    found: dict[ast.AST, set[str]] = {}
    waiting: list[tuple[ast.AST, tuple[ast.AST, ...]]] = [(tree, (tree,))]
    while waiting:
        node, scopes = waiting.pop()
        if isinstance(node, ast.Name):
            for scope in scopes[:-1] if isinstance(node.ctx, ast.Load) else ():
                found.setdefault(scope, set()).add(node.id)
            continue
        inside = (*scopes, node) if isinstance(node, _FUNCTIONS) else scopes
        waiting += [(child, inside) for child in children(node)]
    return found


def as_it_is(value: Value) -> Value:
    """A value as it is now: lists and dictionaries go on changing, and take back what a branch did to them.

    What holds very many values is data, and stays what it is.
    """
    if isinstance(value, (List, tuple)) and surveyable((value,)):
        return _copied(value)
    return value.copy() if isinstance(value, Dict) and len(value.slots) <= MOST_LEAVES else value


def _copied(value: Value) -> Value:
    if isinstance(value, List):
        return List(tuple(map(_copied, value.items)), value.exact)
    if isinstance(value, Dict):
        return as_it_is(value)
    return tuple(map(_copied, value)) if type(value) is tuple else value
