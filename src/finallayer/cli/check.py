"""``finallayer check``: find where a classifier's final layer and its loss disagree, in source that nobody runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from finallayer import report
from finallayer.check.config import SEVERITIES
from finallayer.cli.options import Several, flat
from finallayer.cli.terminal import COULD_NOT_RUN, INTERRUPTED, noted, say, show, wants_colour

if TYPE_CHECKING:
    from finallayer.check.run import Outcome

STDIN = "-"


def _formats(ctx: click.Context, _param: click.Parameter, value: str) -> str:
    if ctx.params.get("show_statistics"):
        from finallayer.report import tally

        if value not in tally.FORMATS:
            raise click.UsageError(f"--statistics comes as {' or '.join(tally.FORMATS)}, not {value}.")
    return value


@click.command(
    epilog="Exit code: 0 no findings, 1 findings, 2 could not run. Settings are read from [tool.finallayer] in the "
    "nearest pyproject.toml. A comment '# finallayer: ignore[FL101]' on a line of the statement keeps a finding quiet, "
    "'# finallayer: ignore-file' a file."
)
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="PATH...")
@click.option(
    "--statistics", "show_statistics", is_flag=True, is_eager=True, help="Show how often each rule was met instead."
)
@click.option(
    "--output-format",
    type=click.Choice(list(report.FORMATS)),
    default="text",
    callback=_formats,
    help="; ".join(f"{name}: {what}" for name, what in report.FORMATS.items()) + ".",
)
@click.option("--select", type=Several(), multiple=True, help="Only these rules: codes, the start of codes, or names.")
@click.option("--ignore", type=Several(), multiple=True, help="Not these rules.")
@click.option("--severity", type=click.Choice(list(SEVERITIES)), help="The least severity to report [advice].")
@click.option("--exit-zero", is_flag=True, help="Exit with 0 even if there are findings.")
@click.option("--no-cache", is_flag=True, help="Neither read nor write .finallayer_cache.")
@click.option(
    "--stdin-filename", type=click.Path(path_type=Path), help="The file that '-' (standard input) stands for."
)
@click.option("--jobs", "-j", type=click.IntRange(min=1), help="The most processes; by default one a processor.")
def command(
    paths: Sequence[Path],
    show_statistics: bool,
    output_format: str,
    select: Sequence[Sequence[str]],
    ignore: Sequence[Sequence[str]],
    severity: str | None,
    exit_zero: bool,
    no_cache: bool,
    stdin_filename: Path | None,
    jobs: int | None,
) -> None:
    """Find where a model's output and its loss disagree, or agree by an unstable route.

    PATH is a Python file, a notebook, a folder, or - for standard input. Nothing of yours is executed or imported.
    """
    from finallayer.check import config, run
    from finallayer.check.check_error import CheckError
    from finallayer.rules import all_rules

    if not paths:
        raise click.UsageError("Name the files or folders to check, or '.' for this one.")
    stdin = _stdin(stdin_filename) if Path(STDIN) in paths else None
    on_disk = [p for p in paths if p != Path(STDIN)]
    try:
        rules = all_rules()
        found = config.find([*on_disk, *([Path(stdin[0])] if stdin else [])], rules)
        settings = found.with_options(flat(select), flat(ignore), severity, rules)
        outcome = run.check(
            on_disk,
            settings,
            rules,
            stdin=stdin,
            use_cache=not no_cache,
            jobs=jobs,
            fixes=output_format in report.WITH_FIXES,
        )
    except CheckError as error:
        say(str(error))
        sys.exit(COULD_NOT_RUN)
    except KeyboardInterrupt:
        say("interrupted")
        sys.exit(INTERRUPTED)
    for note in outcome.notes:
        say(noted(note))
    show(_rendered(outcome, output_format, show_statistics))
    sys.exit(1 if outcome.findings and not exit_zero else 0)


def _stdin(stands_for: Path | None) -> tuple[str, bytes]:
    path = os.path.abspath(stands_for) if stands_for else os.path.join(os.getcwd(), "<stdin>")  # noqa: PTH100, PTH109, PTH118
    return path, sys.stdin.buffer.read()


def _rendered(outcome: Outcome, output_format: str, show_statistics: bool) -> Iterable[str]:
    if show_statistics:
        from finallayer.report import tally

        return tally.FORMATS[output_format](outcome.findings)
    shown = report.Report(outcome.findings, outcome.files, outcome.sources.lines, wants_colour())
    return report.render(output_format, shown)
