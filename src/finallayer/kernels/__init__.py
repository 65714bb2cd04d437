"""The CPU kernels behind `finallayer.losses`, loaded by ctypes; the C ABI is in ``finallayer_kernels.h``."""

from __future__ import annotations

import ctypes
import os
import struct
from functools import cache
from pathlib import Path

ABI_VERSION = 5
FLOAT32, BFLOAT16, FLOAT16, FLOAT64 = range(4)
INDEX32, INDEX64, DISTRIBUTION = range(3)
REDUCTIONS = {"none": 0, "sum": 1, "mean": 2}
OK, TARGET_OUT_OF_RANGE, BAD_ARGUMENT, NO_MEMORY, INEXACT = range(5)

# Set to "framework" to run without the library, to "avx2" or "generic" to restrict it.
ENVIRONMENT_VARIABLE = "FINALLAYER_KERNEL"

# struct fl_xent_args and struct fl_bce_args, member by member: q integer, Q pointer, d double.
CHANGING_ARGS = struct.Struct("=QQQQQQQQdq")  # what both begin with: what changes from call to call
XENT_ARGS = struct.Struct("=QQQQQQQQdqqqqqqqqqqqqqqqqqddddqQqQqqqQq")
BCE_ARGS = struct.Struct("=QQQQQQQQdqqqqqqqqqqq")
BAD_ROW_OFFSET = XENT_ARGS.size - 8


@cache
def library() -> ctypes.CDLL | None:
    """The loaded kernels, or None where they were not built or ``FINALLAYER_KERNEL=framework`` is set."""
    from finallayer.kernels.build import LIBRARY_NAME  # here, so that `-m finallayer.kernels.build` runs it first

    wanted = os.environ.get(ENVIRONMENT_VARIABLE, "")
    path = Path(__file__).parent / LIBRARY_NAME
    if wanted == "framework" or not path.exists():
        return None
    try:
        lib = ctypes.CDLL(str(path))
    except OSError:  # built for another machine
        return None
    if lib.fl_abi_version() != ABI_VERSION:
        return None
    lib.fl_isa.restype = lib.fl_force_isa.restype = ctypes.c_char_p
    lib.fl_force_isa.argtypes = [ctypes.c_char_p]
    lib.fl_scale.argtypes = [ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_double, ctypes.c_int64]
    lib.fl_buffer_acquire.restype = ctypes.c_void_p
    lib.fl_buffer_acquire.argtypes = [ctypes.c_int64]
    lib.fl_buffer_release.argtypes = [ctypes.c_void_p]
    lib.fl_work_with.argtypes = [ctypes.c_void_p]
    lib.fl_buffer_release.restype = lib.fl_buffer_trim.restype = lib.fl_work_with.restype = None
    if wanted:
        lib.fl_force_isa(wanted.encode())
    return lib


def backend() -> str:
    """The kernel's path on this CPU, ``"avx512"``, ``"avx2"``, ``"neon"`` or ``"generic"``; else ``"framework"``."""
    lib = library()
    return lib.fl_isa().decode() if lib else "framework"
