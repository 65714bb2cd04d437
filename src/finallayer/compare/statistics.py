"""Heads compared within a setting: means over seeds, paired differences with their interval, and which are certain.

A run asks many questions at once, one a head and setting. Each interval stands for itself; what may be called certain
is decided for all of them together, so that at most one run in twenty claims anything that isn't there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import fmean
from typing import Any

from finallayer.compare.grid import Cell, Setting, order
from finallayer.compare.heads import BASELINE, STATUS_QUO, find_head, is_dose

CONFIDENCE = 0.95
# What of the 5 % goes to each kind of question: the article's own, that of the other heads, that of single settings.
ARTICLE, OTHERS, SINGLES = 0.5, 0.25, 0.25


@dataclass(frozen=True)
class Difference:
    """Validation accuracy of the logits head minus another's, seed by seed; shares in -1..1.

    ``low`` and ``high`` end the 95 % interval of the mean over seeds, no further than accuracy can reach; ``p`` is the
    probability of a mean as far from zero if there were no difference. None for one seed, which tells neither.
    """

    mean: float
    low: float | None
    high: float | None
    p: float | None
    by_seed: Mapping[int, float]

    @property
    def pairs(self) -> int:
        return len(self.by_seed)

    @property
    def lost(self) -> tuple[float, float | None, float | None]:
        """The same from the other side, what the head is better by than logits: mean, low, high."""
        return -self.mean, None if self.high is None else -self.high, None if self.low is None else -self.low

    @property
    def above(self) -> int:
        """In how many pairs logits were better."""
        return sum(difference > 0 for difference in self.by_seed.values())

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "pairs": self.pairs, "above": self.above}


@dataclass(frozen=True)
class Row:
    """One head in one setting after the last epoch, over its seeds; accuracies and shares in 0..1, means over seeds.

    ``gain`` is what the logits head is better by, None for the logits head itself; ``certain``, whether that is no
    accident, all questions of the run considered. ``skipped``: optimizer steps that loss scaling left out, in all.
    """

    setting: Setting
    head: str
    seeds: int
    val_accuracy: float
    train_accuracy: float
    silenced: float
    underflow: float
    nonfinite: float
    skipped: float
    largest_margin: float | None
    true_loss: float | None
    gain: Difference | None
    certain: bool = False

    def as_dict(self) -> dict[str, Any]:
        row = {**vars(self), "gain": None if self.gain is None else self.gain.as_dict()}
        return {**asdict(row.pop("setting")), **row}


@dataclass(frozen=True)
class Overall:
    """A head against logits over all its settings at once: seed by seed, the mean of its differences."""

    head: str
    settings: int
    gain: Difference
    certain: bool = False

    def as_dict(self) -> dict[str, Any]:
        return {**vars(self), "gain": self.gain.as_dict()}


@dataclass(frozen=True)
class Summary:
    """Every row, in the order of the grid, and each head over all its settings; ``val_samples`` carry them."""

    rows: Sequence[Row]
    overall: Sequence[Overall]
    val_samples: int

    @property
    def compared(self) -> Sequence[Row]:
        """The rows of the heads that are compared with logits, and of those: no doses."""
        return [row for row in self.rows if not is_dose(row.head)]

    @property
    def dose_response(self) -> list[tuple[float, Row]]:
        """The epsilons that the status quo was run with in one setting, largest first, each with its row; none where
        there are no two.
        """
        settings = {row.setting for row in self.rows if is_dose(row.head)}
        series = [
            (find_head("keras", row.head).epsilon, row)
            for row in self.rows
            if row.setting in settings and (is_dose(row.head) or row.head == STATUS_QUO)
        ]
        return sorted(series, key=lambda pair: -pair[0]) if len(series) > 1 else []

    def of(self, head: str) -> Overall | None:
        return next((overall for overall in self.overall if overall.head == head), None)


def summarize(cells: Mapping[Cell, Mapping[str, Any]], val_samples: int) -> Summary:
    """What the cells so far amount to."""
    final: dict[tuple[Setting, str], dict[int, Mapping[str, Any]]] = {}
    for cell, run in sorted(cells.items(), key=lambda item: order(item[0])):
        last = run["epochs"][-1] | {"skipped": sum(epoch["skipped"] for epoch in run["epochs"])}
        final.setdefault((cell.setting, cell.head), {})[cell.seed] = last
    rows = [
        Row(
            setting=setting,
            head=head,
            seeds=len(by_seed),
            gain=_gain(final.get((setting, BASELINE), {}), by_seed, val_samples) if head != BASELINE else None,
            val_accuracy=fmean(_each(by_seed, "val_accuracy")),
            train_accuracy=fmean(_each(by_seed, "train_accuracy")),
            silenced=fmean(_each(by_seed, "silenced")),
            underflow=fmean(_each(by_seed, "underflow")),
            nonfinite=fmean(_each(by_seed, "nonfinite")),
            skipped=fmean(_each(by_seed, "skipped")),
            largest_margin=_mean_of_finite(_each(by_seed, "largest_margin")),
            true_loss=_mean_of_finite(_each(by_seed, "true_loss")),
        )
        for (setting, head), by_seed in final.items()
    ]
    return judged(rows, val_samples)


def judged(rows: Sequence[Row], val_samples: int) -> Summary:
    """The rows and each head's overall difference, with what is certain of all that."""
    compared = {(row.head, row.setting): row.gain for row in rows if row.gain is not None and not is_dose(row.head)}
    overall = _overall(compared, val_samples)
    questions: dict[Any, tuple[float, float]] = {}  # what is asked -> p value, weight
    for head, (_, gain) in overall.items():
        others = len(overall) - (STATUS_QUO in overall)
        weight = ARTICLE if head == STATUS_QUO else OTHERS / others
        questions |= {head: (gain.p, weight)} if gain.p is not None else {}
    singles = {place: gain.p for place, gain in compared.items() if gain.p is not None}
    questions |= {place: (p, SINGLES / len(singles)) for place, p in singles.items()}
    certain = rejected(questions, 1 - CONFIDENCE)
    return Summary(
        [replace(row, certain=(row.head, row.setting) in certain) for row in rows],
        [Overall(head, count, gain, head in certain) for head, (count, gain) in overall.items()],
        val_samples,
    )


def rejected(questions: Mapping[Any, tuple[float, float]], level: float) -> set[Any]:
    """Which of many null hypotheses, ``{name: (p value, weight)}``, don't hold; one is rejected wrongly in no more than
    a share ``level`` of all runs, however they hang together.

    Method: Holm (1979) with weights, https://en.wikipedia.org/wiki/Holm%E2%80%93Bonferroni_method
    """
    left = sum(weight for _, weight in questions.values())
    found: set[Any] = set()
    for name, (p, weight) in sorted(questions.items(), key=lambda item: item[1][0] / item[1][1]):
        if p / weight > level / left:
            break
        found.add(name)
        left -= weight
        if left <= 0:
            break
    return found


def paired_difference(ours: Mapping[int, float], theirs: Mapping[int, float], samples: int) -> Difference:
    """``ours - theirs``, accuracies by seed on the same ``samples``, with the interval and p value by Student's t.

    The differences are rounded to whole samples: that variance is added, or seeds that agree by chance would make any
    difference certain.
    Formula: https://en.wikipedia.org/wiki/Paired_difference_test
    """
    by_seed = {seed: ours[seed] - theirs[seed] for seed in sorted(set(ours) & set(theirs))}
    baseline = fmean([ours[seed] for seed in by_seed])
    return difference(by_seed, rounding=1 / (6 * samples**2), low=baseline - 1, high=baseline)


def difference(by_seed: Mapping[int, float], rounding: float, low: float, high: float) -> Difference:
    """The mean of paired differences, with its interval, no further than ``low`` and ``high``, and its p value.

    ``rounding``: the variance that rounding adds to each.
    """
    from scipy.special import stdtr, stdtrit

    count = len(by_seed)
    mean = fmean(by_seed.values())
    if count < 2:
        return Difference(mean, None, None, None, by_seed)
    variance = math.fsum((d - mean) ** 2 for d in by_seed.values()) / (count - 1) + rounding
    error = math.sqrt(variance / count)
    reach = float(stdtrit(count - 1, (1 + CONFIDENCE) / 2)) * error
    p = 2 * float(stdtr(count - 1, -abs(mean) / error))
    return Difference(mean, max(low, mean - reach), min(high, mean + reach), p, by_seed)


def _overall(compared: Mapping[tuple[str, Setting], Difference], samples: int) -> dict[str, tuple[int, Difference]]:
    """Head -> the number of its settings, and its mean difference over them, by the seeds that all of them have.

    Settings share their seeds (the same weights, the same batches), so that they are no independent witnesses: a seed
    counts once.
    """
    found: dict[str, tuple[int, Difference]] = {}
    for head in dict.fromkeys(head for head, _ in compared):
        gains = [gain for (one, _), gain in compared.items() if one == head and (gain.pairs > 1 or _single(compared))]
        seeds = sorted(set.intersection(*(set(gain.by_seed) for gain in gains))) if gains else []
        if seeds:
            by_seed = {seed: fmean([gain.by_seed[seed] for gain in gains]) for seed in seeds}
            found[head] = len(gains), difference(by_seed, 1 / (6 * samples**2 * len(gains)), -1.0, 1.0)
    return found


def _single(compared: Mapping[Any, Difference]) -> bool:
    """Whether no setting has more than one seed."""
    return all(gain.pairs < 2 for gain in compared.values())


def _gain(baseline: Mapping[int, Any], by_seed: Mapping[int, Any], samples: int) -> Difference | None:
    if not set(baseline) & set(by_seed):
        return None
    ours, theirs = ({seed: run["val_accuracy"] for seed, run in runs.items()} for runs in (baseline, by_seed))
    return paired_difference(ours, theirs, samples)


def _each(by_seed: Mapping[int, Mapping[str, Any]], name: str) -> list[Any]:
    return [run[name] for run in by_seed.values()]


def _mean_of_finite(values: Sequence[float | None]) -> float | None:
    """The mean, or None as soon as one of them was not finite."""
    finite = [value for value in values if value is not None]
    return fmean(finite) if len(finite) == len(values) else None
