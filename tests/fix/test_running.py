"""Fixed programs run: the same loss and gradient where the old one was right, and the true ones where it was not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .workbench import fixed

TORCH = "import torch\nimport torch.nn.functional as F\n\n"
JAX = "import jax\nimport jax.numpy as jnp\n\n"

#: (framework, the program, whether it is of classes): ``loss(w, x, y)`` with the logits x @ w
PROGRAMS: dict[str, tuple[str, str, bool]] = {
    "torch, in one expression": (
        "torch",
        "def loss(w, x, y):\n"
        "    return -(y * torch.log(torch.softmax(F.linear(x, w.T), dim=1) + 1e-12)).sum(1).mean()\n",
        True,
    ),
    "torch, by name": (
        "torch",
        "def loss(w, x, y):\n    p = F.softmax(F.linear(x, w.T), dim=1)\n    p = torch.clamp(p, 1e-12, 1.0)\n"
        "    return -(p.log()[:, None] * y[:, None]).sum() / len(x)\n",
        True,
    ),
    "torch, a layer": (
        "torch",
        "softmax = torch.nn.Softmax(dim=1)\n\n"
        "def loss(w, x, y):\n    p = softmax(F.linear(x, w.T))\n    return F.nll_loss(torch.log(p), y.argmax(1))\n",
        True,
    ),
    "torch, binary": (
        "torch",
        "def loss(w, x, y):\n    p = torch.sigmoid(F.linear(x, w.T))\n"
        "    return -(y * torch.log(p) + (1 - y) * torch.log(1 - p)).sum(1).mean()\n",
        False,
    ),
    "torch, softplus by hand": (
        "torch",
        "def loss(w, x, y):\n    z = F.linear(x, w.T)\n    return (z.exp().add(1).log() - y * z).sum(1).mean()\n",
        False,
    ),
    "torch, logsumexp by hand": (
        "torch",
        "def loss(w, x, y):\n    z = F.linear(x, w.T)\n"
        "    return (torch.log(torch.sum(torch.exp(z), dim=1)) - (y * z).sum(1)).mean()\n",
        True,
    ),
    "jax, a softmax of its own": (
        "jax",
        "def softmax(z):\n    e = jnp.exp(z)\n    return e / jnp.sum(e, axis=-1, keepdims=True)\n\n"
        "def loss(w, x, y):\n    p = softmax(jnp.dot(x, w))\n    return -jnp.mean(jnp.sum(y * jnp.log(p), axis=1))\n\n"
        "g = jax.grad(loss)\n",
        True,
    ),
    "jax, clipped": (
        "jax",
        "def loss(w, x, y):\n    p = jnp.clip(jax.nn.softmax(x @ w, axis=-1), 1e-12, 1.0)\n"
        "    return -jnp.mean(jnp.sum(y * jnp.log(p), axis=1))\n\ng = jax.grad(loss)\n",
        True,
    ),
    "jax, a sigmoid of its own": (
        "jax",
        "def loss(w, x, y):\n    p = 1.0 / (1.0 + jnp.exp(-(x @ w)))\n"
        "    return -jnp.mean(jnp.sum(y * jnp.log(p) + (1.0 - y) * jnp.log(1.0 - p), axis=1))\n\ng = jax.grad(loss)\n",
        False,
    ),
}

W = np.array([[1.0, -0.5, 0.2], [0.3, 0.8, -1.0], [-0.2, 0.1, 0.6]])
X = np.array([[0.5, -1.0, 2.0], [1.5, 0.3, -0.7]])
Y = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])


def run(framework: str, program: str, scale: float) -> tuple[float, np.ndarray]:
    """The program's loss and its gradient by the weights, in float32, on logits ``scale`` times as large."""
    names: dict[str, Any] = {}
    if framework == "torch":
        import torch

        exec(compile(TORCH + program, "program", "exec"), names)
        w = torch.tensor(W * scale, dtype=torch.float32, requires_grad=True)
        loss = names["loss"](w, *(torch.tensor(a, dtype=torch.float32) for a in (X, Y)))
        loss.backward()
        return float(loss.detach()), np.asarray(w.grad)
    import jax
    import jax.numpy as jnp

    exec(compile(JAX + program, "program", "exec"), names)
    loss, grad = jax.value_and_grad(names["loss"])(*(jnp.asarray(a, jnp.float32) for a in (W * scale, X, Y)))
    return float(loss), np.asarray(grad)


def truth(scale: float, categorical: bool) -> tuple[float, np.ndarray]:
    """The mean cross-entropy and its gradient, in float64."""
    z = X @ (W * scale)
    if categorical:
        total = np.logaddexp.reduce(z, axis=1, keepdims=True)
        return float(np.mean(total[:, 0] - (Y * z).sum(1))), X.T @ (np.exp(z - total) - Y) / len(X)
    return float(np.mean((np.logaddexp(0, z) - Y * z).sum(1))), X.T @ (1 / (1 + np.exp(-z)) - Y) / len(X)


@pytest.mark.parametrize(("framework", "program", "categorical"), PROGRAMS.values(), ids=PROGRAMS)
def test_a_fixed_program_gives_the_same_loss_and_then_the_true_one(
    tmp_path: Path, framework: str, program: str, categorical: bool
) -> None:
    head = {"torch": TORCH, "jax": JAX}[framework]
    new = fixed(tmp_path, head + program).removeprefix(head)
    assert new != program
    old_loss, old_grad = run(framework, program, 1.0)
    new_loss, new_grad = run(framework, new, 1.0)
    np.testing.assert_allclose(new_loss, old_loss, rtol=2e-6, atol=2e-7)
    np.testing.assert_allclose(new_grad, old_grad, rtol=2e-6, atol=2e-7)
    loss, grad = truth(100.0, categorical)
    old_grad = run(framework, program, 100.0)[1]
    assert not np.allclose(old_grad, grad, rtol=1e-3), "the program was never unstable"
    after, new_grad = run(framework, new, 100.0)
    np.testing.assert_allclose(after, loss, rtol=1e-5)
    np.testing.assert_allclose(new_grad, grad, rtol=1e-5, atol=1e-6)
