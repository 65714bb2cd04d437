"""Generated programs: a fix that is called safe leaves every reader what it saw, and the loss the cross-entropy."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from .generated import Program
from .generated.layout import laid_out
from .generated.programs import GENERATORS
from .generated.running import difference
from .workbench import repaired

#: programs of each framework; benchmarks/fix_generated.py runs as many as one likes
PROGRAMS = {"torch": 24, "jax": 10, "keras": 10}
Outcome = tuple[bytes, bytes, str]


@pytest.fixture(scope="module", params=PROGRAMS)
def outcomes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Outcome]:
    """Of each program with a safe fix: its text in some layout, its text after the fix, and why the fix is wrong."""
    file: Path = tmp_path_factory.mktemp("generated") / "program.py"
    found = []
    for seed in range(PROGRAMS[request.param]):
        draw = random.Random(seed)
        program = GENERATORS[request.param](draw)
        file.write_bytes(laid_out(program.text, draw))
        for document, new in repaired(file).changed:
            found.append((document.data, new, difference(program, new)))
    return found


def test_no_fix_is_wrong(outcomes: list[Outcome]) -> None:
    assert [outcome for outcome in outcomes if outcome[2]] == []


def test_many_programs_have_a_safe_fix(outcomes: list[Outcome]) -> None:
    assert len(outcomes) >= 4


def test_a_layout_changes_no_meaning() -> None:
    program = GENERATORS["torch"](random.Random(3))
    for seed in range(20):
        assert difference(program._replace(right=program.text), laid_out(program.text, random.Random(seed))) == ""


def test_the_harness_sees_a_wrong_fix() -> None:
    """A softmax that is only taken away, its readers forgotten, is found out; so is a loss left on probabilities."""
    head = "import torch\nimport torch.nn.functional as F\nfrom torch import nn\n\n"
    before = head + "model = nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=1))\n\n"
    after = head + "model = nn.Sequential(nn.Linear(4, 3))\n\n"
    run = "def run(x, y):\n    out = model(x)\n    return F.cross_entropy(out, y), [out]\n"
    blind = run.replace("[out]", "[]")
    program = Program("torch", before + run, after + blind, binary=False)
    assert "a reader sees" in difference(program, (after + run).encode())
    program = program._replace(text=before + blind)
    assert difference(program, (after + blind).encode()) == ""
    assert "isn't the cross-entropy" in difference(program, (before + blind).encode())
