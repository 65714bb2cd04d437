"""The answer in words, derived from the measurements and nothing else."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from finallayer.compare.backends import BY_NAME
from finallayer.compare.grid import Setting
from finallayer.compare.heads import BASELINE, STATUS_QUO, written
from finallayer.compare.phrases import percent, setting_name
from finallayer.compare.statistics import Difference, Overall, Row, Summary

# A difference in validation accuracy that matters to someone; smaller ones are called equal.
MATTERS = 0.01

Curves = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Verdict:
    """The answer in one line and the sentences that carry it."""

    answer: str
    sentences: list[str]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Sorted:
    """The rows that the answer is about, each in one group, and what all of them come to (None without the status quo).

    ``worse`` and ``better`` are certain by themselves; ``broken`` rows hold numbers that aren't finite, so that equal
    accuracies mean nothing; ``unsure`` ones differ, but not for certain; ``equal`` is what is left.
    """

    all: Sequence[Row]
    worse: Sequence[Row]
    better: Sequence[Row]
    broken: Sequence[Row]
    unsure: Sequence[Row]
    equal: Sequence[Row]
    overall: Overall | None

    @property
    def costs(self) -> bool:
        """Whether it costs accuracy over all settings, for certain."""
        return self.overall is not None and self.overall.certain and self.overall.gain.mean > MATTERS

    @property
    def pays(self) -> bool:
        """Whether it gains accuracy over all settings, for certain."""
        return self.overall is not None and self.overall.certain and self.overall.gain.mean < -MATTERS

    @property
    def losing(self) -> Sequence[Row]:
        """The settings that a loss comes from: those that lost, where all together are certain; else the certain."""
        return [row for row in self.all if _gain(row).mean > MATTERS] if self.costs else self.worse

    @property
    def winning(self) -> Sequence[Row]:
        """The settings that a gain comes from, alike."""
        return [row for row in self.all if _gain(row).mean < -MATTERS] if self.pays else self.better


def give_verdict(summary: Summary, curves: Curves) -> Verdict:
    """Judge what was measured; ``curves`` (gradient against margin) say where a difference comes from."""
    rows = summary.compared
    judged = _judged(_compared(rows))
    if not judged:
        return Verdict("Nothing to compare yet.", ["No setting has both the logits head and another one finished."])
    groups = _sort(judged, rows, summary.of(STATUS_QUO))
    others = [row for row in _compared(rows) if row.head != STATUS_QUO]
    sentences = [
        *_losses(groups, rows, curves),
        *_doses(summary.dose_response),
        *_wins(groups.winning),
        *_doubts(groups),
        *_not_finite(groups.broken, rows),
        *_equals(groups, curves),
        *_mistakes(others, summary),
        *_skipped(rows),
        _validation(summary, judged),
    ]
    return Verdict(_answer(groups), sentences)


def most_telling(rows: Sequence[Row]) -> Row | None:
    """The head and setting to show first: the status quo where it lost most, else whichever head did."""
    judged = _judged(_compared(rows))
    sure = [row for row in judged if row.certain and _gain(row).mean > MATTERS] or judged
    return max(sure, key=lambda row: _gain(row).mean, default=None)


def _compared(rows: Sequence[Row]) -> list[Row]:
    """The rows that have a difference; those of one seed only where no row has more."""
    compared = [row for row in rows if row.gain is not None]
    return [row for row in compared if _gain(row).pairs > 1] or compared


def _judged(compared: Sequence[Row]) -> list[Row]:
    """The rows that the answer is about: the status quo, or every head where it did not run."""
    return [row for row in compared if row.head == STATUS_QUO] or list(compared)


def _sort(judged: Sequence[Row], rows: Sequence[Row], overall: Overall | None) -> Sorted:
    broken = {row.setting for row in rows if row.head == BASELINE and row.nonfinite > 0}
    groups: dict[str, list[Row]] = {name: [] for name in ("worse", "better", "broken", "unsure", "equal")}
    for row in judged:
        mean = _gain(row).mean
        if row.certain and abs(mean) > MATTERS:
            groups["worse" if mean > 0 else "better"].append(row)
        elif row.nonfinite > 0 or row.setting in broken:
            groups["broken"].append(row)
        else:
            groups["unsure" if abs(mean) > MATTERS else "equal"].append(row)
    return Sorted(judged, **groups, overall=overall)


def _answer(groups: Sorted) -> str:
    judged, losing, winning = groups.all, groups.losing, groups.winning
    status_quo = judged[0].head == STATUS_QUO
    what, noun = ("softmax in the model", "setting") if status_quo else ("another head than logits", "comparison")
    cost, helped, unsure, broken = (_of(rows, judged, noun) for rows in (losing, winning, groups.unsure, groups.broken))
    if losing and winning:
        return f"It depends: {what} cost accuracy in {cost} and helped in {helped}."
    if groups.costs and groups.overall is not None:
        points = f"{percent(groups.overall.gain.mean)} points of accuracy"
        if len(judged) == 1:
            where = f"on {describe(judged[0].setting)}{_interval(groups.overall.gain)}"
            return f"No: keep softmax in the loss. {_capital(what)} cost {points} {where}."
        where = f"on average over {_count(judged, noun)}{_interval(groups.overall.gain)}"
        return f"No: keep softmax in the loss. {_capital(what)} cost {points} {where}, in none did it help."
    if losing:
        return f"No: keep softmax in the loss. In {cost} {what} cost accuracy, in none did it help."
    if winning:
        return f"Yes, as measured here: {what} helped in {helped} and cost nothing in the others."
    if groups.unsure:
        return f"Undecided: in {unsure} accuracy differs, but with {_seeds(judged)} not for certain."
    if not groups.equal:
        return f"No answer: in {broken} the numbers are not finite, which compares with nothing."
    return f"No difference measured: in none of {_count(groups.equal, noun)} did {what} change accuracy."


def _losses(groups: Sorted, rows: Sequence[Row], curves: Curves) -> list[str]:
    losing = groups.losing
    if not losing:
        return []
    worst = max(losing, key=lambda row: _gain(row).mean)
    ours = next(row for row in rows if (row.setting, row.head) == (worst.setting, BASELINE))
    lead = f"The largest of {len(groups.all)} differences" if len(groups.all) > 1 else "The difference"
    sentences = [
        f"{lead} was {percent(_gain(worst).mean)} points of validation "
        f"accuracy{_interval(_gain(worst))}: {_share(worst.val_accuracy)} with the {worst.head} head against "
        f"{_share(ours.val_accuracy)} with logits, on {describe(worst.setting)}."
    ]
    if len(groups.all) > 1:
        sentences.append(
            f"A loss is certain by itself in {_of(groups.worse, groups.all)}, all questions of this run considered"
            f"{_shared(losing, groups.all)}."
        )
    return sentences + _silence(losing, rows, curves) + _breakage(losing)


def _silence(losing: Sequence[Row], rows: Sequence[Row], curves: Curves) -> list[str]:
    silenced = [row for row in losing if row.silenced > 0]
    if not silenced:
        return []
    edge = _edge(silenced, curves)
    where = f", for they lie past the margin ({edge}) up to which this loss has a right gradient" if edge else ""
    return [
        f"{_part(silenced, losing)} comes from silenced samples: after the last epoch "
        f"{_range([row.silenced for row in silenced])} of the training samples were misclassified and got a gradient "
        f"of exactly 0{where}. {_silenced_with_logits(silenced, rows)}"
    ]


def _breakage(losing: Sequence[Row]) -> list[str]:
    broken = [row for row in losing if row.silenced == 0 and row.nonfinite > 0]
    if not broken:
        return []
    return [
        f"{_part(broken, losing)} comes from numbers that are not finite: {_range([row.nonfinite for row in broken])} "
        f"of the training samples had a loss or a gradient of inf or nan."
    ]


def _shared(some: Sequence[Row], whole: Sequence[Row]) -> str:
    """What the settings that lost have in common, and not all settings have."""
    aspects: list[Callable[[Setting], str]] = [
        lambda setting: f"{setting.inputs} inputs",
        lambda setting: setting.precision,
        lambda setting: BY_NAME[setting.backend].title,
    ]
    common = [
        values.pop()
        for aspect in aspects
        if len(values := {aspect(row.setting) for row in some}) == 1 and len({aspect(row.setting) for row in whole}) > 1
    ]
    if not common:
        return ""
    return f"; all that lost more than {percent(MATTERS)} point have {' and '.join(common)}"


def _part(rows: Sequence[Row], losing: Sequence[Row]) -> str:
    if len(rows) == len(losing):
        return "It"
    return f"In {len(rows)} of the {len(losing)} that lost it"


def _range(shares: Sequence[float]) -> str:
    low, high = _share(min(shares)), _share(max(shares))
    return high if low == high else f"{low} to {high}"


def _silenced_with_logits(silenced: Sequence[Row], rows: Sequence[Row]) -> str:
    settings = {row.setting for row in silenced}
    highest = max(row.silenced for row in rows if row.head == BASELINE and row.setting in settings)
    if highest == 0:
        return "With logits, from the same weights and on the same batches, not one sample was silenced."
    return f"With logits it was {_share(highest)} at most."


def _doses(series: Sequence[tuple[float, Row]]) -> list[str]:
    """What becomes of the status quo as its epsilon shrinks, where that was run."""
    if not series:
        return []
    accuracies, silenced = [row.val_accuracy for _, row in series], [row.silenced for _, row in series]
    follows = accuracies == sorted(accuracies) and accuracies[-1] - accuracies[0] > MATTERS
    lead = "The clip is the cause: the smaller it is, the less is lost" if follows else "Another clip was tried"
    epsilons = ", ".join(written(epsilon) for epsilon, _ in series)
    return [
        f"{lead}. On {describe(series[0][1].setting)}, Keras' epsilon of {epsilons} gave the softmax head "
        f"{', '.join(map(percent, accuracies))} % accuracy, with {', '.join(map(percent, silenced))} % silenced."
    ]


def _wins(winning: Sequence[Row]) -> list[str]:
    return [
        f"The {row.head} head ended {percent(-_gain(row).mean)} points higher on {describe(row.setting)}"
        f"{_interval(_gain(row))}."
        for row in winning
    ]


def _doubts(groups: Sorted) -> list[str]:
    unsure = [row for row in groups.unsure if row not in (*groups.losing, *groups.winning)]
    if not unsure:
        return []
    widest = max(unsure, key=lambda row: abs(_gain(row).mean))
    gain = _gain(widest)
    return [
        f"In {_count(unsure, 'setting')} the difference exceeds {percent(MATTERS)} point but is not certain, at most "
        f"{percent(abs(gain.mean))} points on {describe(widest.setting)}{_interval(gain)}, logits higher with "
        f"{gain.above} of them: more seeds would tell."
    ]


def _not_finite(broken: Sequence[Row], rows: Sequence[Row]) -> list[str]:
    if not broken:
        return []
    baseline = {row.setting: row.nonfinite for row in rows if row.head == BASELINE}
    shares = [max(row.nonfinite, baseline[row.setting]) for row in broken]
    return [
        f"In {_count(broken, 'setting')} nothing can be said of accuracy: {_range(shares)} of the training samples "
        f"had a loss or a gradient of inf or nan, with one head or both ({describe(broken[0].setting)}"
        f"{' for one' if len(broken) > 1 else ''})."
    ]


def _equals(groups: Sorted, curves: Curves) -> list[str]:
    rest = groups.equal
    if not rest:
        return []
    lead = "In the other" if len(rest) < len(groups.all) else "In"
    spread = percent(max(abs(_gain(row).mean) for row in rest))
    ended = "ended equal" if spread == "0.0" else f"ended within {spread} points of each other"
    sentences = [f"{lead} {_count(rest, 'setting')} the two heads {ended}."]
    rescued = [row for row in rest if row.head == STATUS_QUO and not _has_edge(row, curves)]
    lucky = [row for row in rest if _has_edge(row, curves)]
    if rescued:
        sentences.append(
            f"{_names(rescued)} computed the gradient of the softmax head right at every margin: "
            f"Keras finds the logits behind the softmax there and uses them instead."
        )
    if lucky and all(row.silenced == 0 for row in lucky):
        margins = [row.largest_margin for row in lucky if row.largest_margin is not None]
        reach = f" (the largest margin was {max(margins):.1f})" if margins else ""
        sentences.append(
            f"Elsewhere no sample came near enough to the edge to be silenced{reach}: small margins hide the defect, "
            f"they do not remove it."
        )
    return sentences


def _mistakes(others: Sequence[Row], summary: Summary) -> list[str]:
    sentences = []
    for head in dict.fromkeys(row.head for row in others):
        rows = [row for row in others if row.head == head]
        overall = summary.of(head)
        lost = [row for row in rows if row.certain and _gain(row).mean > MATTERS]
        if overall is not None and overall.certain and overall.gain.mean > MATTERS:
            where = f"average over {_count(rows, 'setting')}" if len(rows) > 1 else describe(rows[0].setting)
            sentences.append(
                f"The {head} head cost {percent(overall.gain.mean)} points on {where}{_interval(overall.gain)}."
            )
        elif lost:
            worst = max(lost, key=lambda row: _gain(row).mean)
            sentences.append(
                f"The {head} head cost accuracy in {_of(lost, rows)}, up to {percent(_gain(worst).mean)} points "
                f"({describe(worst.setting)})."
            )
        else:
            sentences.append(f"The {head} head cost no accuracy for certain in {_count(rows, 'setting')}.")
    return sentences


def _skipped(rows: Sequence[Row]) -> list[str]:
    """Steps that loss scaling left out: then heads share their batches, and not their updates."""
    skipped = [row for row in rows if row.skipped > 0]
    if not skipped:
        return []
    most = max(skipped, key=lambda row: row.skipped)
    logits = max((row.skipped for row in skipped if row.head == BASELINE), default=0.0)
    return [
        f"Loss scaling skipped steps whose gradient was not finite, up to {most.skipped:.0f} a run ({most.head}, "
        f"{describe(most.setting)}), with logits {logits:.0f}: there heads had the same batches, not the same updates."
    ]


def _validation(summary: Summary, judged: Sequence[Row]) -> str:
    """What the intervals don't hold: how well the validation samples stand for others."""
    settings = {row.setting for row in judged}
    accuracies = [row.val_accuracy for row in summary.rows if row.head == BASELINE and row.setting in settings]
    accuracy = fmean(accuracies)
    noise = 1.96 * math.sqrt(accuracy * (1 - accuracy) / summary.val_samples)
    return (
        f"Intervals are over seeds, on the same {summary.val_samples} validation samples; how well those stand for "
        f"others is not in them (it is worth about {percent(noise)} points of any one accuracy)."
    )


def _edge(rows: Sequence[Row], curves: Curves) -> str | None:
    """The safe margins of these rows' programs, as measured on their frameworks."""
    margins = [m for row in rows if (m := _safe_margin(row, curves)) is not None]
    if not margins:
        return None
    low, high = f"{min(margins):.1f}", f"{max(margins):.1f}"
    return low if low == high else f"{low} to {high}"


def _safe_margin(row: Row, curves: Curves) -> float | None:
    curve = _curve(row, curves)
    return None if curve is None else curve["safe_margin"]


def _has_edge(row: Row, curves: Curves) -> bool:
    """Whether this row's program has a margin past which its gradient is wrong (or was not measured)."""
    curve = _curve(row, curves)
    return curve is None or curve["safe_margin"] is not None


def _curve(row: Row, curves: Curves) -> Mapping[str, Any] | None:
    program = (row.setting.backend, row.setting.precision, row.head)
    return next((c for c in curves if (c["backend"], c["precision"], c["head"]) == program), None)


def describe(setting: Setting) -> str:
    """A setting in words."""
    return f"{setting_name(setting)} inputs"


def _names(rows: Sequence[Row]) -> str:
    names = dict.fromkeys(f"{BY_NAME[row.setting.backend].title} in {row.setting.precision}" for row in rows)
    return " and ".join(names)


def _gain(row: Row) -> Difference:
    assert row.gain is not None, "only rows that were compared come here"
    return row.gain


def _interval(gain: Difference) -> str:
    if gain.low is None or gain.high is None:
        return " (one seed, so no interval)"
    return f" (95 % interval {percent(gain.low)} to {percent(gain.high)}, {gain.pairs} seeds)"


def _seeds(rows: Sequence[Row]) -> str:
    count = max(_gain(row).pairs for row in rows)
    return "one seed" if count == 1 else f"{count} seeds"


def _share(share: float) -> str:
    return f"{percent(share)} %"


def _capital(words: str) -> str:
    return words[0].upper() + words[1:]


def _count(items: Sequence[Any], noun: str) -> str:
    return f"{len(items)} {noun}{'' if len(items) == 1 else 's'}"


def _of(part: Sequence[Any], whole: Sequence[Any], noun: str = "setting") -> str:
    return f"{len(part)} of {_count(whole, noun)}"
