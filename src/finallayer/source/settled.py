"""Whether a function that a function has made reads at the end what it read when it was made.

Nobody knows when such a function is called, and its names may have been bound anew by then.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from finallayer.source.values import Frame, Function
from finallayer.source.walking import children, walk

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
_LOOPS = (ast.For, ast.AsyncFor, ast.While)
_LEAVING = (ast.Return, ast.Raise, ast.Continue, ast.Break)


class _Bindings(NamedTuple):
    """Where a scope binds its names, and its statements within which the order of lines isn't that of time."""

    names: dict[str, list[int]]  # the lines; that of the scope for a parameter
    loops: list[tuple[int, int]]  # first and last line
    leaving: list[tuple[int, int]]  # branches after which the scope doesn't go on


def is_settled(function: Function) -> bool:
    """Whether the names that a function reads from the scopes around it are what they were when it was made."""
    line, read = function.node.lineno, _free(function.node)
    return not any(_is_bound_anew(bindings, name, line) for bindings in _around(function) for name in read)


def _around(function: Function) -> Iterator[_Bindings]:
    """The scopes that run on after a function was made: of functions, or of the module that makes it by itself."""
    frame: Frame | None = function.frame
    if function.frame.function is None:
        yield _bindings(function.frame.module.tree)
    while frame is not None and frame.function is not None:
        yield _bindings(frame.function.node)
        frame = frame.parent


def _is_bound_anew(bindings: _Bindings, name: str, line: int) -> bool:
    bound = bindings.names.get(name, [])
    if len(bound) < 2:
        return False
    together = [(first, last) for first, last in (*bindings.loops, *bindings.leaving) if first <= line <= last]
    return any(at > line or any(first <= at <= last for first, last in together) for at in bound)


@lru_cache(maxsize=256)
def _free(node: ast.AST) -> frozenset[str]:
    """The names that a function reads and doesn't bind itself."""
    names = [n for n in walk(node) if isinstance(n, ast.Name)]
    own = {n.id for n in names if not isinstance(n.ctx, ast.Load)} | set(_parameters(node))
    shared = {name for n in walk(node) if isinstance(n, ast.Nonlocal) for name in n.names}
    return frozenset({n.id for n in names if isinstance(n.ctx, ast.Load)} - own | shared)


@lru_cache(maxsize=256)
def _bindings(scope: ast.AST) -> _Bindings:
    found = _Bindings({name: [0] for name in _parameters(scope)}, [], [])
    for node in _within(scope):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            found.names.setdefault(node.id, []).append(node.lineno)
        elif isinstance(node, _LOOPS):
            found.loops.append((node.lineno, node.end_lineno or node.lineno))
        elif isinstance(node, ast.If):
            found.leaving.extend(_lines(b) for b in (node.body, node.orelse) if b and isinstance(b[-1], _LEAVING))
    return found


def _lines(branch: list[ast.stmt]) -> tuple[int, int]:
    return branch[0].lineno, branch[-1].end_lineno or branch[-1].lineno


def _parameters(scope: ast.AST) -> list[str]:
    spec = getattr(scope, "args", None)
    return [n.arg for n in walk(spec) if isinstance(n, ast.arg)] if isinstance(spec, ast.arguments) else []


def _within(scope: ast.AST) -> Iterator[ast.AST]:
    """What a scope runs itself."""
    body = getattr(scope, "body", [])
    waiting = [*body] if isinstance(body, list) else [body]
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, _SCOPES):
            waiting += children(node)
