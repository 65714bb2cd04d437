"""The floating-point formats a loss is computed in, and rounding to them, without NumPy."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import NamedTuple


class Format(NamedTuple):
    """A binary floating-point format. ``round`` takes a float64 to the nearest value, ties to even."""

    name: str
    eps: float  # distance from 1 to the next larger number
    tiny: float  # smallest normal number
    max: float
    round: Callable[[float], float]


def _round_by_struct(code: str) -> Callable[[float], float]:
    pack, unpack = struct.Struct(code).pack, struct.Struct(code).unpack

    def round_(x: float) -> float:
        try:
            rounded: float = unpack(pack(x))[0]
        except OverflowError:
            return math.copysign(math.inf, x)
        return rounded

    return round_


_round_float32 = _round_by_struct("<f")


def _round_bfloat16(x: float) -> float:
    """Through float32, as frameworks do, then to the upper half of its bits, ties to even."""
    x = _round_float32(x)
    if not math.isfinite(x):
        return x
    bits = struct.unpack("<I", struct.pack("<f", x))[0]
    bits = (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000
    rounded: float = struct.unpack("<f", struct.pack("<I", bits))[0]
    return rounded


FORMATS = {
    f.name: f
    for f in (
        Format("float16", 2.0**-10, 2.0**-14, 65504.0, _round_by_struct("<e")),
        Format("bfloat16", 2.0**-7, 2.0**-126, (2 - 2.0**-7) * 2.0**127, _round_bfloat16),
        Format("float32", 2.0**-23, 2.0**-126, (2 - 2.0**-23) * 2.0**127, _round_float32),
        Format("float64", 2.0**-52, 2.0**-1022, (2 - 2.0**-52) * 2.0**1023, float),
    )
}


def float_format(dtype: object) -> Format:
    """The format named by a string, a NumPy dtype or anything whose name says it, e.g. ``"float32"``.

    Raises ``ValueError`` for any other.
    """
    name = dtype if isinstance(dtype, str) else getattr(dtype, "name", getattr(dtype, "__name__", str(dtype)))
    try:
        return FORMATS[str(name)]
    except KeyError:
        raise ValueError(f"unknown dtype {name!r}: expected one of {', '.join(FORMATS)}") from None
