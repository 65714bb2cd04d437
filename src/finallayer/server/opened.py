"""What is open in the editor: texts and notebooks, the bytes that the analysis reads, and where a place lies."""

from __future__ import annotations

import io
import json
import tokenize
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from lsprotocol import types as lsp
from pygls.workspace import PositionCodec, ServerTextPosition, ServerTextRange

from finallayer.expr import Origin
from finallayer.fix.text.edits import lines_of


class Cell(NamedTuple):
    """A cell of a notebook: its document, and its text where it is code."""

    uri: str
    text: str
    is_code: bool


@dataclass(frozen=True)
class Text:
    """A Python file, or a notebook with its cells, as the editor shows it at one version.

    ``uri``: the document's, or the notebook's; ``versions``: by document, for edits that must not come too late.
    """

    path: str
    uri: str
    text: str = ""
    cells: tuple[Cell, ...] = ()
    versions: dict[str, int | None] = field(default_factory=dict)

    @property
    def data(self) -> bytes:
        """The file as it would be on disk."""
        if not self.path.endswith(".ipynb"):
            return _encoded(self.text)
        cells = [{"cell_type": "code" if c.is_code else "markdown", "source": c.text} for c in self.cells]
        return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}).encode()

    def documents(self) -> Sequence[tuple[str, str]]:
        """Each document that may have diagnostics: its URI and its text."""
        return [(c.uri, c.text) for c in self.cells if c.is_code] if self.cells else [(self.uri, self.text)]

    def document_of(self, origin: Origin) -> tuple[str, str]:
        """The document of a place, as findings have it: URI and text."""
        if origin.cell is None or not self.cells:
            return self.uri, self.text
        cell = self.cells[min(origin.cell, len(self.cells) - 1)]
        return cell.uri, cell.text

    def origin_of(self, uri: str, line: int) -> Origin:
        """A line of one of the documents, from 0, as a place in the file."""
        for number, cell in enumerate(self.cells):
            if cell.uri == uri:
                return Origin(self.path, line + 1, end_line=line + 1, cell=number)
        return Origin(self.path, line + 1, end_line=line + 1)


def range_of(origin: Origin, text: str, codec: PositionCodec) -> lsp.Range:
    """A place as the editor counts it: lines from 0, columns in the units that both sides agreed on."""
    lines = lines_of(text)
    start = ServerTextPosition(max(origin.line - 1, 0), origin.column)
    end = ServerTextPosition(max(origin.line, origin.end_line, 1) - 1, origin.end_column)
    return codec.range_to_client_units(lines, ServerTextRange(_within(start, lines), _within(end, lines)))


def character_of(position: lsp.Position, text: str, codec: PositionCodec) -> tuple[int, int]:
    """A line from 0 and a column in characters."""
    found = codec.position_from_client_units(lines_of(text), position)
    return found.line, found.character


def _within(position: ServerTextPosition, lines: Sequence[str]) -> ServerTextPosition:
    """The text may have changed since it was analysed."""
    line = min(position.line, len(lines) - 1)
    return ServerTextPosition(line, min(position.character, len(lines[line].rstrip("\r\n"))))


def _encoded(text: str) -> bytes:
    """A text in the encoding that it names itself, since that is how it will be read."""
    data = text.encode(errors="surrogatepass")
    try:
        return text.encode(tokenize.detect_encoding(io.BytesIO(data).readline)[0])
    except (SyntaxError, UnicodeError, LookupError):
        return data
