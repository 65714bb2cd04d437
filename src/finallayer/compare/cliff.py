"""Gradient against margin: how large a head's gradient is when a rival leads the target by a given margin.

The truth is ``1 - softmax(z)_target``, which with one rival is a sigmoid of the margin: 1 for a sample that is badly
wrong, 0 for one that is safely right. Where a head's gradient falls off it, the worst-classified samples stop teaching;
up to there its margin is safe (``numerics.safe_margin``).
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
MARGINS: Array = np.linspace(-20, 40, 241)  # every quarter, exact in bfloat16 up to 64
FAR_BELOW = 64.0  # how far below both the other classes lie: exp(-64) counts in no format
LOGITS_DTYPE = {"float32": "float32", "mixed_bfloat16": "bfloat16", "mixed_float16": "float16"}


def rows_at(margins: Array) -> tuple[Array, Array]:
    """Logits ``(N, 10)`` and labels ``(N,)``: class 0 leads the target, class 1, by the margin (or trails it, where
    that is negative), and the others lie far below both, so that the margin alone says what the truth is.

    Logits of the two are multiples of a quarter, so that rounding them to 16 bits moves no margin.
    """
    logits = np.repeat(np.minimum(margins, 0.0)[:, None] - FAR_BELOW, CLASSES, axis=1)
    logits[:, 0], logits[:, 1] = margins, 0.0
    return logits, np.ones(len(margins), dtype=np.int32)


def gradient_size(gradient: Array) -> list[float | None]:
    """Size of the gradient at the target of each row of ``rows_at``; None where it is not finite."""
    size = np.abs(gradient[:, 1].astype(np.float64))
    return [float(value) if np.isfinite(value) else None for value in size]


def head_curve(trainer: Trainer, precision: str, head: str, batch_size: int) -> dict[str, Any]:
    """The head's gradient at ``MARGINS`` and its safe margin (None: no limit), both by the real framework.

    ``overflows_from``: in float16, the margin from which the gradient isn't finite under loss scaling as training
    begins it, of the mean over a batch; None elsewhere.
    """

    def gradient_of_row(logits: Array, label: int) -> Array:
        gradient: Array = trainer.gradient(precision, head, logits[None], np.array([label], dtype=np.int32))[0]
        return gradient

    margin = safe_margin(gradient_of_row, LOGITS_DTYPE[precision])
    return {
        "gradient": gradient_size(trainer.gradient(precision, head, *rows_at(MARGINS))),
        "safe_margin": margin if np.isfinite(margin) else None,
        "overflows_from": overflow(trainer, precision, head, batch_size),
    }


def overflow(trainer: Trainer, precision: str, head: str, batch_size: int) -> float | None:
    """The least of ``MARGINS`` from which the gradient at the target isn't finite under the first loss scale."""
    if precision != "mixed_float16":
        return None
    scaled = gradient_size(trainer.gradient(precision, head, *rows_at(MARGINS), trainer.initial_scale / batch_size))
    return next((float(m) for m, size in zip(MARGINS, scaled, strict=True) if size is None), None)


def reference() -> list[float | None]:
    """The truth at ``MARGINS``, by the reference block."""
    logits, labels = rows_at(MARGINS)
    return gradient_size(xent_logits(labels, logits).grad)
