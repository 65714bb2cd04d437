"""Files as the user keeps them: read, edited and written back with encoding, byte order mark and line ends kept."""

from __future__ import annotations

import io
import json
import os
import tempfile
import tokenize
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

from finallayer.fix.edits import apply
from finallayer.rules.base import Edit


class ChangedMeanwhileError(OSError):
    """The file isn't any more what the fix was made for."""


class Document:
    """One file's bytes, and what they become under edits."""

    def __init__(self, path: Path, data: bytes) -> None:
        self.path = path
        self.data = data

    @classmethod
    def read(cls, path: Path) -> Document:
        return cls(path, path.read_bytes())

    def edited(self, edits: Iterable[Edit]) -> bytes:
        """The file's bytes after the edits. Raises ConflictError where two overlap."""
        return self._notebook(list(edits)) if self.path.suffix == ".ipynb" else self._source(edits)

    def _source(self, edits: Iterable[Edit]) -> bytes:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(self.data).readline)
        return apply(self.data.decode(encoding), edits).encode(encoding)

    def _notebook(self, edits: list[Edit]) -> bytes:
        """Only the sources of edited cells change; the file keeps its indentation and its last line end."""
        text = self.data.decode("utf-8-sig")
        notebook = json.loads(text)
        for cell, of_cell in groupby(sorted(edits, key=lambda e: e.cell or 0), key=lambda e: e.cell or 0):
            source = notebook["cells"][cell]["source"]
            new = apply(source if isinstance(source, str) else "".join(source), of_cell)
            notebook["cells"][cell]["source"] = new if isinstance(source, str) else new.splitlines(keepends=True)
        return _as_before(text, notebook).encode()

    def write(self, new: bytes) -> None:
        """Put the new bytes in the file's place in one step. Raises ChangedMeanwhileError where it has changed."""
        target = self.path.resolve()  # a link goes on pointing to the file
        if target.read_bytes() != self.data:
            raise ChangedMeanwhileError(f"{self.path} has changed since it was read")
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(new)
            Path(temporary).chmod(target.stat().st_mode & 0o7777)
            Path(temporary).replace(target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


def _as_before(text: str, notebook: object) -> str:
    """The notebook as JSON in the file's own formatting: its indentation, escapes, and end of file."""
    line = text[text.find("\n") + 1 :] if "\n" in text else ""
    indent: int | str | None = None
    if "\n" in text:
        blank = line[: len(line) - len(line.lstrip(" \t"))]
        indent = blank if "\t" in blank else len(blank)
    ascii_only = text.isascii() and "\\u" in text
    separators = (",", ": ") if indent is not None or '": ' in text else (",", ":")
    dumped = json.dumps(notebook, indent=indent, ensure_ascii=ascii_only, separators=separators)
    return dumped + text[len(text.rstrip()) :]
