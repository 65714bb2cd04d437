"""A loss tensor whose graph is read: the same verdicts as those of a run, and the blind spots named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import finallayer
from tests.live.test_torch_losses import BAD, GOOD, program

#: What the graph of a loss can't show, and what it calls that.
HIDDEN = {"a custom function": "crossentropy", "compiled": "compiled"}
#: Where an autograd graph leaves another verdict: of a divergence only its arithmetic is left.
OTHERWISE = {"KL of probabilities": set[str]()}


@pytest.mark.parametrize("name", [n for n in BAD if n not in HIDDEN])
def test_a_graph_shows_what_a_run_does(name: str, tmp_path: Path) -> None:
    text, expected = BAD[name]
    audit = finallayer.audit(program(tmp_path, text)())
    assert {f.rule.code for f in audit.findings} == OTHERWISE.get(name, {code for code, _, _ in expected})


@pytest.mark.parametrize("name", GOOD)
def test_nothing_is_reported_of_the_graph_of_a_loss_that_is_right(name: str, tmp_path: Path) -> None:
    assert finallayer.audit(program(tmp_path, GOOD[name])()).findings == ()


@pytest.mark.parametrize("name", HIDDEN)
def test_what_a_graph_hides_is_named(name: str, tmp_path: Path) -> None:
    if name == "compiled":
        pytest.importorskip("torch._inductor")
    text = BAD[name][0].replace("@torch.compile", '@torch.compile(backend="aot_eager")')
    audit = finallayer.audit(program(tmp_path, text)())
    assert audit.findings == ()
    assert [b for b in audit.blind if HIDDEN[name] in b.name.replace("_", "")]


def test_an_epsilon_is_what_saved_values_differ_by(tmp_path: Path) -> None:
    for eps in (1e-8, 3e-5, 1e-3):
        text = BAD["log(softmax + eps)"][0].replace("1e-8", repr(eps))
        (finding,) = finallayer.audit(program(tmp_path, text)()).findings
        assert f"eps={eps}" in finding.expression or eps < 1e-7


def test_the_place_is_that_of_the_audit(tmp_path: Path) -> None:
    loss: Any = program(tmp_path, BAD["clamp"][0])()
    (finding,) = finallayer.audit(loss).findings
    assert finding.origin.path == __file__


def test_a_graph_that_is_gone_is_no_crash(tmp_path: Path) -> None:
    loss: Any = program(tmp_path, BAD["clamp"][0])()
    loss.backward()
    finallayer.audit(loss)
    assert finallayer.audit(loss.detach()).findings == ()


def test_the_graph_of_a_gradients_gradient_is_no_loss_of_its_own(tmp_path: Path) -> None:
    text = """
def loss():
    first = F.cross_entropy(net(x), y)
    (gradient,) = torch.autograd.grad(first, net.weight, create_graph=True)
    return first + gradient.pow(2).sum()
"""
    audit = finallayer.audit(program(tmp_path, text)())
    assert audit.findings == () and "backward" in audit.blind[0].name
