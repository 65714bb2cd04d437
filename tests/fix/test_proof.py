"""The proof: a right rewriting passes, every wrong one is refused, and what is refused is not offered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from finallayer.expr import Node, logits, make, target
from finallayer.findings import Edit, Match, Sighting
from finallayer.fix import registry
from finallayer.fix.flow.context import Context
from finallayer.fix.proof import prove
from finallayer.fix.registry import Proposal

from .workbench import repaired


def nll(x: Node) -> Node:
    return make("neg", make("gather", x, target()))


def neg_log(x: Node) -> Node:
    return make("neg", make("log", x))


Z = logits()
SOFTMAX, SIGMOID = make("softmax", Z), make("sigmoid", Z)
LOG_SOFTMAX, LOG_SIGMOID, SOFTPLUS = make("log_softmax", Z), make("log_sigmoid", Z), make("softplus", Z)
NAIVE = make("softmax", Z, naive=True)
HALF = make("scale", Z, by=0.5)

#: what is claimed -> (the old loss, the new one, whether it is of one logit)
RIGHT: dict[str, tuple[Node | None, Node, bool]] = {
    "a log of softmax": (nll(make("log", SOFTMAX)), nll(LOG_SOFTMAX), False),
    "a clip": (nll(make("log", make("clip", SOFTMAX, low=1e-7, high=1 - 1e-7))), nll(LOG_SOFTMAX), False),
    "an epsilon": (nll(make("log", make("add_eps", SOFTMAX, eps=1e-3))), nll(LOG_SOFTMAX), False),
    "a log of sigmoid": (neg_log(SIGMOID), make("neg", LOG_SIGMOID), True),
    "its complement": (neg_log(make("one_minus", SIGMOID)), SOFTPLUS, True),
    "a softplus by hand": (make("softplus", Z, naive=True), SOFTPLUS, True),
    "a softmax by hand": (make("mse", NAIVE, target()), make("mse", SOFTMAX, target()), False),
    "a cross-entropy": (nll(make("log", SOFTMAX)), make("xent_logits", Z, target()), False),
    "a loss that was wrong": (None, nll(LOG_SOFTMAX), False),
}
WRONG: dict[str, tuple[Node | None, Node, bool]] = {
    "no log": (nll(make("log", SOFTMAX)), nll(SOFTMAX), False),
    "a sign": (neg_log(SIGMOID), LOG_SIGMOID, True),
    "the complement forgotten": (neg_log(make("one_minus", SIGMOID)), make("neg", LOG_SIGMOID), True),
    "sigmoid for softmax": (nll(make("log", SOFTMAX)), nll(LOG_SIGMOID), False),
    "a temperature": (nll(make("log", SOFTMAX)), nll(make("log_softmax", HALF)), False),
    "softmax twice": (nll(make("log", SOFTMAX)), nll(make("log_softmax", SOFTMAX)), False),
    "another clip, still unstable": (
        nll(make("log", SOFTMAX)),
        nll(make("log", make("clip", SOFTMAX, low=1e-30, high=1.0))),
        False,
    ),
    "the same, still unstable": (nll(make("log", SOFTMAX)), nll(make("log", SOFTMAX)), False),
    "still written by hand": (make("mse", NAIVE, target()), make("mse", NAIVE, target()), False),
    "a guard that is part of the meaning": (
        nll(make("log", make("clip", SOFTMAX, low=0.1, high=0.9))),
        nll(LOG_SOFTMAX),
        False,
    ),
    "an epsilon that shapes the loss": (
        nll(make("log", make("add_eps", SOFTMAX, eps=1e-2))),
        nll(LOG_SOFTMAX),
        False,
    ),
    "half of it": (nll(make("log", SOFTMAX)), make("scale", nll(LOG_SOFTMAX), by=0.5), False),
    "no gradient": (nll(make("log", SOFTMAX)), nll(make("stop_gradient", LOG_SOFTMAX)), False),
    "nothing to evaluate": (nll(make("log", SOFTMAX)), make("opaque", name="other"), False),
}


@pytest.mark.parametrize(("old", "new", "binary"), RIGHT.values(), ids=RIGHT)
def test_a_right_rewriting_is_proven(old: Node | None, new: Node, binary: bool) -> None:
    assert prove(old, new, binary).why == ""


@pytest.mark.parametrize(("old", "new", "binary"), WRONG.values(), ids=WRONG)
def test_a_wrong_rewriting_is_refused(old: Node | None, new: Node, binary: bool) -> None:
    proof = prove(old, new, binary)
    assert not proof.holds
    assert proof.why


PROGRAM = "import torch\n\ndef loss(net, x):\n    return -torch.log(torch.softmax(net(x), dim=1)).sum()\n"


@pytest.mark.parametrize(
    ("new", "text", "changes"),
    [
        (nll(LOG_SOFTMAX), "torch.log_softmax(net(x), dim=1)", True),
        (nll(make("log", SOFTMAX)), "torch.log_softmax(net(x), dim=1)", False),  # not proven
        (nll(LOG_SOFTMAX), "torch.log_softmax(net(x), dim=1", False),  # doesn't parse
        (nll(LOG_SOFTMAX), "torch.log(torch.softmax(net(x), 1))", False),  # what was found is still there
    ],
)
def test_only_what_is_proven_parses_and_helps_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new: Node, text: str, changes: bool
) -> None:
    def fixer(sighting: Sighting, match: Match, context: Context) -> Iterator[Proposal]:
        at = sighting.node.origin
        assert at is not None
        yield Proposal((Edit(*at[:5], text),), nll(make("log", SOFTMAX)), new)

    registry.fixers("FL201")
    monkeypatch.setitem(registry._FIXERS, "FL201", [(registry.Reach.PLACE, fixer)])
    file = tmp_path / "program.py"
    file.write_text(PROGRAM)
    assert bool(repaired(file).changed) == changes
