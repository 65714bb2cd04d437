"""Means over seeds, and the paired difference with its interval."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from finallayer.compare.statistics import paired_difference, summarize

from .synthetic import JAX_RAW, JAX_SCALED, runs

shares = st.floats(0, 1, width=32)


@pytest.mark.filterwarnings("ignore:Precision loss:RuntimeWarning")  # scipy's, on nearly equal pairs
@given(st.lists(st.tuples(shares, shares), min_size=2, max_size=8))
def test_the_interval_is_students_on_the_pairs(pairs: list[tuple[float, float]]) -> None:
    ours, theirs = zip(*pairs, strict=True)
    difference = paired_difference(ours, theirs)
    expected = stats.ttest_rel(ours, theirs).confidence_interval(0.95)
    if difference.half_width == 0:
        assert len({a - b for a, b in pairs}) == 1
    else:
        assert difference.low == pytest.approx(expected.low, abs=1e-9)
        assert difference.high == pytest.approx(expected.high, abs=1e-9)


def test_differences_are_paired_by_seed() -> None:
    """Seeds vary by 40 points, the heads within each by exactly 10: the pairs see it, the means alone would not."""
    cells = {**runs(JAX_RAW, "softmax", [0.3, 0.5, 0.7]), **runs(JAX_RAW, "logits", [0.4, 0.6, 0.8])}
    gain = next(row for row in summarize(cells) if row.head == "softmax").gain
    assert gain is not None and gain.significant
    assert gain.mean == pytest.approx(0.1) and gain.half_width == pytest.approx(0, abs=1e-12)


def test_only_seeds_that_both_heads_finished_are_compared() -> None:
    cells = {**runs(JAX_RAW, "softmax", [0.5, 0.5]), **runs(JAX_RAW, "logits", [0.9, 0.8, 0.1])}
    rows = {row.head: row for row in summarize(cells)}
    assert rows["softmax"].gain is not None and rows["softmax"].gain.pairs == 2
    assert rows["softmax"].gain.mean == pytest.approx(0.35)
    assert rows["logits"].seeds == 3 and rows["logits"].gain is None


def test_one_seed_has_a_difference_and_no_interval() -> None:
    difference = paired_difference([0.9], [0.5])
    assert difference.mean == pytest.approx(0.4)
    assert difference.half_width is None and not difference.significant


def test_without_the_baseline_nothing_is_compared() -> None:
    cells = {**runs(JAX_RAW, "softmax", [0.5]), **runs(JAX_SCALED, "logits", [0.9])}
    assert all(row.gain is None for row in summarize(cells))


def test_a_figure_that_was_once_not_finite_has_no_mean() -> None:
    cells = runs(JAX_RAW, "logits", [0.9, 0.8])
    last = list(cells.values())[-1]["epochs"][-1]
    last["true_loss"] = None
    (row,) = summarize(cells)
    assert row.true_loss is None and row.largest_margin == 5.0
