"""PyTorch: loops that people write are measured where their losses are called, and nothing of them is changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("torch")

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torch.utils.data import DataLoader, TensorDataset

from finallayer.running.frameworks.torch import around
from finallayer.running.ledger import Ledger

Z = torch.tensor([[40.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 60.0], [0.0, 0.0, -1.0]])
Y = torch.tensor([1, 1, 2, 2])


def seen(loss: Callable[[torch.Tensor], torch.Tensor]) -> tuple[dict[str, Any], Ledger]:
    """The row of one step on fixed logits."""
    ledger, z = Ledger(), Z.clone().requires_grad_()
    with around(ledger, "torch"):
        loss(z).backward()
    return ledger.rows()[1][0], ledger


def clipped(z: torch.Tensor) -> torch.Tensor:
    return F.nll_loss(torch.log(F.softmax(z, 1).clamp(1e-7, 1)), Y)


@pytest.mark.parametrize(
    ("loss", "silenced", "findings"),
    [
        (lambda z: F.cross_entropy(z, Y), 0.0, []),
        (lambda z: F.cross_entropy(z, Y, reduction="sum"), 0.0, []),
        (lambda z: F.cross_entropy(z, F.one_hot(Y, 3).float()), 0.0, []),
        (lambda z: -F.log_softmax(z, 1)[torch.arange(4), Y].mean(), 0.0, []),
        (lambda z: F.cross_entropy(F.softmax(z, 1), Y), 0.25, ["FL101"]),
        (clipped, 0.25, ["FL202"]),
    ],
)
def test_a_step_shows_who_is_right_and_who_is_silenced(
    loss: Callable[[torch.Tensor], torch.Tensor], silenced: float, findings: list[str]
) -> None:
    row, ledger = seen(loss)
    assert (row["samples"], row["train_accuracy"], row["silenced"]) == (4, 0.5, silenced)
    assert row["largest_margin"] == pytest.approx(40.0, abs=1e-3)
    assert row["true_loss"] == pytest.approx(float(F.cross_entropy(Z.double(), Y)), rel=1e-4)
    assert ledger.audit is not None and ledger.audit["findings"] == findings and not ledger.notes


def test_classes_along_another_axis() -> None:
    z = torch.stack([Z, Z.flip(0)], 2).requires_grad_()  # (4, 3, 2)
    y = torch.stack([Y, Y.flip(0)], 1)
    for loss in (F.cross_entropy(z, y), F.nll_loss(torch.log(F.softmax(z, 1)), y)):
        ledger = Ledger()
        with around(ledger, "torch"):
            loss.backward()
        row = ledger.rows()[1][0]
        assert (row["samples"], row["train_accuracy"], row["silenced"]) == (8, 0.5, 0.0)


@pytest.mark.parametrize("inside", [False, True])
def test_outcomes(inside: bool) -> None:
    z, y = torch.tensor([[200.0], [-3.0], [-1.0]], requires_grad=True), torch.tensor([[0.0], [0.0], [1.0]])
    loss = F.binary_cross_entropy(torch.sigmoid(z), y) if inside else F.binary_cross_entropy_with_logits(z, y)
    ledger = Ledger()
    with around(ledger, "torch"):
        loss.backward()
    row = ledger.rows()[1][0]
    assert row["train_accuracy"] == pytest.approx(1 / 3)
    assert row["silenced"] == pytest.approx(1 / 3 if inside else 0.0)


def data(n: int) -> TensorDataset:
    x = torch.arange(n, dtype=torch.float32)[:, None] / n
    return TensorDataset(x, (x[:, 0] > 0.5).long())


def trained(epochs: int = 3) -> list[float]:
    """A loop with a validation after each epoch; what the last of the weights are."""
    torch.manual_seed(0)
    net = nn.Linear(1, 2)
    fits, aside = DataLoader(data(64), 16, shuffle=True), DataLoader(data(10), 5)
    optimizer = torch.optim.SGD(net.parameters(), 1.0)
    criterion = nn.CrossEntropyLoss()
    for _ in aside:
        pass
    for _ in range(epochs):
        for x, y in fits:
            optimizer.zero_grad()
            criterion(net(x), y).backward()
            optimizer.step()
        with torch.no_grad():
            for x, y in aside:
                criterion(net(x), y)
    return [n for p in net.parameters() for n in p.detach().reshape(-1).tolist()]


def test_epochs_are_those_of_the_loader_that_trains_and_validations_are_aside() -> None:
    ledger = Ledger()
    with around(ledger, "torch"):
        watched = trained()
    of, rows = ledger.rows()
    assert (
        of == "epoch" and [row["steps"] for row in rows] == [4, 4, 4] and [row["samples"] for row in rows] == [64] * 3
    )
    assert all(row["held_out_accuracy"] in {n / 10 for n in range(11)} for row in rows)
    assert rows[-1]["true_loss"] < rows[0]["true_loss"]
    assert trained() == watched


def test_a_loop_without_loaders_is_divided_into_windows() -> None:
    net, ledger = nn.Linear(1, 2), Ledger()
    x, y = data(8).tensors
    with around(ledger, "torch"):
        for _ in range(50):
            F.cross_entropy(net(x), y).backward()
    of, rows = ledger.rows()
    assert of == "window" and sum(row["steps"] for row in rows) == 50


def test_what_the_graph_does_not_show_is_noted_and_goes_on() -> None:
    w = torch.ones(3, requires_grad=True)
    ledger = Ledger()
    with around(ledger, "torch"):
        (w**2).sum().backward()
        torch.autograd.backward([(w * 2).sum()])
        with pytest.raises(RuntimeError):
            torch.zeros(1).backward()
    assert w.grad is not None and w.grad.tolist() == [4.0] * 3
    assert any("shows no logits" in note for note in ledger.notes)


def test_a_trainer_that_measures_by_itself_is_left_alone() -> None:
    ledger = Ledger()
    ledger.trainer = "keras"
    with around(ledger, "torch"):
        F.cross_entropy(Z.clone().requires_grad_(), Y).backward()
    assert not ledger.began and ledger.audit is None
