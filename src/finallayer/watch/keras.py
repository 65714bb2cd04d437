"""Keras 3: metrics, which see what the model gives, and so reach History, TensorBoard, CSVLogger and others."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
from keras import ops

from finallayer.watch.notices import Notices
from finallayer.watch.quantities import BINS, EDGES, KERAS_CLIP, PREFIX, SHARE, UNNOTICED, Limits, stride

#: A row is one of probabilities where it is nowhere negative and sums to 1, as far as 16 bits know.
SUMS_TO_ONE = 0.02
TINY = 1e-37
FIX = (
    "Rule FL301 (softmax-head): keep softmax in the loss: a last layer without activation, and "
    "`from_logits=True`. `finallayer explain FL301` says why, `finallayer fix` does it."
)


class _Rows(NamedTuple):
    """Logits or probabilities ``(N, C)``, which of each row is the label's, and which rows are probabilities."""

    scores: Any
    own: Any
    probabilities: Any

    def margins(self) -> Any:
        """The best other logit minus the target's; a probability of 0 counts for the smallest number."""
        return self._scale(self._of_others(ops.max)) - self._scale(self._target())

    def odds(self) -> Any:
        """The log-odds against the target: positive where it trails all others together."""
        others = ops.where(self.own, -float("inf"), self.scores)
        rest = ops.where(self.probabilities, _log(self._of_others(ops.sum)), ops.logsumexp(others, axis=-1))
        return rest - self._scale(self._target())

    def _target(self) -> Any:
        return ops.sum(ops.where(self.own, self.scores, 0.0), axis=-1)

    def _of_others(self, reduce: Callable[..., Any]) -> Any:
        return reduce(ops.where(self.own, 0.0 if reduce is ops.sum else -float("inf"), self.scores), axis=-1)

    def _scale(self, scores: Any) -> Any:
        """A logit, or what is one up to a number that all have in common."""
        return ops.where(self.probabilities, _log(scores), scores)


def _log(probability: Any) -> Any:
    return ops.log(ops.maximum(probability, TINY))


class _OfRows(keras.metrics.Metric):  # type: ignore[misc]
    """What the metrics have in common: each counts something of the rows' log-odds against the target, and margins.

    ``from_logits``: whether the model gives logits; by default each batch shows it. ``loss``: what the model is trained
    by, to be probed for its limits; by default Keras' cross-entropy, which clips probabilities at 1e-7, except where
    TensorFlow's backend still knows the softmax's logits. ``share``: of the samples of a large batch that are
    measured, evenly spread; 1 for all.
    """

    def __init__(
        self,
        name: str,
        from_logits: bool | None = None,
        loss: Callable[..., Any] | None = None,
        share: float = SHARE,
    ) -> None:
        super().__init__(name=name)
        self.from_logits, self.share, self.loss = from_logits, share, loss
        self._probed = _probed(loss) if loss is not None else None
        self.samples = self.add_weight(name="samples", shape=(), initializer="zeros")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:  # noqa: ARG002 (all count alike)
        """Count a batch: labels of shape ``(N,)``, ``(N, 1)`` or one-hot ``(N, C)``, predictions ``(N, C)``."""
        logits = _remembered(y_pred)
        scores = y_pred if logits is None else logits
        classes = scores.shape[-1]
        labels = ops.convert_to_tensor(y_true)
        if len(labels.shape) == len(scores.shape) and labels.shape[-1] == classes:
            labels = ops.argmax(labels, axis=-1)
        z = ops.cast(self._some(ops.reshape(scores, (-1, classes)), classes), "float32")
        y = self._some(ops.cast(ops.reshape(labels, (-1,)), "int32"), classes)
        self.samples.assign_add(ops.sum(ops.ones_like(z[:, 0])))
        self._count(_Rows(z, ops.one_hot(y, classes, dtype="bool"), self._are_probabilities(z, logits is not None)))

    def _are_probabilities(self, z: Any, known_logits: bool) -> Any:
        """Which rows are: all of a batch, or none, since a row of logits may by chance look like one."""
        if known_logits or self.from_logits is not None:
            return ops.full_like(z[:, 0], not (known_logits or self.from_logits), dtype="bool")
        each = (ops.min(z, axis=-1) >= 0) & (ops.abs(ops.sum(z, axis=-1) - 1) < SUMS_TO_ONE)
        return ops.broadcast_to(ops.all(each), ops.shape(each))

    def _limit(self, name: str, rows: _Rows) -> Any:
        """From which log-odds on, either way, each row is lost."""
        if self._probed is not None:
            return getattr(self._probed, name)
        return ops.where(rows.probabilities, KERAS_CLIP, getattr(Limits(), name))

    def _count(self, rows: _Rows) -> None:
        raise NotImplementedError

    def _some(self, values: Any, classes: int) -> Any:
        """Some of a large batch, evenly spread."""
        batch = values.shape[0]
        if batch is not None:
            return values[:: stride(batch * classes, self.share)]
        most = stride(sys.maxsize, self.share)
        spread = values[:: ops.clip(ops.shape(values)[0] * classes // UNNOTICED, 1, most)]
        return ops.reshape(spread, (-1, *values.shape[1:]))  # TensorFlow forgets the shape

    def get_config(self) -> dict[str, Any]:
        """What the metric is made of again; a loss isn't kept."""
        return {"name": self.name, "from_logits": self.from_logits, "share": self.share}


class _Share(_OfRows):
    """The share of samples for which something holds."""

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__(name, **options)
        self.found = self.add_weight(name="found", shape=(), initializer="zeros")

    def result(self) -> Any:
        """The share, 0 to 1."""
        return self.found / ops.maximum(self.samples, 1.0)


class Silenced(_Share):
    """The share of samples that are misclassified past the loss's safe margin: their gradient is 0, or wrong."""

    def __init__(self, name: str = f"{PREFIX}silenced", **options: Any) -> None:
        super().__init__(name, **options)

    def _count(self, rows: _Rows) -> None:
        self.found.assign_add(ops.sum(ops.cast(rows.odds() > self._limit("silenced", rows), "float32")))


class Collapsed(_Share):
    """The share of samples that are classified so confidently that their gradient is exactly 0."""

    def __init__(self, name: str = f"{PREFIX}collapsed", **options: Any) -> None:
        super().__init__(name, **options)

    def _count(self, rows: _Rows) -> None:
        self.found.assign_add(ops.sum(ops.cast(-rows.odds() > self._limit("collapsed", rows), "float32")))


class Margin(_OfRows):
    """A quantile of the margins: the best other logit minus the target's, in nats, from a histogram of 64 bins."""

    def __init__(self, q: float = 0.5, name: str | None = None, **options: Any) -> None:
        super().__init__(name or f"{PREFIX}margin_p{100 * q:.0f}", **options)
        if not 0 < q < 1:
            raise ValueError(f"q: expected a share between 0 and 1, not {q!r}")
        self.q = q
        self.histogram = self.add_weight(name="histogram", shape=(BINS,), initializer="zeros")

    def _count(self, rows: _Rows) -> None:
        above = ops.cast(rows.margins()[:, None] > ops.convert_to_tensor(EDGES, dtype="float32"), "int32")
        self.histogram.assign_add(ops.sum(ops.one_hot(ops.sum(above, axis=-1), BINS, dtype="float32"), axis=0))

    def result(self) -> Any:
        """The quantile, in nats, read off the histogram; 0 where nothing was counted."""
        counts = ops.convert_to_tensor(self.histogram)
        below = ops.cumsum(counts)
        wanted = self.q * below[-1]
        at = ops.sum(ops.cast(below < wanted, "int32"))
        edges = ops.convert_to_tensor((EDGES[0], *EDGES, EDGES[-1]), dtype="float32")
        count = ops.take(counts, at)
        share = (wanted - (ops.take(below, at) - count)) / ops.maximum(count, 1.0)
        low, high = ops.take(edges, at), ops.take(edges, at + 1)
        return ops.where(below[-1] > 0, low + (high - low) * share, 0.0)

    def get_config(self) -> dict[str, Any]:
        """What the metric is made of again."""
        return {**super().get_config(), "q": self.q}


class FinalLayer(keras.callbacks.Callback):  # type: ignore[misc]
    """Says once, after an epoch, that samples are silenced, and what to do; the metrics have to be the model's."""

    def __init__(self) -> None:
        super().__init__()
        self._notices = Notices(FIX)

    def on_epoch_end(self, _epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Look at the epoch's logs."""
        self._notices.after_epoch({name: float(value) for name, value in (logs or {}).items() if PREFIX in name})


def _remembered(prediction: Any) -> Any:
    """The logits that TensorFlow's backend knows of a prediction, and reads in the loss's place, if it does."""
    if keras.backend.backend() != "tensorflow" or keras.backend.standardize_dtype(prediction.dtype) != _floatx():
        return None
    return getattr(prediction, "_keras_logits", None)


def _floatx() -> str:
    return str(keras.config.floatx())


def _probed(loss: Callable[..., Any]) -> Limits:
    from finallayer.probing import probe

    return Limits.of(probe(loss, framework="keras"))
