"""What an analysis may cost in steps, and what it left out because of this or another bound.

Nothing is left out in silence: who reads the findings is told where the analysis stopped short.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from enum import Enum

from finallayer.expr import Origin

#: Syntax nodes evaluated for a file's program, from its first line to its last, everything it calls included.
MOST_STEPS = 100_000
#: For a function that nothing calls.
LEAST_STEPS_ALONE, MOST_STEPS_ALONE = 3_000, 20_000
#: For what has cost too much, when it is done once more with loops run once.
MOST_STEPS_COARSELY = 5_000
#: For a file, all of these together.
MOST_STEPS_ALTOGETHER = 300_000
#: For a file whose findings are to come with fixes: each is proven by several analyses more.
MOST_STEPS_TO_FIX = 50_000
#: A loop over no more items than this is run item by item.
MOST_UNROLLED = 24


class OutOfBudget(Exception):
    """What is run now has done as much as it may."""


class Shortfall(Enum):
    """Why something was left out."""

    STEPS = "takes too many steps"
    RECURSION = "is nested too deeply"
    DEPTH = "calls functions that are nested too deeply, the innermost of which"
    ROUNDS = "calls itself"
    NESTED = "defines functions within functions that are nested too deeply"
    ANCESTORS = "derives from more classes, one after the other, than are looked through"
    MODULES = "imports more modules of its project than are read for one file"
    UNREAD = "imports what can't be read"


#: The shortfalls that leave the rest of a statement or function out. Of the others there is a note, no more: what they
#: leave out is a value that isn't known.
_CUT_SHORT = (Shortfall.STEPS, Shortfall.RECURSION)


class Budget:
    """The steps done, those that may be done, and the places where something was left out."""

    def __init__(self) -> None:
        self.steps = 0
        self.most = MOST_STEPS  # of steps, as things stand
        self.most_unrolled = MOST_UNROLLED
        self._left_out: dict[tuple[Shortfall, Origin], None] = {}
        self._too_costly: dict[tuple[Hashable, int], int] = {}  # how many steps were not enough for it

    def step(self) -> None:
        """One more. Raises :class:`OutOfBudget` where it is one too many."""
        self.steps += 1
        if self.steps > self.most:
            raise OutOfBudget

    @property
    def spent(self) -> bool:
        return self.steps >= self.most

    def share(self, among: int) -> int:
        """How many steps one of so many functions may take, so that something is left for the others."""
        fair = (MOST_STEPS_ALTOGETHER - self.steps) // among
        return max(LEAST_STEPS_ALONE, min(MOST_STEPS_ALONE, fair))

    def allow(self, more: int) -> bool:
        """Let so many more steps be done, or as many as are left; whether any are."""
        self.most = min(self.steps + more, MOST_STEPS_ALTOGETHER)
        return not self.spent

    @contextmanager
    def import_apart(self) -> Iterator[None]:
        """Around the run of an imported module: it takes nothing of what may be done where it is imported."""
        before, most = self.steps, self.most
        self.allow(MOST_STEPS)
        try:
            yield
        finally:
            self.most = min(most + self.steps - before, MOST_STEPS_ALTOGETHER)

    @contextmanager
    def coarsely(self) -> Iterator[None]:
        """What is run here runs loops once, on whatever they go over."""
        self.most_unrolled = 0
        try:
            yield
        finally:
            self.most_unrolled = MOST_UNROLLED

    @contextmanager
    def told_once(self, what: Hashable) -> Iterator[None]:
        """Around what many do alike: where it has cost too much, it is begun anew with twice as many steps at least.

        Raises :class:`OutOfBudget` with fewer, as it would in the end.
        """
        begun = self.begin(what)
        try:
            yield
        except OutOfBudget:
            self.ran_out(what, begun)
            raise

    def begin(self, what: Hashable) -> int:
        """What many do alike is begun: how many steps have been done. See :meth:`told_once`."""
        if self._too_costly and self.most - self.steps < 2 * self._too_costly.get((what, self.most_unrolled), 0):
            raise OutOfBudget
        return self.steps

    def ran_out(self, what: Hashable, begun: int) -> None:
        """What was begun when so many steps were done has run out of those that were left."""
        if what is not None:
            self._too_costly[what, self.most_unrolled] = self.most - begun

    def left_out(self, why: Shortfall, where: Origin) -> None:
        self._left_out[why, where] = None

    @property
    def cut_short(self) -> bool:
        """Whether any of the file's statements or functions was not run to its end."""
        return any(why in _CUT_SHORT for why, _ in self._left_out)

    def shortfalls(self) -> Iterator[tuple[Shortfall, list[Origin]]]:
        """What was left out: why, and all the places."""
        for why in Shortfall:
            places = [where for reason, where in self._left_out if reason is why]
            if places:
                yield why, places
