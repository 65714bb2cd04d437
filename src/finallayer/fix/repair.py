"""From findings with fixes to mended files: in passes, since one fix may uncover another, and in memory until the end.

Each fix was validated by itself. Those of one round are made together where the program that this gives holds, too, and
else one after the other, as many as do: no fix stands in another's way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from finallayer.findings import Defect, Edit, Finding, Fix
from finallayer.fix.flow.foreseen import Foreseen
from finallayer.fix.flow.outsiders import importers
from finallayer.fix.text.documents import Document
from finallayer.fix.text.edits import ConflictError
from finallayer.fix.text.syntax import Syntax
from finallayer.fix.text.unused_imports import unused_epsilons, unused_imports, unused_parameters
from finallayer.fix.validation.validate import validate_together
from finallayer.source.files import Unreadable, parse
from finallayer.source.reading import read

#: A file, and its new bytes.
Change = tuple[Document, bytes]
#: What a check of some files shows, with fixes; some (these, and what they import) as they are now, not as on disk.
#: What it comes to know of how the fixes go together, it leaves with us.
Check = Callable[[Sequence[str], Mapping[str, bytes], Foreseen], tuple[Finding, ...]]
#: Which of the findings of one round have their fixes made, of files as they are now.
Choose = Callable[[Sequence[Finding], Mapping[str, bytes]], Sequence[Finding]]
#: After so many rounds of fixes nothing new comes up in any program that we have met.
MOST_PASSES = 10


def safe_ones(findings: Sequence[Finding], _now: Mapping[str, bytes]) -> Sequence[Finding]:
    """The findings whose fix is safe."""
    return [f for f in findings if f.fix is not None and f.fix.safe]


def all_with_a_fix(findings: Sequence[Finding], _now: Mapping[str, bytes]) -> Sequence[Finding]:
    """Those, too, whose fix changes what some reader of a model's output sees."""
    return [f for f in findings if f.fix is not None]


class Fixed(NamedTuple):
    """How many findings of a rule are gone from a file, and the files that had to change for it."""

    path: str
    rule: Defect
    number: int
    by: frozenset[str]


@dataclass(frozen=True)
class Repair:
    """What a repair comes to: the files and their new bytes, what is mended by them, and what is left.

    ``together``: the same files, those that a fix changes together side by side.
    """

    together: tuple[tuple[Change, ...], ...]
    mended: tuple[Fixed, ...]
    remaining: tuple[Finding, ...]
    broken: tuple[str, ...] = ()  # where something of ours went wrong, a line each

    @property
    def fixed(self) -> int:
        """How many findings are gone."""
        return sum(m.number for m in self.mended)

    @property
    def changed(self) -> tuple[Change, ...]:
        """The files that change."""
        return tuple(change for changes in self.together for change in changes)


def repair(
    paths: Sequence[str], check: Check, choose: Choose = safe_ones, at_hand: Mapping[str, bytes] | None = None
) -> Repair:
    """Work out what the chosen fixes of all that is found from these files make of them; nothing is written.

    ``at_hand``: the content of files that aren't on disk.
    """
    workshop = _Workshop(check, choose, at_hand or {})
    for path in paths:
        workshop.mend_if_possible(path)
    remaining = workshop.remaining(paths)
    return Repair(tuple(workshop.together()), tuple(workshop.mended), remaining, tuple(workshop.broken))


class _Workshop:
    """The files as they are so far."""

    def __init__(self, check: Check, choose: Choose, at_hand: Mapping[str, bytes]) -> None:
        self._check = check
        self._choose = choose
        self._documents = {path: Document(Path(path), data) for path, data in at_hand.items()}
        self._now = dict(at_hand)
        self._foreseen = Foreseen()
        self._linked: list[frozenset[str]] = []  # the files of each fix that changed several
        self._last: dict[str, tuple[Finding, ...]] = {}
        self.mended: list[Fixed] = []
        self.broken: list[str] = []

    def together(self) -> Iterator[tuple[Change, ...]]:
        """The changed files, those side by side that a fix has changed together, if by way of others."""
        left = {path: doc for path, doc in self._documents.items() if self._now[path] != doc.data}
        while left:
            group = {next(iter(left))}
            while more := {p for linked in self._linked if linked & group for p in linked} - group:
                group |= more
            yield tuple((left.pop(path), self._now[path]) for path in list(left) if path in group)

    def findings(self, paths: Sequence[str]) -> tuple[Finding, ...]:
        """What a check of the files, as they are now, shows."""
        for path in paths:
            self._data(path)
        return self._check(paths, self._now, self._foreseen)

    def remaining(self, paths: Sequence[str]) -> tuple[Finding, ...]:
        """What is left: as it was last seen, where each file changed for its own sake only."""
        if self._linked or set(self._now) - set(paths):
            return self.findings(paths)
        once = {(f.rule.code, f.origin): f for path in paths for f in self._last.get(path, ())}
        return tuple(once.values())

    def mend_if_possible(self, path: str) -> None:
        """As :meth:`mend`; what goes wrong there, which is ours to mend, leaves the other files to be fixed."""
        kept = dict(self._now)
        try:
            self.mend(path)
        except (Exception, RecursionError) as error:
            self._now = {p: kept.get(p, self._documents[p].data) for p in self._now}
            self.broken.append(f"{path}: could not be fixed ({type(error).__name__}: {error}); please report this")

    def mend(self, path: str) -> None:
        """Apply the fixes of what is found from one file, until none is left that holds."""
        before = self._last[path] = self.findings([path])
        for _ in range(MOST_PASSES):
            kept = dict(self._now)
            fixes = list(_compatible(f.fix for f in self._choose(before, self._now) if f.fix is not None))
            after = self._made(path, before, fixes)
            if after is None:
                return
            changed = frozenset(p for p, data in self._now.items() if data != kept.get(p, self._documents[p].data))
            self.mended += _gone(before, after, changed)
            before = self._last[path] = after

    def _made(self, path: str, before: Sequence[Finding], fixes: Sequence[Fix]) -> tuple[Finding, ...] | None:
        """What is left after as many of the fixes as hold together; None where none does."""
        after = self._attempt(path, before, fixes)
        if after is not None or len(fixes) < 2:
            return after
        good: list[Fix] = []
        for fix in fixes:
            kept, linked = dict(self._now), list(self._linked)
            if self._attempt(path, before, [*good, fix]) is not None:
                good.append(fix)
            self._now, self._linked = kept, linked
        return self._attempt(path, before, good) if good else None

    def _attempt(self, path: str, before: Sequence[Finding], fixes: Sequence[Fix]) -> tuple[Finding, ...] | None:
        """What is left after the edits of all these fixes; None, and nothing is done, where that doesn't hold."""
        kept, linked = dict(self._now), list(self._linked)
        together = [fix.edits for fix in fixes]
        if self._apply(fixes) and (len(fixes) == 1 or self._hold_together(path, kept, together)):
            after = self.findings([path])
            if _are_gone((f for f in before if f.fix in fixes), before, after):
                return after
        self._now = {p: kept.get(p, self._documents[p].data) for p in self._now}
        self._linked = linked
        return None

    def _hold_together(self, path: str, now: Mapping[str, bytes], fixes: Sequence[tuple[Edit, ...]]) -> bool:
        return not validate_together(path, now, fixes, self._foreseen).refused

    def _apply(self, fixes: Sequence[Fix]) -> bool:
        """Make the edits of fixes that go together; whether there are any, and every file can still be read."""
        by_file: dict[str, set[Edit]] = {}
        for edit in (e for fix in fixes for e in fix.edits):
            by_file.setdefault(edit.path, set()).add(edit)
        try:
            new = {path: self._edited(path, edits) for path, edits in by_file.items()}
            for path, data in new.items():
                parse(read(path, data).text)
        except (ConflictError, Unreadable, UnicodeError):
            return False
        self._now |= new
        self._linked += [paths for fix in fixes if len(paths := frozenset(e.path for e in fix.edits)) > 1]
        return bool(new)

    def _edited(self, path: str, edits: Iterable[Edit]) -> bytes:
        """A file's bytes after edits, without the imports, and the names of an epsilon, that those made unused."""
        before = self._data(path)
        after = Document(Path(path), before).edited(edits)
        old, new = Syntax(read(path, before)), Syntax(read(path, after))
        gone = (unused_imports, unused_epsilons, unused_parameters)
        idle = [edit for unused in gone for edit in unused(old, new, importers)]
        return Document(Path(path), after).edited(idle) if idle else after

    def _data(self, path: str) -> bytes:
        if path not in self._now:
            self._documents[path] = Document.read(Path(path))
            self._now[path] = self._documents[path].data
        return self._now[path]


def _are_gone(mended: Iterable[Finding], before: Iterable[Finding], after: Iterable[Finding]) -> bool:
    """Whether the findings that were to be mended are gone, and no other came: of each rule, in each file."""
    gone, were, are = (Counter((f.origin.path, f.rule.code) for f in found) for found in (mended, before, after))
    return not are - (were - gone)


def _gone(before: Iterable[Finding], after: Iterable[Finding], by: frozenset[str]) -> Iterator[Fixed]:
    rules = {f.rule.code: f.rule for f in before}
    were, are = (Counter((f.origin.path, f.rule.code) for f in found) for found in (before, after))
    for (path, code), count in (were - are).items():
        yield Fixed(path, rules[code], count, by)


def _compatible(fixes: Iterable[Fix]) -> Iterator[Fix]:
    """The fixes whose edits touch nothing that an earlier one's touch, except to make the very same edit."""
    made: set[Edit] = set()
    for fix in fixes:
        if not any(_collide(new, old) for new in fix.edits for old in made):
            made.update(fix.edits)
            yield fix


def _collide(a: Edit, b: Edit) -> bool:
    if a == b or (a.path, a.cell) != (b.path, b.cell):
        return False
    start_a, end_a, start_b, end_b = (
        (a.line, a.column),
        (a.end_line, a.end_column),
        (b.line, b.column),
        (b.end_line, b.end_column),
    )
    return (start_a < end_b and start_b < end_a) or start_a == start_b
