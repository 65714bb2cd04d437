"""Binary cross-entropy of logits, elementwise."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from finallayer.losses import _xent_logits as xent
from finallayer.losses.jax._arguments import ArrayLike, floating
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
    return _binary_loss(*jnp.broadcast_arrays(z, jnp.asarray(labels).astype(z.dtype)))


@jax.custom_jvp
def _binary_loss(z: Array, y: Array) -> Array:
    loss: Array = xent.binary_loss(jnp, z, y)
    return loss


@_binary_loss.defjvp
def _binary_loss_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    (z, y), (dz, dy) = primals, tangents
    return _binary_loss(z, y), _binary_gradient(z, y) * dz - z * dy


@jax.custom_jvp
def _binary_gradient(z: Array, y: Array) -> Array:
    gradient: Array = xent.binary_gradient(jnp, z, y)
    return gradient


@_binary_gradient.defjvp
def _binary_gradient_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    (z, y), (dz, dy) = primals, tangents
    return _binary_gradient(z, y), jax.nn.sigmoid(z) * jax.nn.sigmoid(-z) * dz - dy
