"""Runs keras_on_a_backend.py on every Keras backend, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SUITE = Path(__file__).with_name("keras_on_a_backend.py")


@pytest.mark.parametrize("backend", ["jax", "tensorflow", "torch"])
def test_keras_losses_on(backend: str) -> None:
    environment = os.environ | {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    needless = ["-p", "no:cacheprovider", "-p", "no:pytest-lsp"]  # the latter takes a second to load
    command = [sys.executable, "-m", "pytest", "-q", "--tb=short", *needless, str(SUITE)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stdout[-6000:]
    assert " passed" in done.stdout
