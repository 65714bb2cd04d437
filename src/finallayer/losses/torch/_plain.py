"""Class indices without extras on the CPU, in the fewest of torch's operations: what `_framework` does for usual calls.

The loss is ``log1p(S / e)`` and the gradient ``e / (S + e)``, with ``e`` the exponentials and ``S`` the sum of all but
the target's: nothing cancels. Exponentials of the logits as they stand, no maximum subtracted, are right in float32 to
the last digit (a difference would be rounded before), and take half the time of float64. Only the sums are in float64,
and what is one number a row. Logits too large or too small for that have their maximum subtracted, in float64.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import nll_loss

from finallayer.losses.torch._kernel import Terms

# Logits walked at a time: what leaves each thread room in its cache.
CHUNK = 1 << 18
# Between these, a row's sum of exponentials, its inverse, and that times what its loss is pushed by, keep their digits.
_LEAST_SUM, _MOST_SUM = 2.0**-60, 2.0**60
_LEAST_PUSH, _MOST_PUSH = 2.0**-60, 2.0**60
# From here on, an exponential has all its digits in float32.
_LEAST_LOGIT = -87.0
# A target whose loss is no larger has all digits, too, if the others' sum is `_LEAST_SUM` at least.
_MOST_GAP = 40.0
# So many logits at most are left to torch's own autograd, and so little a loss at least.
MOST_RECORDED, _LEAST_LOSS = 1 << 12, -(2.0**-25)
# Above this loss, the target's exponential loses digits to the end of float64's range.
_MOST_LOSS = 690.0
# Sums of short rows are slow along them.
_FEW_CLASSES, _MANY_ROWS = 8, 16
_DTYPES = (torch.float32, torch.bfloat16, torch.float16)

Place = tuple[slice, ...]  # of some rows: in (N, ...), or in (N, ..., m)


def serves(logits: Tensor, target: Tensor, terms: Terms) -> bool:
    """Whether `cross_entropy` can be tried."""
    return logits.is_cpu and logits.numel() > 0 and takes(logits.dtype, target.dtype, terms)


def takes(logits: torch.dtype, target: torch.dtype, terms: Terms) -> bool:
    """Whether what is here is made for such tensors."""
    return (
        logits in _DTYPES
        and target is torch.int64
        and not (terms.label_smoothing or terms.z_loss or terms.softcap)
        and terms.temperature == 1.0
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


def recorded(logits: Tensor, target: Tensor, terms: Terms, dtype: torch.dtype) -> Tensor | None:
    """The loss of a few logits, with torch's own autograd in float64, which costs less than a function of ours.

    None if something is not as usual, or if a row is so confident that float64 would not leave enough of its loss.
    """
    logs = torch.log_softmax(logits, 1, dtype=torch.float64)
    if not logs.detach().amax().item() < _LEAST_LOSS:
        return None
    try:
        loss = nll_loss(logs, target, None, None, terms.ignore_index, None, terms.reduction)
    except (RuntimeError, IndexError):
        return None
    if terms.reduction == "mean" and not loss.item() < math.inf:  # NaN where nothing counts
        return None
    return loss.to(dtype)


class _Exponentials(NamedTuple):
    """Of some rows, each row times a factor of its own; sums in float64."""

    exps: Tensor  # 0 at the target
    others: Tensor  # the sum of all but the target's
    sums: Tensor
    losses: Tensor


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
    try:
        ignored = _ignored(target, terms.ignore_index)
        at = (target if ignored is None else target.masked_fill(ignored, 0)).unsqueeze(1)
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
            walked = _walk(_part(logits, place), _part(at, place), _part(push, place), _part(grad, place))
            if walked is None:
                return False
            losses, sum_of_losses = walked
            if weights is not None:
                losses.mul_(_part(weights, place))
                sum_of_losses = losses.sum().item()
            total += sum_of_losses
            if loss is not None:
                _part(loss.unsqueeze(1), place).copy_(losses)
    except (RuntimeError, IndexError, ZeroDivisionError):
        return False
    if reduced is not None:
        reduced.fill_(total / counted)
    return True


def _walk(logits: Tensor, at: Tensor, push: float | Tensor, grad: Tensor | None) -> tuple[Tensor, float] | None:
    """The losses of some rows before their weights, and the sum of these; None where there is none. Fills ``grad``."""
    found = _exponentials(_narrow(logits, grad), at)
    least_push, most_push = _sizes(push)
    if not _is_in_range(found, logits, most_push):
        wide = logits.to(torch.float64, memory_format=torch.contiguous_format)
        found = _exponentials(wide.sub_(wide.amax(1, keepdim=True)).exp_(), at)
    exps, others, sums, losses = found
    total = losses.sum().item()  # above each of them
    if not total < _MOST_LOSS and not losses.amax().item() < _MOST_LOSS:
        return None
    if grad is not None:
        factor = sums.reciprocal_().mul_(push)
        exps.scatter_(1, at, others.neg_().to(exps.dtype))
        is_moderate = least_push >= _LEAST_PUSH and most_push <= _MOST_PUSH
        exps.mul_(factor.to(exps.dtype) if is_moderate else factor)
        if exps is not grad:
            grad.copy_(exps)
    return losses, total


def _narrow(logits: Tensor, into: Tensor | None) -> Tensor:
    """``exp(logits)`` in float32, contiguous; ``into``, where that can be."""
    if into is not None and into.dtype is torch.float32 and into.is_contiguous():
        return torch.exp(logits, out=into)
    copied = logits.to(torch.float32, memory_format=torch.contiguous_format)
    return copied.exp() if copied.data_ptr() == logits.data_ptr() else copied.exp_()


def _exponentials(exps: Tensor, at: Tensor) -> _Exponentials:
    at_target = exps.gather(1, at)
    others = exps.scatter_(1, at, 0.0).sum(1, keepdim=True, dtype=torch.float64)
    return _Exponentials(exps, others, others + at_target, (others / at_target).log1p_())


def _is_in_range(found: _Exponentials, logits: Tensor, most_push: float) -> bool:
    """Whether float32 held the exponentials to the last digit that shows in a result."""
    least, most = (n.item() for n in torch.aminmax(found.sums))
    if not (least >= _LEAST_SUM and most <= _MOST_SUM):
        return False
    # What fell below float32's range changes no sum that is far from it, and stays below if nothing makes it larger.
    lost_nothing = (
        least >= most_push and found.others.amin().item() >= _LEAST_SUM and found.losses.amax().item() <= _MOST_GAP
    )
    return lost_nothing or logits.amin().item() >= _LEAST_LOGIT


def _sizes(push: float | Tensor) -> tuple[float, float]:
    """The least that is not 0, and the largest."""
    if isinstance(push, float):
        return abs(push), abs(push)
    sizes = push.abs()
    return sizes.masked_fill(sizes == 0, torch.inf).amin().item(), sizes.amax().item()


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
