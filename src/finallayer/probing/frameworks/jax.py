"""JAX: compiled, as a training step is, where the loss can be."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import jax
import jax.numpy as jnp

from finallayer.numerics.formats import float_format
from finallayer.numerics.safe_margin import numpy_dtype
from finallayer.probing.frameworks.framework import Array, Loss, Measured, NotALossError, as_float64, made_in


class Jax:
    """See ``framework.Framework``."""

    name = "jax"
    target_first = False
    single_rows = True
    tried_in = "float32"
    differences = False

    def version(self) -> str:
        return str(jax.__version__)

    def owns(self, loss: object) -> bool:
        return made_in(loss, "jax", "optax", "flax")

    def target(self, values: Array, dtype: str) -> Any:
        with _precision(dtype):
            return jnp.asarray(values, dtype=jnp.int32 if values.dtype.kind == "i" else dtype)

    def head(self, name: str, logits: Any) -> Any:
        return getattr(jax.nn, name)(logits)

    def gradient(self, loss: Loss, dtype: str) -> Callable[[Array, Any], Measured]:
        def total(z: Any, target: Any) -> Any:
            value = loss(z, target)
            if not isinstance(value, jax.Array):
                raise NotALossError("no array of JAX's")
            return jnp.sum(value), value

        eager = jax.value_and_grad(total, has_aux=True)
        compiled = jax.jit(eager)
        kind = numpy_dtype(float_format(dtype))

        def measure(logits: Array, target: Any) -> Measured:
            with _precision(dtype):
                z = jnp.asarray(logits.astype(kind))
                try:
                    (_, value), gradient = compiled(z, target)
                except (jax.errors.JAXTypeError, jax.errors.JAXIndexError):  # it looks at numbers while it is traced
                    (_, value), gradient = eager(z, target)
                return Measured(as_float64(value), as_float64(gradient))

        return measure


def _precision(dtype: str) -> AbstractContextManager[Any]:
    """Where JAX computes in 64 bits, if that is what is measured."""
    return jax.enable_x64(True) if dtype == "float64" else nullcontext()
