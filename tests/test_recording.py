"""The recorder, driven by hand as any front end may: the rules hear from it what the source front end tells them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from finallayer.catalog import lookup
from finallayer.expr import Node, Origin, logits, make
from finallayer.findings import Finding
from finallayer.recording import JUDGED, Recorder, Scene
from finallayer.rules import rules_by_operation
from finallayer.rules.judging import judge, outermost
from finallayer.source import Project, sightings
from finallayer.source.files import SourceFile


class Program:
    """A front end of its own: a program that is a list of operations, each on a line."""

    def __init__(self, framework: str = "torch", scene: Scene | None = None) -> None:
        self.recorder = Recorder()
        self.framework, self.scene = framework, scene or Scene()
        self.lines = 0
        self.scores = self("affine", make("opaque", name="x", rank=2), units=5)
        self.labels = make("opaque", name="y")

    def __call__(self, op: str, *args: Node, **attrs: object) -> Node:
        self.lines += 1
        origin = Origin("program", self.lines, 0, self.lines, 1)
        return self.recorder.record(op, args, attrs, origin, self.framework, lambda: self.scene)

    def findings(self) -> list[tuple[str, str, object]]:
        return told(outermost([f for f, _, _ in judge(self.recorder.sightings())]))


def told(findings: tuple[Finding, ...]) -> list[tuple[str, str, object]]:
    """What findings say, wherever they stand."""
    return sorted((f.rule.code, f.message, f.safe_margin and f.safe_margin["float32"]) for f in findings)


def of_source(program: str) -> list[tuple[str, str, object]]:
    seen = sightings(SourceFile("program.py", program), Project())
    return told(outermost([f for f, _, _ in judge(seen)]))


TORCH = """
import torch
import torch.nn.functional as F
x = torch.randn(8, 3)
z = torch.nn.Linear(3, 5)(x)
"""


def log_of_picked(p: Program) -> None:
    log = p("log", p("softmax", p.scores, axis=1))
    p("neg", p("mean", p("gather", log, p.labels, axis=1)))


def clipped(p: Program) -> None:
    p("neg", p("mean", p("log", p("clip", p("softmax", p.scores, axis=1), low=1e-7, high=1.0))))


def with_epsilon(p: Program) -> None:
    eps = make("const", value=1e-8)
    p("log", p("add", p("softmax", p.scores, axis=1), eps))


def by_hand(p: Program) -> None:
    """What is made of exp alone: the maximum isn't subtracted."""
    e = p("exp", p.scores)
    p("log", p("div", e, p("sum", e, axis=1, keepdims=True)))


def shifted_by_hand(p: Program) -> None:
    e = p("exp", p("sub", p.scores, p("max", p.scores, axis=1, keepdims=True)))
    p("log", p("div", e, p("sum", e, axis=1, keepdims=True)))


def binary_by_hand(p: Program) -> None:
    """A binary cross-entropy of what nobody knows: the formula says that it is a probability."""
    binary(p, make("opaque", name="q"))


def clipped_binary_by_hand(p: Program) -> None:
    binary(p, p("clip", make("opaque", name="q"), low=1e-7, high=1.0))


def binary(p: Program, q: Node) -> None:
    one = make("const", value=1.0)
    ones = p("mul", p.labels, p("log", q))
    p("add", ones, p("mul", p("sub", one, p.labels), p("log", p("sub", one, q))))


def contrastive_by_hand(p: Program) -> None:
    e = p("exp", p.scores)
    others = p("add", e, p("sum", p("exp", p.scores), axis=1))
    p("log", p("div", e, others))


def policy(p: Program) -> None:
    log = p("log", p("gather", p("softmax", p.scores, axis=1), p.labels, axis=1))
    p("mul", log, p("stop_gradient", make("opaque", name="advantage")))


def entropy(p: Program) -> None:
    probs = p("softmax", p.scores, axis=1)
    p("sum", p("mul", probs, p("log", probs)), axis=1)


def log_times(p: Program) -> None:
    p("neg", p("sum", p("xlogy", p.labels, p("softmax", p.scores, axis=1)), axis=1))


def entropy_by_xlogy(p: Program) -> None:
    probs = p("softmax", p.scores, axis=1)
    p("xlogy", probs, probs)


def softplus_of_the_size(p: Program) -> None:
    """``log1p(exp(-|z|))``, the size chosen by the sign: nothing overflows."""
    size = p("where", p.scores, p("neg", p.scores), p("threshold", p.scores, value=0, above=True))
    p("log1p", p("exp", p("neg", size)))


def by_from_logits(p: Program) -> None:
    """What differs between frameworks, any front end looks up."""
    loss = lookup("keras.losses.binary_crossentropy")
    assert loss is not None
    p(loss.op, p("sigmoid", p.scores), p.labels, from_logits=False, name="binary_crossentropy", **loss.attrs)


def twice(p: Program) -> None:
    p("xent_logits", p("softmax", p.scores, axis=1), p.labels, name="torch.nn.functional.cross_entropy")


@pytest.mark.parametrize(
    ("hand", "source"),
    [
        (log_of_picked, "(-torch.log(F.softmax(z, dim=1)).gather(1, y).mean())"),
        (clipped, "-torch.log(F.softmax(z, dim=1).clamp(min=1e-7, max=1.0)).mean()"),
        (with_epsilon, "torch.log(F.softmax(z, dim=1) + 1e-8)"),
        (by_hand, "e = torch.exp(z)\ntorch.log(e / e.sum(1, keepdim=True))"),
        (shifted_by_hand, "e = torch.exp(z - z.amax(1, keepdim=True))\ntorch.log(e / e.sum(1, keepdim=True))"),
        (binary_by_hand, "y * torch.log(q) + (1 - y) * torch.log(1 - q)"),
        (
            clipped_binary_by_hand,
            "q = q.clamp(min=1e-7, max=1.0)\ny * torch.log(q) + (1 - y) * torch.log(1 - q)",
        ),
        (contrastive_by_hand, "e = torch.exp(z)\ntorch.log(e / (e + torch.exp(z).sum(1)))"),
        (policy, "torch.log(F.softmax(z, dim=1).gather(1, y)) * advantage.detach()"),
        (entropy, "p = F.softmax(z, dim=1)\n(p * torch.log(p)).sum(1)"),
        (log_times, "-torch.xlogy(y, F.softmax(z, dim=1)).sum(1)"),
        (entropy_by_xlogy, "p = F.softmax(z, dim=1)\ntorch.xlogy(p, p)"),
        (softplus_of_the_size, "torch.log1p(torch.exp(-torch.where(torch.gt(z, 0), z, -z)))"),
        (
            by_from_logits,
            "import keras\nkeras.losses.binary_crossentropy(y, torch.sigmoid(z), from_logits=False)",
        ),
        (twice, "F.cross_entropy(F.softmax(z, dim=1), y)"),
    ],
    ids=lambda case: case.__name__ if callable(case) else "",
)
def test_the_rules_hear_from_any_front_end_what_they_hear_from_source(
    hand: Callable[[Program], None], source: str
) -> None:
    program = Program()
    hand(program)
    assert program.findings() == of_source(TORCH + source + "\n")
    assert bool(program.findings()) == (hand not in (entropy_by_xlogy, softplus_of_the_size))


def test_a_metric_is_told_which_loss_is_handed_what_it_reads() -> None:
    p = Program("keras")
    z = p("affine", make("opaque", name="x"), units=1)
    p("metric", z, p.labels, name="keras.metrics.BinaryAccuracy", reads="probs", value=0.5)
    p("bce_logits", z, p.labels, name="keras.losses.BinaryCrossentropy", from_logits=True)
    assert [code for code, *_ in p.findings()] == ["FL108"]

    unlinked = Program("keras")
    for op, attrs in (("metric", {"reads": "probs", "value": 0.5}), ("bce_logits", {"from_logits": True})):
        unlinked(op, unlinked("affine", make("opaque", name=op), units=1), unlinked.labels, name=op, **attrs)
    assert unlinked.findings() == []


def test_what_a_log_turns_out_to_be_for_is_noted_of_that_log_alone() -> None:
    p = Program()
    one, other = (p("log", p("gather", p("softmax", p.scores, axis=1), p.labels)) for _ in "ab")
    p("mul", one, one.args[0])
    marked = {s.node.origin: s.node.attrs for s in p.recorder.sightings() if s.node.op == "log"}
    assert marked == {one.origin: {"self_weighted": True}, other.origin: {}}


def test_the_scene_is_what_the_rules_are_told() -> None:
    trained, told_apart = Scene(), Scene(training=False, caller=Origin("program", 9), compiled=True)
    for scene in (trained, told_apart):
        p = Program(scene=scene)
        p("log", p("softmax", p.scores, axis=1))
        (sighting,) = [s for s in p.recorder.sightings() if s.node.op == "log"]
        assert Scene(sighting.training, sighting.caller, sighting.compiled, sighting.by_hand) == scene
        assert bool(p.findings()) == scene.training


def test_nothing_is_written_down_silently_or_of_nowhere() -> None:
    recorder = Recorder()
    here = Origin("program", 1)
    probs = recorder.record("softmax", [logits()], {"axis": -1}, here, silent=True)
    log = recorder.record("log", [probs])
    assert str(log) == "log(softmax(z, axis=-1))"
    assert recorder.sightings() == []
    recorder.record("log", [probs], origin=here)
    assert [s.node for s in recorder.sightings()] == [log]


def test_every_operation_that_a_rule_looks_at_is_kept_for_it() -> None:
    assert rules_by_operation().keys() <= JUDGED
