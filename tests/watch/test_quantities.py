"""Names, the histogram and its quantiles."""

from __future__ import annotations

import math
import warnings

import pytest

from finallayer.watch.notices import FinalLayerWarning, Notices
from finallayer.watch.quantities import BINS, EDGES, Counts, Limits, quantile


def test_the_bins_are_64_and_ordered() -> None:
    assert BINS == 64 and list(EDGES) == sorted(set(EDGES)) and EDGES[0] == -EDGES[-1] == -1000


@pytest.mark.parametrize(("at", "low", "high"), [(0.5, 0, 1), (16.2, 16, 17), (-3.5, -4, -3), (5000.0, 1000, 1000)])
def test_a_quantile_lies_in_its_bin(at: float, low: float, high: float) -> None:
    histogram = [0.0] * BINS
    histogram[sum(edge < at for edge in EDGES)] = 10
    assert low <= quantile(histogram, 0.5) <= high
    assert math.isnan(quantile([0.0] * BINS, 0.5))


def test_values_are_shares_by_the_names_that_are_logged() -> None:
    histogram = [0.0] * BINS
    histogram[32] = 4
    values = Counts(4, 1, 2, 0, 6.0, 4, histogram).values(floor=0.5)
    assert {name: values[f"finallayer/{name}"] for name in ("silenced", "collapsed", "nonfinite")} == {
        "silenced": 0.25,
        "collapsed": 0.5,
        "nonfinite": 0,
    }
    assert values["finallayer/loss_above_floor"] == 1.0 and set(values) > {"finallayer/margin_p50"}
    assert Counts(0, 0, 0, 0, 0, 0, [0.0] * BINS).values() == {}


def test_what_is_wrong_is_said_once() -> None:
    notices = Notices("Do this.")
    notices.after_epoch({"finallayer/silenced": 0.0})
    with pytest.warns(FinalLayerWarning, match=r"43.0% of this epoch's samples are silenced.*Do this"):
        notices.after_epoch({"finallayer/silenced": 0.43})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        notices.after_epoch({"finallayer/silenced": 0.5})


def test_the_limits_of_a_loss_are_those_of_its_card() -> None:
    import torch

    from finallayer import probe

    def clipped(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return -torch.log(z.softmax(1).clamp(1e-7))[torch.arange(len(y)), y].mean()

    limits = Limits.of(probe(clipped))
    assert limits.silenced == pytest.approx(math.log(1e7), abs=0.02)
    assert 14 < limits.collapsed < 18 and limits.floor == pytest.approx(0, abs=1e-6)
