"""What a loss will be multiplied by before its backward pass: as the last time.

The gradient is computed in the forward pass, while the logits are in the cache. Under gradient accumulation
(``(loss / 4).backward()``) or a ``GradScaler`` it is wanted for another upstream than 1, and must not be scaled
afterwards: a 16-bit gradient would be rounded twice, and what underflowed would stay 0. So it is computed for the
upstream that the last loss of as many logits got; where that turns out wrong, it is computed again. The result is the
same, to the bit, either way.
"""

from __future__ import annotations

import math

from torch import Tensor

_MOST_SIZES = 256

_by_size: dict[int, float] = {}
_of_all_rows: dict[int, float] = {}


def expected(logits: int) -> float:
    """The upstream to compute the gradient of so many logits for."""
    return _by_size.get(logits, 1.0)


def learn(logits: int, upstream: float) -> None:
    """Note the upstream that a loss of so many logits got."""
    if math.isfinite(upstream) and upstream != 0.0:
        if len(_by_size) >= _MOST_SIZES:
            _by_size.clear()
        _by_size[logits] = upstream


def expected_of_all_rows(logits: int) -> float | None:
    """The upstream that every row's loss is expected to get (``loss.sum().backward()``); None: they differ."""
    return _of_all_rows.get(logits)


def of_all_rows(upstream: Tensor) -> float | None:
    """The number that every row's loss gets, if that shows in the strides, as ``sum()`` and ``mean()`` make them."""
    if any(upstream.stride()):
        return None
    base = upstream._base
    if base is not None and base.numel() == 1 and base.data_ptr() == upstream.data_ptr():
        return float(base.item())
    return float(upstream.as_strided((), ()).item()) if upstream.numel() else None


def learn_of_all_rows(logits: int, upstream: float | None) -> None:
    """Note the upstream that every row's loss got."""
    if upstream is None or not math.isfinite(upstream) or upstream == 0.0:
        _of_all_rows.pop(logits, None)
        return
    if len(_of_all_rows) >= _MOST_SIZES:
        _of_all_rows.clear()
    _of_all_rows[logits] = upstream


def exact_factor(wanted: float, made_for: float) -> float | None:
    """``wanted / made_for`` if that is a power of two, which scales without rounding; else None."""
    ratio = wanted / made_for
    return ratio if math.isfinite(ratio) and abs(math.frexp(ratio)[0]) == 0.5 and ratio * made_for == wanted else None
