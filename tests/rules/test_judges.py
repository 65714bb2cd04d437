"""Each rule's judgement on expressions built by hand: what it reports, what it leaves alone, and in which words."""

from __future__ import annotations

from typing import Any

import pytest

from finallayer.catalog import lookup
from finallayer.expr import LOSSES, OPERATIONS, Node, Origin, logits, make, target
from finallayer.findings import Match, Severity, Sighting
from finallayer.kinds import Kind
from finallayer.rules import all_rules, rules_by_operation

Z = make("affine", make("opaque", name="x", rank=2), units=10)
PROBS = make("softmax", Z, axis=-1)
SIGMOID = make("sigmoid", Z)
LOG_PROBS = make("log_softmax", Z, axis=-1)
LOG_SIGMOID = make("log_sigmoid", Z)
UNKNOWN = make("opaque", name="output")
UNIT = make("norm", UNKNOWN, name="torch.nn.functional.normalize")
Y = make("opaque", name="y")


def found(node: Node, training: bool = True, compiled: bool = False) -> set[str]:
    """The codes of all rules that report a node."""
    return set(matches(node, training, compiled))


def matches(node: Node, training: bool = True, compiled: bool = False) -> dict[str, Match]:
    sighting = Sighting(node, training=training, compiled=compiled)
    return {rule.code: m for rule in rules_by_operation().get(node.op, ()) for m in rule.judge(sighting)}


# What a loss may be handed


@pytest.mark.parametrize(
    ("loss", "takes"),
    [
        ("xent_logits", {"LOGITS": set(), "PROBS": {"FL101"}, "LOG_PROBS": {"FL303"}, "SIGMOID": {"FL106"}}),
        ("xent_probs", {"LOGITS": {"FL102"}, "PROBS": {"FL301"}, "LOG_PROBS": {"FL102"}, "SIGMOID": {"FL106"}}),
        ("nll", {"LOGITS": {"FL103"}, "PROBS": {"FL103"}, "LOG_PROBS": set(), "SIGMOID": {"FL103"}}),
        ("kl", {"LOGITS": {"FL103"}, "PROBS": {"FL103"}, "LOG_PROBS": set(), "SIGMOID": {"FL103"}}),
        ("kl_probs", {"LOGITS": {"FL102"}, "PROBS": set(), "LOG_PROBS": {"FL102"}, "SIGMOID": set()}),
        ("bce_logits", {"LOGITS": set(), "PROBS": {"FL106"}, "LOG_PROBS": {"FL106"}, "SIGMOID": {"FL104"}}),
        ("bce_probs", {"LOGITS": {"FL102"}, "PROBS": {"FL106"}, "LOG_PROBS": {"FL102"}, "SIGMOID": {"FL302"}}),
        ("mse", {"LOGITS": set(), "PROBS": set(), "LOG_PROBS": set(), "SIGMOID": set()}),
    ],
)
def test_each_loss_takes_one_kind(loss: str, takes: dict[str, set[str]]) -> None:
    predictions = {"LOGITS": Z, "PROBS": PROBS, "LOG_PROBS": LOG_PROBS, "SIGMOID": SIGMOID}
    assert {name: found(make(loss, predictions[name], Y)) for name in takes} == takes


@pytest.mark.parametrize("loss", sorted(op for op in LOSSES if OPERATIONS[op].takes is not Kind.UNKNOWN))
def test_a_loss_takes_what_its_row_says(loss: str) -> None:
    predictions = {p.kind: found(make(loss, p, Y)) for p in (Z, PROBS, LOG_PROBS, SIGMOID)}
    wrong = {kind for kind, codes in predictions.items() if any(code < "FL2" for code in codes)}
    takes = OPERATIONS[loss].takes
    assert takes in predictions.keys() - wrong
    assert wrong


@pytest.mark.parametrize("loss", "xent_logits xent_probs nll kl kl_probs bce_logits bce_probs mse".split())
def test_what_is_unknown_is_never_reported(loss: str) -> None:
    assert found(make(loss, UNKNOWN, Y)) == set()
    assert found(make(loss, make("join", Z, PROBS), Y)) == set()


@pytest.mark.parametrize("op", "reshape index gather cast identity stop_gradient concat join".split())
def test_moving_the_numbers_does_not_hide_the_softmax(op: str) -> None:
    assert "FL101" in found(make("xent_logits", make(op, PROBS), Y))


@pytest.mark.parametrize("op", ["scale", "mul", "add", "mean", "sum"])
def test_arithmetic_on_probabilities_makes_them_something_else(op: str) -> None:
    args = (PROBS, PROBS) if op in ("mul", "add") else (PROBS,)
    assert found(make("xent_logits", make(op, *args), Y)) == set()


def test_softmax_on_the_target_is_no_finding() -> None:
    assert found(make("xent_logits", Z, PROBS)) == set()
    assert found(make("kl", LOG_PROBS, PROBS)) == set()


def test_an_affine_map_of_probabilities_gives_logits_again() -> None:
    assert found(make("xent_logits", make("affine", PROBS, units=3), Y)) == set()


def test_a_log_sigmoid_is_for_no_loss_over_classes_and_for_no_loss_on_logits() -> None:
    assert found(make("nll", LOG_SIGMOID, Y)) == {"FL106"}
    assert found(make("xent_logits", LOG_SIGMOID, Y)) == {"FL106"}
    assert found(make("bce_logits", LOG_SIGMOID, Y)) == {"FL104"}


def test_wrong_maths_is_reported_without_a_gradient() -> None:
    assert found(make("xent_logits", PROBS, Y), training=False) == {"FL101"}
    assert found(make("nll", PROBS, Y), training=False) == {"FL103"}


LOGS = {
    "FL201": make("log", PROBS),
    "FL202": make("log", make("clip", SIGMOID, low=1e-7)),
    "FL203": make("log", make("add_eps", PROBS, eps=1e-7)),
    "FL205": make("log", SIGMOID),
}
UNSTABLE = LOGS | {
    "FL204": make("softmax", UNKNOWN, naive=True),
    "FL206": make("softplus", UNKNOWN, naive=True),
    "FL207": make("logsumexp", UNKNOWN, naive=True),
    "FL301": make("xent_probs", PROBS, Y),
    "FL302": make("bce_probs", SIGMOID, Y),
}


@pytest.mark.parametrize("code", UNSTABLE)
def test_unstable_numerics_is_reported_only_where_a_gradient_is_asked_for(code: str) -> None:
    assert found(UNSTABLE[code]) == {code}
    values = {"FL207": Severity.ADVICE} if code == "FL207" else {}  # which overflows as a value, too
    assert {code: m.severity for code, m in matches(UNSTABLE[code], training=False).items()} == values


@pytest.mark.parametrize("code", LOGS)
def test_an_entropy_and_a_detached_probability_train_nothing(code: str) -> None:
    (p,) = LOGS[code].args
    assert found(make("log", p, no_loss=True)) == set()
    assert found(make("log", make("stop_gradient", p))) == set()


def test_a_layer_on_constants_is_trained_and_a_table_of_them_is_not() -> None:
    given = make("const", value=1.0)
    assert found(make("log", make("softmax", make("affine", given), axis=-1))) == {"FL201"}
    assert found(make("log", make("softmax", given, axis=-1))) == set()


# FL101, FL104: twice the same


def test_softmax_of_softmax_is_double_along_one_axis_only() -> None:
    assert found(make("softmax", PROBS, axis=-1)) == {"FL101"}
    assert found(make("log_softmax", PROBS, axis=-1)) == {"FL101"}
    assert found(make("softmax", make("softmax", UNKNOWN, axis=1), axis=2)) == set()
    assert found(make("softmax", LOG_PROBS, axis=-1)) == set()


def test_sigmoid_of_sigmoid() -> None:
    assert found(make("sigmoid", SIGMOID)) == {"FL104"}
    assert found(make("sigmoid", make("affine", SIGMOID, units=1))) == set()


# FL102: scores that may be probabilities


def test_scores_brought_to_the_unit_interval_may_be_meant_as_probabilities() -> None:
    assert found(make("bce_probs", make("clip", Z, low=0.0, high=1.0), Y)) == set()
    assert found(make("bce_probs", make("activation", Z, name="keras.activations.hard_sigmoid"), Y)) == set()
    assert found(make("bce_probs", make("clip", Z, low=-1.0, high=1.0), Y)) == {"FL102"}
    assert found(make("bce_probs", make("activation", Z, name="torch.tanh"), Y)) == {"FL102"}


def test_a_hand_written_cross_entropy_of_logits() -> None:
    for purpose in ("of_classes", "of_outcome"):
        likelihood: dict[str, Any] = {purpose: True}
        assert found(make("log", Z, **likelihood)) == {"FL102"}
        assert found(make("log", Z, **likelihood, no_loss=True)) == set()
        assert found(make("log", UNKNOWN, **likelihood)) == set()
    assert found(make("log", Z)) == set()


# FL105: one unit


def unit_scores(rank: int | None = None) -> Node:
    return make("affine", make("opaque", name="h", rank=rank), units=1)


def test_softmax_along_the_units_of_a_layer_with_one() -> None:
    assert found(make("softmax", unit_scores(), axis=-1)) == {"FL105"}
    assert found(make("softmax", unit_scores(rank=2), axis=1)) == {"FL105"}
    assert found(make("log_softmax", make("scale", unit_scores(), by=0.5), axis=-1)) == {"FL105"}
    assert found(make("xent_logits", unit_scores(), Y)) == {"FL105"}


@pytest.mark.parametrize("rank", [None, 3])
def test_attention_over_steps_has_one_unit_too(rank: int | None) -> None:
    assert found(make("softmax", unit_scores(rank), axis=1)) == set()


@pytest.mark.parametrize("op", ["reshape", "index", "concat"])
def test_after_a_move_nobody_knows_where_the_units_lie(op: str) -> None:
    assert found(make("softmax", make(op, unit_scores()), axis=-1)) == set()


def test_a_bias_added_by_hand_hides_no_units() -> None:
    bias = make("parameter")
    assert found(make("softmax", make("add", unit_scores(), bias), axis=-1)) == {"FL105"}


# FL106: heads of another problem


@pytest.mark.parametrize(("units", "expected"), [(2, set()), (3, {"FL106"}), (None, set())])
def test_softmax_into_binary_cross_entropy_is_right_for_two_units(units: int | None, expected: set[str]) -> None:
    probs = make("softmax", make("affine", UNKNOWN, units=units), axis=-1)
    assert found(make("bce_probs", probs, Y)) == expected


def test_two_units_are_advice_where_a_backend_takes_the_softmax_apart() -> None:
    two = make("softmax", make("affine", UNKNOWN, units=2), axis=-1)
    match = matches(make("bce_probs", two, Y, rescued_by="a backend"))["FL106"]
    assert match.severity is Severity.ADVICE and "a backend" in match.message
    assert found(make("bce_probs", make("reshape", two), Y, rescued_by="a backend")) == set()


def test_one_class_of_a_softmax_is_a_probability_of_its_own() -> None:
    assert found(make("bce_probs", make("index", PROBS), Y)) == set()


def test_softmax_into_a_squared_error_against_labels_only() -> None:
    assert found(make("mse", PROBS, make("one_hot", Y))) == {"FL106"}
    assert found(make("mse", PROBS, target())) == {"FL106"}
    assert found(make("mse", PROBS, PROBS)) == set()
    assert found(make("mse", SIGMOID, target())) == set()
    assert found(make("mse", make("softmax", UNKNOWN, axis=-1), target())) == set()  # no classifier's


# FL107: axes


def along(axis: int | None, rank: int | None, op: str = "log_softmax", **attrs: Any) -> Node:
    return make(op, make("affine", make("opaque", name="x", rank=rank), units=5), axis=axis, **attrs)


def test_a_loss_of_a_softmax_along_the_batch() -> None:
    assert found(make("nll", along(0, 2), Y)) == {"FL107"}
    assert found(make("nll", along(-2, 2), Y)) == {"FL107"}
    assert "FL107" in found(make("xent_probs", along(0, None, "softmax"), Y), compiled=True)
    assert "FL107" in found(make("log", along(None, 2, "softmax", whole=True)))
    assert found(make("xent_logits", Z, Y, axis=0)) == {"FL107"}


def test_an_axis_is_wrong_only_where_there_is_a_batch_for_certain() -> None:
    assert found(make("nll", along(0, None), Y)) == set()
    assert found(make("nll", along(0, 1), Y)) == set()
    assert found(make("nll", along(1, 2), Y)) == set()
    assert found(make("nll", make("reshape", along(0, 2)), Y)) == set()
    assert found(make("softmax", make("affine", UNKNOWN, units=5), axis=0)) == set()


def test_examples_in_columns_have_their_classes_along_axis_0() -> None:
    weights, x = make("parameter"), make("opaque", name="x", rank=2)
    columns = make("softmax", make("matmul", weights, x, rank=2), axis=0)
    rows = make("softmax", make("matmul", x, weights, rank=2), axis=0)
    assert "FL107" not in found(make("log", columns))
    assert "FL107" in found(make("log", rows))


# FL108: readers


def test_logits_that_are_read_as_probabilities() -> None:
    assert found(make("threshold", Z, value=0.5, loss="bce_logits")) == {"FL108"}
    assert found(make("threshold", UNKNOWN, value=0.5, loss="bce_logits")) == {"FL108"}
    assert found(make("metric", Z, Y, reads="probs", loss="bce_logits")) == {"FL108"}
    assert found(make("metric", Z, Y, reads="probs", value=0.5, loss="bce_logits")) == {"FL108"}


def test_logits_that_are_read_as_logits() -> None:
    assert found(make("threshold", Z, value=0, loss="bce_logits")) == set()
    assert found(make("metric", Z, Y, reads="probs", value=0.0, loss="bce_logits")) == set()
    assert found(make("metric", Z, Y, reads="probs", from_logits=True, loss="bce_logits")) == set()
    assert found(make("metric", Z, Y, reads="labels", loss="xent_logits")) == set()


def test_an_affine_map_that_no_loss_on_logits_trains_may_be_read_at_a_half() -> None:
    assert found(make("threshold", Z, value=0.5)) == set()
    assert found(make("metric", Z, Y, reads="probs", loss="mse")) == set()


def test_sigmoid_outputs_that_are_read_as_logits() -> None:
    assert found(make("threshold", SIGMOID, value=0)) == {"FL108"}
    assert found(make("metric", SIGMOID, Y, reads="probs", value=0.0)) == {"FL108"}
    assert found(make("threshold", SIGMOID, value=0.5)) == set()
    assert found(make("threshold", PROBS, value=0)) == set()  # a mask


# FL109: distributions


@pytest.mark.parametrize("op", ["distribution", "sample"])
def test_a_distribution_takes_what_it_is_told_that_it_takes(op: str) -> None:
    predictions = (Z, PROBS, LOG_PROBS, SIGMOID, LOG_SIGMOID, UNKNOWN)
    as_logits = [found(make(op, p, from_logits=True)) for p in predictions]
    as_probs = [found(make(op, p, from_logits=False)) for p in predictions]
    assert as_logits == [set(), {"FL109"}, set(), {"FL109"}, set(), set()]
    assert as_probs == [{"FL109"}, set(), {"FL109"}, set(), {"FL109"}, set()]
    assert [found(make(op, p)) for p in predictions] == [set()] * len(predictions)


def test_log_probabilities_are_no_logits_of_a_single_outcome() -> None:
    assert found(make("distribution", LOG_SIGMOID, from_logits=True, binary=True)) == {"FL109"}
    assert found(make("distribution", Z, from_logits=True, binary=True)) == set()


WEIGHTS = [
    make("activation", Z, name="torch.relu"),
    make("clip", Z, low=0.0),
    make("norm", Z, name="torch.nn.functional.normalize"),
    make("matmul", PROBS, make("parameter")),
    make("matmul", make("one_hot", Y), make("parameter")),
    make("join", Z, UNKNOWN),
]


@pytest.mark.parametrize("weights", WEIGHTS, ids=str)
def test_what_may_be_brought_to_be_weights_is_taken_for_weights(weights: Node) -> None:
    assert found(make("distribution", weights, from_logits=False)) == set()
    assert found(make("kl", LOG_PROBS, weights)) == set()


@pytest.mark.parametrize(
    "scores",
    [
        make("scale", Z, by=0.5),
        make("join", Z, make("affine", UNKNOWN)),
        make("add", make("matmul", UNKNOWN, make("parameter")), make("parameter")),
        make("matmul", make("activation", Z, name="torch.relu"), make("parameter")),
    ],
    ids=str,
)
def test_what_a_layer_gives_is_scores(scores: Node) -> None:
    assert found(make("distribution", scores, from_logits=False)) == {"FL109"}
    assert found(make("kl", LOG_PROBS, scores)) == {"FL111"}


# FL110: swapped


LABELS = make("cast", make("one_hot", Y, units=10))


def test_a_prediction_in_the_place_of_the_target() -> None:
    for loss in ("xent_logits", "xent_probs", "bce_logits", "bce_probs", "nll"):
        assert found(make(loss, UNKNOWN, Z, name="f")) == {"FL110"}
        assert found(make(loss, LABELS, PROBS, name="f")) == {"FL110"}
        assert found(make(loss, make("const", value=1.0), SIGMOID, name="f")) == {"FL110"}
        assert found(make(loss, UNKNOWN, UNKNOWN, name="f")) == set()
    assert found(make("metric", UNKNOWN, Z, name="f", reads="any")) == {"FL110"}
    assert found(make("metric", UNKNOWN, Z, name="f", reads="labels")) == set()


def test_a_target_that_is_a_prediction_as_it_should_be() -> None:
    assert found(make("xent_logits", UNKNOWN, PROBS, name="f")) == set()  # distillation
    assert found(make("xent_probs", make("clip", LABELS, low=1e-4, high=1.0), PROBS, name="f")) == set()  # reverse
    assert found(make("bce_probs", LABELS, make("stop_gradient", PROBS), name="f")) == set()
    assert found(make("mse", UNKNOWN, Z, name="f")) == set()


def test_a_loss_for_numbers_of_classes_has_no_distribution_as_its_target() -> None:
    assert found(make("nll", UNKNOWN, LOG_PROBS, name="f")) == {"FL110"}
    assert found(make("xent_probs", UNKNOWN, PROBS, name="keras.losses.sparse_categorical_crossentropy")) == {"FL110"}
    assert found(make("xent_probs", UNKNOWN, PROBS, name="keras.losses.categorical_crossentropy")) == set()


# FL111: targets


def test_a_divergence_is_told_whether_its_target_is_a_log() -> None:
    for target_, told, code in [
        (LOG_PROBS, False, {"FL111"}),
        (LOG_PROBS, True, set()),
        (PROBS, True, {"FL111"}),
        (PROBS, False, set()),
        (LOG_PROBS, "?", set()),
        (PROBS, "?", set()),
        (UNKNOWN, False, set()),
        (Z, False, {"FL111"}),
        (Z, "?", {"FL111"}),
    ]:
        assert found(make("kl", LOG_PROBS, target_, log_target=told)) == code
    assert found(make("kl", PROBS, LOG_PROBS, log_target=False)) == {"FL103", "FL110"}
    assert found(make("kl_probs", PROBS, LOG_PROBS)) == found(make("kl_probs", PROBS, Z)) == {"FL111"}


def test_logits_are_no_target_of_a_prediction() -> None:
    assert found(make("xent_logits", Z, Z)) == found(make("bce_logits", Z, make("scale", Z, by=0.5))) == {"FL111"}
    assert found(make("mse", Z, Z)) == set()


# FL201, FL202, FL203, FL205: the log of a probability


@pytest.mark.parametrize("made", [PROBS, make("exp", LOG_PROBS), make("softmax", UNKNOWN, naive=True)], ids=str)
def test_the_log_of_whatever_made_a_softmax(made: Node) -> None:
    assert found(make("log", made)) == {"FL201"}
    assert found(make("log", make("gather", made))) == {"FL201"}
    assert found(make("log", make("one_minus", made))) == {"FL201"}


def test_the_log_of_a_sigmoid() -> None:
    assert found(make("log", SIGMOID)) == {"FL205"}
    assert found(make("log", make("one_minus", make("index", SIGMOID)))) == {"FL205"}
    assert found(make("log", make("bernoulli", UNKNOWN))) == {"FL205"}


@pytest.mark.parametrize("p", [PROBS, SIGMOID], ids=["softmax", "sigmoid"])
def test_a_guard_decides_which_rule_it_is(p: Node) -> None:
    plain = {"FL201"} if p is PROBS else {"FL205"}
    assert found(make("log", make("clip", p, low=1e-7, high=1 - 1e-7))) == {"FL202"}
    assert found(make("log", make("one_minus", make("clip", p, high=0.999)))) == {"FL202"}
    assert found(make("log", make("add_eps", p, eps=1e-8))) == {"FL203"}
    assert found(make("log", make("add_eps", make("one_minus", p), eps=1e-8))) == {"FL203"}
    assert found(make("log", make("clip", make("add_eps", p, eps=1e-8), low=1e-6))) == {"FL202"}
    assert found(make("log", make("add_eps", make("clip", p, low=1e-6), eps=1e-8))) == {"FL202"}
    assert found(make("log", make("clip", p, low=0, high=1))) == plain
    assert found(make("log", make("clip", p, low="?"))) == {"FL202"}


def test_a_log_that_is_no_loss() -> None:
    assert found(make("log", PROBS, no_loss=True)) == set()
    assert found(make("log", make("add_eps", PROBS, eps=1e-8), no_loss=True)) == set()
    assert found(make("log", make("stop_gradient", PROBS))) == set()
    assert found(make("log", make("sum", make("mul", PROBS, UNKNOWN)))) == set()  # a mixture
    assert found(make("log", make("mean", PROBS))) == set()
    assert found(make("log", make("add_eps", UNKNOWN, eps=1e-8))) == set()
    assert found(LOG_PROBS) == set()


def test_a_log_that_is_weighed_by_its_own_probability_needs_a_guard_alone() -> None:
    assert found(make("log", PROBS, self_weighted=True)) == {"FL201"}
    assert found(make("log", make("one_minus", SIGMOID), self_weighted=True)) == {"FL205"}
    assert found(make("log", make("add_eps", PROBS, eps=1e-8), self_weighted=True)) == set()
    assert found(make("log", make("clip", PROBS, low=1e-8), self_weighted=True)) == set()
    assert "times the probability itself" in matches(make("log", PROBS, self_weighted=True))["FL201"].message


def test_what_is_drawn_has_a_log_prob_of_its_own() -> None:
    for drawn in (make("index", PROBS, at="sample"), make("gather", PROBS, make("sample", PROBS))):
        assert "log_prob" in matches(make("log", drawn))["FL201"].message
    assert "log_prob" not in matches(make("log", make("gather", PROBS, Y)))["FL201"].message


def test_a_mean_of_softmaxes_is_no_softmax() -> None:
    several = make("mixture", PROBS, make("softmax", UNKNOWN, axis=-1))
    guarded = make("clip", several, low=1e-7), make("add_eps", several, eps=1e-7)
    for x, code in zip((several, *guarded), ("FL201", "FL202", "FL203"), strict=True):
        assert "logsumexp of their log_softmax" in matches(make("log", x))[code].message


@pytest.mark.parametrize(
    ("log", "code", "says"),
    [
        (make("log", PROBS), "FL201", "infinite"),
        (make("log", PROBS, self_weighted=True), "FL201", "NaN"),
        (make("log", make("clip", PROBS, low=1e-7)), "FL202", "stops growing at the clip"),
        (make("log", make("add_eps", PROBS, eps=1e-7)), "FL203", "stops growing at the epsilon"),
        (make("log", SIGMOID), "FL205", "infinite"),
        (make("softplus", Z, naive=True), "FL206", "709.8"),
        (make("logsumexp", Z, naive=True), "FL207", "709.8"),
    ],
)
def test_nothing_differentiates_plain_numpy(log: Node, code: str, says: str) -> None:
    (match,) = all_rules()[code].judge(Sighting(log, "numpy"))
    assert match.severity is Severity.ADVICE and says in match.message and "isn't touched" in match.message
    assert matches(log)[code].severity is None  # the rule's own


def test_a_formula_in_numpy_is_told_of_once() -> None:
    opposite = make("log", make("one_minus", SIGMOID), of_opposite=True)
    assert found(opposite) == {"FL205"}
    assert list(all_rules()["FL205"].judge(Sighting(opposite, "numpy"))) == []


# FL204, FL206, FL207: exponentials


@pytest.mark.parametrize(("op", "code"), [("softmax", "FL204"), ("softplus", "FL206"), ("logsumexp", "FL207")])
def test_an_exponential_that_may_overflow(op: str, code: str) -> None:
    assert found(make(op, Z, naive=True)) == {code}
    assert found(make(op, UNKNOWN, naive=True)) == {code}
    assert found(make(op, make("scale", make("cosine", UNKNOWN, UNKNOWN), by=100.0), naive=True)) == {code}
    assert found(make(op, Z)) == set()
    assert found(make(op, make("reshape", make("stop_gradient", Z)), naive=True)) == set()  # nothing is trained


@pytest.mark.parametrize("op", ["softmax", "softplus", "logsumexp"])
@pytest.mark.parametrize(
    "bounded",
    [
        make("activation", Z, name="torch.tanh"),
        make("neg", make("abs", UNKNOWN)),
        make("neg", make("pow", make("pow", UNKNOWN, value=2), value=-1)),
        make("div", make("neg", make("pow", UNKNOWN, value=2)), UNKNOWN),  # by a variance
        make("scale", make("pow", UNKNOWN, make("const", value=2)), by=-0.5),
        make("neg", make("sum", make("mul", UNKNOWN, UNKNOWN))),
        make("neg", make("div", make("pow", UNKNOWN, value=2), make("exp", UNKNOWN))),
        make("sub", UNKNOWN, make("reshape", make("max", UNKNOWN))),
        make("shift", UNKNOWN),
        make("clip", UNKNOWN, low=-30, high=30.0),
        make("scale", make("cosine", UNKNOWN, UNKNOWN), by=1 / 0.07),
        make("add", make("log_softmax", UNKNOWN, axis=-1), make("neg", make("pow", UNKNOWN, value=2))),
        make("one_minus", make("mul", SIGMOID, SIGMOID)),
        make("neg", make("join", UNKNOWN, make("neg", UNKNOWN))),
        make("mul", SIGMOID, make("neg", make("abs", UNKNOWN))),
        make("mul", make("neg", make("abs", UNKNOWN)), make("log", make("const", value=2.0))),
        make("join", make("const", value=1.0), make("activation", Z, name="tanh")),
        make("matmul", make("concat", UNIT, make("div", Z, make("clip", make("length", Z), low=1e-8))), UNIT),
        make("scale", make("sum", make("mul", UNIT, UNIT)), by=10.0),
        SIGMOID,
    ],
    ids=str,
)
def test_an_exponential_of_something_bounded_is_safe(op: str, bounded: Node) -> None:
    assert found(make(op, bounded, naive=True)) & {"FL204", "FL206", "FL207"} == set()


@pytest.mark.parametrize(
    "unbounded",
    [
        make("pow", UNKNOWN, value=2),
        make("neg", make("pow", UNKNOWN, value=3)),
        make("neg", make("pow", UNKNOWN, UNKNOWN)),
        make("activation", Z, name="relu"),
        make("abs", UNKNOWN),
        make("clip", UNKNOWN, low=0.0),
        make("clip", UNKNOWN, high="?"),
        make("sub", UNKNOWN, make("mean", UNKNOWN)),
        make("matmul", UNIT, UNKNOWN),
        make("matmul", UNIT, make("div", Z, make("length", UNKNOWN))),
        make("matmul", UNIT, make("norm", UNKNOWN, name="torch.nn.LayerNorm")),
        make("add", make("activation", Z, name="tanh"), UNKNOWN),
        make("neg", make("neg", make("pow", UNKNOWN, value=2))),
    ],
    ids=str,
)
def test_an_exponential_of_something_unbounded_is_not(unbounded: Node) -> None:
    assert found(make("softplus", unbounded, naive=True)) == {"FL206"}


def test_an_expression_of_any_depth_is_judged_in_no_time() -> None:
    deep = UNKNOWN
    for _ in range(5000):
        deep = make("add", deep, deep)
    assert found(make("softplus", deep, naive=True)) == {"FL206"}


# What is said


def test_a_message_names_the_loss_and_says_what_to_do() -> None:
    message = matches(make("xent_logits", PROBS, Y, name="torch.nn.CrossEntropyLoss"))["FL101"].message
    assert message == "`CrossEntropyLoss` applies softmax itself, but is handed softmax outputs: pass the logits"


def test_it_is_told_which_backend_rescues_a_loss_and_where_it_does_not() -> None:
    def message(prediction: Node, op: str = "xent_probs", **attrs: Any) -> str:
        (match,) = matches(make(op, prediction, Y, eps=1e-7, **attrs)).values()
        return match.message

    told = "except on that backend, which goes back to the logits behind them"
    assert message(PROBS, rescued_by="that backend").endswith(told)
    assert f"({told})" in message(PROBS, "xent_logits", rescued_by="that backend")
    assert "backend" not in message(PROBS) + message(PROBS, "xent_logits")
    assert "backend" not in message(make("reshape", PROBS), rescued_by="that backend")
    assert "backend" not in message(make("reshape", PROBS), "xent_logits", rescued_by="that backend")


def test_a_loss_says_itself_how_it_takes_logits() -> None:
    assert "use `from_logits=True`" in matches(make("xent_probs", Z, Y, on_logits="from_logits=True"))["FL102"].message
    assert "use a loss on logits" in matches(make("xent_probs", Z, Y))["FL102"].message


@pytest.mark.parametrize(
    ("loss", "on_logits", "rescued"),
    [
        ("keras.losses.BinaryCrossentropy", "from_logits=True", True),
        ("keras.ops.categorical_crossentropy", "from_logits=True", True),
        ("keras.losses.KLDivergence", None, False),
        ("torch.nn.BCELoss", "BCEWithLogitsLoss", False),
        ("torch.nn.functional.binary_cross_entropy", "binary_cross_entropy_with_logits", False),
    ],
)
def test_the_catalogue_says_what_differs_between_frameworks(loss: str, on_logits: str | None, rescued: bool) -> None:
    signature = lookup(loss)
    assert signature is not None
    assert signature.attrs.get("on_logits") == on_logits
    assert ("rescued_by" in signature.attrs) == rescued


def test_the_cost_is_computed_and_stated() -> None:
    clipped = matches(make("log", make("clip", PROBS, low=1e-7)))["FL202"]
    assert clipped.message.endswith("; the gradient is exactly 0 once the target trails by 16.1 (float32)")
    one_minus = matches(make("log", make("one_minus", SIGMOID)))["FL205"]
    assert one_minus.message.endswith("; the gradient is NaN or infinite once the logit is wrong by 16.6 (float32)")
    eps = matches(make("log", make("add_eps", PROBS, eps=1e-7)))["FL203"].message
    assert "off by more than 1 %, and soon vanishing, once the target trails by 11.5 (float32)" in eps
    naive = matches(make("logsumexp", Z, naive=True))["FL207"].message
    assert naive.endswith("once a logit reaches 88.7 (float32)")
    rescued = matches(make("xent_probs", PROBS, Y, eps=1e-7, rescued_by="it"))["FL301"].message
    assert "the gradient is exactly 0 once the target trails by 16.1 (float32), except on it" in rescued


@pytest.mark.parametrize(("p", "name"), [(PROBS, "softmax"), (SIGMOID, "sigmoid")])
def test_a_guarded_log_says_of_what(p: Node, name: str) -> None:
    assert f"clipped {name}:" in matches(make("log", make("clip", p, low=1e-7)))["FL202"].message
    assert f"of a {name} plus" in matches(make("log", make("add_eps", p, eps=1e-7)))["FL203"].message


def test_a_guard_that_could_not_be_read_states_no_cost() -> None:
    message = matches(make("log", make("add_eps", PROBS, eps="?")))["FL203"].message
    assert "gradient" not in message


def test_the_related_place_is_where_the_softmax_was_applied() -> None:
    place = Origin("model.py", 7, 4, 7, 20)
    probs = make("softmax", Z, axis=-1, origin=place)
    (related,) = matches(make("xent_logits", make("reshape", probs), Y))["FL101"].related
    assert related.origin == place and related.message == "softmax applied here"


# The table


def test_severity_follows_the_code() -> None:
    severities = {"1": Severity.ERROR, "2": Severity.WARNING, "3": Severity.ADVICE}
    assert all(rule.severity is severities[code[2]] for code, rule in all_rules().items())


def test_the_leaf_of_every_expression_is_the_logits() -> None:
    for node in (make("log", PROBS), make("xent_probs", PROBS, Y), make("softplus", Z, naive=True)):
        (match,) = matches(node).values()
        assert match.expression is not None
        assert {n.op for n in match.expression.walk() if not n.args} <= {"logits", "target"}
        assert logits() in set(match.expression.walk())


def test_sums_of_shared_sums_take_no_time() -> None:
    z = Z
    for _ in range(60):  # 2**60 ways lead down
        z = make("add", z, z)
    assert found(make("bce_probs", make("softmax", z, axis=-1), Y)) == {"FL106"}
