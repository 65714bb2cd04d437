"""The TensorFlow table agrees with the installed TensorFlow, in its second or its first version's interface."""

from __future__ import annotations

import pytest

from finallayer.catalog import tensorflow

from .reality import disagreements, real, resolve

#: where canonical names live: tf.math.f and tf.linalg.f are catalogued as tensorflow.f
HOMES = ("tensorflow", "tensorflow.math", "tensorflow.linalg", "tensorflow.random", "tensorflow.compat.v1")


@pytest.fixture(scope="module", autouse=True)
def _tensorflow():
    pytest.importorskip("tensorflow")


def test_every_line_agrees_with_a_version():
    wrong = {}
    for name, line in tensorflow.NAMES.items():
        if name in tensorflow.OLD or name in tensorflow.AROUND:
            continue
        rest = name.removeprefix("tensorflow.")
        found = [f for f in (resolve(f"{home}.{rest}") for home in HOMES) if f is not None]
        references = [r for r in map(real, found) if r is not None]
        wrong[name] = disagreements(line, references) if found else ["does not exist"]
    assert [f"{n}: {w}" for n, w in wrong.items() if w] == []
