"""Runs every case on one framework, in a process of its own: ``python -m tests...frameworks FRAMEWORK OUT.npz``.

Each framework takes a case to its losses (N,), upstream times their gradient (N, C), the mean loss and its gradient,
by that framework's own automatic differentiation. Keras is told its backend by the environment.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np

from .cases import BINARY_LOGITS, BINARY_TARGETS, CASES, HALF_CASES, IGNORE, MARGINS, Case, np_dtype


class Result(NamedTuple):
    loss: np.ndarray
    gradient: np.ndarray
    mean: np.ndarray
    mean_gradient: np.ndarray


class Framework(NamedTuple):
    run: Callable[[Case], Result]
    binary: Callable[[float], tuple[np.ndarray, np.ndarray]]
    out_of_range: Callable[[np.ndarray, np.ndarray], Any]


def numpy() -> Framework:
    from finallayer.losses import numpy as losses

    def run(case: Case) -> Result:
        logits = case.logits.astype(np_dtype(case.dtype))
        options = {"weight": case.weight, "label_smoothing": case.label_smoothing}
        rows = losses.cross_entropy_and_gradient(
            logits, case.target, reduction="none", upstream=case.row_upstream, **options
        )
        mean = losses.cross_entropy_and_gradient(logits, case.target, **options)
        assert np.array_equal(losses.cross_entropy(logits, case.target, **options), mean.loss, equal_nan=True)
        return Result(*rows, *mean)

    def binary(y: float) -> tuple[np.ndarray, np.ndarray]:
        target = np.full_like(BINARY_LOGITS, y)
        return losses.binary_cross_entropy_with_logits_and_gradient(BINARY_LOGITS, target, reduction="none")

    return Framework(run, binary, losses.cross_entropy)


def jax() -> Framework:
    import jax
    import jax.numpy as jnp

    from finallayer.losses import jax as losses

    @partial(jax.jit, static_argnames=("rows", "label_smoothing"))  # one compilation for all cases of a shape
    def with_gradient(rows: Callable, z: jax.Array, upstream: jax.Array, *arguments: jax.Array, **options) -> tuple:
        loss, pull_back = jax.vjp(lambda z: rows(z, *arguments, **options), z)
        return loss, pull_back(upstream)[0]

    def run(case: Case) -> Result:
        rows: Callable = losses.softmax_cross_entropy
        if case.target.ndim == 1:
            rows = losses.softmax_cross_entropy_with_integer_labels
        options = {"where": None if case.counted.all() else case.counted, "label_smoothing": case.label_smoothing}
        if case.weight is not None:
            options["class_weight"] = case.weight
        target = case.target.astype(np.int32) if case.target.ndim == 1 else case.target
        logits = jnp.asarray(case.logits.astype(np_dtype(case.dtype)))
        loss, gradient = with_gradient(rows, logits, case.row_upstream, target, **options)
        share = np.float32(1 / max(case.counted.sum(), 1))
        mean_gradient = with_gradient(rows, logits, np.full(len(logits), share), target, **options)[1]
        return Result(loss, gradient, loss.sum() * share, mean_gradient)

    def binary(y: float) -> tuple[np.ndarray, np.ndarray]:
        target, ones = np.full_like(BINARY_LOGITS, y), np.ones_like(BINARY_LOGITS)
        return with_gradient(losses.sigmoid_binary_cross_entropy, BINARY_LOGITS, ones, target)

    return Framework(run, binary, losses.softmax_cross_entropy_with_integer_labels)


def torch(device: str = "cpu") -> Framework:
    import torch

    from finallayer.losses import torch as losses

    def run(case: Case) -> Result:
        target = torch.from_numpy(case.target)
        target = (target if target.is_floating_point() else target.long()).to(device)
        weight = None if case.weight is None else torch.from_numpy(case.weight).to(device)

        def loss_and_gradient(reduction: str, upstream: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            z = torch.from_numpy(np.ascontiguousarray(case.logits) if case.logits.strides[0] < 0 else case.logits)
            z = z.to(device, getattr(torch, case.dtype)).requires_grad_()
            loss = losses.cross_entropy(
                z,
                target,
                weight=weight,
                ignore_index=IGNORE,
                reduction=reduction,
                label_smoothing=case.label_smoothing,
            )
            loss.backward(torch.from_numpy(upstream).to(device, loss.dtype))
            return loss.detach().float().cpu().numpy(), z.grad.float().cpu().numpy()

        return Result(
            *loss_and_gradient("none", case.row_upstream), *loss_and_gradient("mean", np.ones((), np.float32))
        )

    def binary(y: float) -> tuple[np.ndarray, np.ndarray]:
        z = torch.from_numpy(BINARY_LOGITS).to(device).requires_grad_()
        loss = losses.binary_cross_entropy_with_logits(z, torch.full_like(z, y), reduction="none")
        loss.sum().backward()
        return loss.detach().cpu().numpy(), z.grad.cpu().numpy()

    def out_of_range(logits: np.ndarray, target: np.ndarray) -> Any:
        loss = losses.cross_entropy(torch.from_numpy(logits).to(device), torch.from_numpy(target).long().to(device))
        return loss.cpu()

    return Framework(run, binary, out_of_range)


def triton() -> Framework:
    """The GPU kernel behind torch's losses, in Triton's interpreter."""
    from ..triton import interpreted

    interpreted.install()
    return torch()


def cuda() -> Framework:
    """torch's losses where they belong: on a GPU."""
    return torch("cuda")


def torch_walked() -> Framework:
    """Few logits as many are without a kernel: by ours, not recorded by torch."""
    from finallayer.losses.torch import _recorded

    _recorded.recorder = lambda *_: None
    return torch()


def keras() -> Framework:
    import keras

    from finallayer.losses import keras as losses

    loss_and_gradient = _keras_differentiation(keras.backend.backend())
    sparse = cache(losses.SparseCategoricalCrossentropy)
    dense = cache(losses.CategoricalCrossentropy)

    def run(case: Case) -> Result:
        target = case.target
        is_sparse = target.ndim == 1 and case.weight is None
        if not is_sparse:
            target = np.where(case.counted[:, None], case.masses, 0).astype(np.float32)
        ignore = {"ignore_class": IGNORE} if not case.counted.all() else {}
        results: list[np.ndarray] = []
        for reduction in (None, "sum_over_batch_size"):
            loss = dense(reduction=reduction)
            if is_sparse:
                loss = sparse(label_smoothing=case.label_smoothing, reduction=reduction, **ignore)
            upstream = case.row_upstream if reduction is None or not len(target) else np.ones((), np.float32)
            results += loss_and_gradient(loss, case.logits, target, upstream, case.dtype)
        return Result(*results)

    def binary(y: float) -> tuple[np.ndarray, np.ndarray]:
        target = np.full((len(BINARY_LOGITS), 1), y, np.float32)
        ones = np.ones(len(BINARY_LOGITS), np.float32)
        loss = losses.BinaryCrossentropy(reduction=None)
        value, gradient = loss_and_gradient(loss, BINARY_LOGITS[:, None], target, ones, "float32")
        return value, gradient[:, 0]

    def out_of_range(logits: np.ndarray, target: np.ndarray) -> Any:
        return losses.SparseCategoricalCrossentropy(ignore_class=IGNORE)(target, logits)

    return Framework(run, binary, out_of_range)


def _keras_differentiation(backend: str) -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """From loss, logits, target, upstream, dtype to the loss' value and upstream times its gradient."""
    match backend:
        case "jax":
            import jax

            @partial(jax.jit, static_argnums=0)
            def jax_step(loss: Callable, z: jax.Array, target: jax.Array, upstream: jax.Array) -> tuple:
                value, pull_back = jax.vjp(lambda z: loss(target, z), z)
                return value, pull_back(upstream)[0]

            return lambda loss, z, *rest: jax_step(loss, jax.numpy.asarray(z, rest[-1]), *rest[:-1])
        case "torch":
            import torch

            def torch_step(loss: Callable, logits, target, upstream, dtype) -> tuple:
                z = torch.tensor(np.ascontiguousarray(logits)).to(getattr(torch, dtype)).requires_grad_()
                value = loss(target, z)
                value.backward(torch.from_numpy(upstream))
                return value.detach().numpy(), z.grad.float().numpy()

            return torch_step
        case "tensorflow":
            import tensorflow as tf

            def step(loss: Callable, z: tf.Tensor, target: tf.Tensor, upstream: tf.Tensor) -> tuple:
                with tf.GradientTape() as tape:
                    tape.watch(z)
                    value = loss(target, z)
                return value, tape.gradient(value, z, output_gradients=upstream)

            compiled = tf.function(step, jit_compile=True, reduce_retracing=True)

            def tensorflow_step(loss: Callable, logits, target, upstream, dtype) -> tuple:
                z = tf.cast(tf.constant(np.ascontiguousarray(logits)), dtype)
                compile_it = logits.shape == (len(MARGINS), 10)  # a compilation takes seconds
                value, gradient = (compiled if compile_it else step)(loss, z, target, tf.constant(upstream))
                return value.numpy(), gradient.numpy()

            return tensorflow_step
    raise ValueError(f"no differentiation for the Keras backend {backend}")


FRAMEWORKS = {
    "numpy": numpy,
    "jax": jax,
    "torch": torch,
    "torch_walked": torch_walked,
    "triton": triton,
    "cuda": cuda,
    "keras": keras,
}


def main(name: str, out: str) -> None:
    framework = FRAMEWORKS[name]()
    results: dict[str, np.ndarray] = {}
    for case in (*CASES, *HALF_CASES):
        for part, array in framework.run(case)._asdict().items():
            results[f"{case.name}/{part}"] = np.asarray(array).astype(np.float32)
    for y in BINARY_TARGETS:
        results[f"binary/{y}/loss"], results[f"binary/{y}/gradient"] = map(np.asarray, framework.binary(y))
    for wrong in (5, -1):
        try:
            loss = framework.out_of_range(np.zeros((3, 5), np.float32), np.array([0, wrong, 1]))
            message = "nan" if np.isnan(loss).all() else ""
        except (ValueError, IndexError, RuntimeError) as error:
            message = str(error)
        results[f"out of range/{wrong}"] = np.array(message)
    np.savez(out, **results)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main(*sys.argv[1:])
