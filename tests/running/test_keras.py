"""Keras: after each epoch of a fit the model's own logits, whatever stands behind them; nothing of it is changed."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

from finallayer.running.ledger import Ledger

X = np.array([[400.0, 0, 0], [0, 2, 0], [0, 0, 6], [0, 0, -1]] * 8, "float32")
Y = np.array([1, 1, 2, 2] * 8)


def model(*heads: Any, loss: Any) -> Any:
    import keras

    class Fixed(keras.layers.Layer):
        """Gives what it is handed, by a weight that stays."""

        def build(self, _shape: Any) -> None:
            self.w = self.add_weight(shape=(), initializer="ones")

        def call(self, x: Any) -> Any:
            return x * self.w

    made = keras.Sequential([keras.Input((3,)), Fixed(), *heads])
    made.compile(keras.optimizers.SGD(0.0), loss, metrics=["accuracy"])
    return made


def cross_entropy(**options: Any) -> Any:
    import keras

    return keras.losses.SparseCategoricalCrossentropy(**options)


def around(ledger: Ledger) -> Any:
    from finallayer.running.frameworks import keras

    return keras.around(ledger, "keras")


def fitted(made: Any, *args: Any, **options: Any) -> tuple[list[dict[str, Any]], Ledger, Any]:
    ledger = Ledger()
    with around(ledger):
        history = made.fit(*args, batch_size=16, verbose=0, shuffle=False, **options)
    return ledger.rows()[1], ledger, history


@pytest.mark.parametrize("layer", ["Softmax", "Activation", None])
def test_each_epoch_shows_the_logits_behind_the_head(layer: str | None) -> None:
    import keras

    heads = {"Softmax": keras.layers.Softmax, "Activation": partial(keras.layers.Activation, "softmax")}
    made = model(heads[layer](), loss=cross_entropy()) if layer else model(loss=cross_entropy(from_logits=True))
    silenced = 0.25 if layer and keras.backend.backend() != "tensorflow" else 0.0
    rows, ledger, history = fitted(made, X, Y, epochs=2, validation_data=(X[:4], Y[:4]))
    assert [row["steps"] for row in rows] == [2, 2]
    for row, accuracy in zip(rows, history.history["val_accuracy"], strict=True):
        assert (row["train_accuracy"], row["held_out_accuracy"], row["silenced"]) == (0.5, 0.5, silenced)
        assert row["largest_margin"] == 400.0  # probabilities would know 104 at most
        assert row["logged"]["val_accuracy"] == pytest.approx(accuracy)
    assert ledger.audit is not None and ledger.audit["findings"] == (["FL202"] if silenced else []), ledger.audit


def test_what_is_given_to_fit_and_what_it_gives_stay() -> None:
    import keras

    calls: list[int] = []
    callbacks = [keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: calls.append(epoch))]
    made = model(loss=cross_entropy(from_logits=True))
    rows, ledger, history = fitted(made, X, Y, epochs=1, callbacks=callbacks, validation_split=0.25)
    assert len(callbacks) == 1 and calls == [0] and set(history.history) >= {"loss", "accuracy", "val_accuracy"}
    assert rows[0]["samples"] == 24 and made.metrics_names == ["loss", "compile_metrics"]
    with around(ledger):
        assert len(made.evaluate(X[:4], Y[:4], verbose=0)) == 2
    assert ledger.rows()[1][0]["logged"]["test_accuracy"] == 0.5


def test_a_data_set_is_read_and_a_generator_is_noted() -> None:
    import keras

    class Batches(keras.utils.PyDataset):
        def __len__(self) -> int:
            return 2

        def __getitem__(self, i: int) -> Any:
            return X[16 * i : 16 * i + 16], np.eye(3)[Y[16 * i : 16 * i + 16]]

    one_hot = keras.losses.CategoricalCrossentropy(from_logits=True)
    ledger = Ledger()
    with around(ledger):
        model(loss=one_hot).fit(Batches(), verbose=0)
    assert ledger.rows()[1][0]["samples"] == 32 and not ledger.notes
    with around(ledger):
        model(loss=one_hot).fit((Batches()[i] for i in range(2)), verbose=0, steps_per_epoch=2)
    assert any("read twice" in note for note in ledger.notes)


def test_a_regression_is_no_classifier() -> None:
    import keras

    rows, _, _ = fitted(model(keras.layers.Dense(1), loss="mse"), X, X[:, 0], epochs=1)
    assert rows[0]["samples"] == 0 and "train_accuracy" not in rows[0]
