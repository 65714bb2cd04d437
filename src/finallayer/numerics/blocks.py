"""The final layer's blocks as reference definitions, forward and backward side by side, for any float dtype.

Two blocks and their composition. Let ``z`` be logits, ``x`` probabilities, ``p`` the target distribution::

    cross_entropy   -sum p*log x               d/dx = -p/x              unbounded as x -> 0
    softmax          x = exp(z) / sum exp(z)   d/dz = x*(g - sum g*x)   for an upstream gradient g
    xent_logits      -sum p*log softmax(z)     d/dz = softmax(z) - p    bounded for every z

``cross_entropy`` computes in its input's dtype and hides nothing. ``softmax`` and ``xent_logits`` are exact
references: they compute in float64 (longdouble for longdouble) with compensated sums and round once at the
end.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]


class LossAndGrad(NamedTuple):
    """A loss per row, in nats, and its gradient with respect to the block's input (shape of that input)."""

    loss: Array
    grad: Array


def cross_entropy(p: ArrayLike, x: ArrayLike) -> LossAndGrad:
    """Cross-entropy of probabilities, ``-sum p*log x``, and its gradient ``-p/x``, as IEEE arithmetic has it.

    ``p``: hard labels, integers of shape ``(...)``, or target distributions of shape ``(..., C)``.
    ``x``: probabilities, shape ``(..., C)``, any float dtype; everything is computed in that dtype.

    Nothing is clipped: at ``x_i = 0`` a positive target gives loss ``inf`` and gradient ``-inf``, and a zero
    target in a distribution gives ``0*log 0 = nan`` and ``-0/0 = nan``. A hard label reads only its own
    ``x_i``.

    Raises ``ValueError`` for targets whose shape, dtype or labels do not fit ``x``.
    Formula: https://en.wikipedia.org/wiki/Cross-entropy
    """
    x = _floating(x)
    labels, p = _targets(p, x)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if labels is not None:
            at_label = np.take_along_axis(x, labels, axis=-1)
            grad = np.zeros_like(x)
            np.put_along_axis(grad, labels, -1 / at_label, axis=-1)
            return LossAndGrad(-np.log(at_label)[..., 0], grad)
        p = p.astype(x.dtype)
        return LossAndGrad(-np.sum(p * np.log(x), axis=-1), -p / x)


def softmax(z: ArrayLike) -> Array:
    """Softmax over the last axis: probabilities of the shape and dtype of the logits ``z``.

    ``-inf`` logits are masked classes (probability 0). A row that is all masked, or holds ``nan`` or
    ``+inf``, gives ``nan``.
    Formula: https://en.wikipedia.org/wiki/Softmax_function
    """
    z = _floating(z)
    return _round(_partition(z).probs(), z.dtype)


def softmax_backward(x: ArrayLike, upstream: ArrayLike) -> Array:
    """Gradient with respect to the logits, given ``x = softmax(z)`` and the gradient with respect to ``x``.

    ``x*(g - sum g*x)``, both of shape ``(..., C)``, in the dtype of ``x`` as IEEE arithmetic has it: chained
    behind ``cross_entropy`` it shows what happens to ``-p/x`` once ``x`` underflows.
    """
    x = _floating(x)
    g = np.asarray(upstream, dtype=x.dtype)
    with np.errstate(invalid="ignore", over="ignore"):
        grad: Array = x * (g - np.sum(g * x, axis=-1, keepdims=True))
    return grad


def xent_logits(p: ArrayLike, z: ArrayLike) -> LossAndGrad:
    """XentLogits: cross-entropy of logits, ``-sum p*log softmax(z)``, and its gradient ``softmax(z) - p``.

    ``p``: hard labels, integers of shape ``(...)``, or target distributions of shape ``(..., C)``.
    ``z``: logits of shape ``(..., C)``, any float dtype. Loss ``(...)`` in nats and gradient ``(..., C)``,
    in it.

    Within 4 ulp of the truth for all finite logits: no cancellation at either end, no dependence on a common
    offset, no clip. A distribution's gradient is a difference, ``x_j*(1 - p_j) - p_j*(1 - x_j)``, and holds
    4 ulp of the larger of those two terms (``1 - p_j`` and ``1 - x_j`` are summed, never subtracted). One
    that does not sum to one weighs the row: its gradient is ``sum(p)*softmax(z) - p``. Below the smallest
    normal number, float64 results are within ``C`` times the smallest subnormal, those of narrower dtypes
    within 1 ulp.

    ``-inf`` logits are masked classes (probability 0). A masked target has loss ``+inf`` and the bounded
    gradient ``softmax(z) - p``: -1 at the target. A row that is all masked, or holds ``nan`` or ``+inf``,
    gives ``nan``.

    Raises ``ValueError`` for targets whose shape, dtype or labels do not fit ``z``.
    Formula: log-sum-exp with the target left out of the sum, https://en.wikipedia.org/wiki/LogSumExp
    """
    z = _floating(z)
    labels, p = _targets(p, z)
    row = _partition(z)
    if labels is not None:
        loss = np.take_along_axis(row.losses(), labels, axis=-1)[..., 0]
        grad = row.probs()
        np.put_along_axis(grad, labels, -np.take_along_axis(row.rest_probs(), labels, axis=-1), axis=-1)
    else:
        p = p.astype(row.e.dtype)
        with np.errstate(invalid="ignore"):
            loss = _sum(np.where(p == 0, p, p * row.losses()))[0]
        grad = row.probs() * _sum_of_others(p)[0] - p * row.rest_probs()
    return LossAndGrad(_round(loss, z.dtype), _round(grad, z.dtype))


class _Partition(NamedTuple):
    """Each row's exponentials, relative to its maximum, and their sums, as unevaluated ``hi + lo``."""

    trail: Array  # max z - z_j >= 0
    trail_lo: Array
    e: Array  # exp(z_j - max z); the truth is e + e_lo
    e_lo: Array
    total: Array  # sum of all e, shape (..., 1)
    total_lo: Array
    rest: Array  # sum of all e but the j-th, without cancellation
    rest_lo: Array

    def probs(self) -> Array:
        """softmax(z)_j"""
        return _divide(self.e, self.e_lo, self.total, self.total_lo)

    def rest_probs(self) -> Array:
        """1 - softmax(z)_j"""
        return _divide(self.rest, self.rest_lo, self.total, self.total_lo)

    def losses(self) -> Array:
        """-log softmax(z)_j, nothing lost at either end.

        The logarithm of the unevaluated total is log1p in disguise: where the target leads, ``total`` is 1,
        or near it and exact, and ``total_lo`` holds what is left of the others.
        """
        with np.errstate(invalid="ignore"):
            return np.log(self.total) + self.total_lo / self.total + self.trail_lo + self.trail


def _partition(z: Array) -> _Partition:
    z = z.astype(np.result_type(z.dtype, np.float64))
    with np.errstate(invalid="ignore", under="ignore", over="ignore"):
        trail, trail_lo = _two_sum(np.max(z, axis=-1, keepdims=True), -z)
        e = np.exp(-trail)
        # The rounding of z_j - max z is worth 256 ulp of its exponential at a margin of 700: carry it along.
        # Where the exponential is 0, the remainder is huge or nan, and irrelevant.
        trail_lo = np.where(e > 0, trail_lo, 0)
        e_lo = -e * trail_lo
    return _Partition(trail, trail_lo, e, e_lo, *_totals(e, e_lo), *_sum_of_others(e, e_lo))


def _totals(e: Array, e_lo: Array) -> tuple[Array, Array]:
    total, total_lo = _sum(e, e_lo)
    return total[..., None], total_lo[..., None]


def _sum_of_others(a: Array, a_lo: Array | None = None) -> tuple[Array, Array]:
    """For each element of non-negative rows, the sum of all others, as hi + lo, without cancellation.

    Taking one element off the total cancels only if that element is more than half of it, and only the
    largest can be: its others are summed afresh.
    """
    a_lo = np.zeros_like(a) if a_lo is None else a_lo
    total, total_lo = _sum(a, a_lo)
    hi, lo = _two_sum(total[..., None], -a)
    lo += total_lo[..., None] - a_lo
    largest = np.arange(a.shape[-1]) == np.argmax(a, axis=-1)[..., None]
    others, others_lo = _sum(np.where(largest, 0, a), np.where(largest, 0, a_lo))
    return np.where(largest, others[..., None], hi), np.where(largest, others_lo[..., None], lo)


def _sum(a: Array, a_lo: Array | None = None) -> tuple[Array, Array]:
    """Sum over the last axis as hi + lo, pair by pair, every rounding error carried along."""
    lo = np.zeros_like(a) if a_lo is None else a_lo
    while a.shape[-1] > 1:
        if a.shape[-1] % 2:
            pad = [(0, 0)] * (a.ndim - 1) + [(0, 1)]
            a, lo = np.pad(a, pad), np.pad(lo, pad)
        a, error = _two_sum(a[..., 0::2], a[..., 1::2])
        lo = lo[..., 0::2] + lo[..., 1::2] + error
    return a[..., 0], lo[..., 0]


def _two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """``a + b`` rounded, and its rounding error, exactly (Knuth's TwoSum).

    https://en.wikipedia.org/wiki/2Sum
    """
    with np.errstate(invalid="ignore", over="ignore"):
        s = a + b
        b_part = s - a
        return s, (a - (s - b_part)) + (b - b_part)


def _divide(a: Array, a_lo: Array, b: Array, b_lo: Array) -> Array:
    """``(a + a_lo) / (b + b_lo)`` for corrections much smaller than what they correct."""
    with np.errstate(invalid="ignore", under="ignore"):
        quotient = a / b
        return quotient + (a_lo - quotient * b_lo) / b


def _round(a: Array, dtype: np.dtype[Any]) -> Array:
    with np.errstate(over="ignore", under="ignore"):
        return a.astype(dtype)


def _floating(a: ArrayLike) -> Array:
    """``a`` as rows of at least one class, in its own float dtype; integers as float64."""
    a = np.asarray(a)
    if a.dtype.kind in "iub":
        a = a.astype(np.float64)
    if a.ndim == 0 or a.shape[-1] == 0:
        raise ValueError(f"expected rows of at least one class, shape (..., C), got shape {a.shape}")
    return a


def _targets(p: ArrayLike, z: Array) -> tuple[Array | None, Array]:
    """Hard labels as ``(..., 1)`` indices, or None and the target distributions."""
    p = np.asarray(p)
    if p.dtype.kind in "iu":
        if p.shape != z.shape[:-1]:
            raise ValueError(f"hard labels: expected shape {z.shape[:-1]} for rows {z.shape}, got {p.shape}")
        if p.size and not (p.min() >= 0 and p.max() < z.shape[-1]):
            raise ValueError(f"hard labels: expected 0..{z.shape[-1] - 1}, got {p.min()}..{p.max()}")
        return p[..., None], p
    if p.shape != z.shape:
        raise ValueError(f"target distributions: expected the rows' shape {z.shape}, got {p.shape} of {p.dtype}")
    if not np.all(p >= 0):
        raise ValueError("target distributions: expected probabilities >= 0, got negative or nan entries")
    return None, p
