"""Errors in units in the last place."""

from __future__ import annotations

import math
from typing import Any

import mpmath
import numpy as np
from numpy.typing import DTypeLike


def ulp_error(got: Any, exact: Any, dtype: DTypeLike) -> float:
    """How far ``got`` is from ``exact``, in units in the last place of ``dtype`` at ``exact``.

    ``got``: a float. ``exact``: an mpmath number or a float. The unit is the spacing of ``dtype``'s numbers
    in the binade of ``exact``, and the smallest subnormal below the normal range: a correctly rounded
    result is within 0.5 everywhere. Both nan, both the same infinity, or an infinity where ``exact`` rounds
    to it, are 0 apart; any other mix with a non-finite value is ``inf``.

    Definition: J.-M. Muller, "On the definition of ulp(x)", https://inria.hal.science/inria-00070503
    """
    with mpmath.workdps(80):  # an mpmath number is rounded to the ambient precision by whatever touches it
        return _ulp_error(float(got), mpmath.mpf(exact), np.finfo(dtype))


def _ulp_error(got: float, exact: Any, info: Any) -> float:
    if mpmath.isnan(exact) or math.isnan(got):
        return 0.0 if mpmath.isnan(exact) and math.isnan(got) else math.inf
    if mpmath.isinf(exact) or math.isinf(got):
        rounds_to_inf = abs(exact) >= mpmath.mpf(float(info.max)) * (1 + mpmath.mpf(float(info.epsneg)) / 2)
        return 0.0 if exact == got or (math.isinf(got) and rounds_to_inf and exact * got > 0) else math.inf
    exponent = mpmath.frexp(exact)[1] - 1 if exact else info.minexp
    unit = mpmath.ldexp(1, max(int(exponent), int(info.minexp)) - int(info.nmant))
    return float(abs(got - exact) / unit)
