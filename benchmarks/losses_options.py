"""Errors of our losses with every option, in ulp against mpmath, in each framework.

    python benchmarks/losses_options.py torch|jax|numpy|keras [--seconds 60] [--seed 0] [--double]

Each cell is the largest error of a loss, of a gradient's element, and of an element in ulp of the larger of the two
terms that it is the difference of (the same where it is one term). Rows are confident, lost, tied, far apart, of
subnormal probability, and of a log-sum-exp near 0. ``FINALLAYER_KERNEL=framework`` measures what runs without the
kernel, ``KERAS_BACKEND`` names Keras' backend, ``--double`` takes float64 logits. What is below the smallest normal
number is left out, since XLA and TensorFlow set it to 0.
"""

from __future__ import annotations

import argparse
import importlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import mpmath
import numpy as np

CLASSES = (2, 3, 5, 17, 70)  # few enough for mpmath; 70 are beyond what JAX leaves to XLA
KINDS = ("margin", "margin", "spread", "ties", "small rest", "lse near 0")


@dataclass
class Row:
    """Logits, a target, and options: the loss is ``sum q*(lse - z) + z_loss*lse**2``, q after smoothing and weights."""

    z: np.ndarray
    target: Any  # a class, or probabilities
    label_smoothing: float = 0.0
    z_loss: float = 0.0
    weight: np.ndarray | None = None

    def exact(self) -> tuple[Any, list[Any], list[float]]:
        """The loss, its gradient, and the size of the larger of the two terms of each element."""
        classes = len(self.z)
        is_soft = np.ndim(self.target) == 1
        q = (
            [mpmath.mpf(float(p)) for p in self.target]
            if is_soft
            else [mpmath.mpf(j == self.target) for j in range(classes)]
        )
        share = mpmath.mpf(self.label_smoothing)
        q = [(1 - share) * p + share / classes for p in q] if share else q
        if self.weight is not None:
            q = [p * mpmath.mpf(float(w)) for p, w in zip(q, self.weight, strict=True)]
        z = [mpmath.mpf(float(v)) for v in self.z]
        top = max(z)
        exps = [mpmath.exp(v - top) for v in z]
        lse = top + mpmath.log(mpmath.fsum(exps))
        x = [e / mpmath.fsum(exps) for e in exps]
        pull = mpmath.fsum(q) + 2 * mpmath.mpf(self.z_loss) * lse
        loss = mpmath.fsum(p * (lse - v) for p, v in zip(q, z, strict=True) if p) + mpmath.mpf(self.z_loss) * lse**2
        pairs = list(zip(x, q, strict=True))
        return loss, [pull * a - p for a, p in pairs], [float(max(abs(pull * a), p)) for a, p in pairs]


def logits(rng: np.random.Generator, kind: str, classes: int, reach: float) -> tuple[np.ndarray, int]:
    z, target = rng.normal(size=classes) * rng.choice([0.01, 1, 5]), int(rng.integers(classes))
    match kind:
        case "margin":
            z[target] = np.delete(z, target).max() + rng.uniform(-reach, reach)
            z += rng.choice([0, 0, 10, -300, 1e4, -1e6])
        case "spread":
            z *= 10 ** rng.uniform(-3, 3)
        case "ties":
            z = rng.choice([0.0, 1.0, -1.0, 5.0], size=classes) * rng.choice([1, 20, 1e-3])
        case "small rest":
            z = rng.uniform(-reach, -0.8 * reach, size=classes)
            z[target] = rng.uniform(-1, 1)
        case "lse near 0":
            z -= np.log(np.exp(z).sum())
    return z, target


def options(rng: np.random.Generator, z: np.ndarray, target: int) -> Iterator[tuple[str, Row]]:
    """One row with each option and with options together."""
    classes, dtype = len(z), z.dtype
    soft = rng.dirichlet(np.ones(classes) * rng.choice([0.05, 1, 10])).astype(dtype)
    weight = rng.uniform(0.1, 4, classes).astype(dtype)
    share, k = float(rng.choice([0.1, 0.5, 1e-3])), float(rng.choice([1e-4, 0.1]))
    yield "a class", Row(z, target)
    yield "a class, weights", Row(z, target, weight=weight)
    yield "a class, z-loss", Row(z, target, z_loss=k)
    yield "a class, smoothing", Row(z, target, share)
    yield "a class, smoothing, z-loss", Row(z, target, share, k)
    yield "a class, weights, smoothing", Row(z, target, share, weight=weight)
    yield "a distribution", Row(z, soft)
    yield "a distribution, smoothing", Row(z, soft, share)
    yield "a distribution, z-loss", Row(z, soft, z_loss=k)
    yield "a distribution, weights", Row(z, soft, weight=weight)


Method = Callable[[Row], tuple[Any, Any] | None]


def torch_method() -> Method:
    import torch

    losses = importlib.import_module("finallayer.losses.torch")

    def run(row: Row) -> tuple[Any, Any]:
        z: Any = torch.tensor(row.z[None], requires_grad=True)
        target = torch.as_tensor(np.asarray(row.target)[None])
        weight = None if row.weight is None else torch.tensor(row.weight)
        terms = {"weight": weight, "label_smoothing": row.label_smoothing, "z_loss": row.z_loss}
        loss = losses.cross_entropy(z, target, reduction="sum", **terms)
        loss.backward()
        return loss.item(), z.grad[0].numpy()

    return run


def numpy_method() -> Method:
    losses = importlib.import_module("finallayer.losses.numpy")

    def run(row: Row) -> Any:
        terms = {"weight": row.weight, "label_smoothing": row.label_smoothing, "z_loss": row.z_loss}
        return losses.cross_entropy_and_gradient(row.z, row.target, reduction="sum", **terms)

    return run


def jax_method() -> Method:
    import jax

    from finallayer.losses import jax as losses

    functions = (losses.softmax_cross_entropy_with_integer_labels, losses.softmax_cross_entropy)
    hard, soft = (jax.jit(jax.value_and_grad(f), static_argnames=("label_smoothing", "z_loss")) for f in functions)

    def run(row: Row) -> Any:
        terms = {"label_smoothing": row.label_smoothing, "z_loss": row.z_loss, "class_weight": row.weight}
        return (soft if np.ndim(row.target) else hard)(row.z, row.target, **terms)

    return run


def keras_method() -> Method:
    import keras
    from keras import ops

    from finallayer.losses import keras as losses

    def loss_of(row: Row, z: Any) -> Any:
        if np.ndim(row.target):
            return losses.categorical_crossentropy(row.target[None], z, label_smoothing=row.label_smoothing)
        return losses.sparse_categorical_crossentropy([row.target], z, label_smoothing=row.label_smoothing)

    def run(row: Row) -> tuple[Any, Any] | None:
        if row.z_loss or row.weight is not None:
            return None  # Keras has no such options
        match keras.backend.backend():
            case "jax":
                import jax

                value, slope = jax.value_and_grad(lambda z: loss_of(row, z)[0])(jax.numpy.asarray(row.z[None]))
                return value, slope[0]
            case "torch":
                z = ops.convert_to_tensor(row.z[None], dtype=str(row.z.dtype)).requires_grad_()
                value = loss_of(row, z)[0]
                value.backward()
                return value.item(), z.grad[0].numpy()
        import tensorflow as tf

        z = tf.constant(row.z[None])
        with tf.GradientTape() as tape:
            tape.watch(z)
            value = loss_of(row, z)[0]
        return float(value), tape.gradient(value, z)[0].numpy()

    return run


METHODS = {"torch": torch_method, "numpy": numpy_method, "jax": jax_method, "keras": keras_method}


@dataclass
class Worst:
    rows: int = 0
    errors: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])

    def add(self, row: Row, loss: Any, gradient: Any) -> None:
        exact_loss, exact_gradient, sizes = row.exact()
        dtype = row.z.dtype
        elements = list(zip(np.asarray(gradient), exact_gradient, sizes, strict=True))
        found = (
            ulps(loss, exact_loss, 0.0, dtype),
            max(ulps(g, e, 0.0, dtype) for g, e, _ in elements),
            max(ulps(g, e, size, dtype) for g, e, size in elements),
        )
        self.rows += 1
        self.errors = [max(pair) for pair in zip(self.errors, found, strict=True)]


def ulps(got: Any, exact: Any, size: float, dtype: np.dtype) -> float:
    """The error of ``got`` in units in the last place of the larger of ``exact`` and ``size``."""
    info, got = np.finfo(dtype), float(got)
    if abs(exact) < info.smallest_normal and abs(got) <= info.smallest_normal:
        return 0.0
    if not np.isfinite(got):
        return 0.0 if abs(exact) > info.max else np.inf
    exponent = np.frexp(max(float(abs(exact)), size))[1] - 1
    return float(abs(mpmath.mpf(got) - exact) / mpmath.ldexp(1, int(max(exponent, info.minexp)) - info.nmant))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("framework", choices=METHODS)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--double", action="store_true", help="float64 logits")
    arguments = parser.parse_args()
    if arguments.double and arguments.framework in ("jax", "keras"):
        importlib.import_module("jax").config.update("jax_enable_x64", True)
    mpmath.mp.dps = 340 if arguments.double else 70  # 1 - softmax is e**-700, or e**-110, of a confident row
    rng, method = np.random.default_rng(arguments.seed), METHODS[arguments.framework]()
    table: dict[str, Worst] = {}
    end = time.monotonic() + arguments.seconds
    while time.monotonic() < end:
        reach = 700.0 if arguments.double else 110.0
        z, target = logits(rng, str(rng.choice(KINDS)), int(rng.choice(CLASSES)), reach)
        for name, row in options(rng, z.astype("f8" if arguments.double else "f4"), target):
            if (result := method(row)) is not None:
                table.setdefault(name, Worst()).add(row, *result)
    print("| option | rows | loss | gradient's element | element, of its larger term |\n|---|---|---|---|---|")
    for name, worst in table.items():
        print(f"| {name} | {worst.rows} | " + " | ".join(f"{e:.2g}" for e in worst.errors) + " |")


if __name__ == "__main__":
    main()
