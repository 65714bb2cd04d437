"""An edited file whose nodes stand where they stood before the edits, so that both analyses speak of the same places.

A node outside every edit keeps its place exactly. What an edit writes stands where nothing stood before, unless it is
what another edit takes away (``net(x)``, that gets a name): then the fix has moved it, and it keeps its place, too.
"""

from __future__ import annotations

import ast
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from finallayer.expr import Origin
from finallayer.findings import Edit
from finallayer.fix.text.syntax import Syntax
from finallayer.source.files import SourceFile, parse
from finallayer.source.walking import walk

#: Columns from here on belong to what an edit has written.
WRITTEN = 1_000_000

#: Where an expression begins and ends: lines from 1, columns from 0 in characters.
Span = tuple[int, int, int, int]


class _Change(NamedTuple):
    """One edit in offsets of the module's text: what it replaces, and where its text ends up."""

    start: int
    end: int
    new_start: int
    new_end: int


class _Text:
    """A module's text, and its lines' offsets."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._starts = [0]
        for line in text.split("\n"):
            self._starts.append(self._starts[-1] + len(line) + 1)

    def offset(self, line: int, column: int) -> int:
        return min(self._starts[line - 1] + column, len(self.text))

    def place(self, offset: int) -> tuple[int, int]:
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1]


class Relocated(SourceFile):
    """A file after edits, its nodes in the places that the old text has for them."""

    #: The expressions of the new tree, by the span of the old text that they stand for.
    counterparts: dict[Span, list[ast.expr]]
    #: Calls that are written, and stand elsewhere as before: what one does is done twice.
    copies: list[ast.Call]

    def __init__(self, old: Syntax, edits: Sequence[Edit]) -> None:
        super().__init__(old.file.path, old.file.text, old.file.cells)
        relocation = _Relocation(old, edits)
        tree = relocation.tree()
        vars(self).update(tree=tree, counterparts=relocation.counterparts, copies=relocation.copies)

    def column(self, line: int, offset: int) -> int:
        return offset if offset >= WRITTEN else super().column(line, offset)


class _Relocation:
    """The way from places of the new text to those of the old one."""

    def __init__(self, old: Syntax, edits: Sequence[Edit]) -> None:
        self._syntax, self._file, self._old = old, old.file, _Text(old.file.text)
        self._changes: list[_Change] = []
        self._new = _Text(self._edited(edits))
        self._written = SourceFile(old.file.path, self._new.text)
        self.counterparts: dict[Span, list[ast.expr]] = {}
        self.copies: list[ast.Call] = []

    def _edited(self, edits: Iterable[Edit]) -> str:
        """The new text; notes what each edit changes."""
        spans = sorted({self._span(edit) for edit in edits})
        parts, at, length = [], 0, 0
        for start, end, text in spans:
            length += start - at
            self._changes.append(_Change(start, end, length, length + len(text)))
            parts += [self._old.text[at:start], text]
            length += len(text)
            at = end
        return "".join([*parts, self._old.text[at:]])

    def _span(self, edit: Edit) -> tuple[int, int, str]:
        at = Origin(edit.path, edit.line, edit.column, edit.end_line, edit.end_column, edit.cell)
        at = self._file.in_module(at) if edit.cell is not None else at
        return self._old.offset(at.line, at.column), self._old.offset(at.end_line, at.end_column), edit.text

    def tree(self) -> ast.Module:
        """The tree of the new text, its nodes moved. Raises Unreadable where there is none."""
        tree = parse(self._new.text)
        first, last, lower = self._changed_lines()
        near: list[tuple[Any, int, int]] = []
        nodes: Iterator[Any] = walk(tree)
        for node in (n for n in nodes if hasattr(n, "lineno")):
            if node.end_lineno >= first and node.lineno <= last:
                near.append((node, *self._offsets(node)))
                self._relocate(*near[-1])
            elif node.lineno > last:
                node.lineno -= lower
                node.end_lineno -= lower
            if isinstance(node, ast.expr):
                self.counterparts.setdefault(self._file.origin(node)[1:5], []).append(node)
        self._move(near)
        return tree

    def _changed_lines(self) -> tuple[int, int, int]:
        """The first and the last line of the new text that an edit touches, and by how much lower what follows is."""
        if not self._changes:
            return len(self._new.text) + 1, len(self._new.text) + 1, 0
        begin, end = self._changes[0], self._changes[-1]
        last = self._new.place(end.new_end)[0]
        return self._new.place(begin.new_start)[0], last, last - self._old.place(end.end)[0]

    def _relocate(self, node: Any, start: int, end: int) -> None:
        line, column = self._place(start, begins=True)
        end_line, end_column = self._place(end, begins=False)
        node.lineno, node.col_offset = line, self._bytes(line, column)
        node.end_lineno, node.end_col_offset = end_line, self._bytes(end_line, end_column)

    def _offsets(self, node: ast.AST) -> tuple[int, int]:
        at = self._written.origin(node)  # type: ignore[arg-type]  # nodes with a place only
        return self._new.offset(at.line, at.column), self._new.offset(at.end_line, at.end_column)

    def _place(self, offset: int, begins: bool) -> tuple[int, int]:
        """The old place of a new offset at which a node begins or ends."""
        shift = 0
        for change in self._changes:
            if offset < change.new_start or (not begins and offset == change.new_start):
                break
            if offset == change.new_start and begins and change.new_end > change.new_start:
                return self._old.place(change.start)
            if offset < change.new_end:
                line, column = self._old.place(change.start)
                return line, WRITTEN + column * 1000 + offset - change.new_start
            shift = change.end - change.new_end
        return self._old.place(offset + shift)

    def _bytes(self, line: int, column: int) -> int:
        """A column as syntax trees count it."""
        text = self._file.lines[line - 1] if line <= len(self._file.lines) else ""
        return column if column >= WRITTEN or text.isascii() else len(text[:column].encode())

    def _move(self, nodes: Iterable[tuple[ast.AST, int, int]]) -> None:
        """Give what the edits take from one place and write at another the place that it had."""
        taken = self._taken()
        for node, start, end in nodes:
            if isinstance(node, ast.expr) and any(c.new_start <= start and end <= c.new_end for c in self._changes):
                spelled = ast.dump(node)
                if taken.get(spelled):
                    ast.copy_location(node, taken[spelled].pop(0))
                elif isinstance(node, ast.Call) and (spelled in taken or spelled in self._left):
                    self.copies.append(node)

    def _taken(self) -> dict[str, list[ast.expr]]:
        """The expressions of the old text that the edits take out, by what they are."""
        found: dict[str, list[ast.expr]] = {}
        for node in self._syntax.nodes:
            if isinstance(node, ast.expr) and not isinstance(node, (ast.Name, ast.Constant)) and self._is_taken(node):
                found.setdefault(ast.dump(node), []).append(node)
        return found

    @cached_property
    def _left(self) -> set[str]:
        """The calls of the old text that stay."""
        return {ast.dump(n) for n in self._syntax.nodes if isinstance(n, ast.Call) and not self._is_taken(n)}

    def _is_taken(self, node: ast.expr) -> bool:
        """Whether an edit takes an expression of the old text out."""
        if not any(first <= node.lineno and (node.end_lineno or 0) <= last for first, last in self._old_lines):
            return False
        at = self._file.origin(node)
        start, end = self._old.offset(at.line, at.column), self._old.offset(at.end_line, at.end_column)
        return any(c.start <= start and end <= c.end for c in self._changes)

    @cached_property
    def _old_lines(self) -> list[tuple[int, int]]:
        """The first and the last line that each edit touches."""
        return [(self._old.place(c.start)[0], self._old.place(c.end)[0]) for c in self._changes]
