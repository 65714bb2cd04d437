"""``finallayer probe``: measure a loss of one's own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from operator import attrgetter
from traceback import format_exception_only
from typing import Any, NoReturn

import click

from finallayer.cli.terminal import COULD_NOT_RUN, say, show, working_folder
from finallayer.numerics.formats import FORMATS

#: What a loss is looked for with, where its module doesn't say it.
FRAMEWORKS = ("torch", "jax", "keras", "tensorflow", "numpy")


@click.command(epilog="Exit code: 0 measured, 2 the loss could not be imported, or not be called in any usual way.")
@click.argument("loss", metavar="MODULE:FUNCTION")
@click.option(
    "--classes", type=click.IntRange(1), default=10, show_default=True, help="Logits a row; 1: a binary loss."
)
@click.option("--dtype", type=click.Choice(list(FORMATS)), default="float32", show_default=True, help="Of the logits.")
@click.option("--framework", type=click.Choice(FRAMEWORKS), help="Where the loss doesn't show it.")
@click.option("--plot", type=click.Path(dir_okay=False), metavar="FILE", help="A picture, too: FILE.png or FILE.svg.")
@click.option("--output-format", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(loss: str, classes: int, dtype: str, framework: str | None, plot: str | None, output_format: str) -> None:
    """Measure a loss of logits and labels: to which margins its gradient is right, and what it does at its ends.

    MODULE is imported, which EXECUTES its code, and so is FUNCTION: a function, an object that can be called, or a
    class of losses, such as torch.nn.functional:cross_entropy or train:my_loss.
    """
    from finallayer.probing import probe

    found = _imported(loss)
    with _told(f"{loss} could not be measured"):
        try:
            card = probe(found, classes, dtype, framework)
        except (TypeError, ValueError, ImportError) as error:
            _give_up(str(error))
    if plot is not None:
        try:
            card.plot(plot)
        except (ImportError, OSError, ValueError) as error:
            _give_up(f"no picture: {error}")
    show([card.to_json()] if output_format == "json" else str(card).splitlines())


def _imported(place: str) -> Any:
    """What a module, found from the working folder on, holds by this name."""
    module, _, name = place.partition(":")
    if not module or not name:
        _give_up(f"{place}: expected MODULE:FUNCTION, such as torch.nn.functional:cross_entropy")
    say(f"importing {module}, which executes it")
    sys.path.insert(0, working_folder())  # as Python itself does
    with _told(f"{module} could not be imported"):
        found = import_module(module)
    with _told(f"{module} doesn't give {name}"):
        try:
            return attrgetter(name)(found)
        except AttributeError:
            _give_up(f"{module} has no {name}")


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Around code of the user's: whatever it ends with, ``sys.exit()`` too, is one line, and no measurement."""
    try:
        yield
    except (KeyboardInterrupt, _GivenUp):
        raise
    except BaseException as error:
        _give_up(f"{what}: {format_exception_only(error)[-1].strip()}")


class _GivenUp(SystemExit):
    """What ends the command once it is said why."""


def _give_up(why: str) -> NoReturn:
    say(why)
    raise _GivenUp(COULD_NOT_RUN)
