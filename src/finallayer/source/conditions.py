"""What a way through the program has found out, so that what is chosen together can be told from what isn't.

A *fact* says that a subject is one of some constants, or none of them; a *clause* is one or another list of facts, and
a *way* all of its clauses. Two ways that contradict each other are never taken in one run.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import NamedTuple, TypeAlias

#: What stands for every value that is true.
TRUE = "<true>"


class Fact(NamedTuple):
    """A subject is one of these values; or, where ``among`` is False, none of them.

    ``mentions``: what the subject is made of, itself included. ``loop``: the loop that makes another subject each time.
    """

    subject: Hashable
    among: bool
    values: frozenset[Hashable]
    mentions: frozenset[Hashable]
    loop: Hashable = None
    passing: bool = False  # it tells training from use, or one moment from another


Facts: TypeAlias = tuple[Fact, ...]
Clause: TypeAlias = tuple[Facts, ...]
Way: TypeAlias = tuple[Clause, ...]

#: More alternatives in one clause are none that say anything.
_MOST_FACTS = 16
#: Nor is a way of more clauses followed.
_MOST_CLAUSES = 24
#: What says nothing.
ANYTHING: Clause = ((),)


def opposite(fact: Fact) -> Fact:
    return fact._replace(among=not fact.among)


def all_of(clauses: Iterable[Clause]) -> Clause:
    """One clause for several that hold at once."""
    found: Clause = ANYTHING
    for clause in clauses:
        found = tuple([(*facts, *more) for facts in found for more in clause])
        if len(found) > _MOST_FACTS:
            return ANYTHING
    return found


def both(one: Way, other: Way) -> Way:
    """The way that takes both; nothing is known of one that is very long."""
    found = (*one, *other)
    return found if len(found) <= _MOST_CLAUSES else ()


def either(ways: list[Way]) -> Way:
    """One way for several of which one is taken; an empty one where that says nothing."""
    if len(ways) == 1:
        return ways[0]
    merged = tuple(facts for way in ways for facts in all_of(way))
    return () if len(merged) > _MOST_FACTS or () in merged else (merged,)


def contradict(one: Way, other: Way) -> bool:
    """Whether no run takes both ways."""
    return any(all(_clash(f, g) for f in clause for g in against) for clause in one for against in other)


def _clash(one: Facts, other: Facts) -> bool:
    return any(_exclude(f, g) for f in one for g in other)


def _exclude(one: Fact, other: Fact) -> bool:
    if one.subject != other.subject:
        return False
    if one.among and other.among:
        return not any(_may_be(v, other.values) for v in one.values) and not any(
            _may_be(v, one.values) for v in other.values
        )
    if one.among == other.among:
        return False
    included, excluded = (one.values, other.values) if one.among else (other.values, one.values)
    return all(_may_be(v, excluded) for v in included)


def _may_be(value: Hashable, values: frozenset[Hashable]) -> bool:
    """Whether a constant is one of these values."""
    return value in values or (TRUE in values and value != TRUE and bool(value))


def is_open(choice: Way, way: Way) -> bool:
    """Whether a choice hangs on what the way has asked about in other words: nobody knows whether both hold."""
    asked = [*facts_of(way)]
    subjects = {fact.subject for fact in asked}
    mentioned = frozenset[Hashable]().union(*(fact.mentions for fact in asked))
    return any(f.subject not in subjects and not f.mentions.isdisjoint(mentioned) for f in facts_of(choice))


def facts_of(way: Way) -> Iterable[Fact]:
    """Every fact that a way speaks of."""
    return (fact for clause in way for facts in clause for fact in facts)
