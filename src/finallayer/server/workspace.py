"""What the server knows between two requests: settings, files parsed before, and what was found at each version."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Generic, TypeVar

from finallayer.check import config
from finallayer.check.check_error import CheckError
from finallayer.check.filters import Filter, Sources
from finallayer.check.judge import analyse
from finallayer.check.run import found_in
from finallayer.check.why import Why, why
from finallayer.expr import Origin
from finallayer.findings import Finding
from finallayer.fix.flow.foreseen import Foreseen
from finallayer.fix.repair import Repair, repair
from finallayer.rules import all_rules
from finallayer.server.hints import hints
from finallayer.server.opened import Text
from finallayer.source import Project
from finallayer.source.files import SourceFile, Unreadable
from finallayer.source.importers import look_again
from finallayer.source.reading import read

#: What a file is taken to say: its findings, and what could not be read or analysed.
Found = tuple[tuple[Finding, ...], tuple[str, ...]]
T = TypeVar("T")


class _Once(Generic[T]):
    """What was worked out of each file, with the texts that it was worked out of: the file's, and all that are open."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Mapping[str, bytes], T]] = {}

    def of(self, path: str, now: Mapping[str, bytes], work: Callable[[], T]) -> T:
        known = self._kept.get(path)
        if known is None or known[0] != now:
            known = self._kept[path] = now, work()
        return known[1]


class Analyses:
    """The open texts, and the project around them. What is on disk is read again when it is said to have changed.

    One thread analyses while another takes in what the editor says: an analysis goes on with what it began with, and
    what it keeps is kept there.
    """

    def __init__(self) -> None:
        self.rules = all_rules()
        self._texts: dict[str, Text] = {}
        self.look_again()

    @property
    def texts(self) -> Sequence[Text]:
        return tuple(self._texts.values())

    def text(self, path: str) -> Text | None:
        """What is open of a file."""
        return self._texts.get(path)

    def put(self, text: Text) -> None:
        """Take in a text, or another version of it."""
        self._texts[text.path] = text

    def drop(self, path: str) -> None:
        """Forget a text that was closed: what counts is on disk again."""
        self._texts.pop(path, None)
        self.look_again()

    def look_again(self) -> None:
        """Something on disk has changed."""
        self._project = Project()
        self._checked: _Once[Found] = _Once()
        self._fixed: _Once[tuple[Finding, ...]] = _Once()
        look_again()

    def check(self, path: str) -> Found:
        """What a check of an open file finds, without fixes, and the notes on what could not be read."""
        now = self._now()
        return self._checked.of(path, now, lambda: self._found(path, now))

    def _found(self, path: str, now: Mapping[str, bytes]) -> Found:
        settings, problem = self._settings(path)
        with self._program(path, now) as project:
            found = analyse(path, project, now[path])
        chosen = Filter(settings, self.rules, Sources(now))
        return tuple(chosen.shown(found.findings)), (*problem, *found.notes)

    def why(self, text: Text, file: SourceFile, line: int) -> Why:
        """What is known at a line of the module that an open file is. Raises Unreadable."""
        with self._program(text.path, self._now()) as project:
            return why(file, line, project)

    def hints(self, text: Text, file: SourceFile) -> list[tuple[Origin, str]]:
        """What kind of value each loss of it is handed. Raises Unreadable."""
        with self._program(text.path, self._now()) as project:
            return list(hints(file, project))

    def with_fixes(self, path: str) -> tuple[Finding, ...]:
        """The same findings with the fix of each, or the reason why it has none; worked out once a version."""
        now = self._now()
        settings, _ = self._settings(path)
        return self._fixed.of(path, now, lambda: found_in([path], now, Foreseen(), settings, self.rules))

    def repaired(self, path: str) -> Repair:
        """What all safe fixes of a file come to."""
        settings, _ = self._settings(path)
        at_hand = self._now()

        def again(paths: Sequence[str], now: Mapping[str, bytes], foreseen: Foreseen) -> tuple[Finding, ...]:
            return found_in(paths, {**at_hand, **now}, foreseen, settings, self.rules)

        return repair([path], again, at_hand=at_hand)

    def _settings(self, path: str) -> tuple[config.Config, tuple[str, ...]]:
        try:
            return config.find([Path(path)], self.rules), ()
        except CheckError as error:  # settings that are being written, say
            return config.Config(Path(path).parent, frozenset(self.rules)), (str(error),)

    def _now(self) -> dict[str, bytes]:
        """What is open, as it would be on disk."""
        return {t.path: t.data for t in self.texts}

    @contextmanager
    def _program(self, path: str, now: Mapping[str, bytes]) -> Iterator[Project]:
        """The project as the editor shows it, for one analysis of a file, which reads that itself."""
        parsed = self._project
        project = parsed.copy()
        for each, data in now.items():
            if each != path:
                with suppress(Unreadable):  # its own analysis says so
                    project.adopt(read(each, data))
        yield project
        parsed.take_over(project, now)
