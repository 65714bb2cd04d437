"""The Keras table agrees with the installed Keras: names, positions and defaults."""

from __future__ import annotations

import pytest

from finallayer.catalog import keras

from .reality import called, disagreements, real, resolve

#: Keras 3 keeps the backend functions of Keras 2 for tf.keras only
MOVED = {"keras.backend": "keras._tf_keras.keras.backend"}
#: keras.Model(inputs, outputs) makes one of these
STATED_BY = {"keras.Model": "keras.src.models.functional.Functional"}


@pytest.fixture(scope="module", autouse=True)
def _keras():
    pytest.importorskip("keras")


def test_every_line_agrees():
    wrong = {}
    for name, line in keras.NAMES.items():
        if name in keras.OLD:
            continue
        module, _, last = name.rpartition(".")
        found = resolve(STATED_BY.get(name, f"{MOVED.get(module, module)}.{last}"))
        if found is None:
            wrong[name] = ["does not exist"]
            continue
        calls = [called(found)] if isinstance(found, type) else []
        wrong[name] = disagreements(line, [r for r in [real(found)] if r], [c for c in calls if c])
    assert [f"{n}: {w}" for n, w in wrong.items() if w] == []


def test_strings_name_what_keras_looks_up():
    """Where the installed Keras knows a string, it finds the function, or its class, that the table says."""
    from keras import activations, losses

    checked = 0
    for table, get in ((keras.LOSSES, losses.get), (keras.ACTIVATIONS, activations.get)):
        for name, dotted in table.items():
            try:
                found = get(name)
            except ValueError:  # a spelling of Keras 1 or 2
                continue
            checked += 1
            if not isinstance(found, type(resolve)):
                found = found.fn  # a loss object applies its function
            assert found is resolve(dotted), name
    assert checked > 50
