"""Run one program of ``fix_article/`` and measure which of its training rows have stopped teaching it.

    python benchmarks/fix_article_run.py PROGRAM

Prints one line of JSON: what the program printed last, how many training rows its model gets wrong (``mistaken``), and
for how many of those (``silenced``) the gradient of the loss with respect to the logits is exactly 0. Each row's
gradient is taken alone, by the bias of the last layer: that is added to the logits, so it is the gradient of both.
"""

from __future__ import annotations

import contextlib
import io
import json
import runpy
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

Names = dict[str, Any]


def keras_gradients(names: Names, rows: np.ndarray) -> Iterator[np.ndarray]:
    """By the program's own loss: the object of its loop, or what its model is compiled with."""
    import keras

    model, x, y = names["model"], names["x_train"], names["y_train"]
    bias = model.trainable_variables[-1]
    loss_object = names.get("loss_object")

    def loss(image: Any, label: Any) -> Any:
        predicted = model(image[None], training=False)
        return (
            loss_object(label[None], predicted) if loss_object else model.compute_loss(y=label[None], y_pred=predicted)
        )

    return _KERAS[keras.backend.backend()](loss, bias, x[rows], y[rows])


def _with_jax(loss: Callable[..., Any], bias: Any, x: np.ndarray, y: np.ndarray) -> Iterator[np.ndarray]:
    import jax
    import keras

    def at(value: Any, image: Any, label: Any) -> Any:
        with keras.StatelessScope(state_mapping=[(bias, value)]):
            return loss(image, label)

    yield from np.asarray(jax.jit(jax.vmap(jax.grad(at), (None, 0, 0)))(bias.value, x, y))


def _with_torch(loss: Callable[..., Any], bias: Any, x: np.ndarray, y: np.ndarray) -> Iterator[np.ndarray]:
    import torch

    for image, label in zip(x, y, strict=True):
        yield torch.autograd.grad(loss(image, label), bias.value)[0].cpu().numpy()


def _with_tensorflow(loss: Callable[..., Any], bias: Any, x: np.ndarray, y: np.ndarray) -> Iterator[np.ndarray]:
    import tensorflow as tf

    @tf.function  # type: ignore[untyped-decorator]
    def gradient(image: Any, label: Any) -> Any:
        with tf.GradientTape() as tape:
            value = loss(image, label)
        return tape.gradient(value, bias.value)

    for image, label in zip(x, y, strict=True):
        yield gradient(tf.constant(image), tf.constant(label)).numpy()


_KERAS = {"jax": _with_jax, "torch": _with_torch, "tensorflow": _with_tensorflow}


def torch_gradients(names: Names, rows: np.ndarray) -> Iterator[np.ndarray]:
    import torch

    model, criterion = names["model"], names["criterion"]
    bias = list(model.parameters())[-1]
    for row in rows:
        loss = criterion(model(names["x_train"][row][None]), names["y_train"][row][None])
        yield torch.autograd.grad(loss, bias)[0].numpy()


def flax_gradients(names: Names, rows: np.ndarray) -> Iterator[np.ndarray]:
    import jax

    loss_fn, x, y = names["loss_fn"], names["x_train"], names["y_train"]
    gradient = jax.jit(lambda image, label: jax.grad(loss_fn)(
        names["state"].params, image[None], label[None], names["key"], training=False
    ))  # fmt: skip
    for row in rows:
        yield np.asarray(gradient(x[row], y[row])["Dense_1"]["bias"])


def keras_outputs(names: Names) -> np.ndarray:
    return np.asarray(names["model"].predict(names["x_train"], verbose=0))


def torch_outputs(names: Names) -> np.ndarray:
    return np.asarray(names["model"](names["x_train"]).detach())


def flax_outputs(names: Names) -> np.ndarray:
    return np.asarray(names["model"].apply({"params": names["state"].params}, names["x_train"]))


#: how the name of a program begins -> what its model gives, logits or probabilities, and the gradients of its loss
FRAMEWORKS = {
    **dict.fromkeys(("keras", "kerasjax", "kerastorch", "tensorflow"), (keras_outputs, keras_gradients)),
    "torch": (torch_outputs, torch_gradients),
    "jax": (flax_outputs, flax_gradients),
}


def main(program: str) -> None:
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        names = runpy.run_path(program)
        outputs, gradients = FRAMEWORKS[Path(program).stem.partition("_")[0]]
        mistaken = np.flatnonzero(outputs(names).argmax(1) != np.asarray(names["y_train"]))
        silenced = sum(not np.any(g) for g in gradients(names, mistaken))
    last = json.loads(next(line for line in said.getvalue().splitlines() if line.startswith("{")))
    print(json.dumps({**last, "rows": len(names["y_train"]), "mistaken": len(mistaken), "silenced": int(silenced)}))


if __name__ == "__main__":
    main(sys.argv[1])
