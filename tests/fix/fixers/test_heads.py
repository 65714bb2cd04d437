"""Heads: the softmax leaves the model, the loss takes logits, and each reader goes on seeing what it saw."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..workbench import fixed, repaired
from .heads import LEFT_ALONE, OF_NEW_KERAS, SAFE, TORCH, UNSAFE, Pair


@pytest.mark.parametrize("pair", SAFE.values(), ids=SAFE)
def test_what_becomes_of_it(tmp_path: Path, pair: Pair) -> None:
    assert fixed(tmp_path, pair.before) == pair.after


@pytest.mark.parametrize("pair", SAFE.values(), ids=SAFE)
def test_nothing_is_found_afterwards(tmp_path: Path, pair: Pair) -> None:
    file = tmp_path / "program.py"
    file.write_text(pair.after)
    result = repaired(file)
    assert [(f.rule.code, f.message) for f in result.remaining] == []
    assert result.changed == ()


@pytest.mark.parametrize("pair", OF_NEW_KERAS.values(), ids=OF_NEW_KERAS)
def test_a_threshold_of_0_is_for_those_who_ask_for_it(tmp_path: Path, pair: Pair) -> None:
    assert fixed(tmp_path, pair.before) == pair.before
    mended = repaired(tmp_path / "program.py", unsafe=True)
    assert [new.decode() for _, new in mended.changed] == [pair.after]
    assert {f.fix.note for f in repaired(tmp_path / "program.py").remaining if f.fix is not None} == {
        "Keras 3.0 to 3.4 take no threshold of 0"
    }


@pytest.mark.parametrize(("program", "unseen"), UNSAFE.values(), ids=UNSAFE)
def test_a_reader_out_of_sight_makes_it_unsafe(tmp_path: Path, program: str, unseen: str) -> None:
    assert fixed(tmp_path, program) == program
    (finding,) = repaired(tmp_path / "program.py").remaining
    assert finding.fix is not None and not finding.fix.safe
    assert unseen in finding.fix.note


@pytest.mark.parametrize("program", LEFT_ALONE.values(), ids=LEFT_ALONE)
def test_what_is_left_alone(tmp_path: Path, program: str) -> None:
    file = tmp_path / "program.py"
    file.write_text(program)
    assert repaired(file, unsafe=True).changed == ()


INIT = "    def __init__(self):\n        super().__init__()\n        self.fc = nn.Linear(4, 3)\n\n"
MODEL = f"{TORCH}class Net(nn.Module):\n{INIT}"
TRAIN = "import torch.nn.functional as F\n\nfrom model import Net\n\nnet = Net()\n\n"


def test_a_model_in_another_file_is_fixed_with_its_readers(tmp_path: Path) -> None:
    model, train = tmp_path / "model.py", tmp_path / "train.py"
    model.write_text(MODEL + "    def forward(self, x):\n        return F.softmax(self.fc(x), dim=1)\n")
    train.write_text(TRAIN + "def step(x, y):\n    p = net(x)\n    print(p)\n    return F.cross_entropy(p, y)\n")
    changed = {document.path.name: new.decode() for document, new in repaired(train).changed}
    assert changed == {
        "model.py": MODEL + "    def forward(self, x):\n        return self.fc(x)\n",
        "train.py": TRAIN
        + "def step(x, y):\n    logits = net(x)\n    print(logits.softmax(dim=1))\n"
        + "    return F.cross_entropy(logits, y)\n",
    }


def test_a_call_on_several_devices_is_a_call(tmp_path: Path) -> None:
    program = """import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, devices):
        super().__init__()
        self.devices, self.main = devices, nn.Sequential(nn.Linear(8, 1), nn.Sigmoid())

    def forward(self, x):
        if x.is_cuda and self.devices > 1:
            return nn.parallel.data_parallel(self.main, x, range(self.devices))
        return self.main(x)


net = Net(1)
criterion = nn.BCELoss()
out = net(x)
criterion(out, y).backward()
print(out.mean().item())
"""
    mended = fixed(tmp_path, program)
    assert "nn.Linear(8, 1))" in mended and "BCEWithLogitsLoss()" in mended and "out.sigmoid().mean()" in mended
