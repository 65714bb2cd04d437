"""The margins of a batch: by how much the target trails in each sample that a loss is handed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from finallayer.catalog.applying import Applied
from finallayer.expr import GUARDS, MOVES, PICKS, Node, Role, having, through
from finallayer.kinds import LOG_KINDS, PROBABILITY_KINDS
from finallayer.live.observation import Batch

HEADS = having(Role.HEAD)
_LOSSES = having(Role.LOSS)
#: What may stand between a softmax and what reads it.
ROUTE = MOVES | GUARDS | {"log", "neg"}
#: The operations that are worth a look.
MEASURED = HEADS | _LOSSES | PICKS | {"mul"}
KINDS = PROBABILITY_KINDS | LOG_KINDS


class Measuring:
    """The logits that heads and losses are handed, and the margins of those whose labels are.

    ``numbers``: the numbers of a tensor of the framework's as an array; called only of a prediction and its labels.
    """

    def __init__(self, numbers: Callable[[Any], np.ndarray]) -> None:
        self.batches: list[Batch] = []
        self._numbers = numbers
        self._scores: dict[int, tuple[Node, Any, int]] = {}  # what a head was handed, and along which axis

    def saw(self, made: Node, what: Applied, tensors: Sequence[Any], dtype: str) -> None:
        """An operation was run: a head, which is remembered, or one that brings a prediction and its label together."""
        if made.op in HEADS and tensors:
            axis = what.attrs.get("axis")
            self._scores[id(made)] = made, tensors[0], axis if isinstance(axis, int) else -1
        elif made.op in _LOSSES and len(tensors) > 1:
            self._measure(made, what.args[0], tensors[0], tensors[1], dtype)
        elif made.op in PICKS | {"mul"} and len(tensors) > 1 and any(n.kind in KINDS for n in what.args):
            self._of_formula(made, what, tensors, dtype)

    def _of_formula(self, made: Node, what: Applied, tensors: Sequence[Any], dtype: str) -> None:
        first, last = what.args[0], tensors[-1]
        if first.kind in KINDS:
            self._measure(made, first, None, last, dtype)
        elif made.op == "mul" and what.args[-1].kind in KINDS:
            self._measure(made, what.args[-1], None, tensors[0], dtype)

    def _measure(self, made: Node, prediction: Node, own: Any, label: Any, dtype: str) -> None:
        head = through(prediction, ROUTE)
        if id(head) in self._scores:
            _, given, axis = self._scores[id(head)]
            logits = self._numbers(given)
        elif own is not None:
            logits = self._numbers(own)
            axis = 1 if logits.ndim > 1 else 0
        else:
            return
        labels = self._numbers(label)
        if made.operation.over == "outcome" or head.operation.over == "outcome":
            margins, classes = _of_outcomes(logits, labels), 1
        else:
            margins, classes = _of_classes(np.moveaxis(logits, axis, -1), labels, axis), logits.shape[axis]
        if margins is not None:
            self.batches.append(Batch(made, margins.astype(float), classes, dtype, _is_hard(labels, classes)))


def _is_hard(labels: np.ndarray, classes: int) -> bool:
    """Whether every target is certain."""
    if labels.dtype.kind != "f":
        return True
    return bool(((labels == 0) | (labels == 1)).all()) and (
        classes == 1 or float(labels.sum()) * classes == labels.size
    )


def _of_outcomes(logits: np.ndarray, labels: np.ndarray) -> np.ndarray | None:
    """Of one logit each: by how much it lies on the wrong side."""
    if logits.shape != labels.shape or logits.ndim == 0:
        return None
    return np.where(labels > 0.5, -logits, logits).reshape(-1)


def _of_classes(logits: np.ndarray, labels: np.ndarray, axis: int) -> np.ndarray | None:
    """Of rows of logits: the best other one minus the target's."""
    classes = logits.shape[-1]
    rows = logits.reshape(-1, classes)
    if classes < 2 or not len(rows):
        return None
    if labels.dtype.kind == "f":
        if labels.ndim != logits.ndim or np.moveaxis(labels, axis, -1).shape != logits.shape:
            return None
        labels = np.moveaxis(labels, axis, -1).argmax(-1)
    labels = labels.reshape(-1).astype(np.int64)
    if len(labels) != len(rows):
        return None
    counted = (labels >= 0) & (labels < classes)
    rows, labels = rows[counted], labels[counted, None]
    best = np.partition(rows, classes - 2, axis=-1)[:, -2:]  # the second best, and the best
    of_target: np.ndarray = np.take_along_axis(rows, labels, axis=-1)[:, 0]
    others: np.ndarray = np.where(of_target == best[:, 1], best[:, 0], best[:, 1])
    margins: np.ndarray = others - of_target
    return margins
