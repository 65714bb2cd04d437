"""``finallayer fix``: move softmax from the model into the loss, where that can be proven right."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from finallayer.check.config import SEVERITIES
from finallayer.cli.options import Several, flat
from finallayer.cli.terminal import COULD_NOT_RUN, noted, say, show

if TYPE_CHECKING:
    from finallayer.fix.repair import Repair


@click.command(
    epilog="Exit code: 0 nothing is left, 1 findings remain (with --diff: there is something to fix), 2 could "
    "not run. Settings are read from [tool.finallayer] in the nearest pyproject.toml, as by `finallayer check`."
)
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="PATH...")
@click.option("--diff", "show_diff", is_flag=True, help="Show what would change, and change nothing.")
@click.option(
    "--unsafe-fixes", is_flag=True, help="Also make the fixes that change what some reader of a model's output sees."
)
@click.option("--select", type=Several(), multiple=True, help="Only these rules: codes, the start of codes, or names.")
@click.option("--ignore", type=Several(), multiple=True, help="Not these rules.")
@click.option("--severity", type=click.Choice(list(SEVERITIES)), help="The least severity to fix [advice].")
@click.option("--jobs", "-j", type=click.IntRange(min=1), help="The most processes; by default one a processor.")
def command(
    paths: Sequence[Path],
    show_diff: bool,
    unsafe_fixes: bool,
    select: Sequence[Sequence[str]],
    ignore: Sequence[Sequence[str]],
    severity: str | None,
    jobs: int | None,
) -> None:
    """Fix what `finallayer check` finds, where the fix is proven.

    Each fix is proven before it is made: the old and the new loss are evaluated side by side, and agree wherever the
    old one was right. A file takes all of its fixes or none. PATH is a Python file, a notebook or a folder.
    """
    from finallayer.check import config, run
    from finallayer.check.check_error import CheckError
    from finallayer.fix.repair import repair
    from finallayer.rules import all_rules

    if not paths:
        raise click.UsageError("Name the files or folders to fix, or '.' for this one.")
    try:
        rules = all_rules()
        settings = config.find(paths, rules).with_options(flat(select), flat(ignore), severity, rules)
        first = run.check(paths, settings, rules, use_cache=False, jobs=jobs)
        again = partial(run.found_in, config=settings, rules=rules)
        repaired = repair(first.concerned, again, unsafe=unsafe_fixes)
    except CheckError as error:
        say(str(error))
        sys.exit(COULD_NOT_RUN)
    for note in first.notes:
        say(noted(note))
    if show_diff:
        from finallayer.report.diff import differences

        show(line for document, new in repaired.changed for line in differences(str(document.path), document.data, new))
        say(_summary(repaired, first.files, len(repaired.changed), "Would fix"))
        sys.exit(1 if repaired.changed else 0)
    written = _write(repaired)
    show([_summary(repaired, first.files, written, "Fixed")])
    sys.exit(COULD_NOT_RUN if written < len(repaired.changed) else 1 if repaired.remaining else 0)


def _write(repaired: Repair) -> int:
    """Write the changed files, those that belong together all or none; how many could be."""
    from finallayer.fix.text.documents import write_together
    from finallayer.report.places import shown_path

    written = 0
    for changes in repaired.together:
        try:
            write_together(changes)
            written += len(changes)
        except OSError as error:
            names = ", ".join(shown_path(str(document.path)) for document, _ in changes)
            say(f"{names}: not fixed: {error.strerror or error}")
    return written


def _summary(repaired: Repair, files: int, changed: int, done: str) -> str:
    if not repaired.fixed and not repaired.remaining:
        return f"Nothing to fix in {_count(files, 'file')}."
    parts = [f"{done} {_count(repaired.fixed, 'finding')} in {_count(changed, 'file')}"]
    left = len(repaired.remaining) - repaired.unsafe
    if repaired.unsafe:
        parts.append(f"{repaired.unsafe} more with --unsafe-fixes")
    if left:
        parts.append(f"{left} without a fix (see `finallayer check`)")
    return "; ".join(parts) + "."


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"
