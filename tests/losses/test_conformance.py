"""One semantics on every framework: the table of `conformance/cases.py`, run by each and compared with mpmath.

Keras is run in `keras_on_a_backend.py`, whose processes have it on each backend.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from .conformance.cases import (
    BINARY_LOGITS,
    BINARY_TARGETS,
    CASES,
    HALF_CASES,
    binary_errors,
    gradient_error,
    loss_error,
)

ROOT = Path(__file__).parents[2]

ULPS = 4.0
HALF_ULPS = 0.501  # a 16-bit gradient: the float32 result's rounding, and that result's own error

# What a framework is told by the environment. Each run is a process of its own.
RUNS: dict[str, dict[str, str]] = {
    "numpy": {},
    "torch": {},
    "torch, no kernel": {"FINALLAYER_KERNEL": "framework"},
    "cuda": {},
    "triton, interpreted": {},
    "triton, interpreted, in blocks": {"FINALLAYER_TEST_TILE": "blocks"},
    "torch_walked, no kernel": {"FINALLAYER_KERNEL": "framework"},
    "jax": {},
    "jax, no kernel": {"FINALLAYER_KERNEL": "framework"},
}


@pytest.fixture(scope="module", params=RUNS)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Mapping]:
    """A framework's results. All tests of one run are one group, so that it is run once."""
    name = request.param
    framework = name.split()[0].strip(",")
    if framework == "triton":
        pytest.importorskip("triton")
    if framework == "cuda" and not pytest.importorskip("torch").cuda.is_available():
        pytest.skip("there is no GPU")
    out = tmp_path_factory.mktemp("conformance") / "results.npz"
    command = [sys.executable, "-m", "tests.losses.conformance.frameworks", framework, str(out)]
    environment = os.environ | RUNS[name]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return name, np.load(out)


def test_rows_and_their_gradients(run: tuple[str, Mapping]) -> None:
    _, results = run
    found = {
        case.name: (
            loss_error(case, results[f"{case.name}/loss"]),
            gradient_error(case, results[f"{case.name}/gradient"]),
        )
        for case in CASES
    }
    assert not {name: ulps for name, ulps in found.items() if max(ulps) > ULPS}


def test_gradients_in_16_bits_are_rounded_once(run: tuple[str, Mapping]) -> None:
    name, results = run
    # torch and NumPy give the loss of 16-bit logits in 16 bits, as torch's own does; the others in float32.
    keeps_dtype = name.startswith(("torch", "numpy", "triton", "cuda"))
    wrong = {}
    for case in HALF_CASES:
        loss = loss_error(case, results[f"{case.name}/loss"], case.dtype if keeps_dtype else "float32")
        gradient = gradient_error(case, results[f"{case.name}/gradient"])
        if loss > (HALF_ULPS if keeps_dtype else ULPS) or gradient > HALF_ULPS:
            wrong[case.name] = (loss, gradient)
    assert not wrong


def test_the_mean_counts_what_is_not_ignored(run: tuple[str, Mapping]) -> None:
    name, results = run
    wrong = {}
    for case in CASES:
        if case.weight is not None and not name.startswith(("torch", "numpy", "triton", "cuda")):
            continue  # optax and Keras have no class weights, so no weighted mean
        count = float(case.counted.sum())
        if case.weight is not None and case.target.ndim == 1:
            count = float(case.weight[case.target[case.counted]].sum())
        share = np.full(len(case.logits), 1 / count if count else 0.0)
        mean = float(results[f"{case.name}/loss"].sum(dtype=float)) / (count or 1.0)
        np.testing.assert_allclose(results[f"{case.name}/mean"], mean, rtol=1e-6, err_msg=case.name)
        error = gradient_error(case, results[f"{case.name}/mean_gradient"], upstream=share)
        if error > ULPS + 1:  # the share is a float32 itself
            wrong[case.name] = error
    assert not wrong


def test_all_ignored_is_zero(run: tuple[str, Mapping]) -> None:
    _, results = run
    for part in ("loss", "gradient", "mean", "mean_gradient"):
        assert not results[f"all ignored/{part}"].any()


@pytest.mark.parametrize("y", BINARY_TARGETS)
def test_binary(run: tuple[str, Mapping], y: float) -> None:
    _, results = run
    loss, gradient = results[f"binary/{y}/loss"], results[f"binary/{y}/gradient"]
    assert max(binary_errors(y, loss, gradient)) <= ULPS
    certain = np.isposinf(BINARY_LOGITS)
    assert loss[certain] == (np.inf if y < 1 else 0.0)
    assert gradient[certain] == 1 - y


@pytest.mark.parametrize("wrong", [5, -1])
def test_a_class_out_of_range_is_named(run: tuple[str, Mapping], wrong: int) -> None:
    name, results = run
    said = str(results[f"out of range/{wrong}"])
    if name.startswith(("triton", "cuda")):  # to raise would mean to wait for the GPU
        assert said == "nan"
    else:
        assert str(wrong) in said
