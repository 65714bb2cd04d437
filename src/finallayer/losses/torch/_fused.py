"""The eager fast path: one kernel call gives the loss and, already in the forward pass, the gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor

from finallayer import kernels
from finallayer.losses.torch import _kernel, _ops
from finallayer.losses.torch._kernel import Terms

REDUCTIONS = tuple(kernels.REDUCTIONS)

_PLAIN = (Tensor, torch.nn.Parameter)
_is_compiling = torch.compiler.is_compiling
_dispatch_modes = torch._C._len_torch_dispatch_stack
_functorch_level = torch._C._functorch.peek_interpreter_stack


def applies(logits: Tensor) -> bool:
    """Plain tensors, run as they are written: no tracing, no torch.func level, no subclass."""
    return (
        not _is_compiling()
        and type(logits) in _PLAIN
        and _kernel.serves(logits)
        and _dispatch_modes() == 0
        and _functorch_level() is None
    )


class FusedCrossEntropy(torch.autograd.Function):
    """Loss, lse and correctness of rows; the gradient waits in ``ctx.gradient`` for a backward pass with upstream 1."""

    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,
        target: Tensor,
        weight: Tensor | None,
        row_weight: Tensor | None,
        terms: Terms,
        want_lse: bool,
        want_correct: bool,
        in_place: bool,
        dtype: torch.dtype,
    ) -> Any:
        rows = logits.shape[0]
        per_row = terms.reduction == "none"
        real = _kernel.real_dtype(logits.dtype)
        kernel_dtype = dtype if dtype is logits.dtype else real
        loss = torch.empty(rows if per_row else (), dtype=kernel_dtype, device="cpu")
        lse = torch.empty(rows, dtype=real, device="cpu") if want_lse else None
        correct = torch.empty(rows, dtype=torch.uint8, device="cpu") if want_correct else None
        gradient = None
        if ctx.needs_input_grad[0]:
            if in_place:
                gradient = logits.detach()
            elif not per_row:
                gradient = _kernel.gradient_like(logits)
                ctx.save_for_backward(logits, target, weight, row_weight)
            else:
                ctx.save_for_backward(logits, target, weight, row_weight)
            ctx.terms = terms
            ctx.gradient = gradient
            ctx.in_place = in_place
            ctx.set_materialize_grads(False)
        _kernel.cross_entropy(
            logits,
            target,
            weight,
            row_weight,
            terms,
            loss=loss if per_row else None,
            lse=lse,
            reduced=None if per_row else loss,
            grad=gradient,
            correct=correct,
        )
        if in_place and gradient is not None:
            torch.autograd.graph.increment_version(logits)  # whoever saved the logits is told by autograd
        if loss.dtype is not dtype:  # here, where it costs no node of the graph
            loss = loss.to(dtype)
        if lse is None and correct is None:
            return loss
        if correct is not None:
            ctx.mark_non_differentiable(correct)
        return loss, lse, correct

    @staticmethod
    def backward(ctx: Any, upstream: Tensor | None, lse_upstream: Tensor | None = None, _: None = None) -> Any:
        gradient, ctx.gradient = ctx.gradient, None  # handed out once: the receiver may add to it in place
        return (FusedCrossEntropy._gradient(ctx, gradient, upstream, lse_upstream), *[None] * 8)

    @staticmethod
    def _gradient(ctx: Any, ready: Tensor | None, upstream: Tensor | None, lse_upstream: Tensor | None) -> Tensor:
        if ctx.in_place:
            return _written_gradient(ready, upstream, lse_upstream)
        plain = lse_upstream is None and upstream is not None and not torch.is_grad_enabled()
        if plain and ready is not None and cast(Tensor, upstream).item() == 1.0:
            return ready
        logits, target, weight, row_weight = ctx.saved_tensors
        return again(logits, target, weight, row_weight, ctx.terms, upstream, lse_upstream, ready)


fused_cross_entropy: Callable[..., Any] = FusedCrossEntropy.apply


def again(
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None,
    row_weight: Tensor | None,
    terms: Terms,
    upstream: Tensor | None,
    lse_upstream: Tensor | None,
    ready: Tensor | None,
) -> Tensor:
    """The gradient for any upstream, from the logits: rounded once, and differentiable where that is asked for.

    ``ready``, if given, is a gradient that nobody has seen; it is overwritten.
    """
    if torch.is_grad_enabled():
        return _differentiable_gradient(logits, target, weight, row_weight, terms, upstream, lse_upstream)
    per_row = terms.reduction == "none"
    if upstream is None:
        upstream = torch.zeros(logits.shape[0] if per_row else (), dtype=_kernel.real_dtype(logits.dtype))
    real = _kernel.real_dtype(logits.dtype)
    gradient = _kernel.gradient_like(logits) if ready is None else ready
    _kernel.cross_entropy(
        logits,
        target,
        weight,
        row_weight,
        terms,
        upstream=1.0 if per_row else upstream.item(),
        row_upstream=upstream.to(real).contiguous() if per_row else None,
        lse_upstream=None if lse_upstream is None else lse_upstream.to(real).contiguous(),
        grad=gradient,
    )
    return gradient


def _written_gradient(gradient: Tensor | None, upstream: Tensor | None, lse_upstream: Tensor | None) -> Tensor:
    """The in-place gradient, where the logits themselves are gone."""
    if torch.is_grad_enabled():
        raise RuntimeError("cross_entropy(in_place=True) has no second derivative: the logits are gone")
    if gradient is None or lse_upstream is not None or upstream is None:
        raise RuntimeError(
            "cross_entropy(in_place=True): the logits are gone; only one plain backward pass is possible"
        )
    return gradient if upstream.item() == 1.0 else gradient.mul_(upstream.to(gradient.dtype))


def _differentiable_gradient(
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None,
    row_weight: Tensor | None,
    terms: Terms,
    upstream: Tensor | None,
    lse_upstream: Tensor | None,
) -> Tensor:
    rows = torch.zeros(logits.shape[0], dtype=_kernel.real_dtype(logits.dtype))
    if upstream is not None:
        per_row = rows + upstream if row_weight is None else row_weight * upstream
        if terms.reduction == "mean":
            per_row = per_row * denominator(target, weight, row_weight, terms).reciprocal().nan_to_num(posinf=0.0)
    else:
        per_row = rows
    lse_rows = rows if lse_upstream is None else lse_upstream
    gradient: Tensor = _ops.xent_backward(logits, target, weight, per_row, lse_rows, *terms[1:4])
    return gradient


def denominator(target: Tensor, weight: Tensor | None, row_weight: Tensor | None, terms: Terms) -> Tensor:
    """What ``reduction="mean"`` divides by: the sum of the weights of the rows that count."""
    counts = torch.ones(target.shape[0], device=target.device)
    if not target.is_floating_point():
        ignored = target == terms.ignore_index
        if weight is not None:
            counts = weight.float()[target.long().masked_fill(ignored, 0)]
        counts = counts.masked_fill(ignored, 0.0)
    if row_weight is not None:
        counts = counts * row_weight
    return counts.sum()
