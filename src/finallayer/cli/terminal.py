"""What every verb needs of the terminal: whether to colour, and writing text that it may not be able to show."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TextIO

import click

from finallayer.cli.signals import INTERRUPTED, Interruptions, interruptible
from finallayer.disk import MOST_BYTES

if TYPE_CHECKING:
    from finallayer.findings import Note

#: The path that means standard input.
STDIN = "-"
#: The exit code of a command that could not do what it was asked.
COULD_NOT_RUN = 2


def wants_colour(aside: bool = False) -> bool:
    """Colour for a terminal, unless NO_COLOR is set (https://no-color.org); always with FORCE_COLOR."""
    stream = sys.stderr if aside else sys.stdout
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"


def show(lines: Iterable[str], aside: bool = False) -> None:
    """Write lines to standard output, or ``aside`` to standard error, where output is for the programs behind a pipe.

    What the encoding can't hold is escaped, such as a path that isn't UTF-8.
    """
    stream = sys.stderr if aside else sys.stdout
    text = "".join(f"{line}\n" for line in lines)
    if stream is not None:  # closed (``>&-``)
        _write(stream, text.encode(stream.encoding or "utf-8", errors="backslashreplace"))


def show_exactly(data: bytes) -> None:
    """Write bytes to standard output as they are."""
    if sys.stdout is not None:
        _write(sys.stdout, data)


def _write(stream: TextIO, data: bytes) -> None:
    try:
        stream.flush()
        stream.buffer.write(data)
        stream.buffer.flush()
    except BrokenPipeError:  # nobody reads on, as behind `head`
        discard(stream)
    except OSError as error:
        could_not_write(error)


def discard(stream: TextIO) -> None:
    """Have Python not try, and complain, once more when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def could_not_write(error: OSError) -> NoReturn:
    """Say that standard output could not be written, and end the command."""
    if sys.stdout is not None:
        discard(sys.stdout)
    say(f"the output could not be written: {error.strerror or error}")
    sys.exit(COULD_NOT_RUN)


def run_interruptibly(run: Callable[[Interruptions], int]) -> NoReturn:
    """Run a verb and exit with its code, or with the one for what kept it from running, which is said in one line."""
    from finallayer.check.check_error import CheckError

    working_folder()  # all that is said of files starts from it
    try:
        with interruptible() as signals:
            code = run(signals)
    except CheckError as error:
        say(str(error))
        code = COULD_NOT_RUN
    except OSError as error:  # a file that went away meanwhile, say
        say(": ".join(filter(None, (error.filename, error.strerror or str(error)))))
        code = COULD_NOT_RUN
    except KeyboardInterrupt:
        say("interrupted")
        code = INTERRUPTED
    sys.exit(code)


def working_folder() -> str:
    """Where the command runs; it ends where there is no such folder any more."""
    try:
        return os.getcwd()  # noqa: PTH109
    except OSError:
        say("the working folder doesn't exist any more")
        sys.exit(COULD_NOT_RUN)


def is_terminal() -> bool:
    """Whether there is somebody who could be asked."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))


def read_stdin(stands_for: Path | None) -> tuple[str, bytes]:
    """The absolute path that standard input stands for, and its content."""
    from finallayer.check.check_error import CheckError

    path = os.path.abspath(stands_for or "<stdin>")  # noqa: PTH100 (links are not followed)
    if sys.stdin is None:  # ``<&-``
        raise CheckError("-: standard input is closed")
    data = sys.stdin.buffer.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise CheckError(f"-: standard input is too large (the most is {MOST_BYTES:,} bytes)")
    return path, data


def say(message: str) -> None:
    """Write one line to standard error, as far as that can be written to."""
    from finallayer.report.places import plain

    with suppress(OSError):
        click.echo(f"finallayer: {plain(message)}".encode(errors="backslashreplace"), err=True)


def noted(note: Note) -> str:
    """A note on a file, after the file's name."""
    from finallayer.report.places import shown_path

    line = "" if note.line is None else f":{note.line}"
    return f"{shown_path(note.path)}{line}: {note.text}"
