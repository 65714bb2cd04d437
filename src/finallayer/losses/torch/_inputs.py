"""The tensors of one cross-entropy, in the dtypes and layouts that the kernel takes, and what computes it of them."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from finallayer.losses.torch import _framework, _kernel, _triton
from finallayer.losses.torch._kernel import Terms


class Inputs(NamedTuple):
    """The tensors of a cross-entropy, as `_kernel.cross_entropy` takes them."""

    logits: Tensor
    target: Tensor
    weight: Tensor | None
    row_weight: Tensor | None
    on_kernel: bool

    def compute(self, terms: Terms, upstream: float | Tensor = 1.0, **outputs: Any) -> Tensor | None:
        """Fill the given outputs; upstream gradients of any dtype and layout. What the GPU kernel returns."""
        real = _kernel.real_dtype(self.logits.dtype)
        for name in ("row_upstream", "lse_upstream"):
            if outputs.get(name) is not None:
                outputs[name] = _as_read(outputs[name], real, name == "row_upstream").contiguous().resolve_neg()
        if _triton.serves(self.logits):
            return _triton.cross_entropy(*self[:4], terms, upstream=upstream, **outputs)
        if not self.on_kernel and self.logits.is_cpu:
            for tensor, name in zip(self[:4], ("input", "target", "weight", "token_weight"), strict=True):
                if tensor is not None:
                    _kernel.check_is_there(tensor, name)
        engine = _kernel if self.on_kernel else _framework
        engine.cross_entropy(*self[:4], terms, upstream=upstream, **outputs)
        self._forget_ignored(terms, **outputs)
        return None

    def _forget_ignored(
        self,
        terms: Terms,
        grad: Tensor | None = None,
        lse: Tensor | None = None,
        lse_upstream: Tensor | None = None,
        **_: Any,
    ) -> None:
        """The gradient of an ignored row is 0, even where its lse was asked for and is NaN."""
        if grad is None or lse is None or lse_upstream is not None or self.target.is_floating_point():
            return
        dead = (self.target == terms.ignore_index) & ~lse.isfinite()
        if not dead.is_cpu or dead.any():
            grad.masked_fill_(dead.unsqueeze(1), 0.0)

    def gradient_buffer(self) -> Tensor:
        """An uninitialised contiguous tensor like the logits."""
        if self.on_kernel:
            return _kernel.gradient_like(self.logits)
        return torch.empty_like(self.logits, memory_format=torch.contiguous_format)


def inputs(logits: Tensor, target: Tensor, weight: Tensor | None, row_weight: Tensor | None) -> Inputs:
    """Checked arguments in the dtypes and layouts that the kernel takes: copied only where it cannot."""
    real = _kernel.real_dtype(logits.dtype)
    logits = _settled(logits)
    target = _settled(_as_read(target, real)) if target.is_floating_point() else target
    if target.dtype not in (torch.int32, torch.int64) and not target.is_floating_point():
        target = target.long()
    if not target.is_floating_point():
        target = target.contiguous()
    weights = [
        None if w is None else _as_read(w.detach(), real).contiguous().resolve_neg() for w in (weight, row_weight)
    ]
    return Inputs(logits, target, weights[0], weights[1], _kernel.serves(logits, target, *weights))


def _as_read(tensor: Tensor, real: torch.dtype, in_any_dtype: bool = True) -> Tensor:
    """In a dtype in which numbers beside the logits can be read."""
    return tensor if in_any_dtype and tensor.dtype in _kernel.DTYPES else tensor.to(real)


def _settled(tensor: Tensor) -> Tensor:
    """(N, C, d1, ..., dk) whose numbers stand in memory, at strides that the kernel can follow."""
    tensor = tensor.resolve_neg()
    if tensor._is_zerotensor():
        tensor = tensor.clone()
    return tensor if _kernel.layout(tensor) is not None else tensor.contiguous()
