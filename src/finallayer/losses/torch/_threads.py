"""Whose threads the CPU kernel works with: those that torch divides its own operations among."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

import torch


def parallel_of_torch() -> int | None:
    """Address of the ``GOMP_parallel`` of the OpenMP runtime that torch runs on; None where it runs on another."""
    core = Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"
    try:  # loaded already, and a name is looked up in all that it is linked with
        parallel = ctypes.CDLL(str(core), mode=getattr(os, "RTLD_NOLOAD", 0)).GOMP_parallel
    except (OSError, AttributeError):
        return None
    return ctypes.cast(parallel, ctypes.c_void_p).value
