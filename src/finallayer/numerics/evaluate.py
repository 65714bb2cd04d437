"""Evaluate a loss expression and its gradient with respect to the logits, in any format, and find its safe margin.

Everything is scalar Python on one small row, so that ``finallayer check`` can state the margin of what it
found without loading NumPy. Reverse mode over the program, each operation rounded to the format, infinities
and nans as IEEE has them. Subnormals are kept: a backend that flushes them to zero (XLA) breaks down up to
1.4 nats before the margin given here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

from finallayer.expr import Node
from finallayer.numerics.arithmetic import Arithmetic, exact, rounding_to
from finallayer.numerics.formats import float_format
from finallayer.numerics.forward_backward import OPERATIONS, Value
from finallayer.numerics.program import FIRST_STEP, LOGITS, Program, UnevaluableError, compile_expression
from finallayer.numerics.safe_margin import gradient_is_right, largest_safe_margin

#: Rows of classes, and binary logits, on which whatever is a cross-entropy at all has the right gradient.
MODERATE: dict[bool, tuple[tuple[float, ...], ...]] = {
    True: ((0.5, -0.25, 0.125), (1.0, -0.5, 0.75)),
    False: ((0.25,), (-0.75,)),
}


class Evaluation(NamedTuple):
    """A loss in nats and its gradient per logit: floats, or mpmath numbers where evaluated exactly."""

    loss: Any
    grad: list[Any]


def evaluate(
    expression: Node, logits: Sequence[float], target: int | float | Sequence[float], dtype: object = "float32"
) -> Evaluation:
    """The value of a loss expression on one row, and its gradient with respect to the logits.

    ``logits``: one number per class, or a single one for a binary loss. ``target``: a class, or a
    distribution over the classes; 0 to 1 for a binary loss. ``dtype``: the format that every operation is
    rounded to (float16, bfloat16, float32, float64), or ``"exact"`` for mpmath at 60 digits, which follows
    the expression too, clips and all.

    Raises ``UnevaluableError`` (a ``ValueError``) for an expression without a value on one row, naming why.
    """
    arithmetic = exact() if dtype == "exact" else rounding_to(dtype)
    return _run(compile_expression(expression), list(logits), _distribution(target, len(logits)), arithmetic)


def expression_safe_margin(expression: Node, dtype: object = "float32") -> float | None:
    """The largest margin up to which the gradient of a loss expression is within 1 % of the truth, the target trailing.

    The truth is ``softmax(z) - p`` for a row of classes and ``sigmoid(z) - y`` for a binary logit (the
    worse of both labels), up to a constant factor such as a class weight's. ``inf`` if there is no such
    margin within the range of ``dtype`` (float16, bfloat16, float32, float64); 0 if the gradient is wrong
    even for small logits, as that of a double softmax is; None for an expression that has no value on one
    row or is another loss (focal, say).
    """
    form = float_format(dtype)
    try:
        return _safe_margin(compile_expression(expression), form.name)
    except (UnevaluableError, RecursionError):  # recursion: expressions are compared node by node, however deep
        return None
    except ValueError:  # rows of different lengths meet, such as a model's numbers and those of a constant
        return None


@lru_cache(maxsize=4096)
def _safe_margin(program: Program, dtype: str) -> float | None:
    probes = [probe for probe in map(partial(_fit, program), _targets_to_try(program)) if probe is not None]
    if not probes:
        return 0.0 if program.nested else None
    form, arithmetic = float_format(dtype), rounding_to(dtype)

    def is_right(margin: float) -> bool:
        for target, factor in probes:
            row = _row(margin, target)
            got = _run(program, row, target, arithmetic).grad
            if not gradient_is_right(got, [factor * t for t in _truth(row, target)], form):
                return False
        return True

    return largest_safe_margin(is_right, form)


class _Probe(NamedTuple):
    """A target for which the program's gradient is the truth times a constant factor, for moderate logits."""

    target: Value
    factor: float


def _targets_to_try(program: Program) -> list[Value]:
    """A class, and none at all for what ends in a log-sum-exp; both labels of a binary loss."""
    return [[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]] if program.categorical else [[1.0], [0.0]]


def _fit(program: Program, target: Value) -> _Probe | None:
    form, arithmetic = float_format("float64"), rounding_to("float64")
    rows = MODERATE[program.categorical]
    truths = [_truth(row, target) for row in rows]
    grads = [_run(program, row, target, arithmetic).grad for row in rows]
    factor = _dot(grads[0], truths[0]) / _dot(truths[0], truths[0])
    scaled = [[factor * t for t in truth] for truth in truths]
    fits = factor and all(gradient_is_right(g, t, form) for g, t in zip(grads, scaled, strict=True))
    return _Probe(target, factor) if fits else None


def _dot(a: Sequence[float], b: Sequence[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def _row(margin: float, target: Value) -> Value:
    """Logits whose target trails by the margin: class 0 leads, or a binary logit on the wrong side."""
    if len(target) > 1:
        return [margin] + [0.0] * (len(target) - 1)
    return [-margin if target[0] else margin]


def _truth(row: Sequence[float], target: Value) -> Value:
    """``softmax(row) - target``, or ``sigmoid(row) - target`` for one logit, without cancellation."""
    logits, p = (row, target) if len(row) > 1 else ([row[0], 0.0], [target[0], 1 - target[0]])
    top = max(logits)
    e = [math.exp(v - top) for v in logits]
    total = sum(e)
    others = [sum(e[:j] + e[j + 1 :]) for j in range(len(e))]
    grad = [-others[j] / total if p[j] else e[j] / total for j in range(len(e))]
    return grad[: len(row)]


def _distribution(target: int | float | Sequence[float], classes: int) -> Value:
    if isinstance(target, Sequence):
        return list(target)
    return [float(target)] if classes == 1 else [float(j == target) for j in range(classes)]


def _run(program: Program, logits: Sequence[Any], target: Value, m: Arithmetic) -> Evaluation:
    """Forward through the steps, then backward: each step's gradient reaches its arguments, and adds up there."""
    values: list[Value] = [[m.round(v) for v in logits], [m.round(v) for v in target]]
    backwards = []
    for op, args, attrs in program.steps:
        operands = [values[i] for i in args]
        try:
            value, backward = OPERATIONS[op](m, operands, dict(attrs))
        except ValueError as error:
            raise UnevaluableError(f"{op} of values of {[len(v) for v in operands]} numbers") from error
        values.append(value)
        backwards.append(backward)
    if len(values[-1]) != 1:
        raise UnevaluableError(f"the expression gives {len(values[-1])} values on one row, not a loss")

    grads: list[Value | None] = [None] * (len(values) - 1) + [[m.round(1.0)]]
    for at in reversed(range(FIRST_STEP, len(values))):
        grad = grads[at]
        if grad is None:
            continue
        step = program.steps[at - FIRST_STEP]
        for i, g in zip(step.args, backwards[at - FIRST_STEP](grad), strict=True):
            there = grads[i]
            grads[i] = g if there is None else [m.round(a + b) for a, b in zip(there, g, strict=True)]
    return Evaluation(values[-1][0], grads[LOGITS] or [m.round(0.0)] * len(logits))
