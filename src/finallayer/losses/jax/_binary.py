"""Binary cross-entropy of logits, elementwise."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.interpreters import ad

from finallayer.losses.jax import _operations as operations
from finallayer.losses.jax._arguments import ArrayLike, floating, vary_alike
from finallayer.losses.jax._operations import wide

Array = jax.Array


def sigmoid_binary_cross_entropy(logits: ArrayLike, labels: ArrayLike) -> Array:
    """Binary cross-entropy of logits, in nats, elementwise.

    Args:
        logits: any shape, any float dtype.
        labels: probabilities of the positive class, broadcast against the logits.

    Returns:
        The loss of each element, float32 (float64 for float64 logits).

    Raises:
        TypeError: for logits that are not floating-point.

    References:
        https://optax.readthedocs.io/en/latest/api/losses.html (sigmoid_binary_cross_entropy)
    """
    z = wide(floating(logits))
    return _loss(*vary_alike(*jnp.broadcast_arrays(z, jnp.asarray(labels).astype(z.dtype))))


@jax.custom_jvp
def _loss(z: Array, y: Array) -> Array:
    loss: Array = operations.binary_loss_p.bind(z, y)
    return loss


@_loss.defjvp
def _loss_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    (z, y), (dz, dy) = primals, tangents
    return _loss(z, y), _slope(z, y, dz) - z * dy


def _slope(z: Array, y: Array, along: Array) -> Array:
    """The gradient of the loss times ``along``, elementwise: its tangent, and, of an upstream, its gradient."""
    slope: Array = operations.binary_gradient_p.bind(z, y, along)
    return slope


def _slope_jvp(primals: tuple[Array, ...], tangents: tuple[Any, ...]) -> tuple[Array, Array]:
    (z, y, along), (dz, dy, dalong) = primals, tangents
    tangent = jnp.zeros_like(z)
    if not isinstance(dalong, ad.Zero):
        tangent += _slope(z, y, dalong)
    if not isinstance(dz, ad.Zero):
        tangent += along * jax.nn.sigmoid(z) * jax.nn.sigmoid(-z) * dz
    if not isinstance(dy, ad.Zero):
        tangent -= along * dy
    return _slope(z, y, along), tangent


def _slope_transpose(upstream: Any, z: Array, y: Array, along: Any) -> tuple[Any, Any, Any]:
    return None, None, None if isinstance(upstream, ad.Zero) else _slope(z, y, upstream)


ad.primitive_jvps[operations.binary_gradient_p] = _slope_jvp
ad.primitive_transposes[operations.binary_gradient_p] = _slope_transpose
