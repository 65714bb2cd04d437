"""What calls that `_quick` serves have in common: made once for their shapes, dtypes and options."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from finallayer import kernels
from finallayer.losses.torch import _eager, _fused, _inputs, _kernel, _plain, _quick, _recorded
from finallayer.losses.torch._kernel import Terms
from finallayer.losses.torch._quick import MOST_LOGITS, Plan, Plans, Tensors

_Numbers = tuple[str, int, float, float, float | None, float]  # as the arguments of `_arguments.terms_of`
_Kind = tuple[torch.Size, torch.dtype] | None  # of a tensor that may be left out

_codes = _kernel.DTYPES
_indices = _kernel.INDEX_KINDS
_is_autocast = torch.is_autocast_enabled
_is_any_autocast = torch._C._is_any_autocast_enabled
_as_written = _eager.as_written
_plans = Plans()


def cross_entropy(
    logits: Tensor, target: Tensor, weight: Tensor | None, row_weight: Tensor | None, numbers: _Numbers
) -> Tensor | None:
    """The loss of logits (N, C, d1, ..., dk), called as written, if all is as usual; else None."""
    if not _as_written(logits) or type(numbers[1]) is not int:
        return None
    try:
        key = (
            logits.shape,
            logits.dtype,
            target.shape,
            target.dtype,
            None if weight is None else (weight.shape, weight.dtype),
            None if row_weight is None else (row_weight.shape, row_weight.dtype),
            numbers,
            _quick.LIBRARY is None,
            _is_any_autocast() and _is_autocast("cpu"),
        )
        plan = _plans.get(key) or _plans.made(key, _plan)
        if plan is None or target.requires_grad:
            return None
        if (weight is not None and weight.requires_grad) or (row_weight is not None and row_weight.requires_grad):
            return None
        if not logits.is_contiguous() and plan.native is None and _kernel.is_readable(logits):
            logits = logits.contiguous()  # so few are copied in less time than the general way takes to set out
    except (RuntimeError, TypeError, AttributeError):
        return None
    return _quick.loss(plan, (logits, target, weight, row_weight))


def _plan(
    shape: torch.Size,
    dtype: torch.dtype,
    target_shape: torch.Size,
    target_dtype: torch.dtype,
    weight: _Kind,
    row_weight: _Kind,
    numbers: _Numbers,
    native: bool,
    autocast: bool,
) -> Plan | None:
    """Raises:
    TypeError: a number is of another type.
    """
    terms = _usual(numbers)
    if terms is None or dtype not in _codes or len(shape) < 2 or not 0 < shape.numel() <= MOST_LOGITS:
        return None
    rows_shape, classes, soft = shape[:1] + shape[2:], shape[1], target_dtype in _codes
    rows, inner = rows_shape.numel(), shape[2:].numel()
    if target_shape != (shape if soft else rows_shape) or not (soft or target_dtype in _indices):
        return None
    if soft and terms.ignore_index >= 0:
        return None
    if not (_fits(weight, (classes,)) and _fits(row_weight, rows_shape)):
        return None
    promoted = [dtype, target_dtype, weight[1] if weight else dtype] if soft else [dtype]
    loss_dtype = _loss_dtype(promoted, autocast)
    if loss_dtype not in (dtype, _kernel.real_dtype(dtype)):
        return None
    records = native and shape.numel() <= _recorded.MOST_LOGITS and not row_weight
    strides = (classes * inner, 1 if inner > 1 else 0, inner)
    members = (
        rows, inner, classes, _codes[dtype], *strides, kernels.DISTRIBUTION if soft else _indices[target_dtype],
        _codes[target_dtype] if soft else 0, *(strides if soft else (inner, 1, 0)), terms.ignore_index,
        _code(weight), _code(row_weight), _codes[loss_dtype], *terms[2:], kernels.REDUCTIONS[terms.reduction],
        0, _codes[loss_dtype], 0, *strides, 0, 0,
    )  # fmt: skip

    def gradient(tensors: Tensors, upstream: Tensor, ready: Tensor | None, made_for: float) -> Tensor | None:
        return _fused.gradient_of(_inputs.Inputs(*tensors, not native), terms, upstream, None, ready, made_for)

    return Plan(
        "" if native else "fl_xent",
        None if native else _quick.template(kernels.XENT_ARGS, members),
        _native(terms) if native else None,
        terms.reduction == "none",
        _quick.loss_like(loss_dtype, rows_shape if terms.reduction == "none" else None),
        shape.numel(),
        (dtype, target_dtype, weight[1] if weight else dtype, row_weight[1] if row_weight else dtype),
        (shape.numel(), target_shape.numel(), classes, rows),
        gradient,
        lambda status, arguments, target: _kernel.fail(status, arguments, target, classes),
        _recorded.recorder(dtype, target_dtype, terms, loss_dtype) if records else None,
    )


def _native(terms: Terms) -> Callable[..., bool]:
    """The loss and its gradient in torch's own operations."""

    def fill(tensors: Tensors, loss: Tensor, gradient: Tensor | None, upstream: float) -> bool:
        given = _plain.Given(*tensors)
        if not _plain.serves(given.logits, given.target, terms):
            return False
        per_row, reduced = (loss, None) if terms.reduction == "none" else (None, loss)
        return _plain.cross_entropy(given, terms, upstream, _plain.Wanted(per_row, reduced, gradient))

    return fill


def _usual(numbers: _Numbers) -> Terms | None:
    """The numbers of a cross-entropy, if nothing is wrong with them.

    Raises:
        TypeError: one is of another type.
    """
    reduction, ignore_index, smoothing, z_loss, softcap, temperature = numbers
    cap = 0.0 if softcap is None else softcap
    if not all(type(n) in (float, int) for n in (smoothing, z_loss, cap, temperature)):
        raise TypeError
    in_range = 0 <= smoothing <= 1 and math.isfinite(z_loss) and 0 < temperature < math.inf and 0 <= cap < math.inf
    if not in_range or softcap == 0 or reduction not in kernels.REDUCTIONS or not -(2**63) <= ignore_index < 2**63:
        return None
    return Terms(reduction, ignore_index, float(smoothing), float(z_loss), float(cap), float(temperature))


def _fits(kind: _Kind, shape: tuple[int, ...]) -> bool:
    return kind is None or (kind[0] == shape and kind[1] in _codes)


def _code(kind: _Kind) -> int:
    return 0 if kind is None else _codes[kind[1]]


def _loss_dtype(promoted: list[torch.dtype], autocast: bool) -> torch.dtype:
    found = promoted[0]
    for dtype in (*promoted[1:], *([torch.float32] if autocast else [])):
        found = torch.promote_types(found, dtype)
    return found


def binary(
    logits: Tensor, target: Tensor, weight: Tensor | None, pos_weight: Tensor | None, reduction: str, gradient: Any
) -> Tensor | None:
    """The binary loss of contiguous logits, called as written, if all is as usual; else None.

    ``gradient(tensors, reduction, upstream, ready, made_for)`` is the gradient in every case.
    """
    if _quick.LIBRARY is None or not _as_written(logits):
        return None
    try:
        key = (
            logits.shape,
            logits.dtype,
            target.shape,
            target.dtype,
            None if weight is None else (weight.shape, weight.dtype),
            None if pos_weight is None else (pos_weight.shape, pos_weight.dtype),
            reduction,
            _is_any_autocast() and _is_autocast("cpu"),
            gradient,
        )
        plan = _plans.get(key) or _plans.made(key, _binary_plan)
        if plan is None or target.requires_grad:
            return None
        if (weight is not None and weight.requires_grad) or (pos_weight is not None and pos_weight.requires_grad):
            return None
    except (RuntimeError, TypeError, AttributeError):
        return None
    return _quick.loss(plan, (logits, target, weight, pos_weight))


def _binary_plan(
    shape: torch.Size,
    dtype: torch.dtype,
    target_shape: torch.Size,
    target_dtype: torch.dtype,
    weight: _Kind,
    pos_weight: _Kind,
    reduction: str,
    autocast: bool,
    gradient: Any,
) -> Plan | None:
    count = shape.numel()
    if dtype not in _codes or target_dtype not in _codes or target_shape != shape or not 0 < count <= MOST_LOGITS:
        return None
    if reduction not in kernels.REDUCTIONS or not (_repeats(weight, shape) and _repeats(pos_weight, shape)):
        return None
    loss_dtype = _loss_dtype([dtype, target_dtype], autocast)
    if loss_dtype not in (dtype, _kernel.real_dtype(dtype)):
        return None
    periods = [k[0].numel() if k else 0 for k in (weight, pos_weight)]
    members = (
        count, _codes[dtype], _codes[target_dtype], _code(weight), periods[0], _code(pos_weight), periods[1],
        _codes[loss_dtype], kernels.REDUCTIONS[reduction], _codes[loss_dtype],
    )  # fmt: skip

    return Plan(
        "fl_bce",
        _quick.template(kernels.BCE_ARGS, members),
        None,
        reduction == "none",
        _quick.loss_like(loss_dtype, shape if reduction == "none" else None),
        count,
        (dtype, target_dtype, weight[1] if weight else dtype, pos_weight[1] if pos_weight else dtype),
        (count, count, *periods),
        lambda tensors, *rest: gradient(tensors, reduction, *rest),
        _kernel.fail_binary,
    )


def _repeats(kind: _Kind, shape: torch.Size) -> bool:
    """Whether a weight repeats over the elements as it lies in memory."""
    if kind is None:
        return True
    dims = len(kind[0])
    return kind[1] in _codes and dims <= len(shape) and kind[0] == shape[len(shape) - dims :]
