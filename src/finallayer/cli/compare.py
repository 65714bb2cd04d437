"""``finallayer compare``: run the article's experiment and answer its question with measurements."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Callable, Iterable
from importlib import util
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from finallayer.cli.signals import INTERRUPTED
from finallayer.cli.terminal import say, working_folder
from finallayer.compare.backends import BY_NAME
from finallayer.compare.compare_error import BadInputError
from finallayer.compare.grid import INPUTS, PRECISIONS
from finallayer.compare.heads import ALL, DEFAULT, choices
from finallayer.report.places import plain

BAD_INPUT = 2
# What the extra brings beside the frameworks: asked for before hours of training, not after.
NEEDED = ("filelock", "jinja2", "matplotlib", "numpy", "pooch", "rich", "scipy", "sklearn")

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _split(_ctx: click.Context, _param: click.Parameter, value: str | None) -> list[str] | None:
    """Names separated by commas; what they may be is checked where the tables are."""
    return None if value is None else [name for part in value.split(",") if (name := part.strip())]


def _completes(names: Iterable[str]) -> Complete:
    """Complete the last of a comma-separated list of names."""
    known = list(names)

    def complete(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        before, comma, start = incomplete.rpartition(",")
        return [CompletionItem(before + comma + name) for name in known if name.startswith(start)]

    return complete


def _list_option(name: str, names: Iterable[str], default: str | None, otherwise: str = "") -> Callable[..., Any]:
    known = list(names)
    return click.option(
        name,
        metavar="LIST",
        callback=_split,
        default=default,
        show_default=default is not None,
        shell_complete=_completes(known),
        help=f"Some of {', '.join(known)}.{otherwise}",
    )


@click.command()
@click.option(
    "--data",
    default="digits",
    show_default=True,
    metavar="NAME",
    help="digits, mnist, fashion-mnist, or FILE.npz with arrays x and y, or x_train, y_train, x_test and y_test.",
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder with the idx files of mnist or fashion-mnist; without it they are downloaded once.",
)
@_list_option("--backends", BY_NAME, None, "  [default: all that are installed]")
@_list_option("--precisions", PRECISIONS, "float32,mixed_bfloat16")
@_list_option("--inputs", INPUTS, "raw,scaled")
@_list_option("--heads", [*choices(), ALL], ",".join(DEFAULT))
@click.option("--epochs", type=click.IntRange(1), default=5, show_default=True, help="Passes through the data.")
@click.option("--seeds", type=click.IntRange(1), default=4, show_default=True, help="Runs of each combination.")
@click.option("--batch-size", type=click.IntRange(1), default=32, show_default=True, help="Samples a step.")
@click.option("--jobs", type=click.IntRange(1), help="Backends at a time.  [default: one a CPU core]")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default="finallayer-report",
    show_default=True,
    metavar="DIR",
    help="Report folder.",
)
@click.option("--resume", is_flag=True, help="Go on with the unfinished run in the report folder.")
def command(**options: Any) -> None:
    """Train the same classifier with softmax in the model and softmax in the loss.

    Runs every combination of the lists below, prints a table and a verdict, and writes results.json, report.html and
    the figures into the report folder. Lists are separated by commas.

    Exits 0 when every requested run finished, 1 when some are missing, 2 when it could not start, 130 after Ctrl-C.
    """
    for ending in (signal.SIGINT, signal.SIGTERM):  # also where a shell started us with Ctrl-C ignored
        signal.signal(ending, signal.default_int_handler)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # but nohup means it
        signal.signal(signal.SIGHUP, signal.default_int_handler)
    working_folder()
    try:
        code = _compare(options)
    except BadInputError as error:
        click.echo(f"Error: {plain(str(error))}", err=True)
        code = BAD_INPUT
    except OSError as error:  # a disk that filled up, say: what was finished is on it
        what = plain(str(error.filename or "the report or the output"))
        click.echo(f"Error: {what}: {error.strerror or error}", err=True)
        code = BAD_INPUT
    except KeyboardInterrupt:
        say("interrupted")
        code = INTERRUPTED
    sys.exit(code)


def _compare(options: dict[str, Any]) -> int:
    missing = [module for module in NEEDED if util.find_spec(module) is None]
    if missing:
        raise BadInputError(
            f"compare needs {', '.join(missing)}, not installed; expected the extra: pip install 'finallayer[compare]'"
        )
    from finallayer.compare.session import compare

    return compare(**options, command=shlex.join(["finallayer", *sys.argv[1:]]))
