"""Watch: what it counts is what the logits say, and it finds them behind a loss."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.nn import functional  # noqa: E402

from finallayer.watch.notices import FinalLayerWarning  # noqa: E402
from finallayer.watch.quantities import EDGES, Limits  # noqa: E402
from finallayer.watch.torch import Watch  # noqa: E402

MARGINS = (-40.0, -20.0, -1.0, 0.5, 3.5, 14.5, 20.5, 60.0)


def batch(margins: tuple[float, ...] = MARGINS, classes: int = 4) -> Any:
    z = torch.zeros(len(margins), classes)
    y = torch.arange(len(margins)) % classes
    z[torch.arange(len(margins)), y] = -torch.tensor(margins)
    return z, y


def at(p: Any, y: Any) -> Any:
    return p[torch.arange(len(y)), y]


def test_the_counts_are_those_of_the_margins() -> None:
    watch = Watch(limits=Limits(silenced=16.1))
    z, y = batch()
    for _ in range(40):  # more than are kept
        watch.update(z, y)
    values = watch.values()
    assert values["finallayer/silenced"] == 2 / 8 and values["finallayer/collapsed"] == 2 / 8
    assert values["finallayer/nonfinite"] == 0
    assert 0 <= values["finallayer/margin_p50"] <= 1 and 56 <= values["finallayer/margin_p99"] <= 70
    truth = float(functional.cross_entropy(z.double(), y))
    assert values["finallayer/loss_above_floor"] == pytest.approx(truth, rel=1e-5)
    bins = np.searchsorted(EDGES, MARGINS)
    assert [watch.histogram()[b] for b in bins] == [40.0] * 8 and sum(watch.histogram()) == 320


@pytest.mark.parametrize("shape", ["images", "distributions", "bfloat16"])
def test_logits_of_every_shape(shape: str) -> None:
    z, y = batch()
    if shape == "images":
        z, y = z.T.reshape(1, 4, 2, 4), y.reshape(1, 2, 4)
    elif shape == "distributions":
        y = functional.one_hot(y, 4).float()
    else:
        z = z.bfloat16()
    watch = Watch(limits=Limits(silenced=16.1))
    watch.update(z, y)
    assert watch.values()["finallayer/silenced"] == 2 / 8


def test_ignored_labels_dont_count_and_nan_does() -> None:
    z, y = batch()
    y[:4] = -100
    z[5, 0] = float("nan")
    watch = Watch()
    watch.update(z, y)
    assert watch.values()["finallayer/nonfinite"] == 1 / 4
    with pytest.raises(ValueError, match="N labels"):
        watch.update(z, y[:3])


def test_of_a_large_batch_evenly_spread_rows_are_measured() -> None:
    for share, measured in ((1 / 16, 54), (1.0, 800)):
        watch = Watch(limits=Limits(silenced=16.1), share=share)
        watch.update(*batch(MARGINS * 100, classes=40))
        assert sum(watch.histogram()) == measured and 0 < watch.values()["finallayer/silenced"] < 1


def double(z: Any, y: Any) -> Any:
    return functional.cross_entropy(z, functional.one_hot(y, 4).float())


LOSSES: dict[str, tuple[Callable[[Any, Any], Any], float]] = {
    "cross_entropy": (functional.cross_entropy, 0),
    "label smoothing": (torch.nn.CrossEntropyLoss(label_smoothing=0.1), 0),
    "log_softmax and nll_loss": (lambda z, y: functional.nll_loss(functional.log_softmax(z, 1), y), 0),
    "distributions": (double, 0),
    "images": (lambda z, y: functional.cross_entropy(z.T.reshape(1, 4, 2, 4), y.reshape(1, 2, 4)), 0),
    "epsilon": (lambda z, y: -at(torch.log(z.softmax(1) + 1e-8), y).mean(), 3 / 8),
    "clip": (lambda z, y: -(torch.log(z.softmax(1).clamp(1e-7)) * functional.one_hot(y, 4)).sum(1).mean(), 2 / 8),
    "gather": (lambda z, y: -z.log_softmax(-1).gather(1, y[:, None]).mean(), 0),
}


@pytest.mark.parametrize("name", LOSSES)
def test_the_loss_is_found_by_its_backward_pass(name: str) -> None:
    loss, silenced = LOSSES[name]
    z, y = batch()
    before = torch.autograd.backward
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FinalLayerWarning)
        with Watch() as watch:
            for _ in range(3):
                (loss(z.requires_grad_(), y) + 0 * z.sum()).backward()
            values = watch.values()
    assert torch.autograd.backward is before
    assert values["finallayer/silenced"] == pytest.approx(silenced)
    assert sum(watch.histogram()) == 24
    assert 0 <= values["finallayer/margin_p50"] <= 1


def test_what_the_audit_of_the_first_loss_finds_is_said_and_so_is_the_share() -> None:
    z, y = batch()
    with pytest.warns(FinalLayerWarning) as said:  # noqa: SIM117
        with Watch():
            LOSSES["epsilon"][0](z.requires_grad_(), y).backward()
    assert "FL203" in str(said[0].message) and "37.5% of this epoch's samples are silenced" in str(said[1].message)


def test_what_shows_no_logits_is_left_alone() -> None:
    z = torch.ones(3, requires_grad=True)
    with Watch() as watch:
        (z * z).sum().backward()
        z.sum().backward(torch.tensor(2.0))
    assert watch.values() == {}


def test_a_loss_that_is_given_is_probed() -> None:
    watch = Watch(LOSSES["clip"][0])
    watch.update(*batch())
    assert watch.values()["finallayer/silenced"] == 2 / 8


@pytest.mark.parametrize("classes", [3, 0])
def test_an_empty_batch_counts_for_nothing(classes: int) -> None:
    watch = Watch()
    watch.update(torch.zeros(0, classes), torch.zeros(0, dtype=torch.int64))
    watch.update(torch.tensor([[0.0, 2.0, 0.0]]), torch.tensor([0]))
    assert watch.values()["finallayer/silenced"] == 0


def test_a_loss_that_is_nan_once_is_not_nan_for_ever() -> None:
    watch = Watch()
    z, y = batch()
    watch.update(z, y, torch.tensor(2.0))
    watch.update(z * torch.nan, y, torch.tensor(torch.nan))
    values = watch.values()
    assert values["finallayer/loss_above_floor"] == 2 and values["finallayer/nonfinite"] == 0.5


def test_what_watches_is_pickled_with_what_it_watches() -> None:
    model = torch.nn.Linear(4, 3)
    model.watch = Watch()
    with model.watch:
        functional.cross_entropy(model(torch.ones(2, 4)), torch.tensor([0, 1])).backward()
        copy = pickle.loads(pickle.dumps(model))
    assert copy.watch.values() == model.watch.values() != {}
