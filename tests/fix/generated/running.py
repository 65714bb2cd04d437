"""A generated program run before and after its fix: what its readers see, and the gradient of its loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from . import Program

ROWS = 5
#: How closely numbers must agree. (Keras on torch goes through float32 on its way, whatever its policy.)
TOLERANCE = {"torch": 1e-9, "keras": 1e-6, "jax": 1e-9}
Names = dict[str, Any]


class Ran(NamedTuple):
    """What one run showed, in float64."""

    shown: list[np.ndarray]
    gradient: np.ndarray


def difference(program: Program, after: bytes, seed: int = 0) -> str:
    """Why a fix is wrong; empty where every reader sees what it saw, and training goes the right way."""
    run, close = RUNNERS[program.framework], TOLERANCE[program.framework]
    old, new, right = (run(text, program.binary, seed) for text in (program.text, after, program.right))
    if len(old.shown) != len(new.shown):
        return "another number of values"
    for a, b in zip(old.shown, new.shown, strict=True):
        if a.shape != b.shape or not np.allclose(a, b, rtol=0, atol=close):
            return f"a reader sees {b.tolist()} and not {a.tolist()}"
    same = np.allclose(new.gradient, right.gradient, rtol=close, atol=close)
    return "" if same else "the loss isn't the cross-entropy of the logits"


def _named(text: str | bytes) -> Names:
    names: Names = {"__name__": "generated"}
    exec(compile(text, "generated", "exec"), names)
    return names


def _data(binary: bool, seed: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(ROWS, 4))
    return x, draw.integers(0, 2, (ROWS, 1)).astype(float) if binary else draw.integers(0, 3, ROWS)


def _flat(values: list[Any]) -> list[np.ndarray]:
    return [np.ravel(np.asarray(v, dtype=np.float64)) for v in values]


def run_torch(text: str | bytes, binary: bool, seed: int) -> Ran:
    """``run(x, y)`` gives the loss and what is shown."""
    import torch

    torch.set_default_dtype(torch.float64)
    try:
        torch.manual_seed(seed)
        names = _named(text)
        loss, shown = names["run"](*map(torch.as_tensor, _data(binary, seed)))
        loss.backward()
        gradient = torch.cat([p.grad.flatten() for p in names["model"].parameters()])
    finally:
        torch.set_default_dtype(torch.float32)
    return Ran(_flat([torch.as_tensor(s).detach() for s in shown]), gradient.numpy())


def run_keras(text: str | bytes, binary: bool, seed: int) -> Ran:
    """``run(x, y)`` gives what is shown, and then trains: the weights change by the gradient."""
    import keras

    before = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    try:
        names = _named(text)
        x, y = _data(binary, seed)
        model = names["model"]
        model(x[:1])
        draw = np.random.default_rng(seed)
        weights = [draw.normal(size=w.shape) for w in model.get_weights()]
        model.set_weights(weights)
        shown = names["run"](x, y)
        moved = [w - v for w, v in zip(weights, model.get_weights(), strict=True)]
    finally:
        keras.config.set_floatx(before[0])
        keras.config.set_dtype_policy(before[1])
    return Ran(_flat(shown), np.concatenate([m.ravel() for m in moved]))


def run_jax(text: str | bytes, binary: bool, seed: int) -> Ran:
    """``loss_fn(params, x, y)`` gives the loss, ``show(params, x)`` what is shown."""
    import jax

    with jax.enable_x64(True), jax.disable_jit():
        names = _named(text)
        given, y = _data(binary, seed)
        params, x = names["params"], jax.numpy.asarray(given)
        gradient = jax.grad(names["loss_fn"])(params, x, jax.numpy.asarray(y))
        shown = names["show"](params, x)
    return Ran(_flat(shown), np.concatenate([np.ravel(g) for g in jax.tree.leaves(gradient)]))


RUNNERS: dict[str, Callable[[str | bytes, bool, int], Ran]] = {
    "torch": run_torch,
    "keras": run_keras,
    "jax": run_jax,
}
