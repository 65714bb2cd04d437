"""How large a value may grow that an analysis computes.

A program may double what it holds in a loop that is unrolled, or ask for a text of a gigabyte: steps don't bound that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import islice

from finallayer.source.conditions import Way
from finallayer.source.values import List, Union, Value, opaque, union

#: Items of a list or tuple.
MOST_ITEMS = 4_000
#: Values met on the way through a tuple or list that holds others; those that it holds twice count twice.
MOST_LEAVES = 1_000
#: A sequence of more items isn't looked through for what one of them may be.
MOST_CANDIDATES = 100
#: Characters of a text that is put together.
MOST_CHARACTERS = 1_000
#: Larger integers are no number that a tensor holds.
LARGEST_INTEGER = 2**1000
#: What stays of a list that has grown too long.
_LAST_ITEMS = 8

#: A text to be formatted that asks for a width or precision, which may be any.
_WIDTH = re.compile(r"%[^%a-zA-Z]|\{[^{}]*[:{\[.]")


def small(value: Value) -> bool:
    """Whether a value may be computed with."""
    if isinstance(value, (str, bytes)):
        return len(value) <= MOST_CHARACTERS
    if isinstance(value, int):
        return -LARGEST_INTEGER <= value <= LARGEST_INTEGER
    return True


def may_format(template: str | bytes) -> bool:
    """Whether formatting a text gives one about as long as the text and what is put in."""
    text = template if isinstance(template, str) else template.decode("latin-1")
    return small(template) and _WIDTH.search(text) is None


def tuple_of(items: tuple[Value, ...]) -> Value:
    """A tuple of these items; an opaque value where going through it would take for ever."""
    return items if len(items) <= MOST_ITEMS and surveyable(items) else opaque("tuple", *items[:1])


def surveyable(items: tuple[Value, ...]) -> bool:
    """Whether the containers among these items hold few enough values to go through them all."""
    met, waiting = 0, [items]
    while waiting and met <= MOST_LEAVES:
        for item in waiting.pop():
            inner = _inside(item)
            met += len(inner)
            waiting.append(inner)
    return met <= MOST_LEAVES


def _inside(value: Value) -> tuple[Value, ...]:
    if isinstance(value, List):
        return value.items
    if isinstance(value, Union):
        return value.values
    return value if type(value) is tuple else ()


def any_of(items: Iterable[Value], owner: Value, when: Sequence[Way] = ()) -> Value:
    """What an item of the owner may be, one of these (``when``: the way on which each is meant)."""
    candidates = list(islice(items, MOST_CANDIDATES + 1))
    return union(candidates, when) if 0 < len(candidates) <= MOST_CANDIDATES else opaque("item", owner)


def list_of(items: tuple[Value, ...], exact: bool = True) -> List:
    """A list of these items; its last ones where there are too many to know each."""
    if len(items) > MOST_ITEMS:
        return List(items[-_LAST_ITEMS:], exact=False)
    return List(items, exact)
