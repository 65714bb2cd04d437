"""What a live front end gives: everything that a program did as sightings, and what only a running program knows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from finallayer.expr import Node, Origin
from finallayer.findings import Sighting


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
