"""``finallayer fix``: move softmax from the model into the loss, where that can be proven right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from finallayer.check.config import SEVERITIES
from finallayer.cli.options import STDIN_ALONE, Several, flat
from finallayer.cli.terminal import (
    COULD_NOT_RUN,
    STDIN,
    is_terminal,
    noted,
    read_stdin,
    run_interruptibly,
    say,
    show,
    wants_colour,
)

if TYPE_CHECKING:
    from finallayer.check.run import Outcome
    from finallayer.cli.fixing import Fixing
    from finallayer.cli.signals import Interruptions
    from finallayer.cli.spot import Spot
    from finallayer.fix.repair import Repair

#: The most places that are named where none is what was asked for.
MOST_PLACES = 6


@dataclass(frozen=True)
class Options:
    """What the command line asks for."""

    paths: Sequence[Path]
    show_diff: bool
    unsafe_fixes: bool
    spot: str | None
    interactive: bool
    show_fixes: bool
    exit_non_zero_on_fix: bool
    select: Sequence[Sequence[str]]
    ignore: Sequence[Sequence[str]]
    severity: str | None
    stdin_filename: Path | None
    jobs: int | None

    def check(self) -> None:
        """Raises UsageError for what doesn't go together."""
        if not self.paths and self.spot is None:
            raise click.UsageError("Name the files or folders to fix, or '.' for this one.")
        if self.show_diff and self.interactive:
            raise click.UsageError("--diff changes nothing, --interactive asks what to change: choose one.")
        if Path(STDIN) in self.paths and len(self.paths) > 1:
            raise click.UsageError(STDIN_ALONE)
        if self.interactive and not is_terminal():
            raise click.UsageError("--interactive asks on a terminal, and this isn't one.")


@click.command(
    epilog="Exit code: 0 nothing is left, 1 findings remain (with --diff: there is something to fix), 2 could "
    "not run, or not read or write a file. Settings are read from [tool.finallayer] in the nearest pyproject.toml, as "
    "by `finallayer check`."
)
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path, readable=False), metavar="PATH...")
@click.option("--diff", "show_diff", is_flag=True, help="Show what would change, and change nothing.")
@click.option(
    "--unsafe-fixes", is_flag=True, help="Also make the fixes that change what some reader of a model's output sees."
)
@click.option("--at", "spot", metavar="FILE:LINE", help="Fix only what is found there (book.ipynb:cell 3:LINE).")
@click.option("--interactive", is_flag=True, help="Show each fix and ask whether to make it.")
@click.option("--show-fixes/--no-show-fixes", default=True, help="List what was fixed, a line a file [yes].")
@click.option("--exit-non-zero-on-fix", is_flag=True, help="Exit with 1 where anything was fixed, too.")
@click.option("--select", type=Several(), multiple=True, help="Only these rules: codes, the start of codes, or names.")
@click.option("--ignore", type=Several(), multiple=True, help="Not these rules.")
@click.option("--severity", type=click.Choice(list(SEVERITIES)), help="The least severity to fix [advice].")
@click.option(
    "--stdin-filename", type=click.Path(path_type=Path), help="The file that '-' (standard input) stands for."
)
@click.option("--jobs", "-j", type=click.IntRange(min=1), help="The most processes; by default one a processor.")
def command(**options: Any) -> None:
    """Fix what `finallayer check` finds, where the fix is proven.

    Each fix is proven before it is made: the old and the new loss are evaluated side by side, and agree wherever the
    old one was right. PATH is a Python file, a notebook, a folder, or - for standard input; its fixed text is printed.
    """
    wanted = Options(**options)
    wanted.check()
    run_interruptibly(partial(_fix, wanted))


def _fix(options: Options, signals: Interruptions) -> int:
    from finallayer.check import config, run
    from finallayer.cli.choosing import Bounds
    from finallayer.cli.fixing import Fixing
    from finallayer.rules import all_rules

    spot = _spot(options)
    stdin = read_stdin(options.stdin_filename) if Path(STDIN) in options.paths else None
    on_disk = [p for p in options.paths if p != Path(STDIN)] or ([] if stdin or not spot else [Path(spot.path)])
    rules = all_rules()
    found = config.find([*on_disk, *([Path(stdin[0])] if stdin else [])], rules)
    settings = found.with_options(flat(options.select), flat(options.ignore), options.severity, rules)
    first = run.check(on_disk, settings, rules, stdin=stdin, use_cache=False, jobs=options.jobs)
    for note in first.notes:
        say(noted(note))
    if spot is not None:
        _must_be_found(spot, first)
    bounds = Bounds([*on_disk, *([Path(stdin[0])] if stdin else [])])
    fixing = Fixing(first, settings, rules, options.unsafe_fixes, bounds, stdin)
    return _told(options, fixing, *_repaired(options, spot, fixing), signals)


def _spot(options: Options) -> Spot | None:
    from finallayer.cli.spot import Spot

    return None if options.spot is None else Spot.read(options.spot, "--at")


def _must_be_found(spot: Spot, first: Outcome) -> None:
    """Raises CheckError where nothing is found on the line, with the lines on which something is."""
    from finallayer.check.check_error import CheckError
    from finallayer.report.places import shown, shown_path

    if any(spot.covers(f.origin) for f in first.findings):
        return
    there = dict.fromkeys(shown(f.origin).rpartition(":")[0] for f in first.findings if f.origin.path == spot.path)
    instead = f"; there is at {', '.join(list(there)[:MOST_PLACES])}" if there else ""
    cell = "" if spot.code_cell is None else f"cell {spot.code_cell}:"
    raise CheckError(f"--at: no finding at {shown_path(spot.path)}:{cell}{spot.line}{instead}")


def _repaired(options: Options, spot: Spot | None, fixing: Fixing) -> tuple[Repair, Outcome]:
    """What the fixes that are asked for come to, and what they leave."""
    from finallayer.cli import choosing

    choose = fixing.choice() if spot is None else choosing.at(spot, fixing.choice())
    asking = choosing.Asking(choose, choosing.next_answer, wants_colour())
    repaired = fixing.repaired(asking if options.interactive else choose)
    left = fixing.left(repaired, asking.declined)
    if spot is not None:  # where something was fixed, its line may be another now
        left = replace(left, findings=tuple(f for f in left.findings if not repaired.fixed and spot.covers(f.origin)))
    return repaired, left


def _told(options: Options, fixing: Fixing, repaired: Repair, left: Outcome, signals: Interruptions) -> int:
    """Write or show what was worked out, say what is left, and give the exit code."""
    from finallayer.cli.fixing import closing, finish, worked_out
    from finallayer.cli.reporting import report_of
    from finallayer.report.text import render

    if options.show_diff:
        _show_diff(repaired)
    done = worked_out(repaired) if options.show_diff else finish(fixing, repaired, signals)
    aside = options.show_diff or fixing.stdin is not None
    said = closing(done, left, "Would fix" if options.show_diff else "Fixed", listed=options.show_fixes)
    show(render(report_of(left, aside=aside, closing=said, reasons=True)), aside)
    if done.failed or not left.complete:
        return COULD_NOT_RUN
    if options.show_diff:
        return int(bool(repaired.changed))
    return int(bool(left.findings) or (options.exit_non_zero_on_fix and bool(done.mended)))


def _show_diff(repaired: Repair) -> None:
    from finallayer.report.diff import differences, painted
    from finallayer.report.places import plain

    lines = (line for doc, new in repaired.changed for line in differences(str(doc.path), doc.data, new))
    as_read = map(plain, lines) if is_terminal() else lines  # behind a pipe they are a patch, byte for byte
    show(map(painted, lines) if wants_colour() else as_read)
