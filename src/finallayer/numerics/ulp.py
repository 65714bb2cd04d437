"""Errors in units in the last place."""

from __future__ import annotations

import math
from typing import Any

import mpmath
import numpy as np
from numpy.typing import DTypeLike


def ulp(x: Any, dtype: DTypeLike) -> Any:
    """The spacing of ``dtype``'s numbers in the binade of ``x``, as an mpmath number.

    Below the normal range, and for 0, it is the smallest subnormal.
    """
    info = _info(dtype)
    exponent = mpmath.frexp(x)[1] - 1 if x else info.minexp
    return mpmath.ldexp(1, max(int(exponent), int(info.minexp)) - int(info.nmant))


def ulp_error(got: Any, exact: Any, dtype: DTypeLike) -> float:
    """How far ``got`` is from ``exact``, in units in the last place of ``dtype`` at ``exact``.

    ``got``: a float. ``exact``: an mpmath number or a float. A correctly rounded result is within 0.5
    everywhere. Both nan, both the same infinity, or an infinity where ``exact`` rounds to it, are 0 apart;
    any other mix with a non-finite value is ``inf``.

    Definition: J.-M. Muller, "On the definition of ulp(x)", https://inria.hal.science/inria-00070503
    """
    with mpmath.workdps(80):  # an mpmath number is rounded to the ambient precision by whatever touches it
        got, exact = float(got), mpmath.mpf(exact)
        if mpmath.isnan(exact) or math.isnan(got):
            return 0.0 if mpmath.isnan(exact) and math.isnan(got) else math.inf
        if mpmath.isinf(exact) or math.isinf(got):
            overflows = math.isinf(got) and abs(exact) >= _overflow_threshold(dtype) and exact * got > 0
            return 0.0 if exact == got or overflows else math.inf
        return float(abs(got - exact) / ulp(exact, dtype))


def _overflow_threshold(dtype: DTypeLike) -> Any:
    """From here on, numbers round to infinity."""
    largest = float(_info(dtype).max)
    return largest + ulp(largest, dtype) / 2


def _info(dtype: DTypeLike) -> Any:
    """What is to be known of a format; NumPy doesn't know those of ``ml_dtypes``, bfloat16 say."""
    try:
        return np.finfo(dtype)
    except ValueError:
        import ml_dtypes

        finfo: Any = ml_dtypes.finfo
        return finfo(dtype)
