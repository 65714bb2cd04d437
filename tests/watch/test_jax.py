"""measure(): pure, compiled, and the same as what PyTorch's Watch counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from finallayer.watch.quantities import Limits

MARGINS = np.array([-40.0, -20.0, -1.0, 0.5, 3.5, 14.5, 20.5, 60.0])


def batch() -> tuple[Any, Any]:
    import jax.numpy as jnp

    labels = np.arange(len(MARGINS)) % 4
    z = np.zeros((len(MARGINS), 4), dtype="f4")
    z[np.arange(len(MARGINS)), labels] = -MARGINS
    return jnp.asarray(z), jnp.asarray(labels)


def test_the_values_of_a_batch() -> None:
    import jax

    from finallayer.watch.jax import measure

    z, y = batch()
    values = jax.jit(lambda z, y: measure(z, y, limits=Limits(silenced=16.1)))(z, y)
    assert float(values["finallayer/silenced"]) == 2 / 8 and float(values["finallayer/collapsed"]) == 2 / 8
    assert float(values["finallayer/margin_p50"]) == 2.0 and float(values["finallayer/nonfinite"]) == 0
    assert values["finallayer/histogram"].shape == (64,) and float(values["finallayer/histogram"].sum()) == 8
    truth = -jax.nn.log_softmax(z)[np.arange(8), y].mean()
    assert float(values["finallayer/loss_above_floor"]) == pytest.approx(float(truth), rel=1e-5)
    one_hot = measure(z, jax.nn.one_hot(y, 4), limits=Limits(silenced=16.1))
    assert float(one_hot["finallayer/silenced"]) == 2 / 8
    large = jax.numpy.zeros((64, 512)), jax.numpy.zeros(64, int)
    assert float(measure(*large)["finallayer/histogram"].sum()) == 4
    assert float(measure(*large, share=1)["finallayer/histogram"].sum()) == 64


def test_it_adds_nothing_to_the_gradient_and_ignores_negative_labels() -> None:
    import jax

    from finallayer.watch.jax import measure

    z, y = batch()
    gradient = jax.grad(lambda z: measure(z, y)["finallayer/loss_above_floor"])(z)
    assert not gradient.any()
    ignoring = measure(z, y.at[4:].set(-1), limits=Limits(silenced=16.1))
    assert float(ignoring["finallayer/silenced"]) == 0 and float(ignoring["finallayer/histogram"].sum()) == 4
    with pytest.raises(ValueError, match="expected shape"):
        measure(z, y[:3])


def test_a_loss_is_probed_while_the_step_is_compiled() -> None:
    import jax
    import jax.numpy as jnp

    from finallayer.watch.jax import measure

    def clipped(z: Any, y: Any) -> Any:
        return -jnp.log(jnp.clip(jax.nn.softmax(z), 1e-7))[jnp.arange(len(y)), y].mean()

    values = jax.jit(lambda z, y: measure(z, y, loss=clipped))(*batch())
    assert float(values["finallayer/silenced"]) == 2 / 8
