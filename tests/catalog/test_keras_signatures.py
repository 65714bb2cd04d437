"""The Keras table agrees with the installed Keras: names, positions and defaults."""

from __future__ import annotations

import pytest
from reality import called, disagreements, real, resolve

from finallayer.catalog import keras

#: Keras 3 keeps the backend functions of Keras 2 for tf.keras only
MOVED = {"keras.backend": "keras._tf_keras.keras.backend"}


@pytest.fixture(scope="module", autouse=True)
def _keras():
    pytest.importorskip("keras")


def test_every_line_agrees():
    wrong = {}
    for name, line in keras.NAMES.items():
        if name in keras.OLD:
            continue
        module, _, last = name.rpartition(".")
        found = resolve(f"{MOVED.get(module, module)}.{last}")
        if found is None:
            wrong[name] = ["does not exist"]
            continue
        calls = [called(found)] if isinstance(found, type) else []
        wrong[name] = disagreements(line, [r for r in [real(found)] if r], [c for c in calls if c])
    assert {n: w for n, w in wrong.items() if w} == {}


def test_strings_name_what_keras_looks_up():
    from keras import activations, losses, metrics

    for table, get in ((keras.LOSSES, losses.get), (keras.ACTIVATIONS, activations.get)):
        for name, dotted in table.items():
            found = get(name)
            named = found.__name__ if hasattr(found, "__name__") else type(found).__name__
            same = resolve(dotted)
            assert found is same or named.lower() == dotted.rpartition(".")[2].replace("_", ""), name
    assert metrics.get("binary_accuracy") is metrics.binary_accuracy
