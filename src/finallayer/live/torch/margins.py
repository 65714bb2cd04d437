"""The margins of a batch: by how much the target trails in each sample that a loss is handed."""

from __future__ import annotations

from typing import Any

import torch

from finallayer.expr import GUARDS, MOVES, PICKS, Node, Role, having, through
from finallayer.kinds import LOG_KINDS, PROBABILITY_KINDS
from finallayer.live.applying import Applied
from finallayer.live.observation import Batch

_HEADS = having(Role.HEAD)
_LOSSES = having(Role.LOSS)
#: What may stand between a softmax and what reads it.
_ROUTE = MOVES | GUARDS | {"log", "neg"}
#: The operations that are worth a look.
MEASURED = _HEADS | _LOSSES | PICKS | {"mul"}
_KINDS = PROBABILITY_KINDS | LOG_KINDS


class Measuring:
    """The logits that heads and losses are handed, and the margins of those whose labels are."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self._scores: dict[int, tuple[Node, torch.Tensor, int]] = {}  # what a head was handed, and along which axis

    def saw(self, made: Node, what: Applied, args: tuple[Any, ...], result: torch.Tensor) -> None:
        """An operation was run: a head, which is remembered, or one that brings a prediction and its label together."""
        tensors = [a for a in args if isinstance(a, torch.Tensor)]
        if made.op in _HEADS and tensors:
            axis = what.attrs.get("axis")
            self._scores[id(made)] = made, tensors[0].detach(), axis if isinstance(axis, int) else -1
        elif made.op in _LOSSES and len(tensors) > 1:
            self._measure(made, what.args[0], tensors[0], tensors[1], result)
        elif made.op in PICKS | {"mul"} and len(tensors) > 1 and any(n.kind in _KINDS for n in what.args):
            self._of_formula(made, what, tensors, result)

    def _of_formula(self, made: Node, what: Applied, tensors: list[torch.Tensor], result: torch.Tensor) -> None:
        first, last = what.args[0], tensors[-1]
        if first.kind in _KINDS:
            self._measure(made, first, None, last, result)
        elif made.op == "mul" and what.args[-1].kind in _KINDS:
            self._measure(made, what.args[-1], None, tensors[0], result)

    def _measure(
        self, made: Node, prediction: Node, own: torch.Tensor | None, label: torch.Tensor, result: torch.Tensor
    ) -> None:
        head = through(prediction, _ROUTE)
        if id(head) in self._scores:
            _, logits, axis = self._scores[id(head)]
        elif own is not None:
            logits, axis = own.detach(), 1 if own.dim() > 1 else 0
        else:
            return
        if made.operation.over == "outcome" or head.operation.over == "outcome":
            margins, classes = _of_outcomes(logits, label.detach()), 1
        else:
            margins, classes = _of_classes(logits.movedim(axis, -1), label.detach(), axis), logits.shape[axis]
        if margins is not None:
            dtype = str(result.dtype).removeprefix("torch.")
            self.batches.append(Batch(made, margins.double().cpu().numpy(), classes, dtype, _is_hard(label, classes)))


def _is_hard(label: torch.Tensor, classes: int) -> bool:
    """Whether every target is certain."""
    if not label.is_floating_point():
        return True
    return bool(((label == 0) | (label == 1)).all()) and (classes == 1 or float(label.sum()) * classes == label.numel())


def _of_outcomes(logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor | None:
    """Of one logit each: by how much it lies on the wrong side."""
    if logits.shape != label.shape or logits.dim() == 0:
        return None
    return torch.where(label > 0.5, -logits, logits).float().reshape(-1)


def _of_classes(logits: torch.Tensor, label: torch.Tensor, axis: int) -> torch.Tensor | None:
    """Of rows of logits: the best other one minus the target's."""
    classes = logits.shape[-1]
    rows = logits.float().reshape(-1, classes)
    if classes < 2 or not len(rows):
        return None
    if label.is_floating_point():
        if label.dim() != logits.dim() or label.movedim(axis, -1).shape != logits.shape:
            return None
        label = label.movedim(axis, -1).argmax(-1)
    label = label.reshape(-1).long()
    if len(label) != len(rows):
        return None
    counted = (label >= 0) & (label < classes)
    rows, label = rows[counted], label[counted]
    best, which = rows.topk(2, dim=-1)
    other = torch.where(which[:, 0] == label, best[:, 1], best[:, 0])
    return other - rows.gather(1, label[:, None])[:, 0]
