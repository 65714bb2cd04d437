"""Keras' loss functions on logits: what each row of ``y_pred`` costs, before weights and reduction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from keras.src.backend import set_keras_mask  # how a loss tells Keras which rows to count; has no public name

from finallayer.losses.keras import _rows as rows

Tensor = Any  # a tensor of the backend, or what becomes one


def sparse_categorical_crossentropy(
    y_true: Tensor,
    y_pred: Tensor,
    from_logits: bool = True,
    ignore_class: int | None = None,
    axis: int = -1,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Cross-entropy of logits against classes, in nats.

    Args:
        y_true: classes, shape (...), or with a class axis of length 1.
        y_pred: logits, shape (..., C).
        from_logits: True; there for callers of the Keras function of the same name.
        ignore_class: rows of this class have loss 0 and gradient 0, and are not counted in a mean.
        axis: of the classes.
        label_smoothing: the share in [0, 1] of the target that is spread over all classes.

    Returns:
        The loss of each row, in the dtype of ``y_pred``, float32 at least.

    Raises:
        ValueError: for shapes that do not fit, and for classes out of range where they are known. In a compiled
            step they are not: there such a row has loss and gradient NaN.

    References:
        https://keras.io/api/losses/probabilistic_losses/#sparse_categorical_crossentropy-function
    """
    check_options(from_logits, label_smoothing)
    z, labels = _logits(y_pred), as_labels(y_true)
    if len(labels.shape) == len(z.shape) and labels.shape[axis] == 1:
        labels = ops.squeeze(labels, axis=axis)
    z = ops.moveaxis(z, axis, -1)
    _check_shapes(labels, z, z.shape[:-1], "up until the class axis")
    counted = None if ignore_class is None else ops.not_equal(labels, ops.cast(ignore_class, labels.dtype))
    if counted is not None:
        labels = ops.where(counted, labels, ops.zeros_like(labels))
        z = ops.where(ops.expand_dims(counted, -1), z, ops.zeros_like(z))
    labels, poison = _in_range(labels, z)
    loss = rows.hard_loss(z, labels, label_smoothing)
    loss = loss if poison is None else loss * poison
    if counted is not None:
        loss = ops.where(counted, loss, ops.zeros_like(loss))
        set_keras_mask(loss, mask=counted)
    return loss


def categorical_crossentropy(
    y_true: Tensor, y_pred: Tensor, from_logits: bool = True, label_smoothing: float = 0.0, axis: int = -1
) -> Tensor:
    """Cross-entropy of logits against class probabilities, in nats.

    Args:
        y_true: class probabilities, shape (..., C).
        y_pred: logits, shape (..., C).
        from_logits: True; there for callers of the Keras function of the same name.
        label_smoothing: the share in [0, 1] of the target that is spread over all classes.
        axis: of the classes.

    Returns:
        The loss of each row, in the dtype of ``y_pred``, float32 at least.

    Raises:
        ValueError: for shapes that do not fit.

    References:
        https://keras.io/api/losses/probabilistic_losses/#categorical_crossentropy-function
    """
    check_options(from_logits, label_smoothing)
    z, q = _logits_and_masses(y_true, y_pred, axis)
    return rows.soft_loss(z, q, label_smoothing)


def categorical_focal_crossentropy(
    y_true: Tensor,
    y_pred: Tensor,
    alpha: float | Sequence[float] = 0.25,
    gamma: float = 2.0,
    from_logits: bool = True,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """Focal cross-entropy of logits, ``sum alpha*p*(1 - x)**gamma*(-log x)``, ``x = softmax(z)``, in nats.

    Args:
        y_true: class probabilities ``p``, shape (..., C).
        y_pred: logits ``z``, shape (..., C).
        alpha: weight of the classes: a number, or one for each class.
        gamma: the focus on badly classified rows, >= 0.
        from_logits: True; there for callers of the Keras function of the same name.
        label_smoothing: the share in [0, 1] of the target that is spread over all classes.
        axis: of the classes.

    Returns:
        The loss of each row, in the dtype of ``y_pred``, float32 at least.

    Raises:
        ValueError: for shapes that do not fit.

    References:
        https://keras.io/api/losses/probabilistic_losses/#categorical_focal_crossentropy-function,
        https://arxiv.org/abs/1708.02002
    """
    check_options(from_logits, label_smoothing)
    z, q = _logits_and_masses(y_true, y_pred, axis)
    weights = ops.convert_to_tensor(alpha, dtype=z.dtype)
    if tuple(weights.shape) not in ((), (1,), (z.shape[-1],)):
        raise ValueError(f"alpha: expected a number, or one for each of {z.shape[-1]} classes, got {alpha}")
    return rows.focal_loss(z, q, gamma, label_smoothing, weights)


def binary_crossentropy(
    y_true: Tensor, y_pred: Tensor, from_logits: bool = True, label_smoothing: float = 0.0, axis: int = -1
) -> Tensor:
    """Binary cross-entropy of logits, in nats, averaged over ``axis``.

    Args:
        y_true: probabilities of the positive class.
        y_pred: logits, of the same shape, or one of the two without a last axis of length 1.
        from_logits: True; there for callers of the Keras function of the same name.
        label_smoothing: the share in [0, 1] of the target that is moved to one half.
        axis: to average over.

    Returns:
        The loss of each row, in the dtype of ``y_pred``, float32 at least.

    Raises:
        ValueError: for shapes that do not fit.

    References:
        https://keras.io/api/losses/probabilistic_losses/#binary_crossentropy-function
    """
    check_options(from_logits, label_smoothing)
    z, y = _logits_and_targets(y_true, y_pred)
    return ops.mean(rows.binary_loss(z, y, label_smoothing), axis=axis)


def binary_focal_crossentropy(
    y_true: Tensor,
    y_pred: Tensor,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = True,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """Binary focal cross-entropy of logits: each element's loss times ``(1 - p)**gamma``, averaged over ``axis``.

    ``p`` is the probability that the model gives the target: ``y*sigmoid(z) + (1 - y)*sigmoid(-z)``.

    Args:
        y_true: probabilities of the positive class.
        y_pred: logits, of the same shape, or one of the two without a last axis of length 1.
        apply_class_balancing: whether to weigh the positive side with ``alpha``, the other with ``1 - alpha``.
        alpha: see there.
        gamma: the focus on badly classified elements, >= 0.
        from_logits: True; there for callers of the Keras function of the same name.
        label_smoothing: the share in [0, 1] of the target that is moved to one half.
        axis: to average over.

    Returns:
        The loss of each row, in the dtype of ``y_pred``, float32 at least.

    Raises:
        ValueError: for shapes that do not fit.

    References:
        https://keras.io/api/losses/probabilistic_losses/#binary_focal_crossentropy-function,
        https://arxiv.org/abs/1708.02002
    """
    check_options(from_logits, label_smoothing)
    z, y = _logits_and_targets(y_true, y_pred)
    loss = rows.binary_focal_loss(z, y, gamma, label_smoothing)
    if apply_class_balancing:
        y = y * (1 - label_smoothing) + 0.5 * label_smoothing
        loss = (y * alpha + (1 - y) * (1 - alpha)) * loss
    return ops.mean(loss, axis=axis)


def check_options(from_logits: bool, label_smoothing: float) -> None:
    """Raise for probabilities, and for a share outside [0, 1]."""
    if not from_logits:
        raise ValueError(
            "this loss takes logits only: expected from_logits=True, and a model without softmax or sigmoid at its end"
        )
    if not 0.0 <= label_smoothing <= 1.0:
        raise ValueError(f"label_smoothing: expected a number in [0, 1], got {label_smoothing}")


def as_labels(y_true: Tensor) -> Tensor:
    """Classes as a tensor, integers as they are: no number becomes another one on the way."""
    if keras.ops.is_tensor(y_true):
        return y_true
    known = np.asarray(y_true)
    if known.dtype.kind in "iu" and known.dtype.itemsize >= 4:  # JAX would wrap what has no place in 32 bits
        limits = np.iinfo(np.int32)
        known = np.clip(known, 0 if known.dtype.kind == "u" else limits.min, limits.max).astype(np.int32)
    return ops.convert_to_tensor(known)


def _logits(y_pred: Tensor) -> Tensor:
    """Logits in the dtype that is computed in: float32, or float64."""
    z = ops.convert_to_tensor(y_pred)
    return z if keras.backend.standardize_dtype(z.dtype) == "float64" else ops.cast(z, "float32")


def _logits_and_masses(y_true: Tensor, y_pred: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    z = _logits(y_pred)
    q = ops.cast(ops.convert_to_tensor(y_true), z.dtype)
    _check_shapes(q, z, z.shape, "")
    return ops.moveaxis(z, axis, -1), ops.moveaxis(q, axis, -1)


def _logits_and_targets(y_true: Tensor, y_pred: Tensor) -> tuple[Tensor, Tensor]:
    z = _logits(y_pred)
    y = ops.cast(ops.convert_to_tensor(y_true), z.dtype)
    if len(z.shape) == len(y.shape) - 1 and y.shape[-1] == 1:
        z = ops.expand_dims(z, -1)
    if len(y.shape) == len(z.shape) - 1 and z.shape[-1] == 1:
        y = ops.expand_dims(y, -1)
    _check_shapes(y, z, z.shape, "")
    return z, y


def _check_shapes(y_true: Tensor, y_pred: Tensor, expected: Any, which: str) -> None:
    """Raise unless ``y_true`` has the ``expected`` shape, as far as both are known."""
    got, wanted = tuple(y_true.shape), tuple(expected)
    if len(got) != len(wanted) or any(None not in (a, b) and a != b for a, b in zip(got, wanted, strict=True)):
        same = f"the same shape {which}".strip()
        raise ValueError(f"y_true and y_pred must have {same}: got {got} and {tuple(y_pred.shape)}")


def _in_range(labels: Tensor, z: Tensor) -> tuple[Tensor, Tensor | None]:
    """Labels, int32, all of them classes, and a factor for each row: NaN where they were not; None if all are known."""
    classes = z.shape[-1]
    known = _known_values(labels)
    if known is not None:
        if known.size and (known.min() < 0 or known.max() >= classes):
            wrong = known.min() if known.min() < 0 else known.max()
            raise ValueError(f"y_true: expected classes in 0..{classes - 1}, got {int(wrong)}")
        return ops.cast(labels, "int32"), None
    if "int" in str(labels.dtype) and "64" not in str(labels.dtype):
        labels = ops.cast(labels, "int64" if "uint32" in str(labels.dtype) else "int32")
    good = ops.logical_and(labels >= 0, labels < classes)
    ones = ops.cast(ops.ones_like(good), z.dtype)
    safe = ops.cast(ops.where(good, labels, ops.zeros_like(labels)), "int32")
    return safe, ops.where(good, ones, float("nan") * ones)


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
