"""Files as the user keeps them: read, edited and written back with encoding, byte order mark and line ends kept."""

from __future__ import annotations

import codecs
import io
import os
import tempfile
import tokenize
from collections.abc import Iterable
from pathlib import Path

from finallayer.fix import notebooks
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
        if self.path.suffix == ".ipynb":
            text, mark = self.data.decode("utf-8-sig"), self.data.startswith(codecs.BOM_UTF8)
            return notebooks.edited(text, edits).encode("utf-8-sig" if mark else "utf-8")
        encoding, _ = tokenize.detect_encoding(io.BytesIO(self.data).readline)
        return apply(self.data.decode(encoding), edits).encode(encoding)

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
