"""From logits and gradients to the figures of the results: what one epoch left behind, over whole sets of samples."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from finallayer.numerics.blocks import xent_logits

Array = NDArray[Any]


class Fitted(NamedTuple):
    """What training once through the samples gave: the mean loss that the framework reports, in nats, and the steps
    that it skipped because a gradient under loss scaling wasn't finite.
    """

    loss: float
    skipped: int


@dataclass(frozen=True)
class Observation:
    """What a trainer sees on a set of samples with dropout off; everything computed by the framework itself.

    ``logits``: what the last Dense layer gives, ``(N, C)``. ``gradient``: of the head's loss, summed over samples, with
    respect to those logits, ``(N, C)``. ``losses``: the head's loss per sample in nats, ``(N,)``.
    ``target_probability``: the framework's softmax at the target in the model's own arithmetic, ``(N,)``.
    """

    logits: Array
    gradient: Array
    losses: Array
    target_probability: Array


@dataclass(frozen=True)
class Epoch:
    """The measurements after one epoch; shares and accuracies in 0..1, losses in nats, margins in units of the logits.

    A figure that is not finite is None: JSON has no NaN, and ``nonfinite`` says how much of it there was.
    """

    epoch: int
    seconds: float
    loss: float | None  # what fit() reports: the head's own loss, dropout on
    train_accuracy: float
    val_accuracy: float
    silenced: float  # misclassified training samples whose gradient is exactly 0
    underflow: float  # training samples whose target probability is exactly 0
    largest_margin: float | None  # top rival logit minus target logit, over the training samples
    nonfinite: float  # training samples with a loss or a gradient that is not finite
    true_loss: float | None  # cross-entropy of the logits by the reference block, training samples
    skipped: int  # optimizer steps left out because a gradient, under loss scaling, was not finite

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def accuracy(logits: Array, labels: Array) -> float:
    """Share of samples whose top logit is the label's; a row that is not finite is wrong, whatever argmax says."""
    return float(np.mean(_correct(logits, labels)))


def measure_epoch(
    epoch: int,
    seconds: float,
    fitted: Fitted,
    train: Observation,
    train_labels: Array,
    val_logits: Array,
    val_labels: Array,
) -> Epoch:
    """Reduce what was observed to the epoch's row in the results."""
    logits = train.logits.astype(np.float64)
    correct = _correct(logits, train_labels)
    silent = np.all(train.gradient == 0, axis=-1)
    bad = ~(np.isfinite(train.gradient).all(axis=-1) & np.isfinite(train.losses))
    return Epoch(
        epoch=epoch,
        seconds=round(seconds, 4),
        loss=_finite(fitted.loss),
        train_accuracy=float(np.mean(correct)),
        val_accuracy=accuracy(val_logits.astype(np.float64), val_labels),
        silenced=float(np.mean(~correct & silent)),
        underflow=float(np.mean(train.target_probability == 0)),
        largest_margin=_finite(float(np.max(margins(logits, train_labels)))),
        nonfinite=float(np.mean(bad)),
        true_loss=_finite(float(np.mean(xent_logits(train_labels, logits).loss))),
        skipped=fitted.skipped,
    )


def margins(logits: Array, labels: Array) -> Array:
    """Top rival logit minus target logit of each row, ``(N,)``: negative where the target leads."""
    target = np.take_along_axis(logits, labels[:, None], axis=-1)
    rivals = logits.copy()
    np.put_along_axis(rivals, labels[:, None], -np.inf, axis=-1)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.max(rivals, axis=-1) - target[:, 0])


def _correct(logits: Array, labels: Array) -> Array:
    return np.asarray(np.isfinite(logits).all(axis=-1) & (np.argmax(logits, axis=-1) == labels))


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
