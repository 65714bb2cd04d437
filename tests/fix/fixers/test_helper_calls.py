"""A softmax or sigmoid that a project has written itself, with its log in another function."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..workbench import fixed

HEAD = "import jax\nimport jax.numpy as jnp\n\n"
SIGMOID = HEAD + "def sigmoid(z):\n    return 1 / (1 + jnp.exp(-z))\n\n"
SOFTMAX = HEAD + (
    "def softmax(z):\n    e = jnp.exp(z - z.max(axis=1, keepdims=True))\n"
    "    return e / e.sum(axis=1, keepdims=True)\n\n"
)
PREDICT = "def predict(w, x):\n    return {}\n\n"
BINARY = (
    "def loss(w, x, y):\n    p = predict(w, x)\n"
    "    return -jnp.mean(y * jnp.log(p) + (1 - y) * jnp.log(1 - p))\n\ngrads = jax.grad(loss)\n"
)
CROSS_ENTROPY = "def loss(w, x, y):\n    return -jnp.sum(y * jnp.log(predict(w, x)))\n\ngrads = jax.grad(loss)\n"

MENDED: dict[str, tuple[str, str]] = {
    "a sigmoid": (
        SIGMOID + PREDICT.format("sigmoid(x @ w)") + BINARY,
        SIGMOID
        + PREDICT.format("x @ w")
        + "def loss(w, x, y):\n    logits = predict(w, x)\n"
        + "    return -jnp.mean(y * jax.nn.log_sigmoid(logits) + (1 - y) * jax.nn.log_sigmoid(-logits))\n\n"
        + "grads = jax.grad(loss)\n",
    ),
    "a softmax": (
        SOFTMAX + PREDICT.format("softmax(x @ w)") + CROSS_ENTROPY,
        SOFTMAX
        + PREDICT.format("x @ w")
        + "def loss(w, x, y):\n    return -jnp.sum(y * jax.nn.log_softmax(predict(w, x), axis=1))\n\n"
        + "grads = jax.grad(loss)\n",
    ),
    "somebody reads the probabilities": (
        SIGMOID + PREDICT.format("sigmoid(x @ w)") + BINARY + "print(predict(jnp.ones(3), jnp.ones((2, 3))))\n",
        SIGMOID
        + PREDICT.format("x @ w")
        + "def loss(w, x, y):\n    logits = predict(w, x)\n"
        + "    return -jnp.mean(y * jax.nn.log_sigmoid(logits) + (1 - y) * jax.nn.log_sigmoid(-logits))\n\n"
        + "grads = jax.grad(loss)\nprint(jax.nn.sigmoid(predict(jnp.ones(3), jnp.ones((2, 3)))))\n",
    ),
}

LEFT_ALONE: dict[str, str] = {
    "it is called twice": SIGMOID + PREDICT.format("sigmoid(x @ w)") + BINARY + "gate = sigmoid(jnp.ones(3))\n",
    "it does something besides": HEAD
    + "def sigmoid(z):\n    return 0.9 / (1 + jnp.exp(-z)) + 0.05\n\n"
    + PREDICT.format("sigmoid(x @ w)")
    + BINARY,
    "it gives something else at times": HEAD
    + "def sigmoid(z, hard=False):\n    if hard:\n        return z > 0\n    return 1 / (1 + jnp.exp(-z))\n\n"
    + PREDICT.format("sigmoid(x @ w)")
    + BINARY
    + "print(sigmoid(jnp.ones(3), True))\n",
    "it is handed more": HEAD
    + "def sigmoid(z, t=1.0):\n    return 1 / (1 + jnp.exp(-z / t))\n\n"
    + PREDICT.format("sigmoid(x @ w, 2.0)")
    + BINARY,
    "somebody unknown decorates it": HEAD
    + "from helpers import traced\n\n@traced\ndef sigmoid(z):\n    return 1 / (1 + jnp.exp(-z))\n\n"
    + PREDICT.format("sigmoid(x @ w)")
    + BINARY,
    "it goes by another name, too": SIGMOID + "activation = sigmoid\n\n" + PREDICT.format("sigmoid(x @ w)") + BINARY,
    "another argument": HEAD
    + "def sigmoid(z):\n    z = 2 * z\n    return 1 / (1 + jnp.exp(-z))\n\n"
    + PREDICT.format("sigmoid(x @ w)")
    + BINARY,
}


@pytest.mark.parametrize(("before", "after"), MENDED.values(), ids=MENDED)
def test_its_call_goes(tmp_path: Path, before: str, after: str) -> None:
    assert fixed(tmp_path, before) == after


@pytest.mark.parametrize("program", LEFT_ALONE.values(), ids=LEFT_ALONE)
def test_what_is_left_alone(tmp_path: Path, program: str) -> None:
    assert fixed(tmp_path, program) == program
