"""What a live front end gives: everything that a program did as sightings, and what only a running program knows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from finallayer.expr import Node, Origin
from finallayer.findings import Sighting
from finallayer.kinds import Kind


class Blind(NamedTuple):
    """What stood between the logits and the loss, and isn't understood."""

    name: str
    origin: Origin | None = None


class Batch(NamedTuple):
    """How far the target trails in each sample that a loss was handed: the best other logit minus the target's."""

    loss: Node
    margins: Any  # NumPy's array, one number a sample
    classes: int
    dtype: str
    hard: bool  # each target is one class, or one outcome


@dataclass
class Observation:
    """One run of a loss."""

    seen: list[Sighting]
    losses: list[Node]  # what it gave back
    blind: list[Blind] = field(default_factory=list)
    batches: list[Batch] = field(default_factory=list)
    altered: list[Node] = field(default_factory=list)  # losses with options that their expression doesn't tell of
    layers: dict[tuple[Origin, str], str] = field(default_factory=dict)  # what the layer is called that does what where


#: What isn't understood, by the identity of its node: the node, what it is called, and what it was handed.
Unknown = dict[int, tuple[Node, Blind, list[Node]]]


def blind_spots(unknown: Unknown, losses: Iterable[Node]) -> list[Blind]:
    """What isn't understood between losses and the predictions that they are made of."""
    found: dict[Blind, None] = {}
    for node in _made_of(unknown, losses, lambda node: node.kind is Kind.UNKNOWN):
        if id(node) in unknown:
            _, blind, handed = unknown[id(node)]
            if any(n.kind in _TRAINED for n in _made_of(unknown, handed, lambda _: True)):
                found[blind] = None
    return list(found)


#: What only a model gives: of data alone, nothing is lost.
_TRAINED = frozenset(Kind) - {Kind.UNKNOWN, Kind.TARGET}


def _made_of(unknown: Unknown, roots: Iterable[Node], goes_on: Callable[[Node], bool]) -> Iterator[Node]:
    """Everything that values are made of, what isn't understood among it, as far down as it goes on."""
    waiting, seen = list(roots), set[int]()
    while waiting:
        node = waiting.pop()
        if id(node) not in seen:
            seen.add(id(node))
            yield node
            if goes_on(node):
                waiting += node.args
                waiting += unknown[id(node)][2] if id(node) in unknown else ()
