"""PyTorch, on the CPU and in eager mode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from finallayer.probing.frameworks.framework import Array, Loss, Measured, NotALossError, made_in


class Torch:
    """See ``framework.Framework``."""

    name = "torch"
    target_first = False
    single_rows = True
    tried_in = "float32"
    differences = False

    def version(self) -> str:
        return str(torch.__version__)

    def owns(self, loss: object) -> bool:
        return isinstance(loss, torch.nn.Module) or made_in(loss, "torch")

    def target(self, values: Array, dtype: str) -> Any:
        return torch.tensor(values) if values.dtype.kind == "i" else torch.tensor(values, dtype=getattr(torch, dtype))

    def head(self, name: str, logits: Any) -> Any:
        return torch.sigmoid(logits) if name == "sigmoid" else getattr(torch, name)(logits, dim=-1)

    def gradient(self, loss: Loss, dtype: str) -> Callable[[Array, Any], Measured]:
        def measure(logits: Array, target: Any) -> Measured:
            with torch.enable_grad():
                z = torch.tensor(logits, dtype=getattr(torch, dtype), requires_grad=True)
                value = loss(z, target)
                if not isinstance(value, torch.Tensor) or value.grad_fn is None:
                    raise NotALossError("no tensor with a gradient")
                (gradient,) = torch.autograd.grad(value.sum(), z, allow_unused=True)
            if gradient is None:
                raise NotALossError("no gradient with respect to the logits")
            return Measured(value.detach().double().numpy(), gradient.double().numpy())

        return measure
