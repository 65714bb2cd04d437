"""How long the rest takes: what each backend's cells have cost so far, and the order the children run in."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Collection, Mapping, Sequence

from finallayer.compare.grid import Cell

RECENT = 8  # cells that count: the machine may have become busier since the others


class Estimator:
    """Seconds left of a run in which each backend's cells run one after another, ``jobs`` backends at a time.

    A cell that is the first of its program compiles; such cells are averaged apart from the others. A backend that has
    shown nothing yet is taken to be like the mean of those that have; before that there is no estimate.
    """

    def __init__(self, queues: Mapping[str, Sequence[Cell]], jobs: int, epochs: int) -> None:
        """``queues``: each backend's cells in running order, the backends in starting order."""
        self._jobs, self._epochs = jobs, epochs
        self._left = {backend: list(cells) for backend, cells in queues.items()}
        self._first = {cell for cells in queues.values() for cell in _first_of_program(cells)}
        self._seconds: dict[tuple[str, bool], deque[float]] = {}  # (backend, first of program) -> what cells took
        self._later_epochs: dict[str, deque[float]] = {}  # backend -> what epochs after the first took: no compiling
        self._epoch_since: dict[str, float] = {}
        self._start_ups: list[float] = []
        self._since: dict[str, float] = {}  # backend -> when its current cell started

    def ready(self, backend: str, start_seconds: float, now: float) -> None:
        """A child has imported its framework, in that many seconds."""
        self._start_ups.append(start_seconds)
        self._since[backend] = now

    def epoch(self, cell: Cell, number: int, now: float) -> None:
        """A cell has finished its epoch of that number, from 1."""
        if number > 1:
            took = now - self._epoch_since[cell.backend]
            self._later_epochs.setdefault(cell.backend, deque(maxlen=RECENT)).append(took)
        self._epoch_since[cell.backend] = now

    def finished(self, cell: Cell, now: float) -> None:
        """A cell has ended (or failed); the backend's next one starts now."""
        seconds = now - self._since[cell.backend]
        self._seconds.setdefault((cell.backend, cell in self._first), deque(maxlen=RECENT)).append(seconds)
        self._left[cell.backend].remove(cell)
        self._since[cell.backend] = now

    def closed(self, backend: str) -> None:
        """A child is gone; nothing of its is left to wait for."""
        self._left[backend] = []
        self._since.pop(backend, None)

    def left(self, now: float) -> float | None:
        """Seconds from now to the end, or None while nothing has been measured."""
        if not self._seconds:
            return None
        running = {backend: self._work(backend, now) for backend in self._since if self._left[backend]}
        waiting = [self._work(b, now) for b, cells in self._left.items() if cells and b not in self._since]
        slots = [*running.values(), *[0.0] * max(0, self._jobs - len(running))]
        heapq.heapify(slots)
        for work in waiting:
            heapq.heappush(slots, heapq.heappop(slots) + work)
        return max(slots)

    def _work(self, backend: str, now: float) -> float:
        """Seconds of work left in a backend's queue, less what its current cell has already had."""
        cells = self._left[backend]
        costs = [self._cost(backend, cell in self._first) for cell in cells]
        if backend in self._since:
            spent = min(now - self._since[backend], costs[0])
            return sum(costs) - spent
        return sum(costs) + (_mean(self._start_ups) if self._start_ups else 0.0)

    def _cost(self, backend: str, first: bool) -> float:
        """Seconds of a cell: as this backend's alike, else by its epochs, else by the others, here or elsewhere."""
        if (backend, first) in self._seconds:
            return _mean(self._seconds[backend, first])
        if not first and backend in self._later_epochs:
            return self._epochs * _mean(self._later_epochs[backend])
        alike, others = self._known(first), self._known(not first)
        if (backend, not first) in self._seconds:
            ratio = _mean(alike) / _mean(others) if alike and others else 1.0
            return _mean(self._seconds[backend, not first]) * ratio
        return _mean(alike or others)

    def _known(self, first: bool) -> list[float]:
        return [_mean(seconds) for (_, kind), seconds in self._seconds.items() if kind == first]


def _first_of_program(cells: Sequence[Cell]) -> list[Cell]:
    """The cells that compile: the first of each precision and head."""
    first: dict[tuple[str, str], Cell] = {}
    for cell in cells:
        first.setdefault((cell.precision, cell.head), cell)
    return list(first.values())


def _mean(values: Collection[float]) -> float:
    return sum(values) / len(values)
