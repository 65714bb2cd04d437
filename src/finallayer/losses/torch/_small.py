"""The shortest way to the kernel, for the usual call on few logits, where Python's own steps are the whole cost.

At 32 x 10, ``F.cross_entropy`` and its backward pass take 35 microseconds, mostly autograd's. So: one packed call, and
the inputs kept on ``ctx`` with their version instead of through ``save_for_backward``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import _SingleLevelFunction  # Function.apply without its torch.func wrapping

from finallayer import kernels
from finallayer.losses.torch import _fused, _kernel
from finallayer.losses.torch._kernel import Terms

# Up to here, keeping the logits alive until the loss itself is dropped costs nothing worth saving.
MOST_LOGITS = 1 << 15

_SCALAR = torch.zeros((), dtype=torch.float32, device="cpu")
_Job = tuple[Tensor, int, int]  # target, ignore_index, reduction: one argument of an autograd function is the cheapest

_empty_like = torch.empty_like
_float32 = torch.float32
_int64 = torch.int64
_is_grad_enabled = torch.is_grad_enabled
_pack_into = kernels.XENT_ARGS.pack_into
_address = _kernel.address
_Arguments = _kernel.Arguments
_xent = _kernel.LIBRARY.fl_xent if _kernel.LIBRARY is not None else None


def applies(logits: Tensor, target: Tensor, reduction: str) -> bool:
    """Mean or sum over a few float32 logits (rows, classes) and int64 targets (rows,), contiguous, run as written."""
    return (
        logits.dtype is _float32
        and target.dtype is _int64
        and logits.dim() == 2
        and target.dim() == 1
        and logits.numel() <= MOST_LOGITS
        and len(logits) == len(target)
        and (reduction == "mean" or reduction == "sum")
        and logits.is_contiguous()
        and target.is_contiguous()
        and _fused.applies(logits)
    )


class SmallCrossEntropy(_SingleLevelFunction):
    """The loss of logits for which `applies` holds."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, job: _Job) -> Tensor:
        target, ignore_index, reduction = job
        rows, classes = logits.shape
        loss = _empty_like(_SCALAR)
        at_gradient = 0
        if ctx.needs_input_grad[0]:
            ctx.gradient = gradient = _empty_like(logits)
            ctx.inputs = logits, job, logits._version, target._version
            at_gradient = gradient.data_ptr()
        arguments = _Arguments()
        _pack_into(
            arguments, 0, rows, 1, classes, 0, _address(logits, "input", _float32, rows * classes), classes, 0, 1,
            _address(target, "target", _int64, rows), 1, 1, 0, 0, ignore_index, 0, 0, 0.0, 0.0, 0.0, 1.0, reduction,
            1.0, 0, 0, 0, 0, loss.data_ptr(), 0, at_gradient, classes, 0, 1, 0, 1, 0,
        )  # fmt: skip
        assert _xent is not None
        if status := _xent(arguments):
            _kernel.fail(status, arguments, target, classes)
        return loss

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Any:
        gradient, ctx.gradient = ctx.gradient, None  # handed out once: the receiver may add to it in place
        if gradient is not None and upstream.item() == 1.0 and not _is_grad_enabled():
            return gradient, None
        logits, (target, ignore_index, reduction), logits_version, target_version = ctx.inputs
        if logits._version != logits_version or target._version != target_version:
            raise RuntimeError(
                "one of the variables needed for gradient computation has been modified by an inplace operation: "
                "the logits or targets of cross_entropy"
            )
        terms = Terms(_fused.REDUCTIONS[reduction], ignore_index)
        return _fused.again(logits, target, None, None, terms, upstream, None, gradient), None


small_cross_entropy: Callable[[Tensor, _Job], Tensor] = SmallCrossEntropy.apply  # type: ignore[attr-defined]
