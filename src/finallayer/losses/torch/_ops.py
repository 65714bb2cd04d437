"""The row losses as ``torch.library`` operations: what autograd, torch.compile, torch.func and double backward see.

``finallayer::xent`` gives each row's loss and log-sum-exp; ``finallayer::xent_backward`` the gradient of their weighted
sum. Both go to the CPU kernel where it serves. The formula of the second derivative is in torch's operations.
`_transforms` puts the same pair before torch.func.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from finallayer.losses.torch import _framework, _kernel
from finallayer.losses.torch._kernel import Terms


def kernel_inputs(logits: Tensor, target: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """What `_kernel.cross_entropy` takes: contiguous targets and weights of a known dtype."""
    real = _kernel.real_dtype(logits.dtype)
    if target.is_floating_point():
        target = target.to(real)
    elif target.dtype not in (torch.int32, torch.int64):
        target = target.long()
    return logits, target.contiguous(), None if weight is None else weight.to(real).contiguous()


@torch.library.custom_op("finallayer::xent", mutates_args=())
def xent(
    logits: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int, label_smoothing: float, z_loss: float
) -> tuple[Tensor, Tensor]:
    """Each row's loss and log-sum-exp, (rows,) float32 (float64 for float64), of ``logits`` (rows, classes)."""
    terms = Terms("none", ignore_index, label_smoothing, z_loss)
    if not _kernel.serves(logits):
        return _framework.forward(logits, target, weight, terms)
    real = _kernel.real_dtype(logits.dtype)
    loss = torch.empty(logits.shape[0], dtype=real, device="cpu")
    lse = torch.empty(logits.shape[0], dtype=real, device="cpu")
    logits, target, weight = kernel_inputs(logits, target, weight)
    _kernel.cross_entropy(logits, target, weight, None, terms, loss=loss, lse=lse)
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
) -> Tensor:
    """The gradient of ``sum_i loss_upstream[i] loss_i + lse_upstream[i] lse_i`` with respect to the logits."""
    terms = Terms("none", ignore_index, label_smoothing, z_loss)
    if not _kernel.serves(logits):
        return _framework.backward(logits, target, weight, terms, loss_upstream, lse_upstream)
    logits, target, weight = kernel_inputs(logits, target, weight)
    grad = _kernel.gradient_like(logits)
    _kernel.cross_entropy(
        logits,
        target,
        weight,
        None,
        terms,
        row_upstream=loss_upstream.to(_kernel.real_dtype(logits.dtype)).contiguous(),
        lse_upstream=lse_upstream.to(_kernel.real_dtype(logits.dtype)).contiguous(),
        grad=grad,
    )
    return grad


@xent.register_fake
def _(logits: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
    rows, real = logits.shape[0], _kernel.real_dtype(logits.dtype)
    return logits.new_empty(rows, dtype=real), logits.new_empty(rows, dtype=real)


@xent_backward.register_fake
def _(logits: Tensor, *_: Any) -> Tensor:
    return torch.empty_like(logits, memory_format=torch.contiguous_format)


def target_mass(logits: Tensor, target: Tensor, weight: Tensor | None, terms: Terms) -> Tensor:
    """The mass that a row's loss puts on each class, (rows, classes) float32; 0 in ignored rows."""
    classes = logits.shape[1]
    keep, smooth = 1 - terms.label_smoothing, terms.label_smoothing / max(classes, 1)
    if target.is_floating_point():
        mass = keep * target.to(_kernel.real_dtype(logits.dtype)) + smooth
    else:
        ignored = (target == terms.ignore_index).unsqueeze(1)
        index = target.long().unsqueeze(1).masked_fill(ignored, 0)
        zeros = torch.zeros(logits.shape, dtype=_kernel.real_dtype(logits.dtype), device=logits.device)
        one_hot = zeros.scatter(1, index, 1.0)
        mass = (keep * one_hot + smooth).masked_fill(ignored, 0.0)
    return mass if weight is None else mass * weight.to(mass.dtype)


def first_setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    logits, target, weight, *terms = inputs
    ctx.save_for_backward(logits, target, weight, output[1])
    ctx.terms = Terms("none", *terms)


def first_derivative(
    gradient: Callable[..., Tensor], ctx: Any, loss_upstream: Tensor, lse_upstream: Tensor
) -> tuple[Tensor | None, ...]:
    """What autograd is told about ``xent``; ``gradient`` computes what ``xent_backward`` does."""
    logits, target, weight, lse = ctx.saved_tensors
    grad = gradient(logits, target, weight, loss_upstream, lse_upstream, *ctx.terms[1:4])
    target_grad = None
    if ctx.needs_input_grad[1]:  # a distribution that is itself learned: d loss / d p_j = (1 - s) c_j (lse - z_j)
        target_grad = (1 - ctx.terms.label_smoothing) * (lse.unsqueeze(1) - logits.to(lse.dtype))
        target_grad = target_grad if weight is None else target_grad * weight.to(target_grad.dtype)
        target_grad = (loss_upstream.unsqueeze(1) * target_grad).to(target.dtype)
    return grad, target_grad, None, None, None, None


def second_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:5])
    ctx.terms = Terms("none", *inputs[5:])


def second_derivative(ctx: Any, cotangent: Tensor) -> tuple[Tensor | None, ...]:
    """What autograd is told about ``xent_backward``.

    G = a x - u q with x = softmax(z), q the target's mass, a = u sum(q) + v + 2 k u lse (u, v upstream, k z_loss).
    """
    logits, target, weight, u, v = ctx.saved_tensors
    terms: Terms = ctx.terms
    real = _kernel.real_dtype(logits.dtype)
    z, cotangent = logits.to(real), cotangent.to(real)
    x = torch.softmax(z, dim=1)
    lse = torch.logsumexp(z, dim=1)
    q = target_mass(logits, target, weight, terms)
    counted = (q.sum(1) if target.is_floating_point() else (target != terms.ignore_index)).bool()
    u = torch.where(counted, u, 0.0)
    slope = u * q.sum(1) + v + 2 * terms.z_loss * u * lse
    along = (x * cotangent).sum(1)
    grad = x * (slope.unsqueeze(1) * (cotangent - along.unsqueeze(1)))
    if terms.z_loss:
        grad = grad + x * (2 * terms.z_loss * u * along).unsqueeze(1)
    u_grad = along * (q.sum(1) + 2 * terms.z_loss * lse) - (q * cotangent).sum(1)
    u_grad = torch.where(counted, u_grad, 0.0)
    target_grad = None
    if ctx.needs_input_grad[1]:
        per_class = along.unsqueeze(1) - cotangent
        per_class = per_class if weight is None else per_class * weight.to(per_class.dtype)
        target_grad = ((1 - terms.label_smoothing) * u.unsqueeze(1) * per_class).to(target.dtype)
    return grad.to(logits.dtype), target_grad, None, u_grad, along, None, None, None


xent.register_autograd(partial(first_derivative, xent_backward), setup_context=first_setup)
xent_backward.register_autograd(second_derivative, setup_context=second_setup)
