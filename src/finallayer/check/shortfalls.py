"""What to say of what an analysis left out: a line for each bound that it met."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePath

from finallayer.expr import Origin
from finallayer.source.budget import Budget, Shortfall
from finallayer.source.files import SourceFile

#: How many places or modules a line names.
_MOST_NAMED = 3

_SAID = {
    Shortfall.STEPS: "what begins on {} takes more steps than it may, and what it does is not known",
    Shortfall.RECURSION: "what begins on {} is nested too deeply, and what it does is not known",
    Shortfall.DEPTH: "what begins on {} calls functions nested too deeply, and the innermost were not followed",
    Shortfall.ROUNDS: "what begins on {} calls itself, and what that gives after two rounds is not known",
    Shortfall.NESTED: "what begins on {} defines functions in each other, and the innermost were not run",
    Shortfall.ANCESTORS: "what begins on {} derives from more classes than are looked through",
    Shortfall.UNREAD: "it imports {}, which can't be read",
    Shortfall.MODULES: "it imports more of the project than is read for one file: {} left out",
}


def notes(file: SourceFile, budget: Budget) -> Iterator[str]:
    """The lines on one file."""
    for why, places in budget.shortfalls():
        name = _module if why in (Shortfall.MODULES, Shortfall.UNREAD) else file.shown_line
        yield f"analysed in part: {_SAID[why].format(_listed([name(p) for p in places]))}"


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _module(place: Origin) -> str:
    """A module as an import names it, as far as its path tells."""
    path = PurePath(place.path)
    return path.parent.name if path.stem == "__init__" else path.stem
