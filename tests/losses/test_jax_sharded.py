"""Runs jax_on_four_devices.py in a process whose CPU is four devices, with the kernel and without."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SUITE = Path(__file__).with_name("jax_on_four_devices.py")
#: Four devices, and what is compiled for them as quickly as that goes: test_jax.py has what users get.
FLAGS = "--xla_force_host_platform_device_count=4 --xla_backend_optimization_level=0"


@pytest.mark.parametrize("kernel", ["", "framework"], ids=["kernel", "no kernel"])
def test_sharded(kernel: str) -> None:
    environment = os.environ | {"XLA_FLAGS": FLAGS, "FINALLAYER_KERNEL": kernel}
    needless = ["-p", "no:cacheprovider", "-p", "no:pytest-lsp"]  # the latter takes a second to load
    command = [sys.executable, "-m", "pytest", "-q", "--tb=short", *needless, str(SUITE)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stdout[-6000:]
    assert " passed" in done.stdout
