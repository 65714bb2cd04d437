"""transformers: tiny models made from a configuration, trained by the Trainer, and TensorBoard's files read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .test_lightning import scalars


@pytest.fixture(scope="module", autouse=True)
def _accelerate() -> None:
    pytest.importorskip("accelerate")  # transformers says that it is missing by an ImportError of its own


def trained(folder: Path, monkeypatch: pytest.MonkeyPatch, model: Any, rows: list[Any]) -> tuple[Any, Any]:
    import transformers

    import finallayer

    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(folder))
    arguments = transformers.TrainingArguments(
        output_dir=str(folder / "out"),
        per_device_train_batch_size=4,
        num_train_epochs=1,
        logging_steps=2,
        report_to="tensorboard",
        save_strategy="no",
        use_cpu=True,
        disable_tqdm=True,
    )
    trainer = transformers.Trainer(model=model, args=arguments, train_dataset=rows)
    watching = finallayer.watch.transformers.FinalLayer.attach(trainer)
    trainer.train()
    return trainer, watching


def test_a_classifiers_values_reach_tensorboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    import transformers

    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = transformers.BertConfig(vocab_size=50, num_labels=3, max_position_embeddings=16, **sizes)
    rows = [{"input_ids": torch.arange(8) + k, "labels": torch.tensor(k % 3)} for k in range(16)]
    model = transformers.BertForSequenceClassification(config)
    trainer, _ = trained(tmp_path, monkeypatch, model, rows)
    steps = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert len(steps) == 2 and all(entry["finallayer/silenced"] == 0 for entry in steps)
    assert any("finallayer/margin_p50" in tag for tag in scalars(tmp_path))


def test_a_language_models_labels_are_seen_as_it_shifts_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    import transformers

    config = transformers.GPT2Config(vocab_size=40, n_positions=16, n_embd=16, n_layer=1, n_head=2)
    ids = torch.arange(8)
    rows = [{"input_ids": ids, "labels": ids} for _ in range(8)]
    _, watching = trained(tmp_path, monkeypatch, transformers.GPT2LMHeadModel(config), rows)
    assert not torch.autograd.backward.__qualname__.startswith("backwards")
    assert watching.watch.values() == {}  # begun anew at the epoch's end


def test_without_being_attached_the_history_has_them(tmp_path: Path) -> None:
    import torch
    import transformers

    import finallayer

    config = transformers.GPT2Config(vocab_size=40, n_positions=16, n_embd=16, n_layer=1, n_head=2)
    rows = [{"input_ids": torch.arange(8), "labels": torch.arange(8)} for _ in range(8)]
    arguments = transformers.TrainingArguments(
        str(tmp_path), per_device_train_batch_size=4, num_train_epochs=1, logging_steps=1, report_to="none",
        save_strategy="no", use_cpu=True, disable_tqdm=True,
    )  # fmt: skip
    trainer = transformers.Trainer(
        model=transformers.GPT2LMHeadModel(config),
        args=arguments,
        train_dataset=rows,
        callbacks=[finallayer.watch.transformers.FinalLayer()],
    )
    trainer.train()
    logged = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert logged and abs(logged[0]["finallayer/loss_above_floor"] - logged[0]["loss"]) < 0.2
