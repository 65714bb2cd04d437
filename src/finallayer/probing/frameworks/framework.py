"""What a measurement needs of a framework: arrays of its own, its softmax, and the gradient of what a loss gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

#: A loss of logits and targets, both the framework's arrays.
Loss = Callable[[Any, Any], Any]


class Measured(NamedTuple):
    """What a loss gave, in whatever shape it has, and its gradient with respect to the logits: both as float64."""

    value: Array
    gradient: Array


class NotALossError(TypeError):
    """What came back is no number of this framework's that could be differentiated."""


class Framework(Protocol):
    """A framework."""

    name: str
    target_first: bool  # its own losses are handed the target before the prediction
    single_rows: bool  # a loss may be of one row, for others to map over the batch
    tried_in: str  # the format in which a loss is tried out
    differences: bool  # it has no gradients, and those given are differences of the loss

    def version(self) -> str:
        """The installed version."""
        ...

    def owns(self, loss: object) -> bool:
        """Whether the framework itself made this loss, or its class."""
        ...

    def target(self, values: Array, dtype: str) -> Any:
        """Labels (integers) or target distributions as an array of the framework's."""
        ...

    def head(self, name: str, logits: Any) -> Any:
        """``softmax``, ``log_softmax`` or ``sigmoid`` of logits, over the last axis, as the framework has it."""
        ...

    def gradient(self, loss: Loss, dtype: str) -> Callable[[Array, Any], Measured]:
        """A function of logits (float64 of any shape, taken to ``dtype``) and a target: the loss and its gradient.

        Raises :class:`NotALossError` for what isn't the framework's, and whatever the loss itself raises.
        """
        ...


def as_float64(values: Any) -> Array:
    """Any array of numbers as NumPy's float64."""
    return np.asarray(values).astype(np.float64)


def made_in(value: object, *roots: str) -> bool:
    """Whether a function, or the class of an object, stands in one of these packages."""
    named = value if isinstance(value, type) or hasattr(value, "__qualname__") else type(value)
    return (getattr(named, "__module__", None) or "").split(".")[0] in roots
