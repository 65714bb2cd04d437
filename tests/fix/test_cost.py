"""What fixes cost: what an edit makes of a program is worked out once, however many findings it mends."""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from finallayer.check.chunk import analyse_chunk
from finallayer.check.judge import Analysis
from finallayer.fix.flow import context
from finallayer.fix.validation import programs

HEAD = """
import torch
from torch import nn

class Judge(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(8, 1), nn.Sigmoid())

    def forward(self, pictures):
        return self.layers(pictures)

judge = Judge()
criterion = nn.BCELoss()
"""
STEP = "loss_{i} = criterion(judge(torch.rand(4, 8)), torch.ones(4, 1))\nloss_{i}.backward()\n"


def with_losses(folder: Path, number: int) -> Path:
    """A program with so many losses on one model's sigmoid, which leaves them all at once."""
    path = folder / f"train_{number}.py"
    path.write_text(HEAD + "".join(STEP.format(i=i) for i in range(number)))
    return path


def analysed(path: Path) -> Analysis:
    return analyse_chunk([str(path)], fixes=True)[0]


def noted(function: Callable[..., object], name: str, runs: list[str]) -> Callable[..., object]:
    """A function that notes its name whenever it is called."""

    def noting(*arguments: object) -> object:
        runs.append(name)
        return function(*arguments)

    return noting


def calls(path: Path) -> int:
    """How many functions are called to analyse a file and to work its fixes out."""
    number = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal number
        number += event == "call"

    sys.setprofile(count)
    try:
        analysed(path)
    finally:
        sys.setprofile(None)
    return number


def test_a_program_is_analysed_once_for_all_fixes_and_once_for_each_edit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[str] = []
    for module in (context, programs):
        monkeypatch.setattr(module, "sightings", noted(module.sightings, module.__name__, runs))

    found = analysed(with_losses(tmp_path, 6)).findings

    assert len({f.fix for f in found}) == 1 and len(found) == 6 and found[0].fix is not None
    assert runs == [context.__name__, programs.__name__]


def test_the_cost_grows_with_the_number_of_findings(tmp_path: Path) -> None:
    paths = [with_losses(tmp_path, number) for number in (8, 8, 16, 32)]

    _, *counted = map(calls, paths)  # the first fills what is kept for the process

    assert all(more <= 2.3 * less for less, more in pairwise(counted)), counted
