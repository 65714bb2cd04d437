"""XentLogits and its binary twin, written once over an array namespace: NumPy's, JAX's or Keras' operations.

Let ``z`` be a row of logits, ``m`` its maximum, ``e_j = exp(z_j - m)``. For a distribution ``q``, everything follows
from one number, ``rest``: the sum of all ``e`` but one that holds the maximum (and is 1)::

    softmax         x_j        e_j / (1 + rest)
    complement      1 - x_j    (1 - e_j + rest) / (1 + rest); rest / (1 + rest) where only j is the maximum
    the loss        -log x_j   log1p(rest) + (m - z_j)
    the gradient of sum_j q_j*(-log x_j)       x_j * (sum of the other q) - q_j * (1 - x_j)

For a class ``t`` it follows from ``others``, the sum of all ``e`` but its own: the gradient at ``t`` is
``-others / (others + e_t)``.

Every sum has terms of one sign, so nothing cancels: not for confident rows (``rest`` is tiny, and known to
full relative precision), not for lost ones, not under a common offset. The gradient is one of its two terms
for a class; for a distribution it is their difference, and right to a few ulp of the larger.

Exponentials are taken in the dtype of the logits (the dear part); what a row has one of, and what is multiplied
and subtracted, is float64. Two roundings would show in float32. ``z_j - m`` is rounded, worth 32 ulp of ``e_j`` at a
margin of 80: the rounding error is known exactly (Knuth's TwoSum) and applied. And XLA flushes subnormal numbers to
zero, worth 1e-3 of a sum near 1e-35: exponentials are kept at 2**64 times their size.

Functions take rows, classes on the last axis, of float32 or float64 logits; axes that are summed over are kept, with
length 1. -inf logits are masked classes. A row that is all masked, or that holds NaN or +inf, gives NaN, in that row
only.
"""

from __future__ import annotations

from typing import Any, NamedTuple

Array = Any  # an array of the namespace
Namespace = Any  # numpy, jax.numpy or keras.ops: what is used here is named and behaves alike in all

_FAN_IN = 16  # terms that a level of the summation tree adds up: vectorizes, and touches memory once
_SCALE = 2.0**64
_LOG_SCALE = (44.361419677734375, -1.2189787519729714e-07)  # log(2**64): in 24 bits, and what is left
_LOG_SCALE_DOUBLE = (44.3614195558365, 1.4841899608616317e-15)  # in 53 bits
_SHORTEST_FOLD = 32
_FARTHEST = -760.0  # below it exp is 0 in every dtype, also at 2**64 times its size


class Softmax(NamedTuple):
    """A row's softmax, by parts that lose nothing."""

    trail: Array  # m - z_j >= 0, float64, shape (..., C)
    exps: Array  # e_j, float64 (of the precision of the logits), shape (..., C)
    rest: Array  # the sum of all e but one maximum's, float64, shape (..., 1)
    only_max: Array  # true where j alone holds the maximum, shape (..., C)
    log_sum_exp: Array  # float64, shape (..., 1)
    careful: bool  # whether sums over a row are taken with care: float64 results need it


class ClassRow(NamedTuple):
    """What the loss of one class needs to know of its row. float64, shape (..., 1)."""

    others: Array  # the sum of all e but the class's own
    total: Array  # the sum of all e
    rest: Array  # the sum of all e but one maximum's
    trail: Array  # m - z_t
    top: Array  # m


def softmax_parts(xp: Namespace, z: Array, careful: bool = True) -> Softmax:
    """The parts of the softmax of logits ``z``, shape (..., C). float64 logits for float32 results need no care."""
    top = _max(xp, z)
    exps, diff = _scaled_exps(xp, z, top)
    holds_max = diff == 0
    maxima = xp.sum(_float64(xp, holds_max), axis=-1, keepdims=True)
    rest = _row_sum(xp, xp.where(holds_max, xp.zeros_like(z), exps), careful) / _SCALE + (maxima - 1)
    top = _float64(xp, top)
    rest = rest + (top - top)  # a row without a finite maximum has no softmax
    return Softmax(
        trail=top - _float64(xp, z),
        exps=_float64(xp, exps) / _SCALE,
        rest=rest,
        only_max=xp.logical_and(holds_max, maxima == 1),
        log_sum_exp=top + xp.log1p(rest),
        careful=careful and _is_double(z),
    )


def softmax(parts: Softmax) -> Array:
    """softmax(z), float64, shape (..., C)."""
    return parts.exps / (1 + parts.rest)


def complements(xp: Namespace, parts: Softmax) -> Array:
    """1 - softmax(z), float64, shape (..., C), to full relative precision."""
    others = xp.where(parts.only_max, parts.rest, (1 - parts.exps) + parts.rest)
    return others / (1 + parts.rest)


def neg_log_softmax(xp: Namespace, parts: Softmax) -> Array:
    """-log softmax(z), float64, shape (..., C): +inf at masked classes."""
    return xp.log1p(parts.rest) + parts.trail


def class_row(xp: Namespace, z: Array, labels: Array, folded: bool = False) -> ClassRow:
    """What the losses of classes ``labels``, shape (...), need to know of their rows of logits ``z``.

    ``folded`` sums a row faster, and is not for rows that are spread over devices.
    """
    top = _max(xp, z)
    exps, _ = _scaled_exps(xp, z, top)
    is_class = class_mask(xp, z, labels)
    logit = xp.sum(xp.where(is_class, z, xp.zeros_like(z)), axis=-1, keepdims=True)
    others = _row_sum(xp, xp.where(is_class, xp.zeros_like(z), exps), folded=folded) / _SCALE
    top = _float64(xp, top)
    others = others + (top - top)  # a row without a finite maximum has no softmax
    trail = top - _float64(xp, logit)
    own = xp.exp(-trail)
    rest = xp.where(trail == 0, others, (others - 1) + own)
    return ClassRow(others, others + own, rest, trail, top)


def class_mask(xp: Namespace, z: Array, labels: Array) -> Array:
    """True at each row's class, shape (..., C)."""
    return xp.equal(xp.arange(z.shape[-1], dtype="int32"), labels[..., None])


def class_loss(xp: Namespace, row: ClassRow) -> Array:
    """-log softmax(z) at the class, float64, shape (..., 1)."""
    return xp.log1p(row.rest) + row.trail


def log_sum_exp(xp: Namespace, row: ClassRow) -> Array:
    """log sum exp z, float64, shape (..., 1)."""
    return row.top + xp.log1p(row.rest)


def class_gradient(
    xp: Namespace, z: Array, labels: Array, row: ClassRow, upstream: Array | float, pull: Array | float = 0.0
) -> Array:
    """The gradient of ``upstream*class_loss``, plus ``pull*softmax(z)``, in the dtype of ``z``, shape (..., C).

    ``upstream`` and ``pull`` are float64, of shape (..., 1) or ().
    """
    exps, _ = _scaled_exps(xp, z, _max(xp, z))
    at_class = _like(xp, (pull * (row.total - row.others) - upstream * row.others) / row.total, z)
    elsewhere = exps * _like(xp, (upstream + pull) / row.total / _SCALE, z)
    return xp.where(class_mask(xp, z, labels), at_class, elsewhere)


def soft_loss(xp: Namespace, parts: Softmax, q: Array) -> Array:
    """sum q*(-log softmax(z)), float64, shape (..., 1), for float64 masses ``q >= 0``, shape (..., C), of any sum."""
    terms = xp.where(q == 0, xp.zeros_like(q), q * neg_log_softmax(xp, parts))  # 0 of a masked class is 0
    return _mass_sum(xp, parts, terms)


def soft_gradient(xp: Namespace, parts: Softmax, q: Array, extra: Array | float = 0.0) -> Array:
    """The gradient of ``soft_loss`` with respect to the logits, plus ``extra*softmax(z)``, float64, shape (..., C)."""
    beside_max = _mass_sum(xp, parts, xp.where(parts.only_max, xp.zeros_like(q), q))
    others = xp.where(parts.only_max, beside_max, _mass_sum(xp, parts, q) - q) + extra
    return others * softmax(parts) - q * complements(xp, parts)


def smoothed(q: Array, label_smoothing: float) -> Array:
    """Masses ``q``, shape (..., C), of which a share is spread over all classes."""
    return q * (1 - label_smoothing) + label_smoothing / q.shape[-1] if label_smoothing else q


def focal_loss_and_masses(xp: Namespace, parts: Softmax, q: Array, gamma: float) -> tuple[Array, Array]:
    """sum q*(1 - x)**gamma*(-log x), shape (..., 1), and the masses whose ``soft_gradient`` is its gradient.

    The derivative of ``(1 - x_j)**gamma * (-log x_j)`` is that of ``-log x_j`` times
    ``(1 - x_j)**gamma * (1 + gamma*x_j*(-log x_j)/(1 - x_j))``, whose quotient goes to 1 with ``x_j``.
    """
    complement, losses = complements(xp, parts), neg_log_softmax(xp, parts)
    ones, zeros = xp.ones_like(q), xp.zeros_like(q)
    focus = xp.power(complement, gamma * ones)
    quotient = xp.where(complement == 0, ones, losses / xp.where(complement == 0, ones, complement))
    probs = softmax(parts)
    slope = xp.where(probs == 0, zeros, gamma * probs * quotient)
    terms = xp.where(q == 0, zeros, q * focus * losses)
    return _mass_sum(xp, parts, terms), q * focus * (1 + slope)


def binary_loss(xp: Namespace, z: Array, y: Array, positive_weight: Array | float = 1.0) -> Array:
    """(1 - y)*softplus(z) + w*y*softplus(-z), elementwise, for targets ``y`` in [0, 1]."""
    tail = xp.log1p(xp.exp(-xp.abs(z)))
    negative, positive = xp.maximum(z, xp.zeros_like(z)) + tail, xp.maximum(-z, xp.zeros_like(z)) + tail
    return _mass(xp, 1 - y, negative) + _mass(xp, positive_weight * y, positive)


def binary_gradient(xp: Namespace, z: Array, y: Array, positive_weight: Array | float = 1.0) -> Array:
    """The gradient of ``binary_loss`` with respect to the logits: (1 - y)*sigmoid(z) - w*y*sigmoid(-z)."""
    small = xp.exp(-xp.abs(z))
    large_side, small_side = 1 / (1 + small), small / (1 + small)
    positive = xp.where(z >= 0, large_side, small_side)
    negative = xp.where(z >= 0, small_side, large_side)
    return (1 - y) * positive - positive_weight * y * negative


def binary_focal_loss_and_gradient(xp: Namespace, z: Array, y: Array, gamma: float) -> tuple[Array, Array]:
    """(1 - p)**gamma times ``binary_loss``, elementwise, and its gradient; p is what the model gives the target.

    With ``u = 1 - p = y*sigmoid(-z) + (1 - y)*sigmoid(z)``, whose derivative is ``(1 - 2*y)*sigmoid(z)*sigmoid(-z)``.
    """
    loss, slope = binary_loss(xp, z, y), binary_gradient(xp, z, y)
    positive, negative = binary_gradient(xp, z, xp.zeros_like(y)), -binary_gradient(xp, z, xp.ones_like(y))
    miss = y * negative + (1 - y) * positive
    ones = xp.ones_like(miss)
    focus = xp.power(miss, gamma * ones)
    drift = xp.where(miss == 0, xp.zeros_like(miss), positive * negative / xp.where(miss == 0, ones, miss))
    return _mass(xp, focus, loss), focus * (slope + gamma * (1 - 2 * y) * _mass(xp, drift, loss))


def total(xp: Namespace, x: Array) -> Array:
    """Sum over the last axis, kept, as a tree of additions whose rounding errors are summed beside it."""
    errors = xp.zeros_like(x)
    while x.shape[-1] > 1:
        size = x.shape[-1]
        fan_in = _FAN_IN if size >= 2 * _FAN_IN else 2
        step = size // fan_in
        sums = [(x[..., i : i + step], errors[..., i : i + step]) for i in range(0, fan_in * step, step)]
        while len(sums) > 1:
            sums = [_add(*pair) for pair in zip(sums[::2], sums[1::2], strict=True)]
        rest = slice(fan_in * step, size)
        x = xp.concatenate([sums[0][0], x[..., rest]], axis=-1)
        errors = xp.concatenate([sums[0][1], errors[..., rest]], axis=-1)
    return xp.where(xp.isfinite(x), x + errors, x)  # beyond an infinite sum, errors are inf - inf


def _add(a: tuple[Array, Array], b: tuple[Array, Array]) -> tuple[Array, Array]:
    """Two sums and the errors they carry."""
    rounded, error = _two_sum(a[0], b[0])
    return rounded, a[1] + b[1] + error


def _mass_sum(xp: Namespace, parts: Softmax, x: Array) -> Array:
    """Sum of float64 terms over the last axis, kept."""
    return total(xp, x) if parts.careful else xp.sum(x, axis=-1, keepdims=True)


def _row_sum(xp: Namespace, x: Array, careful: bool = True, folded: bool = False) -> Array:
    """Sum over the last axis, kept, in float64: of float32 terms plainly, of float64 ones with care."""
    if careful and _is_double(x):
        return total(xp, x)
    step = x.shape[-1] // 4
    if folded and step >= _SHORTEST_FOLD:  # two additions in float32 are worth an ulp, and three sums in float64
        a, b, c, d = (x[..., i : i + step] for i in range(0, 4 * step, step))
        return _row_sum(xp, (a + b) + (c + d)) + _row_sum(xp, x[..., 4 * step :])
    return xp.sum(_float64(xp, x), axis=-1, keepdims=True)


def _max(xp: Namespace, x: Array) -> Array:
    return xp.max(x, axis=-1, keepdims=True, initial=float("-inf"))  # without an initial value, Keras wants rows


def _scaled_exps(xp: Namespace, z: Array, top: Array) -> tuple[Array, Array]:
    """2**64 * exp(z - top) to a relative error of about an ulp, and z - top rounded, both of shape (..., C)."""
    diff, error = _two_sum(z, -top)
    high, low = _LOG_SCALE_DOUBLE if _is_double(z) else _LOG_SCALE
    # Added as no constant: XLA would take the next subtraction of it away.
    shifted, shift_error = _two_sum(diff, (top - top) + high)
    error = error + shift_error + low
    rounded = xp.exp(shifted)
    return xp.where(diff > _FARTHEST, rounded + rounded * error, xp.zeros_like(z)), diff  # error may be inf - inf


def _is_double(x: Array) -> bool:
    return "float64" in str(x.dtype)


def _float64(xp: Namespace, x: Array) -> Array:
    return x.astype("float64") if hasattr(x, "astype") else xp.cast(x, "float64")


def _like(xp: Namespace, x: Array, z: Array) -> Array:
    """In the dtype of ``z``."""
    return x.astype(z.dtype) if hasattr(x, "astype") else xp.cast(x, z.dtype)


def _two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """``a + b`` rounded, and its rounding error: https://en.wikipedia.org/wiki/2Sum"""
    rounded = a + b
    b_part = rounded - a
    return rounded, (a - (rounded - b_part)) + (b - b_part)


def _mass(xp: Namespace, weight: Array, loss: Array) -> Array:
    """weight*loss, where no weight of an infinite loss is none."""
    return xp.where(weight == 0, xp.zeros_like(loss), weight * loss)
