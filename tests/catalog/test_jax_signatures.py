"""The JAX table agrees with the installed JAX, Flax and Optax, and with Haiku and Equinox where they are installed."""

from __future__ import annotations

import importlib.util

import pytest

from finallayer.catalog import jax, numpy

from .reality import called, disagreements, real, resolve

#: layers of stax are values or closures: what they do is checked by calling them elsewhere
UNINSPECTABLE = "jax.example_libraries.stax."


@pytest.fixture(scope="module", autouse=True)
def _jax():
    pytest.importorskip("jax")


def test_every_line_agrees():
    wrong = {}
    for name, line in jax.NAMES.items():
        if importlib.util.find_spec(name.partition(".")[0]) is None:
            continue
        found = resolve(name) or resolve(name.replace("optax.", "optax.losses."))
        if found is None:
            wrong[name] = ["does not exist"]
        elif callable(found):
            calls = [called(found)] if isinstance(found, type) else []
            wrong[name] = disagreements(line, [r for r in [real(found)] if r], [c for c in calls if c])
        else:
            wrong[name] = [] if name.startswith(UNINSPECTABLE) else ["is not callable"]
    assert [f"{n}: {w}" for n, w in wrong.items() if w] == []


def test_jax_numpy_has_numpys_parameters_in_numpys_places():
    wrong = {}
    for name, line in numpy.NAMES.items():
        found = resolve(name.replace("numpy.", "jax.numpy.")) if name.startswith("numpy.") else None
        signature = found and real(found)
        if not signature:
            continue
        params = [p for p in numpy_params(line) if p in signature.positional]
        misplaced = [p for p in params if signature.positional.index(p) != numpy_params(line).index(p)]
        if misplaced:
            wrong[name] = (misplaced, signature.positional)
    assert wrong == {}


def numpy_params(line: str) -> list[str]:
    from finallayer.catalog import parse

    return [p.name for p in parse(line).params if not p.keyword_only]
