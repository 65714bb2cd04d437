"""XentLogits for JAX: optax's classification losses, exact at both ends.

Same names, arguments and shapes as ``optax.losses``. Everything is computed in float32 (float64 for float64
logits); the loss comes in it, the gradient in the dtype of the logits, rounded once. Works under ``jit``,
``vmap``, ``grad``, ``jvp`` and any nesting of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from finallayer.kernels import library
from finallayer.losses import _xent_logits as xent

Array = jax.Array
ArrayLike = Any  # an array or a nesting of sequences; jax.typing.ArrayLike leaves out the latter
Axes = int | Sequence[int]

_KERNEL = "finallayer_xent"

_shaped: Callable[..., Any] = jax.ShapeDtypeStruct  # untyped in JAX
_capsule: Callable[..., Any] = jax.ffi.pycapsule


def softmax_cross_entropy(
    logits: ArrayLike, labels: ArrayLike, axis: Axes | None = -1, where: ArrayLike | None = None
) -> Array:
    """Cross-entropy of logits against class probabilities, in nats.

    ``sum(labels)`` weighs a row: labels that do not sum to one are class masses, such as class weights times
    smoothed labels.

    Args:
        logits: any float dtype. -inf marks a masked class: a row with label mass there has loss +inf.
        labels: class probabilities, the logits' shape.
        axis: of the classes: one or several; None means all.
        where: what to count: of the logits' shape (classes), or without the class axes (rows). A row of
            which nothing counts has loss 0 and gradient 0, whatever it holds.

    Returns:
        The loss of each row, the logits' shape without ``axis``, float32 (float64 for float64 logits).

    Raises:
        TypeError: for logits that are not floating-point.
        ValueError: for shapes that do not fit.

    References:
        https://optax.readthedocs.io/en/latest/api/losses.html (softmax_cross_entropy)
    """
    z, where = _classes_last(logits, axis, where)
    q = _class_axes_last(jnp.asarray(labels), _axes(axis, jnp.ndim(logits)))
    if q.shape != z.shape:
        raise ValueError(
            f"labels: expected probabilities of the logits' shape {np.shape(logits)}, got {np.shape(labels)}"
        )
    q = q.astype(z.dtype)
    if where is None:
        return _soft_loss(z, q)
    z, row_counts = _masked(z, where)
    return jnp.where(row_counts, _soft_loss(z, jnp.where(where, q, 0)), 0)


def softmax_cross_entropy_with_integer_labels(
    logits: ArrayLike, labels: ArrayLike, axis: Axes = -1, where: ArrayLike | None = None
) -> Array:
    """Cross-entropy of logits against classes, in nats.

    Args:
        logits: any float dtype. -inf marks a masked class: a row whose label is masked has loss +inf.
        labels: classes, integers, the logits' shape without ``axis``. With several axes, an index into them
            flattened.
        axis: of the classes: one or several.
        where: what to count: of the logits' shape (classes), or without the class axes (rows, for instance
            ``labels != -100``). A row of which nothing counts has loss 0 and gradient 0, whatever it and its
            label hold.

    Returns:
        The loss of each row, the labels' shape, float32 (float64 for float64 logits).

    Raises:
        TypeError: for logits that are not floating-point or labels that are not integers.
        ValueError: for shapes that do not fit, and for labels out of range where they are known. Under
            ``jit`` they are not: there such a row gives NaN.

    References:
        https://optax.readthedocs.io/en/latest/api/losses.html (softmax_cross_entropy_with_integer_labels)
    """
    z, where = _classes_last(logits, axis, where)
    labels = jnp.asarray(labels)
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(f"labels: expected integers, got {labels.dtype}")
    if labels.shape != z.shape[:-1]:
        raise ValueError(f"labels: expected classes of shape {z.shape[:-1]}, got {labels.shape}")
    if where is not None:
        z, row_counts = _masked(z, where)
        labels = jnp.where(row_counts, labels, 0)
    _check_range(labels, z.shape[-1])
    loss = _hard_loss(z, labels.astype(jnp.int32))
    return loss if where is None else jnp.where(row_counts, loss, 0)


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
    z = _computed(logits)
    return _binary_loss(*jnp.broadcast_arrays(z, jnp.asarray(labels).astype(z.dtype)))


# The rules of differentiation. Each tangent is written with functions that have such a rule themselves, so
# that they nest to any order; a gradient is computed beside its loss, and multiplied by the upstream one.


@jax.custom_jvp
def _hard_loss(z: Array, labels: Array) -> Array:
    return _hard(z, labels, with_gradient=False)[0]


@_hard_loss.defjvp
def _hard_loss_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Any]) -> tuple[Array, Array]:
    loss, gradient = _hard_loss_and_gradient(*primals)
    return loss, _inner(gradient, tangents[0])


@jax.custom_jvp
def _hard_loss_and_gradient(z: Array, labels: Array) -> tuple[Array, ...]:
    return _hard(z, labels, with_gradient=True)


@_hard_loss_and_gradient.defjvp
def _hard_loss_and_gradient_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Any]) -> Any:
    z, _ = primals
    loss, gradient = _hard_loss_and_gradient(*primals)
    return (loss, gradient), (_inner(gradient, tangents[0]), _along_softmax(_softmax(z), tangents[0]))


@jax.custom_jvp
def _soft_loss(z: Array, q: Array) -> Array:
    return _soft(z, q, with_gradient=False)[0]


def _soft_loss_jvp(primals: tuple[Array, Array], tangents: tuple[Any, Any]) -> tuple[Array, Any]:
    z, q = primals
    dz, dq = tangents
    loss, gradient = _soft_loss_and_gradient(z, q)
    tangent = jnp.zeros_like(loss) if _is_zero(dz) else _inner(gradient, dz)
    # At a masked class the loss per unit of mass is infinite: not to be multiplied by a mass that is fixed.
    return loss, tangent if _is_zero(dq) else tangent + _inner(_neg_log_softmax(z), dq)


_soft_loss.defjvp(_soft_loss_jvp, symbolic_zeros=True)


@jax.custom_jvp
def _soft_loss_and_gradient(z: Array, q: Array) -> tuple[Array, ...]:
    return _soft(z, q, with_gradient=True)


def _soft_loss_and_gradient_jvp(primals: tuple[Array, Array], tangents: tuple[Any, Any]) -> Any:
    z, q = primals
    dz, dq = tangents
    loss, gradient = _soft_loss_and_gradient(z, q)
    d_loss, d_gradient = jnp.zeros_like(loss), jnp.zeros_like(gradient)
    if not _is_zero(dz):
        d_loss += _inner(gradient, dz)
        d_gradient += jnp.sum(q, -1, keepdims=True) * _along_softmax(_softmax(z), dz)
    if not _is_zero(dq):
        d_loss += _inner(_neg_log_softmax(z), dq)
        d_gradient += jnp.sum(dq, -1, keepdims=True) * _softmax(z) - dq
    return (loss, gradient), (d_loss, d_gradient)


_soft_loss_and_gradient.defjvp(_soft_loss_and_gradient_jvp, symbolic_zeros=True)


@jax.custom_jvp
def _softmax(z: Array) -> Array:
    probs: Array = xent.softmax_parts(jnp, z).probs
    return probs


@_softmax.defjvp
def _softmax_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    x = _softmax(*primals)
    return x, _along_softmax(x, *tangents)


@jax.custom_jvp
def _neg_log_softmax(z: Array) -> Array:
    losses: Array = xent.neg_log_softmax(jnp, xent.softmax_parts(jnp, z))
    return losses


@_neg_log_softmax.defjvp
def _neg_log_softmax_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (dz,) = tangents
    return _neg_log_softmax(*primals), _inner(_softmax(*primals), dz)[..., None] - dz


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


def _along_softmax(x: Array, dz: Array) -> Array:
    """The tangent of softmax at ``x = softmax(z)``."""
    return x * (dz - _inner(x, dz)[..., None])


def _inner(a: Array, b: Array) -> Array:
    return jnp.sum(a * b, axis=-1)


def _is_zero(tangent: Any) -> bool:
    return isinstance(tangent, jax.custom_derivatives.SymbolicZero)


# Rows: by the CPU kernel where it serves, else by XLA.


def _hard(z: Array, labels: Array, with_gradient: bool) -> tuple[Array, ...]:
    """Loss, shape (...), and perhaps gradient. Out of range, a label is the kernel's error, or gives NaN."""

    def by_xla(z: Array, labels: Array) -> tuple[Array, ...]:
        parts = xent.softmax_parts(jnp, z)
        is_target = jax.lax.broadcasted_iota(jnp.int32, z.shape, z.ndim - 1) == labels[..., None]
        in_range = (labels >= 0) & (labels < z.shape[-1])
        nan = jnp.where(in_range, 0.0, jnp.nan).astype(z.dtype)[..., None]
        loss = (xent.hard_loss(jnp, parts, is_target) + nan)[..., 0]
        return (loss, xent.hard_gradient(jnp, parts, is_target) + nan) if with_gradient else (loss,)

    return _served(by_xla, z, labels, with_gradient)


def _soft(z: Array, q: Array, with_gradient: bool) -> tuple[Array, ...]:
    """Loss, shape (...), and perhaps gradient."""

    def by_xla(z: Array, q: Array) -> tuple[Array, ...]:
        parts = xent.softmax_parts(jnp, z)
        loss = xent.soft_loss(jnp, parts, q)[..., 0]
        return (loss, xent.soft_gradient(jnp, parts, q)) if with_gradient else (loss,)

    return _served(by_xla, z, q, with_gradient)


def _served(
    by_xla: Callable[[Array, Array], tuple[Array, ...]], z: Array, target: Array, with_gradient: bool
) -> tuple[Array, ...]:
    if z.dtype != jnp.float32 or not _kernel_is_registered():
        return by_xla(z, target)
    row, gradient = (_shaped(shape, jnp.float32) for shape in (z.shape[:-1], z.shape))
    by_kernel = jax.ffi.ffi_call(
        _KERNEL,
        (row, gradient) if with_gradient else (row,),
        vmap_method="broadcast_all",
        input_output_aliases={0: 1} if with_gradient else None,  # XLA copies logits that are used again
    )
    results: tuple[Array, ...] = jax.lax.platform_dependent(
        z, target, cpu=lambda *a: tuple(by_kernel(*a)), default=by_xla
    )
    return results


@cache
def _kernel_is_registered() -> bool:
    """Whether the CPU kernel is there, and XLA speaks the version of its FFI that the kernel was written for."""
    kernels = library()
    if kernels is None:
        return False
    try:
        jax.ffi.register_ffi_target(_KERNEL, _capsule(kernels.fl_xla_xent), platform="cpu")
    except Exception:  # whatever XLA raises for a version it does not support
        return False
    return True


# Arguments into rows of logits.


def _computed(logits: ArrayLike) -> Array:
    logits = jnp.asarray(logits)
    if not jnp.issubdtype(logits.dtype, jnp.floating):
        raise TypeError(f"logits: expected a floating-point dtype, got {logits.dtype}")
    computed: Array = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    return computed


def _classes_last(logits: ArrayLike, axis: Axes | None, where: ArrayLike | None) -> tuple[Array, Array | None]:
    """Rows of logits, and ``where`` in their shape or with a class axis of length 1."""
    z = _computed(logits)
    axes = _axes(axis, z.ndim)
    if where is not None:
        where = jnp.asarray(where, bool)
        if where.ndim != z.ndim:
            where = jnp.expand_dims(where, axes)
        where = _class_axes_last(where, axes)
    z = _class_axes_last(z, axes)
    if z.shape[-1] == 0:
        raise ValueError(f"logits: expected at least one class, got shape {np.shape(logits)}")
    return z, where


def _axes(axis: Axes | None, ndim: int) -> tuple[int, ...]:
    axes = range(ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    if not all(-ndim <= a < ndim for a in axes):
        raise ValueError(f"axis: expected axes of logits with {ndim} dimensions, got {axis}")
    return tuple(a % ndim for a in axes)


def _class_axes_last(x: Array, axes: tuple[int, ...]) -> Array:
    rows = tuple(a for a in range(x.ndim) if a not in axes)
    x = x.transpose(rows + axes)
    return x.reshape(*x.shape[: len(rows)], int(np.prod(x.shape[len(rows) :])))


def _masked(z: Array, where: Array) -> tuple[Array, Array]:
    """Logits with what does not count masked, and which rows count; those that don't hold zeros."""
    row_counts = jnp.any(where, axis=-1)
    return jnp.where(row_counts[..., None], jnp.where(where, z, -jnp.inf), 0), row_counts


def _check_range(labels: Array, classes: int) -> None:
    if isinstance(labels, jax.core.Tracer) or labels.size == 0:
        return
    known = np.asarray(labels)
    low, high = int(known.min()), int(known.max())
    if low < 0 or high >= classes:
        raise ValueError(f"labels: expected classes in 0..{classes - 1}, got {low if low < 0 else high}")
