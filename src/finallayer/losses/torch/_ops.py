"""The row losses as ``torch.library`` operations: what torch.compile and other tracers see.

``finallayer::xent`` gives each row's loss and log-sum-exp; ``finallayer::xent_backward`` the gradient of their weighted
sum. Both go to the CPU kernel where it serves. `_transforms` puts the same pair before torch.func.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from finallayer.losses.torch import _composed, _inputs, _kernel
from finallayer.losses.torch._kernel import Terms


def rows(logits: Tensor, target: Tensor, weight: Tensor | None, terms: Terms) -> tuple[Tensor, Tensor]:
    """Each row's loss and log-sum-exp, (N, d1, ..., dk) float32 (float64 for float64)."""
    loss, lse = xent(logits, target, weight, *terms[1:])
    return loss, lse


@torch.library.custom_op("finallayer::xent", mutates_args=())
def xent(
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None,
    ignore_index: int,
    label_smoothing: float,
    z_loss: float,
    softcap: float,
    temperature: float,
) -> tuple[Tensor, Tensor]:
    """Each row's loss and log-sum-exp, of ``logits`` (N, C, d1, ..., dk)."""
    terms = Terms("none", ignore_index, label_smoothing, z_loss, softcap, temperature)
    inputs = _inputs.inputs(logits, target, weight, None)
    loss, lse = (_rows_like(logits) for _ in range(2))
    inputs.compute(terms, loss=loss, lse=lse)
    return loss, lse


@torch.library.custom_op("finallayer::xent_backward", mutates_args=())
def xent_backward(
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None,
    loss_upstream: Tensor,
    lse_upstream: Tensor,
    ignore_index: int,
    label_smoothing: float,
    z_loss: float,
    softcap: float,
    temperature: float,
) -> Tensor:
    """The gradient of ``sum_i loss_upstream[i] loss_i + lse_upstream[i] lse_i`` with respect to the logits."""
    terms = Terms("none", ignore_index, label_smoothing, z_loss, softcap, temperature)
    inputs = _inputs.inputs(logits, target, weight, None)
    grad = inputs.gradient_buffer()
    inputs.compute(terms, row_upstream=loss_upstream, lse_upstream=lse_upstream, grad=grad)
    return grad


def _rows_like(logits: Tensor) -> Tensor:
    shape = (*logits.shape[:1], *logits.shape[2:])
    return logits.new_empty(shape, dtype=_kernel.real_dtype(logits.dtype))


@xent.register_fake
def _(logits: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
    return _rows_like(logits), _rows_like(logits)


@xent_backward.register_fake
def _(logits: Tensor, *_: Any) -> Tensor:
    return torch.empty_like(logits, memory_format=torch.contiguous_format)


def first_setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(*inputs[:3])
    ctx.numbers = inputs[3:]


def first_derivative(
    gradient: Callable[..., Tensor], ctx: Any, loss_upstream: Tensor, lse_upstream: Tensor
) -> tuple[Tensor | None, ...]:
    """What autograd is told about ``xent``; ``gradient`` computes what ``xent_backward`` does."""
    if ctx.needs_input_grad[2]:
        raise RuntimeError("cross_entropy is not differentiable with respect to argument 'weight' here")
    grad = gradient(*ctx.saved_tensors, loss_upstream, lse_upstream, *ctx.numbers)
    return (grad, *[None] * (2 + len(ctx.numbers)))


def second_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:5])
    ctx.numbers = inputs[5:]


def second_derivative(ctx: Any, cotangent: Tensor) -> tuple[Tensor | None, ...]:
    """What autograd is told about ``xent_backward``: that of the composed formula."""
    logits, target, weight, *upstreams = ctx.saved_tensors
    terms = Terms("none", *ctx.numbers)

    def gradient(z: Tensor, loss_upstream: Tensor, lse_upstream: Tensor) -> Tensor:
        return _composed.gradient(z, target, weight, terms, loss_upstream, lse_upstream)

    pull_back = torch.func.vjp(gradient, logits, *upstreams)[1]
    grad, *upstream_grads = pull_back(cotangent)
    return (grad, None, None, *upstream_grads, *[None] * len(ctx.numbers))


xent.register_autograd(partial(first_derivative, xent_backward), setup_context=first_setup)
xent_backward.register_autograd(second_derivative, setup_context=second_setup)
