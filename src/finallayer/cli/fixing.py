"""What ``fix`` and ``check --fix`` share: the repair, writing it, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

from finallayer.check.config import Config
from finallayer.check.filters import Sources
from finallayer.check.run import Outcome, found_in
from finallayer.cli.choosing import Bounds, within
from finallayer.cli.going_back import hint
from finallayer.cli.signals import Interruptions
from finallayer.cli.terminal import say, show_exactly
from finallayer.findings import Finding
from finallayer.fix.repair import Choose, Fixed, Repair, all_with_a_fix, repair, safe_ones
from finallayer.fix.text.documents import write_together
from finallayer.report.mended import lines
from finallayer.report.places import shown_path
from finallayer.report.text import count, unseen
from finallayer.rules.base import Rule

#: Why a finding is left whose fix was to be made.
NO_BETTER = "a check of the result finds as much as before"
DECLINED = "left as it is, as you said"


class Done(NamedTuple):
    """What is fixed: the findings that are gone, how many files changed, and how many findings could not be written.

    ``failed``: whether anything went wrong.
    """

    mended: tuple[Fixed, ...]
    files: int
    unwritten: int = 0
    failed: bool = False


@dataclass(frozen=True)
class Fixing:
    """A check, and what is to be fixed of it."""

    outcome: Outcome
    settings: Config
    rules: Mapping[str, Rule]
    unsafe: bool  # whether unsafe fixes are made, too
    bounds: Bounds  # beyond which nothing is written
    stdin: tuple[str, bytes] | None = None

    def choice(self) -> Choose:
        """The safe fixes, or all; of standard input those that change nothing else."""
        choose = self.bounds.choosing(all_with_a_fix if self.unsafe else safe_ones)
        return choose if self.stdin is None else within(self.stdin[0], choose)

    def repaired(self, choose: Choose) -> Repair:
        """What the chosen fixes come to; nothing is written."""
        again = partial(found_in, config=self.settings, rules=self.rules)
        repaired = repair(self.outcome.concerned, again, choose, dict([self.stdin] if self.stdin else []))
        for line in repaired.broken:
            say(shown_path(line))
        return repaired

    def left(self, repaired: Repair, declined: Callable[[Finding], bool] = lambda _: False) -> Outcome:
        """What a check would give now, each finding with the reason why it is left."""
        now = {str(document.path): new for document, new in repaired.changed}
        at_hand = dict([self.stdin] if self.stdin else []) | now
        findings = tuple(replace(f, unfixed=self._why_left(f, declined)) for f in repaired.remaining)
        return replace(self.outcome, findings=findings, sources=Sources(at_hand))

    def _why_left(self, finding: Finding, declined: Callable[[Finding], bool]) -> str:
        if finding.fix is None or not (finding.fix.safe or self.unsafe):
            return finding.unfixed
        if self.stdin is None and (refusal := self.bounds.refusal(finding)):
            return refusal
        if self.stdin is not None and (others := {e.path for e in finding.fix.edits} - {self.stdin[0]}):
            return f"the fix changes {', '.join(sorted(map(shown_path, others)))}, too"
        return DECLINED if declined(finding) else NO_BETTER


def finish(fixing: Fixing, repaired: Repair, signals: Interruptions) -> Done:
    """Write the changed files, or standard input as it is now to standard output."""
    if fixing.stdin is None:
        return _write(repaired, signals)
    path, text = fixing.stdin
    show_exactly({str(document.path): new for document, new in repaired.changed}.get(path, text))
    return worked_out(repaired)


def worked_out(repaired: Repair) -> Done:
    """All of it, as if it had been written."""
    return Done(repaired.mended, len(repaired.changed), failed=bool(repaired.broken))


def _write(repaired: Repair, signals: Interruptions) -> Done:
    """Write the changed files, those that belong together all or none, and say which could not be."""
    written: set[str] = set()
    go_back = hint([str(document.path) for document, _ in repaired.changed])
    for changes in repaired.together:
        paths = [str(document.path) for document, _ in changes]
        try:
            write_together(changes, signals.held_back)
            written.update(paths)
        except KeyboardInterrupt:
            if written:
                say(f"already fixed: {', '.join(map(shown_path, sorted(written)))}")
            raise
        except OSError as error:
            say(f"{', '.join(map(shown_path, paths))}: not fixed: {error.strerror or error}")
    if go_back and written:
        say(go_back)
    mended = tuple(m for m in repaired.mended if m.by <= written)
    unwritten = repaired.fixed - _number(mended)
    return Done(mended, len(written), unwritten, failed=unwritten > 0 or bool(repaired.broken))


def closing(done: Done, left: Outcome, verb: str = "Fixed", *, listed: bool) -> Sequence[str]:
    """The last lines: what was fixed where, if that is wanted, how much it is, and what is to be had of the rest."""
    return [*(lines(done.mended, verb) if listed else ()), *_summary(done, left, verb)]


def _summary(done: Done, left: Outcome, verb: str) -> Iterator[str]:
    number = _number(done.mended)
    if not (number or done.failed or left.findings):
        if left.unread < left.files or not left.files:
            yield f"Nothing to fix in {count(left.files - left.unread, 'file')}{unseen(left)}."
        return
    parts = [f"{verb} {count(number, 'finding')} in {count(done.files, 'file')}"]
    parts += [f"{done.unwritten} not written"] if done.unwritten else []
    unsafe = sum(f.fix is not None and not f.unfixed for f in left.findings)
    without = sum(f.fix is None for f in left.findings)
    parts += [f"{unsafe} more with `--unsafe-fixes`"] if unsafe else []
    parts += [f"{n} left as it is" for n in [len(left.findings) - unsafe - without] if n]
    parts += [f"{without} without a fix"] if without else []
    yield "; ".join(parts) + unseen(left) + "."


def _number(mended: Sequence[Fixed]) -> int:
    return sum(m.number for m in mended)
