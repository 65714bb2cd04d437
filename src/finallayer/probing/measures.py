"""What is measured of a loss on the bench: its ends, its offsets, its rounding, its floor, and its odd cases."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np

from finallayer.numerics.safe_margin import STEPS, Target, largest_safe_margin, margins_to_try
from finallayer.probing.bench import Bench, Row

#: Common offsets: what is added to all logits of a row changes no cross-entropy.
OFFSETS = (1e4, 1e6)
OFFSET_ROWS = 16
#: Where the curve is measured, in nats; the target leads where the margin is negative.
CURVE = tuple(m / 2 for m in range(-48, 81))
#: Rows for the worst error in ulp, and the logits that they have in all.
RANDOM_ROWS, RANDOM_LOGITS = 90, 6000
IGNORED = -100


class Curve(NamedTuple):
    """Loss, and size of the gradient at the target, by margin; with the truth, where that is known."""

    margins: tuple[float, ...]
    gradient: tuple[float, ...]
    true_gradient: tuple[float, ...]
    loss: tuple[float, ...]
    true_loss: tuple[float, ...]


class Behaviour(NamedTuple):
    """What a loss makes of an odd row. ``verdict``: right, wrong, nan, or the error that it raises."""

    case: str
    verdict: str
    loss: float | None = None
    true_loss: float | None = None


def safe_margin(bench: Bench) -> float:
    """Up to which margin the gradient is right where the target trails."""
    return _largest(bench, "trails", bench.trailing, bench.gradient_is_right)


def confident_margin(bench: Bench) -> float:
    """Up to which margin loss and gradient are right where the target leads."""
    return _largest(
        bench, "leads", bench.leading, lambda row: bench.gradient_is_right(row) and bench.loss_is_right(row)
    )


def silent_from(bench: Bench, target: Target) -> float | None:
    """From which margin on the gradient is exactly 0; None where it never is."""
    rows = bench.trailing if target == "trails" else bench.leading
    speaks = _largest(bench, target, rows, lambda row: not bench.is_silent(row))
    return speaks if math.isfinite(speaks) and speaks > 0 else None


def _largest(
    bench: Bench, target: Target, rows: Callable[[float], list[Row]], is_right: Callable[[Row], bool]
) -> float:
    step = STEPS[target]
    bench.prepare(row for m in [0.0, *margins_to_try(bench.form, step)] for row in rows(m))
    return largest_safe_margin(lambda m: all(map(is_right, rows(m))), bench.form, target)


def curve(bench: Bench) -> Curve:
    """The loss and its gradient by margin."""
    rows = [(bench.trailing(m) if m > 0 else bench.leading(-m))[0] for m in CURVE]
    bench.prepare(rows)
    got = [bench.measured(row) for row in rows]
    truths = [bench.truth(row) for row in rows]
    known = [t for t in truths if t is not None]
    at = [min(row.label, bench.classes - 1) for row in rows]
    return Curve(
        tuple(map(bench.form.round, CURVE)),
        tuple(float(abs(g.gradient[k])) for g, k in zip(got, at, strict=True)),
        tuple(float(abs(t.gradient[k])) for t, k in zip(known, at, strict=False)),
        tuple(g.loss for g in got),
        tuple(float(t.loss) for t in known),
    )


def offset_error(bench: Bench) -> dict[float, float]:
    """By how much loss or gradient is off, of its size, for each common offset that the format has."""
    if bench.binary or bench.called.truth is None or bench.called.truth.twice:
        return {}
    return {c: max(_errors(bench, _shifted(bench, c))) for c in OFFSETS if c < bench.form.max / 2}


def _shifted(bench: Bench, offset: float) -> list[Row]:
    """Moderate rows, all of whose logits the format has at this offset."""
    rng = np.random.default_rng(0)
    spacing = max(0.25, bench.form.eps * 2 ** math.floor(math.log2(offset)))
    patterns = rng.integers(-8, 9, size=(OFFSET_ROWS, bench.classes)) * spacing + offset
    labels = rng.integers(bench.classes, size=OFFSET_ROWS).tolist()
    return [Row(tuple(map(bench.form.round, row.tolist())), y) for row, y in zip(patterns, labels, strict=True)]


def _errors(bench: Bench, rows: Iterable[Row]) -> Iterator[float]:
    for row in rows:
        got, truth = bench.measured(row), bench.truth(row)
        if truth is not None:
            wanted = np.array(truth.gradient, dtype=np.float64)
            off = float(np.abs(got.gradient - wanted).max() / np.abs(wanted).max())
            yield off if not bench.loss_is_known else max(off, abs(got.loss - truth.loss) / abs(truth.loss))


def ulps(bench: Bench) -> dict[str, float]:
    """The worst error of loss and gradient on random rows, in units in the last place of the format."""
    from finallayer.numerics.safe_margin import numpy_dtype
    from finallayer.numerics.ulp import ulp_error

    truth = bench.called.truth
    if truth is None or not truth.exact or truth.twice:
        return {}
    rows = list(_random_rows(bench))
    bench.prepare(rows)
    worst = {"loss": 0.0} if bench.differences else {"loss": 0.0, "gradient": 0.0}
    dtype = numpy_dtype(bench.form)
    for row in rows:
        got, exact = bench.measured(row), truth.exactly(np.array(row.logits), row.label)
        worst["loss"] = max(worst["loss"], ulp_error(got.loss, exact.loss, dtype))
        if not bench.differences:
            each = (ulp_error(g, t, dtype) for g, t in zip(got.gradient, exact.gradient, strict=True))
            worst["gradient"] = max(worst["gradient"], *each)
    return worst


def _random_rows(bench: Bench) -> Iterator[Row]:
    """Moderate and wide rows, at offsets up to 100, whose target leads, trails, or is any."""
    rng = np.random.default_rng(0)
    count = max(6, min(RANDOM_ROWS, RANDOM_LOGITS // bench.classes))
    for k in range(count):
        z = rng.normal(size=bench.classes) * (1.0, 5.0, 20.0)[k % 3] + (
            0.0 if bench.binary else rng.choice([0, 1, 100])
        )
        any_label = int(rng.integers(max(2, bench.classes)))
        label = any_label if bench.classes == 1 else (int(z.argmax()), int(z.argmin()), any_label)[k // 3 % 3]
        yield Row(tuple(map(bench.form.round, z.tolist())), label)


def floor(bench: Bench) -> float:
    """The lowest loss of all rows whose target leads, however far."""
    top = min(1e4, bench.form.max / 2)
    rows = [row for lead in (*np.arange(0, 41, 0.5).tolist(), 100.0, 1e3, top) for row in bench.leading(lead)]
    bench.prepare(rows)
    return min(loss for row in rows if not math.isnan(loss := bench.measured(row).loss))


def behaviours(bench: Bench) -> tuple[Behaviour, ...]:
    """What the loss makes of masked classes, of ties, and of labels that are to be ignored."""
    if bench.classes == 1:
        return (_behaviour(bench, "logit 0", Row((0.0,), 0)),)
    rest, low = (0.0,) * (bench.classes - 2), -math.inf
    cases = {
        "-inf at another class": Row((1.0, low, *rest), 0),
        "-inf at the target": Row((1.0, low, *rest), 1),
        "all classes tie": Row((3.0, 3.0, *(3.0,) * (bench.classes - 2)), 0),
        "all are -inf": Row((low,) * bench.classes, 0),
    }
    return (*(_behaviour(bench, case, row) for case, row in cases.items()), *_ignored(bench))


def _behaviour(bench: Bench, case: str, row: Row) -> Behaviour:
    try:
        got = bench.measured(row)
        truth = bench.truth(row) if bench.called.truth else None
    except Exception as error:
        return Behaviour(case, f"raises {type(error).__name__}")
    if truth is None:
        verdict = "nan" if math.isnan(got.loss) or np.isnan(got.gradient).any() else "finite"
        return Behaviour(case, verdict, got.loss)
    wanted = np.array(truth.gradient, dtype=np.float64)
    if np.isnan(wanted).any():
        return Behaviour(case, "nan" if np.isnan(got.gradient).any() else "finite", got.loss)
    if math.isnan(got.loss) or np.isnan(got.gradient).any():
        verdict = f"nan in the {'loss' if math.isnan(got.loss) else 'gradient'}"
    else:
        right = np.allclose(got.gradient, wanted, atol=bench.tolerance * np.abs(wanted).max())
        right &= not bench.loss_is_known or bool(np.isclose(got.loss, truth.loss, rtol=bench.tolerance))
        verdict = "right" if right else "wrong"
    return Behaviour(case, verdict, got.loss, float(truth.loss))


def _ignored(bench: Bench) -> Iterator[Behaviour]:
    """A batch without a label that counts, as far as this kind of labels has such a thing."""
    if bench.called.call.label != "index" or not bench.called.call.batch:
        return
    case = f"all labels are {IGNORED}"
    try:
        got = bench.called.run(np.zeros((2, bench.classes)), np.full(2, IGNORED), bench.form.name)
    except Exception as error:
        yield Behaviour(case, f"raises {type(error).__name__}")
        return
    nan = np.isnan(got.value).any() or np.isnan(got.gradient).any()
    silent = not got.gradient.any() and not got.value.any()
    yield Behaviour(case, "nan" if nan else "loss and gradient 0" if silent else "counted", float(got.value.sum()))
