"""Fixes that were seen together, each right and none in another's way: what is made of them needs no other look."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from finallayer.findings import Edit

Edits = tuple[Edit, ...]


class Foreseen:
    """Which fixes are independent of each other, by the program that they were seen in and its files' texts then."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Mapping[str, str], frozenset[Edits]]] = {}

    def keep(self, program: str, texts: Mapping[str, str], fixes: Iterable[Edits]) -> None:
        """Keep what a program, which starts in a file, has shown of some fixes; what it showed before is past."""
        self._known[program] = texts, frozenset(fixes)

    def texts(self, program: str, fixes: Iterable[Edits]) -> Mapping[str, str] | None:
        """The texts with which all of these fixes hold together; None where nobody knows any."""
        texts, known = self._known.get(program, ({}, frozenset[Edits]()))
        return texts if known and known.issuperset(fixes) else None
