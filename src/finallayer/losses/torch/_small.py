"""The shortest way to the kernel, for the usual calls on few logits, where Python's own steps are the whole cost.

At 32 x 10, ``F.cross_entropy`` and its backward pass take 35 microseconds, mostly autograd's. So: one packed call, no
autograd function where no gradient is wanted, and the inputs kept on ``ctx`` with their version instead of through
``save_for_backward``. Whatever is not as usual is left to the general way, which says what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import _SingleLevelFunction  # Function.apply without its torch.func wrapping

from finallayer import kernels
from finallayer.losses.torch import _eager, _fused, _inputs, _kernel, _upstream
from finallayer.losses.torch._kernel import Terms

# Up to here, keeping the logits alive until the loss itself is dropped costs nothing worth saving.
MOST_LOGITS = 1 << 15

#: Per dtype of logits: the kernel's code, the real dtype, and a tensor to make losses like.
_FORMATS = {
    dtype: (
        kernels_dtype,
        _kernel.real_dtype(dtype),
        torch.zeros((), dtype=dtype, device="cpu"),
    )
    for dtype, kernels_dtype in _kernel.DTYPES.items()
}
_DTYPES = {code: dtype for dtype, code in _kernel.DTYPES.items()}
_Numbers = tuple[str, int, float, float, float | None, float]  # as the arguments of `_arguments.terms_of`

_reductions = kernels.REDUCTIONS
_empty_like = torch.empty_like
_float32 = torch.float32
_int64 = torch.int64
_is_grad_enabled = torch.is_grad_enabled
_is_autocast = torch.is_autocast_enabled
_functorch_level = torch._C._functorch.peek_interpreter_stack
_as_written = _eager.as_written
_is_batched = _eager.is_legacy_batched
_expected = _upstream.expected
_expected_of_all_rows = _upstream.expected_of_all_rows
_learn_of_all_rows = _upstream.learn_of_all_rows
_pack_into = kernels.XENT_ARGS.pack_into
_address = _kernel.address
_Arguments = _kernel.Arguments
_xent = _kernel.LIBRARY.fl_xent if _kernel.LIBRARY is not None else None


def loss(
    logits: Tensor, target: Tensor, weight: Tensor | None, row_weight: Tensor | None, numbers: _Numbers
) -> Tensor | None:
    """The loss of a few logits (rows, classes) and int64 targets (rows,), contiguous, run as written; else None."""
    if _xent is None or not _as_written(logits):
        return None
    dtype = logits.dtype
    if dtype not in _FORMATS or type(target) is not Tensor or target.dtype is not _int64:
        return None
    if logits.dim() != 2 or target.dim() != 1 or logits.is_nested:
        return None
    rows, classes = logits.shape
    reduction, ignore_index, smoothing, z_loss, softcap, temperature = numbers
    if rows * classes > MOST_LOGITS or rows == 0 or reduction not in _reductions or type(ignore_index) is not int:
        return None
    if not -(2**63) <= ignore_index < 2**63:
        return None
    code, real, like = _FORMATS[dtype]
    cap = 0.0 if softcap is None else softcap or -1.0  # 0 is out of range
    if not (type(smoothing) is type(z_loss) is type(cap) is type(temperature) is float):
        return None
    try:
        if not (0.0 <= smoothing <= 1.0 and -inf < z_loss < inf and 0.0 < temperature < inf and 0.0 <= cap < inf):
            return None
        at_weight = at_row_weight = 0
        if weight is not None:
            if weight.requires_grad or weight.shape != (classes,) or weight.dtype not in _FORMATS:
                return None
            weight = weight if weight.dtype is real else weight.to(real)
            at_weight = _address(weight, "weight", real, classes)
        if row_weight is not None:
            if row_weight.requires_grad or row_weight.shape != (rows,) or row_weight.dtype not in _FORMATS:
                return None
            row_weight = row_weight if row_weight.dtype is real else row_weight.to(real)
            at_row_weight = _address(row_weight, "token_weight", real, rows)
        inputs = (
            (
                rows, 1, classes, code, _address(logits, "input", dtype, rows * classes), classes, 0, 1,
                _address(target, "target", _int64, rows), 1, 1, 0, 0, ignore_index, at_weight, at_row_weight,
                smoothing, z_loss, cap, temperature,
            ),
            (logits, target, weight, row_weight),
            reduction,
        )  # fmt: skip
    except (RuntimeError, ValueError, TypeError, AttributeError):
        return None
    if dtype is not _float32 and dtype is not real and _is_autocast("cpu"):
        code, like = _FORMATS[_float32][0], _FORMATS[_float32][2]
    job = inputs, code, like
    if logits.requires_grad and _is_grad_enabled():
        return _small(logits, job)
    result = _empty_like(target, dtype=like.dtype) if reduction == "none" else _empty_like(like)
    _call(inputs, code, result.data_ptr(), 1.0, 0, 0)
    return result


def _call(inputs: Any, loss_code: int, at_loss: int, upstream: float, at_row_upstream: int, at_gradient: int) -> None:
    """The kernel, for inputs with their addresses, outputs made here, and upstreams that were checked."""
    packed, (_, target, _, _), reduction = inputs
    arguments = _Arguments()
    per_row = reduction == "none"
    classes = packed[2]
    _pack_into(
        arguments, 0, *packed, _reductions[reduction], upstream, at_row_upstream, 0, loss_code,
        at_loss if per_row else 0, 0 if per_row else at_loss, 0, at_gradient, classes, 0, 1, 0, 1, 0,
    )  # fmt: skip
    if status := _xent(arguments):  # type: ignore[misc]
        _kernel.fail(status, arguments, target, classes)


def _versions(tensors: tuple[Tensor, Tensor, Tensor | None, Tensor | None]) -> tuple[int, int, int, int]:
    logits, target, weight, row_weight = tensors
    return (
        logits._version,
        target._version,
        0 if weight is None else weight._version,
        0 if row_weight is None else row_weight._version,
    )


def _readdressed(inputs: Any) -> Any:
    """The inputs where they stand now: what moves or frees a storage (``share_memory_``, ``.data =``,
    ``untyped_storage().resize_``) leaves the version of its tensors as it was.
    """
    packed, tensors, reduction = inputs
    logits, target, weight, row_weight = tensors
    rows, classes = packed[0], packed[2]
    dtype = _DTYPES[packed[3]]  # not that of the logits: their ``.data`` may have another by now
    real = _kernel.real_dtype(dtype)
    addresses = (
        _address(logits, "input", dtype, rows * classes),
        _address(target, "target", _int64, rows),
        0 if weight is None else _address(weight, "weight", real, classes),
        0 if row_weight is None else _address(row_weight, "token_weight", real, rows),
    )
    if addresses == (packed[4], packed[8], *packed[14:16]):
        return inputs
    at_logits, at_target, *at_weights = addresses
    packed = (*packed[:4], at_logits, *packed[5:8], at_target, *packed[9:14], *at_weights, *packed[16:])
    return packed, tensors, reduction


class SmallCrossEntropy(_SingleLevelFunction):
    """The loss of logits whose other inputs are in ``job``, one argument: the cheapest for an autograd function."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, job: Any) -> Tensor:
        inputs, code, like = job
        ctx.inputs, ctx.versions = inputs, _versions(inputs[1])
        size = logits.numel()
        made_for: float | None
        if inputs[2] == "none":
            made_for, result = _expected_of_all_rows(size), _empty_like(inputs[1][1], dtype=like.dtype)
        else:
            made_for, result = _expected(size), _empty_like(like)
        ctx.made_for = made_for
        if made_for is None:
            ctx.gradient = None
            _call(inputs, code, result.data_ptr(), 1.0, 0, 0)
        else:
            ctx.gradient = gradient = _empty_like(logits)
            _call(inputs, code, result.data_ptr(), made_for, 0, gradient.data_ptr())
        return result

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Any:
        gradient, ctx.gradient = ctx.gradient, None  # handed out once: the receiver may add to it in place
        plain = not _is_grad_enabled() and _functorch_level() is None and not _is_batched(upstream)
        inputs = ctx.inputs
        packed, (logits, target, weight, row_weight), reduction = inputs
        if plain and reduction != "none" and gradient is not None and upstream.item() == ctx.made_for:
            return gradient, None
        if _versions(inputs[1]) != ctx.versions:
            raise RuntimeError(
                "one of the variables needed for gradient computation has been modified by an inplace operation: "
                "the logits, targets or weights of cross_entropy"
            )
        if plain and reduction == "none":
            inputs = _readdressed(inputs)
            return _pushed_by_rows(inputs, upstream, gradient, ctx.made_for), None
        terms = Terms(reduction, packed[13], *packed[16:20])
        found = _inputs.Inputs(logits, target, weight, row_weight, True)
        return _fused.gradient_of(found, terms, upstream, None, gradient, ctx.made_for), None


def _pushed_by_rows(inputs: Any, upstream: Tensor, ready: Tensor | None, made_for: float | None) -> Tensor:
    """The gradient for an upstream a row; ``ready`` is the one for ``made_for`` in every row."""
    packed, (logits, _, _, _), _ = inputs
    factor = upstream[0].item() if upstream.stride() == (0,) else None  # as sum() makes it
    if ready is not None and factor == made_for:
        return ready
    _learn_of_all_rows(logits.numel(), factor)
    gradient = _empty_like(logits) if ready is None else ready
    at_upstream = 0
    if factor is None:
        pushed = upstream.to(_kernel.real_dtype(logits.dtype)).contiguous().resolve_neg()
        at_upstream = _address(pushed, "gradient of the loss", pushed.dtype, packed[0])
    _call(inputs, packed[3], 0, 1.0 if factor is None else factor, at_upstream, gradient.data_ptr())
    return gradient


_small: Callable[[Tensor, Any], Tensor] = SmallCrossEntropy.apply  # type: ignore[attr-defined]
