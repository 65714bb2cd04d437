"""Reversible writes: every change of the abstract state goes through a Trail, so that a branch can be undone."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any, TypeAlias, TypeVar

from finallayer.source.conditions import Way
from finallayer.source.values import EXACT, ITEMS, LAYERS, MISSING, REST, STARRED, Missing, Value, distinct, union

T = TypeVar("T")

#: A dictionary of state: of variables by their names, of attributes, of a dictionary's own keys.
Slots: TypeAlias = dict[Any, Value]
K = TypeVar("K", bound=Hashable)


#: The slots that hold the items of a list, or the layers of a model.
SEQUENCES = frozenset({ITEMS, LAYERS})

#: One branch's net effect: (id of the dict, key) -> (the dict, the key, the value it left there).
Change: TypeAlias = "tuple[Slots, Hashable, Value | Missing]"
Place: TypeAlias = tuple[int, Hashable]
Changes: TypeAlias = dict[Place, Change]


def _every(known: list[Value]) -> tuple[Value, ...]:
    """What any of the ways has collected, each once."""
    return tuple(distinct(chain.from_iterable(v for v in known if isinstance(v, tuple))))


#: How a slot that isn't a single value joins; every other is a union.
_JOINS: dict[Hashable, Callable[[list[Value]], Value]] = {REST: _every, STARRED: _every, EXACT: all}


class Trail:
    """The log of writes since the analysis began."""

    def __init__(self) -> None:
        self._log: list[tuple[Slots, Hashable, Value | Missing]] = []
        #: Which way of which branch is run now. What came into being on it is lost with it, so that its first state,
        #: and all that is written there before the next branch, needs no log.
        self.way = 0
        self._ways = 0

    def write(self, slots: dict[K, Value], key: K, value: Value) -> None:
        self._log.append((slots, key, slots.get(key, MISSING)))
        slots[key] = value

    def remove(self, slots: dict[K, Value], key: K) -> None:
        self._log.append((slots, key, slots.pop(key)))

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Writes made here stay when a branch around them is undone: an import happens once."""
        log, self._log = self._log, []
        try:
            yield
        finally:
            self._log = log

    def mark(self) -> int:
        return len(self._log)

    def turned_over(self, mark: int) -> bool:
        """Whether a flag has another value now than at the mark."""
        first: dict[tuple[int, Hashable], tuple[Slots, bool]] = {}
        for slots, key, before in self._log[mark:]:
            if isinstance(before, bool) and key is not EXACT:
                first.setdefault((id(slots), key), (slots, before))
        return any(slots.get(key) is (not before) for (_, key), (slots, before) in first.items())

    @contextmanager
    def bounded(self, *errors: type[BaseException]) -> Iterator[None]:
        """Take back what was written here where one of these errors ends it, in whatever branch, and go on."""
        mark, way = len(self._log), self.way
        try:
            yield
        except errors:
            self.way = way
            self.undo(mark)
            raise

    def attempt(self, way: Callable[[], T]) -> tuple[T, Changes]:
        """Run a way and take back all that it wrote; what it gave, and what its writes came to."""
        mark, outer = len(self._log), self.way
        self._ways += 1
        self.way = self._ways
        given = way()
        self.way = outer
        return given, self.undo(mark)

    def undo(self, mark: int = 0) -> Changes:
        """Take back every write since the mark, and say what they came to."""
        changes: Changes = {}
        while len(self._log) > mark:
            slots, key, before = self._log.pop()
            changes.setdefault((id(slots), key), (slots, key, slots.get(key, MISSING)))
            if before is MISSING:
                slots.pop(key, None)
            else:
                slots[key] = before
        return changes

    def branch(self, ways: list[Callable[[], bool]], when: list[Way]) -> list[int]:
        """Run each way from the same state and join the states of those that fall through; which did.

        ``when``: what each way has found out at its end.
        """
        live: list[tuple[int, Changes]] = []
        for number, way in enumerate(ways):
            falls_through, changes = self.attempt(way)
            if falls_through:
                live.append((number, changes))
        if len(live) == 1:  # as it left things, they are
            self.repeat(live[0][1])
        else:
            self._join([changes for _, changes in live], [when[number] for number, _ in live])
        return [number for number, _ in live]

    def repeat(self, changes: Changes) -> None:
        """Make the changes again that a way has made."""
        for slots, key, value in changes.values():
            if value is not MISSING:
                self.write(slots, key, value)
            elif key in slots:
                self.remove(slots, key)

    def _join(self, live: list[Changes], when: list[Way]) -> None:
        for place in {p: None for changes in live for p in changes}:
            slots, key = next((c[place][0], c[place][1]) for c in live if place in c)
            left = [c[place][2] if place in c else slots.get(key, MISSING) for c in live]
            known = [v for v in left if not isinstance(v, Missing)]
            ways = [way for way, v in zip(when, left, strict=True) if not isinstance(v, Missing)]
            if not known:  # every way has removed it
                if key in slots:
                    self.remove(slots, key)
            elif key in SEQUENCES:
                self._write_sequence(slots, key, known, ways)
            else:
                self.write(slots, key, _JOINS[key](known) if key in _JOINS else union(known, ways))

    def _write_sequence(self, slots: Slots, key: Hashable, known: list[Value], when: list[Way]) -> None:
        """Items that differ between branches: the longest, ending in what any of them ends in, and not exact."""
        rows = [(row, way) for row, way in zip(known, when, strict=True) if isinstance(row, tuple)]
        longest = max((row for row, _ in rows), key=len)
        if any(len(row) != len(longest) for row, _ in rows):
            self.write(slots, EXACT, False)
            lasts, ways = zip(*[(row[-1], way) for row, way in rows if row], strict=True) if longest else ((), ())
            self.write(slots, key, (*longest[:-1], union(lasts, ways)) if longest else ())
        else:
            columns = zip(*(row for row, _ in rows), strict=True)
            self.write(slots, key, tuple(union(column, [way for _, way in rows]) for column in columns))
