"""What the worker asks of a training framework, so that it need not know which one it drives."""

from __future__ import annotations

from typing import Any, Protocol

from numpy.typing import NDArray

from finallayer.compare.grid import Cell
from finallayer.compare.measure import Fitted, Observation

Array = NDArray[Any]


class Trainer(Protocol):
    """The article's network under one framework; samples are float32 ``(N, ...)``, labels int32 ``(N,)``."""

    initial_scale: float  # that the framework begins loss scaling with

    def start(self, cell: Cell) -> None:
        """Make the cell's program ready to train from its seed's initial state, whatever ran before."""

    def fit_epoch(self, x: Array, y: Array, batch_size: int) -> Fitted:
        """Train once through the samples in the given order."""

    def logits(self, x: Array) -> Array:
        """Logits with dropout off, ``(N, C)`` float32."""

    def observe(self, x: Array, y: Array) -> Observation:
        """Logits, losses, gradients and target probabilities with dropout off."""

    def gradient(self, precision: str, head: str, logits: Array, y: Array, scale: float = 1.0) -> Array:
        """The head's gradient with respect to given logits ``(N, C)``, of ``scale`` times the summed loss; float32."""
