"""Keras 3, on whichever backend it was started with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from finallayer.probing.frameworks.framework import Array, Framework, Loss, Measured, made_in


class Keras:
    """See ``framework.Framework``; arrays and gradients are the backend's."""

    target_first = True
    single_rows = False
    tried_in = "float32"
    differences = False

    def __init__(self, backend: Framework) -> None:
        self.backend = backend
        self.name = f"keras on {backend.name}"

    def version(self) -> str:
        return f"{keras.__version__}, {self.backend.name} {self.backend.version()}"

    def owns(self, loss: object) -> bool:
        return isinstance(loss, keras.losses.Loss) or made_in(loss, "keras")

    def target(self, values: Array, dtype: str) -> Any:
        return self.backend.target(values, dtype)

    def head(self, name: str, logits: Any) -> Any:
        return getattr(keras.activations, name)(logits)  # as a layer's: on TensorFlow it remembers its logits

    def gradient(self, loss: Loss, dtype: str) -> Callable[[Array, Any], Measured]:
        return self.backend.gradient(loss, dtype)
