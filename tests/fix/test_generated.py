"""Generated programs: a fix that is called safe leaves every reader what it saw, and the loss the cross-entropy."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from .generator import torch_program
from .running import difference
from .workbench import repaired

PROGRAMS = 30


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str, str]]:
    """Of each program: its text, its text after the fix, and why the fix is wrong."""
    file: Path = tmp_path_factory.mktemp("generated") / "program.py"
    found = []
    for seed in range(PROGRAMS):
        program = torch_program(random.Random(seed))
        file.write_text(program.text)
        for _, new in repaired(file).changed:
            found.append((program.text, new.decode(), difference(program.text, new.decode(), program.binary)))
    return found


def test_no_fix_is_wrong(outcomes: list[tuple[str, str, str]]) -> None:
    assert [(before, after, why) for before, after, why in outcomes if why] == []


def test_many_programs_have_a_safe_fix(outcomes: list[tuple[str, str, str]]) -> None:
    assert len(outcomes) >= PROGRAMS // 4


def test_the_harness_sees_a_wrong_fix() -> None:
    """A softmax that is only taken away, its readers forgotten, is found out; so is a loss left on probabilities."""
    head = "import torch\nimport torch.nn.functional as F\nfrom torch import nn\n\n"
    before = head + "model = nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=1))\n\n"
    after = head + "model = nn.Sequential(nn.Linear(4, 3))\n\n"
    run = "def run(x, y):\n    out = model(x)\n    return F.cross_entropy(out, y), [out]\n"
    assert "a reader sees" in difference(before + run, after + run, binary=False)
    blind = run.replace("[out]", "[]")
    assert difference(before + blind, after + blind, binary=False) == ""
    assert "isn't the cross-entropy" in difference(before + blind, before + blind, binary=False)
