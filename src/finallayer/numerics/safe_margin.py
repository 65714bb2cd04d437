"""The safe margin: up to which distance between the top logit and the target's a loss's gradient is right.

The probe row has the target's rival ``margin`` above everything else (``target="trails"``: the sample is
misclassified), or the target itself (``target="leads"``: it is classified confidently); all other logits
are 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

from finallayer.numerics.formats import Format, float_format

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

Target = Literal["trails", "leads"]

TOLERANCE = 0.01
RESOLUTION = 1e-3
# Scan steps. A trailing target is lost at a threshold; a leading one's gradient drowns in rounding noise,
# which a coarse scan would hit or miss by luck.
STEPS: dict[Target, float] = {"trails": 1.0, "leads": 0.125}
SCANNED_EVENLY = 40.0
PAST_ALL_EXPONENTIALS = 1000.0  # exp(-745) is 0 even in float64


def safe_margin(
    loss_grad: Callable[[NDArray[Any], int], ArrayLike],
    dtype: object = "float32",
    *,
    target: Target = "trails",
    classes: int = 10,
) -> float:
    """The largest margin, in nats, up to which a loss's gradient is within 1 % of the truth, or ``inf``.

    ``loss_grad(logits, label)``: gives the gradient with respect to ``logits``, one row of shape
    ``(classes,)`` in ``dtype`` (float16, bfloat16, float32, float64), for an integer label. The truth is
    ``softmax - onehot`` by mpmath. The result is exact to 0.1, or to the dtype's spacing at that margin
    where that is coarser; where the error is rounding noise (``target="leads"``), it is the first failure
    on a grid of 1/8.
    """
    import numpy as np

    from finallayer.numerics import oracle

    form = float_format(dtype)
    np_dtype = numpy_dtype(form)
    label = 0 if target == "leads" else 1

    def is_right(margin: float) -> bool:
        row = np.array([margin] + [0.0] * (classes - 1), dtype=np_dtype)
        got = np.asarray(loss_grad(row, label), dtype=np.float64)
        truth = [float(g) for g in oracle.xent_logits(label, row).grad]
        return gradient_is_right(got.tolist(), truth, form)

    return largest_safe_margin(is_right, form, target)


def gradient_is_right(got: Sequence[float], truth: Sequence[float], form: Format) -> bool:
    """Whether a gradient is within 1 % of the truth, by the largest element of each.

    In bfloat16, where one rounding is worth 0.4 %, within four of its spacings (3.1 %). What is too small
    to be a normal number of the format can't be right or wrong: a truth below that is compared at that
    scale.
    """
    scale = max(form.tiny, *map(abs, truth))
    tolerance = max(TOLERANCE, 4 * form.eps)
    return all(abs(g - t) <= tolerance * scale for g, t in zip(got, truth, strict=True))  # False for nan


def largest_safe_margin(is_right: Callable[[float], bool], form: Format, target: Target = "trails") -> float:
    """The end of the first stretch of margins, from 0 on, where ``is_right`` holds, by scan and bisection."""
    low = 0.0
    if not is_right(low):
        return low
    for high in margins_to_try(form, STEPS[target]):
        if not is_right(high):
            break
        low = high
    else:
        return math.inf
    while high - low > RESOLUTION:
        middle = form.round((low + high) / 2)
        if middle in (low, high):
            break
        low, high = (middle, high) if is_right(middle) else (low, middle)
    return low


def margins_to_try(form: Format, step: float) -> Iterator[float]:
    """Margins up to the format's largest number: evenly where losses break down, then in growing leaps."""
    margin = step
    while margin < form.max:
        yield form.round(margin)
        if margin < SCANNED_EVENLY:
            margin += step
        else:
            margin *= 2 if margin < PAST_ALL_EXPONENTIALS else margin


def numpy_dtype(form: Format) -> Any:
    """The format as a NumPy dtype; bfloat16 is that of ``ml_dtypes``, which JAX and TensorFlow bring along.

    Raises ``ImportError`` for bfloat16 without it.
    """
    import numpy as np

    if form.name == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(form.name)
