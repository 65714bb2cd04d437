"""``finallayer audit``: run a script, and audit the losses that it really computes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from finallayer import report
from finallayer.check.config import SEVERITIES
from finallayer.cli.terminal import COULD_NOT_RUN, say, show, working_folder
from finallayer.disk import size_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from finallayer.auditing import Audit


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    epilog="Exit code: 0 no findings, 1 findings, 2 the script failed, or no loss was met.",
)
@click.argument("script", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[ARGS]...")
@click.option("--go-on", is_flag=True, help="Let the script go on after its first loss, and audit the others, too.")
@click.option(
    "--severity", type=click.Choice(list(SEVERITIES)), default="advice", help="The least severity that counts."
)
@click.option(
    "--output-format",
    type=click.Choice(list(report.FORMATS)),
    default="text",
    help="; ".join(f"{name}: {what}" for name, what in report.FORMATS.items()) + ".",
)
def command(script: Path, arguments: Sequence[str], go_on: bool, severity: str, output_format: str) -> None:
    """Run a script that trains, and audit the losses whose gradient it asks for.

    Of PyTorch (`backward()`), JAX (`grad`, `value_and_grad`), TensorFlow (`GradientTape.gradient`), and Keras (`fit`)
    on each of them. The script's code is EXECUTED, with the given arguments, as `python SCRIPT ARGS...` would. It ends
    at its first loss, before anything is trained.
    """
    from finallayer.auditing.script import run

    working_folder()
    try:
        size_of(script)  # a pipe would keep us waiting, a device would never end
    except OSError as error:
        say(f"{script}: {error.strerror}; expected a script")
        raise SystemExit(COULD_NOT_RUN) from None
    say(f"executing {script}")
    done = run(script, arguments, go_on, _tell if output_format == "text" else _keep)
    if not done.audits:
        say("no loss was met: the script asked for no gradient in this process")
    found = [f for audit in done.audits for f in audit.findings if f.severity >= SEVERITIES[severity]]
    if output_format != "text":
        lines = done.audits[0].lines if done.audits else report.Report(()).lines
        show(report.render(output_format, report.Report(found, 1, lines)))
    raise SystemExit(COULD_NOT_RUN if done.failed or not done.audits else int(bool(found)))


def _tell(audit: Audit) -> None:
    show(str(audit).splitlines())


def _keep(_audit: Audit) -> None:
    """What is shown at the end."""
