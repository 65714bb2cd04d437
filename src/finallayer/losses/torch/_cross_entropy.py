"""`cross_entropy`: torch's arguments and defaults, checked, and handed to the way that serves them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple, TypedDict, Unpack, cast, overload

import torch
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function_variadic

from finallayer.losses.torch import _composed, _eager, _framework, _fused, _ops, _plans, _transforms
from finallayer.losses.torch._arguments import (
    check_logits,
    check_target,
    check_tensors,
    check_weights,
    reduction_of,
    rows_shape,
    terms_of,
)
from finallayer.losses.torch._kernel import Terms

_is_compiling = _eager.is_compiling


class CrossEntropyOutput(NamedTuple):
    """What `cross_entropy` returns when more than the loss is asked for; None is what was not."""

    loss: Tensor
    lse: Tensor | None
    accuracy: Tensor | None


class _Wanted(NamedTuple):
    """Of what to return, besides the loss, and how."""

    lse: bool
    accuracy: bool
    in_place: bool
    dtype: torch.dtype  # of the loss


class _Terms(TypedDict, total=False):
    """What changes nothing in what `cross_entropy` returns, and has a name only."""

    z_loss: float
    softcap: float | None
    temperature: float
    token_weight: Tensor | None
    in_place: bool


# fmt: off
@overload
def cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = ..., size_average: bool | None = ...,
    ignore_index: int = ..., reduce: bool | None = ..., reduction: str = ..., label_smoothing: float = ..., *,
    return_lse: Literal[False] = ..., return_accuracy: Literal[False] = ..., **terms: Unpack[_Terms],
) -> Tensor: ...


@overload
def cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = ..., size_average: bool | None = ...,
    ignore_index: int = ..., reduce: bool | None = ..., reduction: str = ..., label_smoothing: float = ..., *,
    return_lse: Literal[True], return_accuracy: bool = ..., **terms: Unpack[_Terms],
) -> CrossEntropyOutput: ...


@overload
def cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = ..., size_average: bool | None = ...,
    ignore_index: int = ..., reduce: bool | None = ..., reduction: str = ..., label_smoothing: float = ..., *,
    return_lse: bool = ..., return_accuracy: Literal[True], **terms: Unpack[_Terms],
) -> CrossEntropyOutput: ...


@overload
def cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = ..., size_average: bool | None = ...,
    ignore_index: int = ..., reduce: bool | None = ..., reduction: str = ..., label_smoothing: float = ..., *,
    return_lse: bool = ..., return_accuracy: bool = ..., **terms: Unpack[_Terms],
) -> Tensor | CrossEntropyOutput: ...
# fmt: on


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    *,
    z_loss: float = 0.0,
    softcap: float | None = None,
    temperature: float = 1.0,
    token_weight: Tensor | None = None,
    return_lse: bool = False,
    return_accuracy: bool = False,
    in_place: bool = False,
) -> Tensor | CrossEntropyOutput:
    """Cross-entropy between logits and targets, exact at both ends: a drop-in for ``F.cross_entropy``.

    The loss of a confident row falls smoothly to 1e-38 and its gradient with it, where ``F.cross_entropy`` returns 0
    from a margin of 17 on; neither depends on a common offset of the logits. Give it logits, never probabilities.
    docs/losses.md says how exact the loss is with each option, and where it differs from torch's.

    Args:
        input: Logits: (C,), (N, C) or (N, C, d1, ..., dk); float32, bfloat16, float16 or float64.
            ``-inf`` masks a class.
        target: Class indices (), (N,) or (N, d1, ..., dk), or probabilities with the shape of ``input``.
        weight: Weight of each class, (C,).
        size_average, reduce: Deprecated as in torch; use ``reduction``.
        ignore_index: Target value that contributes neither loss nor gradient (class indices only).
        reduction: ``"mean"`` (over the weights of the targets that count; nats per target), ``"sum"`` or ``"none"``.
        label_smoothing: Share of the target mass spread evenly over all classes, in [0, 1].
        z_loss: Adds ``z_loss * lse**2`` to each row's loss (https://arxiv.org/abs/2204.02311, section 5). With
            ``"mean"`` it is divided by what the loss is divided by.
        softcap: The loss is taken of ``softcap * tanh(input / softcap)``; above 0.
        temperature: The loss is taken of ``input / temperature``, after ``softcap``; above 0.
        token_weight: Weight of each target, with the shape of the per-target losses; ``"mean"`` divides by their sum.
        return_lse: Also return the log-sum-exp of each row (float32, or float64 for float64; differentiable).
        return_accuracy: Also return the share of targets that count whose logit is the largest (the first, on ties).
        in_place: Write the gradient over ``input``, which must not be used afterwards; saves a tensor of its size.
            Autograd raises if an operation needs the overwritten values.

    Returns:
        The loss in the dtype of ``input``, promoted as in torch with that of target probabilities and their weights,
        and to float32 under autocast; or a `CrossEntropyOutput` if more was asked for.
        When nothing counts (no rows, all ignored), ``"mean"`` is 0 with gradient 0, where torch gives NaN.

    Raises:
        IndexError: a target index is outside [0, C) and not ``ignore_index``.
        ValueError: the batch sizes do not match, a number is out of range, or ``in_place`` is not safe.
        RuntimeError: any other shape or dtype does not fit, or tensors are on different devices.
        TypeError: an argument is of another type.

    References:
        Bridle 1990, softmax and cross-entropy: https://doi.org/10.1007/978-3-642-76153-9_28
    """
    if size_average is not None or reduce is not None:
        reduction = reduction_of(size_average, reduce, reduction)
    if not _is_compiling() and not (return_lse or return_accuracy or in_place):
        quick = _plans.cross_entropy(
            input,
            target,
            weight,
            token_weight,
            (reduction, ignore_index, label_smoothing, z_loss, softcap, temperature),
        )
        if quick is not None:
            return quick
    if has_torch_function_variadic(input, target, weight, token_weight):
        return cast(
            Tensor,
            handle_torch_function(
                cross_entropy,
                (input, target, weight, token_weight),
                input,
                target,
                weight,
                ignore_index=ignore_index,
                reduction=reduction,
                label_smoothing=label_smoothing,
                z_loss=z_loss,
                softcap=softcap,
                temperature=temperature,
                token_weight=token_weight,
                return_lse=return_lse,
                return_accuracy=return_accuracy,
                in_place=in_place,
            ),
        )
    terms = terms_of(reduction, ignore_index, label_smoothing, z_loss, softcap, temperature)
    check_tensors("cross_entropy", input, target=target, weight=weight, token_weight=token_weight)
    check_logits("cross_entropy", input)
    check_target("cross_entropy", target, input.shape, ignore_index)
    check_weights("cross_entropy", input.shape, target, weight, token_weight)
    dtype = loss_dtype(input, target, weight)
    wanted = _Wanted(return_lse, return_accuracy, in_place, dtype)
    logits, target, token_weight = _with_batch(input, target, token_weight, dtype)
    loss, lse, accuracy = _ways(input, logits, target, weight, token_weight, terms, wanted)
    shape = rows_shape(input.shape)
    if terms.reduction == "none" and input.dim() == 1:
        loss = loss.reshape(shape)
    if not (return_lse or return_accuracy):
        return loss
    return CrossEntropyOutput(loss, None if lse is None else lse.reshape(shape), accuracy)


def loss_dtype(input: Tensor, target: Tensor, weight: Tensor | None) -> torch.dtype:
    """The dtype of the loss, promoted as torch promotes it."""
    dtype = input.dtype
    if target.is_floating_point():
        dtype = torch.promote_types(dtype, target.dtype)
        dtype = dtype if weight is None else torch.promote_types(dtype, weight.dtype)
    if _eager.is_autocast(input):
        dtype = torch.promote_types(dtype, torch.float32)
    return dtype


def _with_batch(
    input: Tensor, target: Tensor, token_weight: Tensor | None, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Logits (N, C, d1, ..., dk), the target and weights to match."""
    # float64 probabilities beside narrower logits: as exact as what they are promoted to.
    input = input.to(dtype) if dtype == torch.float64 else input
    if input.dim() > 1:
        return input, target, token_weight
    target = target.unsqueeze(0) if target.is_floating_point() else target.reshape(1)
    return input.unsqueeze(0), target, None if token_weight is None else token_weight.reshape(1)


def _ways(
    input: Tensor,
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None,
    token_weight: Tensor | None,
    terms: Terms,
    wanted: _Wanted,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Loss, lse and accuracy by the first way that serves: fused, row by row through one operation, or composed."""
    learned = any(t is not None and t.requires_grad for t in (target, weight, token_weight))
    empty = logits.shape[1] == 0
    eager = not _is_compiling() and _eager.as_written(logits)
    if wanted.in_place:
        _check_in_place(input, logits, terms, eager and not learned and not empty and logits.is_cpu)
    if eager and not learned and not empty and logits.device.type != "meta":
        return _fused.cross_entropy(logits, target, weight, token_weight, terms, *wanted)
    if eager and not target.is_floating_point():
        _framework.check_range(target, logits.shape[1], terms)
    rows = _rows(target, learned or empty, wanted.lse)
    loss, lse = rows(logits, target, weight, terms)
    loss = _reduced(loss, target, weight, token_weight, terms).to(wanted.dtype)
    lse = lse.to(torch.promote_types(logits.dtype, torch.float32)) if wanted.lse and lse is not None else None
    return loss, lse, _accuracy(logits, target, terms) if wanted.accuracy else None


def _rows(
    target: Tensor, learned: bool, want_lse: bool
) -> Callable[[Tensor, Tensor, Tensor | None, Terms], tuple[Tensor, Any]]:
    """What computes the losses and lse of rows here, before their weights."""
    if not learned and not _eager.is_exporting():
        if not _is_compiling() and _eager.in_transform():
            if _eager.is_simple_transform() and not target.is_floating_point():
                return _transforms.rows
        elif _eager.is_traced():
            return _ops.rows
    return partial(_composed.rows, want_lse=want_lse)


def _reduced(loss: Tensor, target: Tensor, weight: Tensor | None, token_weight: Tensor | None, terms: Terms) -> Tensor:
    """Losses of rows with their weights, and reduced."""
    loss = _composed.wide(loss)
    weights = None if token_weight is None else _composed.wide(token_weight)
    loss = loss if weights is None else loss * weights
    if terms.reduction == "none":
        return loss
    total = loss.sum()
    if terms.reduction == "sum":
        return total
    counted = _composed.denominator(target, weight, weights, terms, loss)
    nothing = counted == 0
    return (total / counted.masked_fill(nothing, 1.0)).masked_fill(nothing, 0.0)


def _accuracy(logits: Tensor, target: Tensor, terms: Terms) -> Tensor:
    best = logits.argmax(1)
    if target.is_floating_point():
        return (best == target.argmax(1)).float().mean()
    counted = target != terms.ignore_index
    return ((best == target) & counted).sum().float() / counted.sum().clamp(min=1)


def _check_in_place(input: Tensor, logits: Tensor, terms: Terms, possible: bool) -> None:
    """The gradient may overwrite the logits only if nothing else can miss them unnoticed."""
    reason = None
    base = logits._base
    if not possible:
        reason = "only plain CPU tensors can be overwritten, in an eager call, with fixed targets and weights"
    elif terms.reduction == "none":
        reason = 'with reduction="none" the upstream gradient is not known yet'
    elif logits.data_ptr() != input.data_ptr() or not logits.is_contiguous():
        reason = "the logits are not contiguous, or are converted first"
    elif logits.requires_grad and (input.is_leaf or (base is not None and base.is_leaf)):
        reason = "the logits are a leaf: overwriting them would change a parameter or an input"
    if reason:
        raise ValueError(f"cross_entropy(in_place=True) is not safe here: {reason}")
