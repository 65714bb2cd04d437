"""Callbacks that are handed the model: what they ask it for is a reader that no call of the program shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fix.workbench import repaired

PROGRAM = """
import lightning as L
import torch
from torch import nn


class Classifier(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 3)

    def forward(self, x):
        return torch.softmax(self.fc(x), dim=1)

    def training_step(self, batch, i):
        x, y = batch
        return nn.functional.cross_entropy(self(x), y)


class Shown(L.Callback):
    def on_train_epoch_end(self, trainer, pl_module):
        {does}


trainer = L.Trainer(callbacks=[Shown()])
"""
READING = (
    "print(pl_module(torch.ones(1, 4)).sum())",
    "print(pl_module.forward(torch.ones(1, 4)).sum())",
    "print(trainer.model(torch.ones(1, 4)).sum())",
    "print(trainer.predict(None, [torch.ones(1, 4)]))",
    "self.shown = show(pl_module)",
)
QUIET = (
    "print(trainer.current_epoch, trainer.callback_metrics)",
    "pl_module.log('epoch', 1.0)",
    "super().on_train_epoch_end(trainer, pl_module)",
)


@pytest.mark.parametrize("does", READING)
def test_a_callback_that_may_read_the_output_makes_a_fix_unsafe(tmp_path: Path, does: str) -> None:
    file = tmp_path / "program.py"
    file.write_text(PROGRAM.format(does=does))
    repair = repaired(file)
    assert not repair.changed
    assert [f.fix is not None and "of a callback" in f.fix.note for f in repair.remaining] == [True]


def test_a_callback_is_one_by_where_its_base_stands(tmp_path: Path) -> None:
    file = tmp_path / "program.py"
    checkpoint = PROGRAM.replace("(L.Callback)", "(L.pytorch.callbacks.ModelCheckpoint)")
    file.write_text(checkpoint.format(does=READING[0]))
    assert not repaired(file).changed


@pytest.mark.parametrize("does", QUIET)
def test_a_callback_that_looks_at_the_training_doesnt(tmp_path: Path, does: str) -> None:
    file = tmp_path / "program.py"
    file.write_text(PROGRAM.format(does=does))
    assert [m.rule.code for m in repaired(file).mended] == ["FL101"]
