"""A data set ready to train on, and the file that carries it to the children."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

VALIDATION_SHARE = 0.2
SPLIT_SEED = 0


@dataclass(frozen=True)
class Dataset:
    """Samples ``(N, ...)`` as stored, labels ``(N,)`` int32 in ``0..classes-1``, split for training and validation.

    ``low`` and ``high`` are the range that the "scaled" input maps to 0..1.
    """

    name: str
    x_train: Array
    y_train: Array
    x_val: Array
    y_val: Array
    classes: int
    low: float
    high: float

    @property
    def sample_shape(self) -> tuple[int, ...]:
        return tuple(self.x_train.shape[1:])

    def inputs(self, kind: str) -> tuple[Array, Array]:
        """Training and validation samples as float32, ``raw`` or ``scaled``."""
        train, val = self.x_train.astype(np.float32), self.x_val.astype(np.float32)
        if kind == "raw":
            return train, val
        low, span = np.float32(self.low), np.float32(self.high - self.low)
        return (train - low) / span, (val - low) / span

    def describe(self) -> dict[str, Any]:
        """What the results record of the data; the digest tells whether a resumed run sees the same samples."""
        digest = hashlib.sha256()
        for array in (self.x_train, self.y_train, self.x_val, self.y_val):
            digest.update(np.ascontiguousarray(array).data)
        return {
            "name": self.name,
            "train_samples": len(self.x_train),
            "val_samples": len(self.x_val),
            "sample_shape": list(self.sample_shape),
            "classes": self.classes,
            "low": self.low,
            "high": self.high,
            "sha256": digest.hexdigest(),
        }

    def save(self, path: Path) -> None:
        np.savez(
            path,
            x_train=self.x_train,
            y_train=self.y_train,
            x_val=self.x_val,
            y_val=self.y_val,
            name=self.name,
            classes=self.classes,
            low=self.low,
            high=self.high,
        )

    @classmethod
    def load(cls, path: Path) -> Dataset:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in ("x_train", "y_train", "x_val", "y_val")}
            return cls(
                **arrays,
                name=str(file["name"]),
                classes=int(file["classes"]),
                low=float(file["low"]),
                high=float(file["high"]),
            )


def split(name: str, x: Array, y: Array, classes: int, low: float, high: float) -> Dataset:
    """Hold out a fifth of the samples for validation, always the same ones."""
    order = np.random.default_rng(SPLIT_SEED).permutation(len(x))
    held = max(1, round(len(x) * VALIDATION_SHARE))
    train, val = order[held:], order[:held]
    return Dataset(name, x[train], y[train], x[val], y[val], classes, low, high)
