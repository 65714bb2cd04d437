"""`finallayer.losses.jax`, sharded over four devices of a CPU; run by test_jax_sharded.py."""

from __future__ import annotations

import re
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import shard_map
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from finallayer.losses import jax as losses

RNG = np.random.default_rng(0)
LOGITS = jnp.asarray(RNG.normal(size=(8, 256)) * 3, jnp.float32)
TARGETS = {
    "softmax_cross_entropy_with_integer_labels": jnp.asarray(RNG.integers(0, 256, 8)),
    "softmax_cross_entropy": jnp.asarray(RNG.dirichlet(np.ones(256), 8), jnp.float32),
    "sigmoid_binary_cross_entropy": jnp.asarray(RNG.uniform(size=(8, 256)), jnp.float32),
}
AUTO = jax.make_mesh((4,), ("x",), axis_types=(AxisType.Auto,))
EXPLICIT = jax.make_mesh((4,), ("x",), axis_types=(AxisType.Explicit,))


def mean_of(name):
    return lambda z, y: getattr(losses, name)(z, y).mean()


@cache
def alone(name):
    """The mean loss and its gradient on one device."""
    return jax.value_and_grad(mean_of(name))(LOGITS, TARGETS[name])


def assert_same(got, name) -> None:
    for ours, expected in zip(got, alone(name), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("check_vma", [True, False])
@pytest.mark.parametrize("name", TARGETS)
def test_under_shard_map(name, check_vma) -> None:
    def loss(z, y):
        return jax.lax.pmean(mean_of(name)(z, y), "x")

    mapped = shard_map(loss, mesh=AUTO, in_specs=(P("x"), P("x")), out_specs=P(), check_vma=check_vma)
    assert_same(jax.jit(jax.value_and_grad(mapped))(LOGITS, TARGETS[name]), name)


def test_under_shard_map_with_labels_that_all_devices_share() -> None:
    name = "softmax_cross_entropy"
    loss = shard_map(
        lambda z, q: jax.lax.pmean(mean_of(name)(z, q), "x"), mesh=AUTO, in_specs=(P("x"), P()), out_specs=P()
    )
    shared = TARGETS[name][:2]
    got = jax.jit(jax.grad(loss))(LOGITS, shared)
    expected = jax.grad(mean_of(name))(LOGITS, jnp.tile(shared, (4, 1)))
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-8)


def test_second_derivatives_under_shard_map() -> None:
    name = "softmax_cross_entropy_with_integer_labels"
    loss = shard_map(
        lambda z, y: jax.lax.pmean(mean_of(name)(z, y), "x"), mesh=AUTO, in_specs=(P("x"), P("x")), out_specs=P()
    )

    def along(f):
        return jax.jvp(jax.grad(lambda z: f(z, TARGETS[name])), (LOGITS,), (LOGITS,))[1]

    np.testing.assert_allclose(along(loss), along(mean_of(name)), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("spec", [P("x"), P(None, "x")], ids=["rows", "classes"])
@pytest.mark.parametrize("name", TARGETS)
def test_a_sharded_jit_gathers_nothing(name, spec) -> None:
    """Neither the logits nor their gradient are ever whole on one device."""
    target = TARGETS[name]
    z = jax.device_put(LOGITS, NamedSharding(AUTO, spec))
    y = jax.device_put(target, NamedSharding(AUTO, P(*spec[: target.ndim])))
    step = jax.jit(jax.value_and_grad(mean_of(name))).lower(z, y).compile()
    assert not re.search(r"all-gather|all-to-all", step.as_text())
    got = step(z, y)
    assert got[1].sharding.is_equivalent_to(z.sharding, 2)
    assert_same(got, name)


@pytest.mark.parametrize("name", TARGETS)
def test_explicit_sharding_of_rows(name) -> None:
    with jax.set_mesh(EXPLICIT):
        z, y = (jax.device_put(x, NamedSharding(EXPLICIT, P("x"))) for x in (LOGITS, TARGETS[name]))
        got = jax.jit(jax.value_and_grad(mean_of(name)))(z, y)
        assert got[1].sharding.spec[0] == "x"
    assert_same(jax.device_get(got), name)
