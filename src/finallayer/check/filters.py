"""From everything that was found to what is shown: each finding once, as settings and comments in the file want it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property

from finallayer.check import suppression
from finallayer.check.config import Config
from finallayer.check.ignore import Patterns
from finallayer.check.saved import is_saved
from finallayer.expr import Origin
from finallayer.findings import Finding, Note
from finallayer.rules.base import Rule
from finallayer.source.files import SourceFile, Unreadable
from finallayer.source.reading import read

#: Why a finding has no fix whose rule the settings exempt.
UNFIXABLE = "the settings leave this rule's findings to people (fixable, unfixable)"


class Sources:
    """The texts that findings stand in, read when asked for."""

    def __init__(self, at_hand: Mapping[str, bytes] | None = None) -> None:
        self._at_hand = at_hand or {}
        self._read: dict[str, SourceFile | None] = {}

    def get(self, path: str) -> SourceFile | None:
        """The file, or None where it can't be read (any more)."""
        if path not in self._read:
            try:
                self._read[path] = None if is_saved(path) else read(path, self._at_hand.get(path))
            except Unreadable:
                self._read[path] = None
        return self._read[path]

    def lines(self, origin: Origin) -> Sequence[str]:
        """The source lines of a place, without their ends; empty where the file can't be read."""
        file = self.get(origin.path)
        if file is None:
            return ()
        place = file.in_module(origin)
        return file.lines[place.line - 1 : max(place.line, place.end_line)]


class Filter:
    """What the settings and comments let through."""

    def __init__(self, config: Config, rules: Mapping[str, Rule], sources: Sources) -> None:
        self._config = config
        self._rules = rules
        self._sources = sources
        self._exclude = Patterns(str(config.root), config.exclude)
        self._comments: dict[str, suppression.Suppressions] = {}

    @cached_property
    def _per_file(self) -> tuple[tuple[Patterns, frozenset[str]], ...]:
        config = self._config
        return tuple((Patterns(str(config.root), [p]), codes) for p, codes in config.per_file_ignores)

    def shown(self, findings: Iterable[Finding]) -> Iterator[Finding]:
        """The findings to show, in order of their places, each as its reader knows it: in a notebook by the cell."""
        once = {(f.rule.code, f.origin): f for f in reversed(list(findings))}
        for finding in sorted(once.values(), key=lambda f: (f.origin[:3], f.rule.code)):
            if self._wanted(finding) and not self._suppressed(finding):
                yield self._placed(finding)

    def notes(self) -> Iterator[Note]:
        """What the comments that were read say wrong."""
        for path, comments in self._comments.items():
            yield from (Note(path, line, text) for line, text in comments.notes)

    def _wanted(self, finding: Finding) -> bool:
        code, path = finding.rule.code, finding.origin.path
        return (
            code in self._config.selected
            and finding.severity >= self._config.severity
            and not self._exclude.covers(path)
            and not any(code in codes and patterns.covers(path) for patterns, codes in self._per_file)
        )

    def _suppressed(self, finding: Finding) -> bool:
        origin = finding.origin
        if origin.path not in self._comments:
            file = self._sources.get(origin.path)
            self._comments[origin.path] = suppression.read(file.text, self._rules) if file else suppression.NONE
        return self._comments[origin.path].covers(finding.rule.code, origin.line, max(origin.line, origin.end_line))

    def _placed(self, finding: Finding) -> Finding:
        from dataclasses import replace

        related = tuple(r._replace(origin=self._in_cell(r.origin)) for r in finding.related)
        placed = replace(finding, origin=self._in_cell(finding.origin), related=related)
        return replace(placed, fix=None, unfixed=UNFIXABLE) if finding.rule.code in self._config.unfixable else placed

    def _in_cell(self, origin: Origin) -> Origin:
        if not origin.path.endswith(".ipynb"):
            return origin
        file = self._sources.get(origin.path)
        return file.in_cell(origin) if file else origin
