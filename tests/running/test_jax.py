"""JAX: the logits and labels behind each loss whose gradient is asked for, compiled or not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("jax")
pytest.importorskip("optax")

import jax
import jax.numpy as jnp
import numpy as np
import optax

from finallayer.running.frameworks.jax import around
from finallayer.running.ledger import Ledger

X = np.array([[40.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 6.0], [0.0, 0.0, -1.0]], np.float32)
Y = np.array([1, 1, 2, 2])
W = np.eye(3, dtype=np.float32)


def fused(w: Any, x: Any, y: Any) -> Any:
    return optax.softmax_cross_entropy_with_integer_labels(x @ w, y).mean()


def doubled(w: Any, x: Any, y: Any) -> Any:
    return optax.softmax_cross_entropy_with_integer_labels(jax.nn.softmax(x @ w), y).mean()


def one_hot(w: Any, x: Any, y: Any) -> Any:
    return optax.softmax_cross_entropy(x @ w, jax.nn.one_hot(y, 3)).mean()


def with_epsilon(w: Any, x: Any, y: Any) -> Any:
    p = jax.nn.softmax(x @ w)
    return -jnp.mean(jnp.sum(jax.nn.one_hot(y, 3) * jnp.log(p + 1e-8), axis=-1))


def picked(w: Any, x: Any, y: Any) -> Any:
    return -jnp.take_along_axis(jax.nn.log_softmax(x @ w), y[:, None], axis=-1).mean()


def indexed(w: Any, x: Any, y: Any) -> Any:
    return -jnp.log(jax.nn.softmax(x @ w))[jnp.arange(4), y].mean()


def seen(step: Callable[[], Any]) -> tuple[list[dict[str, Any]], Ledger]:
    ledger = Ledger()
    with around(ledger, "jax"):
        step()
        jax.effects_barrier()
    return ledger.rows()[1], ledger


@pytest.mark.parametrize("loss", [fused, doubled, one_hot, with_epsilon, picked, indexed])
def test_a_compiled_step_shows_who_is_right(loss: Callable[..., Any]) -> None:
    def step() -> None:
        compiled = jax.jit(lambda w, x, y: jax.value_and_grad(lambda w: (loss(w, x, y), y), has_aux=True)(w))
        for _ in range(2):  # the second time nothing is traced
            compiled(W, X, Y)

    rows, ledger = seen(step)
    assert sum(row["steps"] for row in rows) == 2, ledger.notes
    for row in rows:
        assert (row["samples"], row["train_accuracy"], row["largest_margin"]) == (4, 0.5, 40.0)
        assert row["silenced"] == (0.25 if loss in (with_epsilon,) else 0.0)


def test_gradients_are_the_same_and_a_step_need_not_be_compiled() -> None:
    plain = jax.grad(fused)(W, X, Y)
    given = []
    rows, _ = seen(lambda: given.append(jax.grad(fused)(W, X, Y)))
    assert rows[0]["samples"] == 4 and np.array_equal(plain, given[0])


def test_outcomes() -> None:
    def loss(w: Any, x: Any, y: Any) -> Any:
        return optax.sigmoid_binary_cross_entropy((x @ w)[:, 0], y).mean()

    rows, _ = seen(lambda: jax.grad(loss)(W, X, np.array([0.0, 0.0, 1.0, 1.0], np.float32)))
    assert rows[0]["largest_margin"] == 40.0 and rows[0]["samples"] == 4


def test_what_a_jaxpr_does_not_show_is_noted_and_goes_on() -> None:
    given = []
    rows, ledger = seen(lambda: given.append(jax.grad(lambda w: (w**2).sum())(W)))
    assert not rows and given[0].tolist() == (2 * W).tolist()
    assert any("no logits and labels" in note for note in ledger.notes)
    with pytest.raises(TypeError):
        seen(lambda: jax.grad(lambda w: w)(W))
