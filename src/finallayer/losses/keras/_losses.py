"""Keras' loss classes on logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops
from keras.src.backend import get_keras_mask  # which rows count, as Keras' own losses ask; has no public name
from keras.src.losses.loss import reduce_weighted_values  # the end of every Keras loss; has no public name

from finallayer.losses.keras import _functions as functions
from finallayer.losses.keras._heads import check_head

Tensor = Any  # a tensor of the backend

_PACKAGE = "finallayer"


class _LogitsLoss(keras.losses.Loss):  # type: ignore[misc]  # Keras is untyped
    """A loss on logits: what its subclasses share.

    Losses are computed, weighted and averaged in float32 at least, and rounded to ``dtype`` at the end.

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
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        functions.check_options(from_logits, label_smoothing)
        self.label_smoothing = label_smoothing
        self.axis = axis

    def __call__(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> Tensor:
        check_head(y_pred, type(self).__name__)
        in_mask = get_keras_mask(y_pred)
        with keras.name_scope(self.name):
            losses = self.call(self._targets(y_true), ops.convert_to_tensor(y_pred, dtype=self.dtype))
            masks = [mask for mask in (in_mask, get_keras_mask(losses)) if mask is not None]
            mask = None if not masks else masks[0] if len(masks) == 1 else masks[0] & masks[1]
            loss = reduce_weighted_values(losses, sample_weight, mask, self.reduction, losses.dtype)
            return ops.cast(loss, self.dtype)

    def _targets(self, y_true: Tensor) -> Tensor:
        """``y_true`` as a tensor."""
        return ops.convert_to_tensor(y_true, dtype=self.dtype)

    def get_config(self) -> dict[str, Any]:
        own = {"from_logits": True, "label_smoothing": self.label_smoothing, "axis": self.axis, "dtype": self.dtype}
        return {**super().get_config(), **own}


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
        super().__init__(from_logits, label_smoothing, axis, reduction, name, dtype)
        self.ignore_class = ignore_class

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return functions.sparse_categorical_crossentropy(
            y_true, y_pred, ignore_class=self.ignore_class, axis=self.axis, label_smoothing=self.label_smoothing
        )

    def _targets(self, y_true: Tensor) -> Tensor:
        return functions.as_labels(y_true)  # in 16 bits, a class above 256 would become another one

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "ignore_class": self.ignore_class}


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
        super().__init__(from_logits, label_smoothing, axis, reduction, name, dtype)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return functions.categorical_crossentropy(y_true, y_pred, label_smoothing=self.label_smoothing, axis=self.axis)


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
        super().__init__(from_logits, label_smoothing, axis, reduction, name, dtype)
        self.alpha = alpha
        self.gamma = gamma

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return functions.categorical_focal_crossentropy(
            y_true, y_pred, self.alpha, self.gamma, label_smoothing=self.label_smoothing, axis=self.axis
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "alpha": self.alpha, "gamma": self.gamma}


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
        super().__init__(from_logits, label_smoothing, axis, reduction, name, dtype)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return functions.binary_crossentropy(y_true, y_pred, label_smoothing=self.label_smoothing, axis=self.axis)


@keras.saving.register_keras_serializable(_PACKAGE)
class BinaryFocalCrossentropy(_LogitsLoss):
    """Binary focal cross-entropy of logits: each element's loss times ``(1 - p)**gamma``, averaged over ``axis``.

    ``p`` is the probability that the model gives the target. ``y_true`` and ``y_pred`` as for `BinaryCrossentropy`.

    Args:
        apply_class_balancing: whether to weigh the positive side with ``alpha``, the other with ``1 - alpha``.
        alpha: see there.
        gamma: the focus on badly classified elements, >= 0.
        label_smoothing: the share in [0, 1] of the target that is moved to one half.
        from_logits, axis, reduction, name, dtype: see `keras.losses.BinaryFocalCrossentropy`.

    References:
        https://keras.io/api/losses/probabilistic_losses/#binaryfocalcrossentropy-class,
        https://arxiv.org/abs/1708.02002
    """

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = True,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "binary_focal_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(from_logits, label_smoothing, axis, reduction, name, dtype)
        self.apply_class_balancing = apply_class_balancing
        self.alpha = alpha
        self.gamma = gamma

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return functions.binary_focal_crossentropy(
            y_true,
            y_pred,
            self.apply_class_balancing,
            self.alpha,
            self.gamma,
            label_smoothing=self.label_smoothing,
            axis=self.axis,
        )

    def get_config(self) -> dict[str, Any]:
        own = {"apply_class_balancing": self.apply_class_balancing, "alpha": self.alpha, "gamma": self.gamma}
        return {**super().get_config(), **own}
