"""What an operation is handed on each of the ways by which its arguments may come.

A tensor that one way makes probabilities of and another doesn't is of no kind. A loss that is handed it is looked at
once for each way that the program may have taken to that loss.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import NamedTuple

from finallayer.canonical import build
from finallayer.expr import Node, Role, having
from finallayer.kinds import Kind
from finallayer.source.conditions import Way, contradict, facts_of, is_open
from finallayer.source.values import Choice

#: The operations that are looked at for each way: those that the final layer is, those that read it to learn by it.
ON_EVERY_WAY = having(Role.HEAD) | having(Role.LOSS) | {"log"}
#: So much of an expression is searched for what isn't decided.
_MOST_NODES = 64
#: So many ways are looked at for one operation.
_MOST_WAYS = 16


class Alternative(NamedTuple):
    """The arguments on one way."""

    args: list[Node]
    value: int  # what has several alternatives
    number: tuple[int, ...]  # which of them it is
    taken: Way  # what is known where it is handed over

    def is_instead_of(self, other: Alternative) -> bool:
        """Whether the same alternative is handed to either of two operations, never to both in one run."""
        return (self.value, self.number) == (other.value, other.number) and contradict(self.taken, other.taken)


def alternatives(args: Sequence[Node], taken: Way, loops: Sequence[Hashable]) -> Iterator[Alternative]:
    """The arguments on every way that isn't ruled out by what is known, nor in doubt."""
    choice = _undecided(args[0]) if args and args[0].kind is Kind.UNKNOWN else None
    if choice is None:
        return
    waiting: list[tuple[list[Node], Way, tuple[int, ...], Choice | None]] = [([*args], taken, (), choice)]
    met = 0
    while waiting and met < _MOST_WAYS:
        known, way, number, choice = waiting.pop()
        if choice is None:
            met += 1
            yield Alternative(known, hash(args[0]), number, taken)
            continue
        for i, (one, when) in enumerate(zip(choice.args, choice.when, strict=True)):
            if _is_taken(when, way, loops):
                chosen = [_replaced(a, choice, one) for a in known]
                waiting.append((chosen, (*way, *when), (*number, i), _undecided(chosen[0])))


def _is_taken(when: Way, way: Way, loops: Sequence[Hashable]) -> bool:
    """Whether a way may be taken here, and tells nothing about which no program of use is in doubt."""
    facts = [*facts_of(when)]
    if not facts or any(fact.passing or (fact.loop is not None and fact.loop not in loops) for fact in facts):
        return False
    return not contradict(when, way) and not is_open(when, way)


def _undecided(x: Node) -> Choice | None:
    """The outermost choice that keeps a value from being of any kind."""
    waiting, met = [x], 0
    while waiting and met < _MOST_NODES:
        node = waiting.pop()
        met += 1
        if node.kind is Kind.UNKNOWN:
            if isinstance(node, Choice):
                return node
            waiting += node.args[::-1]
    return None


def _replaced(x: Node, choice: Node, by: Node) -> Node:
    """An expression with one of its parts in another's place."""
    done: dict[int, Node] = {id(choice): by}

    def replaced(node: Node, depth: int) -> Node:
        found = done.get(id(node))
        if found is None:
            found = node
            if node.args and depth < _MOST_NODES and (node.kind is Kind.UNKNOWN or depth == 0):
                args = tuple([replaced(a, depth + 1) for a in node.args])
                if any(new is not old for new, old in zip(args, node.args, strict=True)):
                    found = _rebuilt(node, args)
            done[id(node)] = found
        return found

    return replaced(x, 0)


def _rebuilt(node: Node, args: tuple[Node, ...]) -> Node:
    if isinstance(node, Choice):
        return Choice(args, node.when)
    return build(node.op, args, node.attrs, node.origin)
