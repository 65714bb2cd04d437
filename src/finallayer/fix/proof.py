"""The proof that a fix carries: the old and the new loss expression evaluated side by side.

A new loss replaces an old one when they agree, in float64, on rows where the old one is not saturated, and when the
new one's gradient is the truth, that of the same formula in exact arithmetic (``softmax(z) - p`` of a cross-entropy),
on adversarial rows with margins to 1e4 in both directions, where the old one's is not.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import lru_cache
from math import exp, isfinite
from typing import Any, NamedTuple

from finallayer.expr import GUARDS, Node, logits, make, target
from finallayer.kinds import Kind

#: Rows on which every loss that is right at all is right: a few classes, logits of ordinary size.
_MODERATE_ROWS, _MODERATE = 24, 3.0
#: Margins at which losses saturate, each tried in both directions.
MARGINS = (1.0, 8.0, 15.0, 17.0, 30.0, 90.0, 110.0, 700.0, 1e3, 1e4)
#: Guards up to here are only there against log(0); a larger one changes what the loss says of ordinary rows, too.
_LARGEST_GUARD = 1e-3
#: How closely the gradient must meet the truth: 4 units in the last place, in float64, of the row's largest number.
#: (The logits themselves are rounded to half of one: a log_softmax, which subtracts a logsumexp, is off by as much.)
_TOLERANCE = 4 * 2.0**-52


class Proof(NamedTuple):
    """What the evaluation of both sides showed."""

    holds: bool
    why: str = ""


@lru_cache(maxsize=1024)  # programs write the same loss again and again
def prove(old: Node | None, new: Node, binary: bool = False, mends_maths: bool = False) -> Proof:
    """Whether ``new`` may take the place of ``old``; both are losses on one row over the leaves z and y.

    Without an ``old`` loss, because that one was wrong maths, ``new`` has to be the cross-entropy that was meant.
    ``mends_maths``: the old loss is said to be wrong (softmax applied twice), which then has to show.
    """
    from finallayer.numerics.program import UnevaluableError

    meant = make("bce_logits" if binary else "xent_logits", logits(), target())
    old = meant if old is None else old
    if largest_guard(old) > _LARGEST_GUARD:
        return Proof(False, "a guard as large as this is part of what the loss means")
    if any(n.kind is Kind.LOGITS and n.op != "logits" for loss in (old, new) for n in loss.walk()):
        return Proof(False, "the logits are changed on their way, so that it isn't them that the gradient is of")
    try:
        if mends_maths:
            if next(_disagreements(old, meant, binary), None) is None:
                return Proof(False, "the old loss isn't wrong")
            old = meant
        wrong = next(_disagreements(old, new, binary), None) or next(_wrong_gradients(new, binary), None)
        return Proof(wrong is None, wrong or "")
    except (UnevaluableError, RecursionError) as error:
        return Proof(False, f"can't be evaluated: {error}")


def _disagreements(old: Node, new: Node, binary: bool) -> Iterator[str]:
    """Where the new loss is another than the old one's formula, or than the old one, guards and all."""
    from finallayer.numerics.evaluate import evaluate

    formula, guarded = without_guards(old), largest_guard(old)
    for row, label in _moderate_rows(binary):
        after = evaluate(new, row, label, "float64")
        for loss, slack in ((formula, 1e-9), (old, 1e-9 + 4 * guarded / _least_probability(row, binary))):
            before = evaluate(loss, row, label, "float64")
            pairs = [(before.loss, after.loss), *zip(before.grad, after.grad, strict=True)]
            if any(not abs(b - a) <= slack * (1 + abs(a)) for b, a in pairs):
                yield f"the losses differ at logits {row}, label {label}: {before.loss} and {after.loss}"


def without_guards(loss: Node) -> Node:
    """A loss without its clips and epsilons: the formula that was meant."""
    inner = [without_guards(a) for a in loss.args]
    return inner[0] if loss.op in GUARDS else make(loss.op, *inner, **_without_eps(loss.attrs))


def _without_eps(attrs: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in attrs.items() if name != "eps"}


def _least_probability(row: list[float], binary: bool) -> float:
    scores = [*row, 0.0] if binary else row
    return exp(min(scores)) / sum(map(exp, scores))  # finallayer: ignore[FL207] (the rows are ours, and small)


def largest_guard(loss: Node) -> float:
    """The largest epsilon or clip in a loss: by as much its probabilities are off where nothing is saturated."""
    stated = [n.attrs.get(name) for n in loss.walk() for name in ("eps", "low", "high")]
    sizes = [min(abs(v), abs(1 - v)) for v in stated if isinstance(v, (int, float))]
    return max(sizes, default=0.0)


def _wrong_gradients(new: Node, binary: bool) -> Iterator[str]:
    from finallayer.numerics.evaluate import evaluate

    formula = without_guards(new)
    for row, label in _adversarial_rows(binary):
        got, truth = evaluate(new, row, label, "float64").grad, evaluate(formula, row, label, "exact").grad
        for g, t in zip(got, truth, strict=True):
            if not isfinite(g) or abs(g - float(t)) > _TOLERANCE * max(1.0, *map(abs, row)):
                yield f"the new gradient is off at logits {row}, label {label}: {g}, truth {float(t)}"


def _moderate_rows(binary: bool) -> Iterator[tuple[list[float], int]]:
    draw = random.Random(0)
    for _ in range(_MODERATE_ROWS):
        classes = 1 if binary else draw.randint(2, 6)
        row = [draw.uniform(-_MODERATE, _MODERATE) for _ in range(classes)]
        yield row, draw.randint(0, 1) if binary else draw.randrange(classes)


def _adversarial_rows(binary: bool) -> Iterator[tuple[list[float], int]]:
    for margin in MARGINS:
        for m in (margin, -margin):
            yield from (([m], label) for label in (0, 1)) if binary else iter([([m, 0.0, -0.5 * m], 1)])
