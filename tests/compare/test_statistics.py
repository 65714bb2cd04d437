"""Means over seeds, the paired difference with its interval, and what of it all is certain."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finallayer.compare.grid import Cell, Setting
from finallayer.compare.statistics import paired_difference, rejected
from finallayer.compare.verdict import give_verdict

from .synthetic import JAX_RAW, JAX_SCALED, TF_RAW, rows_of, runs, summary_of

shares = st.floats(0, 1, width=32)
MANY = 10**9  # samples enough for their rounding not to count


def by_seed(values: tuple[float, ...] | list[float]) -> dict[int, float]:
    return dict(enumerate(values))


@pytest.mark.filterwarnings("ignore:Precision loss:RuntimeWarning")  # scipy's, on nearly equal pairs
@given(st.lists(st.tuples(shares, shares), min_size=2, max_size=8))
def test_the_interval_is_students_on_the_pairs(pairs: list[tuple[float, float]]) -> None:
    from scipy import stats

    ours, theirs = zip(*pairs, strict=True)
    difference = paired_difference(by_seed(ours), by_seed(theirs), MANY)
    test = stats.ttest_rel(ours, theirs)
    expected = test.confidence_interval(0.95)
    reach = np.mean(ours)
    assert difference.low == pytest.approx(max(expected.low, reach - 1), abs=1e-7)
    assert difference.high == pytest.approx(min(expected.high, reach), abs=1e-7)
    if np.std(np.subtract(ours, theirs)) > 1e-3:
        assert difference.p == pytest.approx(test.pvalue, rel=1e-3)


def test_an_interval_ends_where_accuracy_does() -> None:
    """Logits at 90 %: a head can't be more than 90 points worse, nor more than 10 better."""
    worse = paired_difference(by_seed([0.9, 0.9]), by_seed([0.1, 0.8]), 1000)
    better = paired_difference(by_seed([0.9, 0.9]), by_seed([0.91, 1.0]), 1000)
    assert worse.high == pytest.approx(0.9) and better.low == pytest.approx(-0.1)


def test_differences_are_paired_by_seed() -> None:
    """Seeds vary by 40 points, the heads within each by exactly 10: the pairs see it, the means alone would not."""
    cells = {**runs(JAX_RAW, "softmax", [0.3, 0.5, 0.7]), **runs(JAX_RAW, "logits", [0.4, 0.6, 0.8])}
    row = next(row for row in rows_of(cells) if row.head == "softmax")
    assert row.certain and row.gain is not None
    assert row.gain.mean == pytest.approx(0.1) and row.gain.high == pytest.approx(0.1, abs=2e-3)


def test_seeds_that_agree_to_the_sample_are_no_more_certain_than_the_samples_allow() -> None:
    ours, theirs = by_seed([0.9, 0.9]), by_seed([0.85, 0.85])
    few, many = (paired_difference(ours, theirs, samples) for samples in (20, 100_000))
    assert few.p is not None and few.p > 0.05 and many.p is not None and many.p < 0.001


def test_only_seeds_that_both_heads_finished_are_compared() -> None:
    cells = {**runs(JAX_RAW, "softmax", [0.5, 0.5]), **runs(JAX_RAW, "logits", [0.9, 0.8, 0.1])}
    rows = {row.head: row for row in rows_of(cells)}
    assert rows["softmax"].gain is not None and rows["softmax"].gain.pairs == 2
    assert rows["softmax"].gain.mean == pytest.approx(0.35)
    assert rows["logits"].seeds == 3 and rows["logits"].gain is None


def test_one_seed_has_a_difference_no_interval_and_no_certainty() -> None:
    cells = {**runs(JAX_RAW, "softmax", [0.5]), **runs(JAX_RAW, "logits", [0.9])}
    summary = summary_of(cells)
    (row,) = (row for row in summary.rows if row.head == "softmax")
    assert row.gain is not None and row.gain.mean == pytest.approx(0.4)
    assert (row.gain.low, row.gain.high, row.gain.p, row.certain) == (None, None, None, False)
    assert [overall.certain for overall in summary.overall] == [False]


def test_without_the_baseline_nothing_is_compared() -> None:
    cells = {**runs(JAX_RAW, "softmax", [0.5]), **runs(JAX_SCALED, "logits", [0.9])}
    assert all(row.gain is None for row in rows_of(cells))


def test_a_figure_that_was_once_not_finite_has_no_mean() -> None:
    cells = runs(JAX_RAW, "logits", [0.9, 0.8])
    last = list(cells.values())[-1]["epochs"][-1]
    last["true_loss"] = None
    (row,) = rows_of(cells)
    assert row.true_loss is None and row.largest_margin == 5.0


def test_a_seed_counts_once_however_many_settings_share_it() -> None:
    """Backends that compute the same thing are no independent witnesses."""
    heads = [[0.9, 0.5], [0.9, 0.9]]
    one = summary_of({**runs(JAX_RAW, "softmax", heads[0]), **runs(JAX_RAW, "logits", heads[1])})
    same = [
        runs(setting, head, values)
        for setting in (JAX_RAW, TF_RAW, JAX_SCALED)
        for head, values in zip(("softmax", "logits"), heads, strict=True)
    ]
    three = summary_of({cell: run for group in same for cell, run in group.items()})
    alone, together = one.of("softmax"), three.of("softmax")
    assert alone is not None and together is not None and together.settings == 3
    assert together.gain.pairs == alone.gain.pairs == 2
    assert together.gain.p == pytest.approx(alone.gain.p, rel=1e-3)


def test_holm_with_equal_weights_is_holm() -> None:
    p = {"a": 0.01, "b": 0.02, "c": 0.03, "d": 0.04}  # levels 0.05 / 4, / 3, / 2, / 1
    assert rejected({name: (value, 1.0) for name, value in p.items()}, 0.05) == {"a"}
    p["b"] = 0.016
    assert rejected({name: (value, 1.0) for name, value in p.items()}, 0.05) == {"a", "b"}


def test_a_weight_is_a_share_of_the_level_and_what_is_found_leaves_its_share_to_the_rest() -> None:
    assert rejected({"heavy": (0.03, 0.75), "light": (0.02, 0.25)}, 0.05) == {"heavy", "light"}
    assert rejected({"heavy": (0.04, 0.75), "light": (0.02, 0.25)}, 0.05) == set()


SETTINGS = [
    Setting(backend, precision, inputs)
    for backend, precision, inputs in itertools.product(
        ("keras-tensorflow", "keras-jax"), ("float32", "mixed_bfloat16"), ("raw", "scaled")
    )
]
TRIALS = 300


@pytest.mark.parametrize("seeds", [1, 2, 3, 5])
@pytest.mark.parametrize("unstable", [0.0, 0.2])
def test_where_heads_differ_in_nothing_hardly_any_run_claims_that_they_do(seeds: int, unstable: float) -> None:
    """Accuracies of two heads drawn alike, on 359 samples, now and then of a run that went astray: of all verdicts no
    more than 5 % may claim anything. (8.8 % of 300 are what a true 5 % reach in one test of a thousand.)
    """
    rng = np.random.default_rng([seeds, round(10 * unstable)])
    claims = 0
    for _ in range(TRIALS):
        cells: dict[Cell, dict[str, Any]] = {}
        shared = rng.normal(0, 0.01, seeds)  # good and bad initial weights, in every setting
        for setting, head in itertools.product(SETTINGS, ("softmax", "double-softmax", "logits")):
            astray = np.where(rng.random(seeds) < unstable, rng.uniform(0, 0.5, seeds), 0)
            accuracies = np.clip(0.93 + shared + rng.normal(0, 0.012, seeds) - astray, 0, 1)
            cells |= runs(setting, head, [round(a * 359) / 359 for a in accuracies])
        summary = summary_of(cells, val_samples=359)
        certain = any(row.certain for row in summary.rows) or any(overall.certain for overall in summary.overall)
        said = give_verdict(summary, []).answer.startswith(("No:", "Yes", "It depends"))
        assert certain or not said
        claims += certain
    assert claims / TRIALS <= 0.088
    assert seeds > 1 or claims == 0
