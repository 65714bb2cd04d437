"""Class indices without extras on the CPU, in the fewest of torch's operations: what `_framework` does for usual calls.

One softmax in double gives the loss, minus the log of the target's share, and the gradient. Where the target has nearly
all of a row, what is left for the others is summed instead: neither the loss nor the gradient cancels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from finallayer.losses.torch._kernel import Terms

# Logits walked at a time: what leaves each thread room in its cache.
CHUNK = 1 << 16
# From here on, one less the target's share has too few digits left for a result in float32.
_NEARLY_ALL = 1 - 2.0**-22
# Below this log, the target's share loses digits to the end of float64's range.
_LEAST = -700.0
# A softmax of short rows is slow along them.
_FEW_CLASSES, _MANY_ROWS = 64, 16
_DTYPES = (torch.float32, torch.bfloat16, torch.float16)

Place = tuple[slice, ...]  # of some rows: in (N, ...), or in (N, ..., m)


def serves(logits: Tensor, target: Tensor, terms: Terms) -> bool:
    """Whether `cross_entropy` can be tried."""
    return (
        logits.is_cpu
        and logits.dtype in _DTYPES
        and target.dtype is torch.int64
        and not (terms.label_smoothing or terms.z_loss or terms.softcap)
        and terms.temperature == 1.0
        and logits.numel() > 0
    )


class Given(NamedTuple):
    """What the loss is made of, dense."""

    logits: Tensor  # (N, C, d1, ..., dk)
    target: Tensor
    weight: Tensor | None
    row_weight: Tensor | None
    row_upstream: Tensor | None = None


class Wanted(NamedTuple):
    """What is filled; ``grad`` is not the logits."""

    loss: Tensor | None  # an element a row
    reduced: Tensor | None
    grad: Tensor | None


def cross_entropy(given: Given, terms: Terms, upstream: float, wanted: Wanted) -> bool:
    """Fill what is wanted, as `_framework.cross_entropy` does.

    False if something is not as usual (a target out of range, NaN, infinity, nothing that counts): then it is lost.
    """
    if not math.isfinite(upstream):
        return False
    logits, target, weight, row_weight, row_upstream = given
    loss, reduced, grad = wanted
    rows, classes = logits.shape[:2]
    if logits.dim() > 3 and grad is not None and not grad.is_contiguous():
        return False  # its pixels have no single stride
    if logits.dim() > 2 or (classes <= _FEW_CLASSES and rows >= _MANY_ROWS):
        # (N, C, m); many short rows are walked as the columns of (1, C, N)
        shape = target.shape if logits.dim() == 3 else (1, rows) if logits.dim() == 2 else (rows, -1)
        turned = logits.dim() == 2
        logits = logits.t().unsqueeze(0) if turned else logits.flatten(2)
        if grad is not None:
            grad = grad.t().unsqueeze(0) if turned else grad.view(logits.shape)
        target = target.reshape(shape)
        loss, row_weight, row_upstream = (None if t is None else t.reshape(shape) for t in (loss, *given[3:]))
    ignored = _ignored(target, terms.ignore_index)
    at = (target if ignored is None else target.masked_fill(ignored, 0)).unsqueeze(1)
    try:
        weights = _weights(at, ignored, weight, row_weight)
        counted = 1.0
        if terms.reduction == "mean":
            counted = target.numel() if weights is None else weights.sum().item()
        push: float | Tensor = upstream / counted
        if weights is not None:
            push = weights * push
        if row_upstream is not None:
            push = row_upstream.double().unsqueeze(1) * push
            push = push if ignored is None else push.masked_fill_(ignored.unsqueeze(1), 0.0)
        total = 0.0
        for place in places(logits, CHUNK * torch.get_num_threads()):
            logs, sum_of_logs = _walk(_part(logits, place), _part(at, place), _part(push, place), _part(grad, place))
            if logs is None:
                return False
            if weights is not None:
                logs.mul_(_part(weights, place))
                sum_of_logs = logs.sum().item()
            total -= sum_of_logs
            if loss is not None:
                _part(loss.unsqueeze(1), place).copy_(logs.neg_())
    except (RuntimeError, IndexError, ZeroDivisionError):
        return False
    if reduced is not None:
        reduced.fill_(total / counted)
    return True


def _walk(logits: Tensor, at: Tensor, push: float | Tensor, grad: Tensor | None) -> tuple[Tensor | None, float]:
    """The logs of the targets' shares, and their sum, of some rows; None where there is none. Fills the gradient."""
    softmax = torch.softmax(logits.to(torch.float64, memory_format=torch.contiguous_format), 1)
    share = softmax.gather(1, at)
    logs = share.log()
    if not share.amax().item() <= _NEARLY_ALL:
        others = softmax.scatter(1, at, 0.0).sum(1, keepdim=True)
        nearly = share > _NEARLY_ALL
        logs = torch.where(nearly, torch.log1p(-others), logs)
        left = torch.where(nearly, -others, share - 1.0)
    else:
        left = share.sub_(1.0)
    total = logs.sum().item()  # below each of them
    if not total > _LEAST and not logs.amin().item() > _LEAST:
        return None, total
    if grad is not None:
        grad.copy_(softmax.scatter_(1, at, left).mul_(push))
    return logs, total


def _ignored(target: Tensor, ignore_index: int) -> Tensor | None:
    """Where rows count nothing; None: nowhere."""
    if ignore_index < 0 and target.amin().item() >= 0:
        return None
    ignored = target == ignore_index
    return ignored if ignored.any() else None


def _weights(at: Tensor, ignored: Tensor | None, weight: Tensor | None, row_weight: Tensor | None) -> Tensor | None:
    """Of each row's loss, where they are not all 1."""
    weights = None if weight is None else weight.double()[at]
    if row_weight is not None:
        rows = row_weight.double().unsqueeze(1)
        weights = rows if weights is None else weights * rows
    if ignored is not None:
        counts = (~ignored).double().unsqueeze(1)
        weights = counts if weights is None else weights * counts
    return weights


def places(logits: Tensor, most: int) -> Iterator[Place | None]:
    """What (N, C) or (N, C, m) is walked in: about ``most`` logits at a time; None: all at once."""
    if logits.numel() <= most:
        yield None
        return
    rows, classes = logits.shape[:2]
    inner = logits.shape[2] if logits.dim() == 3 else 1
    step = max(1, most // max(1, classes * inner))
    inner_step = inner if step > 1 else max(1, most // max(1, classes))
    for begin in range(0, rows, step):
        some = slice(begin, begin + step)
        if logits.dim() == 2:
            yield (some,)
            continue
        for inner_begin in range(0, inner, inner_step):
            yield some, slice(None), slice(inner_begin, inner_begin + inner_step)


def _part(tensor: Any, place: Place | None) -> Any:
    """Those of its rows; what is no tensor has none."""
    return tensor[place] if isinstance(tensor, Tensor) and place is not None else tensor
