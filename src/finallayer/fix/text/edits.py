"""Applying edits to text: ranges in, new text out, all or nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise

from finallayer.findings import Edit

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+$")


class ConflictError(ValueError):
    """Two edits change the same place differently."""


def apply(text: str, edits: Iterable[Edit]) -> str:
    """The text after the edits; what they add gets the line ends that the text uses.

    Lines count from 1 and end in LF, CRLF or CR; columns count from 0, in characters. Equal edits are made once.
    Raises ConflictError where two overlap.
    """
    lines = lines_of(text)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    newline = line_end(text)
    spans = {(starts[e.line - 1] + e.column, starts[e.end_line - 1] + e.end_column, e.text) for e in edits}
    limit = len(text) + 1
    for start, stop, new in sorted(spans, reverse=True):
        if stop > limit or start > stop:
            raise ConflictError(f"two edits meet at offset {start}")
        text = text[:start] + new.replace("\n", newline) + text[stop:]
        limit = start
    return text


def lines_of(text: str) -> list[str]:
    """The lines of a text with their ends: LF, CRLF or CR; an empty text is one."""
    return _LINE.findall(text) or [""]


def together(parts: Iterable[tuple[Edit, ...] | None]) -> tuple[Edit, ...] | None:
    """The edits of all parts of a fix, each once; None where a part can't be made."""
    found = list(parts)
    return None if None in found else tuple(dict.fromkeys(edit for part in found if part for edit in part))


def meet(edits: Iterable[Edit]) -> bool:
    """Whether two different edits change the same place."""
    places: dict[tuple[str, int | None], set[tuple[int, int, int, int, str]]] = {}
    for e in edits:
        places.setdefault((e.path, e.cell), set()).add((e.line, e.column, e.end_line, e.end_column, e.text))
    return any(b[:2] < a[2:4] for found in places.values() for a, b in pairwise(sorted(found)))


def line_end(text: str) -> str:
    """The line end that most lines of a text have."""
    crlf, cr = text.count("\r\n"), text.count("\r")
    lf = text.count("\n") - crlf
    return max((("\n", lf), ("\r\n", crlf), ("\r", cr - crlf)), key=lambda pair: pair[1])[0]
