"""Losses of rows of logits, by whatever serves best on the Keras backend at hand.

On JAX and torch that is `finallayer.losses.jax` and `finallayer.losses.torch`; elsewhere, and for the focal loss, it
is Keras' own operations. Functions take logits of shape (..., C) and return losses of shape (...), in their dtype.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from finallayer.losses import _xent_logits as xent

Tensor = Any  # a tensor of the backend


def hard_loss(z: Tensor, labels: Tensor) -> Tensor:
    """-log softmax(z) at the labels, int32 of shape (...); NaN, or the backend's error, where one is out of range."""
    match keras.backend.backend():
        case "jax":
            from finallayer.losses.jax import softmax_cross_entropy_with_integer_labels

            return softmax_cross_entropy_with_integer_labels(z, labels)
        case "torch":
            return _torch_loss(z, labels.reshape(-1).long())
    in_range = ops.logical_and(labels >= 0, labels < z.shape[-1])
    is_target = ops.equal(ops.arange(z.shape[-1]), labels[..., None])
    nan = ops.where(in_range, ops.zeros_like(z[..., 0]), float("nan") * ops.ones_like(z[..., 0]))[..., None]

    def loss_and_gradient(z: Tensor) -> tuple[Tensor, Tensor]:
        parts = xent.softmax_parts(ops, z)
        return xent.hard_loss(ops, parts, is_target) + nan, xent.hard_gradient(ops, parts, is_target) + nan

    return _with_gradient(loss_and_gradient, z)[..., 0]


def soft_loss(z: Tensor, q: Tensor) -> Tensor:
    """sum q*(-log softmax(z)) for class masses of shape (..., C)."""
    match keras.backend.backend():
        case "jax":
            from finallayer.losses.jax import softmax_cross_entropy

            return softmax_cross_entropy(z, q)
        case "torch":
            return _torch_loss(z, q.reshape(-1, q.shape[-1]))

    def loss_and_gradient(z: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
        parts = xent.softmax_parts(ops, z)
        return xent.soft_loss(ops, parts, q), xent.soft_gradient(ops, parts, q)

    return _with_gradient(loss_and_gradient, z, q)[..., 0]


def focal_loss(z: Tensor, q: Tensor, gamma: float) -> Tensor:
    """sum q*(1 - softmax(z))**gamma*(-log softmax(z)) for class masses of shape (..., C)."""

    def loss_and_gradient(z: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
        parts = xent.softmax_parts(ops, z)
        loss, masses = xent.focal_loss_and_masses(ops, parts, q, gamma)
        return loss, xent.soft_gradient(ops, parts, masses)

    return _with_gradient(loss_and_gradient, z, q)[..., 0]


def binary_loss(z: Tensor, y: Tensor) -> Tensor:
    """(1 - y)*softplus(z) + y*softplus(-z), elementwise."""

    def loss_and_gradient(z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return xent.binary_loss(ops, z, y), xent.binary_gradient(ops, z, y)

    return _with_gradient(loss_and_gradient, z, y)


def _torch_loss(z: Tensor, target: Tensor) -> Tensor:
    from finallayer.losses.torch import cross_entropy

    loss: Tensor = cross_entropy(z.reshape(-1, z.shape[-1]), target, ignore_index=_NO_CLASS, reduction="none")
    return loss.reshape(z.shape[:-1])


_NO_CLASS = -(2**63)  # ignores nothing


def _with_gradient(loss_and_gradient: Callable[..., tuple[Tensor, Tensor]], z: Tensor, *constants: Tensor) -> Tensor:
    """The loss of ``z`` and constants, differentiated by its own gradient instead of the backend's."""

    @ops.custom_gradient  # type: ignore[untyped-decorator]
    def loss(z: Tensor, *constants: Tensor) -> tuple[Tensor, Callable[..., Any]]:
        value, gradient = loss_and_gradient(z, *constants)

        def backward(*args: Tensor, upstream: Tensor | None = None) -> Any:
            gradients = (args[-1] if upstream is None else upstream) * gradient
            return (gradients, *map(ops.zeros_like, constants)) if constants else gradients

        return value, backward

    return loss(z, *constants)
