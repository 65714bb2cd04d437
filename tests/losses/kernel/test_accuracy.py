"""At most 4 ulp for every loss and every gradient element, on rows at both ends; 16-bit gradients rounded once."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

from finallayer.numerics.oracle import xent_logits
from finallayer.numerics.ulp import ulp_error

from .kernel_rows import BFLOAT16, FLOAT16, FLOAT32, FLOAT64, Terms, call, hard_rows, truth, ulps, worst

CLASSES = [1, 2, 3, 10, 16, 33, 1000, 1024, 1025, 4099, 50257]


@pytest.mark.parametrize("margin", [-80.0, -20.0, -0.5, 0.0, 3.0, 17.0, 18.0, 40.0, 80.0])
@pytest.mark.parametrize("offset", [0.0, -321.5, 1e4, 1e6])
def test_the_truth_of_these_tests_is_mpmaths(margin: float, offset: float) -> None:
    z = np.array([[0.0, -1.5, -np.inf, -0.25, -40.0, margin]], "f4") + np.float32(offset)
    ours = truth(z, np.array([5]))
    exact = xent_logits(5, z[0])
    assert abs(ours.loss[0] / float(exact.loss) - 1) < 1e-13
    np.testing.assert_allclose(ours.grad[0], [float(g) for g in exact.grad], rtol=1e-13)


@pytest.mark.parametrize("classes", [2, 7, 130, 1000])
def test_hard_rows_against_mpmath(lib: ctypes.CDLL, classes: int) -> None:
    z, target = hard_rows(np.random.default_rng(classes), 12, classes, FLOAT32)
    got = call(lib, z, target)
    for row in range(len(z)):
        exact = xent_logits(int(target[row]), z[row])
        assert ulp_error(got.loss[row], exact.loss, FLOAT32) <= 4
        assert max(ulp_error(g, x, FLOAT32) for g, x in zip(got.grad[row], exact.grad, strict=True)) <= 4


@pytest.mark.parametrize("dtype", [FLOAT32, BFLOAT16, FLOAT16, FLOAT64], ids=str)
@pytest.mark.parametrize("classes", CLASSES)
def test_hard_rows(lib: ctypes.CDLL, classes: int, dtype: np.dtype) -> None:
    z, target = hard_rows(np.random.default_rng(classes), max(3, min(400, 100_000 // classes)), classes, dtype)
    for reduction in ("none", "sum", "mean"):
        terms = Terms(reduction)
        exact = truth(z, target, terms)
        for in_double in (False, True):
            assert max(worst(call(lib, z, target, terms, lse=in_double), exact).values()) <= 1


@pytest.mark.parametrize("dtype", [FLOAT32, BFLOAT16], ids=str)
@pytest.mark.parametrize("classes", [128_256, 262_144])
def test_large_vocabularies(kernel: ctypes.CDLL, classes: int, dtype: np.dtype) -> None:
    z, target = hard_rows(np.random.default_rng(classes), 6, classes, dtype)
    assert max(worst(call(kernel, z, target), truth(z, target)).values()) <= 1


@pytest.mark.parametrize("dtype", [FLOAT32, BFLOAT16, FLOAT16], ids=str)
@pytest.mark.parametrize("distance", [-300.0, -60.0, -41.0, -39.0, -20.0, 39.0, 300.0])
def test_the_first_logits_may_be_far_from_the_rest(lib: ctypes.CDLL, distance: float, dtype: np.dtype) -> None:
    """The kernel guesses a row's maximum from its first logits."""
    z = np.random.default_rng(1).normal(0, 1, (6, 1300))
    z[:, :200] += distance
    z = z.astype(dtype)
    for target in (np.array([0, 5, 127, 128, 1000, 1299]), z.argmax(1)):
        assert max(worst(call(lib, z, target), truth(z, target)).values()) <= 1


def test_equal_logits_sum_without_drift(lib: ctypes.CDLL) -> None:
    z = np.full((1, 262_144), 0.3, "f4")
    got, exact = call(lib, z, np.array([9])), truth(z, np.array([9]))
    assert max(worst(got, exact).values()) <= 0.5


def test_confident_rows_fall_smoothly_to_the_smallest_float(lib: ctypes.CDLL) -> None:
    margins = np.arange(10, 104, dtype="f4")
    z = np.stack([margins, np.zeros_like(margins)], 1)
    got = call(lib, z, np.zeros(len(z), np.int64))
    exact = np.log1p(np.exp(-margins.astype("f8")))
    assert ulps(got.loss, exact, FLOAT32).max() <= 1
    assert ulps(got.grad[:, 1], 1 / (1 + np.exp(margins.astype("f8"))), FLOAT32).max() <= 2
    assert (got.loss > 0).all() and (got.grad[:, 0] < 0).all()


@pytest.mark.parametrize("value", [1.5e38, -1.5e38, 1e30, -1e-40])
def test_all_finite_logits(lib: ctypes.CDLL, value: float) -> None:
    z = np.array([[value, value, -value, 0.0, value]], "f4")
    got = call(lib, z, np.array([1]))
    top = z[0] == z[0].max()
    softmax = np.where(top, 1 / top.sum(), 0) if abs(value) > 1 else np.full(5, 0.2)
    softmax_minus_target = softmax - np.eye(5)[1]
    np.testing.assert_allclose(got.grad[0], softmax_minus_target, rtol=3e-7)
    assert np.isfinite(got.loss).all()


@pytest.mark.parametrize("upstream", [1e-30, 0.1, 65536.0, 2.0**40])
def test_any_upstream_gradient(lib: ctypes.CDLL, upstream: float) -> None:
    z, target = hard_rows(np.random.default_rng(3), 200, 37, FLOAT32)
    terms = Terms(upstream=upstream, row_upstream=np.linspace(-2, 2, 200).astype("f4"))
    assert worst(call(lib, z, target, terms), truth(z, target, terms))["grad"] <= 1


EVERYTHING = {
    "smoothing": {"label_smoothing": 0.1},
    "class weights": {"class_weight": True},
    "weights and smoothing": {"class_weight": True, "label_smoothing": 0.3},
    "row weights": {"row_weight": True},
    "z-loss": {"z_loss": 1e-3},
    "lse": {"lse_upstream": True},
    "everything": {
        "class_weight": True, "label_smoothing": 0.05, "row_weight": True, "z_loss": 1e-2, "lse_upstream": True,
    },
}  # fmt: skip


@pytest.mark.parametrize("reduction", ["none", "mean"])
@pytest.mark.parametrize("soft", [False, True], ids=["index", "distribution"])
@pytest.mark.parametrize("terms", EVERYTHING.values(), ids=EVERYTHING.keys())
def test_terms(lib: ctypes.CDLL, terms: dict[str, object], soft: bool, reduction: str) -> None:
    """Where two terms of a gradient element may cancel, the error is measured against the larger one."""
    rng = np.random.default_rng(5)
    for rows, classes in [(40, 10), (20, 1300)]:
        z = (rng.normal(0, 3, (rows, classes)) + rng.choice([-90, 0, 50], (rows, 1))).astype("f4")
        target = rng.integers(0, classes, rows)
        arrays = {
            "class_weight": rng.uniform(0, 2, classes).astype("f4"),
            "row_weight": rng.uniform(0, 2, rows).astype("f4"),
            "lse_upstream": rng.normal(0, 1, rows).astype("f4"),
        }
        filled = {k: arrays[k] if v is True else v for k, v in terms.items()}
        t = Terms(reduction=reduction, ignore_index=int(target[3]), **filled)
        if soft:
            p = rng.random((rows, classes)) ** 8
            target = (p / p.sum(1, keepdims=True)).astype("f4")
        got, exact = call(lib, z, target, t, lse=True), truth(z, target, t)
        np.testing.assert_allclose(got.loss, exact.loss, rtol=5e-7)
        np.testing.assert_allclose(got.reduced, exact.reduced, rtol=5e-7)
        np.testing.assert_allclose(got.lse, exact.lse, rtol=5e-7, atol=2e-7)
        np.testing.assert_allclose(got.grad, exact.grad, rtol=1e-6, atol=4e-7 * np.abs(exact.grad).max())


def test_correct_is_the_first_argmax(lib: ctypes.CDLL) -> None:
    rng = np.random.default_rng(0)
    z = rng.integers(0, 4, (500, 6)).astype("f4")
    target = rng.integers(0, 6, 500)
    assert (call(lib, z, target).correct == (z.argmax(1) == target)).all()
