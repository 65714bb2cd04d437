"""The quantities that are logged, from counts: their names, the histogram's edges, and what follows from both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf, log
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from finallayer.probing import Probe

PREFIX = "finallayer/"
#: The quantiles of the margin that are logged.
QUANTILES = {"margin_p50": 0.50, "margin_p99": 0.99}
#: Where the 64 bins of the margins' histogram meet: each nat up to 24 either way, then seven ever wider ones to 1000.
NARROW, WIDEST = 24, 1000.0
_WIDE = [NARROW * (WIDEST / NARROW) ** (k / 7) for k in range(1, 8)]
EDGES: tuple[float, ...] = (
    *(-e for e in reversed(_WIDE)),
    *(float(e) for e in range(-NARROW, NARROW + 1)),
    *_WIDE,
)
BINS = len(EDGES) + 1
#: From this lead on (the log-odds of the target), its probability rounds to 1, and a fused loss's gradient is 0.
ROUNDS_TO_ONE = {"float64": 53 * log(2)}
ROUNDS_TO_ONE_IN_FLOAT32 = 24 * log(2)
#: With as many classes a loss is probed, where it has more.
MOST_PROBED = 1000
#: What Keras' losses clip probabilities at, by default.
KERAS_CLIP = -log(1e-7)


#: The share of a batch's samples that is measured, where it has more numbers than a step doesn't notice.
SHARE, UNNOTICED = 1 / 16, 2048


def stride(numbers: int, share: float) -> int:
    """Every so many-th row of a batch of so many logits is measured."""
    return max(1, min(round(1 / share), numbers // UNNOTICED))


@dataclass(frozen=True)
class Limits:
    """Where a loss stops teaching, as log-odds against the target, and the lowest value that it can take."""

    silenced: float = inf  # misclassified beyond: silenced
    collapsed: float = ROUNDS_TO_ONE_IN_FLOAT32  # right beyond: collapsed
    floor: float = 0.0

    @classmethod
    def of(cls, card: Probe) -> Limits:
        """The limits of a loss that was probed."""
        others = log(card.classes - 1) if card.classes > 2 else 0.0
        known = cls(collapsed=inf if card.collapsed_from is None else card.collapsed_from - others, floor=card.floor)
        return known if card.safe_margin is None else replace(known, silenced=card.safe_margin)


@dataclass(frozen=True)
class Counts:
    """What was counted: samples, those silenced, collapsed and not finite, the losses' sum, and the histogram."""

    samples: float
    silenced: float
    collapsed: float
    nonfinite: float
    losses: float  # summed over `weighed` samples or steps
    weighed: float
    histogram: Sequence[float]

    def values(self, floor: float = 0.0) -> dict[str, float]:
        """The quantities by the names under which they are logged; none where nothing was counted."""
        if not self.samples:
            return {}
        shares = {name: getattr(self, name) / self.samples for name in ("silenced", "collapsed", "nonfinite")}
        quantiles = {name: quantile(self.histogram, share) for name, share in QUANTILES.items()}
        above = {"loss_above_floor": self.losses / self.weighed - floor} if self.weighed else {}
        return {PREFIX + name: value for name, value in {**shares, **quantiles, **above}.items()}


def quantile(histogram: Sequence[float], share: float) -> float:
    """The margin below which this share of the samples lies, between the edges of its bin; nan where there are none."""
    wanted = share * sum(histogram)
    if not wanted:
        return float("nan")
    below = 0.0
    for bin_, count in enumerate(histogram):
        if count and below + count >= wanted:
            low, high = EDGES[max(bin_ - 1, 0)], EDGES[min(bin_, len(EDGES) - 1)]
            return low + (high - low) * (wanted - below) / count
        below += count
    return EDGES[-1]
