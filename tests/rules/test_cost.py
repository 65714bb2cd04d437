"""The loss that a finding is about, and the words for what its gradient does beyond the safe margin."""

from __future__ import annotations

import pytest

from finallayer.expr import Node, make
from finallayer.rules.margin import cost, loss_of, safe_margins

Z = make("affine", make("opaque", name="x"), units=10)
PROBS = make("softmax", Z, axis=1)
SIGMOID = make("sigmoid", Z)
Y = make("opaque", name="labels")


@pytest.mark.parametrize(
    ("node", "loss", "consequence"),
    [
        (
            make("log", make("index", PROBS)),
            "neg(gather(log(softmax(z)), y))",
            "NaN or infinite once the target trails by 88.7",
        ),
        (
            make("log", make("clip", make("reshape", PROBS), low=1e-10, high=1.0)),
            "neg(gather(log(clip(softmax(z), low=1e-10, high=1.0)), y))",
            "exactly 0 once the target trails by 23.0",
        ),
        (
            make("log", make("softmax", Z, naive=True)),
            "neg(gather(log(softmax(z)), y))",
            "off by more than 1 %, and soon NaN, once a logit reaches 50.0",
        ),
        (make("log", SIGMOID), "neg(log(sigmoid(z)))", "NaN or infinite once the logit is wrong by 88.7"),
        (
            make("log", make("one_minus", make("clip", SIGMOID, low=1e-7, high=1 - 1e-7))),
            "neg(log(one_minus(clip(sigmoid(z), low=1e-07, high=0.9999999))))",
            "exactly 0 once the logit is wrong by 16.6",
        ),
        (make("log", make("bernoulli", Y)), "neg(log(sigmoid(z)))", "NaN or infinite once the logit is wrong by 88.7"),
        (
            make("log", make("bernoulli", make("index", make("clip", Y, low=1e-4, high=1 - 1e-4)))),
            "neg(log(clip(sigmoid(z), low=0.0001, high=0.9999)))",
            "exactly 0 once the logit is wrong by 9.2",
        ),
        (make("bce_probs", SIGMOID, Y), "bce_probs(sigmoid(z), y)", "exactly 0 once the logit is wrong by 16.6"),
        (
            make("bce_probs", SIGMOID, Y, eps=1e-7),
            "bce_probs(sigmoid(z), y, eps=1e-07)",
            "exactly 0 once the logit is wrong by 16.1",
        ),
        (make("softplus", Z, naive=True), "softplus(z)", "NaN or infinite once a logit reaches 88.7"),
    ],
    ids=str,
)
def test_a_loss_is_cut_down_to_its_logits_and_its_cost_told(node: Node, loss: str, consequence: str) -> None:
    assert str(loss_of(node)) == loss
    assert cost(loss_of(node)) == f"; the gradient is {consequence} (float32)"


def test_a_stable_loss_costs_nothing() -> None:
    assert cost(make("xent_logits", Z, Y)) == ""
    assert cost(make("xent_logits", Z, Y), "but for this") == "; but for this"


def test_a_loss_that_is_another_one_has_no_margin() -> None:
    assert safe_margins(loss_of(make("log", make("one_minus", PROBS)))) is None


@pytest.mark.parametrize(
    "guarded", [make("add_eps", PROBS), make("add_eps", PROBS, eps="?"), make("clip", PROBS, low=None)], ids=str
)
def test_a_bound_that_could_not_be_read_has_no_margin(guarded: Node) -> None:
    assert safe_margins(loss_of(make("log", guarded))) is None


def test_alike_places_share_one_loss() -> None:
    other = make("softmax", make("affine", make("opaque", name="h"), units=3), axis=-1)
    assert loss_of(make("log", make("gather", PROBS))) == loss_of(make("log", make("reshape", other)))
