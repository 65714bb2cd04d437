"""What is measured, on rows small enough to count by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finallayer.compare.measure import Fitted, Observation, accuracy, margins, measure_epoch

#                 right        wrong, silent  wrong, heard   right, silent
LOGITS = np.array([[3.0, 0, 0], [0, 20.0, 0], [0, 0, 2.0], [0, 0, 40.0]])
LABELS = np.array([0, 0, 0, 2])
GRADIENT = np.array([[-0.1, 0.05, 0.05], [0, 0, 0], [-0.9, 0.1, 0.8], [0, 0, 0]])
PROBABILITY = np.array([0.9, 0.0, 0.1, 1.0])


def measured(**changes: np.ndarray):
    seen = {"logits": LOGITS, "gradient": GRADIENT, "losses": np.ones(4), "target_probability": PROBABILITY} | changes
    return measure_epoch(1, 0.5, Fitted(1.0, 0), Observation(**seen), LABELS, LOGITS, LABELS)


def test_silenced_is_wrong_and_without_any_gradient() -> None:
    assert measured().silenced == 0.25  # neither the wrong one that is heard nor the right one that is silent
    nearly = GRADIENT.copy()
    nearly[1, 2] = 1e-38
    assert measured(gradient=nearly).silenced == 0


def test_shares_and_accuracy() -> None:
    epoch = measured()
    assert (epoch.train_accuracy, epoch.val_accuracy, epoch.underflow, epoch.nonfinite) == (0.5, 0.5, 0.25, 0.0)


def test_the_largest_margin_is_that_of_the_worst_sample() -> None:
    np.testing.assert_array_equal(margins(LOGITS, LABELS), [-3.0, 20.0, 2.0, -40.0])
    assert measured().largest_margin == 20.0


def test_the_true_loss_is_the_reference_blocks_whatever_the_head_says() -> None:
    z = LOGITS
    truth = np.mean(np.log(np.exp(z).sum(axis=1)) - z[range(4), LABELS])
    assert measured(losses=np.full(4, 7.0)).true_loss == pytest.approx(truth, rel=1e-12)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_counted_and_never_called_right_or_silent(bad: float) -> None:
    gradient, logits = GRADIENT.copy(), LOGITS.copy()
    gradient[1] = bad
    logits[0, 0] = bad
    epoch = measured(gradient=gradient, logits=logits)
    assert epoch.nonfinite == 0.25
    assert epoch.silenced == 0
    assert epoch.train_accuracy == 0.25
    assert epoch.true_loss is None
    assert measured(losses=np.array([1, 1, bad, 1])).nonfinite == 0.25


@given(st.integers(0, 2**32 - 1), st.integers(2, 8))
def test_a_sample_is_right_where_its_margin_is_negative(seed: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    logits, labels = rng.normal(size=(50, classes)), rng.integers(0, classes, 50)
    assert accuracy(logits, labels) == np.mean(margins(logits, labels) < 0)
