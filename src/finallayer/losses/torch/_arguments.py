"""What the public losses take: every argument is looked at here, and refused in torch's own error types."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from finallayer.kernels import REDUCTIONS
from finallayer.losses.torch import _eager
from finallayer.losses.torch._kernel import Terms, check_is_there

LOGITS = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
INDICES = (torch.int64, torch.int32, torch.uint8, torch.int16, torch.int8)


def reduction_of(size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    """The reduction that torch's deprecated arguments ask for."""
    if size_average is None and reduce is None:
        return reduction
    return torch.nn._reduction.legacy_get_string(size_average, reduce)


def terms_of(
    reduction: str, ignore_index: int, label_smoothing: float, z_loss: float, softcap: float | None, temperature: float
) -> Terms:
    """The numbers of a cross-entropy.

    Raises:
        ValueError: ``reduction`` is unknown, or ``softcap``, ``temperature`` or ``z_loss`` out of range.
        RuntimeError: ``label_smoothing`` is not in [0, 1], or ``ignore_index`` does not fit 64 bits.
        TypeError: one of them is not a number.
    """
    check_reduction(reduction)
    smoothing, z_loss = _number("label_smoothing", label_smoothing), _number("z_loss", z_loss)
    temperature, cap = _number("temperature", temperature), 0.0 if softcap is None else _number("softcap", softcap)
    if not 0.0 <= smoothing <= 1.0:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    if not -math.inf < z_loss < math.inf:
        raise ValueError(f"z_loss must be finite. Got: {z_loss}")
    if not 0.0 < temperature < math.inf:
        raise ValueError(f"temperature must be above 0 and finite. Got: {temperature}")
    if softcap is not None and not 0.0 < cap < math.inf:
        raise ValueError(f"softcap must be above 0 and finite, or None for no cap. Got: {softcap}")
    if not isinstance(ignore_index, int | torch.SymInt):
        raise TypeError(f"ignore_index must be int, not {type(ignore_index).__name__}")
    if isinstance(ignore_index, int) and not -(2**63) <= ignore_index < 2**63:
        raise RuntimeError(f"ignore_index must fit 64 bits. Got: {ignore_index}")
    return Terms(reduction, ignore_index, smoothing, z_loss, cap, temperature)


def check_reduction(reduction: str) -> None:
    """Raise as torch does for an unknown reduction."""
    if reduction not in REDUCTIONS:
        raise ValueError(f"{reduction} is not a valid value for reduction: expected none, sum or mean")


def check_tensors(function: str, first: Tensor, **others: Tensor | None) -> None:
    """All are tensors that a dense loss can be computed from, on one device.

    Raises:
        TypeError: one is no tensor.
        NotImplementedError: one is sparse, nested or quantized.
        RuntimeError: they are on different devices, only some of them are of a subclass such as DTensor, or the storage
            of one is gone.
    """
    readable = not _eager.is_compiling() and isinstance(first, Tensor) and first.is_cpu and _eager.as_written(first)
    for name, tensor in {"input": first, **others}.items():
        if tensor is None and name not in ("input", "target"):
            continue
        if not isinstance(tensor, Tensor):
            raise TypeError(f"{function}(): argument '{name}' must be Tensor, not {type(tensor).__name__}")
        if tensor.layout is not torch.strided or tensor.is_nested or tensor.is_quantized:
            kind = "a nested tensor" if tensor.is_nested else tensor.layout if not tensor.is_quantized else tensor.dtype
            raise NotImplementedError(f"{function}: {name} must be a dense tensor, got {kind}")
        if tensor.device != first.device:
            raise RuntimeError(
                f"{function}: expected all tensors on {first.device}, the device of input; {name} is on {tensor.device}"
            )
        if is_traceable_wrapper_subclass(tensor) != is_traceable_wrapper_subclass(first):
            raise RuntimeError(
                f"{function}: got mixed tensors: input is a {type(first).__name__}, {name} a {type(tensor).__name__}; "
                "convert all of them, or none"
            )
        if readable and type(tensor) in _eager.PLAIN and not tensor._is_zerotensor():
            check_is_there(tensor, name)


def check_logits(function: str, input: Tensor) -> None:
    """Raise as torch does for logits of a dtype that has no loss."""
    if input.dtype not in LOGITS:
        raise NotImplementedError(f'"{function}" not implemented for {input.dtype}: logits must be floating point')


def check_target(function: str, target: Tensor, logits_shape: torch.Size, ignore_index: int) -> None:
    """Class indices or probabilities that fit logits (C,), (N, C) or (N, C, d1, ..., dk).

    Raises:
        ValueError: another batch size.
        RuntimeError: any other shape, a dtype that is neither, or ``ignore_index`` with probabilities.
    """
    if len(logits_shape) < 1:
        raise RuntimeError(f"{function}: expected logits with a class dimension, got a scalar")
    expected = rows_shape(logits_shape)
    if target.shape == logits_shape:
        if target.dtype not in LOGITS:
            raise RuntimeError(
                f"{function}: expected floating point type for target with class probabilities, got {target.dtype}"
            )
        if ignore_index >= 0:
            raise RuntimeError(f"{function}: ignore_index is not supported for floating point target")
        return
    if target.is_floating_point():
        raise RuntimeError(
            f"{function}: expected target dtype to be an integer for class indices, but got {target.dtype}; "
            f"probabilities must have the shape of the logits, {tuple(logits_shape)}, but have {tuple(target.shape)}"
        )
    if target.dtype not in INDICES:
        raise RuntimeError(f"{function}: expected target dtype to be an integer for class indices, got {target.dtype}")
    if target.shape != expected and not (len(logits_shape) == 1 and target.shape == (1,)):
        kind = ValueError if target.dim() == len(expected) == 1 else RuntimeError
        raise kind(
            f"{function}: expected target of shape {tuple(expected)} for logits of shape {tuple(logits_shape)}; "
            f"got {tuple(target.shape)}"
        )


def check_weights(
    function: str,
    logits_shape: torch.Size,
    target: Tensor,
    weight: Tensor | None,
    token_weight: Tensor | None,
) -> None:
    """Raise if they do not fit (C,) and the shape of the per-target losses, or are not real numbers."""
    if weight is not None:
        classes = logits_shape[min(1, len(logits_shape) - 1)]
        if weight.shape != (classes,):
            raise RuntimeError(
                f"{function}: weight tensor should be defined either for all {classes} classes or no classes "
                f"but got weight tensor of shape: {list(weight.shape)}"
            )
        if weight.dtype not in LOGITS:
            raise RuntimeError(f"{function}: expected weight of a floating point type, got {weight.dtype}")
        if weight.requires_grad and torch.is_grad_enabled() and not target.is_floating_point():
            raise RuntimeError(
                f"{function} is not differentiable with respect to argument 'weight' when the target is class indices. "
                "This input cannot have requires_grad True."
            )
    if token_weight is not None:
        if token_weight.shape != rows_shape(logits_shape):
            raise ValueError(
                f"{function}: expected token_weight of shape {tuple(rows_shape(logits_shape))}, one for each target; "
                f"got {tuple(token_weight.shape)}"
            )
        if token_weight.dtype not in LOGITS:
            raise RuntimeError(f"{function}: expected token_weight of a floating point type, got {token_weight.dtype}")


def rows_shape(logits_shape: torch.Size) -> torch.Size:
    """The shape of the per-target losses."""
    return logits_shape[:1] + logits_shape[2:] if len(logits_shape) > 1 else logits_shape[:0]


def _number(name: str, value: Any) -> float:
    if isinstance(value, Tensor | str):
        raise TypeError(f"argument '{name}' must be float, not {type(value).__name__}")
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"argument '{name}' must be float, not {type(value).__name__}") from None
