"""`binary_cross_entropy_with_logits` and `BCEWithLogitsLoss`: the binary twins, exact at both ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from finallayer.kernels import REDUCTIONS
from finallayer.losses.torch import _fused, _kernel


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """Binary cross-entropy between logits and targets: a drop-in for ``F.binary_cross_entropy_with_logits``.

    The gradient is taken as ``(1 - y) sigmoid(z) - y sigmoid(-z)``, which keeps its digits where ``sigmoid(z) - y``
    is 0: from a logit of 17 on.

    Args:
        input: Logits, any shape; float32, bfloat16, float16 or float64.
        target: Probabilities in [0, 1], with the shape of ``input``.
        weight: Weight of each element, broadcast to ``input``.
        size_average, reduce: Deprecated as in torch; use ``reduction``.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``; nats per element.
        pos_weight: Weight of the positive part, broadcast to ``input``.

    Returns:
        The loss in the dtype of ``input`` (float32 under autocast); 0 for empty input with ``"mean"``.

    Raises:
        ValueError: shapes do not match, or ``reduction`` is unknown.
    """
    if size_average is not None or reduce is not None:
        reduction = torch.nn._reduction.legacy_get_string(size_average, reduce)
    if reduction not in REDUCTIONS:
        raise ValueError(f"{reduction} is not a valid value for reduction: expected none, sum or mean")
    if target.shape != input.shape:
        raise ValueError(f"Target size ({target.shape}) must be the same as input size ({input.shape})")
    learned = any(t is not None and t.requires_grad for t in (target, weight, pos_weight))
    if _fused.applies(input) and not learned:
        contiguous = input.contiguous()
        loss = _fused_binary(
            contiguous,
            target.to(_kernel.real_dtype(input.dtype)).contiguous(),
            _period(weight, input),
            _period(pos_weight, input),
            reduction,
        )
    else:
        loss = _composed(input, target, weight, pos_weight, reduction)
    if loss.dtype == input.dtype or torch.is_autocast_enabled(input.device.type):
        return loss
    return loss.to(input.dtype)


class BCEWithLogitsLoss(torch.nn.Module):
    """`binary_cross_entropy_with_logits` as a module: a drop-in for ``nn.BCEWithLogitsLoss``."""

    weight: Tensor | None
    pos_weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
    ) -> None:
        super().__init__()
        if size_average is not None or reduce is not None:
            reduction = torch.nn._reduction.legacy_get_string(size_average, reduce)
        self.register_buffer("weight", weight)
        self.register_buffer("pos_weight", pos_weight)
        self.reduction = reduction

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss of ``input`` (logits) against ``target``."""
        return binary_cross_entropy_with_logits(
            input, target, self.weight, reduction=self.reduction, pos_weight=self.pos_weight
        )


def _composed(
    input: Tensor, target: Tensor, weight: Tensor | None, pos_weight: Tensor | None, reduction: str
) -> Tensor:
    """The same in torch's operations: two softplus, of which neither the value nor the gradient cancels."""
    z = input if input.dtype == torch.float64 else input.float()
    y = target.to(z.dtype)
    negative, positive = 1 - y, y if pos_weight is None else y * pos_weight
    # 0 * inf: a class that cannot be the target costs nothing, however far its logit.
    loss = torch.where(negative == 0, 0.0, negative * F.softplus(z))
    loss = loss + torch.where(positive == 0, 0.0, positive * F.softplus(-z))
    if weight is not None:
        loss = loss * weight
    if reduction == "none":
        return loss
    return loss.sum() if reduction == "sum" else loss.sum() / max(loss.numel(), 1)


def _period(weight: Tensor | None, input: Tensor) -> Tensor | None:
    """``weight`` as the float32 vector that repeats over the elements of ``input``."""
    if weight is None:
        return None
    if weight.shape != input.shape[input.dim() - weight.dim() :]:
        weight = weight.broadcast_to(input.shape)
    return weight.to(_kernel.real_dtype(input.dtype)).contiguous()


class _FusedBinary(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, target: Tensor, weight: Tensor | None, pos_weight: Tensor | None, reduction: str
    ) -> Tensor:
        per_element = reduction == "none"
        loss = torch.empty(logits.shape if per_element else (), dtype=_kernel.real_dtype(logits.dtype), device="cpu")
        gradient = _kernel.gradient_like(logits) if ctx.needs_input_grad[0] and not per_element else None
        ctx.save_for_backward(logits, target, weight, pos_weight)
        ctx.reduction, ctx.gradient = reduction, gradient
        _kernel.binary_cross_entropy(
            logits,
            target,
            weight,
            pos_weight,
            reduction,
            loss=loss if per_element else None,
            reduced=None if per_element else loss,
            grad=gradient,
        )
        return loss

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Any:
        gradient, ctx.gradient = ctx.gradient, None  # handed out once: the receiver may add to it in place
        per_element = ctx.reduction == "none"
        if torch.is_grad_enabled():
            logits, target, weight, pos_weight = ctx.saved_tensors
            loss = _composed(logits, target, _unperiod(weight, logits), _unperiod(pos_weight, logits), ctx.reduction)
            (gradient,) = torch.autograd.grad(loss, logits, upstream.to(loss.dtype), create_graph=True)
        elif gradient is None or upstream.item() != 1.0:
            logits, target, weight, pos_weight = ctx.saved_tensors
            gradient = _kernel.gradient_like(logits) if gradient is None else gradient
            _kernel.binary_cross_entropy(
                logits,
                target,
                weight,
                pos_weight,
                ctx.reduction,
                upstream=1.0 if per_element else upstream.item(),
                element_upstream=upstream.to(_kernel.real_dtype(logits.dtype)).contiguous() if per_element else None,
                grad=gradient,
            )
        return gradient, None, None, None, None


_fused_binary: Callable[..., Tensor] = _FusedBinary.apply


def _unperiod(weight: Tensor | None, logits: Tensor) -> Tensor | None:
    """A repeating vector back in the shape of the logits."""
    if weight is None:
        return None
    repeats = logits.numel() // max(weight.numel(), 1)
    return weight.reshape(-1).repeat(repeats).reshape(logits.shape)
