"""Beginning with what is new: what is found today is accepted, in comments or a baseline, and later left out."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from pathlib import Path

from finallayer.check import baseline
from finallayer.check.config import Config
from finallayer.check.run import Outcome
from finallayer.cli.choosing import Bounds
from finallayer.cli.signals import Interruptions
from finallayer.cli.terminal import COULD_NOT_RUN, say, show
from finallayer.report.places import shown_path
from finallayer.report.text import count
from finallayer.rules.base import Rule


def narrowed(
    outcome: Outcome,
    known: Path | None,
    revision: str | None,
    config: Config,
    rules: Mapping[str, Rule],
    jobs: int | None,
) -> Outcome:
    """What is left of an outcome without what a baseline, or a revision, has already. What that is, is said."""
    if revision is not None:
        from finallayer.check.revision import added_since

        before = len(outcome.findings)
        outcome = added_since(revision, outcome, config, rules, jobs)
        if older := before - len(outcome.findings):
            say(f"{count(older, 'finding')} not shown, which {revision} has, too")
    if known is not None:
        outcome, left_out, gone = baseline.without(known, baseline.read(known), outcome)
        if left_out:
            say(f"{count(left_out, 'finding')} not shown, which {shown_path(str(known))} has")
        if gone:
            say(f"{count(gone, 'finding')} in {shown_path(str(known))} not met; --write-baseline takes it out")
    return outcome


def write_baseline(file: Path, outcome: Outcome) -> int:
    """Write the findings to a baseline; the exit code."""
    baseline.write(file, outcome)
    show([f"Wrote {count(len(outcome.findings), 'finding')} to {shown_path(str(file))}."])
    return 0 if outcome.complete else COULD_NOT_RUN


def add_ignores(outcome: Outcome, bounds: Bounds, signals: Interruptions) -> int:
    """Write a comment behind the statement of each finding, in all files or none; the exit code."""
    from finallayer.check.silencing import CannotSilenceError, silenced
    from finallayer.fix.text.documents import write_together

    changes, done, failed = [], 0, False
    for path, found in groupby(outcome.findings, key=lambda finding: finding.origin.path):
        findings = list(found)
        try:
            if not bounds.cover(path):
                raise CannotSilenceError("it is a link out of the project")
            changes.append(silenced(path, findings))
            done += len(findings)
        except CannotSilenceError as error:
            say(f"{shown_path(path)}: nothing added: {error}")
            failed = True
    write_together(changes, signals.held_back)
    show([f"Added comments for {count(done, 'finding')} in {count(len(changes), 'file')}."])
    return COULD_NOT_RUN if failed or not outcome.complete else 0
