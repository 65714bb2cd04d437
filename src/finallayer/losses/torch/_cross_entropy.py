"""`cross_entropy` and `CrossEntropyLoss`: torch's arguments and defaults, the shapes brought to rows of classes."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from finallayer.kernels import REDUCTIONS
from finallayer.losses.torch import _fused, _kernel, _ops, _small, _transforms
from finallayer.losses.torch._kernel import Terms


class CrossEntropyOutput(NamedTuple):
    """What `cross_entropy` returns when more than the loss is asked for; None is what was not."""

    loss: Tensor
    lse: Tensor | None
    accuracy: Tensor | None


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

    Args:
        input: Logits: (C,), (N, C) or (N, C, d1, ..., dk); float32, bfloat16, float16 or float64.
            ``-inf`` masks a class.
        target: Class indices (), (N,) or (N, d1, ..., dk), or probabilities with the shape of ``input``.
        weight: Weight of each class, (C,).
        size_average, reduce: Deprecated as in torch; use ``reduction``.
        ignore_index: Target value that contributes neither loss nor gradient (class indices only).
        reduction: ``"mean"`` (over the weights of the targets that count; nats per target), ``"sum"`` or ``"none"``.
        label_smoothing: Share of the target mass spread evenly over all classes, in [0, 1].
        z_loss: Adds ``z_loss * lse**2`` to each row's loss (https://arxiv.org/abs/2204.02311, section 5).
        softcap: The loss is taken of ``softcap * tanh(input / softcap)``.
        temperature: The loss is taken of ``input / temperature``.
        token_weight: Weight of each target, with the shape of the per-target losses; ``"mean"`` divides by their sum.
        return_lse: Also return the log-sum-exp of each row (float32, differentiable).
        return_accuracy: Also return the share of targets that count whose logit is the largest (the first, on ties).
        in_place: Write the gradient over ``input``, which must not be used afterwards; saves a tensor of its size.
            Autograd raises if an operation needs the overwritten values.

    Returns:
        The loss in the dtype of ``input`` (float32 under autocast), or a `CrossEntropyOutput` if more was asked for.
        When nothing counts (no rows, all ignored), ``"mean"`` is 0 with gradient 0, where torch gives NaN.

    Raises:
        IndexError: a target index is outside [0, C) and not ``ignore_index``.
        ValueError: shapes do not match, or ``in_place`` is asked for where it is not safe.

    References:
        Bridle 1990, softmax and cross-entropy: https://doi.org/10.1007/978-3-642-76153-9_28
    """
    if size_average is not None or reduce is not None:
        reduction = torch.nn._reduction.legacy_get_string(size_average, reduce)
    if (
        weight is None
        and softcap is None
        and token_weight is None
        and label_smoothing == z_loss == 0.0
        and temperature == 1.0
        and not (return_lse or return_accuracy or in_place)
        and _small.applies(input, target, reduction)
    ):
        return _small.small_cross_entropy(input, (target, ignore_index, REDUCTIONS[reduction]))
    terms = Terms(reduction, ignore_index, label_smoothing, z_loss)
    _check(input, target, weight, token_weight, terms)
    logits, rows_target, rows_weight, shape = _as_rows(input, target, token_weight)
    logits = _transformed(logits, softcap, temperature)
    if in_place:
        _check_in_place(input, logits, terms)
    loss, lse, correct = _rows_loss(
        logits, rows_target, weight, rows_weight, terms, return_lse, return_accuracy, in_place, _loss_dtype(input)
    )
    if reduction == "none":
        loss = loss.reshape(shape)
    if not (return_lse or return_accuracy):
        return loss
    accuracy = None
    if correct is not None:
        counted = torch.ones_like(rows_target[:, 0]) if rows_target.dim() == 2 else rows_target != ignore_index
        accuracy = correct.sum() / counted.sum().clamp(min=1)
    return CrossEntropyOutput(loss, lse.reshape(shape) if return_lse and lse is not None else None, accuracy)


class CrossEntropyLoss(torch.nn.Module):
    """`cross_entropy` as a module: a drop-in for ``nn.CrossEntropyLoss``; see there for every argument."""

    weight: Tensor | None

    def __init__(
        self,
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
        in_place: bool = False,
    ) -> None:
        super().__init__()
        if size_average is not None or reduce is not None:
            reduction = torch.nn._reduction.legacy_get_string(size_average, reduce)
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index
        self.reduction = reduction
        self.label_smoothing = label_smoothing
        self.z_loss = z_loss
        self.softcap = softcap
        self.temperature = temperature
        self.in_place = in_place

    def forward(self, input: Tensor, target: Tensor, token_weight: Tensor | None = None) -> Tensor:
        """The loss of ``input`` (logits) against ``target``."""
        loss = cross_entropy(
            input,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
            z_loss=self.z_loss,
            softcap=self.softcap,
            temperature=self.temperature,
            token_weight=token_weight,
            in_place=self.in_place,
        )
        assert isinstance(loss, Tensor)
        return loss

    def extra_repr(self) -> str:
        return f"ignore_index={self.ignore_index}, reduction={self.reduction!r}, label_smoothing={self.label_smoothing}"


def _check(input: Tensor, target: Tensor, weight: Tensor | None, token_weight: Tensor | None, terms: Terms) -> None:
    if terms.reduction not in REDUCTIONS:
        raise ValueError(f"{terms.reduction} is not a valid value for reduction: expected none, sum or mean")
    if not 0.0 <= terms.label_smoothing <= 1.0:
        raise ValueError(f"label_smoothing must be between 0.0 and 1.0. Got: {terms.label_smoothing}")
    if input.dim() < 1:
        raise ValueError("cross_entropy: expected logits with a class dimension, got a scalar")
    classes = input.shape[min(1, input.dim() - 1)]
    without_classes = input.shape[:1] + input.shape[2:] if input.dim() > 1 else input.shape[:0]
    if target.is_floating_point():
        if target.shape != input.shape:
            raise ValueError(
                f"cross_entropy: probabilities must have the shape of the logits, {tuple(input.shape)}; "
                f"got {tuple(target.shape)}"
            )
    elif target.shape != without_classes:
        raise ValueError(
            f"cross_entropy: expected target of shape {tuple(without_classes)} "
            f"for logits of shape {tuple(input.shape)}; got {tuple(target.shape)}"
        )
    if weight is not None and weight.shape != (classes,):
        raise ValueError(f"cross_entropy: expected one weight for each of {classes} classes; got {tuple(weight.shape)}")
    if token_weight is not None and token_weight.shape != without_classes:
        raise ValueError(
            f"cross_entropy: expected token_weight of shape {tuple(without_classes)}; got {tuple(token_weight.shape)}"
        )


def _as_rows(
    input: Tensor, target: Tensor, token_weight: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None, torch.Size]:
    """Logits as (rows, classes), the target and weights to match, and the shape of the per-target losses."""

    def rows(tensor: Tensor) -> Tensor:
        if tensor.dim() == 1:
            return tensor.unsqueeze(0)
        moved = tensor if tensor.dim() == 2 else tensor.movedim(1, -1)
        return moved.reshape(-1, input.shape[1])

    shape = input.shape[:1] + input.shape[2:] if input.dim() > 1 else input.shape[:0]
    flat_target = rows(target) if target.is_floating_point() else target.reshape(-1)
    return rows(input), flat_target, None if token_weight is None else token_weight.reshape(-1), shape


def _transformed(logits: Tensor, softcap: float | None, temperature: float) -> Tensor:
    """``softcap * tanh(z / softcap) / temperature``, in float32 at least, so that 16-bit logits are rounded once."""
    if softcap is None and temperature == 1.0:
        return logits
    z = logits if logits.dtype == torch.float64 else logits.float()
    if softcap is not None:
        z = softcap * torch.tanh(z / softcap)
    return z if temperature == 1.0 else z / temperature


def _check_in_place(input: Tensor, logits: Tensor, terms: Terms) -> None:
    """The gradient may overwrite the logits only if nothing else can miss them unnoticed."""
    reason = None
    base = logits._base
    if not _fused.applies(logits):
        reason = "only eager CPU tensors can be overwritten"
    elif terms.reduction == "none":
        reason = 'with reduction="none" the upstream gradient is not known yet'
    elif logits.data_ptr() != input.data_ptr() or not logits.is_contiguous():
        reason = "the logits are not contiguous rows (or are transformed first)"
    elif logits.requires_grad and (input.is_leaf or (base is not None and base.is_leaf)):
        reason = "the logits are a leaf: overwriting them would change a parameter or an input"
    if reason:
        raise ValueError(f"cross_entropy(in_place=True) is not safe here: {reason}")


def _rows_loss(
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None,
    row_weight: Tensor | None,
    terms: Terms,
    want_lse: bool,
    want_correct: bool,
    in_place: bool,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    learned = (target.is_floating_point() and target.requires_grad) or (
        row_weight is not None and row_weight.requires_grad
    )
    if _fused.applies(logits) and not learned:
        logits, target, weight = _ops.kernel_inputs(logits, target, weight)
        row_weight = None if row_weight is None else row_weight.to(_kernel.real_dtype(logits.dtype)).contiguous()
        result = _fused.fused_cross_entropy(
            logits, target, weight, row_weight, terms, want_lse, want_correct, in_place, dtype
        )
        return result if isinstance(result, tuple) else (result, None, None)
    rows_loss = _transforms.rows if _transforms.active() else _ops.xent
    loss, lse = rows_loss(logits, target, weight, *terms[1:4])
    if row_weight is not None:
        loss = loss * row_weight.to(loss.dtype)
    if terms.reduction != "none":
        total = loss.double().sum() if loss.device.type != "mps" else loss.sum()
        if terms.reduction == "mean":
            counted = _fused.denominator(target, weight, row_weight, terms)
            total = torch.where(counted == 0, 0.0, total / torch.where(counted == 0, 1.0, counted))
        loss = total.to(loss.dtype)
    correct = None
    if want_correct and not target.is_floating_point():
        correct = (logits.argmax(dim=1) == target) & (target != terms.ignore_index)
    elif want_correct:
        correct = logits.argmax(dim=1) == target.argmax(dim=1)
    return loss.to(dtype), lse, correct


def _loss_dtype(input: Tensor) -> torch.dtype:
    return torch.float32 if torch.is_autocast_enabled(input.device.type) else input.dtype
