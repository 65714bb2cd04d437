"""Going through syntax trees, which every analysis does many times over."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple


def walk(root: ast.AST) -> Iterator[ast.AST]:
    """A node and all below it, those above before those below: as ``ast.walk``, which looks every field up by name."""
    found = [root]
    for node in found:
        yield node
        for value in vars(node).values():
            if type(value) is list:
                found += [part for part in value if isinstance(part, ast.AST)]
            elif isinstance(value, ast.AST):
                found.append(value)


def children(node: ast.AST) -> list[ast.AST]:
    """The nodes directly below one: as ``ast.iter_child_nodes``, which looks every field up by name."""
    found: list[ast.AST] = []
    for value in vars(node).values():
        if type(value) is list:
            found += [part for part in value if isinstance(part, ast.AST)]
        elif isinstance(value, ast.AST):
            found.append(value)
    return found


class Names(NamedTuple):
    """The names that a piece of code binds, and those that it compares with something."""

    stored: frozenset[str]
    compared: frozenset[str]


#: Code that names are asked for of, each piece once, however many others it lies in.
_PIECES = (ast.For, ast.AsyncFor, ast.While, ast.FunctionDef, ast.AsyncFunctionDef)


@lru_cache(maxsize=4096)  # the same functions and loops are asked by each analysis of a file
def names_in(code: ast.AST) -> Names:
    """The names in a loop or function."""
    body = {id(statement) for statement in _body(code)}
    inside, around = names_in_body(code), _names([node for node in children(code) if id(node) not in body])
    return Names(inside.stored | around.stored, inside.compared | around.compared)


@lru_cache(maxsize=4096)
def names_in_body(code: ast.AST) -> Names:
    """The names in the body alone of a loop or function."""
    return _names(_body(code))


def _body(code: ast.AST) -> list[ast.AST]:
    body = getattr(code, "body", [])
    return [*body] if isinstance(body, list) else [body]


def _names(waiting: list[ast.AST]) -> Names:
    stored: set[str] = set()
    compared: set[str] = set()
    while waiting:
        node = waiting.pop()
        if isinstance(node, _PIECES):
            inner = names_in(node)
            stored |= inner.stored
            compared |= inner.compared
            continue
        if isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Store):
                stored.add(node.id)
        elif isinstance(node, ast.Compare):
            compared.update(
                side.id for side in map(_bare, (node.left, *node.comparators)) if isinstance(side, ast.Name)
            )
        waiting += children(node)
    return Names(frozenset(stored), frozenset(compared))


def _bare(side: ast.expr) -> ast.expr:
    """A side of a comparison without a constant that is added to it."""
    return side.left if isinstance(side, ast.BinOp) and isinstance(side.right, ast.Constant) else side
