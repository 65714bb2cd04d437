"""Class indices on the CPU, with or without label smoothing, in the fewest of torch's operations.

What `_framework` does, for usual calls. The loss is ``log1p(S / e)`` and the gradient ``e / (S + e)``, with ``e`` the
exponentials and ``S`` the sum of all but the target's: nothing cancels. Exponentials of the logits as they stand, no
maximum subtracted, are right to the last digit in the logits' own precision (a difference would be rounded before).
Only the sums are in float64, and what is one number a row; where a gradient or a log-sum-exp is a
difference, everything is. Logits too large or too small for float32 have their maximum subtracted, in float64.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import repeat
from typing import Any, NamedTuple

import torch
from torch import Tensor

from finallayer.losses.torch._kernel import Terms

# Bytes of exponentials walked at a time: what leaves each thread room in its cache, and is worth a walk's operations.
CHUNK = 1 << 20
# Rows, of which each has a few numbers in float64 of its own, at a time.
_MOST_ROWS = 1 << 16
# Above this ratio of the others to it, the target's exponential loses digits to the end of float64's range.
_MOST_RATIO = 2.0**995
# Sums of short rows are slow along them.
_FEW_CLASSES, _MANY_ROWS = 4, 16
# Up to here, to look at the logits costs less than to look at the sums.
_FEW_LOGITS = 1 << 13
_DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)

Place = tuple[slice, ...]  # of some rows: in (N, ...), or in (N, ..., m)


class _Held(NamedTuple):
    """What exponentials are held in, and between which sizes all keep their digits."""

    dtype: torch.dtype
    most: float  # of a row's sum, of its inverse, and of what its loss is pushed by
    least: float  # of a sum or an exponential: what falls below the range doesn't change it
    least_logit: float
    usual: float  # logits of no more than this size are fine


_FLOAT = _Held(torch.float32, 2.0**60, 2.0**-76, -87.0, 25.0)
_DOUBLE = _Held(torch.float64, 2.0**400, 2.0**-600, -708.0, 200.0)


def serves(logits: Tensor, target: Tensor, terms: Terms) -> bool:
    """Whether `cross_entropy` can be tried."""
    return logits.is_cpu and logits.numel() > 0 and takes(logits.dtype, target.dtype, terms)


def takes(logits: torch.dtype, target: torch.dtype, terms: Terms) -> bool:
    """Whether what is here is made for such tensors."""
    return (
        logits in _DTYPES and target is torch.int64 and not (terms.z_loss or terms.softcap) and terms.temperature == 1.0
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
    lse: Tensor | None = None


class _Walk(NamedTuple):
    """What the walked parts of a call have in common."""

    held: _Held
    summed: torch.dtype  # of what is one number a row
    classes: int
    smooth: float  # the mass that label smoothing leaves to each class
    most_push: float
    is_moderate: bool  # whether what rows are pushed by neither over- nor underflows in a factor


class _Part(NamedTuple):
    """Some rows: (n, C) and (n, 1), or (n, C, m) and (n, 1, m)."""

    logits: Tensor
    at: Tensor  # the target; 0 where it is ignored
    push: float | Tensor  # for all, or for each row in float64
    weights: Tensor | None
    loss: Tensor | None
    lse: Tensor | None
    grad: Tensor | None

    @property
    def is_overwritten(self) -> bool:
        """Whether the gradient takes the place of the logits."""
        return self.grad is not None and self.grad.data_ptr() == self.logits.data_ptr()


class _Sums(NamedTuple):
    """Of some rows' exponentials, each row times a factor of its own."""

    at_target: Tensor
    others: Tensor  # the sum of all but the target's
    sums: Tensor
    gap: Tensor | None  # what label smoothing adds to the loss


def cross_entropy(given: Given, terms: Terms, upstream: float, wanted: Wanted) -> bool:
    """Fill what is wanted, as `_framework.cross_entropy` does.

    False if something is not as usual (a target out of range, NaN, infinity, nothing that counts): then it is lost.
    """
    if not math.isfinite(upstream) or (terms.label_smoothing and given.weight is not None):
        return False
    arranged = _arranged(given, wanted)
    if arranged is None:
        return False
    (logits, target, weight, row_weight, row_upstream), (loss, reduced, grad, lse) = arranged
    try:
        ignored = _ignored(target, terms.ignore_index)
        at = (target if ignored is None else target.masked_fill(ignored, 0)).unsqueeze(1)
        weights = _weights(at, ignored, weight, row_weight)
        counted = 1.0
        if terms.reduction == "mean":
            counted = target.numel() if weights is None else weights.sum().item()
        each = upstream / counted
        push = each if grad is None else _push(each, weights, row_upstream, ignored)
        walk = _walk_of(logits, terms, push, lse is not None)
        if not walk.is_moderate and logits.dtype is torch.float64:
            return False
        total = 0.0
        for part in _parts(_MOST_ROWS * walk.classes, logits, at, push, weights, _by_class(loss), _by_class(lse), grad):
            losses = _losses(walk, _Part(*part))
            if losses is None:
                return False
            if reduced is not None:
                total += losses.sum(dtype=torch.float64).item()
    except (RuntimeError, IndexError, ZeroDivisionError):
        return False
    if reduced is not None:
        reduced.fill_(total / counted)
    return True


def _arranged(given: Given, wanted: Wanted) -> tuple[Given, Wanted] | None:
    """Both as they are walked: (N, C) or (N, C, m); many short rows as the columns of (1, C, N)."""
    logits, target, weight, row_weight, row_upstream = given
    loss, reduced, grad, lse = wanted
    if grad is not None and not grad.is_contiguous():
        return None
    if logits.dim() == 2 and grad is not None and lse is None and not logits.is_contiguous():
        logits = grad.copy_(logits)  # turned over as a whole, which takes less time than in parts
    rows, classes = logits.shape[:2]
    turned = logits.dim() == 2 and classes <= _FEW_CLASSES and rows >= _MANY_ROWS
    if logits.dim() == 2 and not turned:
        return given._replace(logits=logits), wanted
    shape = (1, rows) if turned else (rows, -1)

    def by_class(tensor: Tensor) -> Tensor:
        return tensor.t().unsqueeze(0) if turned else tensor.flatten(2)

    def by_row(tensor: Tensor | None) -> Tensor | None:
        return None if tensor is None else tensor.reshape(shape)

    gradient = None if grad is None else by_class(grad)
    return (
        Given(by_class(logits), target.reshape(shape), weight, by_row(row_weight), by_row(row_upstream)),
        Wanted(by_row(loss), reduced, gradient, by_row(lse)),
    )


def _by_class(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.unsqueeze(1)


def _push(each: float, weights: Tensor | None, row_upstream: Tensor | None, ignored: Tensor | None) -> float | Tensor:
    """What the gradient of each row's loss is multiplied by."""
    if weights is None and row_upstream is None:
        return each
    if row_upstream is None:
        assert weights is not None
        return weights * each
    push = row_upstream.double().unsqueeze(1) * each
    push = push if weights is None else push.mul_(weights)
    return push if ignored is None else push.masked_fill_(ignored.unsqueeze(1), 0.0)


def _walk_of(logits: Tensor, terms: Terms, push: float | Tensor, with_lse: bool) -> _Walk:
    is_narrow = logits.dtype is not torch.float64 and not terms.label_smoothing and not with_lse
    held = _FLOAT if is_narrow else _DOUBLE
    classes = logits.shape[1]
    least_push, most_push = _sizes(push)
    is_moderate = 1 / held.most <= least_push and most_push <= held.most
    is_rounded = is_narrow and is_moderate and logits.dtype.itemsize == 2  # to 16 bits
    summed = torch.float32 if is_rounded else torch.float64
    return _Walk(held, summed, classes, terms.label_smoothing / classes, most_push, is_moderate)


def _parts(most: int, logits: Tensor, *others: Any) -> Iterator[tuple[Any, ...]]:
    """Parts of all, of about so many logits; what has no rows belongs to each."""
    if logits.numel() <= most:
        yield (logits, *others)
        return
    classes = logits.shape[1]
    inner = logits[:1, 0].numel()
    step = max(1, most // (classes * inner))
    inner_step = inner if step > 1 else max(1, most // classes)
    for some in zip(*(_split(t, step, 0) for t in (logits, *others)), strict=False):
        if inner_step >= inner:
            yield some
        else:
            yield from zip(*(_split(t, inner_step, 2) for t in some), strict=False)


def _split(tensor: Any, step: int, dim: int) -> Iterable[Any]:
    return torch.split(tensor, step, dim) if isinstance(tensor, Tensor) else repeat(tensor)


def _losses(walk: _Walk, part: _Part) -> Tensor | None:
    """Fill the part's losses and gradient; its losses with their weights, None where there are none."""
    found = _sums(walk, part, False)
    ratios = found.others / found.at_target
    if not _is_in_range(walk, part, found, ratios):
        if part.logits.dtype is torch.float64 or part.is_overwritten:
            return None
        found = _sums(walk._replace(held=_DOUBLE, summed=torch.float64), part, True)
        ratios = found.others / found.at_target
        if not ratios.amax().item() < _MOST_RATIO:
            return None
    losses = ratios.log1p_()
    if part.lse is not None:
        part.lse.copy_(part.logits.gather(1, part.at) + losses)
    if found.gap is not None and not math.isfinite(losses.add_(found.gap).sum().item()):
        return None  # a masked class
    if part.weights is not None:
        losses.mul_(part.weights)
    if part.loss is not None:
        part.loss.copy_(losses)
    return losses


def _sums(walk: _Walk, part: _Part, shifted: bool) -> _Sums:
    """Of the part, which is walked in smaller ones; with the gradient, if one is wanted."""
    most = CHUNK // walk.held.dtype.itemsize * torch.get_num_threads()
    like = part.at.new_empty  # all of them before the walk: what it takes and gives back is in their way
    at_target = like(part.at.shape, dtype=walk.held.dtype)
    others, sums = (like(part.at.shape, dtype=walk.summed) for _ in range(2))
    found = _Sums(at_target, others, sums, torch.empty_like(others) if walk.smooth else None)
    for some in _parts(most, *part, *found):
        _walk_through(walk, _Part(*some[: len(part)]), _Sums(*some[len(part) :]), shifted)
    return found


def _walk_through(walk: _Walk, part: _Part, found: _Sums, shifted: bool) -> None:
    logits, at, push, *_, grad = part
    at_target, others, sums, gap = found
    source = _source(walk, logits, shifted)
    if gap is not None:
        torch.sum(source, 1, keepdim=True, out=gap)
        torch.sub(source.gather(1, at).mul_(walk.classes), gap, out=gap).mul_(walk.smooth)
    if grad is not None and grad.dtype is source.dtype and grad.stride(-1) == 1:
        exps = torch.exp(source, out=grad)
    else:
        exps = source.exp() if source is logits else source.exp_()
    torch.gather(exps, 1, at, out=at_target)
    torch.sum(exps.scatter_(1, at, 0.0), 1, keepdim=True, dtype=walk.summed, out=others)
    torch.add(others, at_target, out=sums)
    if grad is not None:
        _push_by(walk, part, exps, others, push / sums)


def _source(walk: _Walk, logits: Tensor, shifted: bool) -> Tensor:
    """What to take exponentials of, in the precision in which they are held; shifted: each row's largest is 0."""
    dtype = walk.held.dtype
    if logits.dtype is not dtype:
        source = logits.to(dtype, memory_format=torch.contiguous_format)
    else:
        source = logits if logits.stride(-1) == 1 else logits.contiguous()
    return source.sub_(source.amax(1, keepdim=True)) if shifted else source


def _push_by(walk: _Walk, part: _Part, exps: Tensor, others: Tensor, factor: Tensor) -> None:
    """From the exponentials to the gradient."""
    _, at, push, *_, grad = part
    assert grad is not None
    if walk.smooth:
        at_target = (others * factor).neg_().add_(push * (walk.smooth * (walk.classes - 1)))
        exps.mul_(factor).sub_(push * walk.smooth).scatter_(1, at, at_target)
    else:
        exps.scatter_(1, at, others.neg().to(exps.dtype))
        exps.mul_(factor.to(exps.dtype) if walk.is_moderate else factor)
    if exps is not grad:
        grad.copy_(exps)


def _is_in_range(walk: _Walk, part: _Part, found: _Sums, ratios: Tensor) -> bool:
    """Whether the exponentials were held to the last digit that shows in a result."""
    held = walk.held
    if part.logits.numel() <= _FEW_LOGITS and not part.is_overwritten:
        least, most = (n.item() for n in torch.aminmax(part.logits))
        if -held.usual <= least and most <= held.usual:
            return True
    least, most = (n.item() for n in torch.aminmax(found.sums))
    least_ratio, most_ratio = (n.item() for n in torch.aminmax(ratios))
    if not (1 / held.most <= least and most <= held.most and most_ratio < _MOST_RATIO):
        return False
    least_part = least / 2 * min(least_ratio, 1 / (most_ratio or 1.0))  # of a sum: the others, or the target
    # What is below the range stays there if nothing makes it larger.
    lost_nothing = least >= walk.most_push and least_part >= held.least
    return lost_nothing or (not part.is_overwritten and part.logits.amin().item() >= held.least_logit)


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
