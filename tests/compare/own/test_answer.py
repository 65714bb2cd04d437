"""The verdict follows from the measurements, and claims nothing that isn't there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from finallayer.compare.own.answer import metrics

from .trials import cell, epoch, logged, trial

WORSE, BETTER = [0.41, 0.46, 0.43, 0.49], [0.91, 0.93, 0.92, 0.90]


def test_a_certain_gain_says_fix_it_by_how_much_and_where_it_comes_from() -> None:
    found = trial(logged(WORSE, silenced=0.4), logged(BETTER)).verdict
    assert found["answer"].startswith("Fix it: val_accuracy 91.5 % against 44.8 %") and found["certain"]
    assert "40.0 % of the training samples were silenced" in " ".join(found["sentences"])
    assert "safe margin is 16.1" in " ".join(found["sentences"]) and "FL101 (double-softmax)" in found["sentences"][0]
    assert found["metric"] == "val_accuracy" and found["difference"]["mean"] == pytest.approx(0.4675)


def test_a_certain_loss_says_leave_it() -> None:
    assert trial(logged(BETTER), logged(WORSE)).verdict["answer"].startswith("Leave it as it is: fixed, it is worse")


def test_one_seed_makes_nothing_certain() -> None:
    found = trial(logged(WORSE[:1]), logged(BETTER[:1])).verdict
    assert found["answer"].startswith("Undecided: one seed") and not any(line["certain"] for line in found["table"])


def test_seeds_that_change_nothing_are_one_run() -> None:
    found = trial(logged([0.4] * 4), logged([0.9] * 4)).verdict
    assert found["answer"].startswith("Undecided: one seed") and "to the last digit" in found["sentences"][0]


def test_a_scattered_gain_is_undecided_and_a_small_one_is_none() -> None:
    assert trial(logged([0.5, 0.9, 0.6]), logged([0.9, 0.5, 0.95])).verdict["answer"].startswith("Undecided: val_acc")
    close = trial(logged([0.9, 0.91, 0.92]), logged([0.905, 0.913, 0.922])).verdict["answer"]
    assert close.startswith("No difference measured: val_accuracy 91.3 %")


@pytest.mark.parametrize(
    ("names", "first"),
    [
        (["loss", "accuracy", "val_loss", "val_accuracy"], "val_accuracy"),
        (["test_accuracy", "val_accuracy"], "val_accuracy"),
        (["test_accuracy", "loss"], "test_accuracy"),
        (["eval_f1", "eval_loss", "eval_accuracy"], "eval_accuracy"),
        (["val/acc", "train/acc"], "val/acc"),
        (["valid_top5acc"], "valid_top5acc"),
        (["evaluation_time", "val_loss", "interval_accuracy"], "train_accuracy"),
        (["testing_vaccine"], "train_accuracy"),
    ],
)
def test_a_validation_metric_answers_where_there_is_one(names: list[str], first: str) -> None:
    runs = [cell(epoch(1, logged=dict.fromkeys(names, 0.5))) for _ in range(2)]
    assert metrics(trial(runs, runs))[0] == first


def test_what_is_evaluated_aside_comes_before_training() -> None:
    runs = [cell(epoch(1, held_out_accuracy=0.5))]
    assert metrics(trial(runs, runs))[0] == "held_out_accuracy"


def test_a_metric_of_the_output_answers_and_may_be_better_when_lower() -> None:
    high, low = ([cell(epoch(1), metric=[9.0, v]) for v in values] for values in ([3.1, 3.3, 3.2], [1.1, 1.2, 1.25]))
    assert trial(high, low, metric="x").verdict["answer"].startswith("Leave it")
    found = trial(high, low, metric="x", lower_is_better=True).verdict
    assert found["answer"].startswith("Fix it: the metric 1.183 against 3.2") and found["metric"] == "metric"


def test_without_a_metric_or_an_arm_there_is_no_answer() -> None:
    assert trial([cell()], [cell()]).verdict["answer"] == "No answer: no accuracy was met."
    assert "--metric" in trial([cell()], [cell()]).verdict["sentences"][0]
    assert trial([cell(epoch(1))], []).verdict["answer"] == "Nothing to compare yet."
    half = trial(logged(WORSE), logged(BETTER[:2])).verdict
    assert half["difference"]["pairs"] == 2


def test_another_program_is_called_by_its_name() -> None:
    found = trial(logged(WORSE, silenced=0.1), logged(BETTER), against="mine.py", mended=[]).verdict
    assert found["answer"].startswith("Take mine.py: ")
    assert any("With mine.py, it is 0.0 %" in sentence for sentence in found["sentences"])


@pytest.mark.parametrize("seeds", [1, 2, 3, 5])
def test_where_there_is_no_difference_no_more_than_one_trial_in_twenty_claims_one(seeds: int) -> None:
    generator = np.random.default_rng(seeds)
    claims = 0
    for number in range(200):
        spread = 0.03 if number % 2 else 0.001
        shared = generator.normal(0.8, 0.05, seeds)

        def arm(shared: Any = shared, spread: float = spread) -> list[dict[str, Any]]:
            """Runs that end anywhere near what the seed gives; each quantity for itself."""
            rounded = np.round((shared + generator.normal(0, spread, seeds)) * 360) / 360
            names = ("train_accuracy", "silenced", "collapsed", "true_loss", "margin_p50", "largest_margin")
            others = generator.normal(0.5, 0.1, (seeds, len(names)))
            return [
                cell(epoch(1, logged={"val_accuracy": float(v)}, **dict(zip(names, map(float, row), strict=True))))
                for v, row in zip(rounded, others, strict=True)
            ]

        claims += any(line["certain"] for line in trial(arm(), arm()).verdict["table"])
    assert claims <= 19  # of 200 at 5 %: the 99.5 % quantile of a binomial
