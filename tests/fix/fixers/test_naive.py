"""Formulas that are written out, where the framework's function would say something else, or nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..workbench import fixed

PROGRAM = (
    "import torch\n\nz = {}\np = torch.exp(z) / torch.exp(z).sum({}, keepdim=True)\ns = torch.log(1 + torch.exp(z))\n"
)


@pytest.mark.parametrize(
    "z", ["torch.tensor([[1, 2, 3]])", "torch.arange(6).reshape(2, 3)", "torch.randint(9, (2, 3))"]
)
def test_whole_numbers_have_no_softmax(tmp_path: Path, z: str) -> None:
    import torch

    assert fixed(tmp_path, PROGRAM.format(z, 1)) == PROGRAM.format(z, 1)
    with pytest.raises(NotImplementedError):
        torch.softmax(torch.tensor([[1, 2, 3]]), dim=1)


@pytest.mark.parametrize(
    "z",
    [
        "torch.tensor([[1, 2.0]])",
        "torch.arange(6).float().reshape(2, 3)",
        "torch.tensor([[1, 2]], dtype=torch.float32)",
    ],
)
def test_real_numbers_have_one(tmp_path: Path, z: str) -> None:
    mended = fixed(tmp_path, PROGRAM.format(z, 1))
    assert "p = torch.softmax(z, dim=1)" in mended and "softplus(z)" in mended
    exec(mended, {})


def test_there_is_no_softmax_over_two_axes(tmp_path: Path) -> None:
    program = PROGRAM.format("torch.randn(2, 3, 4)", "(1, 2)")
    assert "p = torch.exp(z) / torch.exp(z).sum((1, 2), keepdim=True)" in fixed(tmp_path, program)


ATTRIBUTE = """import torch
from torch import nn

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.z = None
        self.linear = nn.Linear(3, 3)

    def forward(self, x, y):
        {}
        return -torch.log(self.p[range(3), y]).mean()

    def sharpen(self):
        {}
"""
MADE = "self.z = self.linear(x); self.p = torch.softmax(self.z, 1); {}"


@pytest.mark.parametrize(
    ("then", "does", "stays"),
    [
        ("self.sharpen()", "self.z = self.z * 2", True),
        ("model = self; model.z = self.z * 2", "pass", True),
        ("self.sharpen()", "pass", False),
        ("pass", "return self.z", False),
    ],
)
def test_an_attribute_may_be_bound_from_afar(tmp_path: Path, then: str, does: str, stays: bool) -> None:
    program = ATTRIBUTE.format(MADE.format(then), does)
    assert ("log_softmax(self.z, 1)" not in fixed(tmp_path, program)) is stays
