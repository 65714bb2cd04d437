"""The answer in words: whether the fixed program is better, by how much, and what the difference comes from."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from statistics import fmean
from typing import Any

from finallayer.compare.own.arms import ARMS, AS_IS, FIXED
from finallayer.compare.own.measured import Outcome
from finallayer.compare.phrases import percent
from finallayer.compare.statistics import CONFIDENCE, Difference, difference, rejected
from finallayer.compare.verdict import MATTERS

METRIC = "metric"
#: What is measured by ourselves and answers, the better the later in training it stands aside from it.
EVALUATED, TRAINED = "held_out_accuracy", "train_accuracy"
#: Names of a framework's logs that tell of a validation, and of what is higher where a classifier is better.
_ASIDE = re.compile(r"(?:^|[^a-z])(?:val|valid|validation|eval|test|dev)(?:[^a-z]|$)", re.I)
_HIGHER = re.compile(r"(?:^|[^a-z])(?:\w*acc(?:uracy)?|auc|auroc|f1\w*|precision|recall|mcc|kappa)(?:[^a-z]|$)", re.I)
#: A number of more digits behind the point was not rounded for print.
MOST_PRINTED = 4
#: What of the 5 % goes to the question itself; all others share the rest.
ITSELF = 0.75
#: Further quantities that are told of both arms.
TOLD = (TRAINED, "silenced", "collapsed", "true_loss", "margin_p50", "largest_margin", "nonfinite")
SHARES = (TRAINED, EVALUATED, "silenced", "collapsed", "nonfinite")

Final = Mapping[str, Mapping[int, float]]  # arm -> seed -> the last value


@dataclass(frozen=True)
class Line:
    """A quantity at the end of training: each arm's mean over seeds, and the paired difference, fixed minus as-is."""

    name: str
    means: Mapping[str, float]
    difference: Difference
    certain: bool

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "means": dict(self.means),
            "difference": self.difference.as_dict(),
            "certain": self.certain,
        }


def conclude(outcome: Outcome) -> dict[str, Any]:
    """The verdict on what was measured so far, as JSON has it."""
    names = metrics(outcome)
    if not names:
        return _verdict(*_nothing(outcome))
    lines = _lines(outcome, names)
    main = lines[0]
    sentences = [
        *_alike(outcome),
        *_cause(lines, outcome),
        *_training(lines, outcome),
        *_noted(outcome),
        *_intervals(main),
    ]
    lower = bool(outcome.settings["lower_is_better"]) and main.name == METRIC
    return _verdict(_answer(main, outcome, lower), sentences, lines)


def metrics(outcome: Outcome) -> list[str]:
    """The quantities that both arms have, the one that answers first; none where nothing does."""
    answering = [METRIC] if outcome.settings["metric"] is not None else []
    logged = sorted({name for arm in ARMS for cell in outcome.of(arm).values() for name in _logged(cell)})
    answering += sorted(filter(_answers, logged), key=_rank)
    answering += [EVALUATED, TRAINED]
    known = [name for name in dict.fromkeys([*answering, *TOLD]) if _paired(outcome, name)]
    return known if known and known[0] in answering else []


def _answers(name: str) -> bool:
    """Whether a name of a framework's log tells how good a classifier is on samples aside."""
    return bool(_ASIDE.search(name) and _HIGHER.search(name))


def _rank(name: str) -> tuple[bool, bool, str]:
    """Accuracy comes first, and a test after a validation, which every epoch has."""
    return "acc" not in name, "test" in name, name


def final(cell: Mapping[str, Any], name: str) -> float | None:
    """The last value of a quantity in a run."""
    values = along(cell, name)
    if name == METRIC:  # printed, and where that is no number, the run has ended without one
        return values[-1] if values else None
    return next((value for value in reversed(values) if value is not None), None)


def along(cell: Mapping[str, Any], name: str) -> list[float | None]:
    """A quantity along a run: the values of a metric in its output, or a value an epoch, None where it has none."""
    if name == METRIC:
        return list(cell["metric"])
    return [row.get(name, row.get("logged", {}).get(name)) for row in cell["epochs"]]


def _logged(cell: Mapping[str, Any]) -> Iterator[str]:
    for row in cell["epochs"]:
        yield from row.get("logged", {})


def _paired(outcome: Outcome, name: str) -> dict[str, dict[int, float]]:
    """Arm -> seed -> the last value, of the seeds that both arms have; nothing where there is none."""
    values = {
        arm: {seed: value for seed, cell in outcome.of(arm).items() if (value := final(cell, name)) is not None}
        for arm in ARMS
    }
    both = sorted(set(values[AS_IS]) & set(values[FIXED]))
    return {arm: {seed: values[arm][seed] for seed in both} for arm in ARMS} if both else {}


def _lines(outcome: Outcome, names: Sequence[str]) -> list[Line]:
    found = [(name, _paired(outcome, name)) for name in names]
    differences = {name: _difference(values, name, outcome) for name, values in found}
    questions = {
        name: (one.p, ITSELF if name == names[0] else (1 - ITSELF) / max(1, len(names) - 1))
        for name, one in differences.items()
        if one.p is not None
    }
    certain = rejected(questions, 1 - CONFIDENCE)
    return [
        Line(name, {arm: fmean(values[arm].values()) for arm in ARMS}, differences[name], name in certain)
        for name, values in found
    ]


def _difference(values: Final, name: str, outcome: Outcome) -> Difference:
    """Fixed minus as-is, seed by seed; runs that are all the same are one."""
    seeds = list(values[AS_IS])
    if len(seeds) > 1 and _same(outcome):
        seeds = seeds[:1]
    by_seed = {seed: values[FIXED][seed] - values[AS_IS][seed] for seed in seeds}
    low, high = (-1.0, 1.0) if name in SHARES else (-math.inf, math.inf)
    return difference(by_seed, _rounding(values, printed=name == METRIC), low, high)


def _rounding(values: Final, printed: bool) -> float:
    """The variance that rounding adds to a difference: by the least step that any two values are apart, or the digits
    of what was printed."""
    distinct = sorted({value for by_seed in values.values() for value in by_seed.values()})
    steps = [later - former for former, later in pairwise(distinct)]
    digits = max(len(repr(value).partition(".")[2]) for value in distinct)
    if printed and digits <= MOST_PRINTED:
        steps.append(10.0**-digits)
    return max(min(steps, default=0.0), 1e-12) ** 2 / 6


def _same(outcome: Outcome) -> bool:
    """Whether each arm gives the same with every seed: then it draws no random numbers that a seed could change."""
    return all(_identical([(cell["epochs"], cell["metric"]) for cell in outcome.of(arm).values()]) for arm in ARMS)


def _identical(cells: Sequence[Any]) -> bool:
    return len(cells) > 1 and all(cell == cells[0] for cell in cells)


def _answer(main: Line, outcome: Outcome, lower: bool) -> str:
    other = outcome.settings["against"]
    better = main.difference.mean if not lower else -main.difference.mean
    ours, theirs = (shown(main.name, main.means[arm]) for arm in (FIXED, AS_IS))
    told = f"{named(main.name)} {ours} against {theirs}{_interval(main)}"
    matters = abs(better) > MATTERS if _is_share(main) else better != 0
    if main.certain and matters:
        if better > 0:
            lead = f"Take {other}" if other else "Fix it"
            return f"{lead}: {told}."
        return f"Leave it as it is: {'with ' + other if other else 'fixed'}, it is worse, {told}."
    if main.difference.p is None:
        return f"Undecided: one seed tells nothing for certain. {told[0].upper()}{told[1:]}."
    if not matters:
        return f"No difference measured: {told}."
    return f"Undecided: {told}, which {main.difference.pairs} seeds don't make certain."


def _cause(lines: Sequence[Line], outcome: Outcome) -> Iterator[str]:
    """Where a difference comes from, or would."""
    found = {line.name: line for line in lines}
    rules = ", ".join(dict.fromkeys(f"{one['rule']} ({one['name']})" for one in outcome.settings["mended"]))
    if rules:
        yield f"What was fixed: {rules}."
    silenced = found.get("silenced")
    if silenced is None:
        return
    before, after = (silenced.means[arm] for arm in (AS_IS, FIXED))
    if before > 0:
        yield (
            f"As it is, {percent(before)} % of the training samples were silenced at the end: misclassified, and their "
            f"gradient was 0, next to it, or wrong{_safe(outcome)}. {_other(outcome)}, it is {percent(after)} %."
        )
    elif after > 0:
        yield f"{_other(outcome)}, {percent(after)} % of the training samples were silenced at the end, as it is none."
    else:
        worst = _most_silenced(outcome)
        yield (
            "At the end no training sample was silenced, with either."
            if worst == 0
            else f"At the end no training sample was silenced; before that it was up to {percent(worst)} % as it is."
        )


def _most_silenced(outcome: Outcome) -> float:
    shares = [row.get("silenced", 0.0) for cell in outcome.of(AS_IS).values() for row in cell["epochs"]]
    return max(shares, default=0.0)


def _safe(outcome: Outcome) -> str:
    margins = {
        margin
        for cell in outcome.of(AS_IS).values()
        if (margin := (cell["audit"] or {}).get("safe_margin")) is not None
    }
    return f" (the loss's safe margin is {min(margins):.1f})" if margins else ""


def _training(lines: Sequence[Line], outcome: Outcome) -> Iterator[str]:
    """What else is told of the end: each for itself, and certain only where it is said."""
    for line in lines[1:]:
        if line.name in (TRAINED, "true_loss") or line.name not in TOLD:
            theirs, ours = (shown(line.name, line.means[arm]) for arm in (AS_IS, FIXED))
            name = named(line.name)
            yield (
                f"{name[0].upper()}{name[1:]}: {theirs} as it is, {_other(outcome)[0].lower()}{_other(outcome)[1:]} "
                f"{ours}{'' if line.certain else ', which is not certain'}."
            )


def _alike(outcome: Outcome) -> Iterator[str]:
    if _same(outcome):
        yield (
            "Every seed gave the same, to the last digit: the program draws no random numbers that a seed from outside "
            "changes. That is one run, and one run makes nothing certain."
        )


def _noted(outcome: Outcome) -> Iterator[str]:
    yield from (f"Note: {note}." for note in dict.fromkeys(n for c in outcome.cells.values() for n in c["notes"] or ()))


def _intervals(main: Line) -> Iterator[str]:
    if main.difference.p is not None:
        yield (
            "Intervals are over seeds, pair by pair; what the choice of the data is worth is not in them. Of all that "
            "is called certain here, at most one trial in twenty says anything that isn't there."
        )


def _nothing(outcome: Outcome) -> tuple[str, list[str]]:
    if not all(outcome.of(arm) for arm in ARMS):
        return "Nothing to compare yet.", ["No seed has finished with both programs."]
    why = "No metric was found in the output" if outcome.settings["metric"] is not None else "No accuracy was met"
    return (
        f"No answer: {why[0].lower()}{why[1:]}.",
        [
            f"{why}: expected a metric that the program prints, by --metric 'REGEX', or a loss of logits and labels.",
            *_noted(outcome),
        ],
    )


def _verdict(answer: str, sentences: Sequence[str], lines: Sequence[Line] = ()) -> dict[str, Any]:
    main = lines[0] if lines else None
    return {
        "answer": answer,
        "sentences": list(sentences),
        "metric": main and main.name,
        "difference": main and main.difference.as_dict(),
        "certain": bool(main and main.certain),
        "table": [line.as_dict() for line in lines],
    }


def named(name: str) -> str:
    """A quantity in words."""
    return {
        METRIC: "the metric",
        EVALUATED: "accuracy where no gradient is asked for",
        TRAINED: "training accuracy",
        "true_loss": "true cross-entropy",
        "margin_p50": "median margin",
        "largest_margin": "largest margin",
        "nonfinite": "not finite",
    }.get(name, name)


def shown(name: str, value: float) -> str:
    """A quantity's value."""
    if is_share(name, [value]):
        return f"{percent(value)} %"
    return f"{value:.4g}".replace("-", "−")


def is_share(name: str, values: Iterable[float | None]) -> bool:
    """Whether a quantity of these values is a share, to be told in percent."""
    return name in SHARES or (bool(_HIGHER.search(name)) and all(v is None or 0 <= v <= 1 for v in values))


def _is_share(line: Line) -> bool:
    return is_share(line.name, line.means.values())


def _interval(line: Line) -> str:
    one = line.difference
    if one.low is None or one.high is None:
        return ""
    scale: Callable[[float], str] = percent if _is_share(line) else partial(shown, line.name)
    unit = " points" if _is_share(line) else ""
    return (
        f" (difference {scale(one.mean)}{unit}, 95 % interval {scale(one.low)} to {scale(one.high)}, {one.pairs} seeds)"
    )


def _other(outcome: Outcome) -> str:
    other = outcome.settings["against"]
    return f"With {other}" if other else "Fixed"
