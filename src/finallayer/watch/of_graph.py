"""The prediction and the labels behind a PyTorch loss tensor, as its autograd graph has saved them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch

#: As many nodes above a softmax are looked at.
MOST_NODES = 64
_HEADS = {"LogSoftmaxBackward0": False, "SoftmaxBackward0": True}
_BINARY = {"BinaryCrossEntropyWithLogitsBackward0": False, "BinaryCrossEntropyBackward0": True}
_LABELS = {
    "NllLossBackward0": "_saved_target",
    "NllLoss2DBackward0": "_saved_target",
    "GatherBackward0": "_saved_index",
    "IndexBackward0": "_saved_indices",
    "MulBackward0": "_saved_other _saved_self",
}
#: Axes are saved as unsigned numbers of 64 bits.
WRAPS = 2**64


class Prediction(NamedTuple):
    """Rows of log-probabilities, or of probabilities, ``(N, C)``, and class indices ``(N,)``; or of an outcome each,
    ``(N,)``, and whether it came about. ``node``: the node of the graph that knows the gradient of the logits.
    """

    scores: torch.Tensor
    target: torch.Tensor
    are_probabilities: bool
    node: Any = None


def prediction(loss: torch.Tensor, *, deepest: bool = False) -> Prediction | None:
    """The softmax nearest to a loss, and the labels it was picked by; None where the graph doesn't show both.

    ``deepest``: where the softmax is handed another softmax's result, that one: the model's own.
    """
    labels: list[torch.Tensor] = []
    for node, name in _nodes(loss):
        if name in _HEADS:
            while deepest and (inner := node.next_functions[0][0]) is not None and inner.name() in _HEADS:
                node, name = inner, inner.name()
            rows = node._saved_result.movedim(along(node), -1)
            for label in labels:
                target = _indices(label, rows)
                if target is not None:
                    return Prediction(rows.reshape(-1, rows.shape[-1]), target, _HEADS[name], node)
            return None
        for field in _LABELS.get(name, "").split():
            saved = getattr(node, field, None)
            each = saved[::-1] if isinstance(saved, tuple) else (saved,)  # rows are counted before classes
            labels += [t for t in each if isinstance(t, torch.Tensor)]
    return None


def along(node: Any) -> int:
    """The axis of a softmax's node."""
    axis: int = node._saved_dim
    return axis - WRAPS if axis >= WRAPS // 2 else axis


def outcomes(loss: torch.Tensor) -> Prediction | None:
    """What the binary cross-entropy nearest to a loss was handed, or the sigmoid before it; None where the graph shows
    none."""
    for node, name in _nodes(loss):
        if name in _BINARY:
            target = node._saved_target.reshape(-1)
            inner = node.next_functions[0][0]
            if inner is not None and inner.name() == "SigmoidBackward0":
                return Prediction(inner._saved_result.reshape(-1), target, True, inner)
            return Prediction(node._saved_self.reshape(-1), target, _BINARY[name], node)
    return None


def _nodes(loss: torch.Tensor) -> Iterator[tuple[Any, str]]:
    """What the loss is made of, the nearest first."""
    waiting = [loss.grad_fn]
    for node in waiting:
        if node is None:
            continue
        yield node, node.name()
        if len(waiting) < MOST_NODES:
            waiting += [before for before, _ in node.next_functions]


def _indices(label: torch.Tensor, rows: torch.Tensor) -> torch.Tensor | None:
    """A class index a row, out of what a loss was picked by: indices, or a distribution like the rows."""
    count = rows.numel() // rows.shape[-1]
    if label.shape == rows.shape:
        return label.argmax(-1).reshape(-1)
    return label.reshape(-1) if label.numel() == count and label.dtype == torch.int64 else None
