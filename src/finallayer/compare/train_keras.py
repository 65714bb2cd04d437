"""The article's network in Keras 3, on whichever backend KERAS_BACKEND names."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from finallayer.compare.fairness import DROPOUT, HIDDEN_UNITS, initial_weights
from finallayer.compare.grid import Cell
from finallayer.compare.heads import Head, find_head
from finallayer.compare.measure import Fitted, Observation

Array = NDArray[Any]
# (logits, labels, scale) -> (loss per sample, gradient of scale times their sum, target probability), as tensors
Probe = Callable[[Any, Any, Any], tuple[Any, Any, Any]]

CHUNK = 10_000  # samples observed at once: bounds memory


def build_model(head: Head, sample_shape: tuple[int, ...], classes: int) -> keras.Sequential:
    """The article's network, compiled as the article does, ending as the head says."""
    layers = [
        keras.layers.Input(sample_shape),
        keras.layers.Flatten(),
        keras.layers.Dense(HIDDEN_UNITS, activation="relu"),
        keras.layers.Dropout(DROPOUT, seed=0),
        keras.layers.Dense(classes),
    ]
    if head.softmax_in_model:
        layers.append(keras.layers.Softmax(dtype=head.softmax_dtype))
    model = keras.Sequential(layers)
    model.compile(optimizer="adam", loss=head.loss(keras), metrics=["accuracy"])
    return model


class Program:
    """A compiled model that can be set back to any seed's initial state: compiled once, trained often."""

    def __init__(self, head: Head, sample_shape: tuple[int, ...], classes: int) -> None:
        self.model = build_model(head, sample_shape, classes)
        self.model.optimizer.build(self.model.trainable_variables)
        self._features, self._classes = int(np.prod(sample_shape)), classes
        self._pristine = [(v, keras.ops.convert_to_numpy(v)) for v in self._variables()]
        last_dense = self.model.layers[-2 if head.softmax_in_model else -1]
        self.trunk = keras.Model(self.model.inputs[0], last_dense.output)
        outputs = self.model.layers[-1] if head.softmax_in_model else (lambda logits: logits)
        # Keras' own Softmax under the same policy: what the target's probability is in the model's arithmetic.
        self.probe = PROBES[keras.backend.backend()](
            outputs, head.loss(keras, reduction="none"), keras.layers.Softmax()
        )

    def reset(self, seed: int) -> None:
        """Initial weights of the seed, fresh optimizer, and the seed's dropout masks."""
        for variable, value in self._pristine:
            variable.assign(value)
        self.model.set_weights(initial_weights(seed, self._features, self._classes))
        (dropout,) = (layer for layer in self.model.layers if isinstance(layer, keras.layers.Dropout))
        dropout.seed_generator.state.assign(np.array([seed, 0], dtype=np.uint32))

    def updates(self) -> int:
        """How often the optimizer has changed the weights: a step that loss scaling skips isn't one."""
        optimizer = self.model.optimizer
        return int(getattr(optimizer, "inner_optimizer", optimizer).iterations)

    def _variables(self) -> list[Any]:
        return [*self.model.variables, *self.model.optimizer.variables]


class KerasTrainer:
    """Trains the article's network with Keras; see ``trainer.Trainer``."""

    initial_scale = 2.0**15  # of keras.optimizers.LossScaleOptimizer, which mixed_float16 brings along

    def __init__(self, sample_shape: tuple[int, ...], classes: int) -> None:
        self._sample_shape, self._classes = sample_shape, classes
        self._programs: dict[tuple[str, str], Program] = {}

    def start(self, cell: Cell) -> None:
        self._program = self._program_of(cell.precision, cell.head)
        self._program.reset(cell.seed)

    def fit_epoch(self, x: Array, y: Array, batch_size: int) -> Fitted:
        before = self._program.updates()
        history = self._program.model.fit(x, y, batch_size=batch_size, shuffle=False, verbose=0)
        updates = self._program.updates() - before
        return Fitted(float(history.history["loss"][0]), math.ceil(len(x) / batch_size) - updates)

    def logits(self, x: Array) -> Array:
        return np.concatenate([_numpy(self._program.trunk(part, training=False)) for part in _chunks(x)])

    def observe(self, x: Array, y: Array) -> Observation:
        once = _tensor(1.0)
        rows = []
        for part, labels in zip(_chunks(x), _chunks(y), strict=True):
            logits = self._program.trunk(part, training=False)
            losses, gradient, probability = self._program.probe(logits, keras.ops.convert_to_tensor(labels), once)
            rows.append([_numpy(tensor) for tensor in (logits, gradient, losses, probability)])
        return Observation(*(np.concatenate(column) for column in zip(*rows, strict=True)))

    def gradient(self, precision: str, head: str, logits: Array, y: Array, scale: float = 1.0) -> Array:
        program = self._program_of(precision, head)
        compute_dtype = program.trunk.layers[-1].compute_dtype
        tensor = keras.ops.convert_to_tensor(logits.astype(np.float32), dtype=compute_dtype)
        return _numpy(program.probe(tensor, keras.ops.convert_to_tensor(y), _tensor(scale))[1])

    def _program_of(self, precision: str, name: str) -> Program:
        head = find_head("keras", name)
        keras.config.set_epsilon(head.epsilon)  # which is read when a program is traced, or each time
        if (precision, name) not in self._programs:
            keras.config.set_dtype_policy(precision)
            self._programs[precision, name] = Program(head, self._sample_shape, self._classes)
        return self._programs[precision, name]


def _at_target(probabilities: Any, labels: Any) -> Any:
    return keras.ops.take_along_axis(probabilities, keras.ops.expand_dims(labels, -1), axis=-1)[:, 0]


def _jax_probe(outputs: Any, loss: Any, softmax: Any) -> Probe:
    import jax

    def losses(logits: Any, labels: Any, scale: Any) -> tuple[Any, Any]:
        per_sample = loss(labels, outputs(logits))
        return (scale * per_sample).sum(), per_sample

    @jax.jit
    def probe(logits: Any, labels: Any, scale: Any) -> tuple[Any, Any, Any]:
        gradient, per_sample = jax.grad(losses, has_aux=True)(logits, labels, scale)
        return per_sample, gradient, _at_target(softmax(logits), labels)

    return probe


def _tensorflow_probe(outputs: Any, loss: Any, softmax: Any) -> Probe:
    import tensorflow as tf

    # A graph, as in fit(): Keras' rescue of softmax heads reads the graph.
    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def probe(logits: Any, labels: Any, scale: Any) -> tuple[Any, Any, Any]:
        with tf.GradientTape() as tape:
            tape.watch(logits)
            per_sample = loss(labels, outputs(logits))
            scaled = scale * per_sample
        return per_sample, tape.gradient(scaled, logits), _at_target(softmax(logits), labels)

    return probe  # type: ignore[no-any-return]


def _torch_probe(outputs: Any, loss: Any, softmax: Any) -> Probe:
    import torch

    def probe(logits: Any, labels: Any, scale: Any) -> tuple[Any, Any, Any]:
        leaf = logits.detach().requires_grad_()
        per_sample = loss(labels, outputs(leaf))
        (gradient,) = torch.autograd.grad((scale * per_sample).sum(), leaf)
        return per_sample, gradient, _at_target(softmax(leaf), labels)

    return probe


PROBES: dict[str, Callable[[Any, Any, Any], Probe]] = {
    "jax": _jax_probe,
    "tensorflow": _tensorflow_probe,
    "torch": _torch_probe,
}


def _chunks(array: Array) -> list[Array]:
    return [array[i : i + CHUNK] for i in range(0, len(array), CHUNK)]


def _tensor(value: float) -> Any:
    return keras.ops.convert_to_tensor(value, dtype="float32")  # in which Keras' losses compute


def _numpy(tensor: Any) -> Array:
    # float32 holds every bfloat16 and float16 exactly, and NumPy knows it.
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32")))
