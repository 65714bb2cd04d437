"""Files as the user keeps them: read, edited and written back with encoding, byte order mark and line ends kept."""

from __future__ import annotations

import codecs
import io
import os
import tempfile
import tokenize
from collections.abc import Iterable, Sequence
from pathlib import Path

from finallayer.findings import Edit
from finallayer.fix.text import cells
from finallayer.fix.text.edits import apply


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
        if self.path.suffix == ".ipynb":
            text, mark = self.data.decode("utf-8-sig"), self.data.startswith(codecs.BOM_UTF8)
            return cells.edited(text, edits).encode("utf-8-sig" if mark else "utf-8")
        encoding, _ = tokenize.detect_encoding(io.BytesIO(self.data).readline)
        return apply(self.data.decode(encoding), edits).encode(encoding)

    def check(self) -> None:
        """Raises ChangedMeanwhileError where the file isn't any more what was read."""
        if self.path.read_bytes() != self.data:
            raise ChangedMeanwhileError(f"{self.path} has changed since it was read")

    def write(self, new: bytes) -> None:
        """Put the new bytes in the file's place in one step. Raises ChangedMeanwhileError where it has changed."""
        self.check()
        target = self.path.resolve()  # a link goes on pointing to the file
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(new)
            Path(temporary).chmod(target.stat().st_mode & 0o7777)
            Path(temporary).replace(target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


def write_together(changes: Sequence[tuple[Document, bytes]]) -> None:
    """Write files that belong together, all or none. Raises OSError, as :meth:`Document.write` does, for the first."""
    for document, _ in changes:
        document.check()
    written: list[tuple[Document, bytes]] = []
    try:
        for document, new in changes:
            document.write(new)
            written.append((document, new))
    except BaseException:
        for document, new in written:
            Document(document.path, new).write(document.data)
        raise
