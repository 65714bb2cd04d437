"""What predictions and labels come to, a number a sample."""

from __future__ import annotations

import numpy as np
import pytest

from finallayer.running.samples import class_indices, of_classes, of_outcomes

Z = np.array([[20.0, 0.0, 0.0], [0.0, 3.0, 0.0], [1.0, 0.0, np.nan], [5.0, 5.0, 5.0]])
Y = np.array([1, 1, 0, 7])


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def test_margins_odds_and_true_losses_of_rows() -> None:
    seen = of_classes(Z, Y, False)
    assert seen.right.tolist() == [False, True, False]  # the last row's label is no class
    assert seen.margins[:2].tolist() == [20.0, -3.0] and np.isnan(seen.losses[2])
    assert seen.odds[:2] == pytest.approx([np.log(np.exp(20) + 1), np.log(2) - 3])
    assert seen.losses[:2] == pytest.approx([np.log(np.exp(20) + 2), np.log1p(2 * np.exp(-3.0))])


def test_a_tie_of_all_classes_is_right_for_one_label_only() -> None:
    assert of_classes(np.zeros((3, 3)), np.arange(3), False).right.tolist() == [True, False, False]


def test_probabilities_come_to_the_same_and_one_of_zero_is_no_infinity() -> None:
    p, z = of_classes(softmax(Z[:2]), Y[:2], True), of_classes(Z[:2], Y[:2], False)
    assert p.margins == pytest.approx(z.margins) and p.losses == pytest.approx(z.losses)
    certain = of_classes(np.array([[1.0, 0.0]]), np.array([1]), True)
    assert 80 < certain.margins[0] < 110 and np.isfinite(certain.losses[0])


def test_a_sample_teaches_nothing_where_its_gradient_is_next_to_nothing_of_what_is_due() -> None:
    z, y = np.array([[9.0, 0.0], [0.0, 9.0], [0.5, 0.0], [0.0, 9.0]]), np.array([1, 0, 1, 1])
    due = softmax(z) - np.eye(2)[y]
    fused = of_classes(z, y, False, due / 4).taught_nothing
    assert fused is not None and not fused.any()  # the right one gets little, since little is due
    dead = due / 4
    dead[0] = 0
    dead[1] *= 1e-3
    assert of_classes(z, y, False, dead).taught_nothing.tolist() == [True, True, False, False]  # type: ignore[union-attr]
    assert of_classes(z, y, False, due * 1e-9).taught_nothing.all()  # type: ignore[union-attr]
    assert of_classes(z, y, False).taught_nothing is None


def test_outcomes() -> None:
    z, y = np.array([30.0, -2.0]), np.array([0.0, 0.0])
    seen = of_outcomes(z, y, False, np.array([0.0, 0.06]))
    assert seen.margins.tolist() == [30.0, -2.0] and seen.right.tolist() == [False, True]
    assert seen.losses == pytest.approx(np.logaddexp(0, z))
    assert seen.taught_nothing.tolist() == [True, False]  # type: ignore[union-attr]
    assert of_outcomes(1 / (1 + np.exp(-z)), y, True).margins == pytest.approx(z, rel=0.1)


@pytest.mark.parametrize(
    ("labels", "indices"),
    [
        (np.array([0, 2]), [0, 2]),
        (np.array([[0.0], [2.0]]), [0, 2]),
        (np.eye(3)[[0, 2]], [0, 2]),
        (np.array([0.5, 2.0]), None),
        (np.array([0, 3]), None),
        (np.array([[0.2, 0.9, 0.7], [1.0, 1.0, 0.0]]), None),
        (np.array(["a", "b"]), None),
    ],
)
def test_class_indices_of_labels_and_of_nothing_that_is_none(labels: np.ndarray, indices: list[int] | None) -> None:
    found = class_indices(labels, 3)
    assert (None if found is None else found.tolist()) == indices
