"""What the worker asks of a training framework, so that it need not know which one it drives."""

from __future__ import annotations

from typing import Any, Protocol

from numpy.typing import NDArray

from finallayer.compare.grid import Cell
from finallayer.compare.measure import Observation

Array = NDArray[Any]


class Trainer(Protocol):
    """The article's network under one framework; samples are float32 ``(N, ...)``, labels int32 ``(N,)``."""

    def start(self, cell: Cell) -> None:
        """Make the cell's program ready to train from its seed's initial state, whatever ran before."""

    def fit_epoch(self, x: Array, y: Array, batch_size: int) -> float:
        """Train once through the samples in the given order; the mean loss the framework reports, in nats."""

    def logits(self, x: Array) -> Array:
        """Logits with dropout off, ``(N, C)`` float32."""

    def observe(self, x: Array, y: Array) -> Observation:
        """Logits, losses, gradients and target probabilities with dropout off."""

    def gradient(self, precision: str, head: str, logits: Array, y: Array) -> Array:
        """The head's gradient with respect to given logits ``(N, C)``, of the summed loss; float32."""
