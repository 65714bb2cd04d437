"""The safe margin, against losses whose breaking point is known by hand."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import pytest

from finallayer.numerics.blocks import cross_entropy, softmax, softmax_backward, xent_logits
from finallayer.numerics.formats import FORMATS, float_format
from finallayer.numerics.safe_margin import safe_margin

ml_dtypes = pytest.importorskip("ml_dtypes")
ALL = list(FORMATS)


def exact(z: np.ndarray, label: int) -> np.ndarray:
    return xent_logits(label, z).grad


def on_probabilities(z: np.ndarray, label: int) -> np.ndarray:
    x = softmax(z)
    return softmax_backward(x, cross_entropy(label, x).grad)


def keras_style(z: np.ndarray, label: int) -> np.ndarray:
    """Clips the probability to [1e-7, 1 - 1e-7] and loses the gradient outside."""
    x = softmax(z)
    inside = 1e-7 < x[label] < 1 - 1e-7
    return softmax_backward(x, cross_entropy(label, x).grad) if inside else np.zeros_like(x)


def without_shift(z: np.ndarray, label: int) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):
        e = np.exp(z)
        return e / e.sum() - np.eye(z.size, dtype=z.dtype)[label]


@pytest.mark.parametrize("dtype", ALL)
@pytest.mark.parametrize("target", ["trails", "leads"])
def test_the_exact_loss_has_none(dtype: str, target: Literal["trails", "leads"]) -> None:
    assert safe_margin(exact, dtype, target=target) == math.inf


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_clip_at_1e_7_ends_it_at_16_12(dtype: str) -> None:
    assert safe_margin(keras_style, dtype) == pytest.approx(math.log(1e7), abs=0.01)


@pytest.mark.parametrize(("dtype", "largest"), [("float16", 65504.0), ("float32", 3.4e38), ("float64", 1.79e308)])
def test_one_over_x_overflows_at_the_log_of_the_largest_number(dtype: str, largest: float) -> None:
    assert safe_margin(on_probabilities, dtype) == pytest.approx(math.log(largest), abs=0.1)
    assert safe_margin(without_shift, dtype) == pytest.approx(math.log(largest), abs=0.1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_other_direction_finds_what_cancellation_costs(dtype: str) -> None:
    """``x_t - 1`` is rounded to multiples of eps/2; half of one is 1 % of the true 9*e^-margin from here."""
    earliest = math.log(0.01 * 9 / (np.finfo(dtype).eps / 4))
    assert earliest - 0.1 <= safe_margin(without_shift, dtype, target="leads") <= earliest + 1


def test_a_loss_that_is_wrong_from_the_start_has_margin_zero() -> None:
    """Double softmax: even at a tie its gradient is the true one over the number of classes."""
    assert safe_margin(lambda z, label: softmax_backward(softmax(z), exact(softmax(z), label))) == 0


def test_exact_to_a_thousandth_where_the_dtype_allows() -> None:
    for end in (0.37, 12.3456, 41.7):

        def ends(z: np.ndarray, label: int, end: float = end) -> np.ndarray:
            return exact(z, label) * (z.max() <= end)

        found = safe_margin(ends, "float64")
        assert end - 1e-3 <= found <= end


def test_nan_is_wrong() -> None:
    found = safe_margin(lambda z, label: exact(z, label) if z.max() < 5 else np.full_like(z, np.nan))
    assert found == pytest.approx(5, abs=2e-3)


def test_formats_round_like_numpy_and_ml_dtypes() -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate(
        [
            rng.normal(0, 1, 500) * 10.0 ** rng.integers(-46, 39, 500),
            [
                0.0,
                -0.0,
                math.inf,
                -math.inf,
                65504.0,
                65519.9,
                65520.0,
                3.3895313892515355e38,
                3.3961775e38,
                1e300,
            ],
            [1 + 2.0**-8, 1 + 3 * 2.0**-8, 1 + 2.0**-24, 1 + 3 * 2.0**-24, 2.0**-25, 2.0**-149, 2.0**-150],
        ]
    )
    with np.errstate(over="ignore"):
        for name, form in FORMATS.items():
            via = np.float32 if name == "bfloat16" else np.float64
            expected = values.astype(via).astype(ml_dtypes.bfloat16 if name == "bfloat16" else name)
            np.testing.assert_array_equal([form.round(v) for v in values.tolist()], expected.astype(float))
            info = ml_dtypes.finfo(name) if name == "bfloat16" else np.finfo(name)
            assert (form.eps, form.tiny, form.max) == (float(info.eps), float(info.tiny), float(info.max))
    assert math.isnan(FORMATS["bfloat16"].round(math.nan))


def test_formats_are_known_by_name_or_dtype() -> None:
    for dtype in ("float32", np.float32, np.dtype("float32")):
        assert float_format(dtype) is FORMATS["float32"]
    with pytest.raises(ValueError, match="unknown dtype 'int8': expected one of float16, bfloat16"):
        float_format("int8")
