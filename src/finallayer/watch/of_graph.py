"""The prediction and the labels behind a PyTorch loss tensor, as its autograd graph has saved them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch

#: As many nodes above a softmax are looked at.
MOST_NODES = 64
_HEADS = {"LogSoftmaxBackward0": False, "SoftmaxBackward0": True}
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
    """Rows of log-probabilities, or of probabilities, ``(N, C)``, and class indices ``(N,)``."""

    scores: torch.Tensor
    target: torch.Tensor
    are_probabilities: bool


def prediction(loss: torch.Tensor) -> Prediction | None:
    """The softmax nearest to a loss, and the labels it was picked by; None where the graph doesn't show both."""
    labels: list[torch.Tensor] = []
    for node, name in _nodes(loss):
        if name in _HEADS:
            scores, axis = node._saved_result, node._saved_dim
            rows = scores.movedim(axis - WRAPS if axis >= WRAPS // 2 else axis, -1)
            for label in labels:
                target = _indices(label, rows)
                if target is not None:
                    return Prediction(rows.reshape(-1, rows.shape[-1]), target, _HEADS[name])
            return None
        for field in _LABELS.get(name, "").split():
            saved = getattr(node, field, None)
            each = saved[::-1] if isinstance(saved, tuple) else (saved,)  # rows are counted before classes
            labels += [t for t in each if isinstance(t, torch.Tensor)]
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
