"""The row losses under torch.func: the operations of `_ops` as autograd functions with a vmap rule.

torch.func does not see the derivatives that a ``torch.library`` operation registers. Nested levels of differentiation
are left to `_composed` (`_eager.is_simple_transform`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from finallayer.losses.torch import _ops
from finallayer.losses.torch._kernel import Terms


def rows(logits: Tensor, target: Tensor, weight: Tensor | None, terms: Terms) -> tuple[Tensor, Tensor]:
    """Each row's loss and log-sum-exp, (N, d1, ..., dk)."""
    return _rows(logits, target, weight, *terms[1:])


class Rows(torch.autograd.Function):
    """``finallayer::xent``."""

    @staticmethod
    def forward(*arguments: Any) -> Any:
        return _ops.xent(*arguments)

    setup_context = staticmethod(_ops.first_setup)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        return _ops.first_derivative(rows_gradient, ctx, *upstream)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *arguments: Any) -> tuple[Any, Any]:
        return _folded(_rows, (0, 1), info.batch_size, in_dims, arguments)


class RowsGradient(torch.autograd.Function):
    """``finallayer::xent_backward``."""

    @staticmethod
    def forward(*arguments: Any) -> Any:
        return _ops.xent_backward(*arguments)

    setup_context = staticmethod(_ops.second_setup)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        return _ops.second_derivative(ctx, *upstream)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *arguments: Any) -> tuple[Any, Any]:
        return _folded(rows_gradient, (0, 1, 3, 4), info.batch_size, in_dims, arguments)


_rows: Callable[..., tuple[Tensor, Tensor]] = Rows.apply
rows_gradient: Callable[..., Tensor] = RowsGradient.apply


def _folded(
    function: Callable[..., Any],
    row_arguments: tuple[int, ...],
    batch: int,
    in_dims: tuple[int | None, ...],
    arguments: tuple[Any, ...],
) -> tuple[Any, Any]:
    """The vmap rule: the batch becomes more rows, or one call each if each has class weights of its own."""
    if in_dims[2] is not None:
        apart = (
            function(*(a if d is None else a.select(d, i) for a, d in zip(arguments, in_dims, strict=True)))
            for i in range(batch)
        )
        outputs = tree_map(lambda *tensors: torch.stack(tensors), *apart)
        return outputs, tree_map(lambda _: 0, outputs)
    folded = list(arguments)
    for i in row_arguments:
        folded[i] = _to_rows(arguments[i], in_dims[i], batch)
    outputs = function(*folded)
    return tree_map(lambda t: t.unflatten(0, (batch, -1)), outputs), tree_map(lambda _: 0, outputs)


def _to_rows(tensor: Tensor, batch_dim: int | None, batch: int) -> Tensor:
    """(batch, rows, ...) folded into (batch * rows, ...), whether ``tensor`` is batched or shared."""
    moved = tensor.expand(batch, *tensor.shape) if batch_dim is None else tensor.movedim(batch_dim, 0)
    return moved.reshape(batch * moved.shape[1], *moved.shape[2:])
