"""Edits in notebooks: the sources of edited cells change, every other byte of the file stays.

Notebooks are JSON that many programs write, each in its own style; loading and dumping one would change lines that
nobody touched. So the new source is put where the old one stood in the text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from itertools import groupby

from finallayer.findings import Edit
from finallayer.fix.text.edits import ConflictError, apply

_LINE = re.compile(r"[^\n]*\n|[^\n]+$")
_SPACE = re.compile(r"\s*")
_DECODER = json.JSONDecoder()

Span = tuple[int, int]


def edited(text: str, edits: Iterable[Edit]) -> str:
    """The notebook's text after the edits. Raises ConflictError where two overlap, ValueError for what isn't one."""
    sources = _sources(text)
    by_cell = groupby(sorted(edits, key=_cell), key=_cell)
    for cell, of_cell in sorted(((cell, list(group)) for cell, group in by_cell), reverse=True):
        start, end = sources[cell] or _missing(cell)
        text = text[:start] + _rewritten(text[start:end], of_cell) + text[end:]
    return text


def _cell(edit: Edit) -> int:
    return edit.cell or 0


def _rewritten(written: str, edits: list[Edit]) -> str:
    """A cell's source as JSON, a string or a list of lines, after the edits, in the style that it is written in."""
    source = json.loads(written)
    ascii_only = written.isascii()
    if isinstance(source, str):
        return json.dumps(_applied(source, edits), ensure_ascii=ascii_only)
    lines = _LINE.findall(_applied("".join(source), edits))
    lines += [""] if source and not source[-1] else []  # as some editors end a list
    items = [json.dumps(line, ensure_ascii=ascii_only) for line in lines]
    if not items or not source:
        return json.dumps(lines, ensure_ascii=ascii_only)
    first = _SPACE.match(written, 1)
    last = re.search(r"\s*\]$", written)
    between = _between(written, source)
    return f"[{first.group() if first else ''}{between.join(items)}{last.group() if last else ']'}"


def _applied(source: str, edits: list[Edit]) -> str:
    """A cell's source after the edits; a last line that goes takes the line break before it along."""
    text = apply(source, edits)
    return text if source.endswith("\n") else text.rstrip("\n")


def _between(written: str, source: list[str]) -> str:
    """What stands between two lines of the list: a comma and the space around it."""
    if len(source) > 1:
        _, end = _DECODER.raw_decode(written, _skip(written, 1))
        return written[end : _skip(written, _skip(written, end) + 1)]
    first = _SPACE.match(written, 1)
    space = first.group() if first else ""
    return f",{space}" if space else ", "


def _sources(text: str) -> list[Span | None]:
    """Where each cell's source stands in the notebook's text, as :mod:`finallayer.source.notebook` reads it."""
    found: list[Span | None] = []
    for start, _ in _cells(text):
        cell = dict(_members(text, start)) if text[start] == "{" else {}
        found.append(cell.get("source", cell.get("input")))
    return found


def _cells(text: str) -> Iterator[Span]:
    """The cells, also of the old format, which kept them in worksheets."""
    top = dict(_members(text, _skip(text, 0)))
    if "cells" in top:
        yield from _items(text, top["cells"][0])
        return
    for start, _ in _items(text, top["worksheets"][0]):
        cells = dict(_members(text, start)).get("cells") if text[start] == "{" else None
        if cells is not None and text[cells[0]] == "[":
            yield from _items(text, cells[0])


def _missing(cell: int) -> Span:
    raise ConflictError(f"cell {cell} has no source")


def _members(text: str, at: int) -> Iterator[tuple[str, Span]]:
    """The names of an object's members, and where their values stand."""
    at = _skip(text, at + 1)
    while text[at] != "}":
        name, end = _DECODER.raw_decode(text, at)
        start = _skip(text, _skip(text, end) + 1)
        _, end = _DECODER.raw_decode(text, start)
        yield name, (start, end)
        at = _skip(text, end)
        at = _skip(text, at + 1) if text[at] == "," else at


def _items(text: str, at: int) -> Iterator[Span]:
    """Where an array's items stand."""
    at = _skip(text, at + 1)
    while text[at] != "]":
        _, end = _DECODER.raw_decode(text, at)
        yield at, end
        at = _skip(text, end)
        at = _skip(text, at + 1) if text[at] == "," else at


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at
