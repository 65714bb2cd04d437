"""Heads compared within a setting: means over seeds, and paired differences with their 95 % interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from finallayer.compare.grid import Cell, Setting, order
from finallayer.compare.heads import BASELINE

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Difference:
    """Mean of paired differences, the half-width of its confidence interval (None for fewer than two pairs), the number
    of pairs, and in how many of them the difference was above zero.
    """

    mean: float
    half_width: float | None
    pairs: int
    above: int

    @property
    def low(self) -> float | None:
        return None if self.half_width is None else self.mean - self.half_width

    @property
    def high(self) -> float | None:
        return None if self.half_width is None else self.mean + self.half_width

    @property
    def significant(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.half_width is not None and abs(self.mean) > self.half_width


@dataclass(frozen=True)
class Row:
    """One head in one setting after the last epoch, over its seeds; accuracies and shares in 0..1, means over seeds.

    ``gain`` is the validation accuracy of the logits head minus this head's, seed by seed; None for the logits head.
    """

    setting: Setting
    head: str
    seeds: int
    val_accuracy: float
    train_accuracy: float
    silenced: float
    underflow: float
    nonfinite: float
    largest_margin: float | None
    true_loss: float | None
    gain: Difference | None

    def as_dict(self) -> dict[str, Any]:
        row = asdict(self)
        return {**row.pop("setting"), **row}


def paired_difference(ours: Sequence[float], theirs: Sequence[float]) -> Difference:
    """Mean of ``ours - theirs`` with its 95 % interval by Student's t on the pairs.

    Formula: https://en.wikipedia.org/wiki/Paired_difference_test
    """
    from scipy import stats

    differences = [a - b for a, b in zip(ours, theirs, strict=True)]
    count = len(differences)
    above = sum(d > 0 for d in differences)
    mean = math.fsum(differences) / count
    if count < 2:
        return Difference(mean, None, count, above)
    variance = math.fsum((d - mean) ** 2 for d in differences) / (count - 1)
    quantile = float(stats.t.ppf((1 + CONFIDENCE) / 2, count - 1))
    return Difference(mean, quantile * math.sqrt(variance / count), count, above)


def summarize(cells: dict[Cell, dict[str, Any]]) -> list[Row]:
    """A row for each head of each setting that has run, in the order of the grid."""
    final: dict[tuple[Setting, str], dict[int, dict[str, Any]]] = {}
    for cell, run in sorted(cells.items(), key=lambda item: order(item[0])):
        final.setdefault((cell.setting, cell.head), {})[cell.seed] = run["epochs"][-1]
    return [
        Row(
            setting=setting,
            head=head,
            seeds=len(by_seed),
            gain=_gain(final.get((setting, BASELINE), {}), by_seed) if head != BASELINE else None,
            val_accuracy=_mean(by_seed, "val_accuracy"),
            train_accuracy=_mean(by_seed, "train_accuracy"),
            silenced=_mean(by_seed, "silenced"),
            underflow=_mean(by_seed, "underflow"),
            nonfinite=_mean(by_seed, "nonfinite"),
            largest_margin=_mean_of_finite(by_seed, "largest_margin"),
            true_loss=_mean_of_finite(by_seed, "true_loss"),
        )
        for (setting, head), by_seed in final.items()
    ]


def _gain(baseline: dict[int, dict[str, Any]], by_seed: dict[int, dict[str, Any]]) -> Difference | None:
    seeds = sorted(set(baseline) & set(by_seed))
    if not seeds:
        return None
    return paired_difference(
        [baseline[seed]["val_accuracy"] for seed in seeds], [by_seed[seed]["val_accuracy"] for seed in seeds]
    )


def _mean(by_seed: dict[int, dict[str, Any]], name: str) -> float:
    return math.fsum(epoch[name] for epoch in by_seed.values()) / len(by_seed)


def _mean_of_finite(by_seed: dict[int, dict[str, Any]], name: str) -> float | None:
    """The mean, or None as soon as one of them was not finite."""
    return None if any(epoch[name] is None for epoch in by_seed.values()) else _mean(by_seed, name)
