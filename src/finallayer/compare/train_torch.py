"""The article's network in plain PyTorch."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from finallayer.compare.fairness import ADAM_EPSILON, DROPOUT, HIDDEN_UNITS, LEARNING_RATE, initial_weights
from finallayer.compare.grid import Cell
from finallayer.compare.heads import find_head
from finallayer.compare.measure import Fitted, Observation

Array = NDArray[Any]

AUTOCAST = {"float32": None, "mixed_bfloat16": torch.bfloat16, "mixed_float16": torch.float16}


def build_trunk(features: int, classes: int, weights: list[NDArray[np.float32]]) -> torch.nn.Sequential:
    """The article's network up to its logits, with the given kernels and biases (kernels as ``(in, out)``)."""
    hidden, last = torch.nn.Linear(features, HIDDEN_UNITS), torch.nn.Linear(HIDDEN_UNITS, classes)
    with torch.no_grad():
        for layer, (kernel, bias) in ((hidden, weights[:2]), (last, weights[2:])):
            layer.weight.copy_(torch.from_numpy(kernel.T.copy()))
            layer.bias.copy_(torch.from_numpy(bias))
    return torch.nn.Sequential(torch.nn.Flatten(), hidden, torch.nn.ReLU(), torch.nn.Dropout(DROPOUT), last)


class TorchTrainer:
    """Trains the article's network with PyTorch on the CPU; see ``trainer.Trainer``."""

    initial_scale = 2.0**16  # of torch.amp.GradScaler

    def __init__(self, sample_shape: tuple[int, ...], classes: int) -> None:
        self._features, self._classes = int(np.prod(sample_shape)), classes

    def start(self, cell: Cell) -> None:
        torch.manual_seed(cell.seed)  # the dropout masks
        self._choose(cell.precision, cell.head)
        weights = initial_weights(cell.seed, self._features, self._classes)
        self._trunk = build_trunk(self._features, self._classes, weights)
        self._optimizer = torch.optim.Adam(self._trunk.parameters(), lr=LEARNING_RATE, eps=ADAM_EPSILON)
        self._scaler = torch.amp.GradScaler("cpu", enabled=self._autocast_dtype is torch.float16)

    def fit_epoch(self, x: Array, y: Array, batch_size: int) -> Fitted:
        samples, labels = torch.from_numpy(x), torch.from_numpy(y).long()
        self._trunk.train()
        total, skipped = 0.0, 0
        for batch, targets in zip(torch.split(samples, batch_size), torch.split(labels, batch_size), strict=True):
            self._optimizer.zero_grad()
            with self._autocast():
                loss = self._loss(self._outputs(self._trunk(batch)), targets)
            self._scaler.scale(loss).backward()
            self._scaler.step(self._optimizer)
            scale = self._scaler.get_scale()
            self._scaler.update()
            skipped += self._scaler.get_scale() < scale  # which is how a scaler tells
            total += loss.item() * len(batch)
        return Fitted(total / len(samples), skipped)

    def logits(self, x: Array) -> Array:
        self._trunk.eval()
        with torch.no_grad(), self._autocast():
            return _numpy(self._trunk(torch.from_numpy(x)))

    def observe(self, x: Array, y: Array) -> Observation:
        self._trunk.eval()
        with torch.no_grad(), self._autocast():
            logits = self._trunk(torch.from_numpy(x))
        losses, gradient, probability = self._probe(logits, torch.from_numpy(y).long())
        return Observation(_numpy(logits), _numpy(gradient), _numpy(losses), _numpy(probability))

    def gradient(self, precision: str, head: str, logits: Array, y: Array, scale: float = 1.0) -> Array:
        self._choose(precision, head)
        dtype = self._autocast_dtype or torch.float32
        tensor = torch.from_numpy(logits.astype(np.float32)).to(dtype)
        return _numpy(self._probe(tensor, torch.from_numpy(y).long(), scale)[1])

    def _choose(self, precision: str, head: str) -> None:
        self._head = find_head("torch", head)
        self._autocast_dtype = AUTOCAST[precision]
        self._outputs: Any = torch.nn.Softmax(-1) if self._head.softmax_in_model else torch.nn.Identity()
        self._loss = self._head.loss(torch)

    def _probe(self, logits: torch.Tensor, labels: torch.Tensor, scale: float = 1.0) -> tuple[torch.Tensor, ...]:
        leaf = logits.detach().requires_grad_()
        with self._autocast():
            losses = self._head.loss(torch, reduction="none")(self._outputs(leaf), labels)
            probability = torch.softmax(leaf, -1).gather(-1, labels[:, None])[:, 0]
        (gradient,) = torch.autograd.grad((scale * losses).sum(), leaf)
        return losses, gradient, probability

    def _autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast("cpu", dtype=self._autocast_dtype, enabled=self._autocast_dtype is not None)


def _numpy(tensor: torch.Tensor) -> Array:
    return tensor.detach().float().numpy()
