"""``finallayer check``: find where a classifier's final layer and its loss disagree, in source that nobody runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from finallayer import report
from finallayer.check.config import SEVERITIES
from finallayer.cli.options import STDIN_ALONE, Several, flat
from finallayer.cli.reporting import report_of
from finallayer.cli.terminal import COULD_NOT_RUN, STDIN, noted, read_stdin, run_interruptibly, say, show

if TYPE_CHECKING:
    from finallayer.check.run import Outcome
    from finallayer.cli.fixing import Fixing
    from finallayer.cli.signals import Interruptions


@dataclass(frozen=True)
class Options:
    """What the command line asks for."""

    paths: Sequence[Path]
    show_statistics: bool
    output_format: str
    select: Sequence[Sequence[str]]
    ignore: Sequence[Sequence[str]]
    severity: str | None
    exit_zero: bool
    no_cache: bool
    stdin_filename: Path | None
    fix: bool
    unsafe_fixes: bool
    show_fixes: bool
    exit_non_zero_on_fix: bool
    jobs: int | None
    why: str | None
    baseline: Path | None
    write_baseline: bool
    diff_base: str | None
    add_ignore: bool

    def check(self) -> None:
        """Raises UsageError for what can't be meant."""
        if not self.paths and self.why is None:
            raise click.UsageError("Name the files or folders to check, or '.' for this one.")
        with_fix = (self.unsafe_fixes, "--unsafe-fixes"), (self.show_fixes, "--show-fixes")
        for given, name in (*with_fix, (self.exit_non_zero_on_fix, "--exit-non-zero-on-fix")):
            if given and not self.fix:
                raise click.UsageError(f"{name} goes with --fix.")
        if self.fix and Path(STDIN) in self.paths and len(self.paths) > 1:
            raise click.UsageError(STDIN_ALONE)
        self._check_what_is_old()

    def _check_what_is_old(self) -> None:
        asked = {
            "--fix": self.fix,
            "--add-ignore": self.add_ignore,
            "--write-baseline": self.write_baseline,
            "--diff-base": self.diff_base is not None,
        }
        together = [name for name, given in asked.items() if given]
        if len(together) > 1 and together != ["--add-ignore", "--diff-base"]:
            raise click.UsageError(f"{' and '.join(together)} don't go together.")
        if self.write_baseline and self.baseline is None:
            raise click.UsageError("--write-baseline goes with --baseline FILE, the file to write.")
        if self.fix and self.baseline is not None:
            raise click.UsageError("--fix and --baseline don't go together.")
        if Path(STDIN) in self.paths and (self.diff_base is not None or self.add_ignore):
            raise click.UsageError(f"{together[-1]} is for files, not for standard input.")

    @property
    def accepts(self) -> bool:
        """Whether what is found is written down, not reported."""
        return self.write_baseline or self.add_ignore

    def exit_code(self, outcome: Outcome) -> int:
        """What the command ends with after a check."""
        if self.exit_zero:
            return 0
        return int(bool(outcome.findings)) if outcome.complete else COULD_NOT_RUN


def _formats(ctx: click.Context, _param: click.Parameter, value: str) -> str:
    if ctx.params.get("show_statistics"):
        from finallayer.report import tally

        if value not in tally.FORMATS:
            raise click.UsageError(f"--statistics comes as {' or '.join(tally.FORMATS)}, not {value}.")
    return value


@click.command(
    epilog="Exit code: 0 no findings, 1 findings, 2 could not run, or not read a file to its end. Settings are read "
    "from [tool.finallayer] in the nearest pyproject.toml. A comment '# finallayer: ignore[FL101]' on a line of the "
    "statement keeps a finding quiet, '# finallayer: ignore-file' a file."
)
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path, readable=False), metavar="PATH...")
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
@click.option("--fix", is_flag=True, help="Make the safe fixes, as `finallayer fix` does, and report what is left.")
@click.option(
    "--unsafe-fixes", is_flag=True, help="With --fix, also those that change what some reader of a model's output sees."
)
@click.option("--show-fixes", is_flag=True, help="With --fix, list what was fixed, a line a file.")
@click.option("--exit-non-zero-on-fix", is_flag=True, help="With --fix, exit with 1 where anything was fixed, too.")
@click.option("--jobs", "-j", type=click.IntRange(min=1), help="The most processes; by default one a processor.")
@click.option(
    "--why", metavar="FILE:LINE", help="Tell what the analysis knows at a line, and where it lost it, instead."
)
@click.option(
    "--baseline",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Report only what is not in this file of findings.",
)
@click.option("--write-baseline", is_flag=True, help="Write what is found to the --baseline FILE, instead.")
@click.option(
    "--diff-base",
    metavar="REV",
    help="Report only what was not found at a git revision, as a pull request onto it is compared.",
)
@click.option(
    "--add-ignore", is_flag=True, help="Write a comment that keeps it quiet behind each finding's statement, instead."
)
def command(**options: Any) -> None:
    """Find where a model's output and its loss disagree, or agree by an unstable route.

    PATH is a Python file, a notebook, a folder, or - for standard input. Nothing of yours is executed or imported.
    """
    wanted = Options(**options)
    wanted.check()
    run_interruptibly(partial(_check, wanted))


def _check(options: Options, signals: Interruptions) -> int:
    from finallayer.check import config, run

    if options.why is not None:
        from finallayer.cli.why import tell_why

        return tell_why(options.why)
    from finallayer.rules import all_rules

    stdin = read_stdin(options.stdin_filename) if Path(STDIN) in options.paths else None
    on_disk = [p for p in options.paths if p != Path(STDIN)]
    named = [*on_disk, *([Path(stdin[0])] if stdin else [])]
    rules = all_rules()
    found = config.find(named, rules)
    settings = found.with_options(flat(options.select), flat(options.ignore), options.severity, rules)
    outcome = run.check(
        on_disk,
        settings,
        rules,
        stdin=stdin,
        use_cache=not options.no_cache,
        jobs=options.jobs,
        fixes=options.output_format in report.WITH_FIXES
        and not (options.fix or options.show_statistics or options.accepts),
    )
    for note in outcome.notes:
        say(noted(note))
    if options.baseline or options.diff_base is not None:
        from finallayer.cli.accepting import narrowed

        known = None if options.write_baseline else options.baseline
        outcome = narrowed(outcome, known, options.diff_base, settings, rules, options.jobs)
    if options.accepts:
        return _accepted(options, outcome, named, signals)
    bounds = None
    if options.fix or any(f.fix for f in outcome.findings):
        from finallayer.cli.choosing import Bounds

        bounds = Bounds(named)
    if options.fix and bounds:
        from finallayer.cli.fixing import Fixing

        return _fixed(options, Fixing(outcome, settings, rules, options.unsafe_fixes, bounds, stdin), signals)
    if bounds:
        outcome = replace(outcome, findings=bounds.kept(outcome.findings))
    show(_rendered(options, outcome))
    return options.exit_code(outcome)


def _accepted(options: Options, outcome: Outcome, named: Sequence[Path], signals: Interruptions) -> int:
    """Write down what is found, in a baseline or in comments."""
    from finallayer.cli import accepting
    from finallayer.cli.choosing import Bounds

    if options.write_baseline and options.baseline:
        return accepting.write_baseline(options.baseline, outcome)
    return accepting.add_ignores(outcome, Bounds(named), signals)


def _fixed(options: Options, fixing: Fixing, signals: Interruptions) -> int:
    """Make the fixes, and report what is left as the output format has it."""
    from finallayer.cli.fixing import closing, finish

    repaired = fixing.repaired(fixing.choice())
    left = fixing.left(repaired)
    done = finish(fixing, repaired, signals)
    show(_rendered(options, left, closing(done, left, listed=options.show_fixes)), aside=fixing.stdin is not None)
    if done.failed:
        return COULD_NOT_RUN
    return options.exit_code(left) or int(options.exit_non_zero_on_fix and bool(done.mended))


def _rendered(options: Options, outcome: Outcome, closing: Sequence[str] = ()) -> Iterable[str]:
    if options.show_statistics:
        from finallayer.report import tally

        yield from tally.FORMATS[options.output_format](outcome.findings)
        yield from closing if options.output_format == "text" else ()
        return
    yield from report.render(options.output_format, report_of(outcome, closing=closing))
