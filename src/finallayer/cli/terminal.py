"""What every verb needs of the terminal: whether to colour, and writing text that it may not be able to show."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from finallayer.check.filters import Note

#: The exit code of a command that could not do what it was asked.
COULD_NOT_RUN = 2
#: The exit code of a command that was interrupted: 128 and the number of the signal, as shells have it.
INTERRUPTED = 130


def wants_colour() -> bool:
    """Colour for a terminal, unless NO_COLOR is set (https://no-color.org); always with FORCE_COLOR."""
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or (sys.stdout.isatty() and os.environ.get("TERM") != "dumb")


def show(lines: Iterable[str]) -> None:
    """Write lines to standard output. What its encoding can't hold is escaped, such as a path that isn't UTF-8."""
    text = "".join(f"{line}\n" for line in lines)
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode(sys.stdout.encoding or "utf-8", errors="backslashreplace"))
    sys.stdout.buffer.flush()


def say(message: str) -> None:
    """Write one line to standard error."""
    click.echo(f"finallayer: {message}".encode(errors="backslashreplace"), err=True)


def noted(note: Note) -> str:
    """A note on a file, after the file's name."""
    from finallayer.report.places import shown_path

    line = "" if note.line is None else f":{note.line}"
    return f"{shown_path(note.path)}{line}: {note.text}"
