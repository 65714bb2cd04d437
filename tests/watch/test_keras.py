"""Keras' metrics on each backend, in models that are trained: the clip silences, and TensorFlow's rescue is seen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import finallayer

#: One process for all models of a backend. The layer hands its inputs on, so that the margins are known.
PROGRAM = """
import json, warnings
import keras
import numpy as np
import finallayer

margins = np.array([-40, -20, -1, 0.5, 3.5, 14.5, 20.5, 60], dtype="f4")
y = np.arange(8) % 4
x = np.zeros((8, 4), dtype="f4")
x[np.arange(8), y] = -margins
kit = finallayer.watch.keras

def fitted(activation, labels=y, dtype=None, **options):
    last = keras.layers.Dense(4, activation, kernel_initializer="identity", use_bias=False, dtype=dtype)
    model = keras.Sequential([keras.Input((4,)), last])
    kind = keras.losses.CategoricalCrossentropy if labels.ndim == 2 else keras.losses.SparseCategoricalCrossentropy
    kinds = [kit.Silenced, kit.Collapsed, kit.Margin]
    metrics = [kind(**options) for kind in kinds] + [kit.Margin(0.99, **options)]
    model.compile(keras.optimizers.SGD(0.0), kind(from_logits=activation is None), metrics=metrics)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        fit = dict(batch_size=4, epochs=2, shuffle=False, verbose=0, callbacks=[kit.FinalLayer()])
        history = model.fit(x, labels, **fit).history
    own = [str(w.message) for w in said if type(w.message).__name__ == "FinalLayerWarning"]
    return {**{k: v[-1] for k, v in history.items()}, "said": own}

found = {
    "softmax": fitted("softmax"),
    "one-hot": fitted("softmax", np.eye(4, dtype="f4")[y], from_logits=False),
    "logits": fitted(None),
    "bfloat16": fitted("softmax", dtype="mixed_bfloat16"),
}
print(json.dumps(found, default=float))
"""


@cache
def found(backend: str) -> Any:
    environment = {
        **os.environ,
        "KERAS_BACKEND": backend,
        "PYTHONPATH": str(Path(finallayer.__file__).parents[1]),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=False)
    if done.returncode and "No module named" in done.stderr:
        pytest.skip(f"Keras on {backend} is not installed")
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(("backend", "rescued"), [("jax", False), ("tensorflow", True)])
def test_the_metrics_reach_the_history(backend: str, rescued: bool) -> None:
    of = found(backend)
    for case in ("softmax", "one-hot"):
        assert of[case]["finallayer/silenced"] == (0 if rescued else 2 / 8)
        assert of[case]["finallayer/collapsed"] == 2 / 8
    assert of["bfloat16"]["finallayer/silenced"] == 2 / 8  # no rescue in 16 bits
    assert of["logits"]["finallayer/silenced"] == 0 and of["logits"]["finallayer/collapsed"] == 2 / 8
    assert 0 <= of["logits"]["finallayer/margin_p50"] <= 1 and 56 <= of["logits"]["finallayer/margin_p99"] <= 70


@pytest.mark.parametrize(("backend", "times"), [("jax", 1), ("tensorflow", 0)])
def test_what_is_silenced_is_said_once(backend: str, times: int) -> None:
    said = found(backend)["softmax"]["said"]
    assert len(said) == times and all("25.0%" in one and "FL301" in one for one in said)
