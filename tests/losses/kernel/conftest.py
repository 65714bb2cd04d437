"""The compiled kernel, on each instruction set that this CPU has."""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Iterator
from pathlib import Path

import pytest

from finallayer.kernels import build, library

ISAS = ("neon", "generic") if platform.machine() in ("aarch64", "arm64") else ("avx512", "avx2", "generic")


@pytest.fixture(scope="session")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The installed library; a source tree that was never built compiles one for the tests.

    ``FINALLAYER_TEST_KERNEL`` names another build, as ``sanitize.py`` does.
    """
    if other := os.environ.get("FINALLAYER_TEST_KERNEL"):
        return _loaded(Path(other))
    found = library()
    if found is None:
        built = build.compile_library(Path(tmp_path_factory.mktemp("kernel")))
        if built is None:
            pytest.skip("no kernel and no C++ compiler: only the framework path can be tested here")
        return _loaded(built)
    return found


def _loaded(path: Path) -> ctypes.CDLL:
    lib = ctypes.CDLL(str(path))
    lib.fl_force_isa.restype = ctypes.c_char_p
    return lib


@pytest.fixture(params=ISAS)
def lib(kernel: ctypes.CDLL, request: pytest.FixtureRequest) -> Iterator[ctypes.CDLL]:
    """The kernel restricted to one instruction set."""
    before = kernel.fl_force_isa(b"")
    if kernel.fl_force_isa(request.param.encode()) != request.param.encode():
        pytest.skip(f"this CPU has no {request.param}")
    yield kernel
    kernel.fl_force_isa(before)
