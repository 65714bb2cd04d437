"""The GPU kernel without a GPU: run by Triton's interpreter, and compiled for GPUs that need not be there.

`test_conformance.py` has the interpreter run the table that all frameworks share. Each run is a process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("triton")
pytest.importorskip("torch")

ROOT = Path(__file__).parents[3]
TARGETS = ("sm_80", "sm_90", "sm_100", "gfx942")


def printed(module: str, *arguments: str, **environment: str) -> dict[str, Any]:
    """What ``python -m module`` prints in the end."""
    command = [sys.executable, "-m", f"tests.losses.triton.{module}", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize(
    ("tile", "parts"), [("whole", ()), ("blocks", ("margins", "outputs", "upstreams", "linear"))], ids=str
)
def test_every_row_is_as_exact_as_is_promised(tile: str, parts: tuple[str, ...]) -> None:
    found = printed("rows", *parts, FINALLAYER_TEST_TILE=tile)
    assert len(found) >= 12
    assert not {check: error for check, error in found.items() if not error <= 1.0}


def test_every_mutant_is_noticed() -> None:
    noticed = printed("mutants")
    assert len(noticed) >= 20
    assert not {mutant: seen for mutant, seen in noticed.items() if seen is not True}


@pytest.mark.parametrize("target", TARGETS)
def test_it_compiles_and_nothing_spills(target: str, tmp_path: Path) -> None:
    kernels = printed("compiled", target, TRITON_CACHE_DIR=str(tmp_path), TRITON_INTERPRET="0")[target]
    assert len(kernels) >= 8
    assert not {name: needs for name, needs in kernels.items() if needs["stack"]}
