"""From the bytes of a file to one module: plain source by its encoding, a notebook by its suffix."""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from pathlib import Path

from finallayer.disk import MOST_BYTES, contents
from finallayer.source import notebook
from finallayer.source.files import MOST_CHARACTERS, SourceFile, Unreadable, one_line

#: A longer file has too many characters, of four bytes at the most.
MOST_BYTES_OF_SOURCE = 4 * MOST_CHARACTERS

_NEWLINE = re.compile(r"\r\n?")


def read(path: str | Path, data: bytes | None = None) -> SourceFile:
    """Read a file (``data``: its bytes, where they are at hand) as one module; a notebook by its suffix.

    Nothing is executed. Raises :class:`Unreadable` when the file can't be opened, decoded, or, for a notebook, is
    not one. Whether a plain file is Python shows when its ``tree`` is asked for.
    """
    if data is None:
        data = bytes_of(path)
    if str(path).endswith(".ipynb"):
        return notebook.read(str(path), data)
    return SourceFile(str(path), decode(data))


def bytes_of(path: str | Path) -> bytes:
    """The bytes of a program or a notebook. Raises :class:`Unreadable` where it can't be opened, or is too large."""
    try:
        return contents(path, MOST_BYTES if str(path).endswith(".ipynb") else MOST_BYTES_OF_SOURCE)
    except OSError as error:
        raise Unreadable(f"can't be read: {one_line(error.strerror or type(error).__name__)}") from None


def decode(data: bytes) -> str:
    """A file's text by its encoding cookie or byte order mark, with ``\\n`` for every line end."""
    if b"\0" in data:
        raise Unreadable("not Python: it holds null bytes")
    text = data.decode("ascii") if is_plain_ascii(data) else _decode_declared(data)
    return _NEWLINE.sub("\n", text) if "\r" in text else text


def is_plain_ascii(data: bytes) -> bool:
    """Whether bytes are ASCII, and neither of the first two lines may say that they stand for something else."""
    end = data.find(b"\n", data.find(b"\n") + 1)
    return data.isascii() and data.find(b"coding", 0, len(data) if end < 0 else end) < 0


def _decode_declared(data: bytes) -> str:
    import io
    import tokenize

    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        text = data.decode(encoding)
        if text.encode(encoding).removeprefix(BOM_UTF8) != data.removeprefix(BOM_UTF8):  # such as unicode_escape
            raise Unreadable(f"can't be decoded: {one_line(encoding)} doesn't give back what it was made of")
        return text
    except SyntaxError as error:  # an unknown encoding, or a cookie that contradicts the byte order mark
        raise Unreadable(f"can't be decoded: {one_line(error.msg)}") from None
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise Unreadable(f"can't be decoded: not {error.encoding} (line {line})") from None
    except LookupError as error:  # a codec that doesn't give text, such as hex
        raise Unreadable(f"can't be decoded: {one_line(str(error))}") from None
    except ValueError as error:
        raise Unreadable(f"can't be decoded: {one_line(str(error))}") from None
