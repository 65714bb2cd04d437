"""The reference blocks: exact where they promise it, honest where IEEE arithmetic breaks down."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finallayer.numerics import oracle
from finallayer.numerics.blocks import cross_entropy, softmax, softmax_backward, xent_logits
from finallayer.numerics.ulp import ulp, ulp_error

from .ulp_rows import random_target, rows

DTYPES = ["float32", "float64"]
INF = np.inf


def worst_ulp(got: np.ndarray, exact: list, dtype: str) -> float:
    return max(ulp_error(g, e, dtype) for g, e in zip(got, exact, strict=True))


@pytest.mark.parametrize("dtype", DTYPES)
class TestExactness:
    """At most 4 ulp for the loss and every gradient element, on the rows of ulp_rows.py."""

    @settings(max_examples=150)
    @given(data=st.data())
    def test_hard_labels(self, dtype: str, data: st.DataObject) -> None:
        label, z = data.draw(rows(dtype))
        loss, grad = xent_logits(label, z)
        exact = oracle.xent_logits(label, z)
        assert loss.dtype == grad.dtype == dtype
        assert ulp_error(loss, exact.loss, dtype) <= 4
        assert worst_ulp(grad, exact.grad, dtype) <= 4

    @settings(max_examples=100)
    @given(data=st.data())
    def test_target_distributions(self, dtype: str, data: st.DataObject) -> None:
        _, z = data.draw(rows(dtype, max_classes=100))
        p = random_target(np.random.default_rng(data.draw(st.integers(0, 2**32 - 1))), z)
        loss, grad = xent_logits(p, z)
        exact = oracle.xent_logits(p.tolist(), z)
        assert ulp_error(loss, exact.loss, dtype) <= 4
        # a class's gradient is what pushes it down less what pulls it up: 4 ulp of the larger of the two
        x = oracle.softmax(z)
        for j in range(z.size):
            with mpmath.workdps(60):
                down = x[j] * mpmath.fsum(map(float, np.delete(p, j)))
                up = float(p[j]) * mpmath.fsum(x[:j] + x[j + 1 :])
                assert abs(float(grad[j]) - exact.grad[j]) <= 4 * ulp(max(down, up), dtype)

    @settings(max_examples=50)
    @given(data=st.data())
    def test_softmax(self, dtype: str, data: st.DataObject) -> None:
        _, z = data.draw(rows(dtype, max_classes=200))
        assert worst_ulp(softmax(z), oracle.softmax(z), dtype) <= 4

    def test_a_thousand_small_classes_add_up(self, dtype: str) -> None:
        """Each is lost when added to the largest one alone; without its rounding errors the sum is 3 ulp off."""
        sizes = np.repeat(2 ** np.arange(10), 2 ** np.arange(10))
        z = np.concatenate([[0.0], np.log(0.49 * np.finfo(dtype).epsneg / sizes)]).astype(dtype)
        loss, grad = xent_logits(1, z)
        exact = oracle.xent_logits(1, z)
        assert ulp_error(loss, exact.loss, dtype) <= 1
        assert worst_ulp(grad, exact.grad, dtype) <= 2

    def test_a_one_hot_distribution_is_its_label(self, dtype: str) -> None:
        z = np.random.default_rng(0).normal(0, 30, (50, 7)).astype(dtype)
        labels = np.arange(50) % 7
        hard, soft = xent_logits(labels, z), xent_logits(np.eye(7)[labels], z)
        np.testing.assert_array_equal(hard.loss, soft.loss)
        np.testing.assert_array_equal(hard.grad, soft.grad)

    def test_a_nearly_one_hot_target_met_by_confident_logits_keeps_its_gradient(self, dtype: str) -> None:
        # softmax(z) - p, formed as written, is 0 here in both dtypes; the truth is +-1e-20
        z, p = np.array([60.0, 0.0], dtype), np.array([1.0, 1e-20], dtype)
        exact = oracle.xent_logits(p.tolist(), z)
        assert worst_ulp(xent_logits(p, z).grad, exact.grad, dtype) <= 4
        assert abs(exact.grad[1]) > 9e-21


class TestRange:
    """What 'all finite logits' means."""

    @pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
    def test_logits_as_large_as_the_dtype_holds(self, dtype: str) -> None:
        largest = np.finfo(dtype).max
        loss, grad = xent_logits(1, np.array([largest, 0, -largest], dtype))
        assert loss == largest
        np.testing.assert_array_equal(grad, [1, -1, 0])
        assert xent_logits(1, np.array([largest, -largest], dtype)).loss == INF  # 2*max is out of range

    def test_results_below_the_normal_range_are_rounded_to_subnormals(self) -> None:
        for dtype, margin in (("float32", 95.0), ("float64", 730.0)):
            z = np.array([margin, 0.0], dtype)
            exact = oracle.xent_logits(0, z)
            loss, grad = xent_logits(0, z)
            assert 0 < loss < np.finfo(dtype).tiny
            assert ulp_error(loss, exact.loss, dtype) <= 2
            assert worst_ulp(grad, exact.grad, dtype) <= 2

    def test_float16_is_correctly_rounded(self) -> None:
        z = np.random.default_rng(1).normal(0, 4, (200, 5)).astype(np.float16)
        loss, grad = xent_logits(np.zeros(200, int), z)
        for row, y, g in zip(z, loss, grad, strict=True):
            exact = oracle.xent_logits(0, row)
            assert ulp_error(y, exact.loss, "float16") <= 0.5 + 1e-9
            assert worst_ulp(g, exact.grad, "float16") <= 0.5 + 1e-9

    def test_a_common_offset_changes_nothing(self) -> None:
        z = np.array([3.0, -2.0, 0.5])
        for offset in (1e4, 1e6, -(2.0**40)):
            shifted = xent_logits(2, z + offset)
            np.testing.assert_array_equal(shifted.loss, xent_logits(2, z).loss)
            np.testing.assert_array_equal(shifted.grad, xent_logits(2, z).grad)


class TestMaskedClasses:
    def test_a_masked_class_has_no_probability_and_no_gradient(self) -> None:
        masked, without = xent_logits(0, [1.0, -INF, 2.0]), xent_logits(0, [1.0, 2.0])
        assert masked.loss == without.loss
        np.testing.assert_array_equal(masked.grad[[0, 2]], without.grad)
        assert masked.grad[1] == 0

    def test_a_masked_target_has_infinite_loss_and_a_bounded_gradient(self) -> None:
        for p in (1, [0.0, 1.0, 0.0]):
            loss, grad = xent_logits(p, [0.0, -INF, 0.0])
            assert loss == INF
            np.testing.assert_array_equal(grad, [0.5, -1, 0.5])

    def test_a_masked_class_without_target_mass_costs_nothing(self) -> None:
        assert xent_logits([0.5, 0.5, 0.0], [0.0, 0.0, -INF]).loss == pytest.approx(np.log(2), rel=1e-15)

    @pytest.mark.parametrize("row", [[-INF, -INF], [np.nan, 0.0], [INF, 0.0]])
    def test_a_row_without_a_distribution_is_nan(self, row: list[float]) -> None:
        loss, grad = xent_logits(0, row)
        assert np.isnan(loss)
        assert np.isnan(grad).all()
        assert np.isnan(softmax(row)).all()


class TestCrossEntropyOfProbabilities:
    def test_gradient_is_minus_p_over_x(self) -> None:
        x = np.array([0.2, 0.3, 0.5], np.float32)
        loss, grad = cross_entropy([0.1, 0.0, 0.9], x)
        assert loss.dtype == grad.dtype == np.float32
        assert loss == pytest.approx(-0.1 * np.log(0.2) - 0.9 * np.log(0.5), rel=1e-6)
        np.testing.assert_allclose(grad, [-0.5, 0, -1.8], rtol=1e-6)

    def test_a_hard_label_reads_its_own_probability_only(self) -> None:
        loss, grad = cross_entropy([1, 0], [[0.0, 1.0], [0.25, 0.75]])
        np.testing.assert_allclose(loss, [0, np.log(4)], rtol=1e-15)
        np.testing.assert_array_equal(grad, [[0, -1], [-4, 0]])

    def test_zero_probability_is_not_hidden(self) -> None:
        loss, grad = cross_entropy(0, [0.0, 1.0])
        assert (float(loss), grad[0]) == (INF, -INF)
        loss, grad = cross_entropy([0.0, 1.0], [0.0, 1.0])
        assert np.isnan(loss)
        assert np.isnan(grad[0])

    @pytest.mark.parametrize(("margin", "gradient_at_target"), [(80.0, -1.0), (95.0, np.nan), (120.0, np.nan)])
    def test_behind_softmax_it_breaks_where_the_probability_underflows(
        self, margin: float, gradient_at_target: float
    ) -> None:
        z = np.array([margin, 0.0], np.float32)
        x = softmax(z)
        chained = softmax_backward(x, cross_entropy(1, x).grad)
        np.testing.assert_allclose(chained[1], gradient_at_target, rtol=1e-4)
        assert xent_logits(1, z).grad[1] == -1

    def test_the_two_blocks_compose_to_xent_logits(self) -> None:
        rng = np.random.default_rng(2)
        z, p = rng.normal(0, 3, (20, 6)), rng.dirichlet(np.ones(6), 20)
        x = softmax(z)
        loss, grad = cross_entropy(p, x)
        composed = xent_logits(p, z)
        np.testing.assert_allclose(loss, composed.loss, rtol=1e-13)
        np.testing.assert_allclose(softmax_backward(x, grad), composed.grad, atol=1e-15)


class TestShapes:
    def test_rows_in_a_batch_are_rows_alone(self) -> None:
        rng = np.random.default_rng(3)
        z, labels = rng.normal(0, 10, (2, 3, 9)), rng.integers(0, 9, (2, 3))
        loss, grad = xent_logits(labels, z)
        assert (loss.shape, grad.shape) == ((2, 3), (2, 3, 9))
        for i in np.ndindex(2, 3):
            alone = xent_logits(labels[i], z[i])
            np.testing.assert_array_equal(alone.loss, loss[i])
            np.testing.assert_array_equal(alone.grad, grad[i])

    def test_an_empty_batch_and_a_single_class(self) -> None:
        loss, grad = xent_logits(np.zeros(0, int), np.zeros((0, 4)))
        assert (loss.shape, grad.shape) == ((0,), (0, 4))
        loss, grad = xent_logits(0, [5.0])
        assert (float(loss), grad.tolist()) == (0, [0])

    @pytest.mark.parametrize("block", [cross_entropy, xent_logits])
    @pytest.mark.parametrize(
        ("p", "z", "complaint"),
        [
            (3, [0.2, 0.8], r"hard labels: expected 0..1, got 3..3"),
            (-1, [0.2, 0.8], r"hard labels: expected 0..1, got -1..-1"),
            ([0, 1], [0.2, 0.8], r"hard labels: expected shape \(\) for rows \(2,\), got \(2,\)"),
            ([0.5, 0.2, 0.3], [0.2, 0.8], r"target distributions: expected the rows' shape \(2,\)"),
            ([-0.5, 1.5], [0.2, 0.8], r"target distributions: expected probabilities >= 0"),
            (0, 0.5, r"expected rows of at least one class"),
        ],
    )
    def test_targets_that_do_not_fit_are_refused(self, block, p, z, complaint: str) -> None:
        with pytest.raises(ValueError, match=complaint):
            block(p, z)
