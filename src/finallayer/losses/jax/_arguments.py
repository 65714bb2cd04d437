"""Arguments of JAX's losses, checked, and brought to rows of logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Array = jax.Array
ArrayLike = Any  # an array or a nesting of sequences; jax.typing.ArrayLike leaves out the latter
Axes = int | Sequence[int]


def floating(logits: ArrayLike) -> Array:
    """Logits of a floating-point dtype; those of 8 bits and less become float32, which they have no arithmetic for."""
    logits = jnp.asarray(logits)
    if not jnp.issubdtype(logits.dtype, jnp.floating):
        raise TypeError(f"logits: expected a floating-point dtype, got {logits.dtype}")
    floating: Array = logits.astype(jnp.float32) if logits.dtype.itemsize < 2 else logits
    return floating


def classes_last(logits: ArrayLike, axis: Axes | None, where: ArrayLike | None) -> tuple[Array, Array | None]:
    """Rows of logits, and ``where`` in their shape or with a class axis of length 1."""
    z = floating(logits)
    axes = axes_of(axis, z.ndim)
    if where is not None:
        where = jnp.asarray(where, bool)
        if where.ndim != z.ndim:
            where = jnp.expand_dims(where, axes)
        where = class_axes_last(where, axes)
    z = class_axes_last(z, axes)
    if z.shape[-1] == 0:
        raise ValueError(f"logits: expected at least one class, got shape {np.shape(logits)}")
    return z, where


def axes_of(axis: Axes | None, ndim: int) -> tuple[int, ...]:
    """Class axes counted from the front."""
    axes = range(ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    if not all(-ndim <= a < ndim for a in axes):
        raise ValueError(f"axis: expected axes of logits with {ndim} dimensions, got {axis}")
    return tuple(a % ndim for a in axes)


def class_axes_last(x: Array, axes: tuple[int, ...]) -> Array:
    """``x`` with the class axes behind the others, as one."""
    rows = tuple(a for a in range(x.ndim) if a not in axes)
    if axes == (x.ndim - 1,):
        return x
    x = x.transpose(rows + axes)
    flat: Array = x.reshape(*x.shape[: len(rows)], int(np.prod(x.shape[len(rows) :])))
    return flat


def masked(z: Array, where: Array) -> tuple[Array, Array]:
    """Logits with what does not count masked, and which rows count; those that don't hold zeros."""
    row_counts = jnp.any(where, axis=-1)
    return jnp.where(row_counts[..., None], jnp.where(where, z, -jnp.inf), 0), row_counts


def integers(labels: ArrayLike) -> Array:
    """Labels of an integer dtype, of which no value changes on the way into JAX."""
    if not isinstance(labels, jax.Array):
        labels = np.asarray(labels)
        if labels.dtype.kind in "iu":
            return jnp.asarray(_narrowed(labels))
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(f"labels: expected integers, got {labels.dtype}")
    return jnp.asarray(labels)


def _narrowed(labels: Any) -> Any:
    """As int32 where JAX would make it that, with what has no place there at its ends: out of any range."""
    if jax.dtypes.canonicalize_dtype(labels.dtype) == labels.dtype:
        return labels
    limits = np.iinfo(np.int32)
    return np.clip(labels, max(limits.min, np.iinfo(labels.dtype).min), limits.max).astype(np.int32)


def in_range(labels: Array, classes: int) -> Array | None:
    """Which labels are classes, or None where all are known to be.

    Raises:
        ValueError: for labels out of range where they are known.
    """
    if isinstance(labels, jax.core.Tracer):
        labels = labels.astype(jnp.int32) if labels.dtype.itemsize < 4 else labels
        return (labels >= 0) & (labels < classes)
    if labels.size:
        known = np.asarray(labels)
        low, high = int(known.min()), int(known.max())
        if low < 0 or high >= classes:
            raise ValueError(f"labels: expected classes in 0..{classes - 1}, got {low if low < 0 else high}")
    return None


def check_share(name: str, share: float) -> None:
    """Raise unless ``share`` is in [0, 1]."""
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"{name}: expected a number in [0, 1], got {share}")


def check_finite(name: str, number: float) -> None:
    """Raise unless ``number`` is finite."""
    if not -float("inf") < number < float("inf"):
        raise ValueError(f"{name}: expected a finite number, got {number}")


def vary_alike(*operands: Array) -> tuple[Array, ...]:
    """Operands under ``shard_map``, each varying over all mesh axes that one of them varies over."""
    axes = [jax.typeof(x).manual_axis_type.varying for x in operands]
    union = frozenset().union(*axes)
    return tuple(
        jax.lax.pcast(x, tuple(union - own), to="varying") if union - own else x
        for x, own in zip(operands, axes, strict=True)
    )
