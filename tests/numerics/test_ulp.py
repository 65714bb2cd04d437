"""ulp errors: the measure every exactness bar is stated in, so it is held to textbook values."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest

from finallayer.numerics import oracle
from finallayer.numerics.ulp import ulp_error


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_next_number_is_one_ulp_away_in_every_binade(dtype: str) -> None:
    one = np.ones((), dtype)[()]
    for x in (
        one,
        one * 3,
        one / 7,
        np.finfo(dtype).tiny,
        np.finfo(dtype).smallest_subnormal,
        np.finfo(dtype).max / 2,
    ):
        assert ulp_error(np.nextafter(x, one * np.inf), mpmath.mpf(float(x)), dtype) == 1
    assert ulp_error(np.finfo(dtype).smallest_subnormal, 0, dtype) == 1


def test_sees_far_below_float64() -> None:
    with mpmath.workdps(50):
        exact = mpmath.mpf(1) + mpmath.mpf(2) ** -60
    assert ulp_error(1.0, exact, "float64") == 2.0**-8


def test_non_finite_values_agree_or_are_infinitely_wrong() -> None:
    assert ulp_error(math.nan, mpmath.nan, "float32") == 0
    assert ulp_error(math.inf, mpmath.inf, "float32") == 0
    assert ulp_error(math.inf, mpmath.mpf("3.41e38"), "float32") == 0  # rounds to inf
    assert ulp_error(math.inf, mpmath.mpf("3.40e38"), "float32") == math.inf
    assert ulp_error(-math.inf, mpmath.inf, "float32") == math.inf
    assert ulp_error(1.0, mpmath.nan, "float32") == math.inf
    assert ulp_error(1.0, mpmath.inf, "float32") == math.inf


def test_the_oracle_keeps_both_ends() -> None:
    """Closed forms: log(1 + e^-700) at one end, 700 + log(1 + e^-700) at the other, to 60 digits."""
    with mpmath.workdps(60):
        small = mpmath.exp(-700)
        leads, trails = oracle.xent_logits(0, [700, 0]), oracle.xent_logits(1, [700, 0])
        assert abs(leads.loss / mpmath.log1p(small) - 1) < mpmath.mpf(10) ** -58
        assert abs(trails.loss / (700 + small) - 1) < mpmath.mpf(10) ** -58
        assert abs(trails.grad[1] + 1 / (1 + small)) < mpmath.mpf(10) ** -58
        assert abs(leads.grad[0] / (-small / (1 + small)) - 1) < mpmath.mpf(10) ** -58
        binary = oracle.bce_logits(1, 700)
        assert (binary.loss, binary.grad) == (leads.loss, leads.grad[:1])


def test_the_oracle_s_gradient_is_the_derivative_of_its_loss() -> None:
    z, p = [0.3, -1.2, 2.5], [0.2, 0.5, 0.3]
    with mpmath.workdps(40):
        for j in range(3):

            def loss(v, j=j):
                return oracle.xent_logits(p, [*z[:j], v, *z[j + 1 :]]).loss

            assert abs(mpmath.diff(loss, z[j]) - oracle.xent_logits(p, z).grad[j]) < 1e-15
