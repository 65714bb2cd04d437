"""What the server knows between two requests: settings, files parsed before, and what was found at each version."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from finallayer.check import config
from finallayer.check.check_error import CheckError
from finallayer.check.filters import Filter, Sources
from finallayer.check.judge import Analysis, analyse
from finallayer.check.run import found_in
from finallayer.disk import digest
from finallayer.findings import Finding
from finallayer.fix.flow.foreseen import Foreseen
from finallayer.fix.repair import Repair, repair
from finallayer.rules import all_rules
from finallayer.server.opened import Text
from finallayer.source import Project
from finallayer.source.files import Unreadable
from finallayer.source.importers import look_again
from finallayer.source.reading import read

#: What a file is taken to say: its findings, and what could not be read or analysed.
Found = tuple[tuple[Finding, ...], tuple[str, ...]]


@dataclass(frozen=True)
class _Seen:
    """Findings, and the texts that they were found in: of the file and of all others that are open."""

    state: str
    findings: tuple[Finding, ...]


class Analyses:
    """The open texts, and the project around them. What is on disk is read again when it is said to have changed.

    One thread analyses while another takes in what the editor says: an analysis goes on with what it began with, and
    what it keeps is kept there.
    """

    def __init__(self) -> None:
        self.rules = all_rules()
        self._texts: dict[str, Text] = {}
        self._project = Project()
        self._fixed: dict[str, _Seen] = {}

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
        self._project, self._fixed = Project(), {}
        look_again()

    def check(self, path: str) -> Found:
        """What a check of an open file finds, without fixes, and the notes on what could not be read."""
        settings, problem = self._settings(path)
        parsed = self._project
        project = parsed.copy()
        now = self._adopted(project, path)
        found: Analysis = analyse(path, project, now[path])
        parsed.take_over(project, now)
        chosen = Filter(settings, self.rules, Sources(now))
        return tuple(chosen.shown(found.findings)), (*problem, *found.notes)

    def with_fixes(self, path: str) -> tuple[Finding, ...]:
        """The same findings with the fix of each, or the reason why it has none; worked out once a version."""
        now, fixed = {t.path: t.data for t in self.texts}, self._fixed
        state = digest("\0".join(f"{p}\0{digest(data)}" for p, data in sorted(now.items())).encode())
        known = fixed.get(path)
        if known is None or known.state != state:
            settings, _ = self._settings(path)
            known = fixed[path] = _Seen(state, found_in([path], now, Foreseen(), settings, self.rules))
        return known.findings

    def repaired(self, path: str) -> Repair:
        """What all safe fixes of a file come to."""
        settings, _ = self._settings(path)
        at_hand = {t.path: t.data for t in self.texts}
        again: Callable[..., tuple[Finding, ...]] = lambda paths, now, foreseen: found_in(  # noqa: E731
            paths, {**at_hand, **now}, foreseen, settings, self.rules
        )
        return repair([path], again, at_hand=at_hand)

    def _settings(self, path: str) -> tuple[config.Config, tuple[str, ...]]:
        try:
            return config.find([Path(path)], self.rules), ()
        except CheckError as error:  # settings that are being written, say
            return config.Config(Path(path).parent, frozenset(self.rules)), (str(error),)

    def _adopted(self, project: Project, path: str) -> Mapping[str, bytes]:
        """Have the project read what is open as it is there; the file itself is read by its analysis."""
        now = {t.path: t.data for t in self.texts}
        for each, data in now.items():
            if each != path:
                with suppress(Unreadable):  # its own analysis says so
                    project.adopt(read(each, data))
        return now
