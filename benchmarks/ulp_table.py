"""Errors, in ulp against mpmath, of ours and each installed framework's cross-entropy: loss and gradient.

    python benchmarks/ulp_table.py [--rows 4000] [--only finallayer] [--seed 0]

Every contender gets the same rows (tests/numerics/ulp_rows.py: 2 to 1,000 classes, margins of +-80 in
float32 and +-700 in float64, offsets up to 1e6, ties, masked classes). A framework that is not installed is
named and left out.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import importlib.util
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from finallayer.numerics import oracle
from finallayer.numerics.ulp import ulp_error

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.numerics.ulp_rows import random_row

os.environ["KERAS_BACKEND"] = "jax"  # read when Keras is first imported, which TensorFlow also does

CLASSES = (2, 3, 5, 10, 30, 100, 300, 1000)

LossAndGrad = tuple[np.ndarray, np.ndarray]
Loss = Callable[[np.ndarray, np.ndarray], LossAndGrad]  # (labels, logits) -> loss per row, gradient


class Contender(NamedTuple):
    """A cross-entropy: the distribution it is installed with, and how to get at it."""

    name: str
    distribution: str
    load: Callable[[], Loss]


def finallayer() -> Loss:
    from finallayer.numerics.blocks import xent_logits

    return xent_logits


def torch() -> Loss:
    torch = importlib.import_module("torch")

    def loss_and_grad(labels: np.ndarray, z: np.ndarray) -> LossAndGrad:
        logits = torch.tensor(z, requires_grad=True)
        loss = torch.nn.functional.cross_entropy(logits, torch.tensor(labels), reduction="none")
        loss.sum().backward()
        return loss.detach().numpy(), logits.grad.numpy()

    return loss_and_grad


def _with_jax(loss: Callable[[Any, Any], Any]) -> Loss:
    jax = importlib.import_module("jax")
    jax.config.update("jax_enable_x64", True)

    def loss_and_grad(labels: np.ndarray, z: np.ndarray) -> LossAndGrad:
        value, pullback = jax.vjp(lambda logits: loss(labels, logits), jax.numpy.asarray(z))
        return np.asarray(value), np.asarray(pullback(jax.numpy.ones_like(value))[0])

    return loss_and_grad


def jax() -> Loss:
    jax = importlib.import_module("jax")

    def loss(labels: Any, logits: Any) -> Any:
        log_x = jax.nn.log_softmax(logits)
        return -jax.numpy.take_along_axis(log_x, labels[:, None], axis=-1)[:, 0]

    return _with_jax(loss)


def optax() -> Loss:
    optax = importlib.import_module("optax")
    return _with_jax(lambda y, z: optax.softmax_cross_entropy_with_integer_labels(z, y))


def tensorflow() -> Loss:
    tf = importlib.import_module("tensorflow")

    def loss_and_grad(labels: np.ndarray, z: np.ndarray) -> LossAndGrad:
        logits = tf.constant(z)
        with tf.GradientTape() as tape:
            tape.watch(logits)
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        return loss.numpy(), tape.gradient(loss, logits).numpy()

    return loss_and_grad


def keras(from_logits: bool) -> Loss:
    keras = importlib.import_module("keras")
    loss = keras.losses.sparse_categorical_crossentropy
    if from_logits:
        return _with_jax(lambda y, z: loss(y, z, from_logits=True))
    return _with_jax(lambda y, z: loss(y, keras.ops.softmax(z)))


CONTENDERS = [
    Contender("finallayer xent_logits", "numpy", finallayer),
    Contender("torch cross_entropy", "torch", torch),
    Contender("jax log_softmax", "jax", jax),
    Contender("optax softmax_cross_entropy", "optax", optax),
    Contender("tensorflow sparse_softmax_x_e", "tensorflow", tensorflow),
    Contender("keras (jax) from_logits=True", "keras", lambda: keras(from_logits=True)),
    Contender("keras (jax) on softmax outputs", "keras", lambda: keras(from_logits=False)),
]


class Truth(NamedTuple):
    labels: np.ndarray
    logits: np.ndarray
    exact: list[oracle.Exact]


class Errors(NamedTuple):
    """Per row, in ulp: of the loss, of the target's gradient, and the worst of the other gradients."""

    loss: list[float]
    target: list[float]
    others: list[float]


def batches(rows: int, dtype: str, seed: int) -> Iterator[Truth]:
    """About as many logits of each class count, so that wide rows do not take all the time."""
    rng = np.random.default_rng(seed)
    share = 1 / np.sum(1 / np.array(CLASSES))
    for classes in CLASSES:
        drawn = [random_row(rng, dtype, classes) for _ in range(max(1, round(rows * share / classes)))]
        labels, logits = (np.array(a) for a in zip(*drawn, strict=True))
        exact = [oracle.xent_logits(y, z, digits=40) for y, z in drawn]
        yield Truth(labels, logits, exact)


def errors_of(loss: Loss, truths: list[Truth], dtype: str) -> Errors:
    errors = Errors([], [], [])
    for labels, logits, exact in truths:
        values, grads = loss(labels, logits)
        for y, value, grad, true in zip(labels, values, grads, exact, strict=True):
            ulps = [ulp_error(g, t, dtype) for g, t in zip(grad, true.grad, strict=True)]
            errors.loss.append(ulp_error(value, true.loss, dtype))
            errors.target.append(ulps.pop(y))
            errors.others.append(max(ulps))
    return errors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=4000, help="rows per dtype (default 4000)")
    parser.add_argument("--only", default="", help="contenders whose name starts with this")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    contenders = []
    for contender in CONTENDERS:
        if not contender.name.startswith(options.only):
            continue
        if importlib.util.find_spec(contender.distribution) is None:
            print(f"{contender.name}: not installed (pip install {contender.distribution})")
            continue
        contenders.append(contender)
    for distribution in dict.fromkeys(("numpy", "mpmath", *(c.distribution for c in contenders))):
        print(distribution, version(distribution), end="  ")
    print()
    for dtype in ("float32", "float64"):
        started = time.perf_counter()
        truths = list(batches(options.rows, dtype, options.seed))
        rows = sum(len(t.labels) for t in truths)
        print(f"\n{dtype}: {rows} rows, {sum(t.logits.size for t in truths)} logits; max ulp (rows within 4)")
        print(f"  {'':32}{'loss':>20}{'target gradient':>20}{'other gradients':>20}")
        for contender in contenders:
            errors = errors_of(contender.load(), truths, dtype)
            cells = (f"{max(e):.3g} ({np.mean(np.array(e) <= 4):6.1%})" for e in errors)
            print(f"  {contender.name:32}" + "".join(f"{cell:>20}" for cell in cells), flush=True)
        print(f"  ({time.perf_counter() - started:.0f} s)")


def version(distribution: str) -> str:
    for name in (distribution, f"{distribution}-cpu"):
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "(unknown version)"


if __name__ == "__main__":
    main()
