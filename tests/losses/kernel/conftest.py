"""The compiled kernel, on each instruction set that this CPU has."""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from finallayer.kernels import build, library

from . import emulated
from .emulated import EmulatedKernel

IS_ARM = platform.machine() in ("aarch64", "arm64")
ISAS = ("neon", "generic") if IS_ARM else ("avx512", "avx2", "generic", "neon under qemu")


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


@pytest.fixture(scope="session")
def emulated_kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmulatedKernel]:
    if not emulated.is_available():
        pytest.skip(f"needs {emulated.COMPILER} and {emulated.EMULATOR}")
    folder = tmp_path_factory.getbasetemp()
    shared = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder  # by all processes of this run
    with FileLock(shared / "emulated.lock"):
        program = emulated.compiled(shared)
    kernel = EmulatedKernel(program)
    yield kernel
    kernel.close()


@pytest.fixture(params=ISAS)
def lib(kernel: ctypes.CDLL, request: pytest.FixtureRequest) -> Iterator[ctypes.CDLL | EmulatedKernel]:
    """The kernel restricted to one instruction set."""
    if "qemu" in request.param:
        yield request.getfixturevalue("emulated_kernel")
        return
    before = kernel.fl_force_isa(b"")
    if kernel.fl_force_isa(request.param.encode()) != request.param.encode():
        pytest.skip(f"this CPU has no {request.param}")
    yield kernel
    kernel.fl_force_isa(before)
