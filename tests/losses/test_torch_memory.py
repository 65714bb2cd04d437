"""Without a kernel, a loss and its gradient take no more memory at their peak than torch's own."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
PEAK = Path("/proc/self/clear_refs")  # writing 5 forgets the peak so far
CASES = ("mean", "none", "weights", "smoothing", "bfloat16", "float64", "pixels")
PROGRAM = """
import ctypes, json, pathlib, sys, torch
import torch.nn.functional as F
from finallayer.losses import torch as ours

def kilobytes(what):
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(what)).split()[1])

def taken(case, loss):
    shape = (8, 500, 2000) if case == "pixels" else (1000, 8000)
    dtype = getattr(torch, case) if "float" in case else torch.float32
    z, t = torch.randn(shape, dtype=dtype).requires_grad_(), torch.randint(shape[1], shape[:1] + shape[2:])
    options = {"none": {"reduction": "none"}, "weights": {"weight": torch.rand(shape[1])}}
    options["smoothing"] = {"label_smoothing": 0.1}
    for step in range(2):  # the first one loads what is loaded once
        z.grad = None
        ctypes.CDLL(None).malloc_trim(0)  # what is free goes back to the system, so that it counts when it is taken
        pathlib.Path("/proc/self/clear_refs").write_text("5")
        before = kilobytes("VmRSS")
        loss(z, t, **options.get(case, {})).sum().backward()
        peak = kilobytes("VmHWM") - before
    return peak / (z.numel() * z.element_size() / 1024)

torch.set_num_threads(1)
loss = ours.cross_entropy if sys.argv[1] == "ours" else F.cross_entropy
print(json.dumps({case: taken(case, loss) for case in sys.argv[2:]}))
"""


def peaks(whose: str) -> dict[str, float]:
    """By case, in sizes of the logits."""
    environment = {**os.environ, "FINALLAYER_KERNEL": "framework"}
    command = [sys.executable, "-c", PROGRAM, whose, *CASES]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, timeout=240)
    found: dict[str, float] = json.loads(ran.stdout)
    return found


@pytest.mark.skipif(
    not os.access(PEAK, os.W_OK) or not hasattr(ctypes.CDLL(None), "malloc_trim"),
    reason="the peak of a process's memory is not told here",
)
def test_the_peak_is_no_higher_than_torchs() -> None:
    mine, theirs = peaks("ours"), peaks("torch")
    assert {case: (mine[case], theirs[case]) for case in CASES if mine[case] > theirs[case]} == {}
    told = json.dumps(mine)
    assert all(peak < 1.5 for peak in mine.values()), told  # the gradient, and what fits the cache
    assert all(peak > 0.5 for peak in mine.values()), told  # a loaded system takes pages back while they are counted
