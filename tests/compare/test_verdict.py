"""The verdict says what the measurements say: each of these cases has one answer that is right."""

from __future__ import annotations

from typing import Any

from finallayer.compare.grid import Cell
from finallayer.compare.verdict import Verdict, give_verdict, most_telling

from .synthetic import JAX_RAW, JAX_SCALED, TF_RAW, curve, rows_of, runs, silenced_and_rescued, summary_of


def verdict(cells: dict[Cell, dict[str, Any]], curves: list[dict[str, Any]] | None = None) -> Verdict:
    return give_verdict(summary_of(cells), curves or [])


def both(softmax: list[float], logits: list[float], **measured: Any) -> dict[Cell, dict[str, Any]]:
    return {**runs(JAX_RAW, "softmax", softmax, **measured), **runs(JAX_RAW, "logits", logits)}


def test_the_articles_case() -> None:
    said = verdict(*silenced_and_rescued())
    text = " ".join(said.sentences)
    assert said.answer == (
        "No: keep softmax in the loss. Softmax in the model cost 15.7 points of accuracy on average over 3 settings "
        "(95 % interval 14.0 to 17.3, 3 seeds), in none did it help."
    )
    assert (
        "The largest of 3 differences was 47.0 points" in text
        and "47.7 % with the softmax head against 94.7 % with logits" in text
    )
    assert "certain by itself in 1 of 3 settings" in text
    assert "40.0 % of the training samples were misclassified and got a gradient of exactly 0" in text
    assert "(16.1)" in text
    assert "not one sample was silenced" in text
    assert "Keras on TensorFlow in float32 computed the gradient of the softmax head right at every margin" in text
    assert "Keras on JAX in float32 computed" not in text
    assert "(the largest margin was 5.0)" in text


def test_no_difference_is_called_no_difference() -> None:
    said = verdict(both([0.94, 0.95, 0.96], [0.94, 0.95, 0.96]))
    assert said.answer.startswith("No difference measured")
    assert "the two heads ended equal" in said.sentences[0]


def test_a_difference_too_small_to_matter_is_not_a_loss() -> None:
    said = verdict(both([0.940, 0.950, 0.960], [0.944, 0.954, 0.964]))
    assert said.answer.startswith("No difference measured")
    assert "within 0.4 points" in said.sentences[0]


def test_an_interval_that_holds_zero_is_not_a_loss() -> None:
    said = verdict(both([0.2, 0.9, 0.8], [0.9, 0.9, 0.9]))
    assert said.answer.startswith("Undecided: in 1 of 1 setting accuracy differs")
    assert "more seeds would tell" in said.sentences[0]


def test_softmax_that_helps_is_said_to_help() -> None:
    said = verdict(both([0.94, 0.95, 0.96], [0.84, 0.85, 0.86]))
    assert said.answer.startswith("Yes, as measured here")
    assert "10.0 points higher" in said.sentences[0]


def test_it_may_depend() -> None:
    helps = {**runs(TF_RAW, "softmax", [0.9, 0.9, 0.9]), **runs(TF_RAW, "logits", [0.8, 0.8, 0.8])}
    said = verdict({**both([0.5, 0.5, 0.5], [0.9, 0.9, 0.9]), **helps})
    assert said.answer.startswith("It depends")


def test_a_loss_without_silence_is_not_blamed_on_it() -> None:
    said = verdict(both([0.5, 0.5, 0.5], [0.9, 0.9, 0.9]))
    assert "silenced" not in " ".join(said.sentences)
    broken = verdict(both([0.5, 0.5, 0.5], [0.9, 0.9, 0.9], nonfinite=0.25))
    text = " ".join(broken.sentences)
    assert "It comes from numbers that are not finite: 25.0 % of the training samples had a loss or a gradient" in text


def test_two_causes_are_told_apart() -> None:
    silent = {**runs(TF_RAW, "softmax", [0.5, 0.5], silenced=0.3), **runs(TF_RAW, "logits", [0.9, 0.9])}
    text = " ".join(verdict({**both([0.4, 0.4], [0.9, 0.9], nonfinite=1.0), **silent}).sentences)
    assert "In 1 of the 2 that lost it comes from silenced samples" in text
    assert "In 1 of the 2 that lost it comes from numbers that are not finite: 100.0 %" in text


def test_silence_under_the_logits_head_is_not_hidden() -> None:
    cells = {
        **runs(JAX_RAW, "softmax", [0.5, 0.5], silenced=0.3),
        **runs(JAX_RAW, "logits", [0.9, 0.9], silenced=0.02),
    }
    assert "With logits it was 2.0 % at most." in " ".join(verdict(cells).sentences)


def test_one_seed_says_that_it_is_one_and_claims_nothing() -> None:
    said = verdict(both([0.1], [0.9]))
    assert said.answer == "Undecided: in 1 of 1 setting accuracy differs, but with one seed not for certain."
    assert "one seed, so no interval" in said.sentences[0]


def test_what_the_settings_that_lost_have_in_common_is_said() -> None:
    cells, curves = silenced_and_rescued()
    text = " ".join(verdict(cells, curves).sentences)
    assert "all that lost more than 1.0 point have float32" not in text  # so have the others
    assert "all that lost more than 1.0 point have raw inputs and Keras on JAX" in text


def test_numbers_that_are_not_finite_are_equal_to_nothing() -> None:
    """Both heads at 10 % because everything is nan: that is no difference measured, and no equality either."""
    nothing = {"nonfinite": 1.0, "largest_margin": None, "true_loss": None, "loss": None}
    both_broken = {**runs(JAX_RAW, "softmax", [0.1] * 3, **nothing), **runs(JAX_RAW, "logits", [0.1] * 3, **nothing)}
    said = verdict(both_broken)
    assert said.answer.startswith("No answer: in 1 of 1 setting the numbers are not finite")
    assert "nothing can be said of accuracy: 100.0 % of the training samples" in said.sentences[0]
    beside = {**both_broken, **runs(TF_RAW, "softmax", [0.9] * 3), **runs(TF_RAW, "logits", [0.9] * 3)}
    assert verdict(beside).answer.startswith("No difference measured: in none of 1 setting ")
    only_logits = {**runs(JAX_RAW, "softmax", [0.9] * 3), **runs(JAX_RAW, "logits", [0.9] * 3, nonfinite=0.01)}
    assert verdict(only_logits).answer.startswith("No answer")


def dosed(*doses: tuple[str, float, float]) -> str:
    cells = {**both([0.5] * 3, [0.9] * 3, silenced=0.5)}
    for head, accuracy, silenced in doses:
        cells |= runs(JAX_RAW, head, [accuracy] * 3, silenced=silenced)
    return " ".join(verdict(cells).sentences)


def test_a_clip_that_costs_less_the_smaller_it_is_is_the_cause() -> None:
    text = dosed(("softmax-eps-1e-4", 0.3, 0.7), ("softmax-eps-1e-15", 0.6, 0.3), ("softmax-eps-1e-30", 0.9, 0.0))
    assert "The clip is the cause: the smaller it is, the less is lost." in text
    assert "epsilon of 1e-4, 1e-7, 1e-15, 1e-30 gave the softmax head 30.0, 50.0, 60.0, 90.0 % accuracy" in text
    assert "with 70.0, 50.0, 30.0, 0.0 % silenced" in text
    assert "softmax-eps" not in text, "a dose is no head that is compared"


def test_a_clip_that_does_not_is_not_said_to_be() -> None:
    for last in (0.4, 0.502):  # less is lost with a larger one; too little to matter
        text = dosed(("softmax-eps-1e-4", 0.495, 0.7), ("softmax-eps-1e-15", last, 0.3))
        assert "cause" not in text and "Another clip was tried." in text


def test_steps_that_loss_scaling_skipped_are_told() -> None:
    cells = {**runs(JAX_RAW, "softmax", [0.5] * 3, skipped=7), **runs(JAX_RAW, "logits", [0.9] * 3, skipped=1)}
    text = " ".join(verdict(cells).sentences)
    assert "up to 14 a run (softmax" in text and "with logits 2: there heads had the same batches, not the same" in text


def test_the_validation_samples_own_noise_is_said_not_to_be_in_the_intervals() -> None:
    last = verdict(both([0.9] * 3, [0.9] * 3)).sentences[-1]
    assert "the same 1000 validation samples" in last and "about 1.9 points" in last  # 1.96 sqrt(0.09 / 1000)


def test_a_setting_of_one_seed_is_not_judged_beside_settings_of_more() -> None:
    one = {**runs(TF_RAW, "softmax", [0.2]), **runs(TF_RAW, "logits", [0.9])}
    said = verdict({**both([0.94, 0.95, 0.96], [0.94, 0.95, 0.96]), **one})
    assert said.answer.startswith("No difference measured: in none of 1 setting ")


def test_other_heads_are_judged_apart_and_stand_in_where_the_status_quo_is_not() -> None:
    double = runs(JAX_RAW, "double-softmax", [0.6, 0.6, 0.6])
    said = verdict({**both([0.9, 0.9, 0.9], [0.9, 0.9, 0.9]), **double})
    assert said.answer.startswith("No difference")
    assert "The double-softmax head cost 30.0 points on Keras on JAX, float32, raw inputs" in " ".join(said.sentences)
    alone = verdict({**double, **runs(JAX_RAW, "logits", [0.9, 0.9, 0.9])})
    assert "another head than logits cost accuracy" in alone.answer
    assert "The double-softmax head cost 30.0 points" in " ".join(alone.sentences)


def test_the_worst_of_another_head_is_one_that_is_certain() -> None:
    cells = {
        **both([0.9, 0.9, 0.9], [0.9, 0.9, 0.9]),
        **runs(JAX_RAW, "double-softmax", [0.7, 0.7, 0.7]),
        **runs(TF_RAW, "double-softmax", [0.1, 0.9, 0.1]),
        **runs(TF_RAW, "logits", [0.9, 0.9, 0.9]),
    }
    assert "in 1 of 2 settings, up to 20.0 points (Keras on JAX" in " ".join(verdict(cells).sentences)


def test_only_the_status_quo_is_said_to_be_rescued_by_keras() -> None:
    cells = {**runs(JAX_RAW, "log-of-softmax", [0.9, 0.9]), **runs(JAX_RAW, "logits", [0.9, 0.9])}
    assert "Keras finds" not in " ".join(verdict(cells, [curve(JAX_RAW, "log-of-softmax", None)]).sentences)


def test_nothing_finished_is_nothing_to_compare() -> None:
    assert verdict({}).answer == "Nothing to compare yet."
    assert verdict(runs(JAX_RAW, "softmax", [0.5])).answer == "Nothing to compare yet."
    assert most_telling([]) is None


def test_the_story_is_told_of_the_largest_certain_loss_of_the_status_quo() -> None:
    cells, _ = silenced_and_rescued()
    worse = {**runs(JAX_SCALED, "softmax", [0.1, 0.9, 0.9]), **runs(JAX_RAW, "no-softmax", [0.1, 0.1, 0.1])}
    row = most_telling(rows_of({**cells, **worse}))
    assert row is not None and (row.setting, row.head) == (JAX_RAW, "softmax")


def test_the_edge_is_named_only_where_it_was_measured() -> None:
    cells = both([0.5, 0.5], [0.9, 0.9], silenced=0.3)
    assert "lie past the margin" not in " ".join(verdict(cells).sentences)
    measured = verdict(cells, [curve(JAX_RAW, "softmax", 12.3)])
    assert "lie past the margin (12.3) up to which" in " ".join(measured.sentences)
