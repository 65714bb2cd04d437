"""A slice of ``benchmarks/fuzz_hostile.py``: damaged files, the same thousands of times, and trees of anything."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("filelock")
pytest.importorskip("jinja2")

FUZZER = Path(__file__).parents[2] / "benchmarks" / "fuzz_hostile.py"


def fuzzed(*options: str) -> tuple[int, str]:
    ended = subprocess.run(
        [sys.executable, str(FUZZER), *options], capture_output=True, text=True, check=False, timeout=200
    )
    return ended.returncode, ended.stdout + ended.stderr


def test_read_or_refused_in_one_line() -> None:
    code, said = fuzzed("--cases", "160", "--seed", "70000")
    assert code == 0 and said.startswith("160 cases: 0 faults"), said[-3000:]


def test_what_takes_too_long_is_a_fault_that_can_be_made_again() -> None:
    code, said = fuzzed("--cases", "10", "--slow", "0")
    assert code == 1 and "seed 9: a tree: " in said and "10 cases: 10 faults" in said
