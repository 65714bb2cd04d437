"""Going through syntax trees, which every analysis does many times over."""

from __future__ import annotations

import ast
from collections.abc import Iterator


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
