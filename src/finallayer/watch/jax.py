"""JAX: a pure function to call within the training step."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp

from finallayer.watch.quantities import EDGES, MOST_PROBED, PREFIX, QUANTILES, SHARE, WIDEST, Limits, stride


def measure(
    logits: jax.Array,
    target: jax.Array,
    *,
    loss: Callable[..., Any] | None = None,
    limits: Limits | None = None,
    share: float = SHARE,
) -> dict[str, jax.Array]:
    """What a batch shows of its final layer: scalars in float32 by the names under which they are logged.

    ``logits``: shape ``(..., C)``, any float dtype. ``target``: class indices of shape ``(...)``, negative ones are
    ignored, or distributions of shape ``(..., C)``, of which the likeliest class counts. ``loss``: what trains them; it
    is probed once (``finallayer.probe``) for its safe margin. Without it, a loss of logits is assumed, which
    silences nothing; ``limits`` says otherwise. ``share``: of the samples of a large batch that are
    measured, evenly spread; 1 for all.

    Pure: it belongs into the compiled step, beside the loss. Means over steps are means of what it gives;
    ``finallayer/histogram`` holds the counts of margins between the edges ``finallayer.watch.quantities.EDGES``.
    """
    limits = limits or (_limits(loss, min(logits.shape[-1], MOST_PROBED)) if loss is not None else Limits())
    z, y = _rows(jax.lax.stop_gradient(logits), target, share)
    counted = (y >= 0) & (y < z.shape[-1])
    at = jnp.where(counted, y, 0)[:, None]
    own = jnp.take_along_axis(z, at, axis=-1)[:, 0]
    others = jnp.where(jnp.arange(z.shape[-1]) == at, -jnp.inf, z)
    margin = jnp.max(others, axis=-1) - own
    odds = jax.nn.logsumexp(others, axis=-1) - own
    finite = jnp.isfinite(odds)
    samples = jnp.maximum(counted.sum(), 1)

    def part(which: jax.Array) -> jax.Array:
        return jnp.sum(which & counted) / samples

    known = jnp.where(counted & finite, margin, jnp.nan)
    losses = jnp.where(counted & finite, jax.nn.softplus(odds), 0)
    bins = jnp.where(counted & finite, jnp.searchsorted(jnp.asarray(EDGES), margin), -1)
    values = {
        "silenced": part(odds > limits.silenced),
        "collapsed": part(odds < -limits.collapsed),
        **{name: jnp.nanquantile(jnp.clip(known, -WIDEST, WIDEST), q) for name, q in QUANTILES.items()},
        "loss_above_floor": losses.sum() / samples - limits.floor,
        "nonfinite": part(~finite),
        "histogram": jnp.sum(bins[:, None] == jnp.arange(len(EDGES) + 1), axis=0),
    }
    return {PREFIX + name: value.astype(jnp.float32) for name, value in values.items()}


def _rows(logits: jax.Array, target: jax.Array, share: float) -> tuple[jax.Array, jax.Array]:
    """Rows in float32 and their class indices, evenly spread where there are many."""
    if target.shape == logits.shape:
        target = jnp.argmax(target, axis=-1)
    z, y = logits.reshape(-1, logits.shape[-1]), target.reshape(-1)
    if z.shape[0] != y.shape[0]:
        raise ValueError(f"target: expected shape {logits.shape[:-1]} or {logits.shape}, not {target.shape}")
    step = stride(z.size, share)
    return z[::step].astype(jnp.float32), y[::step]


@lru_cache(maxsize=16)
def _limits(loss: Callable[..., Any], classes: int) -> Limits:
    from finallayer.probing import probe

    with jax.ensure_compile_time_eval():
        return Limits.of(probe(loss, classes, framework="jax"))
