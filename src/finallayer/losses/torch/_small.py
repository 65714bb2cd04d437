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

_empty = torch.empty
_empty_like = torch.empty_like
_pack_into = kernels.XENT_ARGS.pack_into
_Arguments = _kernel.Arguments
_xent = _kernel.LIBRARY.fl_xent if _kernel.LIBRARY is not None else None


class SmallCrossEntropy(_SingleLevelFunction):
    """Mean or sum over float32 logits (rows, classes) and int64 targets (rows,), both contiguous."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor, ignore_index: int, reduction: int) -> Tensor:
        rows, classes = logits.shape
        loss = _empty(())
        if ctx.needs_input_grad[0]:
            gradient = _empty_like(logits)
            ctx.gradient = gradient
            ctx.inputs = logits, target, logits._version, target._version, ignore_index, reduction
            at_gradient = gradient.data_ptr()
        else:
            at_gradient = 0
        arguments = _Arguments()
        _pack_into(
            arguments, 0, rows, classes, logits.data_ptr(), classes, 0, target.data_ptr(), 1, 1, ignore_index, 0, 0,
            0.0, 0.0, reduction, 1.0, 0, 0, 0, 0, loss.data_ptr(), at_gradient, classes, 0, 1, 0,
        )  # fmt: skip
        assert _xent is not None
        if status := _xent(arguments):
            _kernel.fail(status, arguments, target, classes)
        return loss

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Any:
        gradient, ctx.gradient = ctx.gradient, None  # handed out once: the receiver may add to it in place
        if gradient is not None and not torch.is_grad_enabled() and upstream.item() == 1.0:
            return gradient, None, None, None
        logits, target, logits_version, target_version, ignore_index, reduction = ctx.inputs
        if logits._version != logits_version or target._version != target_version:
            raise RuntimeError(
                "one of the variables needed for gradient computation has been modified by an inplace operation: "
                "the logits or targets of cross_entropy"
            )
        terms = Terms(_fused.REDUCTIONS[reduction], ignore_index)
        with torch.set_grad_enabled(torch.is_grad_enabled()):
            return _fused.again(logits, target, None, None, terms, upstream, None, gradient), None, None, None


small_cross_entropy: Callable[..., Tensor] = SmallCrossEntropy.apply  # type: ignore[attr-defined]
