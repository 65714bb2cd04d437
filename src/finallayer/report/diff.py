"""What a fix changes, as a unified diff; of a notebook, cell by cell."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import unified_diff

from finallayer.report.places import plain, shown_path
from finallayer.source.notebook import code_cells
from finallayer.source.reading import decode

#: What a line starts with, the longest first -> its colour: bold, cyan, green, red.
_COLOURS = {"+++": "1", "---": "1", "@@": "36", "+": "32", "-": "31"}


def differences(path: str, old: bytes, new: bytes) -> Iterator[str]:
    """The lines of a unified diff from a file's old to its new bytes; line ends don't show."""
    name = plain(shown_path(path))
    if path.endswith(".ipynb"):
        for before, after in zip(code_cells(old), code_cells(new), strict=True):
            yield from _unified(f"{name}:cell {before.number}", before.source or "", after.source or "")
    else:
        yield from _unified(name, decode(old), decode(new))


def painted(line: str) -> str:
    """A line of a diff as terminals show it."""
    line = plain(line)
    colour = next((colour for start, colour in _COLOURS.items() if line.startswith(start)), "")
    return f"\x1b[{colour}m{line}\x1b[0m" if colour else line


def between(old_name: str, old: str, new_name: str, new: str) -> Iterator[str]:
    """The lines of a unified diff from one text to another."""
    yield from unified_diff(old.split("\n"), new.split("\n"), plain(old_name), plain(new_name), lineterm="")


def _unified(name: str, old: str, new: str) -> Iterator[str]:
    yield from between(name, old, name, new)
