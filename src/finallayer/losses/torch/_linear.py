"""`linear_cross_entropy`: the last linear layer and its loss together, the logits never held at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from finallayer.losses.torch import _fused, _kernel, _ops
from finallayer.losses.torch._cross_entropy import CrossEntropyOutput, cross_entropy
from finallayer.losses.torch._kernel import Terms

# Logits held at a time: enough rows for an efficient matrix product, 64 MiB in float32.
_CHUNK_ELEMENTS = 1 << 24


class _Layer(NamedTuple):
    hidden: Tensor  # (rows, features)
    weight: Tensor  # (classes, features)
    bias: Tensor | None  # (classes,)


class _Objective(NamedTuple):
    target: Tensor
    class_weight: Tensor | None
    row_weight: Tensor | None
    terms: Terms
    softcap: float | None
    temperature: float


class _Gradients(NamedTuple):
    hidden: Tensor
    weight: Tensor  # float32 while it is summed over chunks
    bias: Tensor | None


def linear_cross_entropy(
    hidden: Tensor,
    weight: Tensor,
    target: Tensor,
    bias: Tensor | None = None,
    *,
    class_weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    softcap: float | None = None,
    temperature: float = 1.0,
    token_weight: Tensor | None = None,
) -> Tensor:
    """``cross_entropy(hidden @ weight.T + bias, target)`` without the logits: peak memory N d + V d + chunk V.

    Exact as `cross_entropy`; the gradient of every chunk is taken in the forward pass, while its logits are in cache.

    Args:
        hidden: (..., d) float32, bfloat16 or float16: what the last linear layer is given.
        weight: (V, d), that layer's weight. Its gradient is summed in float32.
        target: Class indices with the shape of ``hidden`` without d.
        bias: (V,), that layer's bias.
        class_weight: Weight of each class, (V,).
        ignore_index, reduction, label_smoothing, z_loss, softcap, temperature, token_weight: As in `cross_entropy`.

    Returns:
        The loss, in the dtype of ``hidden`` (float32 under autocast).

    Raises:
        IndexError: a target index is outside [0, V) and not ``ignore_index``.
        ValueError: shapes do not match.
    """
    if target.shape != hidden.shape[:-1] or hidden.shape[-1:] != weight.shape[1:]:
        raise ValueError(
            "linear_cross_entropy: expected hidden (..., d), weight (V, d) and class indices of shape (...); got "
            f"{tuple(hidden.shape)}, {tuple(weight.shape)}, {tuple(target.shape)}"
        )
    autocast = torch.is_autocast_enabled(hidden.device.type)
    if autocast:
        dtype = torch.get_autocast_dtype(hidden.device.type)
        hidden, weight = hidden.to(dtype), weight.to(dtype)
        bias = None if bias is None else bias.to(dtype)
    rows = hidden.reshape(-1, hidden.shape[-1])
    terms = Terms(reduction, ignore_index, label_smoothing, z_loss)
    flat_weight = None if token_weight is None else token_weight.reshape(-1)
    if not _fused.applies(hidden) or (flat_weight is not None and flat_weight.requires_grad):
        output = cross_entropy(
            F.linear(rows, weight, bias),
            target.reshape(-1),
            class_weight,
            ignore_index=ignore_index,
            reduction=reduction,
            label_smoothing=label_smoothing,
            z_loss=z_loss,
            softcap=softcap,
            temperature=temperature,
            token_weight=flat_weight,
        )
        assert not isinstance(output, CrossEntropyOutput)
        return output.reshape(target.shape) if reduction == "none" else output
    _, flat_target, class_weight = _ops.kernel_inputs(rows, target.reshape(-1), class_weight)
    flat_weight = None if flat_weight is None else flat_weight.to(_kernel.real_dtype(hidden.dtype)).contiguous()
    objective = _Objective(flat_target, class_weight, flat_weight, terms, softcap, temperature)
    loss = _fused_linear(rows, weight, bias, objective)
    loss = loss if autocast or loss.dtype == hidden.dtype else loss.to(hidden.dtype)
    return loss.reshape(target.shape) if reduction == "none" else loss


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, objective: _Objective) -> Tensor:
        layer = _Layer(hidden, weight, bias)
        reduced = objective.terms.reduction != "none"
        wanted = any(ctx.needs_input_grad) and reduced
        scale = 1.0
        if objective.terms.reduction == "mean":
            counted = _fused.denominator(
                objective.target, objective.class_weight, objective.row_weight, objective.terms
            ).item()
            scale = 1.0 / counted if counted else 0.0
        losses, ctx.gradients = _walk(layer, objective, scale if wanted else None, None)
        ctx.objective = objective
        ctx.save_for_backward(hidden, weight, bias)
        return (losses.double().sum() * scale).to(losses.dtype) if reduced else losses

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Any:
        ready, ctx.gradients = ctx.gradients, None
        layer = _Layer(*ctx.saved_tensors)
        if torch.is_grad_enabled():
            return (*_differentiable(layer, ctx.objective, upstream), None)
        if ready is None:
            ready, upstream = _again(layer, ctx.objective, upstream), torch.ones(())
        scaled = (g if g is None or upstream.item() == 1.0 else g.mul_(upstream) for g in ready)
        typed = (None if g is None or p is None else g.to(p.dtype) for g, p in zip(scaled, layer, strict=True))
        return (*typed, None)


_fused_linear: Callable[..., Tensor] = _LinearCrossEntropy.apply


def _again(layer: _Layer, objective: _Objective, upstream: Tensor) -> _Gradients | None:
    """The gradients for an upstream per row, or for a second backward pass."""
    per_row = upstream.expand(layer.hidden.shape[0])
    if objective.terms.reduction == "mean":
        counted = _fused.denominator(objective.target, objective.class_weight, objective.row_weight, objective.terms)
        per_row = torch.where(counted == 0, 0.0, per_row / counted)
    return _walk(layer, objective, 1.0, per_row.contiguous())[1]


def _differentiable(layer: _Layer, objective: _Objective, upstream: Tensor) -> tuple[Tensor | None, ...]:
    """Gradients with a graph of their own (create_graph=True), through the logits."""
    wanted = [t for t in layer if t is not None and t.requires_grad]
    logits = F.linear(*layer)
    loss = cross_entropy(
        logits,
        objective.target,
        objective.class_weight,
        softcap=objective.softcap,
        temperature=objective.temperature,
        token_weight=objective.row_weight,
        reduction=objective.terms.reduction,
        ignore_index=objective.terms.ignore_index,
        label_smoothing=objective.terms.label_smoothing,
        z_loss=objective.terms.z_loss,
    )
    assert isinstance(loss, Tensor)
    found = iter(torch.autograd.grad(loss, wanted, upstream.to(loss.dtype), create_graph=True))
    return tuple(next(found) if t is not None and t.requires_grad else None for t in layer)


def _walk(
    layer: _Layer, objective: _Objective, upstream: float | None, row_upstream: Tensor | None
) -> tuple[Tensor, _Gradients | None]:
    """Each row's loss, chunk by chunk; the gradients too unless ``upstream`` is None."""
    hidden, weight, bias = layer
    rows, classes = hidden.shape[0], weight.shape[0]
    real = _kernel.real_dtype(hidden.dtype)
    losses = torch.empty(rows, dtype=real, device="cpu")
    gradients = None
    if upstream is not None:
        gradients = _Gradients(
            torch.empty_like(hidden),
            torch.zeros(weight.shape, dtype=real),
            None if bias is None else torch.zeros(classes, dtype=real),
        )
    # Chunks of equal size: a short last one would waste a matrix product.
    count = max(1, -(-rows * classes // _CHUNK_ELEMENTS))
    step = max(1, -(-rows // count))
    held = hidden.new_empty(min(step, rows), classes)
    for begin in range(0, rows, step):
        chunk = slice(begin, min(begin + step, rows))
        logits = held[: chunk.stop - chunk.start]
        _logits(hidden[chunk], weight, bias, logits)
        pushed = None if row_upstream is None else row_upstream[chunk]
        gradient = _chunk_loss(logits, objective, chunk, losses, upstream, pushed)
        if gradients is not None and gradient is not None:
            _accumulate(gradients, gradient, hidden[chunk], weight, chunk)
    return losses, gradients


def _logits(hidden: Tensor, weight: Tensor, bias: Tensor | None, out: Tensor) -> None:
    if bias is None:
        torch.mm(hidden, weight.t(), out=out)
    else:
        torch.addmm(bias, hidden, weight.t(), out=out)


def _chunk_loss(
    logits: Tensor,
    objective: _Objective,
    chunk: slice,
    losses: Tensor,
    upstream: float | None,
    row_upstream: Tensor | None,
) -> Tensor | None:
    """Fills the chunk's losses; the gradient with respect to its logits, written over them where that is possible."""
    softcap, temperature = objective.softcap, objective.temperature
    transformed, slope = logits, None
    if softcap is not None:
        capped = torch.tanh(logits.to(_kernel.real_dtype(logits.dtype)) / softcap)
        transformed, slope = capped * (softcap / temperature), (1 - capped.square()) / temperature
    elif temperature != 1.0:
        transformed = logits.to(_kernel.real_dtype(logits.dtype)) / temperature
        slope = torch.tensor(1 / temperature, dtype=transformed.dtype)
    _kernel.cross_entropy(
        transformed,
        objective.target[chunk],
        objective.class_weight,
        None if objective.row_weight is None else objective.row_weight[chunk],
        objective.terms._replace(reduction="none"),
        upstream=1.0 if upstream is None else upstream,
        row_upstream=row_upstream,
        loss=losses[chunk],
        grad=None if upstream is None else transformed,
    )
    if upstream is None:
        return None
    return transformed if slope is None else (transformed * slope).to(logits.dtype)


def _accumulate(gradients: _Gradients, gradient: Tensor, hidden: Tensor, weight: Tensor, chunk: slice) -> None:
    torch.mm(gradient, weight, out=gradients.hidden[chunk])
    if gradient.dtype in (torch.float32, torch.float64):
        gradients.weight.addmm_(gradient.t(), hidden)
    else:
        gradients.weight.add_(torch.mm(gradient.t(), hidden))
    if gradients.bias is not None:
        gradients.bias.add_(gradient.sum(0, dtype=_kernel.real_dtype(gradient.dtype)))
