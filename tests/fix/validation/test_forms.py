"""Forms: what means the same has the same, and what doesn't has another."""

from __future__ import annotations

import pytest

from finallayer.canonical import build
from finallayer.expr import Node, logits, make, target
from finallayer.fix.validation.forms import Forms
from finallayer.source.values import External, List, MadeOf, Value, opaque, telling_places_apart

Z, Y, X = logits(), target(), make("opaque", name="x")
P, S = make("softmax", Z, axis=1), make("sigmoid", Z)


def form(value: Value) -> Node:
    return Forms(MadeOf()).of(value)


def log(x: Node) -> Node:
    return make("log", x)


ONE_HOT, LOGS = make("one_hot", Y), make("log_softmax", Z, axis=1)


def picked(by: Node, of: Node, axis: int = 1) -> Node:
    return build("sum", (make("mul", by, of),), {"axis": axis}, None)


SAME = {
    "what a one-hot row picks, before and after": (log(picked(ONE_HOT, P)), picked(ONE_HOT, LOGS)),
    "a log of a softmax": (log(P), make("log_softmax", Z, axis=1)),
    "a clip that keeps a probability from 0": (log(make("clip", P, low=1e-7)), make("log_softmax", Z, axis=1)),
    "an epsilon": (log(make("add_eps", P, eps=1e-8)), make("log_softmax", Z, axis=1)),
    "entries that are picked before and after": (
        log(make("gather", P, Y)),
        make("gather", make("log_softmax", Z, axis=1), Y),
    ),
    "a log of a sigmoid": (log(S), make("log_sigmoid", Z)),
    "a log of what is left of a sigmoid": (log(make("one_minus", S)), make("log_sigmoid", make("neg", Z))),
    "the same, guarded on both sides": (
        log(make("one_minus", make("clip", S, low=1e-7, high=1 - 1e-7))),
        make("log_sigmoid", make("neg", Z)),
    ),
    "a softplus": (make("softplus", make("neg", Z)), make("neg", make("log_sigmoid", Z))),
    "a softmax by hand": (make("softmax", Z, axis=1, naive=True), P),
    "a loss on probabilities": (make("xent_probs", P, Y), make("xent_logits", Z, Y)),
    "a loss on logs": (make("nll", make("log_softmax", Z, axis=1), Y), make("xent_logits", Z, Y)),
    "a binary loss on probabilities": (make("bce_probs", S, Y), make("bce_logits", Z, Y)),
    "a log_softmax before a loss that applies it": (
        make("xent_logits", make("log_softmax", Z, axis=1), Y),
        make("xent_logits", Z, Y),
    ),
    "the greatest": (make("argmax", P, axis=1), make("argmax", Z, axis=1)),
    "a threshold": (make("threshold", S, value=0.5, above=True), make("threshold", Z, value=0, above=True)),
    "minus signs": (make("mean", make("neg", Z)), make("neg", make("mean", Z))),
    "factors": (make("mul", X, Z), make("mul", Z, X)),
    "a value on the host": (make("softmax", make("stop_gradient", Z), axis=1), make("stop_gradient", P)),
}


@pytest.mark.parametrize(("one", "other"), SAME.values(), ids=SAME)
def test_what_means_the_same_has_the_same_form(one: Node, other: Node) -> None:
    assert form(one) == form(other)


ANOTHER = {
    "what another row picks": (log(picked(ONE_HOT, P)), picked(make("one_hot", X), LOGS)),
    "what is picked along another axis": (log(picked(ONE_HOT, P)), picked(ONE_HOT, LOGS, axis=0)),
    "a mean by a row that may not be one-hot": (log(picked(Y, P)), picked(Y, LOGS)),
    "another axis": (make("softmax", Z, axis=0), P),
    "no log": (P, make("log_softmax", Z, axis=1)),
    "another base": (make("log", P, base=2), make("log_softmax", Z, axis=1)),
    "a guard that is part of the meaning": (log(make("add_eps", P, eps=0.5)), log(P)),
    "a clip that no log sees": (make("clip", P, low=1e-7), P),
    "another sign": (make("log_sigmoid", make("neg", Z)), make("log_sigmoid", Z)),
    "the other outcome": (log(make("one_minus", S)), log(S)),
    "another head": (S, P),
    "a mean, not a sum": (make("mean", Z), make("sum", Z)),
    "another reduction": (make("xent_logits", Z, Y, reduction="sum"), make("xent_logits", Z, Y)),
    "another target": (make("xent_logits", Z, X), make("xent_logits", Z, Y)),
    "a softmax twice": (make("xent_logits", P, Y), make("xent_logits", Z, Y)),
    "a loss along the samples": (make("nll", make("log_softmax", Z, axis=0), Y), make("xent_logits", Z, Y)),
    "the greatest over the samples": (make("argmax", P, axis=0), make("argmax", Z, axis=0)),
    "the greatest of a column": (
        make("argmax", make("index", P)),
        make("argmax", make("index", Z)),
    ),
    "a threshold that stays": (
        make("threshold", S, value=0.5, above=True),
        make("threshold", Z, value=0.5, above=True),
    ),
    "a threshold the other way": (
        make("threshold", S, value=0.5, above=True),
        make("threshold", Z, value=0, above=False),
    ),
    "the greatest, itself": (make("max", P, axis=1), make("max", Z, axis=1)),
}


@pytest.mark.parametrize(("one", "other"), ANOTHER.values(), ids=ANOTHER)
def test_what_means_something_else_has_another_form(one: Node, other: Node) -> None:
    assert form(one) != form(other)


def test_what_goes_into_an_unknown_call_is_in_its_form() -> None:
    made_of = MadeOf()
    with telling_places_apart(made_of):
        given = [opaque("f", value) for value in (log(P), make("log_softmax", Z, axis=1), log(S), List((log(P),)))]
    stable, same, another, listed = map(Forms(made_of).of, given)
    assert stable == same
    assert len({stable, another, listed}) == 3


def test_a_list_is_what_it_held_when_it_was_handed_over() -> None:
    made_of, items = MadeOf(), List((P,))
    with telling_places_apart(made_of):
        before = opaque("f", items)
        items.slots.update(List((S,)).slots)
        after = opaque("f", items)
    forms = Forms(made_of)
    assert forms.of(before) != forms.of(after)


def test_what_holds_itself_has_a_form() -> None:
    items = List((1,))
    items.slots.update(List((items, External("torch"))).slots)
    assert form(items) == form(items)
