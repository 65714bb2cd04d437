"""What a fix changes, as a unified diff; of a notebook, cell by cell."""

from __future__ import annotations

import json
from collections.abc import Iterator
from difflib import unified_diff

from finallayer.report.places import shown_path
from finallayer.source.reading import decode

#: What a line starts with, the longest first -> its colour: bold, cyan, green, red.
_COLOURS = {"+++": "1", "---": "1", "@@": "36", "+": "32", "-": "31"}


def differences(path: str, old: bytes, new: bytes) -> Iterator[str]:
    """The lines of a unified diff from a file's old to its new bytes; line ends don't show."""
    name = shown_path(path)
    if path.endswith(".ipynb"):
        cells = zip(json.loads(old)["cells"], json.loads(new)["cells"], strict=True)
        code = [pair for pair in cells if pair[0].get("cell_type") == "code" and _source(pair[0]).strip()]
        for number, (before, after) in enumerate(code, 1):
            yield from _unified(f"{name}:cell {number}", _source(before), _source(after))
    else:
        yield from _unified(name, decode(old), decode(new))


def painted(line: str) -> str:
    """A line of a diff as terminals show it."""
    colour = next((colour for start, colour in _COLOURS.items() if line.startswith(start)), "")
    return f"\x1b[{colour}m{line}\x1b[0m" if colour else line


def _unified(name: str, old: str, new: str) -> Iterator[str]:
    yield from unified_diff(old.split("\n"), new.split("\n"), name, name, lineterm="")


def _source(cell: dict[str, str | list[str]]) -> str:
    source = cell.get("source", "")
    return source if isinstance(source, str) else "".join(source)
