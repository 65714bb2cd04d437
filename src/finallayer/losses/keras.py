"""XentLogits for Keras, on every backend: Keras' classification losses, on logits, exact at both ends.

Same names and arguments as ``keras.losses``, and real ``keras.losses.Loss`` subclasses: serializable, with
sample weights and masks. They take logits only. A model that ends in softmax or sigmoid is refused when its
training step is traced (on the torch backend: at its first step), by looking at what made ``y_pred``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops
from keras.src.backend import set_keras_mask  # how a loss tells Keras which rows to count; has no public name

from finallayer.losses import _keras_rows as rows
from finallayer.losses._keras_heads import probability_operation

Tensor = Any  # a tensor of the backend

_PACKAGE = "finallayer"


class _LogitsLoss(keras.losses.Loss):  # type: ignore[misc]  # Keras is untyped
    """A loss on logits: what its subclasses share.

    Args:
        from_logits: True; there for callers of the Keras loss of the same name.
        axis: of the classes.
        reduction, name, dtype: see `keras.losses.Loss`.

    Raises:
        ValueError: if ``from_logits`` is False; and when called, if softmax or sigmoid made the logits.
    """

    def __init__(
        self,
        from_logits: bool = True,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        if not from_logits:
            raise ValueError(
                f"{type(self).__name__} takes logits only: expected from_logits=True, and a model without "
                "softmax or sigmoid at its end"
            )
        self.axis = axis
        self._head_is_known = False

    def __call__(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> Tensor:
        self._check_head(y_pred)
        return super().__call__(y_true, y_pred, sample_weight)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "from_logits": True, "axis": self.axis, "dtype": self.dtype}

    def _check_head(self, y_pred: Tensor) -> None:
        if self._head_is_known:
            return
        operation = probability_operation(y_pred)
        if operation is not None:
            raise ValueError(
                f"{type(self).__name__} takes logits, but the model's output is made by {operation}. Remove "
                f"that activation from the model's last layer (activation=None), and apply {operation} to "
                "predictions where probabilities are wanted."
            )
        # The torch backend comes by at every step. The model is the same one.
        self._head_is_known = getattr(y_pred, "grad_fn", None) is not None


@keras.saving.register_keras_serializable(_PACKAGE)
class SparseCategoricalCrossentropy(_LogitsLoss):
    """Cross-entropy of logits against classes, in nats.

    ``y_true``: classes, shape (...), or with a class axis of length 1. ``y_pred``: logits, shape (..., C).

    Args:
        ignore_class: rows of this class have loss 0 and gradient 0, and are not counted in a mean.
        label_smoothing: the share in [0, 1] of the target that is spread over all classes.
        from_logits, axis, reduction, name, dtype: see `keras.losses.SparseCategoricalCrossentropy`.

    Raises:
        ValueError: when called, for classes out of range where they are known. In a compiled step they are
            not: there such a row gives NaN.

    References:
        https://keras.io/api/losses/probabilistic_losses/#sparsecategoricalcrossentropy-class
    """

    def __init__(
        self,
        from_logits: bool = True,
        ignore_class: int | None = None,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "sparse_categorical_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(from_logits, axis, reduction, name, dtype)
        self.ignore_class = ignore_class
        self.label_smoothing = label_smoothing

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        if len(y_true.shape) == len(y_pred.shape) and y_true.shape[self.axis] == 1:
            y_true = ops.squeeze(y_true, axis=self.axis)
        z = ops.moveaxis(y_pred, self.axis, -1)
        labels = ops.cast(y_true, "int32")
        counted = None if self.ignore_class is None else ops.not_equal(labels, self.ignore_class)
        if counted is not None:
            labels = ops.where(counted, labels, ops.zeros_like(labels))
            z = ops.where(ops.expand_dims(counted, -1), z, ops.zeros_like(z))
        classes = z.shape[-1]
        _check_range(labels, classes)
        if self.label_smoothing:
            in_range = ops.logical_and(labels >= 0, labels < classes)
            q = _smoothed(ops.one_hot(labels, classes, dtype=z.dtype), self.label_smoothing)
            loss = rows.soft_loss(z, ops.where(ops.expand_dims(in_range, -1), q, float("nan") * ops.ones_like(q)))
        else:
            loss = rows.hard_loss(z, labels)
        if counted is not None:
            loss = ops.where(counted, loss, ops.zeros_like(loss))
            set_keras_mask(loss, mask=counted)
        return loss

    def get_config(self) -> dict[str, Any]:
        own = {"ignore_class": self.ignore_class, "label_smoothing": self.label_smoothing}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(_PACKAGE)
class CategoricalCrossentropy(_LogitsLoss):
    """Cross-entropy of logits against class probabilities, in nats.

    ``y_true``: class probabilities. ``y_pred``: logits. Both of shape (..., C).

    Args:
        label_smoothing: the share in [0, 1] of the target that is spread over all classes.
        from_logits, axis, reduction, name, dtype: see `keras.losses.CategoricalCrossentropy`.

    References:
        https://keras.io/api/losses/probabilistic_losses/#categoricalcrossentropy-class
    """

    def __init__(
        self,
        from_logits: bool = True,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "categorical_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(from_logits, axis, reduction, name, dtype)
        self.label_smoothing = label_smoothing

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        z, p = ops.moveaxis(y_pred, self.axis, -1), ops.moveaxis(y_true, self.axis, -1)
        return rows.soft_loss(z, _smoothed(ops.cast(p, z.dtype), self.label_smoothing))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "label_smoothing": self.label_smoothing}


@keras.saving.register_keras_serializable(_PACKAGE)
class CategoricalFocalCrossentropy(_LogitsLoss):
    """Focal cross-entropy of logits, ``sum alpha*p*(1 - x)**gamma*(-log x)``, ``x = softmax(z)``, in nats.

    ``y_true``: class probabilities ``p``. ``y_pred``: logits. Both of shape (..., C).

    Args:
        alpha: weight of the classes: a number, or one for each class.
        gamma: the focus on badly classified rows, >= 0.
        label_smoothing: the share in [0, 1] of the target that is spread over all classes.
        from_logits, axis, reduction, name, dtype: see `keras.losses.CategoricalFocalCrossentropy`.

    References:
        https://keras.io/api/losses/probabilistic_losses/#categoricalfocalcrossentropy-class,
        https://arxiv.org/abs/1708.02002
    """

    def __init__(
        self,
        alpha: float | Sequence[float] = 0.25,
        gamma: float = 2.0,
        from_logits: bool = True,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "categorical_focal_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(from_logits, axis, reduction, name, dtype)
        self.alpha = alpha
        self.gamma = gamma
        self.label_smoothing = label_smoothing

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        z, p = ops.moveaxis(y_pred, self.axis, -1), ops.moveaxis(y_true, self.axis, -1)
        p = _smoothed(ops.cast(p, z.dtype), self.label_smoothing)
        return rows.focal_loss(z, p * ops.convert_to_tensor(self.alpha, dtype=z.dtype), self.gamma)

    def get_config(self) -> dict[str, Any]:
        own = {"alpha": self.alpha, "gamma": self.gamma, "label_smoothing": self.label_smoothing}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(_PACKAGE)
class BinaryCrossentropy(_LogitsLoss):
    """Binary cross-entropy of logits, in nats, averaged over ``axis``.

    ``y_true``: probabilities of the positive class. ``y_pred``: logits, of the same shape, or one of the two
    without a last axis of length 1.

    Args:
        label_smoothing: the share in [0, 1] of the target that is moved to one half.
        from_logits, axis, reduction, name, dtype: see `keras.losses.BinaryCrossentropy`.

    References:
        https://keras.io/api/losses/probabilistic_losses/#binarycrossentropy-class
    """

    def __init__(
        self,
        from_logits: bool = True,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "binary_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(from_logits, axis, reduction, name, dtype)
        self.label_smoothing = label_smoothing

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        if len(y_pred.shape) == len(y_true.shape) - 1 and y_true.shape[-1] == 1:
            y_pred = ops.expand_dims(y_pred, -1)
        if len(y_true.shape) == len(y_pred.shape) - 1 and y_pred.shape[-1] == 1:
            y_true = ops.expand_dims(y_true, -1)
        y = ops.cast(y_true, y_pred.dtype)
        if self.label_smoothing:
            y = y * (1 - self.label_smoothing) + 0.5 * self.label_smoothing
        return ops.mean(rows.binary_loss(y_pred, y), axis=self.axis)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "label_smoothing": self.label_smoothing}


def _smoothed(p: Tensor, label_smoothing: float) -> Tensor:
    return p * (1 - label_smoothing) + label_smoothing / p.shape[-1] if label_smoothing else p


def _check_range(labels: Tensor, classes: int) -> None:
    known = _known_values(labels)
    if known is None or known.size == 0:
        return
    low, high = int(known.min()), int(known.max())
    if low < 0 or high >= classes:
        raise ValueError(f"y_true: expected classes in 0..{classes - 1}, got {low if low < 0 else high}")


def _known_values(tensor: Tensor) -> Any:
    """As a NumPy array, or None while a step is traced, or where that would wait for an accelerator."""
    match keras.backend.backend():
        case "tensorflow":
            is_known = hasattr(tensor, "numpy")  # symbolic tensors have no such attribute
        case "torch":
            is_known = tensor.device.type == "cpu"
        case _:
            is_known = not type(tensor).__name__.endswith("Tracer")
    return ops.convert_to_numpy(tensor) if is_known else None
