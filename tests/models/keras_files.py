"""Writes ``.keras`` files as people make them, with Keras itself: ``python keras_files.py FOLDER``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers, ops

ROWS = np.random.default_rng(0).normal(size=(16, 4)).astype("float32")
SPARSE, BINARY = np.arange(16) % 3, (np.arange(16) % 2)[:, None]


def sequential(*head: Any) -> keras.Model:
    return keras.Sequential([keras.Input((4,)), layers.Dense(8, activation="relu"), *head])


def several() -> keras.Model:
    """Two outputs by name, an operation, a model in a model, and one layer that two outputs read."""
    features = keras.Input((4,), name="features")
    hidden = layers.BatchNormalization()(layers.Dense(8, activation="relu")(features))
    inner = keras.Sequential([keras.Input((8,)), layers.Dense(5), layers.Softmax()], name="inner")
    shared = layers.Dense(1, name="shared")(hidden)
    return keras.Model(
        features,
        {
            "classes": layers.Dense(3, activation="softmax", name="classes")(hidden),
            "yes": layers.Activation("sigmoid", name="yes")(shared),
            "score": shared,
            "nested": inner(hidden),
            "by_hand": ops.exp(shared) / ops.sum(ops.exp(shared), axis=-1, keepdims=True),
            "operation": ops.softmax(layers.Dense(6)(hidden)),
        },
    )


@keras.saving.register_keras_serializable("own")
class Own(keras.Model):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dense = layers.Dense(3, activation="softmax")

    def call(self, inputs: Any) -> Any:
        return self.dense(inputs)


def compiled(model: keras.Model, loss: Any, metrics: Any = None, labels: Any = None) -> keras.Model:
    model.compile("adam", loss, metrics=metrics)
    if labels is not None:
        model.train_on_batch(ROWS, labels)  # the optimizer gets a state
    return model


def write(folder: Path) -> None:
    """Write one of each."""
    keras.utils.set_random_seed(0)
    told = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    softmax = sequential(layers.Dense(3, activation="softmax"))
    sigmoid = sequential(layers.Dense(1, activation="sigmoid"))
    read = ["accuracy", keras.metrics.AUC(), keras.metrics.BinaryAccuracy(threshold=0.8, name="sure")]
    made = {
        "softmax": compiled(softmax, "sparse_categorical_crossentropy", ["accuracy"], SPARSE),
        "sigmoid": compiled(sigmoid, keras.losses.BinaryCrossentropy(), read, BINARY),
        "twice": compiled(sequential(layers.Dense(3), layers.Softmax()), told),
        "logits": compiled(sequential(layers.Dense(3)), told),
        "wrong": compiled(sequential(layers.Dense(3)), "sparse_categorical_crossentropy"),
        "regression": compiled(sequential(layers.Dense(1)), "mse", ["mae"]),
        "squared": compiled(sequential(layers.Dense(3, activation="softmax")), "mse"),
        "one_unit": sequential(layers.Dense(1, activation="softmax")),
        "leaky": sequential(layers.Dense(3), layers.LeakyReLU()),
        "logs": sequential(layers.Dense(3, activation="log_softmax")),
        "several": several(),
        "own": Own(),
        "function": sequential(layers.Lambda(lambda x: ops.softmax(x))),
    }
    made["own"](ROWS)
    for name, model in made.items():
        model.save(folder / f"{name}.keras")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
