"""Lightning: a tiny module, trained by the Trainer, and TensorBoard's files read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


def scalars(folder: Path) -> dict[str, list[float]]:
    """What event files hold, by tag."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found: dict[str, list[float]] = {}
    for file in sorted(folder.rglob("events.out.tfevents.*")):
        events = EventAccumulator(str(file))
        events.Reload()
        for tag in events.Tags()["scalars"]:
            found.setdefault(tag, []).extend(e.value for e in events.Scalars(tag))
    return found


def trained(folder: Path, with_epsilon: bool) -> dict[str, list[float]]:
    import lightning.pytorch as lightning
    import torch
    from lightning.pytorch.loggers import TensorBoardLogger
    from torch.nn import functional

    import finallayer

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = torch.nn.Linear(8, 4)

        def training_step(self, batch: Any, _index: int) -> Any:
            x, y = batch
            if with_epsilon:
                return -torch.log(self.net(x).softmax(1) + 1e-8)[torch.arange(len(y)), y].mean()
            return functional.cross_entropy(self.net(x), y)

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), 1e-3)

    torch.manual_seed(0)
    data = torch.utils.data.TensorDataset(torch.randn(64, 8) * 30, torch.randint(4, (64,)))
    trainer = lightning.Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=TensorBoardLogger(str(folder)),
        callbacks=[finallayer.watch.lightning.FinalLayer(every=2)],
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        log_every_n_steps=2,
    )
    trainer.fit(Module(), torch.utils.data.DataLoader(data, batch_size=16))
    return scalars(folder)


def test_the_values_reach_tensorboard(tmp_path: Path) -> None:
    logged = trained(tmp_path, with_epsilon=False)
    assert len(logged["finallayer/silenced"]) >= 4 and set(logged["finallayer/silenced"]) == {0.0}
    assert {"finallayer/margin_p50", "finallayer/margin_p99", "finallayer/loss_above_floor"} < set(logged)


def test_a_loss_with_an_epsilon_is_told_of(tmp_path: Path) -> None:
    from finallayer.watch.notices import FinalLayerWarning

    pytest.importorskip("lightning")
    with pytest.warns(FinalLayerWarning) as said:
        logged = trained(tmp_path, with_epsilon=True)
    assert 0 < logged["finallayer/silenced"][0] < 1
    messages = [str(one.message) for one in said if isinstance(one.message, FinalLayerWarning)]
    assert len(messages) == 2 and "FL203" in messages[0] and "silenced" in messages[1]
