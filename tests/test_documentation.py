"""Every block of Python in the README and the guides runs, with what it takes for granted at hand."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
GUIDES = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = [
    pytest.param(block, id=f"{path.name}:{text[: found.start()].count(chr(10)) + 2}")
    for path in GUIDES
    for text in [path.read_text(encoding="utf-8")]
    for found in re.finditer(r"^```python\n(?P<block>.*?)^```$", text, re.M | re.S)
    for block in [found["block"]]
]


def of_torch(_folder: Path) -> dict[str, Any]:
    torch = pytest.importorskip("torch")
    import finallayer

    net, loss = torch.nn.Linear(3, 4), torch.nn.functional.cross_entropy
    x, y = torch.ones(5, 3), torch.tensor([0, 1, 2, 3, 0])
    told: list[Any] = []
    names = {"model": net, "loader": [(x, y)], "epochs": 1, "log": told.append, "x": x, "y": y, "loss": loss}
    return {"finallayer": finallayer, "loss_fn": lambda x, y: loss(net(x), y), **names}


def of_keras(_folder: Path) -> dict[str, Any]:
    keras, numpy = pytest.importorskip("keras"), pytest.importorskip("numpy")
    lightning = pytest.importorskip("lightning")
    import finallayer.watch.keras
    import finallayer.watch.lightning

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    names = {"model": model, "optimizer": "adam", "loss": loss, "x": numpy.ones((5, 3)), "y": numpy.arange(5) % 4}
    return {"finallayer": finallayer, "lightning": lightning, **names}


def of_transformers(folder: Path) -> dict[str, Any]:
    transformers, torch = pytest.importorskip("transformers"), pytest.importorskip("torch")
    pytest.importorskip("accelerate")
    import finallayer.watch.transformers

    config = transformers.BertConfig(
        vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8
    )
    arguments = transformers.TrainingArguments(str(folder), report_to=[], use_cpu=True)
    data = [{"input_ids": torch.tensor([1, 2]), "labels": 0}]
    model = transformers.BertForSequenceClassification(config)
    names = {"model": model, "arguments": arguments, "data": data}
    return {"transformers": transformers, "finallayer": finallayer, **names}


def of_jax(_folder: Path) -> dict[str, Any]:
    jax, optax = pytest.importorskip("jax"), pytest.importorskip("optax")
    loss = optax.softmax_cross_entropy_with_integer_labels
    return {"jax": jax, "logits": jax.numpy.ones((5, 4)), "loss": loss, "y": jax.numpy.arange(5) % 4}


def of_a_file(folder: Path) -> dict[str, Any]:
    pytest.importorskip("onnx")
    from .models.onnx_files import affine, node, write

    write(folder / "model.onnx", [affine(), node("Softmax", "z", "p", axis=-1)])
    return {}


#: What a block speaks of -> what it takes for granted; the first that is in it. Any other takes nothing.
GIVEN: dict[str, Callable[[Path], dict[str, Any]]] = {
    "transformers.Trainer": of_transformers,
    "watch.keras": of_keras,
    "lightning.Trainer": of_keras,
    "jax": of_jax,
    "model.onnx": of_a_file,
    "": of_torch,
}


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_runs(block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    given = next(make for spoken_of, make in GIVEN.items() if spoken_of in block)(tmp_path)
    exec(compile(block, "block", "exec"), given)
