"""The eager way: one call gives the loss and, already in the forward pass, the gradient; by the kernel where it serves.

On other devices, where reading the upstream gradient would mean to wait, the gradient is computed in the backward pass.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from finallayer.losses.torch import _composed, _eager, _kernel, _transforms, _triton, _upstream
from finallayer.losses.torch._inputs import Inputs, inputs
from finallayer.losses.torch._kernel import Terms


class _Job(NamedTuple):
    inputs: Inputs
    terms: Terms
    want_lse: bool
    want_correct: bool
    in_place: bool
    dtype: torch.dtype  # of the loss


def cross_entropy(
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None,
    row_weight: Tensor | None,
    terms: Terms,
    want_lse: bool,
    want_accuracy: bool,
    in_place: bool,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Loss, lse and accuracy of checked arguments, called as written, with targets and weights that are not learned."""
    found = inputs(logits, target, weight, row_weight)
    job = _Job(found, terms, want_lse, want_accuracy and not target.is_floating_point(), in_place, dtype)
    loss, lse, correct = _apply(found.logits, job)
    accuracy = None
    if correct is not None:
        accuracy = correct.sum().float() / (target != terms.ignore_index).sum().clamp(min=1)
    elif want_accuracy:
        accuracy = (logits.argmax(1) == target.argmax(1)).float().mean()
    return loss, lse, accuracy


class FusedCrossEntropy(_eager.SingleLevelFunction):
    """Loss, lse and correctness; the gradient waits in ``ctx.gradient`` for the upstream it was computed for."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, job: _Job) -> tuple[Tensor, Tensor | None, Tensor | None]:
        terms = job.terms
        rows = (*logits.shape[:1], *logits.shape[2:])
        per_row = terms.reduction == "none"
        real = _kernel.real_dtype(logits.dtype)
        loss_dtype = job.dtype if job.dtype == logits.dtype else real
        loss = logits.new_empty(rows if per_row else (), dtype=loss_dtype)
        lse = logits.new_empty(rows, dtype=real) if job.want_lse else None
        correct = logits.new_empty(rows, dtype=torch.uint8) if job.want_correct else None
        ctx.gradient, ctx.made_for = None, 1.0
        if ctx.needs_input_grad[0]:
            ctx.terms, ctx.in_place, ctx.on_kernel = terms, job.in_place, job.inputs.on_kernel
            ctx.set_materialize_grads(False)
            expected = _upstream.expected_of_all_rows if per_row else _upstream.expected
            made_for: float | Tensor | None = expected(logits.numel()) if logits.is_cpu else None
            if not per_row and _triton.serves(logits):
                made_for = _triton.ahead(logits)
            if made_for is not None:
                ctx.gradient = logits.detach() if job.in_place else job.inputs.gradient_buffer()
                ctx.made_for = made_for
            if not job.in_place:
                ctx.save_for_backward(*job.inputs[:4])
        numbers = job.inputs._replace(logits=logits).compute(
            terms,
            ctx.made_for,
            loss=loss if per_row else None,
            reduced=None if per_row else loss,
            lse=lse,
            grad=ctx.gradient,
            correct=correct,
        )
        if numbers is not None:
            ctx.made_for = numbers
        if job.in_place and ctx.gradient is not None:
            torch.autograd.graph.increment_version(logits)  # whoever saved the logits is told by autograd
        if correct is not None:
            ctx.mark_non_differentiable(correct)
        return loss.to(job.dtype), lse, correct

    @staticmethod
    def backward(ctx: Any, upstream: Tensor | None, lse_upstream: Tensor | None, _: None) -> Any:
        gradient, ctx.gradient = ctx.gradient, None  # handed out once: the receiver may add to it in place
        if ctx.in_place:
            return _written_gradient(gradient, ctx.made_for, upstream, lse_upstream), None
        logits, target, weight, row_weight = ctx.saved_tensors
        found = Inputs(logits, target, weight, row_weight, ctx.on_kernel)
        return gradient_of(found, ctx.terms, upstream, lse_upstream, gradient, ctx.made_for), None


_apply: Callable[..., tuple[Tensor, Tensor | None, Tensor | None]] = FusedCrossEntropy.apply  # type: ignore[attr-defined]


def gradient_of(
    found: Inputs,
    terms: Terms,
    upstream: Tensor | None,
    lse_upstream: Tensor | None,
    ready: Tensor | None,
    made_for: float | Tensor,
) -> Tensor | None:
    """The gradient for any upstream, rounded once; differentiable, or batched, where that is asked for.

    ``ready``, if given, is the gradient for the upstream ``made_for``, which nobody has seen; where only the GPU knows
    that upstream, ``made_for`` is what its kernel returned.
    """
    if upstream is None and lse_upstream is None:
        return None
    if _eager.is_batched(upstream) or _eager.is_batched(lse_upstream):
        return _batched(found, terms, upstream, lse_upstream)
    if _eager.in_transform():
        return _transformed(found, terms, upstream, lse_upstream)
    if torch.is_grad_enabled():
        return _differentiable(found, terms, upstream, lse_upstream)
    if isinstance(made_for, Tensor):
        if ready is None or lse_upstream is not None or upstream is None:
            return _again(found, terms, upstream, lse_upstream, ready)
        _triton.mend(*found[:4], terms, made_for, upstream, ready)
        return ready
    if upstream is not None and terms.reduction == "none":
        return _of_rows(found, terms, upstream, lse_upstream, ready, made_for)
    if ready is not None and lse_upstream is None and upstream is not None:
        wanted = upstream.item()
        if wanted == made_for:
            return ready
        _upstream.learn(ready.numel(), wanted)
        factor = _upstream.exact_factor(wanted, made_for)
        if factor is not None and found.on_kernel and _kernel.scale(ready, factor):
            return ready
    return _again(found, terms, upstream, lse_upstream, ready)


def _of_rows(
    found: Inputs, terms: Terms, upstream: Tensor, lse_upstream: Tensor | None, ready: Tensor | None, made_for: float
) -> Tensor:
    """For an upstream a row; ``ready`` is the gradient for ``made_for`` in every row."""
    factor = _upstream.of_all_rows(upstream)
    if ready is not None and lse_upstream is None and factor == made_for:
        return ready
    _upstream.learn_of_all_rows(found.logits.numel(), factor)
    return _again(found, terms, upstream, lse_upstream, ready)


def _again(
    found: Inputs, terms: Terms, upstream: Tensor | None, lse_upstream: Tensor | None, ready: Tensor | None
) -> Tensor:
    gradient = found.gradient_buffer() if ready is None else ready
    factor: float | Tensor = 1.0
    if upstream is None or terms.reduction == "none":
        rows = found.logits.new_zeros(lse_upstream.shape) if upstream is None and lse_upstream is not None else upstream
        terms = terms._replace(reduction="none")
    else:
        rows, factor = None, upstream.item() if found.logits.is_cpu else _composed.wide(upstream)
    found.compute(terms, factor, row_upstream=rows, lse_upstream=lse_upstream, grad=gradient)
    return gradient


def _row_upstreams(
    found: Inputs, terms: Terms, upstream: Tensor | None, lse_upstream: Tensor | None
) -> tuple[Tensor, Tensor]:
    """What multiplies each row's loss, without its weight, and its lse."""
    like = found.logits.new_zeros((), dtype=_kernel.real_dtype(found.logits.dtype))
    zeros = like.expand(found.logits.shape[:1] + found.logits.shape[2:])
    losses = zeros
    if upstream is not None:
        losses = zeros + upstream
        if terms.reduction == "mean":
            counted = _composed.denominator(found.target, found.weight, found.row_weight, terms, _composed.wide(zeros))
            losses = losses / counted.masked_fill(counted == 0, torch.inf)
        if found.row_weight is not None:
            losses = losses * found.row_weight
    return losses, zeros if lse_upstream is None else lse_upstream


def _batched(found: Inputs, terms: Terms, upstream: Tensor | None, lse_upstream: Tensor | None) -> Tensor:
    """The gradients for many upstreams, which only torch's own operations can read (``is_grads_batched=True``)."""
    real = _kernel.real_dtype(found.logits.dtype)
    exact = inputs(found.logits.to(real), *found[1:4])
    losses, lses = _row_upstreams(found, terms, upstream, lse_upstream)
    ones = torch.ones(losses.shape, dtype=real, device=found.logits.device)
    total = torch.zeros((), dtype=real, device=found.logits.device)
    for name, given in (("row_upstream", upstream), ("lse_upstream", lse_upstream)):
        if given is not None:
            pushes = {"row_upstream": torch.zeros_like(ones), name: ones}
            slope = torch.empty_like(exact.logits, memory_format=torch.contiguous_format)
            unweighted = exact._replace(row_weight=None)
            unweighted.compute(terms._replace(reduction="none"), grad=slope, **pushes)
            total = total + slope * (losses if given is upstream else lses).unsqueeze(1)
    return total.to(found.logits.dtype)


def _transformed(found: Inputs, terms: Terms, upstream: Tensor | None, lse_upstream: Tensor | None) -> Tensor:
    """The gradient inside a ``torch.func`` transform."""
    losses, lses = _row_upstreams(found, terms, upstream, lse_upstream)
    real = _kernel.real_dtype(found.logits.dtype)
    return _transforms.rows_gradient(*found[:3], losses.to(real), lses.to(real), *terms[1:])


def _differentiable(found: Inputs, terms: Terms, upstream: Tensor | None, lse_upstream: Tensor | None) -> Tensor:
    """The gradient with a graph of its own (create_graph=True)."""
    losses, lses = _row_upstreams(found, terms, upstream, lse_upstream)
    gradient = _composed.gradient(*found[:3], terms, losses, lses)
    return gradient.to(found.logits.dtype)


def _written_gradient(
    gradient: Tensor | None, made_for: float, upstream: Tensor | None, lse_upstream: Tensor | None
) -> Tensor:
    """The in-place gradient, where the logits themselves are gone."""
    if torch.is_grad_enabled() or _eager.in_transform():
        raise RuntimeError("cross_entropy(in_place=True) has no second derivative: the logits are gone")
    if gradient is None or lse_upstream is not None or upstream is None:
        raise RuntimeError(
            "cross_entropy(in_place=True): the logits are gone; only one plain backward pass is possible"
        )
    wanted = upstream.item()
    if wanted == made_for:
        return gradient
    _upstream.learn(gradient.numel(), wanted)
    return gradient.mul_(wanted / made_for)
