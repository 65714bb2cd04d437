"""From a finding's origin back to the syntax: the node there, what is around it, and how the user spelled it."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import TypeGuard, TypeVar, cast

from finallayer.expr import Origin
from finallayer.findings import Edit
from finallayer.source.files import SourceFile
from finallayer.source.walking import children, walk

Scope = ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_Names = Callable[[Iterable[ast.AST]], Iterable[str]]
_SCOPES = (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_Node = TypeVar("_Node", bound=ast.AST)


class Syntax:
    """One file's syntax tree with its parents, asked by place."""

    def __init__(self, file: SourceFile) -> None:
        self.file = file
        self._names: dict[tuple[_Names, ast.AST], frozenset[str]] = {}

    @cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        """Every node of the file."""
        return tuple(walk(self.file.tree))

    @cached_property
    def _by_type(self) -> dict[type[ast.AST], list[ast.AST]]:
        found: dict[type[ast.AST], list[ast.AST]] = {}
        for node in self.nodes:
            found.setdefault(type(node), []).append(node)
        return found

    def all_of(self, kind: type[_Node]) -> list[_Node]:
        """Every node of one type, in the order of ``nodes``."""
        return cast("list[_Node]", self._by_type.get(kind, []))

    @cached_property
    def declared(self) -> frozenset[str]:
        """The names that some function writes from afar (``global``, ``nonlocal``)."""
        declarations = (n for n in self.nodes if isinstance(n, (ast.Global, ast.Nonlocal)))
        return frozenset(name for declaration in declarations for name in declaration.names)

    @cached_property
    def stored(self) -> frozenset[str]:
        """The attributes that the file gives a value, whichever object's."""
        attributes = (n for n in self.nodes if isinstance(n, ast.Attribute))
        return frozenset(n.attr for n in attributes if not isinstance(n.ctx, ast.Load))

    @cached_property
    def names(self) -> frozenset[str]:
        """Every name and attribute that occurs in the file."""
        return frozenset(self.names_used(self.file.tree))

    @cached_property
    def _parents(self) -> dict[ast.AST, ast.AST]:
        return {child: node for node in self.nodes for child in children(node)}

    @cached_property
    def _by_place(self) -> dict[tuple[int, ...], ast.expr]:
        found: dict[tuple[int, ...], ast.expr] = {}
        for node in self.nodes:
            if isinstance(node, ast.expr):
                found.setdefault(self.file.origin(node)[1:5], node)
        return found

    def expression(self, origin: Origin | None) -> ast.expr | None:
        """The expression whose range is exactly the origin's."""
        if origin is None or origin.path != self.file.path:
            return None
        return self._by_place.get(origin[1:5])

    def parent(self, node: ast.AST) -> ast.AST | None:
        return self._parents.get(node)

    def user(self, node: ast.AST) -> tuple[ast.AST, ast.AST | None]:
        """A node with the ``name=`` or ``*`` around it, and what it is used in: a call, a ``return`` ..."""
        around = self.parent(node)
        while isinstance(around, (ast.keyword, ast.Starred)):
            node, around = around, self.parent(around)
        return node, around

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

    def outermost_statement(self, node: ast.AST) -> ast.stmt | None:
        """The statement of the module itself in which a node is."""
        chain = (n for n in (node, *self.around(node)) if isinstance(n, ast.stmt))
        return next((n for n in chain if self.parent(n) is self.file.tree), None)

    def scope(self, node: ast.AST) -> Scope:
        """The function, or the module, whose local names a node uses."""
        return next(n for n in self.around(node) if isinstance(n, _SCOPES))

    def text(self, node: ast.AST) -> str:
        """The user's own spelling of a node."""
        at = self.file.origin(node)  # type: ignore[arg-type]  # expressions and statements have a place
        return self.between((at.line, at.column), (at.end_line, at.end_column))

    def is_legible(self, node: ast.expr) -> bool:
        """Whether the text at a node's place is the node (inside f-strings of older Pythons it isn't)."""
        try:
            parsed = ast.parse(f"({self.text(node)}\n)", mode="eval").body
        except SyntaxError:
            return False
        return ast.dump(parsed) == ast.dump(node)

    def between(self, start: tuple[int, int], end: tuple[int, int]) -> str:
        """The text between two places, each a line and a column."""
        lines = self.file.lines[start[0] - 1 : end[0]]
        lines[-1] = lines[-1][: end[1]]
        lines[0] = lines[0][start[1] :]
        return "\n".join(lines)

    def replace(self, node: ast.AST, text: str) -> Edit:
        """The edit that puts new text in a node's place."""
        return self._edit(self.file.origin(node), text)  # type: ignore[arg-type]

    def replace_joined(self, node: ast.expr, name: str) -> Edit:
        """The edit that puts a name in a node's place, and in that of brackets and line breaks that only it needed."""
        at = self.file.origin(node)
        before, after = self.file.lines[at.line - 1][: at.column], self.file.lines[at.end_line - 1][at.end_column :]
        if before.endswith("(") and after.startswith(")") and isinstance(self.parent(node), ast.UnaryOp):
            return self._edit(at._replace(column=at.column - 1, end_column=at.end_column + 1), name)
        last, next_ = (self.file.lines[n] if 0 <= n < len(self.file.lines) else "" for n in (at.line - 2, at.end_line))
        closes_later = not after and next_.lstrip().startswith(")")
        if not before.strip() and last.endswith("(") and (closes_later or after.startswith(")")):
            at = at._replace(line=at.line - 1, column=len(last))
        if closes_later:
            at = at._replace(end_line=at.end_line + 1, end_column=len(next_) - len(next_.lstrip()))
        return self._edit(at, name)

    def moved(self, node: ast.expr, statement: ast.stmt, before: str) -> str:
        """A node's text as it is to stand at a statement's place behind some other text: its lines shift along."""
        text, at = self.text(node), self.file.origin(node)
        first, *rest = text.split("\n")
        if not rest or "\t" in text or any(isinstance(n, ast.Constant) and "\n" in str(n.value) for n in walk(node)):
            return text
        indents = [len(line) - len(line.lstrip()) for line in rest]
        outer = self.file.origin(statement).column
        began = self.file.lines[at.line - 1]
        aligned = min(indents) > at.column
        hanging = max(outer - (len(began) - len(began.lstrip())), outer + 4 - min(indents))
        by = outer + len(before) - at.column if aligned else hanging
        lines = [" " * max(n + by, 0) + line.lstrip() for n, line in zip(indents, rest, strict=True)]
        return "\n".join([first, *lines])

    def insert_before(self, statement: ast.stmt, text: str) -> Edit:
        """The edit that puts a simple statement before another: on a line of its own, or on the same where it must."""
        at = self.file.origin(statement)
        indent = self.file.lines[at.line - 1][: at.column]
        separator = "; " if indent.strip() else f"\n{indent}"
        return self._edit(at._replace(end_line=at.line, end_column=at.column), f"{text}{separator}")

    def insert_after(self, statement: ast.stmt, text: str) -> Edit:
        """The edit that puts a statement on a line of its own after another, at its indentation."""
        at = self.file.origin(statement)
        indent = self.file.lines[at.line - 1][: at.column]
        end = len(self.file.lines[at.end_line - 1])  # behind a comment
        return self._edit(at._replace(line=at.end_line, column=end, end_column=end), f"\n{indent}{text}")

    @cached_property
    def _loads(self) -> tuple[ast.Name, ...]:
        return tuple(n for n in self.all_of(ast.Name) if isinstance(n.ctx, ast.Load))

    def loads(self) -> Iterator[ast.Name]:
        """Every name that is read."""
        return iter(self._loads)

    def is_displayed(self, statement: ast.Expr) -> bool:
        """Whether a notebook shows the value of an expression: the last of its cell, without a semicolon behind it."""
        body = self.file.tree.body
        if not self.file.cells or statement not in body:
            return False
        cell = self.file.in_cell(self.file.origin(statement)).cell
        after = body[body.index(statement) + 1 :][:1]
        is_last = all(self.file.in_cell(self.file.origin(other)).cell != cell for other in after)
        behind = self.file.lines[(statement.end_lineno or 0) - 1][self.file.origin(statement).end_column :]
        return is_last and not behind.lstrip().startswith(";")

    def where(self, node: ast.AST) -> str:
        """The line that a node is on, as a reader finds it: in a notebook, the cell and the line within that."""
        at = self.file.in_cell(self.file.origin(node))  # type: ignore[arg-type]
        return f"line {at.line}" if at.cell is None else f"cell {at.code_cell}, line {at.line}"

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

    def put(self, start: tuple[int, int], end: tuple[int, int], text: str = "") -> Edit:
        """The edit that puts new text between two places (line, column), or takes away what is there."""
        return self._edit(Origin(self.file.path, *start, *end), text)

    def has_own_lines(self, statement: ast.stmt) -> bool:
        """Whether no other statement stands on the lines of a statement."""
        at = self.file.origin(statement)
        first, last = self.file.lines[at.line - 1], self.file.lines[at.end_line - 1]
        return not first[: at.column].strip() and last[at.end_column :].strip()[:1] in ("", "#")

    def is_alone(self, statement: ast.stmt) -> bool:
        """Whether the lines of a statement hold nothing else, no comment either."""
        at = self.file.origin(statement)
        first, last = self.file.lines[at.line - 1], self.file.lines[at.end_line - 1]
        inside = "\n".join(self.file.lines[at.line - 1 : at.end_line])
        return not first[: at.column].strip() and not last[at.end_column :].strip() and "#" not in inside

    def remove(self, statement: ast.stmt) -> Edit:
        """The edit that takes a statement's lines away."""
        at = self.file.origin(statement)
        return self._edit(at._replace(column=0, end_line=at.end_line + 1, end_column=0), "")

    def _edit(self, origin: Origin, text: str) -> Edit:
        at = self.file.in_cell(origin)
        return Edit(at.path, at.line, at.column, at.end_line, at.end_column, text, at.cell)

    def names_used(self, scope: ast.AST) -> frozenset[str]:
        """Every name and attribute that occurs in a scope, its inner functions included."""
        return self._names_in(_used, scope)

    def names_bound(self, scope: ast.AST) -> frozenset[str]:
        """The names that a scope binds, its inner functions included."""
        return self._names_in(_bound, scope)

    def parameters(self, scope: ast.AST) -> frozenset[str]:
        """The parameters of a function and its inner ones."""
        return self._names_in(_parameters, scope)

    def _names_in(self, names: _Names, scope: ast.AST) -> frozenset[str]:
        if (names, scope) not in self._names:
            self._names[names, scope] = frozenset(names(walk(scope)))
        return self._names[names, scope]

    def outermost(self, scope: ast.AST) -> ast.AST:
        """The outermost function around a scope, itself perhaps; the module where there is none."""
        functions = [n for n in (scope, *self.around(scope)) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))]
        return functions[-1] if functions else self.file.tree

    def fresh_name(self, wanted: str, taken: set[str], scope: ast.AST | None = None) -> str:
        """The wanted name, or one like it, that is neither taken nor used in the file, or where a scope sees it."""
        used = taken | (self.names if scope is None else self._visible(self.outermost(scope)))
        candidates = (wanted, *(f"{wanted}_{i}" for i in range(2, 100)))
        return next(name for name in candidates if name not in used)

    def _visible(self, function: ast.AST) -> frozenset[str]:
        """The names in an outermost function, and those that the module and its classes bind."""
        if function is self.file.tree:
            return self.names
        return self.names_of_module | self.names_used(function)

    @cached_property
    def names_of_module(self) -> frozenset[str]:
        """The names that the module and its classes bind or read outside of any function, and those declared global."""
        waiting: list[ast.AST] = [self.file.tree]
        found: set[str] = set(self.declared)
        while waiting:
            node = waiting.pop()
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                found.add(node.name)
                continue
            if isinstance(node, ast.ClassDef):
                found.add(node.name)
            if isinstance(node, ast.Name):
                found.add(node.id)
            if isinstance(node, ast.alias):
                found.add((node.asname or node.name).partition(".")[0])
            waiting += children(node)
        return frozenset(found)


def _used(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                yield name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.alias(name=name, asname=local):
                yield (local or name).partition(".")[0]


def _bound(nodes: Iterable[ast.AST]) -> Iterator[str]:
    return (n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))


def _parameters(nodes: Iterable[ast.AST]) -> Iterator[str]:
    return (a.arg for n in nodes if isinstance(n, ast.arguments) for a in n.args)


def is_minus(node: ast.AST | None) -> TypeGuard[ast.UnaryOp]:
    """Whether an expression is minus another."""
    return isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub)


def last_name(node: ast.expr) -> str:
    """The last part of a dotted name; nothing for what is no name."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def is_written_out(call: ast.Call) -> bool:
    """Whether every argument of a call shows which parameter it is given to: there is no ``*`` and no ``**``."""
    return not any(isinstance(a, ast.Starred) for a in call.args) and all(k.arg is not None for k in call.keywords)


def is_inside(outer: ast.AST, node: ast.AST) -> bool:
    """Whether a node is an expression or statement, or a part of it."""
    return any(n is node for n in walk(outer))
