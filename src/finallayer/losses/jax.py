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
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from finallayer.kernels import library
from finallayer.losses import _xent_logits as xent

Array = jax.Array
ArrayLike = Any  # an array or a nesting of sequences; jax.typing.ArrayLike leaves out the latter
Axes = int | Sequence[int]

_KERNEL = "finallayer_xent"
_KERNEL_DTYPES = (jnp.float32, jnp.bfloat16, jnp.float16)

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
    q = q.astype(_wide_dtype(z))
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
    z = _wide(_floating(logits))
    return _binary_loss(*jnp.broadcast_arrays(z, jnp.asarray(labels).astype(z.dtype)))


# The rules of differentiation. A loss's tangent is an operation of its own, `_slope`, so that reverse mode finds the
# kernel's gradient (`_gradient`: scaled and rounded once, and the only large array that is written) where it transposes
# it. Every rule is written with functions that have such rules themselves, so that they nest to any order.


@jax.custom_jvp
def _hard_loss(z: Array, labels: Array) -> Array:
    return _rows_loss(z, labels)


@_hard_loss.defjvp
def _hard_loss_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Any]) -> tuple[Array, Array]:
    return _hard_loss(*primals), _slope(*primals, tangents[0])


@jax.custom_jvp
def _soft_loss(z: Array, q: Array) -> Array:
    return _rows_loss(z, q)


def _soft_loss_jvp(primals: tuple[Array, Array], tangents: tuple[Any, Any]) -> tuple[Array, Any]:
    z, q = primals
    dz, dq = tangents
    loss = _soft_loss(z, q)
    tangent = jnp.zeros_like(loss) if _is_zero(dz) else _slope(z, q, dz)
    # At a masked class the loss per unit of mass is infinite: not to be multiplied by a mass that is fixed.
    return loss, tangent if _is_zero(dq) else tangent + _inner(_neg_log_softmax(_wide(z)), dq)


_soft_loss.defjvp(_soft_loss_jvp, symbolic_zeros=True)


@jax.custom_jvp
def _gradient(z: Array, target: Array, upstream: Array) -> Array:
    """The gradient of ``sum(upstream * loss)`` with respect to the logits, in their dtype."""
    return _rows_gradient(z, target, upstream)


def _gradient_jvp(primals: tuple[Array, Array, Array], tangents: tuple[Any, Any, Any]) -> tuple[Array, Array]:
    z, target, upstream = primals
    dz, dtarget, dupstream = tangents
    tangent = jnp.zeros(z.shape, upstream.dtype)
    if not _is_zero(dupstream):
        tangent += dupstream[..., None] * _wide(_gradient(z, target, jnp.ones_like(upstream)))
    if not (_is_zero(dz) and _is_zero(dtarget)):
        tangent += upstream[..., None] * _curvature(z, target, dz, dtarget)
    return _gradient(*primals), tangent.astype(z.dtype)


_gradient.defjvp(_gradient_jvp, symbolic_zeros=True)


def _curvature(z: Array, target: Array, dz: Any, dtarget: Any) -> Array:
    """The tangent of the gradient of each row's loss. Zeros are symbolic; a class index has no tangent."""
    x = _softmax(_wide(z))
    tangent = jnp.zeros_like(x)
    if not _is_zero(dz):
        mass = jnp.sum(target, -1, keepdims=True) if target.ndim == z.ndim else 1
        tangent += mass * _along_softmax(x, _wide(dz))
    if target.ndim == z.ndim and not _is_zero(dtarget):
        tangent += jnp.sum(dtarget, -1, keepdims=True) * x - dtarget
    return tangent


_slope_p: Any = Primitive("finallayer_slope")


def _slope(z: Array, target: Array, dz: Array) -> Array:
    """The tangent of each row's loss along ``dz``, in which it is linear."""
    slope: Array = _slope_p.bind(z, target, dz)
    return slope


def _slope_value(z: Array, target: Array, dz: Array) -> Array:
    ones = jnp.ones(z.shape[:-1], _wide_dtype(z))
    return _inner(_wide(_gradient(z, target, ones)), _wide(dz))


def _slope_jvp(primals: tuple[Array, Array, Array], tangents: tuple[Any, Any, Any]) -> tuple[Array, Any]:
    z, target, dz = primals
    z_dot, target_dot, dz_dot = tangents
    slope = _slope(*primals)
    tangent = jnp.zeros_like(slope)
    if not _is_zero(dz_dot):
        tangent += _slope(z, target, dz_dot)
    if not (_is_zero(z_dot) and _is_zero(target_dot)):
        tangent += _inner(_curvature(z, target, z_dot, target_dot), _wide(dz))
    return slope, tangent


def _slope_transpose(upstream: Any, z: Array, target: Array, dz: Any) -> tuple[Any, Any, Any]:
    return None, None, None if _is_zero(upstream) else _gradient(z, target, upstream)


def _slope_batched(operands: Sequence[Array], dims: Sequence[int | None]) -> tuple[Array, int]:
    size = next(x.shape[d] for x, d in zip(operands, dims, strict=True) if d is not None)
    batched = (
        jnp.broadcast_to(x, (size, *x.shape)) if d is None else jnp.moveaxis(x, d, 0)
        for x, d in zip(operands, dims, strict=True)
    )
    return _slope(*batched), 0


_slope_p.def_impl(jax.jit(_slope_value))
_slope_p.def_abstract_eval(lambda z, _, dz: jax.core.ShapedArray(z.shape[:-1], _wide_dtype(z)))
mlir.register_lowering(_slope_p, mlir.lower_fun(_slope_value, multiple_results=False))
ad.primitive_jvps[_slope_p] = _slope_jvp
ad.primitive_transposes[_slope_p] = _slope_transpose
batching.primitive_batchers[_slope_p] = _slope_batched


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
    return isinstance(tangent, jax.custom_derivatives.SymbolicZero | ad.Zero)


# Rows: by the CPU kernel where it serves, else by XLA.


def _rows_loss(z: Array, target: Array) -> Array:
    """Loss, shape (...), of classes (...) or masses (..., C). A class out of range is an error, or gives NaN."""

    def by_xla(z: Array, target: Array) -> Array:
        parts = xent.softmax_parts(jnp, _wide(z))
        if target.ndim == z.ndim:
            soft: Array = xent.soft_loss(jnp, parts, target)[..., 0]
            return soft
        hard: Array = (xent.hard_loss(jnp, parts, _is_target(z, target)) + _poison(z, target))[..., 0]
        return hard

    return _served(by_xla, _shaped(z.shape[:-1], jnp.float32), z, target)


def _rows_gradient(z: Array, target: Array, upstream: Array) -> Array:
    """The gradient, shape (..., C), of what `_rows_loss` computes, times ``upstream``."""

    def by_xla(z: Array, target: Array, upstream: Array) -> Array:
        parts = xent.softmax_parts(jnp, _wide(z))
        if target.ndim == z.ndim:
            gradient = xent.soft_gradient(jnp, parts, target)
        else:
            gradient = xent.hard_gradient(jnp, parts, _is_target(z, target)) + _poison(z, target)
        scaled: Array = (upstream[..., None] * gradient).astype(z.dtype)
        return scaled

    return _served(by_xla, _shaped(z.shape, z.dtype), z, target, upstream)


def _is_target(z: Array, labels: Array) -> Array:
    return jax.lax.broadcasted_iota(jnp.int32, z.shape, z.ndim - 1) == labels[..., None]


def _poison(z: Array, labels: Array) -> Array:
    """NaN in rows whose class is out of range, else 0; shape (..., 1)."""
    in_range = (labels >= 0) & (labels < z.shape[-1])
    return jnp.where(in_range, 0.0, jnp.nan).astype(_wide_dtype(z))[..., None]


def _served(by_xla: Callable[..., Array], result: Any, *operands: Array) -> Array:
    if operands[0].dtype not in _KERNEL_DTYPES or not _kernel_is_registered():
        return by_xla(*operands)
    by_kernel = jax.ffi.ffi_call(_KERNEL, result, vmap_method="broadcast_all")
    served: Array = jax.lax.platform_dependent(*operands, cpu=by_kernel, default=by_xla)
    return served


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


def _floating(logits: ArrayLike) -> Array:
    logits = jnp.asarray(logits)
    if not jnp.issubdtype(logits.dtype, jnp.floating):
        raise TypeError(f"logits: expected a floating-point dtype, got {logits.dtype}")
    floating: Array = logits
    return floating


def _wide_dtype(x: Array) -> Any:
    """What is computed in: float32 at least."""
    return jnp.promote_types(x.dtype, jnp.float32)


def _wide(x: Array) -> Array:
    wide: Array = x.astype(_wide_dtype(x))
    return wide


def _classes_last(logits: ArrayLike, axis: Axes | None, where: ArrayLike | None) -> tuple[Array, Array | None]:
    """Rows of logits, and ``where`` in their shape or with a class axis of length 1."""
    z = _floating(logits)
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
    flat: Array = x.reshape(*x.shape[: len(rows)], int(np.prod(x.shape[len(rows) :])))
    return flat


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
