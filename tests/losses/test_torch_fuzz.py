"""A slice of ``benchmarks/fuzz_losses.py``: arguments good and bad, in a process of their own, against long double."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
FUZZER = Path(__file__).parents[2] / "benchmarks" / "fuzz_losses.py"


@pytest.mark.parametrize("path", ["", "framework"], ids=["kernel", "no kernel built"])
def test_a_right_result_or_a_clear_error(path: str) -> None:
    command = [sys.executable, str(FUZZER), "--combinations", "200", "--workers", "1", "--seed", "7"]
    environment = {**os.environ, "FINALLAYER_KERNEL": path or os.environ.get("FINALLAYER_KERNEL", "")}
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280, env=environment)
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-1000:]
    assert ran.stdout.startswith("200 combinations") and "wrong: 0" in ran.stdout


def test_the_fuzzer_sees_a_wrong_gradient_and_a_crash(tmp_path: Path) -> None:
    """With the framework path's gradient off by one part in 10,000, and with a function that ends the process."""
    for body, seen in (
        ("right = _framework._gradient\n_framework._gradient = lambda *a: right(*a) * 1.0001", "gradient at"),
        ("import os\n_framework.cross_entropy = lambda *a, **k: os.kill(os.getpid(), 11)", "crashed (-11)"),
    ):
        spoilt = tmp_path / "spoilt.py"
        patch = f"from finallayer.losses.torch import _framework\n{body}\n"
        start = "    counts: collections.Counter[str] = collections"
        source = FUZZER.read_text("utf-8").replace(start, f"    exec({patch!r}, {{}})\n{start}", 1)
        spoilt.write_text(source, "utf-8")
        command = [sys.executable, str(spoilt), "--combinations", "60", "--workers", "1"]
        environment = {**os.environ, "FINALLAYER_KERNEL": "framework"}
        ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=environment)
        assert ran.returncode == 1 and seen in ran.stdout, ran.stdout + ran.stderr[-2000:]


def test_what_was_once_wrong() -> None:
    seeds = "97833", "120756"  # permuted pixels, and permuted pixels that are a slice
    ran = subprocess.run(
        [sys.executable, str(FUZZER), "--replay", *seeds], capture_output=True, text=True, check=False, timeout=120
    )
    told = [line for line in ran.stdout.splitlines() if not line.startswith(" ") and ", wrong with it: " not in line]
    assert ran.returncode == 0 and told == ["None"] * len(seeds), ran.stdout + ran.stderr[-2000:]
