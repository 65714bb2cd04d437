"""Losses of rows of logits, by whatever serves best on the Keras backend at hand.

On JAX and torch that is `finallayer.losses.jax` and `finallayer.losses.torch`; elsewhere, and for the focal losses, it
is Keras' own operations. Functions take logits of shape (..., C) in float32 or float64, and return losses of shape
(...) in their dtype.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from finallayer.losses import _xent_logits as xent

Tensor = Any  # a tensor of the backend
_NO_CLASS = -(2**63)  # ignores nothing


def hard_loss(z: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """-log softmax(z) at the labels, int32 of shape (...), all of them classes."""
    match keras.backend.backend():
        case "jax":
            from finallayer.losses.jax._cross_entropy import class_losses
            from finallayer.losses.jax._operations import Terms

            return class_losses(z, labels, None, Terms(label_smoothing), None)
        case "torch":
            return _torch_loss(z, labels.reshape(-1).long(), label_smoothing)
    if label_smoothing:
        return soft_loss(z, ops.one_hot(labels, z.shape[-1], dtype=z.dtype), label_smoothing)

    def loss_and_gradient(z: Tensor) -> tuple[Tensor, Tensor]:
        row = xent.class_row(ops, z, labels)
        return xent.class_loss(ops, row), xent.class_gradient(ops, z, labels, row, 1.0)

    return _with_gradient(loss_and_gradient, z)[..., 0]


def soft_loss(z: Tensor, q: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """sum q*(-log softmax(z)) for class masses of shape (..., C), of which a share is spread over all classes."""
    match keras.backend.backend():
        case "jax":
            from finallayer.losses.jax import softmax_cross_entropy

            return softmax_cross_entropy(z, q, label_smoothing=label_smoothing)
        case "torch":
            return _torch_loss(z, q.reshape(-1, q.shape[-1]), label_smoothing)

    def loss_and_gradient(z: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
        parts, q = _in_doubles(z), xent.smoothed(ops.cast(q, "float64"), label_smoothing)
        return xent.soft_loss(ops, parts, q), xent.soft_gradient(ops, parts, q)

    return _with_gradient(loss_and_gradient, z, q)[..., 0]


def focal_loss(z: Tensor, q: Tensor, gamma: float, label_smoothing: float, alpha: Tensor) -> Tensor:
    """sum alpha*q*(1 - softmax(z))**gamma*(-log softmax(z)) for class masses of shape (..., C), smoothed."""
    if keras.backend.backend() == "jax":
        from finallayer.losses.jax._focal import focal_loss as jax_focal_loss

        return jax_focal_loss(z, q, alpha, gamma, label_smoothing)

    def loss_and_gradient(z: Tensor, q: Tensor, alpha: Tensor) -> tuple[Tensor, Tensor]:
        masses = ops.cast(alpha, "float64") * xent.smoothed(ops.cast(q, "float64"), label_smoothing)
        parts = _in_doubles(z)
        loss, slopes = xent.focal_loss_and_masses(ops, parts, masses, gamma)
        return loss, xent.soft_gradient(ops, parts, slopes)

    return _with_gradient(loss_and_gradient, z, q, alpha)[..., 0]


def binary_loss(z: Tensor, y: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """(1 - y)*softplus(z) + y*softplus(-z), elementwise, for targets of which a share is moved to one half."""
    match keras.backend.backend():
        case "jax":
            from finallayer.losses.jax import sigmoid_binary_cross_entropy

            return sigmoid_binary_cross_entropy(z, _towards_half(y, label_smoothing))
        case "torch":
            from finallayer.losses.torch import binary_cross_entropy_with_logits

            return binary_cross_entropy_with_logits(z, _towards_half(y, label_smoothing), reduction="none")

    def loss_and_gradient(z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        z, y = ops.cast(z, "float64"), _towards_half(ops.cast(y, "float64"), label_smoothing)
        return xent.binary_loss(ops, z, y), xent.binary_gradient(ops, z, y)

    return _with_gradient(loss_and_gradient, z, y)


def binary_focal_loss(z: Tensor, y: Tensor, gamma: float, label_smoothing: float) -> Tensor:
    """`binary_loss` times (1 - p)**gamma, where p is the probability that the model gives the target, elementwise."""
    if keras.backend.backend() == "jax":
        from finallayer.losses.jax._focal import binary_focal_loss as jax_binary_focal_loss

        return jax_binary_focal_loss(z, y, gamma, label_smoothing)

    def loss_and_gradient(z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        y = _towards_half(ops.cast(y, "float64"), label_smoothing)
        return xent.binary_focal_loss_and_gradient(ops, ops.cast(z, "float64"), y, gamma)

    return _with_gradient(loss_and_gradient, z, y)


def _in_doubles(z: Tensor) -> xent.Softmax:
    return xent.softmax_parts(ops, ops.cast(z, "float64"), careful=z.dtype == ops.cast(z, "float64").dtype)


def _towards_half(y: Tensor, label_smoothing: float) -> Tensor:
    return y * (1 - label_smoothing) + 0.5 * label_smoothing if label_smoothing else y


def _torch_loss(z: Tensor, target: Tensor, label_smoothing: float) -> Tensor:
    from finallayer.losses.torch import cross_entropy

    rows = z.reshape(-1, z.shape[-1])
    loss: Tensor = cross_entropy(
        rows, target, ignore_index=_NO_CLASS, reduction="none", label_smoothing=label_smoothing
    )
    return loss.reshape(z.shape[:-1])


def _with_gradient(loss_and_gradient: Callable[..., tuple[Tensor, Tensor]], z: Tensor, *constants: Tensor) -> Tensor:
    """The loss of ``z`` and constants in the dtype of ``z``, differentiated by its own gradient, rounded once."""

    @ops.custom_gradient  # type: ignore[untyped-decorator]
    def loss(z: Tensor, *constants: Tensor) -> tuple[Tensor, Callable[..., Any]]:
        value, gradient = loss_and_gradient(z, *constants)

        def backward(*args: Tensor, upstream: Tensor | None = None) -> Any:
            upstream = args[-1] if upstream is None else upstream
            gradients = ops.cast(ops.cast(upstream, gradient.dtype) * gradient, z.dtype)
            return (gradients, *map(ops.zeros_like, constants)) if constants else gradients

        return ops.cast(value, z.dtype), backward

    return loss(z, *constants)
