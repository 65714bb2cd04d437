"""A program's bytes as a scan may read them: what no scan understands is decoded first, as the parser would.

A scan looks for words in UTF-8. A name may be spelled otherwise: in another encoding, in full-width letters, which
Python takes for plain ones, and in a notebook with JSON's escapes, or over two texts of a list.
"""

from __future__ import annotations

import re
import unicodedata

from finallayer.disk import contents
from finallayer.source.files import Unreadable
from finallayer.source.notebook import code_cells
from finallayer.source.reading import decode, is_plain_ascii

#: An escape in JSON that may stand for a letter or digit of ASCII, or a sign of code: not one of a colour, of markup,
#: of a line that is drawn, of Chinese, or of what takes two.
_SPELLED_OUT = re.compile(
    rb"\\u(?!001[bB]|0026|0027|003[cCeE]|20[0-6]|2[2-9abAB]|[4-9a-cA-C]|[dD](?!835)|[eE])[0-9a-fA-F]{4}"
)
#: A line in a list of lines that the next text of the list goes on with.
_GOES_ON = re.compile(rb"""(?<!\\n)"\s*,\s*"(?:[^"\\]|\\.)*+"\s*[,\]]""", re.DOTALL)
#: Letters that aren't ASCII, with the one before them, which an accent may belong to.
_FOREIGN = re.compile(r"\w?[^\x00-\x7f]+")
#: What would be a sign of code, and stands in no name: a full-width quote isn't one.
_SIGNS = re.compile(r"[\x00-/:-@\[-^`{-\x7f]")


def plain(path: str, data: bytes) -> bytes:
    """What a scan is to read of a program: its bytes where they say all there is to say, else also what they mean.

    What can't be decoded stays as it is: no analysis reads it either.
    """
    if path.endswith(".ipynb"):
        return data if _is_plain_notebook(data) else data + b"\n" + _code(data)
    if is_plain_ascii(data):
        return data
    try:
        return normal(decode(data)).encode(errors="surrogatepass")
    except Unreadable:
        return data


def plain_text(path: str) -> str | None:
    """The same of a file, as text; None where it can't be read."""
    try:
        data = contents(path)
    except OSError:
        return None
    return plain(path, data).decode(errors="ignore")


def normal(text: str) -> str:
    """A text whose names are spelled as Python knows them."""
    if text.isascii() or unicodedata.is_normalized("NFKC", text):
        return text
    return _FOREIGN.sub(_normal, text)


def _normal(letters: re.Match[str]) -> str:
    return _SIGNS.sub(" ", unicodedata.normalize("NFKC", letters[0]))


def _is_plain_notebook(data: bytes) -> bool:
    spelled_out = _SPELLED_OUT.search(data) is not None
    return data.isascii() and not spelled_out and _GOES_ON.search(data) is None


def _code(data: bytes) -> bytes:
    """The source of a notebook's code cells."""
    try:
        return "\n".join(normal(cell.source or "") for cell in code_cells(data)).encode(errors="replace")
    except Unreadable:
        return b""
