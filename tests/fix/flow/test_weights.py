"""Whoever asks a foreign model's layer how wide it is, or puts another in its place, reads no output of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fix.workbench import repaired

PROGRAM = """
import torch
from torch import nn
from torchvision import models

net = models.resnet18(weights="DEFAULT")
{replaced} = nn.Sequential(nn.Linear({replaced}.in_features, 3), nn.Softmax(dim=1))
criterion = nn.CrossEntropyLoss()


def train(loader):
    for x, y in loader:
        criterion(net(x), y).backward()
    {then}
"""


@pytest.mark.parametrize("replaced", ["net.fc", "net.classifier[6]", "net.head.fc"])
def test_a_replaced_layer_is_only_asked_for_its_width(tmp_path: Path, replaced: str) -> None:
    file = tmp_path / "program.py"
    file.write_text(PROGRAM.format(replaced=replaced, then="pass"))
    ((_, changed),) = repaired(file).changed
    assert f"{replaced} = nn.Sequential(nn.Linear({replaced}.in_features, 3))\n" in changed.decode()


@pytest.mark.parametrize("then", ["print(net.classifier[6][-1])", "show(net.classifier[6])", "show(net.classifier)"])
def test_a_replaced_layer_that_is_shown_keeps_its_softmax(tmp_path: Path, then: str) -> None:
    file = tmp_path / "program.py"
    file.write_text(PROGRAM.format(replaced="net.classifier[6]", then=then))
    assert not repaired(file).changed
