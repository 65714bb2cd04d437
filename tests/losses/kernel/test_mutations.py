"""The mutation gate: each way a cross-entropy kernel is known to be wrong, put into the source, must be noticed.

Every mutant (``mutants.py``; generic path) is judged by the same bounds as the kernel itself, on every shape and dtype.
"""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from finallayer.kernels import build

from .kernel_rows import (
    BFLOAT16,
    FLOAT16,
    FLOAT32,
    FLOAT64,
    Terms,
    Truth,
    binary_truth,
    call,
    call_binary,
    hard_rows,
    options,
    truth,
    ulps,
    worst,
)
from .mutants import MUTANTS, NUMBERS, OPTION_MUTANTS, SWITCH, compile_all

GROUP = 32  # classes taken at a time on the generic path
SHORT = 512  # classes in a row that is taken together with others
SHAPES = [(4, 128_256), (64, 1000), (9, 1030), (300, 49), (300, 21)]
DTYPES = [FLOAT32, BFLOAT16, FLOAT16]
#: mutants that a shape cannot show: without a partial block or group, none is forgotten, a short row's maximum is not
#: guessed, and a batch of one row has no other
INVISIBLE = (
    {("last block forgotten", shape) for shape in SHAPES if shape[1] <= 1024}
    | {("last group forgotten", shape) for shape in SHAPES if shape[1] <= GROUP or shape[1] % GROUP == 0}
    | {("a poor guess of the maximum kept", shape) for shape in SHAPES if shape[1] <= SHORT}
    | {("rows of a batch mixed up", shape) for shape in SHAPES if shape[1] > 4096}
    | {(name, shape) for name in MUTANTS if "short row" in name for shape in SHAPES if shape[1] > SHORT}
)


class Scenario(NamedTuple):
    """Rows that the options and the engines in double are judged by."""

    dtype: np.dtype
    shape: tuple[int, ...]
    terms: dict[str, object] = {}  # noqa: RUF012
    soft: bool = False
    in_double: bool = False
    scale: float = 1.0


SCENARIOS = {
    "plain": Scenario(FLOAT32, (150, 10)),  # two tiles of pixels, and a part of one
    "pixels": Scenario(FLOAT32, (3, 21, 53)),
    "few classes in double": Scenario(FLOAT32, (70, 10), in_double=True),
    "pixels in double": Scenario(FLOAT32, (3, 21, 53), in_double=True),
    "many classes in double": Scenario(FLOAT32, (7, 71), in_double=True),
    "weights": Scenario(FLOAT32, (70, 10), {"class_weight": True}),
    "z-loss": Scenario(FLOAT32, (70, 10), {"z_loss": 1e-2}),
    "lse": Scenario(FLOAT32, (70, 10), {"lse_upstream": True}),
    "temperature": Scenario(FLOAT32, (70, 10), {"temperature": 0.7}),
    "softcap": Scenario(FLOAT32, (70, 10), {"softcap": 5.0}),
    "softcap in float64": Scenario(FLOAT64, (70, 10), {"softcap": 300.0}),
    "small softcapped float64": Scenario(FLOAT64, (70, 10), {"softcap": 30.0}, scale=1e-9),
    "smoothing": Scenario(FLOAT32, (70, 10), {"label_smoothing": 0.1}),
    "smoothing pixels": Scenario(FLOAT32, (3, 21, 53), {"label_smoothing": 0.1}),
    "smoothing, many classes": Scenario(FLOAT32, (7, 71), {"label_smoothing": 0.1}),
    "soft": Scenario(FLOAT32, (70, 10), soft=True),
    "soft, many classes": Scenario(FLOAT32, (7, 71), soft=True),
    "float64": Scenario(FLOAT64, (400, 10)),
    "float64, many classes": Scenario(FLOAT64, (60, 71)),
}


class Mutated:
    """The library that holds every mutant."""

    def __init__(self, path: Path) -> None:
        self.library = ctypes.CDLL(str(path))
        self._switch = ctypes.c_int.in_dll(self.library, SWITCH)

    def __call__(self, name: str | None) -> ctypes.CDLL:
        """The library, running as the mutant of that name; None: as the kernel that it was made of."""
        self._switch.value = 0 if name is None else NUMBERS[name]
        return self.library


@pytest.fixture(scope="module")
def mutated(tmp_path_factory: pytest.TempPathFactory) -> Mutated:
    if build.find_compiler() is None:
        pytest.skip("mutants are compiled: no C++ compiler")
    path = compile_all(tmp_path_factory.mktemp("mutants"))
    assert path is not None, "the mutants do not compile"
    return Mutated(path)


@cache
def plain_rows(shape: tuple[int, int], dtype: np.dtype) -> list[tuple[np.ndarray, np.ndarray, Terms, Truth]]:
    """Rows for mean and for per-row upstream, with their truth."""
    rng = np.random.default_rng(shape[1])
    z, target = hard_rows(rng, *shape, dtype)
    z[0] = np.float32(-60) + rng.normal(0, 1, shape[1]).astype(dtype)  # a class with logit 0 would outweigh all
    z[1] = rng.normal(0, 1, shape[1]).astype(dtype)
    z[2] = rng.normal(0, 1, shape[1]).astype(dtype)
    target[:3] = 1
    z[1, 1] = 25  # a confident row
    z[2, :GROUP] -= 300  # the first logits say nothing about the maximum
    target[-1] = 0  # what is ignored is a class that exists
    upstream = rng.uniform(0.5, 3, len(z)).astype("f4")
    both = (Terms("mean", ignore_index=0), Terms("none", ignore_index=0, row_upstream=upstream))
    return [(z, target, terms, truth(z, target, terms)) for terms in both]


def error(lib: ctypes.CDLL, shape: tuple[int, int], dtype: np.dtype) -> float:
    """The worst error, as a share of what is allowed."""
    return max(max(worst(call(lib, *case), exact).values()) for *case, exact in plain_rows(shape, dtype))


def test_the_kernel_passes(mutated: Mutated) -> None:
    kernel = mutated(None)
    assert all(error(kernel, shape, dtype) <= 1 for shape in SHAPES for dtype in DTYPES)
    assert all(option_error(kernel, name) <= 1 for name in (*SCENARIOS, "binary", "weighted binary"))


@pytest.mark.parametrize("name", MUTANTS)
def test_every_mutant_dies(name: str, mutated: Mutated) -> None:
    mutant = mutated(name)
    visible = [(shape, dtype) for shape in SHAPES for dtype in DTYPES if (name, shape) not in INVISIBLE]
    assert not [case for case in visible if error(mutant, *case) <= 1]


def option_error(lib: ctypes.CDLL, name: str) -> float:
    """The worst error in a scenario, as a share of what is allowed."""
    if name.endswith("binary"):
        return max(binary_error(lib, dtype, name != "binary") for dtype in (FLOAT32, FLOAT64))
    s = SCENARIOS[name]
    rng = np.random.default_rng(5)
    if s.terms or s.soft:
        z, target, terms = options(rng, s.shape, s.dtype, s.soft, s.terms)
        z = (z * s.scale).astype(s.dtype)
    else:
        rows, target = hard_rows(rng, int(np.prod(s.shape)) // s.shape[1], s.shape[1], s.dtype)
        terms = Terms(ignore_index=int(target[3]))
        z = rows
        if len(s.shape) == 3:
            z = np.ascontiguousarray(np.moveaxis(rows.reshape(s.shape[0], -1, s.shape[1]), 1, 2))
    exact = truth(z, target, terms)
    return max(worst(call(lib, z, target, terms, lse=s.in_double or None), exact).values()) / (2 if s.terms else 1)


def binary_error(lib: ctypes.CDLL, dtype: np.dtype, weighted: bool) -> float:
    rng = np.random.default_rng(4)
    z = rng.uniform(-60, 60, 303).astype(dtype)
    y = rng.integers(0, 2, z.size).astype(dtype)
    weight = rng.uniform(0.1, 2, 101).astype(dtype) if weighted else None
    pos_weight = np.array([1.7, 0.3, 4], dtype) if weighted else None
    loss, grad, _ = call_binary(lib, z, y, weight, pos_weight)
    exact, exact_grad, size = binary_truth(z, y, weight, pos_weight)
    return float(max(ulps(loss, exact, dtype).max(), ulps(grad, exact_grad, dtype, size).max()) / 4)


@pytest.mark.parametrize("name", OPTION_MUTANTS)
def test_every_option_mutant_dies(name: str, mutated: Mutated) -> None:
    mutant, (_, scenarios) = mutated(name), OPTION_MUTANTS[name]
    assert all(option_error(mutant, scenario) > 1 for scenario in scenarios)
