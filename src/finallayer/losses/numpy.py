"""XentLogits for NumPy: cross-entropy of logits and its gradient, computed in float64 and rounded once.

The arguments are those of ``torch.nn.functional.cross_entropy`` and its binary twin, with the classes on the
last axis.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from finallayer.losses import _xent_logits as xent

Array = NDArray[Any]
Reduction = Literal["mean", "sum", "none"]

_BLOCK = 1 << 18  # elements worked on at a time: the temporaries of a block stay in cache


class LossAndGradient(NamedTuple):
    """A loss in nats and its gradient with respect to the logits."""

    loss: Array
    gradient: Array


def cross_entropy(
    logits: ArrayLike,
    target: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
) -> Array:
    """Cross-entropy of logits, in nats: `cross_entropy_and_gradient` without the gradient."""
    rows = _Rows.of(logits, target, weight, ignore_index, label_smoothing)
    loss = np.empty(len(rows.count))
    for block in rows.blocks():
        loss[block] = rows.loss_and_gradient(block, z_loss)[0]
    return rows.reduced(loss, reduction)


def cross_entropy_and_gradient(
    logits: ArrayLike,
    target: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    upstream: ArrayLike = 1.0,
) -> LossAndGradient:
    """Cross-entropy of logits, in nats, and its gradient with respect to the logits.

    Args:
        logits: shape (..., C), any float dtype. -inf marks a masked class.
        target: classes, integers of shape (...), or class probabilities of shape (..., C).
        weight: of the classes, shape (C,); 1 by default.
        ignore_index: rows with this target have loss 0 and gradient 0, and are not counted by "mean".
        reduction: "mean" divides the sum by the targets' weights (classes) or the number of rows
            (probabilities), and gives 0 where that is 0; "sum"; "none" keeps shape (...).
        label_smoothing: the share in [0, 1] of the target that is spread over all classes.
        z_loss: adds ``z_loss*logsumexp(z)**2`` to the loss of each counted row.
        upstream: the gradient of what follows with respect to the loss: a scalar, or with "none" of shape
            (...).

    Returns:
        The loss, and the gradient of shape (..., C), both in the dtype of the logits, rounded once from
        float64. A row whose target is masked has loss +inf, and the gradient -1 at the target.

    Raises:
        ValueError: for shapes that do not fit, an unknown reduction, or a target class out of range.

    References:
        https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.cross_entropy.html (arguments),
        https://arxiv.org/abs/2204.02311 section 5 (z-loss).
    """
    rows = _Rows.of(logits, target, weight, ignore_index, label_smoothing)
    scale = _row_scale(reduction, rows.count.sum(), upstream, rows.shape[:-1]).reshape(-1)
    loss, gradient = np.empty(len(rows.count)), np.empty_like(rows.logits)
    for block in rows.blocks():
        loss[block], row_gradient = rows.loss_and_gradient(block, z_loss)
        gradient[block] = np.where(rows.counted[block, None], row_gradient * scale[block, None], 0.0)
    return LossAndGradient(rows.reduced(loss, reduction), gradient.reshape(rows.shape))


def binary_cross_entropy_with_logits(
    logits: ArrayLike,
    target: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    pos_weight: ArrayLike | None = None,
    reduction: Reduction = "mean",
) -> Array:
    """Binary cross-entropy of logits, in nats; see `binary_cross_entropy_with_logits_and_gradient`."""
    return binary_cross_entropy_with_logits_and_gradient(
        logits, target, weight=weight, pos_weight=pos_weight, reduction=reduction
    ).loss


def binary_cross_entropy_with_logits_and_gradient(
    logits: ArrayLike,
    target: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    pos_weight: ArrayLike | None = None,
    reduction: Reduction = "mean",
    upstream: ArrayLike = 1.0,
) -> LossAndGradient:
    """Binary cross-entropy of logits, in nats, and its gradient with respect to the logits.

    Args:
        logits: any shape, any float dtype.
        target: probabilities of the positive class, the logits' shape.
        weight: of the elements, broadcast to the logits' shape; 1 by default.
        pos_weight: of the positive side, broadcast to the logits' shape; 1 by default.
        reduction: "mean" over the elements (0 where there are none), "sum" or "none".
        upstream: the gradient of what follows with respect to the loss: a scalar, or with "none" of the
            logits' shape.

    Returns:
        The loss, and the gradient of the logits' shape, both in the dtype of the logits, rounded once from
        float64.

    Raises:
        ValueError: for shapes that do not fit or an unknown reduction.

    References:
        https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.binary_cross_entropy_with_logits.html
    """
    logits, y = _floating(logits), np.asarray(target, np.float64)
    if y.shape != logits.shape:
        raise ValueError(f"target: expected the logits' shape {logits.shape}, got {y.shape}")
    w = 1.0 if weight is None else np.asarray(weight, np.float64)
    v = 1.0 if pos_weight is None else np.asarray(pos_weight, np.float64)
    z = logits.astype(np.float64)
    scale = _row_scale(reduction, logits.size, upstream, logits.shape)
    with np.errstate(all="ignore"):
        loss = _reduced(w * xent.binary_loss(np, z, y, v), reduction, logits.size)
        gradient = scale * w * xent.binary_gradient(np, z, y, v)
        return LossAndGradient(loss.astype(logits.dtype), gradient.astype(logits.dtype))


@dataclass(frozen=True)
class _Rows:
    """Logits and targets of cross-entropy, row by row."""

    shape: tuple[int, ...]
    logits: Array  # shape (rows, C)
    target: Array  # classes, shape (rows,), or probabilities, shape (rows, C)
    class_weight: Array  # shape (C,)
    label_smoothing: float
    counted: Array  # whether a row counts, shape (rows,)
    count: Array  # by how much it does in a mean, shape (rows,)

    @classmethod
    def of(
        cls,
        logits: ArrayLike,
        target: ArrayLike,
        weight: ArrayLike | None,
        ignore_index: int,
        label_smoothing: float,
    ) -> _Rows:
        logits, target = _floating(logits), np.asarray(target)
        shape = logits.shape
        if logits.ndim == 0 or shape[-1] == 0:
            raise ValueError(f"logits: expected shape (..., C) with at least one class, got {shape}")
        classes = shape[-1]
        class_weight = np.ones(classes) if weight is None else np.asarray(weight, np.float64)
        if class_weight.shape != (classes,):
            raise ValueError(f"weight: expected one per class, shape ({classes},), got {class_weight.shape}")
        if target.dtype.kind in "iu":
            counted = _counted(target, shape, ignore_index).reshape(-1)
            target = np.where(counted, target.reshape(-1), 0)
            count = np.where(counted, class_weight[target], 0.0)
        elif target.shape != shape:
            raise ValueError(f"target: expected probabilities of the logits' shape {shape}, got {target.shape}")
        else:
            target = target.reshape(-1, classes)
            counted, count = np.ones(len(target), bool), np.ones(len(target))
        return cls(shape, logits.reshape(-1, classes), target, class_weight, label_smoothing, counted, count)

    def blocks(self) -> Iterator[slice]:
        step = max(1, _BLOCK // self.shape[-1])
        return (slice(start, start + step) for start in range(0, len(self.logits), step))

    def loss_and_gradient(self, block: slice, z_loss: float) -> tuple[Array, Array]:
        """Each row's own loss, shape (block,), and its gradient, shape (block, C)."""
        z, q = self.logits[block].astype(np.float64), self._masses(block)
        with np.errstate(all="ignore"):
            parts = xent.softmax_parts(np, z)
            lse = parts.log_sum_exp if z_loss else np.zeros((len(z), 1))
            loss = (xent.soft_loss(np, parts, q) + z_loss * lse**2)[:, 0]
            return np.where(self.counted[block], loss, 0.0), xent.soft_gradient(np, parts, q, 2 * z_loss * lse)

    def reduced(self, loss: Array, reduction: Reduction) -> Array:
        return _reduced(loss.reshape(self.shape[:-1]), reduction, self.count.sum()).astype(self.logits.dtype)

    def _masses(self, block: slice) -> Array:
        """What each class weighs in its row's loss, shape (block, C)."""
        target = self.target[block]
        if target.ndim == 1:
            target = np.arange(self.shape[-1]) == target[:, None]
        smoothing = self.label_smoothing
        masses = (1 - smoothing) * target.astype(np.float64) + smoothing / self.shape[-1]
        return np.asarray(masses * self.class_weight)


def _row_scale(reduction: Reduction, count: float, upstream: ArrayLike, shape: tuple[int, ...]) -> Array:
    """What each row's own gradient is multiplied by, of ``shape``."""
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction: expected 'mean', 'sum' or 'none', got {reduction!r}")
    upstream = np.asarray(upstream, np.float64)
    if upstream.shape not in ((), shape if reduction == "none" else ()):
        raise ValueError(f"upstream: expected a scalar, or with reduction 'none' shape {shape}, got {upstream.shape}")
    if reduction == "mean":
        upstream = upstream / count if count else np.zeros(())
    return np.broadcast_to(upstream, shape)


def _reduced(loss: Array, reduction: Reduction, count: float) -> Array:
    match reduction:
        case "none":
            return loss
        case "sum":
            return np.asarray(loss.sum())
        case "mean":
            return np.asarray(loss.sum() / count if count else 0.0)
    raise ValueError(f"reduction: expected 'mean', 'sum' or 'none', got {reduction!r}")


def _floating(logits: ArrayLike) -> Array:
    logits = np.asarray(logits)
    return logits.astype(np.float64) if logits.dtype.kind in "iub" else logits


def _counted(target: Array, logits_shape: tuple[int, ...], ignore_index: int) -> Array:
    """Which rows' target classes are not ignored; raises if they do not fit the logits."""
    if target.shape != logits_shape[:-1]:
        raise ValueError(f"target: expected classes of shape {logits_shape[:-1]}, got {target.shape}")
    counted = np.asarray(target != ignore_index)
    wrong = counted & ((target < 0) | (target >= logits_shape[-1]))
    if wrong.any():
        where = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(
            f"target: expected classes in 0..{logits_shape[-1] - 1}, or {ignore_index} to ignore a row; "
            f"got {int(target[where])} at {list(where)}"
        )
    return counted
