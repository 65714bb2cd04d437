"""The answer in words, derived from the measurements and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from finallayer.compare.backends import BY_NAME
from finallayer.compare.grid import Setting
from finallayer.compare.heads import BASELINE, STATUS_QUO
from finallayer.compare.phrases import percent, setting_name
from finallayer.compare.statistics import Difference, Row

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


def give_verdict(rows: Sequence[Row], curves: Curves) -> Verdict:
    """Judge the summary's rows; ``curves`` (gradient against margin) say where a difference comes from."""
    compared = _compared(rows)
    judged = _judged(compared)
    if not judged:
        return Verdict("Nothing to compare yet.", ["No setting has both the logits head and another one finished."])
    worse = [row for row in judged if _costs(row)]
    better = [row for row in judged if _pays(row)]
    unsure = [row for row in judged if abs(_gain(row).mean) > MATTERS and not _certain(_gain(row))]
    rest = [row for row in judged if row not in worse and row not in better and row not in unsure]
    sentences = [
        *_losses(worse, rows, curves),
        *_wins(better),
        *_doubts(unsure),
        *_equals(rest, curves, some_differed=len(rest) < len(judged)),
        *_mistakes([row for row in compared if row.head != STATUS_QUO]),
    ]
    return Verdict(_answer(judged, worse, better, unsure), sentences)


def most_telling(rows: Sequence[Row]) -> Row | None:
    """The head and setting to show first: the status quo where it lost most, else whichever head did."""
    judged = _judged(_compared(rows))
    sure = [row for row in judged if _costs(row)] or judged
    return max(sure, key=lambda row: _gain(row).mean, default=None)


def _compared(rows: Sequence[Row]) -> list[Row]:
    """The rows that have a difference; those of one seed only where no row has more."""
    compared = [row for row in rows if row.gain is not None]
    return [row for row in compared if _gain(row).half_width is not None] or compared


def _judged(compared: Sequence[Row]) -> list[Row]:
    """The rows that the answer is about: the status quo, or every head where it did not run."""
    return [row for row in compared if row.head == STATUS_QUO] or list(compared)


def _costs(row: Row) -> bool:
    return row.gain is not None and row.gain.mean > MATTERS and _certain(row.gain)


def _pays(row: Row) -> bool:
    return row.gain is not None and row.gain.mean < -MATTERS and _certain(row.gain)


def _certain(gain: Difference) -> bool:
    """The interval leaves out zero; where no setting has more than one seed there is none, and the sentences say so."""
    return gain.significant or gain.half_width is None


def _answer(judged: Sequence[Row], worse: Sequence[Row], better: Sequence[Row], unsure: Sequence[Row]) -> str:
    status_quo = judged[0].head == STATUS_QUO
    what, noun = ("softmax in the model", "setting") if status_quo else ("another head than logits", "comparison")
    if worse and not better:
        return f"No: keep softmax in the loss. In {_of(worse, judged, noun)} {what} cost accuracy, in none did it help."
    if worse and better:
        cost, helped = _of(worse, judged, noun), _of(better, judged, noun)
        return f"It depends: {what} cost accuracy in {cost} and helped in {helped}."
    if better:
        return f"Yes, as measured here: {what} helped in {_of(better, judged, noun)} and cost nothing in the others."
    if unsure:
        return f"Undecided: in {_of(unsure, judged, noun)} accuracy differs, but with so few seeds not for certain."
    return f"No difference measured: in none of {_count(judged, noun)} did {what} change accuracy."


def _losses(worse: Sequence[Row], rows: Sequence[Row], curves: Curves) -> list[str]:
    if not worse:
        return []
    worst = max(worse, key=lambda row: _gain(row).mean)
    ours = next(row for row in rows if (row.setting, row.head) == (worst.setting, BASELINE))
    sentences = [
        f"The largest loss was {percent(_gain(worst).mean)} points of validation accuracy"
        f"{_interval(_gain(worst))}: {_share(worst.val_accuracy)} with the {worst.head} head against "
        f"{_share(ours.val_accuracy)} with logits, on {describe(worst.setting)}."
    ]
    silenced = [row for row in worse if row.silenced > 0]
    broken = [row for row in worse if row.silenced == 0 and row.nonfinite > 0]
    if silenced:
        shares = [row.silenced for row in silenced]
        edge = _edge(silenced, curves)
        where = f", for they lie past the margin ({edge}) up to which this loss has a right gradient" if edge else ""
        sentences.append(
            f"{_part(silenced, worse)} comes from silenced samples: after the last epoch {_range(shares)} of the "
            f"training samples were misclassified and got a gradient of exactly 0{where}. "
            f"{_silenced_with_logits(worse, rows)}"
        )
    if broken:
        shares = [row.nonfinite for row in broken]
        sentences.append(
            f"{_part(broken, worse)} comes from numbers that are not finite: {_range(shares)} of the training samples "
            f"had a loss or a gradient of inf or nan."
        )
    return sentences


def _part(rows: Sequence[Row], worse: Sequence[Row]) -> str:
    return "It" if len(rows) == len(worse) else f"In {len(rows)} of those {len(worse)} it"


def _range(shares: Sequence[float]) -> str:
    low, high = _share(min(shares)), _share(max(shares))
    return high if low == high else f"{low} to {high}"


def _silenced_with_logits(worse: Sequence[Row], rows: Sequence[Row]) -> str:
    settings = {row.setting for row in worse}
    highest = max(row.silenced for row in rows if row.head == BASELINE and row.setting in settings)
    if highest == 0:
        return "With logits, from the same weights and on the same batches, not one sample was silenced."
    return f"With logits it was {_share(highest)} at most."


def _wins(better: Sequence[Row]) -> list[str]:
    return [
        f"The {row.head} head ended {percent(-_gain(row).mean)} points higher on {describe(row.setting)}"
        f"{_interval(_gain(row))}."
        for row in better
    ]


def _doubts(unsure: Sequence[Row]) -> list[str]:
    if not unsure:
        return []
    widest = max(unsure, key=lambda row: abs(_gain(row).mean))
    return [
        f"In {_count(unsure, 'setting')} the difference exceeds {percent(MATTERS)} point but its interval holds "
        f"zero, at most {percent(abs(_gain(widest).mean))} points on {describe(widest.setting)}"
        f"{_interval(_gain(widest))}, logits higher with {_gain(widest).above} of them: more seeds would tell."
    ]


def _equals(rest: Sequence[Row], curves: Curves, some_differed: bool) -> list[str]:
    if not rest:
        return []
    lead = "In the other" if some_differed else "In"
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


def _mistakes(others: Sequence[Row]) -> list[str]:
    sentences = []
    for head in dict.fromkeys(row.head for row in others):
        rows = [row for row in others if row.head == head]
        lost = [row for row in rows if _costs(row)]
        if lost:
            worst = max(lost, key=lambda row: _gain(row).mean)
            sentences.append(
                f"The {head} head cost accuracy in {_of(lost, rows)}, up to {percent(_gain(worst).mean)} points "
                f"({describe(worst.setting)})."
            )
        else:
            sentences.append(f"The {head} head cost no accuracy for certain in {_count(rows, 'setting')}.")
    return sentences


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


def _share(share: float) -> str:
    return f"{percent(share)} %"


def _count(items: Sequence[Any], noun: str) -> str:
    return f"{len(items)} {noun}{'' if len(items) == 1 else 's'}"


def _of(part: Sequence[Any], whole: Sequence[Any], noun: str = "setting") -> str:
    return f"{len(part)} of {_count(whole, noun)}"
