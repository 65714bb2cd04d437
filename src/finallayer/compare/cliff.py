"""Gradient against margin: how large a head's gradient is when a rival leads the target by a given margin.

The truth is ``1 - softmax(z)_target``: 1 for a sample that is badly wrong. Where a head's gradient falls off it, the
worst-classified samples stop teaching.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from finallayer.numerics.blocks import xent_logits

Array = NDArray[Any]

CLASSES = 10
MARGINS: Array = np.linspace(-10, 40, 201)  # every quarter, exact in bfloat16 up to 64
TOLERANCE = 0.01  # relative


def rows_at(margins: Array) -> tuple[Array, Array]:
    """Logits ``(N, 10)`` and labels ``(N,)``: class 0 leads the target, class 1, by the margin; the rest tie with the target.

    Logits are multiples of a quarter, so that rounding them to 16 bits moves no margin.
    """
    logits = np.zeros((len(margins), CLASSES))
    logits[:, 0] = margins
    return logits, np.ones(len(margins), dtype=np.int32)


def gradient_size(gradient: Array) -> list[float | None]:
    """Size of the gradient at the target of each row of ``rows_at``; None where it is not finite."""
    size = np.abs(gradient[:, 1].astype(np.float64))
    return [float(value) if np.isfinite(value) else None for value in size]


def reference() -> list[float | None]:
    """The truth at ``MARGINS``, by the reference block."""
    logits, labels = rows_at(MARGINS)
    return gradient_size(xent_logits(labels, logits).grad)
