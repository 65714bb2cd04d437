"""The ``finallayer`` command: a verb each in a file of its own, imported when it is called."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import click

from finallayer import __version__
from finallayer.cli.signals import INTERRUPTED, never_lost

# verb -> one-line help; the verb's command is `command` in finallayer.cli.<verb>
VERBS: dict[str, str] = {
    "compare": "Train with softmax in the model and in the loss, and measure the difference.",
    "check": "Find where a model's output and its loss disagree, in source and notebooks.",
    "fix": "Fix what check finds, where the fix is proven.",
    "audit": "Run a PyTorch script, and audit the losses that it really computes.",
    "probe": "Measure a loss: to which margins it is right, and what it does at its ends.",
    "head": "Tell what a saved model gives, logits or probabilities; take its softmax out, or put it in.",
    "server": "Speak to an editor, or an agent: findings, fixes and what is known of a value.",
    "rules": "List the rules.",
    "explain": "Explain a rule.",
}


class Verbs(click.Group):
    """A group whose verbs are imported only when they run, so that ``--help`` and ``check`` start fast."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"finallayer.cli.{cmd_name}")
        command: click.Command = module.command
        return command

    def make_context(self, *args: Any, **options: Any) -> click.Context:
        with _ended_quietly():
            return super().make_context(*args, **options)

    def invoke(self, ctx: click.Context) -> Any:
        with _ended_quietly():
            return super().invoke(ctx)

    def main(self, *args: Any, **options: Any) -> Any:
        """Run a verb. What can't be written (a full disk behind standard output) is one line."""
        try:
            with never_lost():
                return super().main(*args, **options)
        except OSError as error:
            from finallayer.cli.terminal import could_not_write

            could_not_write(error)

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


@contextmanager
def _ended_quietly() -> Iterator[None]:
    """Around all that runs: it has done its work where nobody reads on, as behind ``head``; Ctrl-C is one line."""
    try:
        yield
    except KeyboardInterrupt:
        with suppress(OSError):
            click.echo("finallayer: interrupted", err=True)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        from finallayer.cli.terminal import discard

        discard(sys.stdout)
        sys.exit(0)


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", prog_name="finallayer")
def main() -> None:
    """Should softmax still be the final layer? Keep softmax in the loss."""
