"""One source file or notebook as one module: its text, its tree, and where each line of it stands."""

from __future__ import annotations

import ast
import warnings
from bisect import bisect_right
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from finallayer.expr import Origin
from finallayer.source.versions import written_for

#: A longer module is generated data, not a training script, and would take seconds.
MOST_CHARACTERS = 2_000_000


class Unreadable(Exception):
    """A file that isn't Python 3 source. Its text is one line that says why."""


class CellStart(NamedTuple):
    """The line of the module on which a notebook's cell begins, and which cell it is, as :class:`Origin` says it."""

    line: int
    cell: int
    code_cell: int


@dataclass(frozen=True)
class SourceFile:
    """A file as one module.

    Lines count from 1 and columns from 0, in characters of ``text``, whose line ends are all ``\\n``. ``cells`` says
    where a notebook's code cells begin (a plain file has none); ``notes`` are one line each on what was left out.
    """

    path: str
    text: str
    cells: tuple[CellStart, ...] = ()
    notes: tuple[str, ...] = ()
    _starts: list[int] = field(init=False, repr=False, compare=False, default_factory=list)

    def __post_init__(self) -> None:
        self._starts.extend(c.line for c in self.cells)

    @cached_property
    def tree(self) -> ast.Module:
        """The module's syntax tree. Raises :class:`Unreadable` where the text is not Python 3."""
        return parse(self.text)

    @cached_property
    def _ascii(self) -> bool:
        return self.text.isascii()

    @cached_property
    def lines(self) -> list[str]:
        """The module's lines, without their ends."""
        return self.text.split("\n")

    def column(self, line: int, offset: int) -> int:
        """The column in characters of a UTF-8 byte offset, which is what the ``ast`` module counts in."""
        if self._ascii:
            return offset
        text = self.lines[line - 1] if 0 < line <= len(self.lines) else ""
        return offset if text.isascii() else len(text.encode()[:offset].decode(errors="ignore"))

    def origin(self, node: ast.expr | ast.stmt) -> Origin:
        """Where a syntax node stands in the module, columns in characters."""
        end_line, end_offset = node.end_lineno or node.lineno, node.end_col_offset or node.col_offset
        if self._ascii:
            return Origin(self.path, node.lineno, node.col_offset, end_line, end_offset)
        start = self.column(node.lineno, node.col_offset)
        return Origin(self.path, node.lineno, start, end_line, self.column(end_line, end_offset))

    def in_cell(self, origin: Origin) -> Origin:
        """A place in the module as the reader knows it: in a notebook, the cell and the line within it."""
        if not self.cells or origin.cell is not None or not origin.line:
            return origin
        start, cell, code_cell = self.cells[max(bisect_right(self._starts, origin.line) - 1, 0)]
        line = origin.line - start + 1
        end_line = max(origin.end_line - start + 1, line)
        return origin._replace(line=line, end_line=end_line, cell=cell, code_cell=code_cell)

    def shown_line(self, place: Origin) -> str:
        """The line of a place in the module, as its reader counts it."""
        place = self.in_cell(place)
        return f"line {place.line}" if place.cell is None else f"line {place.line} of cell {place.code_cell}"

    def in_module(self, origin: Origin) -> Origin:
        """The reverse of :meth:`in_cell`; a cell that only its reader's number names is found by that."""
        named = origin.code_cell if origin.cell is None else origin.cell
        starts = [c.line for c in self.cells if named == (c.code_cell if origin.cell is None else c.cell)]
        if not starts:
            return origin
        start = starts[-1]  # an empty cell has the number of the next
        line, end_line = origin.line + start - 1, origin.end_line + start - 1
        return origin._replace(line=line, end_line=end_line, cell=None, code_cell=None)


def parse(text: str) -> ast.Module:
    """The syntax tree of a module. Raises :class:`Unreadable` with one line that says why there is none."""
    if len(text) > MOST_CHARACTERS:
        raise Unreadable(f"too long to be read ({len(text):,} characters; the most is {MOST_CHARACTERS:,})")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes are the user's business, not ours
            return ast.parse(text)
    except SyntaxError as error:
        raise Unreadable(_syntax_error(error)) from None
    except (RecursionError, MemoryError):
        raise Unreadable("nested too deeply to be parsed") from None
    except ValueError as error:  # null bytes (before Python 3.12), lone surrogates, integers of too many digits
        raise Unreadable(f"not Python: {one_line(str(error))}") from None


def _syntax_error(error: SyntaxError) -> str:
    message = one_line(error.msg or "invalid syntax")
    where = f" (line {error.lineno})" if error.lineno else ""
    version = written_for(message, error.text or "")
    if version:
        return f"{version}{where}"
    return f"not Python 3: {message}{where}"


def one_line(text: str) -> str:
    """A message as one line of a bearable length."""
    return " ".join(text.split())[:200]
