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
from finallayer.report.places import plain, plain_start

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
@click.argument("script", required=False, type=click.Path(path_type=Path), metavar="[SCRIPT]")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[-- ARGS...]")
@click.option(
    "--against", type=click.Path(path_type=Path), metavar="OTHER", help="With SCRIPT: what to compare it with."
)
@click.option("--metric", metavar="REGEX", help="With SCRIPT: the metric in its output; the last group is the number.")
@click.option("--lower-is-better", is_flag=True, help="With SCRIPT: of --metric.")
@click.option("--unsafe-fixes", is_flag=True, help="With SCRIPT: make fixes that change what others read, too.")
@click.option(
    "--engine",
    default="local",
    metavar="ENGINE",
    help="With SCRIPT: local, dask:ADDRESS or slurm[:PARTITION].  [local]",
)
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

    Without SCRIPT it is the article's network: every combination of the lists below. Prints a table and a verdict, and
    writes results.json, report.html and the figures into the report folder. Lists are separated by commas.

    With SCRIPT it is your own program, a Python file or a notebook, against the same with what `finallayer fix` makes
    of it (or --against OTHER). The code of both is EXECUTED, with ARGS, once a seed, each time in a copy of the working
    folder; your files are left as they are.

    Exits 0 when every requested run finished, 1 when some are missing, 2 when it could not start, 130 after Ctrl-C.
    """
    for ending in (signal.SIGINT, signal.SIGTERM):  # also where a shell started us with Ctrl-C ignored
        signal.signal(ending, signal.default_int_handler)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # but nohup means it
        signal.signal(signal.SIGHUP, signal.default_int_handler)
    working_folder()
    ours = {name: options.pop(name) for name in _OF_SCRIPT}
    context = click.get_current_context()
    try:
        if ours["script"] is None:
            _must_not_be_given(context, _OF_SCRIPT, "goes with a SCRIPT")
            code = _compare(options)
        else:
            _must_not_be_given(context, _OF_ARTICLE, _NOT_OF_SCRIPT)
            code = _compare_own(ours, options)
    except BadInputError as error:
        first, *others = map(str, error.args)
        for line in (f"Error: {plain(first)}", *map(plain_start, others)):
            click.echo(line, err=True)
        code = BAD_INPUT
    except OSError as error:  # a disk that filled up, say: what was finished is on it
        what = plain(str(error.filename or "the report or the output"))
        click.echo(f"Error: {what}: {error.strerror or error}", err=True)
        code = BAD_INPUT
    except KeyboardInterrupt:
        say("interrupted")
        code = INTERRUPTED
    sys.exit(code)


#: What goes with a script, and what without one.
_OF_SCRIPT = "script arguments against metric lower_is_better unsafe_fixes engine".split()
_OF_ARTICLE = "data data_dir backends precisions inputs heads epochs batch_size".split()


_NOT_OF_SCRIPT = "is of the article's network, and doesn't go with a SCRIPT, whose arguments stand behind --"


def _must_not_be_given(context: click.Context, names: Iterable[str], why: str) -> None:
    given = click.core.ParameterSource.COMMANDLINE
    for name in names:
        if context.get_parameter_source(name) is given and context.params[name] != ():  # none at all, in an old click
            raise BadInputError(f"--{name.replace('_', '-')} {why}")


def _compare_own(ours: dict[str, Any], options: dict[str, Any]) -> int:
    _must_be_installed()
    from finallayer.check.check_error import CheckError
    from finallayer.cli.own_program import compare_own

    plan = {name: options[name] for name in ("seeds", "jobs", "out", "resume")}
    plan |= {name: ours[name] for name in ("metric", "lower_is_better", "engine")}
    try:
        return compare_own(
            ours["script"], ours["arguments"], ours["against"], ours["unsafe_fixes"], plan | {"command": _command()}
        )
    except CheckError as error:
        raise BadInputError(str(error)) from None


def _compare(options: dict[str, Any]) -> int:
    _must_be_installed()
    from finallayer.compare.session import compare

    return compare(**options, command=_command())


def _command() -> str:
    return shlex.join(["finallayer", *sys.argv[1:]])


def _must_be_installed() -> None:
    missing = [module for module in NEEDED if util.find_spec(module) is None]
    if missing:
        raise BadInputError(
            f"compare needs {', '.join(missing)}, not installed; expected the extra: pip install 'finallayer[compare]'"
        )
