"""What a batch of predictions and labels comes to, a number a sample, whichever framework it is of."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from finallayer.numerics.blocks import xent_logits

Array = NDArray[Any]

#: Of a batch of more numbers, evenly spread rows are measured.
MOST_NUMBERS = 2**17
#: A probability of 0 counts for the smallest number of float32.
LEAST = 1e-45


class Samples(NamedTuple):
    """Of each sample ``(N,)``, in float64: whether it is right, its margin and log-odds against it, its true loss.

    ``margins``: the best other logit minus the target's, in nats. ``odds``: of all others together. ``losses``: the
    cross-entropy of the logits by the reference block, in nats. What isn't finite makes a sample wrong. ``pulls``:
    the size of the gradient that the target's logit got, over what is due by the true loss; None where nobody saw it.
    """

    right: Array
    margins: Array
    odds: Array
    losses: Array
    pulls: Array | None = None

    @property
    def taught_nothing(self) -> Array | None:
        """Which samples got a gradient of 0, or next to it: less than a hundredth of what the strongest got, or than a
        millionth of a mean's, each over what is due."""
        if self.pulls is None:
            return None
        return np.asarray(self.pulls < max(0.01 * self.pulls.max(initial=0.0), 1e-6 / max(1, len(self.pulls))))


def of_classes(scores: Array, labels: Array, are_probabilities: bool, gradient: Array | None = None) -> Samples:
    """Of rows ``(N, C)`` of logits, log-probabilities or probabilities, and class indices ``(N,)``.

    ``gradient``: of the loss with respect to the logits, ``(N, C)``.

    Rows whose index is none of a class, as those to be ignored, are left out.
    """
    chosen = np.flatnonzero((labels >= 0) & (labels < scores.shape[-1]))[:: max(1, scores.size // MOST_NUMBERS)]
    scores, labels = scores[chosen].astype(np.float64), labels[chosen].astype(np.int64)
    z = _logs(scores) if are_probabilities else scores
    finite = np.isfinite(z).all(axis=-1)
    at = labels[:, None]
    own = np.take_along_axis(z, at, axis=-1)[:, 0]
    others = z.copy()
    np.put_along_axis(others, at, -np.inf, axis=-1)
    best = others.max(axis=-1)
    with np.errstate(invalid="ignore", over="ignore"):
        margins = best - own
        odds = best + np.log(np.exp(others - best[:, None]).sum(axis=-1)) - own
        losses, due = xent_logits(labels, z)
        pulls = None if gradient is None else _pulls(gradient[chosen], due, labels)
    return Samples(finite & (z.argmax(axis=-1) == labels), margins, odds, losses, pulls)


def of_outcomes(scores: Array, labels: Array, are_probabilities: bool, gradient: Array | None = None) -> Samples:
    """Of logits, or probabilities, of an outcome each, and whether it came about, both ``(N,)``; ``gradient`` alike."""
    step = max(1, scores.size // MOST_NUMBERS)
    scores, came = scores[::step].astype(np.float64), labels[::step] > 0.5
    z = _logs(scores) - _logs(1 - scores) if are_probabilities else scores
    margins = np.where(came, -z, z)
    losses = np.logaddexp(0, margins)
    pulls = None if gradient is None else np.abs(gradient[::step]) / np.maximum(-np.expm1(-losses), LEAST)
    return Samples(margins < 0, margins, margins, losses, pulls)


def _pulls(gradient: Array, due: Array, labels: Array) -> Array:
    at = labels[:, None]
    of_target, wanted = (np.abs(np.take_along_axis(g, at, axis=-1)[:, 0]) for g in (gradient.astype(np.float64), due))
    return np.asarray(of_target / np.maximum(wanted, LEAST))


def look_like_probabilities(scores: Array) -> bool:
    """Whether rows are all distributions, as far as 16 bits know."""
    return bool(scores.size and (scores >= 0).all() and (np.abs(scores.sum(axis=-1) - 1) < 0.02).all())


def class_indices(labels: Array, classes: int) -> Array | None:
    """A class index a sample, of indices ``(N,)`` or ``(N, 1)``, or of rows that each name one class or a distribution
    ``(N, C)``; None of what is neither.
    """
    if labels.ndim == 2 and labels.shape[1] == classes > 1:
        return np.asarray(labels.argmax(axis=-1)) if look_like_probabilities(labels.astype(np.float64)) else None
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or labels.dtype.kind not in "iufb":
        return None
    indices = labels.astype(np.int64)
    return indices if (indices == labels).all() and (indices < classes).all() else None


def _logs(probabilities: Array) -> Array:
    return np.asarray(np.log(np.maximum(probabilities, LEAST)))
