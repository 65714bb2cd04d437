"""``finallayer compare``: run the article's experiment and answer its question with measurements."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

import click

BAD_INPUT, INTERRUPTED = 2, 130


def _names(ctx: click.Context, param: click.Parameter, value: str | None) -> list[str] | None:
    """Names separated by commas; what they may be is checked where the tables are."""
    return None if value is None else [name for part in value.split(",") if (name := part.strip())]


@click.command()
@click.option(
    "--data",
    default="digits",
    show_default=True,
    metavar="NAME",
    help="digits, mnist, fashion-mnist, or FILE.npz with x and y.",
)
@click.option(
    "--data-dir", type=click.Path(path_type=Path), help="Folder with the idx files; otherwise they are downloaded once."
)
@click.option("--backends", metavar="LIST", callback=_names, help="Default: every one that is installed.")
@click.option("--precisions", metavar="LIST", callback=_names, default="float32,mixed_bfloat16", show_default=True)
@click.option("--inputs", metavar="LIST", callback=_names, default="raw,scaled", show_default=True)
@click.option("--heads", metavar="LIST", callback=_names, help="Default: all of them.")
@click.option("--epochs", type=click.IntRange(1), default=5, show_default=True)
@click.option("--seeds", type=click.IntRange(1), default=4, show_default=True, help="Runs of each cell.")
@click.option("--batch-size", type=click.IntRange(1), default=32, show_default=True)
@click.option("--jobs", type=click.IntRange(1), help="Backends at a time.  [default: one a CPU core]")
@click.option(
    "--out", type=click.Path(path_type=Path), default="finallayer-report", show_default=True, help="Report folder."
)
@click.option("--resume", is_flag=True, help="Go on with the unfinished run in the report folder.")
def command(**options: Any) -> None:
    """Train the same classifier with softmax in the model and softmax in the loss.

    Writes results.json, report.html and the figures into the report folder, and prints a table and a verdict. Exits 0
    when every requested run finished, 1 when some are missing, 2 when it could not start, 130 after Ctrl-C.
    """
    from finallayer.compare.errors import BadInputError
    from finallayer.compare.session import compare

    for ending in (signal.SIGINT, signal.SIGTERM):  # also where a shell started us with Ctrl-C ignored
        signal.signal(ending, signal.default_int_handler)
    try:
        code = compare(**options)
    except BadInputError as error:
        click.echo(f"Error: {error}", err=True)
        code = BAD_INPUT
    except KeyboardInterrupt:
        code = INTERRUPTED
    sys.exit(code)
