"""Runs jax_on_four_devices.py in a process whose CPU is four devices, with the kernel and without."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SUITE = Path(__file__).with_name("jax_on_four_devices.py")


@pytest.mark.parametrize("kernel", ["", "framework"], ids=["kernel", "no kernel"])
def test_sharded(kernel: str) -> None:
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", "FINALLAYER_KERNEL": kernel}
    command = [sys.executable, "-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider", str(SUITE)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stdout[-6000:]
    assert " passed" in done.stdout
