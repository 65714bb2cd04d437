"""The article's network on unscaled digits, watched: which share of the samples a softmax head silences.

KERAS_BACKEND=jax python benchmarks/watch_digits.py        # about half
KERAS_BACKEND=tensorflow python benchmarks/watch_digits.py # none: the loss finds the logits
"""

from __future__ import annotations

import argparse
from importlib import import_module
from typing import Any

from sklearn.datasets import load_digits


def watched(activation: str | None, epochs: int) -> dict[str, list[float]]:
    """What each epoch has logged, of a softmax head or of one of logits."""
    keras: Any = import_module("keras")
    from finallayer.watch.keras import Collapsed, FinalLayer, Margin, Silenced

    x, y = load_digits(return_X_y=True)
    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.2),
            layers.Dense(10, activation=activation),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=activation is None)
    model.compile("adam", loss, metrics=["accuracy", Silenced(), Collapsed(), Margin(0.5), Margin(0.99)])
    pixels = (x * 255 / 16).astype("float32")
    history = model.fit(pixels, y, batch_size=32, epochs=epochs, verbose=0, callbacks=[FinalLayer()])
    logged: dict[str, list[float]] = history.history
    return logged


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=5)
    options = parser.parse_args()
    for activation in ("softmax", None):
        for name, values in watched(activation, options.epochs).items():
            print(f"{activation or 'logits':8} {name:24} {'  '.join(f'{v:8.3f}' for v in values)}")


if __name__ == "__main__":
    main()
