"""Where the logs of probabilities end up: read as numbers, or handed on to whoever may take a gradient of them.

A loss that is only printed, compared or fetched has a value and no gradient. That is said of a log where everything
that is made of it was followed to its end.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

from finallayer.expr import Node, Origin, is_comparison

_NOBODY: frozenset[Origin] = frozenset()
#: What gives numbers without a gradient, of whatever it is given.
_READS = frozenset({"stop_gradient", "threshold", "argmax", "sample"})


#: As deep is looked for the logs behind a value that was put together beside the recorder, such as one of several.
_DEEPEST = 6


class Destinations:
    """Which logs were read, and which were handed to what isn't followed. A log goes by where it stands."""

    def __init__(self) -> None:
        self._behind: dict[int, tuple[Node, frozenset[Origin]]] = {}  # the logs behind a value, by its identity
        self._taken_in: dict[Origin, set[Hashable]] = {}  # the functions that ran when a log was taken
        self._read: set[Origin] = set()
        self._handed: set[Origin] = set()
        self._functions: set[Hashable] = set()  # those that were handed on themselves

    def __bool__(self) -> bool:
        """Whether any log was taken yet."""
        return bool(self._behind)

    def begin(self, made: Node, logs: Iterable[Node], functions: Iterable[Hashable]) -> None:
        """Logs were taken, and are part of what was made, while these functions ran."""
        origins = frozenset(log.origin for log in logs if log.origin is not None)
        for origin in origins:
            self._taken_in.setdefault(origin, set()).update(functions)
        self._add(made, origins)

    def follow(self, op: str, args: Sequence[Node], made: Node) -> None:
        """Something was made of these values."""
        behind = frozenset(log for arg in args for log in self._logs(arg))
        if behind and (op in _READS or is_comparison(made)):
            self._read |= behind
            behind = _NOBODY
        self._add(made, behind)

    def read(self, value: Node) -> None:
        """A value was read as numbers."""
        self._read |= self._logs(value)

    def hand(self, value: Node) -> None:
        """A value went where nobody follows it."""
        self._handed |= self._logs(value)

    def hand_function(self, function: Hashable) -> None:
        """A function went where nobody follows it: what it computes may be differentiated there."""
        self._functions.add(function)

    def only_read(self, log: Node) -> bool:
        """Whether a log's value is read, and nothing else is done with it."""
        origin = log.origin
        if origin not in self._read or origin in self._handed:
            return False
        return self._functions.isdisjoint(self._taken_in.get(origin, ()))

    def _add(self, made: Node, logs: frozenset[Origin]) -> None:
        known = self._behind.get(id(made))
        self._behind[id(made)] = made, logs if known is None else logs | known[1]

    def _logs(self, value: Node, deep: int = 0) -> frozenset[Origin]:
        known = self._behind.get(id(value))
        if known is not None:
            return known[1]
        if not value.args or deep == _DEEPEST:
            return _NOBODY
        found = frozenset(log for arg in value.args for log in self._logs(arg, deep + 1))
        self._behind[id(value)] = value, found
        return found
