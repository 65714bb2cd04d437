"""Which expressions of a program may have to do with a head: found once for all heads, and asked for each of them.

A program has thousands of expressions, and most stand for numbers that no softmax ever made. What is found here may be
more than reads a head's output, or gives it, never less.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from weakref import WeakKeyDictionary

from finallayer.expr import TRANSPARENT, Node, Origin, Role, having
from finallayer.fix.flow.head import Head
from finallayer.source.uses import Uses
from finallayer.source.values import Built, Class, Dict, Function, Instance, List, Union

_HEADS = having(Role.HEAD)
#: Values that may give an output, or hold one, whichever head it is of.
_ANY_HEADS = (Function, Class, Instance, Built, Union, List, Dict, tuple)

#: The heads, each with its operation and its place, that an expression may have to do with; None: any.
Heads = frozenset[tuple[str, Origin | None]] | None
_known: WeakKeyDictionary[Uses, dict[str, list[tuple[ast.expr, Heads]]]] = WeakKeyDictionary()


def expressions(uses: Uses, path: str, head: Head) -> Iterator[ast.expr]:
    """The expressions of one file that may stand for a head's output, or for what gives or holds it."""
    if uses not in _known:
        reach = Reach()
        met = {p: [(node, reach.of_expression(uses, p, node)) for node in values] for p, values in uses.values.items()}
        _known[uses] = {p: [(node, heads) for node, heads in nodes if heads != _NONE] for p, nodes in met.items()}
    wanted = {(head.op, origin) for origin in head.origins}
    for node, heads in _known[uses].get(path, ()):
        if heads is None or head.op not in _HEADS or not heads.isdisjoint(wanted):
            yield node


_NONE: frozenset[tuple[str, Origin | None]] = frozenset()


class Reach:
    """The heads whose numbers a value may have, elsewhere or in another shape."""

    def __init__(self) -> None:
        self._of: dict[int, frozenset[tuple[str, Origin | None]]] = {}  # by identity: the values are kept meanwhile

    def of_expression(self, uses: Uses, path: str, node: ast.expr) -> Heads:
        """The same of all the values that an expression had."""
        values = [seen.value for seen in uses.values[path][node]]
        if any(isinstance(value, _ANY_HEADS) for value in values):
            return None
        return _NONE.union(*(self.of(value) for value in values if isinstance(value, Node)))

    def of(self, value: Node) -> frozenset[tuple[str, Origin | None]]:
        waiting = [value]
        while waiting:
            node = waiting[-1]
            inner = node.args if node.op in TRANSPARENT else ()
            missing = [arg for arg in inner if id(arg) not in self._of]
            if missing:
                waiting += missing
                continue
            waiting.pop()
            own = frozenset(((node.op, node.origin),)) if node.op in _HEADS else _NONE
            self._of[id(node)] = own.union(*(self._of[id(arg)] for arg in inner)) if inner else own
        return self._of[id(value)]
