"""Trainers on PyTorch: their steps are measured where their losses are called, and what they log is kept."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from finallayer.running.frameworks import torch as steps
from finallayer.running.ledger import Ledger

X = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] > 0).long()


def watched(front: Any, module: str, train: Any) -> tuple[str, list[dict[str, Any]]]:
    ledger = Ledger()
    with ExitStack() as around:
        around.enter_context(steps.around(ledger, "torch"))
        around.enter_context(front.around(ledger, module))
        train()
    return ledger.rows()


def check(of: str, rows: list[dict[str, Any]], name: str) -> None:
    """Two epochs, each with what the trainer logged of its validation, which is what we measured of it."""
    assert of == "epoch" and [(row["steps"], row["samples"]) for row in rows] == [(4, 64), (4, 64)]
    for row in rows:
        assert row["logged"][name] == pytest.approx(row["held_out_accuracy"])


@pytest.mark.filterwarnings("ignore")
def test_lightning() -> None:
    package = pytest.importorskip("lightning.pytorch")
    from finallayer.running.frameworks import lightning as front

    class Module(package.LightningModule):  # type: ignore[name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Linear(4, 2)

        def training_step(self, batch: Any, _index: int) -> Any:
            return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

        def validation_step(self, batch: Any, _index: int) -> None:
            z = self.net(batch[0])
            nn.functional.cross_entropy(z, batch[1])
            self.log("val_acc", (z.argmax(1) == batch[1]).float().mean())

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), 0.1)

    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)

    def train() -> None:
        data = TensorDataset(X, Y)
        trainer = package.Trainer(max_epochs=2, accelerator="cpu", **quiet)
        before = list(trainer.callbacks)
        trainer.fit(Module(), DataLoader(data, 16), DataLoader(data, 64))
        assert trainer.callbacks == before

    fit = package.Trainer.fit
    check(*watched(front, "lightning.pytorch", train), "val_acc")
    assert package.Trainer.fit is fit


@pytest.mark.filterwarnings("ignore")
def test_transformers(tmp_path: Path) -> None:
    trainer = pytest.importorskip("transformers.trainer")
    pytest.importorskip("accelerate")
    from finallayer.running.frameworks import transformers as front

    class Rows(Dataset):
        def __len__(self) -> int:
            return len(Y)

        def __getitem__(self, i: int) -> dict[str, Any]:
            return {"x": X[i], "labels": Y[i]}

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Linear(4, 2)

        def forward(self, x: Any, labels: Any) -> dict[str, Any]:
            z = self.net(x)
            return {"loss": nn.functional.cross_entropy(z, labels), "logits": z}

    def train() -> None:
        asked = trainer.TrainingArguments(
            output_dir=str(tmp_path),
            num_train_epochs=2,
            per_device_train_batch_size=16,
            per_device_eval_batch_size=64,
            eval_strategy="epoch",
            save_strategy="no",
            report_to="none",
            use_cpu=True,
            disable_tqdm=True,
        )
        trainer.Trainer(
            Model(),
            asked,
            train_dataset=Rows(),
            eval_dataset=Rows(),
            compute_metrics=lambda given: {"accuracy": float((given.predictions.argmax(-1) == given.label_ids).mean())},
        ).train()

    check(*watched(front, "transformers.trainer", train), "eval_accuracy")
