"""The parts of a training, and what they hold."""

from __future__ import annotations

import numpy as np
import pytest

from finallayer.running.ledger import MOST_WINDOWS, Ledger
from finallayer.running.samples import Samples, of_classes
from finallayer.watch.quantities import Limits


def batch(margins: list[float]) -> Samples:
    """Rows of two classes whose targets trail by so much."""
    return of_classes(np.array([[m, 0.0] for m in margins]), np.ones(len(margins), int), False)


def test_shares_quantiles_and_losses_of_an_epoch() -> None:
    ledger = Ledger()
    ledger.limits = Limits(silenced=16.1)
    ledger.step(batch([17.0, 20.0, 2.0, -1.0]))
    ledger.step(batch([-20.0, float("nan")]))
    ledger.log({"val_accuracy": np.float32(0.5), "lr": float("nan"), "name": "x"})
    ledger.held_out(batch([1.0, -1.0]))
    ledger.end_epoch()
    ledger.step(None)
    of, (row, empty) = ledger.rows()
    assert of == "epoch" and empty == {"epoch": 2, "steps": 1, "samples": 0}
    assert (row["steps"], row["samples"], row["logged"]) == (2, 6, {"val_accuracy": 0.5})
    assert row["train_accuracy"] == pytest.approx(2 / 6) and row["held_out_accuracy"] == 0.5
    assert (row["silenced"], row["collapsed"], row["nonfinite"]) == pytest.approx((2 / 6, 1 / 6, 1 / 6))
    assert row["largest_margin"] == 20.0 and row["margin_p99"] <= 20.0
    assert row["true_loss"] == pytest.approx(np.mean(np.logaddexp(0, [17.0, 20.0, 2.0, -1.0, -20.0])))


def test_epochs_are_rows_where_a_program_has_them() -> None:
    ledger = Ledger()
    for epoch in range(3):
        ledger.step(batch([float(epoch)]))
        ledger.step(None)
        ledger.end_epoch()
    of, rows = ledger.rows()
    assert of == "epoch" and [row["largest_margin"] for row in rows] == [0.0, 1.0, 2.0]
    assert [row["epoch"] for row in rows] == [1, 2, 3] and [row["steps"] for row in rows] == [2, 2, 2]


@pytest.mark.parametrize("steps", [1, 2, 19, 20, 21, 22, 39, 41, 100, 333, 1000])
def test_windows_hold_every_step_once_and_are_never_many(steps: int) -> None:
    ledger = Ledger()
    for step in range(steps):
        ledger.step(batch([float(step)]))
    of, rows = ledger.rows()
    assert of == "window" and len(rows) <= MOST_WINDOWS + 1
    assert sum(row["steps"] for row in rows) == sum(row["samples"] for row in rows) == steps
    tops = [row["largest_margin"] for row in rows]
    assert tops == sorted(tops) and tops[-1] == steps - 1
    sizes = [row["steps"] for row in rows]
    assert len(set(sizes[:-1])) <= 1 and 2 * sizes[-1] >= sizes[0]


def test_a_program_that_trains_nothing_has_no_rows() -> None:
    assert Ledger().rows() == ("epoch", [])
