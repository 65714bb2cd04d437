"""At most 4 ulp for every loss and every gradient element, on rows at both ends; 16-bit gradients rounded once."""

from __future__ import annotations

import ctypes
from dataclasses import replace
from typing import Any

import mpmath
import numpy as np
import pytest

from finallayer import kernels
from finallayer.numerics.oracle import xent_logits
from finallayer.numerics.ulp import ulp_error

from .emulated import EmulatedKernel
from .kernel_rows import (
    BFLOAT16,
    BOUND,
    DTYPES,
    FLOAT16,
    FLOAT32,
    FLOAT64,
    Terms,
    binary_truth,
    call,
    call_binary,
    hard_rows,
    options,
    pushed_rows,
    real,
    truth,
    ulps,
    worst,
)

CLASSES = [1, 2, 3, 10, 13, 16, 33, 49, 64, 100, 127, 128, 300, 512, 513, 1000, 1024, 1025, 4099, 50257]


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
    elements = 20_000 if isinstance(lib, EmulatedKernel) else 100_000  # each takes an emulator far longer
    z, target = hard_rows(np.random.default_rng(classes), max(3, min(400, elements // classes)), classes, dtype)
    for reduction in ("none", "sum", "mean"):
        terms = Terms(reduction)
        exact = truth(z, target, terms)
        for in_double in (False, True):
            assert max(worst(call(lib, z, target, terms, lse=in_double), exact).values()) <= 1


@pytest.mark.parametrize("classes", [10, 129, 500])
def test_float64_has_digits_to_spare_under_any_upstream(lib: ctypes.CDLL, classes: int) -> None:
    """Most of what its elements are made of is rounded once: 4 ulp are promised, 3.2 were the most of many rows."""
    z, target, terms = pushed_rows(np.random.default_rng(classes), classes)
    got, exact = call(lib, z, target, terms), truth(z, target, terms)
    assert ulps(got.loss, exact.loss, FLOAT64).max() <= 2.5
    assert ulps(got.grad, exact.grad, FLOAT64).max() <= 3.5


@pytest.mark.parametrize("seed", [2000, 14_513, 17_513])
def test_the_worst_of_thirty_million_elements(lib: ctypes.CDLL, seed: int) -> None:
    """Rows in which every error of an exponential, rounded roots among them, falls the same way."""
    z, target = hard_rows(np.random.default_rng(seed), 300, 513, FLOAT32)
    assert max(worst(call(lib, z, target, Terms("sum")), truth(z, target, Terms("sum"))).values()) <= 1


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
    z, target = hard_rows(np.random.default_rng(3), 200, 137, FLOAT32)
    terms = Terms(upstream=upstream, row_upstream=np.linspace(-2, 2, 200).astype("f4"))
    assert worst(call(lib, z, target, terms), truth(z, target, terms))["grad"] <= 1


OPTIONS = {
    "smoothing": {"label_smoothing": 0.1},
    "class weights": {"class_weight": True},
    "weights and smoothing": {"class_weight": True, "label_smoothing": 0.3},
    "row weights": {"row_weight": True},
    "z-loss": {"z_loss": 1e-3},
    "lse": {"lse_upstream": True},
    "temperature": {"temperature": 0.7},
    "softcap": {"softcap": 30.0},
    "capped and cooled": {"softcap": 5.0, "temperature": 2.0},
    "everything": {
        "class_weight": True, "label_smoothing": 0.05, "row_weight": True, "z_loss": 1e-2, "lse_upstream": True,
        "softcap": 50.0, "temperature": 1.5,
    },
}  # fmt: skip
#: rows of logits side by side, few and many classes in a row, and pixels
SHAPES = [(70, 10), (20, 1300), (7, 70), (7, 133), (3, 21, 53)]


@pytest.mark.parametrize("dtype", [FLOAT32, BFLOAT16, FLOAT16, FLOAT64], ids=str)
@pytest.mark.parametrize("soft", [False, True], ids=["index", "distribution"])
@pytest.mark.parametrize("terms", OPTIONS.values(), ids=OPTIONS.keys())
def test_options(lib: ctypes.CDLL, terms: dict[str, object], soft: bool, dtype: np.dtype) -> None:
    """As exact as plain rows. In float64, 8 ulp of an element's largest term."""
    for shape in SHAPES:
        z, target, t = options(np.random.default_rng(5), shape, dtype, soft, terms)
        for reduction in ("none", "mean"):
            t = replace(t, reduction=reduction)
            got, exact = call(lib, z, target, t, lse=True), truth(z, target, t)
            allowed = 2.0 if dtype == FLOAT64 else 1.0
            assert max(worst(got, exact).values()) <= allowed
            size = np.maximum(np.abs(exact.lse), 1) if dtype == FLOAT64 else None
            assert ulps(got.lse, exact.lse, got.lse.dtype, size).max() <= 4 * allowed


@pytest.mark.parametrize("dtype", [FLOAT32, FLOAT64], ids=str)
def test_the_gradient_behind_a_softcap_keeps_its_digits(lib: ctypes.CDLL, dtype: np.dtype) -> None:
    z = np.array([[72.784561, 0, 0], [150, 149, 0], [-200, 3, 1]], dtype)
    target = np.array([1, 0, 1])
    terms = Terms(softcap=5.0)
    got, exact = call(lib, z, target, terms), truth(z, target, terms)
    assert worst(got, exact)["grad"] <= (1 if dtype == FLOAT32 else 6)
    assert (got.grad != 0).all()


TRANSFORMED = {
    "far from 0, cooled": ([-999994.58976105, -1000037.59713555, -999997.20079374, -999999.58658709], 0.0, 0.07),
    "far from 0, warmed": ([-1000433.86606348, -1000000.00612251, -1000000.0166801, -1000000.00384375], 0.0, 1.7),
    "at the cap": ([-299.99180891, -299.98918719, -811.68961328, -300.02366128], 30.0, 0.07),
    "near the cap": ([13.17331091161325, -23.110039387712185, 36.85004764566972, 0.0], 50.0, 1.7),
    "near 0": ([1e-9, -0.014067465076834245, 0.3, -1e-3], 30.0, 0.07),
    "beyond the cap": ([10455.368469890207, 10001.325738120284, 90.0, 3.5], 30.0, 1.0),
}


@pytest.mark.parametrize("target", [0, 2, [0.0, 0.25, 0.75 - 2**-40, 2**-40]], ids=["first", "third", "soft"])
@pytest.mark.parametrize("copies", [1, 20], ids=["few", "many"])
@pytest.mark.parametrize(("z", "softcap", "temperature"), TRANSFORMED.values(), ids=TRANSFORMED.keys())
def test_float64_transformed_logits_against_mpmath(
    lib: ctypes.CDLL, z: list[float], softcap: float, temperature: float, copies: int, target: Any
) -> None:
    """What the rounding of x to a double would lose, up to |x| half-ulps, is not lost; 80 bits can't tell."""
    row = np.array([z * copies], "f8")
    masses = [float(p) / copies for p in target] * copies if isinstance(target, list) else np.eye(4 * copies)[target]
    given = np.array([masses], "f8") if isinstance(target, list) else np.array([target], np.int64)
    got = call(lib, row, given, Terms(softcap=softcap, temperature=temperature))
    with mpmath.workprec(600):
        capped = [softcap * mpmath.tanh(v / mpmath.mpf(softcap)) if softcap else mpmath.mpf(v) for v in row[0]]
        slopes = [mpmath.sech(v / mpmath.mpf(softcap)) ** 2 if softcap else mpmath.mpf(1) for v in row[0]]
        x = [v / mpmath.mpf(temperature) for v in capped]
        total, mass = mpmath.fsum(map(mpmath.exp, x)), mpmath.fsum(masses)
        loss = mpmath.fsum(p * (mpmath.log(total) - v) for p, v in zip(masses, x, strict=True))
        assert abs(mpmath.mpf(float(got.loss[0])) - loss) <= 8 * np.spacing(float(loss))
        for g, v, p, slope in zip(got.grad[0], x, masses, slopes, strict=True):
            first, second = mpmath.exp(v) / total * mass * slope / temperature, p * slope / temperature
            assert abs(mpmath.mpf(float(g)) - (first - second)) <= 8 * np.spacing(float(max(first, second)))


def test_float64_confident_rows_fall_smoothly_to_the_smallest_double(lib: ctypes.CDLL) -> None:
    margins = np.arange(10, 700, dtype="f8") + 1 / 3
    for classes in (2, 60, 133):
        z = np.repeat(np.stack([margins, np.zeros_like(margins)], 1), [1, classes - 1], axis=1)
        got, exact = call(lib, z, np.zeros(len(z), np.int64)), truth(z, np.zeros(len(z), np.int64))
        assert max(worst(got, exact).values()) <= 1
        assert (got.loss > 0).all() and (got.grad[:, 0] < 0).all()


@pytest.mark.parametrize("loss_dtype", [BFLOAT16, FLOAT32], ids=str)
def test_a_loss_in_the_logits_own_dtype_is_rounded_once(lib: ctypes.CDLL, loss_dtype: np.dtype) -> None:
    z, target = hard_rows(np.random.default_rng(2), 90, 11, BFLOAT16)
    got, exact = call(lib, z, target, Terms("sum"), loss_dtype=loss_dtype), truth(z, target, Terms("sum"))
    assert got.loss.dtype == loss_dtype and max(worst(got, exact).values()) <= 1


@pytest.mark.parametrize("dtype", [FLOAT32, BFLOAT16, FLOAT16, FLOAT64], ids=str)
@pytest.mark.parametrize("soft", [False, True], ids=["hard", "soft"])
@pytest.mark.parametrize("weighted", [False, True])
def test_binary(lib: ctypes.CDLL, weighted: bool, soft: bool, dtype: np.dtype) -> None:
    rng = np.random.default_rng(4)
    limit = 700 if dtype == FLOAT64 else 100
    z = np.concatenate([rng.normal(size=600) * 10.0 ** rng.uniform(-4, 1.5, 600), rng.uniform(-limit, limit, 603)])
    z = z.astype(dtype)
    y = (rng.uniform(0, 1, z.size) if soft else rng.integers(0, 2, z.size)).astype(real(dtype))
    weight = rng.uniform(0.1, 2, 401).astype(real(dtype)) if weighted else None
    pos_weight = np.array([1.7, 0.3, 4.0], real(dtype)) if weighted else None
    exact, exact_grad, size = binary_truth(z, y, weight, pos_weight)
    for wanted in (("loss", "grad"), ("loss",), ("grad",)):  # each is another loop
        loss, grad, reduced = call_binary(lib, z, y, weight, pos_weight, wanted=wanted)
        if "loss" in wanted:
            assert ulps(loss, exact, loss.dtype).max() <= 4
            assert ulps(np.array(reduced), exact.sum(), loss.dtype) <= 4
        if "grad" in wanted:
            assert ulps(grad, exact_grad, dtype, size if dtype == FLOAT64 else None).max() <= BOUND[dtype]


@pytest.mark.parametrize("beside", [FLOAT32, BFLOAT16, FLOAT16, FLOAT64], ids=str)
@pytest.mark.parametrize("dtype", [FLOAT32, BFLOAT16, FLOAT64], ids=str)
@pytest.mark.parametrize("shape", [(37, 11), (5, 131), (2, 11, 21)], ids=str)
def test_what_stands_beside_the_logits_is_read_in_its_own_dtype(
    lib: ctypes.CDLL, shape: tuple[int, ...], dtype: np.dtype, beside: np.dtype
) -> None:
    """Probabilities, weights and upstream gradients: not one of them is rounded to another dtype."""
    options_of = {"class_weight": True, "row_weight": True}
    z, soft, terms = options(np.random.default_rng(3), shape, dtype, True, options_of)
    hard = options(np.random.default_rng(3), shape, dtype, False, {})[1]
    arrays = {k: getattr(terms, k).astype(beside) for k in options_of}
    upstream = np.linspace(0.5, 3, len(arrays["row_weight"])).astype(beside)
    given = replace(terms, **arrays, row_upstream=upstream)
    for target in (soft.astype(beside), hard):
        exact = truth(z, target, given)
        assert max(worst(call(lib, z, target, given), exact).values()) <= (2.0 if dtype == FLOAT64 else 1.0)


@pytest.mark.parametrize("beside", [FLOAT32, BFLOAT16, FLOAT16, FLOAT64], ids=str)
@pytest.mark.parametrize("dtype", [FLOAT32, BFLOAT16, FLOAT64], ids=str)
def test_what_stands_beside_binary_logits_is_read_in_its_own_dtype(
    lib: ctypes.CDLL, dtype: np.dtype, beside: np.dtype
) -> None:
    rng = np.random.default_rng(8)
    z, y = rng.normal(0, 3, 303).astype(dtype), rng.random(303).astype(beside)
    weight, pos_weight = rng.random(101).astype(beside), np.array([1.7, 0.3, 4]).astype(beside)
    loss, grad, _ = call_binary(lib, z, y, weight, pos_weight)
    exact, exact_grad, size = binary_truth(z, y, weight, pos_weight)
    assert ulps(loss, exact, loss.dtype).max() <= 4
    assert (ulps(grad, exact_grad, dtype, size) <= BOUND[dtype]).all()


def test_confident_binary_losses_fall_smoothly_to_the_smallest_float(lib: ctypes.CDLL) -> None:
    z = np.linspace(0, 103, 1001).astype("f4")
    exact, exact_grad, _ = binary_truth(z, np.ones_like(z))
    loss, grad, _ = call_binary(lib, z, np.ones_like(z))
    assert ulps(loss, exact, FLOAT32).max() <= 1 and ulps(grad, exact_grad, FLOAT32).max() <= 1
    assert (loss > 0).all() and (grad < 0).all()


@pytest.mark.parametrize("dtype", [BFLOAT16, FLOAT16], ids=str)
def test_binary_losses_in_the_logits_own_dtype_are_rounded_once(lib: ctypes.CDLL, dtype: np.dtype) -> None:
    z = np.random.default_rng(0).normal(0, 4, 203).astype(dtype)
    y = np.random.default_rng(1).uniform(0, 1, z.size).astype("f4")
    loss, _, reduced = call_binary(lib, z, y, loss_dtype=dtype)
    exact, _, _ = binary_truth(z, y)
    assert loss.dtype == dtype and ulps(loss, exact, dtype).max() <= BOUND[dtype]
    assert ulps(np.array(reduced), exact.sum(), dtype) <= BOUND[dtype]


SCALED = [(FLOAT32, 0.3), (FLOAT32, -1.0), (FLOAT64, 1e-3), (BFLOAT16, 4.0), (FLOAT16, 0.25), (FLOAT32, 65536.0)]


@pytest.mark.parametrize(("dtype", "factor"), SCALED, ids=str)
def test_a_scaled_gradient_is_that_of_the_upstream(lib: ctypes.CDLL, dtype: np.dtype, factor: float) -> None:
    z = np.random.default_rng(1).normal(0, 1, (50, 37)).astype(dtype)
    target = np.arange(50) % 37
    got = call(lib, z, target)
    assert scale(lib, got.grad, factor) == kernels.OK
    exact = truth(z, target, Terms(upstream=factor))
    assert ulps(got.grad, exact.grad, dtype).max() <= BOUND[dtype]


@pytest.mark.parametrize(
    ("dtype", "values", "factor"),
    [
        (FLOAT32, [1.0, 0.0], 2.0),  # a 0 may stand for what was too small
        (FLOAT32, [1.0, 1e-40], 65536.0),
        (FLOAT64, [1.0, 5e-324], 2.0),
        (BFLOAT16, [1.0, 1.0], 0.3),  # would round twice
        (FLOAT16, [1.0, 1e-7], 2.0),
        (FLOAT16, [1.0, 1e-4], 0.25),  # becomes subnormal: would round twice
        (FLOAT16, [1.0, 30000.0], 4.0),
    ],
    ids=str,
)
def test_what_scaling_would_lose_is_refused(
    lib: ctypes.CDLL, dtype: np.dtype, values: list[float], factor: float
) -> None:
    for count in (2, 40):  # in a vector, and beside it
        assert scale(lib, np.resize(np.array(values), count).astype(dtype), factor) == kernels.INEXACT


def scale(lib: ctypes.CDLL, data: np.ndarray, factor: float) -> int:
    lib.fl_scale.argtypes = [ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_double, ctypes.c_int64]
    return int(lib.fl_scale(data.ctypes.data, data.size, DTYPES[data.dtype], factor, 1))


@pytest.mark.parametrize("classes", [6, 40, 600])
def test_correct_is_the_first_argmax(lib: ctypes.CDLL, classes: int) -> None:
    rng = np.random.default_rng(0)
    z = rng.integers(0, 4, (500, classes)).astype("f4")
    target = rng.integers(0, classes, 500)
    target[::2] = z[::2].argmax(1)
    assert (call(lib, z, target).correct == (z.argmax(1) == target)).all()
