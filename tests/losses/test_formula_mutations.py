"""The mutation gate of the losses without a kernel; the kernel's own is ``kernel/test_mutations.py``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("framework", ["numpy", "torch", "jax", "keras"])
def test_every_mutant_is_noticed(framework: str) -> None:
    environment = {
        **os.environ,
        "FINALLAYER_KERNEL": "framework",
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "JAX_DISABLE_JIT": "1",  # a compilation takes longer than all that is computed here
    }
    command = [sys.executable, "-m", "tests.losses.conformance.mutants", framework]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    noticed = json.loads(done.stdout.splitlines()[-1])
    assert not noticed.pop("none"), "the losses as they are do not pass"
    assert len(noticed) >= 8
    assert not [mutant for mutant, was_noticed in noticed.items() if not was_noticed]
