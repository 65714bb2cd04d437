"""Expressions that are the same to the last origin: whatever is asked of the one has the other's answer."""

from __future__ import annotations

from finallayer.expr import Node, Origin


class Exactly:
    """Numbers expressions: two have the same number only where they, and all that they are made of, stand alike.

    Nodes that are equal may stand at different places; a loop, or both ways of a branch, meet the same one again.
    """

    def __init__(self) -> None:
        self._numbers: dict[int, tuple[Node, int]] = {}  # by identity, which lasts while the node is kept
        self._kinds: dict[tuple[Node, Origin | None, tuple[int, ...]], int] = {}

    def of(self, node: Node | None) -> int:
        """The number of an expression; that of none is negative."""
        waiting = [] if node is None else [node]
        while waiting:
            at = waiting[-1]
            parts = [arg for arg in at.args if id(arg) not in self._numbers]
            if not parts:
                kind = at, at.origin, tuple([self._numbers[id(arg)][1] for arg in at.args])
                self._numbers[id(at)] = at, self._kinds.setdefault(kind, len(self._kinds))
                waiting.pop()
            waiting += parts
        return -1 if node is None else self._numbers[id(node)][1]
