"""Cross-entropy of logits: optax' two functions, with what optax leaves to others."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from finallayer.losses import _xent_logits as xent
from finallayer.losses.jax._arguments import (
    ArrayLike,
    Axes,
    axes_of,
    check_finite,
    check_share,
    class_axes_last,
    classes_last,
    in_range,
    integers,
    masked,
    vary_alike,
)
from finallayer.losses.jax._derivatives import row_loss
from finallayer.losses.jax._operations import Terms, wide_dtype

Array = jax.Array


def softmax_cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    axis: Axes | None = -1,
    where: ArrayLike | None = None,
    *,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    class_weight: ArrayLike | None = None,
) -> Array:
    """Cross-entropy of logits against class probabilities, in nats.

    ``sum(labels)`` weighs a row: labels that do not sum to one are class masses.

    Args:
        logits: any float dtype. -inf marks a masked class: a row with label mass there has loss +inf.
        labels: class probabilities, the logits' shape.
        axis: of the classes: one or several; None means all.
        where: what to count: of the logits' shape (classes), or without the class axes (rows). A row of
            which nothing counts has loss 0 and gradient 0, whatever it holds.
        label_smoothing: the share in [0, 1] of each label that is spread over all classes that count.
        z_loss: adds ``z_loss*logsumexp(logits)**2`` to the loss of each row.
        class_weight: what each class' mass counts, shape (classes,); 1 by default. It doesn't weigh the z-loss.

    Returns:
        The loss of each row, the logits' shape without ``axis``, float32 (float64 for float64 logits).

    Raises:
        TypeError: for logits that are not floating-point.
        ValueError: for shapes that do not fit, or a label_smoothing outside [0, 1].

    References:
        https://optax.readthedocs.io/en/latest/api/losses.html (softmax_cross_entropy),
        https://arxiv.org/abs/2204.02311 section 5 (z-loss).
    """
    check_share("label_smoothing", label_smoothing)
    check_finite("z_loss", z_loss)
    z, where = classes_last(logits, axis, where)
    labels = jnp.asarray(labels)
    if labels.shape != np.shape(logits):
        raise ValueError(
            f"labels: expected probabilities of the logits' shape {np.shape(logits)}, got {np.shape(labels)}"
        )
    q = class_axes_last(labels, axes_of(axis, labels.ndim)).astype(wide_dtype(z))
    weight = None if class_weight is None else _class_weight(class_weight, z)
    if where is None:
        return _soft_loss(z, q, None, Terms(label_smoothing, z_loss), weight)
    z, row_counts = masked(z, where)
    return jnp.where(
        row_counts, _soft_loss(z, jnp.where(where, q, 0), where, Terms(label_smoothing, z_loss), weight), 0
    )


def softmax_cross_entropy_with_integer_labels(
    logits: ArrayLike,
    labels: ArrayLike,
    axis: Axes = -1,
    where: ArrayLike | None = None,
    *,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    class_weight: ArrayLike | None = None,
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
        label_smoothing: the share in [0, 1] of each label that is spread over all classes that count.
        z_loss: adds ``z_loss*logsumexp(logits)**2`` to the loss of each row.
        class_weight: what each class' mass counts, shape (classes,); 1 by default. It doesn't weigh the z-loss.

    Returns:
        The loss of each row, the labels' shape, float32 (float64 for float64 logits).

    Raises:
        TypeError: for logits that are not floating-point or labels that are not integers.
        ValueError: for shapes that do not fit, a label_smoothing outside [0, 1], and for labels out of range
            where they are known. Under ``jit`` they are not: there such a row has loss and gradient NaN.

    References:
        https://optax.readthedocs.io/en/latest/api/losses.html (softmax_cross_entropy_with_integer_labels),
        https://arxiv.org/abs/2204.02311 section 5 (z-loss).
    """
    check_share("label_smoothing", label_smoothing)
    check_finite("z_loss", z_loss)
    z, where = classes_last(logits, axis, where)
    labels = integers(labels)
    if labels.shape != z.shape[:-1]:
        raise ValueError(f"labels: expected classes of shape {z.shape[:-1]}, got {labels.shape}")
    if where is not None:
        z, row_counts = masked(z, where)
        labels = jnp.where(row_counts, labels, 0)
    weight = None if class_weight is None else _class_weight(class_weight, z)
    loss = class_losses(z, labels, where, Terms(label_smoothing, z_loss), weight)
    return loss if where is None else jnp.where(row_counts, loss, 0)


def class_losses(z: Array, labels: Array, where: Array | None, terms: Terms, weight: Array | None) -> Array:
    """The losses of rows of logits at their labels; NaN where a label turns out to be out of range."""
    known_good = in_range(labels, z.shape[-1])
    if known_good is not None:
        labels = jnp.where(known_good, labels, 0)
    labels = labels.astype(jnp.int32)
    if _needs_masses(where, terms, weight):
        one_hot = xent.class_mask(jnp, z, labels).astype(wide_dtype(z))
        loss = _soft_loss(z, one_hot, where, terms, weight)
    else:
        loss = row_loss(*vary_alike(z, labels), terms)
        loss = loss if weight is None else loss * weight[labels]
    # A factor, so that the gradient is NaN, too.
    return loss if known_good is None else loss * jnp.where(known_good, 1.0, jnp.nan).astype(loss.dtype)


def _needs_masses(where: Array | None, terms: Terms, weight: Array | None) -> bool:
    """Whether there is more to the loss of a class than a factor of what the operation computes."""
    spreads_by_hand = bool(terms.label_smoothing) and _counts_classes(where)
    return spreads_by_hand or (weight is not None and terms != Terms())


def _soft_loss(z: Array, q: Array, where: Array | None, terms: Terms, weight: Array | None) -> Array:
    smoothing = terms.label_smoothing
    if smoothing and (weight is not None or _counts_classes(where)):
        counts = jnp.ones_like(q) if where is None else jnp.broadcast_to(where, q.shape).astype(q.dtype)
        spread = counts / jnp.maximum(jnp.sum(counts, -1, keepdims=True), 1)
        q = (1 - smoothing) * q + smoothing * spread
        terms = terms._replace(label_smoothing=0.0)
    return row_loss(*vary_alike(z, q if weight is None else q * weight), terms)


def _counts_classes(where: Array | None) -> bool:
    return where is not None and where.shape[-1] != 1


def _class_weight(class_weight: ArrayLike, z: Array) -> Array:
    weight = jnp.asarray(class_weight)
    if weight.shape != z.shape[-1:]:
        raise ValueError(f"class_weight: expected one for each class, shape {z.shape[-1:]}, got {weight.shape}")
    return weight.astype(wide_dtype(z))
