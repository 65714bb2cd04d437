"""How far each library's cross-entropy of logits is from the truth, in float32 ulp, on the same rows.

    python benchmarks/losses_accuracy.py [OUT.json]

Each cell is the larger of the loss' error and the largest error of a gradient's element, against mpmath. "8e+06" is
a result of which no digit is right; "inf" one that is 0 or not finite where the truth is neither. Elements below
the smallest normal number, 1.2e-38, are left out: XLA and TensorFlow set them to zero.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
import optax
import tensorflow as tf
import torch

from finallayer.losses import jax as ours_jax
from finallayer.losses import keras as ours_keras
from finallayer.losses import numpy as ours_numpy
from finallayer.losses import torch as ours_torch
from finallayer.numerics import oracle
from finallayer.numerics.ulp import ulp_error

Row = tuple[np.ndarray, int]
Method = Callable[[np.ndarray, int], tuple[float, np.ndarray]]


def row(classes: int, margin: float, offset: float = 0.0, spread: float = 2.0) -> Row:
    """A row whose target is ``margin`` above the best other class (below, if negative)."""
    rng = np.random.default_rng(classes)
    z, target = rng.normal(size=classes) * spread, int(rng.integers(classes))
    z[target] = np.delete(z, target).max() + margin
    return (z + offset).astype(np.float32), target


def masked(of: Row) -> Row:
    z, target = of[0].copy(), of[1]
    z[(target + 1) % len(z)] = -np.inf
    return z, target


ROWS: dict[str, Row] = {
    **{f"margin {margin:+d}, 10 classes": row(10, margin) for margin in (-80, -16, -1, 0, 1, 10, 16, 18, 40, 80)},
    **{f"margin {margin:+d}, 1000 classes": row(1000, margin) for margin in (-80, 0, 16, 80)},
    **{f"margin +1, offset {offset:.0e}": row(10, 1, offset) for offset in (1e3, 1e4, 1e6)},
    **{f"margin +10, offset {offset:.0e}": row(10, 10, offset) for offset in (1e4, 1e6)},
    "all 10 tied": (np.full(10, 0.7, np.float32), 3),
    "one class masked, margin +18": masked(row(10, 18)),
    "spread-out logits, margin +1": row(100, 1, spread=30),
}


def of_numpy(z: np.ndarray, target: int) -> tuple[float, np.ndarray]:
    loss, gradient = ours_numpy.cross_entropy_and_gradient(z, np.array(target))
    return float(loss), gradient


def of_torch(loss: Callable[..., Any]) -> Method:
    def method(z: np.ndarray, target: int) -> tuple[float, np.ndarray]:
        logits = torch.tensor(z[None], requires_grad=True)
        value = loss(logits, torch.tensor([target]))
        value.backward()
        return value.item(), np.asarray(logits.grad)[0]

    return method


def of_jax(loss: Callable[[jax.Array, int], jax.Array]) -> Method:
    value_and_grad = jax.jit(jax.value_and_grad(loss))
    return lambda z, target: jax.tree.map(np.asarray, value_and_grad(z, jnp.asarray(target)))


def of_tensorflow(loss: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]) -> Method:
    def method(z: np.ndarray, target: int) -> tuple[float, np.ndarray]:
        logits = tf.constant(z[None])
        with tf.GradientTape() as tape:
            tape.watch(logits)
            value = loss(tf.constant([target]), logits)
        return float(value.numpy().squeeze()), tape.gradient(value, logits).numpy()[0]

    return method


def liger(z: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """The formula of Liger's kernel, and of the others that form ``lse - z_t``."""
    return (torch.logsumexp(z, -1) - z.gather(-1, target[:, None])[:, 0]).mean()


METHODS: dict[str, Method] = {
    "ours, NumPy": of_numpy,
    "ours, torch": of_torch(ours_torch.cross_entropy),
    "ours, JAX": of_jax(ours_jax.softmax_cross_entropy_with_integer_labels),
    "ours, Keras": of_tensorflow(ours_keras.SparseCategoricalCrossentropy()),
    "torch": of_torch(torch.nn.functional.cross_entropy),
    "optax": of_jax(optax.softmax_cross_entropy_with_integer_labels),
    "TensorFlow": of_tensorflow(lambda y, z: tf.nn.sparse_softmax_cross_entropy_with_logits(y, z)),
    "Keras": of_tensorflow(keras.losses.SparseCategoricalCrossentropy(from_logits=True)),
    "lse - z_t (Liger)": of_torch(liger),
}


def worst_error(method: Method, z: np.ndarray, target: int) -> float:
    loss, gradient = method(z, target)
    exact = oracle.xent_logits(target, z)
    pairs = [(loss, exact.loss), *zip(gradient, exact.grad, strict=True)]
    normal = [(float(got), truth) for got, truth in pairs if abs(truth) >= np.finfo(np.float32).tiny]
    return max(np.inf if got == 0 else ulp_error(got, truth, np.float32) for got, truth in normal)


def main(out: str | None = None) -> None:
    if keras.backend.backend() != "tensorflow":
        raise SystemExit("this table wants KERAS_BACKEND=tensorflow")
    table = {name: {method: worst_error(METHODS[method], *ROWS[name]) for method in METHODS} for name in ROWS}
    print("| row | " + " | ".join(METHODS) + " |")
    print("|---" * (len(METHODS) + 1) + "|")
    for name, errors in table.items():
        print(f"| {name} | " + " | ".join(f"{error:.2g}" for error in errors.values()) + " |")
    if out:
        Path(out).write_text(json.dumps(table, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
