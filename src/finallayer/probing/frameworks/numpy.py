"""NumPy, which has no gradients: they are the loss's own, where it gives one, or differences of the loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from finallayer.numerics.formats import float_format
from finallayer.numerics.safe_margin import numpy_dtype
from finallayer.probing.frameworks.framework import Array, Loss, Measured, NotALossError, as_float64, made_in

#: By how much a logit is moved up and down to see the loss change, in nats; whatever is told apart by it, in float64.
WIDTH, NARROW = 0.125, 2.0**-10


class NumPy:
    """See ``framework.Framework``. A loss may give ``(loss, gradient)``; else its differences are measured."""

    name = "numpy"
    target_first = False
    single_rows = True
    tried_in = "float64"

    def __init__(self) -> None:
        self.differences = True

    def version(self) -> str:
        return np.__version__

    def owns(self, loss: object) -> bool:
        return made_in(loss, "numpy", "scipy")

    def target(self, values: Array, dtype: str) -> Any:
        return values if values.dtype.kind == "i" else values.astype(numpy_dtype(float_format(dtype)))

    def head(self, name: str, logits: Any) -> Any:
        with np.errstate(over="ignore"):
            if name == "sigmoid":
                return 1 / (1 + np.exp(-logits))
            shifted = logits - logits.max(axis=-1, keepdims=True)
            total = np.exp(shifted).sum(axis=-1, keepdims=True)
            return np.exp(shifted) / total if name == "softmax" else shifted - np.log(total)

    def gradient(self, loss: Loss, dtype: str) -> Callable[[Array, Any], Measured]:
        kind = numpy_dtype(float_format(dtype))

        def value_of(logits: Array, target: Any) -> Any:
            with np.errstate(all="ignore"):
                return loss(logits.astype(kind), target)

        def measure(logits: Array, target: Any) -> Measured:
            value = value_of(logits, target)
            if isinstance(value, tuple) and len(value) == 2 and np.shape(value[1]) == logits.shape:
                self.differences = False
                return Measured(as_float64(value[0]), as_float64(value[1]))
            if not isinstance(value, np.ndarray | np.generic | float):
                raise NotALossError("no number of NumPy's")
            changes = differences(lambda z: as_float64(value_of(z, target)).sum(), logits, width(dtype))
            return Measured(as_float64(value), changes)

        return measure


def width(dtype: str) -> float:
    """By how much a logit is moved in a format."""
    return NARROW if dtype == "float64" else WIDTH


def differences(loss: Callable[[Array], Any], logits: Array, width: float) -> Array:
    """By how much a loss changes as each logit goes from a width below to as much above, divided by the way."""
    gradient = np.zeros_like(logits)
    for at in np.ndindex(logits.shape):
        step = np.zeros_like(logits)
        step[at] = width
        with np.errstate(invalid="ignore"):
            gradient[at] = (loss(logits + step) - loss(logits - step)) / (2 * width)
    return gradient
