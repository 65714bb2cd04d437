"""Gradient against margin: how large a head's gradient is when a rival leads the target by a given margin.

The truth is ``1 - softmax(z)_target``: 1 for a sample that is badly wrong. Where a head's gradient falls off it, the
worst-classified samples stop teaching; up to there its margin is safe (``numerics.margin``).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from finallayer.compare.trainer import Trainer
from finallayer.numerics.blocks import xent_logits
from finallayer.numerics.safe_margin import safe_margin

Array = NDArray[Any]

CLASSES = 10
MARGINS: Array = np.linspace(-10, 40, 201)  # every quarter, exact in bfloat16 up to 64
LOGITS_DTYPE = {"float32": "float32", "mixed_bfloat16": "bfloat16", "mixed_float16": "float16"}


def rows_at(margins: Array) -> tuple[Array, Array]:
    """Logits ``(N, 10)`` and labels ``(N,)``: class 0 leads the target, class 1, by the margin; the rest tie with it.

    Logits are multiples of a quarter, so that rounding them to 16 bits moves no margin.
    """
    logits = np.zeros((len(margins), CLASSES))
    logits[:, 0] = margins
    return logits, np.ones(len(margins), dtype=np.int32)


def gradient_size(gradient: Array) -> list[float | None]:
    """Size of the gradient at the target of each row of ``rows_at``; None where it is not finite."""
    size = np.abs(gradient[:, 1].astype(np.float64))
    return [float(value) if np.isfinite(value) else None for value in size]


def head_curve(trainer: Trainer, precision: str, head: str) -> dict[str, Any]:
    """The head's gradient at ``MARGINS`` and its safe margin (None: no limit), both by the real framework."""

    def gradient_of_row(logits: Array, label: int) -> Array:
        gradient: Array = trainer.gradient(precision, head, logits[None], np.array([label], dtype=np.int32))[0]
        return gradient

    margin = safe_margin(gradient_of_row, LOGITS_DTYPE[precision])
    return {
        "gradient": gradient_size(trainer.gradient(precision, head, *rows_at(MARGINS))),
        "safe_margin": margin if np.isfinite(margin) else None,
    }


def reference() -> list[float | None]:
    """The truth at ``MARGINS``, by the reference block."""
    logits, labels = rows_at(MARGINS)
    return gradient_size(xent_logits(labels, logits).grad)
