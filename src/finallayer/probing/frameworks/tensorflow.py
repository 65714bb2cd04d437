"""TensorFlow 2, in eager mode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from finallayer.probing.frameworks.framework import Array, Loss, Measured, NotALossError, as_float64, made_in


class TensorFlow:
    """See ``framework.Framework``."""

    name = "tensorflow"
    target_first = True
    single_rows = False
    tried_in = "float32"
    differences = False

    def version(self) -> str:
        return str(tf.__version__)

    def owns(self, loss: object) -> bool:
        return made_in(loss, "tensorflow")

    def target(self, values: Array, dtype: str) -> Any:
        return tf.constant(values, dtype="int64" if values.dtype.kind == "i" else dtype)

    def head(self, name: str, logits: Any) -> Any:
        return getattr(tf.nn, name)(logits)

    def gradient(self, loss: Loss, dtype: str) -> Callable[[Array, Any], Measured]:
        def measure(logits: Array, target: Any) -> Measured:
            with tf.device("CPU"):
                z = tf.cast(tf.constant(logits, dtype="float64"), dtype)
                with tf.GradientTape() as tape:
                    tape.watch(z)
                    value = loss(z, target)
                if not tf.is_tensor(value):
                    raise NotALossError("no tensor")
                gradient = tape.gradient(value, z)
            if gradient is None:
                raise NotALossError("no gradient with respect to the logits")
            return Measured(as_float64(value), as_float64(tf.convert_to_tensor(gradient)))

        return measure
