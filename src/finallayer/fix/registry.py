"""Which fixer mends which rule's findings. A fixer is a function in a file of its family, registered by rule."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator
from enum import IntEnum
from functools import cache
from typing import NamedTuple

from finallayer.expr import Node
from finallayer.findings import Edit, Match, Refusal, Sighting
from finallayer.fix.flow.context import Context


class Proposal(NamedTuple):
    """Edits that would mend a finding, and the loss before and after that the proof compares.

    ``old`` is None where the maths was wrong, so that there is nothing to agree with. ``binary``: one logit, not a row.
    """

    edits: tuple[Edit, ...]
    old: Node | None
    new: Node
    note: str = ""  # what makes it unsafe
    binary: bool = False
    mends_maths: bool = False  # the old loss is wrong, not only unstable: the new one differs from it everywhere


def cannot_see(what: str, unseen: Iterable[str]) -> str:
    """The note of a fix some of whose readers can't be seen from here; empty where all can."""
    found = "; ".join(_by_what(unseen))
    return f"can't see all that {what}: {found}" if found else ""


def _by_what(phrases: Iterable[str]) -> Iterator[str]:
    """Phrases that end in a place, ``it is saved (line 3)``, once for all their places."""
    places: dict[str, list[str]] = {}
    for phrase in phrases:
        what, _, place = phrase.removesuffix(")").rpartition(" (") if phrase.endswith(")") else (phrase, "", "")
        places.setdefault(what if place else phrase, []).extend([place] if place else [])
    for what, found in places.items():
        lines = list(dict.fromkeys(found))
        if len(lines) > 1 and all(line.startswith("line ") for line in lines):
            lines = [f"lines {', '.join(line.removeprefix('line ') for line in lines)}"]
        yield f"{what} ({'; '.join(lines)})" if lines else what


class Reach(IntEnum):
    """How much of a program a fixer changes. Of several for one rule, that which changes least is tried first."""

    PLACE = 1  # the expression that was found, and what names its logits
    CALLERS = 2  # a function, and who calls it
    MODEL = 3  # what makes the probabilities, and all who read them


#: What a fixer comes to: a proposal, or what was in its way, for whoever might move that.
Offer = Proposal | Refusal
Fixer = Callable[[Sighting, Match, Context], Iterator[Offer]]
_FIXERS: dict[str, list[tuple[Reach, Fixer]]] = {}


def mends(*codes: str, reach: Reach = Reach.PLACE) -> Callable[[Fixer], Fixer]:
    """Register a fixer for the findings of these rules."""

    def register(fixer: Fixer) -> Fixer:
        for code in codes:
            _FIXERS.setdefault(code, []).append((reach, fixer))
        return fixer

    return register


def fixers(code: str) -> list[Fixer]:
    """The fixers of a rule, in the order in which they are tried."""
    _find()
    return [fixer for _, fixer in sorted(_FIXERS.get(code, ()), key=lambda pair: pair[0])]


@cache
def _find() -> None:
    """Import every family, so that its fixers are registered."""
    from finallayer.fix import fixers as families

    for family in pkgutil.iter_modules(families.__path__):
        importlib.import_module(f"{families.__name__}.{family.name}")
