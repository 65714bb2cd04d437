"""`binary_cross_entropy_with_logits`: the binary twin, exact at both ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function_variadic

from finallayer.losses.torch import _eager, _kernel, _plans, _upstream
from finallayer.losses.torch._arguments import LOGITS, check_logits, check_reduction, check_tensors, reduction_of


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
        target: Probabilities in [0, 1], with the shape of ``input``, floating point.
        weight: Weight of each element, broadcast to ``input``.
        size_average, reduce: Deprecated as in torch; use ``reduction``.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``; nats per element.
        pos_weight: Weight of the positive part, broadcast to ``input``.

    Returns:
        The loss in the dtype of ``input``, promoted as in torch with that of ``target``, and to float32 under autocast;
        0 for empty input with ``"mean"``.

    Raises:
        ValueError: the shapes of ``input`` and ``target`` do not match, or ``reduction`` is unknown.
        RuntimeError: a weight cannot be broadcast, a dtype does not fit, or tensors are on different devices.
        TypeError: an argument is of another type.
    """
    if size_average is not None or reduce is not None:
        reduction = reduction_of(size_average, reduce, reduction)
    if not _eager.is_compiling():
        quick = _plans.binary(input, target, weight, pos_weight, reduction, _gradient_of)
        if quick is not None:
            return quick
    if has_torch_function_variadic(input, target, weight, pos_weight):
        return handle_torch_function(
            binary_cross_entropy_with_logits,
            (input, target, weight, pos_weight),
            input,
            target,
            weight,
            reduction=reduction,
            pos_weight=pos_weight,
        )
    check_reduction(reduction)
    _check(input, target, weight, pos_weight)
    dtype = torch.promote_types(input.dtype, target.dtype)
    if _eager.is_autocast(input):
        dtype = torch.promote_types(dtype, torch.float32)
    logits = input.to(dtype) if dtype == torch.float64 else input
    tensors = (logits, target, weight, pos_weight)
    learned = any(t is not None and t.requires_grad for t in (target, weight, pos_weight))
    if not learned and not _eager.is_compiling() and _eager.as_written(logits) and _kernel.serves(logits):
        return _apply(*_contiguous(*tensors), reduction, dtype)
    return _composed(*tensors, reduction).to(dtype)


def _check(input: Tensor, target: Tensor, weight: Tensor | None, pos_weight: Tensor | None) -> None:
    function = "binary_cross_entropy_with_logits"
    check_tensors(function, input, target=target, weight=weight, pos_weight=pos_weight)
    check_logits(function, input)
    if target.shape != input.shape:
        raise ValueError(f"Target size ({target.shape}) must be the same as input size ({input.shape})")
    if target.dtype not in LOGITS:
        raise RuntimeError(f"{function}: expected a floating point target, got {target.dtype}")
    for name, tensor in (("weight", weight), ("pos_weight", pos_weight)):
        if tensor is None:
            continue
        if tensor.is_complex():
            raise RuntimeError(f"{function}: expected a real {name}, got {tensor.dtype}")
        if not _broadcasts(tensor.shape, input.shape):
            raise RuntimeError(
                f"{function}: {name} of shape {tuple(tensor.shape)} cannot be broadcast to {tuple(input.shape)}"
            )


def _broadcasts(shape: torch.Size, to: torch.Size) -> bool:
    return len(shape) <= len(to) and all(a in (1, b) for a, b in zip(reversed(shape), reversed(to), strict=False))


def _composed(
    input: Tensor, target: Tensor, weight: Tensor | None, pos_weight: Tensor | None, reduction: str
) -> Tensor:
    """In torch's differentiable operations: two softplus, of which neither the value nor any derivative cancels."""
    wide = torch.float64 if input.dtype == torch.float64 else torch.float32
    z, y = input.to(wide), target.to(wide)
    negative, positive = 1 - y, y if pos_weight is None else y * pos_weight.to(wide)
    loss = _costs(negative, -z) + _costs(positive, z)
    if weight is not None:
        loss = loss * weight.to(wide)
    if reduction == "none":
        return loss
    total = loss.sum()
    return total if reduction == "sum" or input.numel() == 0 else total / input.numel()


def _costs(mass: Tensor, z: Tensor) -> Tensor:
    """``mass * softplus(-z)``; a class that cannot be the target costs nothing, however far its logit."""
    loss = -F.logsigmoid(z)  # F.softplus drops the tail from 20 on
    return mass * loss.masked_fill((mass == 0) & loss.isinf(), 0.0)


class _Inputs(NamedTuple):
    logits: Tensor
    target: Tensor
    weight: Tensor | None  # repeats over the logits
    pos_weight: Tensor | None


def _contiguous(input: Tensor, target: Tensor, weight: Tensor | None, pos_weight: Tensor | None) -> _Inputs:
    """As the kernel takes them."""
    real = _kernel.real_dtype(input.dtype)

    def period(tensor: Tensor | None) -> Tensor | None:
        """The vector that repeats over the elements of ``input``."""
        if tensor is None:
            return None
        if tensor.shape != input.shape[input.dim() - tensor.dim() :]:
            tensor = tensor.broadcast_to(input.shape)
        return read(tensor).contiguous().resolve_neg()

    def read(tensor: Tensor) -> Tensor:
        return tensor if tensor.dtype in _kernel.DTYPES else tensor.to(real)

    def plain(tensor: Tensor) -> Tensor:
        return tensor.contiguous().resolve_neg()

    return _Inputs(plain(input), plain(target), period(weight), period(pos_weight))


class _FusedBinary(_eager.SingleLevelFunction):
    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,
        target: Tensor,
        weight: Tensor | None,
        pos_weight: Tensor | None,
        reduction: str,
        dtype: torch.dtype,
    ) -> Tensor:
        per_element = reduction == "none"
        loss_dtype = dtype if dtype == logits.dtype else _kernel.real_dtype(logits.dtype)
        loss = logits.new_empty(logits.shape if per_element else (), dtype=loss_dtype)
        gradient, ctx.made_for = None, None
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward(logits, target, weight, pos_weight)
            ctx.reduction = reduction
            expected = _upstream.expected_of_all_rows if per_element else _upstream.expected
            ctx.made_for = expected(logits.numel())
            gradient = None if ctx.made_for is None else _kernel.gradient_like(logits)
        ctx.gradient = gradient
        _kernel.binary_cross_entropy(
            logits,
            target,
            weight,
            pos_weight,
            reduction,
            upstream=1.0 if ctx.made_for is None else ctx.made_for,
            loss=loss if per_element else None,
            reduced=None if per_element else loss,
            grad=gradient,
        )
        return loss.to(dtype)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Any:
        gradient, ctx.gradient = ctx.gradient, None  # handed out once: the receiver may add to it in place
        return _gradient_of(ctx.saved_tensors, ctx.reduction, upstream, gradient, ctx.made_for), *[None] * 5


_apply: Callable[..., Tensor] = _FusedBinary.apply  # type: ignore[attr-defined]


def _gradient_of(
    tensors: tuple[Any, ...], reduction: str, upstream: Tensor, ready: Tensor | None, made_for: float | None
) -> Tensor:
    """The gradient for any upstream, rounded once; differentiable, or batched, where that is asked for.

    ``ready``, if given, is the gradient for the upstream ``made_for`` (of every element), which nobody has seen.
    """
    found = _Inputs(*tensors)
    if _eager.is_batched(upstream):
        return _batched(found, reduction, upstream)
    if torch.is_grad_enabled() or _eager.in_transform():
        return _differentiable(found, reduction, upstream)
    of_elements = reduction == "none"
    wanted = _upstream.of_all_rows(upstream) if of_elements else upstream.item()
    if ready is not None and wanted == made_for:
        return ready
    count = found.logits.numel()
    if of_elements:
        _upstream.learn_of_all_rows(count, wanted)
    elif wanted is not None:
        _upstream.learn(count, wanted)
    if wanted is None:
        return _gradient(found, reduction, 1.0, upstream, ready)
    return _gradient(found, reduction, wanted, None, ready)


def _gradient(
    found: _Inputs, reduction: str, factor: float, element_upstream: Tensor | None, out: Tensor | None
) -> Tensor:
    gradient = _kernel.gradient_like(found.logits) if out is None else out
    if element_upstream is not None:
        element_upstream = element_upstream.contiguous().resolve_neg()
    _kernel.binary_cross_entropy(*found, reduction, upstream=factor, element_upstream=element_upstream, grad=gradient)
    return gradient


def _batched(found: _Inputs, reduction: str, upstream: Tensor) -> Tensor:
    """The gradients for many upstreams, which only torch's own operations can read (is_grads_batched=True)."""
    exact = found._replace(logits=found.logits.to(_kernel.real_dtype(found.logits.dtype)))
    gradient = _gradient(exact, reduction, 1.0, None, None) * upstream
    return gradient.to(found.logits.dtype)


def _differentiable(found: _Inputs, reduction: str, upstream: Tensor) -> Tensor:
    """The gradient with a graph of its own (create_graph=True)."""
    logits, target, *weights = found
    weight, pos_weight = (_unperiod(w, logits) for w in weights)

    def loss(z: Tensor) -> Tensor:
        return _composed(z, target, weight, pos_weight, reduction)

    value, pull_back = torch.func.vjp(loss, logits)[:2]
    (gradient,) = pull_back(upstream.to(value.dtype))
    return cast(Tensor, gradient)


def _unperiod(weight: Tensor | None, logits: Tensor) -> Tensor | None:
    """A repeating vector back in the shape of the logits."""
    if weight is None:
        return None
    repeats = logits.numel() // max(weight.numel(), 1)
    return weight.reshape(-1).repeat(repeats).reshape(logits.shape)
