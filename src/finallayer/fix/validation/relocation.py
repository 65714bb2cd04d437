"""An edited file whose nodes stand where they stood before the edits, so that both analyses speak of the same places.

A node outside every edit keeps its place exactly. What an edit writes stands where nothing stood before, unless it is
what another edit takes away (``net(x)``, that gets a name): then the fix has moved it, and it keeps its place, too.
"""

from __future__ import annotations

import ast
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from finallayer.expr import Origin
from finallayer.findings import Edit
from finallayer.source.files import SourceFile, parse

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

    def __init__(self, old: SourceFile, edits: Sequence[Edit]) -> None:
        super().__init__(old.path, old.text, old.cells)
        relocation = _Relocation(old, edits)
        tree = relocation.tree()
        vars(self).update(tree=tree, counterparts=relocation.counterparts, copies=relocation.copies)

    def column(self, line: int, offset: int) -> int:
        return offset if offset >= WRITTEN else super().column(line, offset)


class _Relocation:
    """The way from places of the new text to those of the old one."""

    def __init__(self, old: SourceFile, edits: Sequence[Edit]) -> None:
        self._file, self._old = old, _Text(old.text)
        self._changes: list[_Change] = []
        self._new = _Text(self._edited(edits))
        self._written = SourceFile(old.path, self._new.text)
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
        nodes: list[Any] = [n for n in ast.walk(tree) if hasattr(n, "lineno")]
        spans = [self._offsets(n) for n in nodes]
        for node, (start, end) in zip(nodes, spans, strict=True):
            place = *self._place(start, begins=True), *self._place(end, begins=False)
            if isinstance(node, ast.expr):
                self.counterparts.setdefault(place, []).append(node)
            node.lineno, node.col_offset = place[0], self._bytes(place[0], place[1])
            node.end_lineno, node.end_col_offset = place[2], self._bytes(place[2], place[3])
        self._move(nodes, spans)
        return tree

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

    def _move(self, nodes: Sequence[ast.AST], spans: Sequence[tuple[int, int]]) -> None:
        """Give what the edits take from one place and write at another the place that it had."""
        taken, left = self._taken()
        for node, (start, end) in zip(nodes, spans, strict=True):
            if isinstance(node, ast.expr) and any(c.new_start <= start and end <= c.new_end for c in self._changes):
                spelled = ast.dump(node)
                if taken.get(spelled):
                    ast.copy_location(node, taken[spelled].pop(0))
                elif isinstance(node, ast.Call) and (spelled in left or spelled in taken):
                    self.copies.append(node)

    def _taken(self) -> tuple[dict[str, list[ast.expr]], set[str]]:
        """The expressions of the old text that the edits take out, by what they are, and the calls that stay."""
        found: dict[str, list[ast.expr]] = {}
        left: set[str] = set()
        for node in ast.walk(self._file.tree):
            if isinstance(node, ast.expr) and not isinstance(node, (ast.Name, ast.Constant)):
                at = self._file.origin(node)
                start, end = self._old.offset(at.line, at.column), self._old.offset(at.end_line, at.end_column)
                if any(c.start <= start and end <= c.end for c in self._changes):
                    found.setdefault(ast.dump(node), []).append(node)
                elif isinstance(node, ast.Call):
                    left.add(ast.dump(node))
        return found, left
