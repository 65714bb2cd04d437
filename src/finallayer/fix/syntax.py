"""From a finding's origin back to the syntax: the node there, what is around it, and how the user spelled it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cached_property

from finallayer.expr import Origin
from finallayer.rules.base import Edit
from finallayer.source.files import SourceFile

Scope = ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_SCOPES = (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


class Syntax:
    """One file's syntax tree with its parents, asked by place."""

    def __init__(self, file: SourceFile) -> None:
        self.file = file

    @cached_property
    def _parents(self) -> dict[ast.AST, ast.AST]:
        return {child: node for node in ast.walk(self.file.tree) for child in ast.iter_child_nodes(node)}

    @cached_property
    def _by_place(self) -> dict[tuple[int, int, int | None, int | None], list[ast.expr]]:
        found: dict[tuple[int, int, int | None, int | None], list[ast.expr]] = {}
        for node in ast.walk(self.file.tree):
            if isinstance(node, ast.expr):
                place = (node.lineno, node.col_offset, node.end_lineno, node.end_col_offset)
                found.setdefault(place, []).append(node)
        return found

    def expression(self, origin: Origin | None) -> ast.expr | None:
        """The expression whose range is exactly the origin's."""
        if origin is None or origin.path != self.file.path:
            return None
        for candidates in self._by_place.values():
            if self.file.origin(candidates[0])[1:5] == origin[1:5]:
                return candidates[0]
        return None

    def parent(self, node: ast.AST) -> ast.AST | None:
        return self._parents.get(node)

    def around(self, node: ast.AST) -> Iterator[ast.AST]:
        """The nodes around a node, from the innermost outwards."""
        parent = self._parents.get(node)
        while parent is not None:
            yield parent
            parent = self._parents.get(parent)

    def statement(self, node: ast.AST) -> ast.stmt:
        """The innermost statement that a node belongs to."""
        if isinstance(node, ast.stmt):
            return node
        return next(n for n in self.around(node) if isinstance(n, ast.stmt))

    def scope(self, node: ast.AST) -> Scope:
        """The function, or the module, whose local names a node uses."""
        return next(n for n in self.around(node) if isinstance(n, _SCOPES))

    def text(self, node: ast.AST) -> str:
        """The user's own spelling of a node."""
        origin = self.file.origin(node)  # type: ignore[arg-type]  # expressions and statements have a place
        lines = self.file.lines[origin.line - 1 : origin.end_line]
        lines[-1] = lines[-1][: origin.end_column]
        lines[0] = lines[0][origin.column :]
        return "\n".join(lines)

    def replace(self, node: ast.AST, text: str) -> Edit:
        """The edit that puts new text in a node's place."""
        return self._edit(self.file.origin(node), text)  # type: ignore[arg-type]

    def insert_before(self, statement: ast.stmt, text: str) -> Edit:
        """The edit that puts a statement on a line of its own before another, at its indentation."""
        at = self.file.origin(statement)
        indent = self.file.lines[at.line - 1][: at.column]
        return self._edit(at._replace(end_line=at.line, end_column=at.column), f"{text}\n{indent}")

    def loads(self) -> Iterator[ast.Name]:
        """Every name that is read."""
        return (n for n in ast.walk(self.file.tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load))

    def in_annotation(self, node: ast.AST) -> bool:
        """Whether a node belongs to a type annotation."""
        inner = node
        for around in self.around(node):
            if isinstance(around, (ast.arg, ast.AnnAssign)) and around.annotation is inner:
                return True
            if isinstance(around, (ast.FunctionDef, ast.AsyncFunctionDef)) and around.returns is inner:
                return True
            inner = around
        return False

    def cut(self, start: tuple[int, int], end: tuple[int, int]) -> Edit:
        """The edit that takes away what lies between two places (line, column)."""
        return self._edit(Origin(self.file.path, *start, *end), "")

    def _edit(self, origin: Origin, text: str) -> Edit:
        at = self.file.in_cell(origin)
        return Edit(at.path, at.line, at.column, at.end_line, at.end_column, text, at.cell)

    def stands_alone(self, statement: ast.stmt) -> bool:
        """Whether a statement begins its line, so that another can be put before it."""
        at = self.file.origin(statement)
        return not self.file.lines[at.line - 1][: at.column].strip()

    def names_used(self, scope: ast.AST) -> set[str]:
        """Every name that occurs in a scope, its inner functions included."""
        names = {n.id for n in ast.walk(scope) if isinstance(n, ast.Name)}
        names |= {a.arg for n in ast.walk(scope) if isinstance(n, ast.arguments) for a in (*n.args, *n.kwonlyargs)}
        return names | {n.name for n in ast.walk(scope) if isinstance(n, (ast.FunctionDef, ast.ClassDef))}

    def fresh_name(self, wanted: str, scope: ast.AST) -> str:
        """The wanted name, or one like it that the scope doesn't use."""
        used = self.names_used(scope) | self.names_used(self.file.tree)
        candidates = (wanted, *(f"{wanted}_{i}" for i in range(2, 100)))
        return next(name for name in candidates if name not in used)
