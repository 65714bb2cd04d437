"""Keras 3: what a compiled model's loss computes on its own backend, read by that backend's front end."""

from __future__ import annotations

from typing import Any

import keras

from finallayer.live.observation import Observation


def observe(model: keras.Model, x: Any, y: Any, sample_weight: Any = None) -> Observation:
    """Tell what a compiled model's loss computes of one batch.

    Raises ``TypeError`` where the model's backend has no front end.
    """
    read = _BACKENDS.get(keras.backend.backend())
    if read is None:
        raise TypeError(
            f"audit of a Keras model needs the JAX, TensorFlow or torch backend, not {keras.backend.backend()}"
        )
    return read(model, x, y, sample_weight)


def is_model(value: object) -> bool:
    """Whether a value is a model of this framework's."""
    return isinstance(value, keras.Model)


def is_compiled(model: keras.Model) -> bool:
    """Whether a model has a loss of its own."""
    return getattr(model, "loss", None) is not None or type(model).compute_loss is not keras.Model.compute_loss


def _on_jax(model: keras.Model, x: Any, y: Any, sample_weight: Any) -> Observation:
    from finallayer.live.jax import observe

    def loss(trained: Any, others: Any, x: Any, y: Any) -> Any:
        prediction, _ = model.stateless_call(trained, others, x, training=False)
        with keras.StatelessScope():  # what counts losses keeps no tracer
            return model.compute_loss(x, y, prediction, sample_weight)

    trained = [variable.value for variable in model.trainable_variables]
    others = [variable.value for variable in model.non_trainable_variables]
    return observe(loss, (trained, others, *map(keras.ops.convert_to_tensor, (x, y))), {})


def _on_torch(model: keras.Model, x: Any, y: Any, sample_weight: Any) -> Observation:
    from finallayer.live.torch import observe

    def loss(x: Any, y: Any) -> Any:
        return model.compute_loss(x, y, model(x, training=False), sample_weight)

    given = tuple(map(keras.ops.convert_to_tensor, (x, y)))
    return observe(loss, given, {})


def _on_tensorflow(model: keras.Model, x: Any, y: Any, sample_weight: Any) -> Observation:
    from finallayer.live.tensorflow import trace

    def loss(x: Any, y: Any) -> Any:
        return model.compute_loss(x, y, model(x, training=False), sample_weight)

    return trace(loss, tuple(map(keras.ops.convert_to_tensor, (x, y))))


_BACKENDS = {"jax": _on_jax, "torch": _on_torch, "tensorflow": _on_tensorflow}
