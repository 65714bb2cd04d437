"""How a loss wants to be called: what comes first, what a label looks like, and what it takes for its prediction."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from finallayer.probing.frameworks.framework import Array, Framework, Measured, NotALossError
from finallayer.probing.truths import Sample, Truth, recognised

Takes = Literal["logits", "probabilities", "log-probabilities", "sigmoid-probabilities"]

#: What is put before a loss that takes something else than logits.
HEADS: dict[Takes, str] = {
    "probabilities": "softmax",
    "log-probabilities": "log_softmax",
    "sigmoid-probabilities": "sigmoid",
}
#: Rows on which a loss is tried: classes in turn are the label, led by others and leading; multiples of 1/8.
ROWS = ((0.5, -0.25, 0.125), (1.0, -0.5, 0.75), (-1.25, 0.375, 0.0), (0.25, 1.5, -0.875), (2.0, 0.0, 1.0))
#: As much of an error as one line holds.
LONGEST = 200


class Call(NamedTuple):
    """One way to call a loss."""

    target_first: bool
    label: Literal["index", "one-hot"]
    batch: bool  # a batch of rows, else a single one
    takes: Takes = "logits"

    def __str__(self) -> str:
        prediction = {"sigmoid-probabilities": "probabilities"}.get(self.takes, self.takes)
        label = {"index": "class indices", "one-hot": "one-hot labels"}[self.label]
        names = (label, prediction) if self.target_first else (prediction, label)
        return f"loss({', '.join(names)})" + ("" if self.batch else " of a single row")


class Called(NamedTuple):
    """A loss as a function of rows of logits, and which known loss it is."""

    call: Call
    run: Callable[[Array, Array, str], Measured]  # rows (N, C), labels (N,), dtype
    truth: Truth | None
    by_rows: bool  # it gives a loss for each row


class CallError(ValueError):
    """There is no way known to call the loss."""


def understood(loss: Callable[..., Any], framework: Framework, classes: int) -> Called:
    """The way to call a loss: the first of the usual ones in which it is a known loss, else in which it is a loss.

    Raises :class:`CallError` where there is none, and says what the loss said.
    """
    tries = _Tries(loss, framework, classes)
    some: Called | None = None
    for call in _calls(loss, framework, classes):
        called = tries.called(call)
        if called is not None and called.truth is not None and _suits(call, called.truth):
            return called
        if called is not None and some is None and (call.takes == "logits" or called.truth is not None):
            some = called
    if some is None:
        raise CallError(tries.complaint())
    return some


def _suits(call: Call, truth: Truth) -> bool:
    """Whether it is a sigmoid that is put before a loss of single outcomes, and a softmax before one of classes."""
    return call.takes == "logits" or (call.takes == "sigmoid-probabilities") == truth.binary


def _calls(loss: Callable[..., Any], framework: Framework, classes: int) -> Iterator[Call]:
    first = _names_target_first(loss)
    usual = framework.target_first if first is None else first
    takes: tuple[Takes, ...] = ("logits", "probabilities", "log-probabilities", "sigmoid-probabilities")
    for kind in takes if classes > 1 else ("logits", "sigmoid-probabilities"):
        for batch in (True, False) if framework.single_rows else (True,):
            for target_first in (usual, not usual):
                for label in ("index", "one-hot") if classes > 1 else ("one-hot",):
                    yield Call(target_first, label, batch, kind)


def _names_target_first(loss: Callable[..., Any]) -> bool | None:
    """Whether the first parameter's name is a target's; None where no name says it."""
    try:
        names = [n.lower() for n in inspect.signature(loss).parameters]
    except (TypeError, ValueError):
        return None
    targets = [n in ("y", "label", "labels", "target", "targets", "y_true", "true") for n in names[:2]]
    return targets[0] if targets in ([True, False], [False, True]) else None


class _Tries:
    """The ways tried so far, and what came of them."""

    def __init__(self, loss: Callable[..., Any], framework: Framework, classes: int) -> None:
        self.loss, self.framework, self.classes = loss, framework, classes
        self.said: dict[str, None] = {}

    def called(self, call: Call) -> Called | None:
        """The loss called in this way; None where it can't be, or isn't a loss of its logits."""
        run = runner(self.loss, self.framework, call)
        rows = [np.resize(np.array(row), self.classes) for row in ROWS]
        labels = [k % self.classes for k in range(len(rows))] if self.classes > 1 else [0, 1, 0, 1, 1]
        try:
            dtype = self.framework.tried_in
            samples = [_sample(run, row, label, dtype) for row, label in zip(rows, labels, strict=True)]
            right, wrong = (_sample(run, row, 0, dtype).loss for row in _ends(self.classes))
        except Exception as error:
            said = " ".join([f"{type(error).__name__}:", *str(error).split()])
            self.said.setdefault(f"{call}: {said[:LONGEST].rstrip(':')}")
            return None
        if not all(np.isfinite(s.gradient).all() for s in samples):
            self.said.setdefault(f"{call}: no finite gradient on moderate logits")
            return None
        truth = recognised(samples)
        if truth is None and not right < wrong:
            self.said.setdefault(f"{call}: no less for a label that leads than for one that trails")
            return None
        return Called(call, run, truth, self._by_rows(run, call))

    def _by_rows(self, run: Callable[[Array, Array, str], Measured], call: Call) -> bool:
        if not call.batch:
            return False
        rows = np.array([np.resize(np.array(row), self.classes) for row in ROWS])
        try:
            return run(rows, np.zeros(len(rows), dtype=np.int64), self.framework.tried_in).value.shape[:1] == (
                len(rows),
            )
        except Exception:
            return False

    def complaint(self) -> str:
        said = next((s for s in self.said if NotALossError.__name__ not in s), next(iter(self.said), "nothing"))
        return f"not a loss of logits and labels in any usual way; {said}"


def _ends(classes: int) -> Sequence[Array]:
    """Rows whose class 0 leads, and trails."""
    return [np.array([sign * 4.0] + [0.0] * (classes - 1)) for sign in (1, -1)]


def _sample(run: Callable[[Array, Array, str], Measured], row: Array, label: int, dtype: str) -> Sample:
    got = run(row[None], np.array([label]), dtype)
    if got.value.size not in (1, len(row)):
        raise NotALossError(f"{got.value.size} numbers for one row")
    return Sample(row, label, float(got.value.sum()), got.gradient[0])


def runner(loss: Callable[..., Any], framework: Framework, call: Call) -> Callable[[Array, Array, str], Measured]:
    """The loss, called in this way, as a function of rows of logits, labels and a format."""

    def of_logits(z: Any, target: Any) -> Any:
        prediction = z if call.takes == "logits" else framework.head(HEADS[call.takes], z)
        return loss(target, prediction) if call.target_first else loss(prediction, target)

    made: dict[str, Callable[[Array, Any], Measured]] = {}

    def run(rows: Array, labels: Array, dtype: str) -> Measured:
        measure = made.setdefault(dtype, framework.gradient(of_logits, dtype))
        targets = labels if call.label == "index" else _one_hot(labels, rows.shape[1])
        given = framework.target(targets if call.batch else targets[0], dtype)
        got = measure(rows if call.batch else rows[0], given)
        return got if call.batch else Measured(got.value, got.gradient[None])

    return run


def _one_hot(labels: Array, classes: int) -> Array:
    if classes == 1:
        return np.asarray(1.0 - labels)[:, None]  # label 0 stands for the one class: its logit should be high
    return np.asarray(labels[:, None] == np.arange(classes), dtype=np.float64)
