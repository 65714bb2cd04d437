"""Focal losses on JAX, for `finallayer.losses.keras`. Differentiable once, in reverse mode."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp

from finallayer.losses.jax import _operations as operations
from finallayer.losses.jax._arguments import vary_alike

Array = jax.Array
Saved = tuple[Array, ...]


def focal_loss(z: Array, q: Array, alpha: Array, gamma: float, label_smoothing: float) -> Array:
    """sum alpha*q*(1 - softmax(z))**gamma*(-log softmax(z)) for class masses of shape (..., C), smoothed."""
    return _focal_loss(*vary_alike(z, q, jnp.broadcast_to(alpha, z.shape)), gamma, label_smoothing)


def binary_focal_loss(z: Array, y: Array, gamma: float, label_smoothing: float) -> Array:
    """Binary cross-entropy of logits times (1 - p)**gamma, where p is the target's probability, elementwise."""
    return _binary_focal_loss(*vary_alike(z, y), gamma, label_smoothing)


@partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def _focal_loss(z: Array, q: Array, alpha: Array, gamma: float, label_smoothing: float) -> Array:
    loss: Array = operations.focal_loss_p.bind(z, q, alpha, gamma=gamma, label_smoothing=label_smoothing)
    return loss


def _focal_forward(z: Array, q: Array, alpha: Array, gamma: float, label_smoothing: float) -> tuple[Array, Saved]:
    return _focal_loss(z, q, alpha, gamma, label_smoothing), (z, q, alpha)


def _focal_backward(gamma: float, label_smoothing: float, saved: Saved, upstream: Array) -> tuple[Array, None, None]:
    gradient = operations.focal_gradient_p.bind(*saved, upstream, gamma=gamma, label_smoothing=label_smoothing)
    return gradient, None, None


_focal_loss.defvjp(_focal_forward, _focal_backward)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _binary_focal_loss(z: Array, y: Array, gamma: float, label_smoothing: float) -> Array:
    loss: Array = operations.binary_focal_loss_p.bind(z, y, gamma=gamma, label_smoothing=label_smoothing)
    return loss


def _binary_focal_forward(z: Array, y: Array, gamma: float, label_smoothing: float) -> tuple[Array, Saved]:
    return _binary_focal_loss(z, y, gamma, label_smoothing), (z, y)


def _binary_focal_backward(gamma: float, label_smoothing: float, saved: Saved, upstream: Array) -> tuple[Array, None]:
    gradient = operations.binary_focal_gradient_p.bind(*saved, upstream, gamma=gamma, label_smoothing=label_smoothing)
    return gradient, None


_binary_focal_loss.defvjp(_binary_focal_forward, _binary_focal_backward)
