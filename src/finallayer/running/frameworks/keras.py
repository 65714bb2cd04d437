"""Keras 3, on each backend: what ``fit`` logs, and after each epoch what the model makes of some of its samples."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import keras
import numpy as np

from finallayer.live.replacing import replaced
from finallayer.running.ledger import Ledger
from finallayer.running.samples import Samples, class_indices, look_like_probabilities, of_classes, of_outcomes

#: As many samples are looked at, so many at a time.
SAMPLES, AT_ONCE = 1024, 256
#: The loss is audited on as many.
AUDITED = 32


@contextmanager
def around(ledger: Ledger, _module: str) -> Iterator[None]:
    """Inside, every ``fit`` has one more callback, and what ``evaluate`` gives is logged."""
    with (
        replaced(keras.Model, "fit", partial(_fitting, ledger)),
        replaced(keras.Model, "evaluate", partial(_evaluating, ledger)),
    ):
        yield


@contextmanager
def _at_work(ledger: Ledger) -> Iterator[bool]:
    """While Keras trains or evaluates by itself; whether nobody did before."""
    before, ledger.trainer = ledger.trainer, "keras"
    try:
        yield before is None
    finally:
        ledger.trainer = before


def _fitting(ledger: Ledger, original: Callable[..., Any]) -> Callable[..., Any]:
    def fit(self: Any, *args: Any, **kwargs: Any) -> Any:
        given = inspect.signature(original).bind(self, *args, **kwargs).arguments
        with _at_work(ledger) as alone:
            if not alone:
                return original(self, *args, **kwargs)
            look = _Look(ledger, *_split(given))
            callbacks: Any = given.get("callbacks") or []
            if isinstance(callbacks, keras.callbacks.CallbackList):
                callbacks.append(look)
            else:
                callbacks = [*(callbacks if isinstance(callbacks, (list, tuple)) else [callbacks]), look]
            given["callbacks"] = callbacks
            return original(given.pop("self"), **given)

    return fit


def _evaluating(ledger: Ledger, original: Callable[..., Any]) -> Callable[..., Any]:
    def evaluate(self: Any, *args: Any, **kwargs: Any) -> Any:
        with _at_work(ledger) as alone:
            given = original(self, *args, **kwargs)
            if alone and ledger.began:
                ledger.log({f"test_{name}": value for name, value in self.get_metrics_result().items()})
        return given

    return evaluate


def _split(given: Mapping[str, Any]) -> tuple[Any, Any]:
    """Some samples of what a model is fitted to, and some that it is validated on; None where nothing is known."""
    x, y, share = given.get("x"), given.get("y"), given.get("validation_split") or 0.0
    aside = given.get("validation_data")
    if share and aside is None and y is not None:
        at = int(len(y) * (1 - share))
        fitted, validated = slice(0, at), slice(at, None)
        return _some(_rows(x, fitted), y[fitted]), _some(_rows(x, validated), y[validated])
    return _some(x, y), _some(*aside[:2]) if isinstance(aside, (tuple, list)) else _some(aside, None)


def _rows(x: Any, which: slice) -> Any:
    return keras.tree.map_structure(lambda a: a[which], x)


def _some(x: Any, y: Any) -> tuple[Any, Any] | None:
    """As many of the samples as are looked at, evenly spread; None of what can't be read twice."""
    try:
        if y is None:
            inputs, labels = zip(*_batches(x), strict=True)
            x, y = keras.tree.map_structure(_joined, *inputs), _joined(*labels)
        if not isinstance(y, np.ndarray):
            y = keras.ops.convert_to_numpy(y) if hasattr(y, "device") else np.asarray(y)
        at = np.unique(np.linspace(0, len(y) - 1, min(SAMPLES, len(y))).astype(int))
        return keras.tree.map_structure(lambda a: np.asarray(a)[at], x), y[at]
    except (TypeError, ValueError, IndexError, AttributeError, RuntimeError):
        return None


def _batches(data: Any) -> Iterator[tuple[Any, Any]]:
    """The first batches of what can be read twice: a data set of TensorFlow's, or of Keras' own."""
    seen = 0
    if isinstance(data, keras.utils.PyDataset):
        batches: Any = (data[i] for i in range(len(data)))
    elif hasattr(data, "element_spec"):
        batches = iter(data)
    else:
        return
    for batch in batches:
        x, y = batch[:2]
        yield x, y
        seen += len(y)
        if seen >= SAMPLES:
            return


def _joined(*parts: Any) -> Any:
    return np.concatenate([np.asarray(part) for part in parts])


class _Look(keras.callbacks.Callback):  # type: ignore[misc]
    """Writes each epoch into the ledger."""

    def __init__(self, ledger: Ledger, fitted: Any, aside: Any) -> None:
        super().__init__()
        self._ledger, self._fitted, self._aside = ledger, fitted, aside
        self._steps = 0
        if fitted is None:
            ledger.note("the samples of a Keras fit that can't be read twice were not measured")

    def on_epoch_begin(self, *_args: Any, **_logs: Any) -> None:
        self._steps = 0
        if self._ledger.in_epoch:
            self._ledger.end_epoch()

    def on_train_batch_end(self, *_args: Any, **_logs: Any) -> None:
        self._steps += 1

    def on_epoch_end(self, _epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        ledger = self._ledger
        if ledger.audit is None and self._fitted is not None:
            self._audit()
        ledger.step(self._samples(self._fitted), self._steps)
        aside = self._samples(self._aside)
        if aside is not None:
            ledger.held_out(aside)
        ledger.log(logs or {})

    def _audit(self) -> None:
        from finallayer.running.first_loss import audited

        x, y = _rows(self._fitted, slice(0, AUDITED))
        audited(self._ledger, str(self.model.compute_dtype), self.model, x, y)

    def _samples(self, data: Any) -> Samples | None:
        """What the model makes of samples; None where it isn't a classifier's."""
        if data is None:
            return None
        x, y = data
        scores = _scores(self.model, x, len(y))
        if scores is None:
            self._ledger.note("a Keras model of several outputs was not measured")
            return None
        return _measured(*scores, np.asarray(y))


def _measured(scores: Any, are_probabilities: bool | None, y: Any) -> Samples | None:
    if scores.ndim > 2 and y.ndim == scores.ndim - 1:
        scores, y = scores.reshape(-1, scores.shape[-1]), y.reshape(-1)
    if scores.ndim == 2 and scores.shape[1] > 1 and (labels := class_indices(y, scores.shape[1])) is not None:
        known = look_like_probabilities(scores) if are_probabilities is None else are_probabilities
        return of_classes(scores, labels, known)
    if scores.size == y.size and np.isin(y, (0, 1)).all():
        known = bool((scores >= 0).all() and (scores <= 1).all()) if are_probabilities is None else are_probabilities
        return of_outcomes(scores.reshape(-1), y.reshape(-1), known)
    return None


def _scores(model: Any, x: Any, count: int) -> tuple[Any, bool | None] | None:
    """What a model gives for samples, or the logits behind it, and whether that is probabilities (None: who knows)."""
    logits: list[Any] = []
    given: list[Any] = []
    with _remembering() as heads, _without_gradients():
        for start in range(0, count, AT_ONCE):
            heads.clear()
            out = model(_rows(x, slice(start, start + AT_ONCE)), training=False)
            if keras.tree.is_nested(out):
                return None
            out = keras.ops.convert_to_numpy(keras.ops.cast(out, "float32"))
            given.append(out)
            logits += [z for z, p in heads if p.shape == out.shape and np.array_equal(p, out, equal_nan=True)][-1:]
    if len(logits) == len(given):
        return np.concatenate(logits), False
    return np.concatenate(given), None


@contextmanager
def _remembering() -> Iterator[list[tuple[Any, Any]]]:
    """What each softmax and sigmoid was handed, and gave."""
    heads: list[tuple[Any, Any]] = []
    functions = keras.src.backend.nn

    def remembering(original: Callable[..., Any]) -> Callable[..., Any]:
        def head(x: Any, *args: Any, **kwargs: Any) -> Any:
            given = original(x, *args, **kwargs)
            heads.append(tuple(keras.ops.convert_to_numpy(keras.ops.cast(t, "float32")) for t in (x, given)))
            return given

        return head

    with replaced(functions, "softmax", remembering), replaced(functions, "sigmoid", remembering):
        yield heads


@contextmanager
def _without_gradients() -> Iterator[None]:
    if keras.backend.backend() != "torch":
        yield
        return
    import torch

    with torch.no_grad():
        yield
