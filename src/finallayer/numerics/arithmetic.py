"""Scalar arithmetic to evaluate a loss in: IEEE floats of any format, or mpmath. NumPy is not needed, nor loaded."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from finallayer.numerics.formats import float_format

Number = Any  # a float, or an mpmath number


class Arithmetic(NamedTuple):
    """What Python's ``+ - *`` do not do themselves: rounding to the format, and functions that never raise."""

    round: Callable[[Number], Number]
    inner: Callable[[Number], Number]  # what a kernel computes in before it rounds: float32 for narrower formats
    exp: Callable[[Number], Number]
    log: Callable[[Number], Number]
    log1p: Callable[[Number], Number]
    div: Callable[[Number, Number], Number]
    sum: Callable[[list[Number]], Number]


@cache
def rounding_to(dtype: object) -> Arithmetic:
    """Float64 arithmetic whose operations are to be rounded to ``dtype``.

    Raises ``ValueError`` for a dtype that is not float16, bfloat16, float32 or float64.
    """
    form = float_format(dtype)
    inner = form if form.name == "float64" else float_format("float32")
    return Arithmetic(form.round, inner.round, _exp, _log, _log1p, _div, sum)


@cache
def exact(digits: int = 60) -> Arithmetic:
    """mpmath's numbers at ``digits`` significant digits, with the same infinities and nans."""
    import mpmath

    mp = mpmath.mp.clone()
    mp.dps = digits
    return Arithmetic(
        round=mp.mpf,
        inner=mp.mpf,
        exp=mp.exp,
        log=lambda x: mp.log(x) if x >= 0 else mp.nan,
        log1p=lambda x: mp.log1p(x) if x > -1 else mp.log(0) if x == -1 else mp.nan,
        div=lambda a, b: a / b if b else mp.mpf(_div(float(a), 0.0)),
        sum=mp.fsum,
    )


def _exp(x: float) -> float:
    try:
        return math.exp(x)
    except OverflowError:
        return math.inf


def _log(x: float) -> float:
    if x > 0:
        return math.log(x)
    return -math.inf if x == 0 else math.nan


def _log1p(x: float) -> float:
    if x > -1:
        return math.log1p(x)
    return -math.inf if x == -1 else math.nan


def _div(a: float, b: float) -> float:
    if b:
        return a / b
    return math.nan if a == 0 or math.isnan(a) else math.copysign(math.inf, a) * math.copysign(1.0, b)
