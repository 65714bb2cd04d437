"""XentLogits and its binary twin, written once over an array namespace: NumPy's, JAX's or Keras' operations.

Let ``z`` be a row of logits, ``m`` its maximum, ``e_j = exp(z_j - m)``. Everything follows from one number,
``rest``: the sum of all ``e`` but one that holds the maximum (and is 1). Then::

    softmax         x_j        e_j / (1 + rest)
    complement      1 - x_j    (1 - e_j + rest) / (1 + rest); rest / (1 + rest) where only j is the maximum
    the loss        -log x_j   log1p(rest) + (m - z_j)
    the gradient of sum_j q_j*(-log x_j)       x_j * (sum of the other q) - q_j * (1 - x_j)

Every sum has terms of one sign, so nothing cancels: not for confident rows (``rest`` is tiny, and known to
full relative precision), not for lost ones, not under a common offset. The gradient is one of its two terms
for a hard target; for a distribution it is their difference, and right to a few ulp of the larger.

Two roundings would show in float32. ``z_j - m`` is rounded, worth 32 ulp of ``e_j`` at a margin of 80: the
rounding error is known exactly (Knuth's TwoSum) and applied. And XLA flushes subnormal numbers to zero, worth
1e-3 of a sum near 1e-35: small exponentials are taken at 2**64 times their size.

Functions take rows, classes on the last axis, in the dtype that they compute in; axes that are summed over
are kept, with length 1. -inf logits are masked classes. A row that is all masked, or that holds NaN or +inf,
gives NaN, in that row only.
"""

from __future__ import annotations

from typing import Any, NamedTuple

Array = Any  # an array of the namespace
Namespace = Any  # numpy, jax.numpy or keras.ops: what is used here is named and behaves alike in all

_FAN_IN = 16  # terms that a level of the summation tree adds up: vectorizes, and touches memory once
_LOG1P_DIRECT = 0.4  # below it XLA's log1p is within 0.8 ulp, above it up to 2.5
_SCALE = 2.0**64
_LOG_SCALE_HI = 44.361419677734375  # log(2**64) in 24 bits, so that adding it to a float32 near -80 is exact
_LOG_SCALE_LO = -1.2189787519729714e-07


class Softmax(NamedTuple):
    """A row's softmax, by parts that lose nothing."""

    trail: Array  # m - z_j >= 0, shape (..., C)
    exps: Array  # e_j, shape (..., C)
    probs: Array  # x_j, shape (..., C)
    rest: Array  # the sum of all e but one maximum's, shape (..., 1)
    only_max: Array  # true where j alone holds the maximum, shape (..., C)


def softmax_parts(xp: Namespace, z: Array) -> Softmax:
    """The parts of the softmax of logits ``z``, shape (..., C)."""
    zeros, ones = xp.zeros_like(z), xp.ones_like(z)
    diff, error = _two_sum(z, -_max(xp, z))
    small = diff < -_LOG_SCALE_HI / 2
    shifted = xp.where(small, diff + _LOG_SCALE_HI, diff)  # exact, at most half its size
    error = error + xp.where(small, _LOG_SCALE_LO * ones, zeros)
    rounded = xp.exp(shifted) * xp.where(small, ones, _SCALE * ones)
    scaled = _corrected(xp, rounded, error)

    holds_max = diff == 0
    maxima = xp.sum(xp.where(holds_max, ones, zeros), axis=-1, keepdims=True)
    rest = total(xp, xp.where(holds_max, zeros, scaled)) / _SCALE + (maxima - 1)
    all_exps, sum_error = _two_sum(rest, xp.ones_like(rest))
    return Softmax(
        trail=-diff,
        exps=scaled / _SCALE,
        probs=_corrected(xp, rounded / all_exps, error - sum_error / all_exps) / _SCALE,
        rest=rest,
        only_max=xp.logical_and(holds_max, maxima == 1),
    )


def log_sum_exp(xp: Namespace, z: Array, parts: Softmax) -> Array:
    """log sum exp z, shape (..., 1)."""
    return _max(xp, z) + _log1p(xp, parts.rest)


def complements(xp: Namespace, parts: Softmax) -> Array:
    """1 - softmax(z), shape (..., C), to full relative precision."""
    others = xp.where(parts.only_max, parts.rest, (1 - parts.exps) + parts.rest)
    return others / (1 + parts.rest)


def neg_log_softmax(xp: Namespace, parts: Softmax) -> Array:
    """-log softmax(z), shape (..., C): +inf at masked classes."""
    return _log1p(xp, parts.rest) + parts.trail


def hard_loss(xp: Namespace, parts: Softmax, is_target: Array) -> Array:
    """-log softmax(z) at the one class where ``is_target`` is true, shape (..., 1)."""
    trail = xp.where(is_target, parts.trail, xp.zeros_like(parts.trail))
    return _log1p(xp, parts.rest) + xp.sum(trail, axis=-1, keepdims=True)


def hard_gradient(xp: Namespace, parts: Softmax, is_target: Array) -> Array:
    """The gradient of ``hard_loss`` with respect to the logits, shape (..., C)."""
    return xp.where(is_target, -complements(xp, parts), parts.probs)


def soft_loss(xp: Namespace, parts: Softmax, q: Array) -> Array:
    """sum q*(-log softmax(z)), shape (..., 1), for class masses ``q >= 0`` of shape (..., C), of any sum."""
    terms = xp.where(q == 0, xp.zeros_like(q), q * neg_log_softmax(xp, parts))  # 0 of a masked class is 0
    return total(xp, terms)


def soft_gradient(xp: Namespace, parts: Softmax, q: Array, extra: Array | float = 0.0) -> Array:
    """The gradient of ``soft_loss`` with respect to the logits, plus ``extra*softmax(z)``, shape (..., C)."""
    beside_max = total(xp, xp.where(parts.only_max, xp.zeros_like(q), q))
    others = xp.where(parts.only_max, beside_max, total(xp, q) - q) + extra
    return others * parts.probs - q * complements(xp, parts)


def focal_loss_and_masses(xp: Namespace, parts: Softmax, q: Array, gamma: float) -> tuple[Array, Array]:
    """sum q*(1 - x)**gamma*(-log x), shape (..., 1), and the masses whose ``soft_gradient`` is its gradient.

    The derivative of ``(1 - x_j)**gamma * (-log x_j)`` is that of ``-log x_j`` times
    ``(1 - x_j)**gamma * (1 + gamma*x_j*(-log x_j)/(1 - x_j))``, whose quotient goes to 1 with ``x_j``.
    """
    complement, losses = complements(xp, parts), neg_log_softmax(xp, parts)
    ones, zeros = xp.ones_like(q), xp.zeros_like(q)
    focus = xp.power(complement, gamma * ones)
    quotient = xp.where(complement == 0, ones, losses / xp.where(complement == 0, ones, complement))
    slope = xp.where(parts.probs == 0, zeros, gamma * parts.probs * quotient)
    terms = xp.where(q == 0, zeros, q * focus * losses)
    return total(xp, terms), q * focus * (1 + slope)


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


def _max(xp: Namespace, x: Array) -> Array:
    return xp.max(x, axis=-1, keepdims=True, initial=float("-inf"))  # without an initial value, Keras wants rows


def _log1p(xp: Namespace, x: Array) -> Array:
    one_more, error = _two_sum(x, xp.ones_like(x))
    return xp.where(x < _LOG1P_DIRECT, xp.log1p(x), xp.log(one_more) + error / one_more)


def _corrected(xp: Namespace, x: Array, relative_error: Array) -> Array:
    return xp.where(x > 0, x + x * relative_error, x)  # where it is 0, the error may be inf - inf


def _two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """``a + b`` rounded, and its rounding error: https://en.wikipedia.org/wiki/2Sum"""
    rounded = a + b
    b_part = rounded - a
    return rounded, (a - (rounded - b_part)) + (b - b_part)


def _mass(xp: Namespace, weight: Array, loss: Array) -> Array:
    """weight*loss, where no weight of an infinite loss is none."""
    return xp.where(weight == 0, xp.zeros_like(loss), weight * loss)
