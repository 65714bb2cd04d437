"""The loss of a few logits by torch's own autograd in float64, which costs less than an autograd function of ours.

``log_softmax`` in float64 has digits enough for narrower logits, but for what a confident row loses: where the target's
probability is 1 to within 2^-25, too little is left of the loss and its gradient. With label smoothing no row is so
sure, and what is promised is a share of the row's weight: there float64 logits keep what is promised, too.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, nll_loss

from finallayer.losses.torch._kernel import Terms

#: So many logits at most.
MOST_LOGITS = 1 << 12
# A row's log-probability at most, and a mean at least where no gradient is wanted: what it lacks is out of sight.
_MOST_LOG, _LEAST_MEAN = -(2.0**-25), 2.0**-24
# Smoothing that leaves enough of every loss.
_LEAST_SMOOTHING = {torch.float64: 2.0**-7}
_LEAST_SMOOTHING_OF_NARROW = 2.0**-20

Loss = Callable[[Tensor, Tensor, Tensor | None, bool], Tensor | None]  # of logits, target, weight, with a gradient


def recorder(logits: torch.dtype, target: torch.dtype, terms: Terms, dtype: torch.dtype) -> Loss | None:
    """What records the loss, in ``dtype``, of such tensors; None where that isn't exact."""
    smoothing = terms.label_smoothing
    if target is not torch.int64 or terms.z_loss or terms.softcap or terms.temperature != 1.0:
        return None
    if smoothing:
        if smoothing < _LEAST_SMOOTHING.get(logits, _LEAST_SMOOTHING_OF_NARROW):
            return None
        return lambda z, t, weight, _: _smoothed(z, t, weight, terms, dtype)
    if logits is torch.float64:
        return None
    return lambda z, t, weight, has_gradient: _of_classes(z, t, weight, terms, dtype, has_gradient)


def _of_classes(
    logits: Tensor, target: Tensor, weight: Tensor | None, terms: Terms, dtype: torch.dtype, has_gradient: bool
) -> Tensor | None:
    logs = torch.log_softmax(logits, 1, dtype=torch.float64)
    by_mean = not has_gradient and weight is None and terms.reduction == "mean"
    if not by_mean and not logs.detach().amax().item() < _MOST_LOG:
        return None
    try:
        loss = nll_loss(logs, target, _wide(weight), None, terms.ignore_index, None, terms.reduction)
    except (RuntimeError, IndexError):
        return None
    if by_mean and not loss.item() >= _LEAST_MEAN:
        return None
    if terms.reduction == "mean" and not math.isfinite(loss.item()):  # NaN where nothing counts
        return None
    return loss.to(dtype)


def _smoothed(logits: Tensor, target: Tensor, weight: Tensor | None, terms: Terms, dtype: torch.dtype) -> Tensor | None:
    wide = logits.double()
    if not math.isfinite(wide.detach().sum().item()):
        return None
    try:
        loss = cross_entropy(
            wide, target, _wide(weight), None, terms.ignore_index, None, terms.reduction, terms.label_smoothing
        )
    except (RuntimeError, IndexError):
        return None
    if terms.reduction == "mean" and not math.isfinite(loss.item()):
        return None
    return loss.to(dtype)


def _wide(weight: Tensor | None) -> Tensor | None:
    return None if weight is None else weight.double()
