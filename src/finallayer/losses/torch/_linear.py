"""`linear_cross_entropy`: the last linear layer and its loss together, the logits never held at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, TypedDict, Unpack, cast, overload

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function_variadic

from finallayer.losses.torch import _composed, _eager, _inputs, _kernel, _upstream
from finallayer.losses.torch._arguments import check_logits, check_target, check_tensors, check_weights, terms_of
from finallayer.losses.torch._cross_entropy import CrossEntropyOutput, cross_entropy, loss_dtype
from finallayer.losses.torch._kernel import Terms

# Logits held at a time: enough rows for an efficient matrix product, 64 MiB in float32.
_CHUNK_ELEMENTS = 1 << 24
# And on other devices, where a matrix product of few rows is far from efficient.
_DEVICE_CHUNK_ELEMENTS = 1 << 27


class _Layer(NamedTuple):
    hidden: Tensor  # (rows, features)
    weight: Tensor  # (classes, features)
    bias: Tensor | None  # (classes,)


class _Objective(NamedTuple):
    target: Tensor  # (rows,) or (rows, classes)
    class_weight: Tensor | None
    row_weight: Tensor | None
    terms: Terms
    want_correct: bool


class _Gradients(NamedTuple):
    hidden: Tensor
    weight: Tensor  # float32 (float64) while it is summed over chunks
    bias: Tensor | None


class _Rows(NamedTuple):
    """Of each row; float32, or float64 for float64."""

    loss: Tensor
    lse: Tensor
    correct: Tensor | None


class _Terms(TypedDict, total=False):
    """What changes nothing in what `linear_cross_entropy` returns."""

    weight: Tensor | None
    reduction: str
    ignore_index: int | None
    label_smoothing: float
    options: Any
    z_loss: float
    softcap: float | None
    temperature: float
    token_weight: Tensor | None
    bias: Tensor | None
    class_weight: Tensor | None


# fmt: off
@overload
def linear_cross_entropy(
    input: Tensor, linear_weight: Tensor, target: Tensor, linear_bias: Tensor | None = ..., *,
    return_lse: Literal[False] = ..., return_accuracy: Literal[False] = ..., **terms: Unpack[_Terms],
) -> Tensor: ...


@overload
def linear_cross_entropy(
    input: Tensor, linear_weight: Tensor, target: Tensor, linear_bias: Tensor | None = ..., *,
    return_lse: Literal[True], return_accuracy: bool = ..., **terms: Unpack[_Terms],
) -> CrossEntropyOutput: ...


@overload
def linear_cross_entropy(
    input: Tensor, linear_weight: Tensor, target: Tensor, linear_bias: Tensor | None = ..., *,
    return_lse: bool = ..., return_accuracy: Literal[True], **terms: Unpack[_Terms],
) -> CrossEntropyOutput: ...


@overload
def linear_cross_entropy(
    input: Tensor, linear_weight: Tensor, target: Tensor, linear_bias: Tensor | None = ..., *,
    return_lse: bool = ..., return_accuracy: bool = ..., **terms: Unpack[_Terms],
) -> Tensor | CrossEntropyOutput: ...
# fmt: on


def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    linear_bias: Tensor | None = None,
    *,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: Any = None,
    z_loss: float = 0.0,
    softcap: float | None = None,
    temperature: float = 1.0,
    token_weight: Tensor | None = None,
    return_lse: bool = False,
    return_accuracy: bool = False,
    bias: Tensor | None = None,
    class_weight: Tensor | None = None,
) -> Tensor | CrossEntropyOutput:
    """``cross_entropy(input @ linear_weight.T + linear_bias, target)`` without the logits: a drop-in for torch's.

    Peak memory is N d + C d + chunk C, not N C. Exact as `cross_entropy` of the logits; the gradient of every chunk is
    taken in the forward pass, while its logits are in cache.

    Args:
        input: (d,), (N, d), or with more dimensions in front of d; float32, bfloat16, float16 or float64: what the last
            linear layer is given.
        linear_weight: (C, d), that layer's weight; its gradient is summed in float32. Or (C, d1, ..., dk, d), for
            d1 ... dk targets of each input; then the logits are held at once.
        target: Class indices (), (N,) or (N, d1, ..., dk), or probabilities (C,), (N, C) or (N, C, d1, ..., dk).
        linear_bias: (C,) or (C, d1, ..., dk), that layer's bias.
        weight: Weight of each class, (C,).
        ignore_index: As in `cross_entropy`; None is -100, and needed with probabilities.
        options: Accepted as torch's and not used: chunks are always walked.
        reduction, label_smoothing, z_loss, softcap, temperature, token_weight, return_lse, return_accuracy: As in
            `cross_entropy`.
        bias, class_weight: Other names of ``linear_bias`` and ``weight``.

    Returns:
        The loss, in the dtype of ``input`` (promoted as in `cross_entropy`), or a `CrossEntropyOutput` if more was
        asked for.

    Raises:
        IndexError: a target index is outside [0, C) and not ``ignore_index``.
        ValueError, RuntimeError, TypeError: as `cross_entropy`.
    """
    linear_bias = bias if linear_bias is None else linear_bias
    weight = class_weight if weight is None else weight
    if has_torch_function_variadic(input, linear_weight, target, linear_bias, weight, token_weight):
        return cast(
            Tensor,
            handle_torch_function(
                linear_cross_entropy,
                (input, linear_weight, target, linear_bias, weight, token_weight),
                input,
                linear_weight,
                target,
                linear_bias,
                weight=weight,
                reduction=reduction,
                ignore_index=ignore_index,
                label_smoothing=label_smoothing,
                z_loss=z_loss,
                softcap=softcap,
                temperature=temperature,
                token_weight=token_weight,
                return_lse=return_lse,
                return_accuracy=return_accuracy,
            ),
        )
    terms = terms_of(
        reduction, -100 if ignore_index is None else ignore_index, label_smoothing, z_loss, softcap, temperature
    )
    check_tensors(
        "linear_cross_entropy",
        input,
        linear_weight=linear_weight,
        target=target,
        linear_bias=linear_bias,
        weight=weight,
        token_weight=token_weight,
    )
    check_logits("linear_cross_entropy", input)
    _check_layer(input, linear_weight, linear_bias)
    soft = _is_probabilities(input, linear_weight, target, ignore_index)
    if token_weight is not None and token_weight.shape != _rows_shape(input, linear_weight):
        raise ValueError(
            f"linear_cross_entropy: expected token_weight of shape {tuple(_rows_shape(input, linear_weight))}, one for "
            f"each target; got {tuple(token_weight.shape)}"
        )
    layer = _Layer(input.reshape(-1, input.shape[-1]), linear_weight, linear_bias)
    objective = _flat(layer, target, soft, weight, token_weight, terms, return_accuracy)
    output = _output(layer, objective, return_lse)
    shape = _rows_shape(input, linear_weight)
    loss = output.loss.reshape(shape) if reduction == "none" else output.loss
    if not (return_lse or return_accuracy):
        return loss
    return CrossEntropyOutput(loss, None if output.lse is None else output.lse.reshape(shape), output.accuracy)


def _check_layer(input: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    if input.dim() < 1:
        raise RuntimeError("linear_cross_entropy: expected input with dimensionality 1 or more, got 0")
    if weight.dim() < 2:
        raise RuntimeError(
            f"linear_cross_entropy: expected linear_weight with dimensionality at least 2, got {weight.dim()}"
        )
    if input.shape[-1] != weight.shape[-1]:
        raise RuntimeError(
            "linear_cross_entropy: expected equal input and linear_weight last dimensions (in_features), "
            f"got {input.shape[-1]} and {weight.shape[-1]}"
        )
    if bias is not None and bias.shape != weight.shape[:-1]:
        raise RuntimeError(
            f"linear_cross_entropy: expected linear_bias shape {tuple(weight.shape[:-1])}, got {tuple(bias.shape)}"
        )
    if weight.dim() > 2 and input.dim() != 2:
        raise RuntimeError(
            f"linear_cross_entropy: linear_weight of shape {tuple(weight.shape)} requires batched input "
            f"(N, {input.shape[-1]}), got {tuple(input.shape)}"
        )
    if not _eager.is_autocast(input):
        for name, tensor in (("linear_weight", weight), ("linear_bias", bias)):
            if tensor is not None and tensor.dtype != input.dtype:
                raise RuntimeError(
                    f"linear_cross_entropy: expected {name} in the dtype of input, {input.dtype}, got {tensor.dtype}"
                )


def _rows_shape(input: Tensor, weight: Tensor) -> torch.Size:
    return input.shape[:-1] + weight.shape[1:-1]


def _is_probabilities(input: Tensor, weight: Tensor, target: Tensor, ignore_index: int | None) -> bool:
    """By its shape, as torch tells; raises if it is that of neither."""
    rows, logits = _rows_shape(input, weight), input.shape[:-1] + weight.shape[:-1]
    if target.shape == logits:
        if ignore_index is not None:
            raise RuntimeError(
                "linear_cross_entropy: ignore_index cannot be specified when target contains probabilities"
            )
        return True
    if target.shape != rows:
        kind = ValueError if target.dim() == len(rows) == 1 else RuntimeError
        raise kind(
            f"linear_cross_entropy: expected target of shape {tuple(rows)}, or {tuple(logits)} for probabilities; "
            f"got {tuple(target.shape)}"
        )
    return False


def _flat(
    layer: _Layer,
    target: Tensor,
    soft: bool,
    weight: Tensor | None,
    token_weight: Tensor | None,
    terms: Terms,
    want_correct: bool,
) -> _Objective:
    """Targets and weights with one leading dimension."""
    rows, outputs = layer.hidden.shape[0], layer.weight.shape[1:-1]
    logits = torch.Size((rows, *layer.weight.shape[:-1]))
    target = target.reshape(logits if soft else (rows, *outputs))
    token_weight = None if token_weight is None else token_weight.reshape(rows, *outputs)
    check_target("linear_cross_entropy", target, logits, terms.ignore_index)
    check_weights("linear_cross_entropy", logits, target, weight, token_weight)
    return _Objective(target, weight, token_weight, terms, want_correct)


def _output(layer: _Layer, objective: _Objective, want_lse: bool) -> CrossEntropyOutput:
    hidden, target = layer.hidden, objective.target
    fixed = (target, objective.class_weight, objective.row_weight)
    if (
        layer.weight.dim() == 2
        and layer.weight.shape[0] > 0
        and not _eager.is_compiling()
        and all(_eager.as_written(t) for t in (*layer, *fixed) if t is not None)
        and not any(t is not None and t.requires_grad for t in fixed)
        and hidden.device.type != "meta"
    ):
        return _fused_output(layer, objective, want_lse)
    return _unfused_output(layer, objective, want_lse)


def _unfused_output(layer: _Layer, objective: _Objective, want_lse: bool) -> CrossEntropyOutput:
    """With the logits held: for tracers and transforms, learned targets, and several targets an input."""
    hidden, weight, bias = layer
    flat = F.linear(hidden, weight.reshape(-1, weight.shape[-1]), None if bias is None else bias.reshape(-1))
    terms = objective.terms
    output = cross_entropy(
        flat.reshape(-1, *weight.shape[:-1]),
        objective.target,
        objective.class_weight,
        ignore_index=terms.ignore_index,
        reduction=terms.reduction,
        label_smoothing=terms.label_smoothing,
        z_loss=terms.z_loss,
        softcap=terms.softcap or None,
        temperature=terms.temperature,
        token_weight=objective.row_weight,
        return_lse=want_lse,
        return_accuracy=objective.want_correct,
    )
    return output if isinstance(output, CrossEntropyOutput) else CrossEntropyOutput(output, None, None)


def _fused_output(layer: _Layer, objective: _Objective, want_lse: bool) -> CrossEntropyOutput:
    hidden, target = layer.hidden, objective.target
    dtype = loss_dtype(hidden, target, objective.class_weight)
    device = hidden.device.type
    if _eager.is_autocast(hidden):
        narrow = torch.get_autocast_dtype(device)
        layer = _Layer(*(None if t is None else t.to(narrow) for t in layer))  # type: ignore[arg-type]
    elif dtype == torch.float64:
        layer = _Layer(*(None if t is None else t.to(dtype) for t in layer))  # type: ignore[arg-type]
    if layer.hidden.numel() == 0 or layer.weight.numel() == 0:
        return _unfused_output(layer, objective, want_lse)
    real = _kernel.real_dtype(layer.hidden.dtype)
    target = target.to(real) if target.is_floating_point() else target.long()
    class_weight, row_weight = (None if w is None else w.detach().to(real).contiguous() for w in objective[1:3])
    objective = objective._replace(target=target.contiguous(), class_weight=class_weight, row_weight=row_weight)
    loss, lse, correct = _apply(*layer, objective)
    accuracy = None
    if correct is not None and target.is_floating_point():
        accuracy = correct.float().mean()
    elif correct is not None:
        accuracy = correct.sum().float() / (target != objective.terms.ignore_index).sum().clamp(min=1)
    return CrossEntropyOutput(loss.to(dtype), lse if want_lse else None, accuracy)


class _LinearCrossEntropy(_eager.SingleLevelFunction):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, objective: _Objective) -> Any:
        layer = _Layer(hidden, weight, bias)
        terms = objective.terms
        wanted = any(ctx.needs_input_grad) and terms.reduction != "none"
        scale: Tensor | float = 1.0
        if terms.reduction == "mean":
            counted = _composed.denominator(*objective[:3], terms, _composed.wide(hidden[:, 0]))
            scale = torch.where(counted == 0, 0.0, 1 / counted)
            scale = scale.item() if hidden.is_cpu else scale
        ctx.made_for = _upstream.expected(hidden.shape[0] * weight.shape[0]) if hidden.is_cpu else 1.0
        rows, ctx.gradients = _walk(layer, objective, scale * ctx.made_for if wanted else None, None, None)
        ctx.objective, ctx.scale = objective, scale
        ctx.save_for_backward(hidden, weight, bias)
        ctx.set_materialize_grads(False)
        if rows.correct is not None:
            ctx.mark_non_differentiable(rows.correct)
        loss = rows.loss if terms.reduction == "none" else (_composed.wide(rows.loss).sum() * scale).to(rows.loss.dtype)
        return loss, rows.lse, rows.correct

    @staticmethod
    def backward(ctx: Any, upstream: Tensor | None, lse_upstream: Tensor | None, _: None) -> Any:
        ready, ctx.gradients = ctx.gradients, None
        layer = _Layer(*ctx.saved_tensors)
        if _eager.is_batched(upstream) or _eager.is_batched(lse_upstream):
            return (*_batched(layer, ctx.objective, upstream, lse_upstream), None)
        if torch.is_grad_enabled() or _eager.in_transform():
            return (*_through_the_logits(layer, ctx.objective, upstream, lse_upstream), None)
        if lse_upstream is None and ready is not None and upstream is not None:
            ready = _scaled(ready, upstream, ctx.made_for, layer)
        else:
            ready = None
        if ready is None:
            ready = _again(layer, ctx.objective, ctx.scale, upstream, lse_upstream)
        typed = (None if g is None or p is None else g.to(p.dtype) for g, p in zip(ready, layer, strict=True))
        return (*typed, None)


_apply: Callable[..., tuple[Tensor, Tensor, Tensor | None]] = _LinearCrossEntropy.apply  # type: ignore[attr-defined]


def _scaled(ready: _Gradients, upstream: Tensor, made_for: float, layer: _Layer) -> _Gradients | None:
    """Gradients made for one upstream, for another; None if they have to be computed again for that."""
    factor: Tensor | float | None = upstream
    if upstream.is_cpu:
        wanted = upstream.item()
        if wanted == made_for:
            return ready
        _upstream.learn(layer.hidden.shape[0] * layer.weight.shape[0], wanted)
        exact = layer.hidden.dtype in (torch.float32, torch.float64)
        factor = _upstream.exact_factor(wanted, made_for) if exact else None
    if factor is None:
        return None
    return _Gradients(*(None if g is None else g.mul_(factor) for g in ready))  # type: ignore[arg-type]


def _again(
    layer: _Layer,
    objective: _Objective,
    scale: float | Tensor,
    upstream: Tensor | None,
    lse_upstream: Tensor | None,
) -> _Gradients:
    """The gradients for an upstream per row, of the lse, or for a second backward pass."""
    per_row = None
    if upstream is None or objective.terms.reduction == "none":
        per_row = torch.zeros_like(layer.hidden[:, 0]) if upstream is None else upstream
    elif upstream.is_cpu:
        scale = scale * upstream.item()
    else:
        scale = scale * _composed.wide(upstream)
    gradients = _walk(layer, objective, scale, per_row, lse_upstream)[1]
    assert gradients is not None
    return gradients


def _through_the_logits(
    layer: _Layer, objective: _Objective, upstream: Tensor | None, lse_upstream: Tensor | None
) -> tuple[Tensor | None, ...]:
    """Gradients that are differentiable (create_graph=True)."""
    given = [t for t in layer if t is not None]
    (loss, lse), pull_back = torch.func.vjp(lambda *tensors: _loss_and_lse(tensors, objective), *given)[:2]
    upstreams = (u if u is not None else torch.zeros_like(y) for u, y in ((upstream, loss), (lse_upstream, lse)))
    found = pull_back(tuple(u.to(y.dtype) for u, y in zip(upstreams, (loss, lse), strict=True)))
    return (*found, *[None] * (3 - len(found)))


def _batched(
    layer: _Layer, objective: _Objective, upstream: Tensor | None, lse_upstream: Tensor | None
) -> tuple[Tensor | None, ...]:
    """Gradients for many upstreams in one tensor (is_grads_batched=True)."""
    with torch.enable_grad():
        leaves = [t.detach().requires_grad_() for t in layer if t is not None]
        outputs = _loss_and_lse(leaves, objective)
    pairs = [(y, u) for y, u in zip(outputs, (upstream, lse_upstream), strict=True) if u is not None]
    found = torch.autograd.grad([y for y, _ in pairs], leaves, [u for _, u in pairs])
    return (*found, *[None] * (3 - len(found)))


def _loss_and_lse(tensors: Sequence[Tensor], objective: _Objective) -> tuple[Tensor, Tensor]:
    hidden, weight, *bias = tensors
    output = _unfused_output(_Layer(hidden, weight, bias[0] if bias else None), objective, True)
    assert output.lse is not None
    return output.loss, output.lse


def _walk(
    layer: _Layer,
    objective: _Objective,
    upstream: float | Tensor | None,
    row_upstream: Tensor | None,
    lse_upstream: Tensor | None,
) -> tuple[_Rows, _Gradients | None]:
    """Each row's results, chunk by chunk; the gradients too unless ``upstream`` is None."""
    hidden, weight, bias = layer
    rows, classes = hidden.shape[0], weight.shape[0]
    real = _kernel.real_dtype(hidden.dtype)
    results = _Rows(
        hidden.new_empty(rows, dtype=real),
        hidden.new_empty(rows, dtype=real),
        hidden.new_empty(rows, dtype=torch.uint8) if objective.want_correct else None,
    )
    gradients = None
    if upstream is not None:
        gradients = _Gradients(
            torch.empty_like(hidden, memory_format=torch.contiguous_format),
            hidden.new_zeros(weight.shape, dtype=real),
            None if bias is None else hidden.new_zeros(classes, dtype=real),
        )
    # Chunks of equal size: a short last one would waste a matrix product.
    most = _CHUNK_ELEMENTS if hidden.is_cpu else _DEVICE_CHUNK_ELEMENTS
    count = max(1, -(-rows * classes // most))
    step = max(1, -(-rows // count))
    held = hidden.new_empty(min(step, rows), classes)
    for begin in range(0, rows, step):
        chunk = slice(begin, min(begin + step, rows))
        logits = held[: chunk.stop - chunk.start]
        _logits(hidden[chunk], weight, bias, logits)
        _chunk_loss(logits, objective, chunk, results, upstream, row_upstream, lse_upstream)
        if gradients is not None:
            _accumulate(gradients, logits, hidden[chunk], weight, chunk)
    return results, gradients


def _logits(hidden: Tensor, weight: Tensor, bias: Tensor | None, out: Tensor) -> None:
    if bias is None:
        torch.mm(hidden, weight.t(), out=out)
    else:
        torch.addmm(bias, hidden, weight.t(), out=out)


def _chunk_loss(
    logits: Tensor,
    objective: _Objective,
    chunk: slice,
    results: _Rows,
    upstream: float | Tensor | None,
    row_upstream: Tensor | None,
    lse_upstream: Tensor | None,
) -> None:
    """Fills the chunk's results; the gradient with respect to its logits is written over them."""
    target = objective.target[chunk]
    row_weight = None if objective.row_weight is None else objective.row_weight[chunk]
    correct = None if results.correct is None else results.correct[chunk]
    soft_correct = correct is not None and target.is_floating_point()
    if soft_correct and correct is not None:
        correct.copy_(logits.argmax(1) == target.argmax(1))
    _inputs.inputs(logits, target, objective.class_weight, row_weight).compute(
        objective.terms._replace(reduction="none"),
        1.0 if upstream is None else upstream,
        row_upstream=None if row_upstream is None else row_upstream[chunk],
        lse_upstream=None if lse_upstream is None else lse_upstream[chunk],
        loss=results.loss[chunk],
        lse=results.lse[chunk],
        correct=None if soft_correct else correct,
        grad=None if upstream is None else logits,
    )


def _accumulate(gradients: _Gradients, gradient: Tensor, hidden: Tensor, weight: Tensor, chunk: slice) -> None:
    torch.mm(gradient, weight, out=gradients.hidden[chunk])
    if gradient.dtype == gradients.weight.dtype:
        gradients.weight.addmm_(gradient.t(), hidden)
    else:
        gradients.weight.add_(torch.mm(gradient.t(), hidden))
    if gradients.bias is not None:
        gradients.bias.add_(gradient.sum(0, dtype=gradients.bias.dtype))
