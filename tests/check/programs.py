"""Small programs on disk that the tests of the driver check."""

from __future__ import annotations

from pathlib import Path

#: A model that ends in softmax, and the loss that applies it again, in two files.
MODEL = """\
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(10, 10)

    def forward(self, x):
        return torch.softmax(self.head(x), dim=1)
"""
TRAIN = """\
from torch import nn
from model import Net

net = Net()
criterion = nn.CrossEntropyLoss()


def step(x, y):
    return criterion(net(x), y)
"""
#: The same mistake in one file; the loss is on line 6.
DOUBLE = """\
import torch
import torch.nn.functional as F


def step(net, x, y):
    return F.cross_entropy(torch.softmax(net(x), dim=1), y)
"""
#: Nothing to find.
CLEAN = """\
import torch.nn.functional as F


def step(net, x, y):
    return F.cross_entropy(net(x), y)
"""


def lay(root: Path, **programs: str) -> None:
    """Write each program to ``root``, by its path without the suffix."""
    for name, text in programs.items():
        file = root / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
