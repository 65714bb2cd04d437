"""The truth: losses and gradients of one row of logits by mpmath, at 60 significant digits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import mpmath
import numpy as np

DIGITS = 60


class Exact(NamedTuple):
    """A loss in nats and its gradient per logit, as mpmath numbers."""

    loss: Any
    grad: list[Any]


def softmax(z: Iterable[Any], digits: int = DIGITS) -> list[Any]:
    """Softmax of one row of logits, each element to ``digits`` digits; -inf logits get exactly 0."""
    with mpmath.workdps(digits + 10):
        e = _exponentials(z)
        total = mpmath.fsum(e)
        return [x / total for x in e]


def xent_logits(p: int | Sequence[Any], z: Iterable[Any], digits: int = DIGITS) -> Exact:
    """Cross-entropy of one row of logits for a hard label or target distribution ``p``, and its gradient.

    The gradient is ``sum(p)*softmax(z) - p``, which is ``softmax(z) - p`` for a distribution that sums to
    one. All sums leave out what would cancel, so every element has ``digits`` correct digits however small
    it is. A masked (-inf) logit has probability and gradient 0; if it carries target mass, the loss is
    +inf.
    """
    with mpmath.workdps(digits + 10):
        z = [_exact(v) for v in z]
        e = _exponentials(z)
        target = _distribution(p, len(z))
        total = mpmath.fsum(e)
        e_others, p_others = _sums_of_others(e), _sums_of_others(target)
        losses = [_loss_of_class(e[j], e_others[j]) for j in range(len(z))]
        loss = mpmath.fsum(q * y for q, y in zip(target, losses, strict=True) if q)
        grad = [(e[j] * p_others[j] - target[j] * e_others[j]) / total for j in range(len(z))]
        return Exact(loss, grad)


def bce_logits(y: Any, z: Any, digits: int = DIGITS) -> Exact:
    """Binary cross-entropy of one logit, target ``y`` in [0, 1]; its gradient is ``[sigmoid(z) - y]``."""
    with mpmath.workdps(digits + 10):
        y = _exact(y)
        loss, grad = xent_logits([y, 1 - y], [z, 0], digits)
        return Exact(loss, grad[:1])


def _loss_of_class(e: Any, others: Any) -> Any:
    """log((e + others)/e): mpmath's log1p keeps what is far below one."""
    return mpmath.log1p(others / e) if e else mpmath.inf


def _sums_of_others(a: list[Any]) -> list[Any]:
    """For each element, the sum of the others: taken off the total, but summed afresh for the largest."""
    total = mpmath.fsum(a)
    largest = max(range(len(a)), key=a.__getitem__)
    return [mpmath.fsum(a[:j] + a[j + 1 :]) if j == largest else total - v for j, v in enumerate(a)]


def _exponentials(z: Iterable[Any]) -> list[Any]:
    z = [_exact(v) for v in z]
    top = max(z)
    return [mpmath.exp(v - top) for v in z]


def _distribution(p: int | Sequence[Any], classes: int) -> list[Any]:
    if not isinstance(p, int | np.integer):
        return [_exact(v) for v in p]
    return [mpmath.mpf(j == p) for j in range(classes)]


def _exact(v: Any) -> Any:
    """Any float, NumPy's narrow ones included, as the mpmath number it stands for."""
    return v if isinstance(v, mpmath.mpf) else mpmath.mpf(float(v))
