"""Files of torch.export, TensorFlow and Hugging Face, written by these themselves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from finallayer import models
from finallayer.catalog.aten import operator
from finallayer.models.refusals import NotDone, NotRead

from .changing import changed


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    torch = pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("exported")

    class Net(torch.nn.Module):  # type: ignore[name-defined, misc, unused-ignore]
        def __init__(self) -> None:
            super().__init__()
            self.scores = torch.nn.Linear(4, 3)

        def forward(self, x: Any) -> Any:
            z = self.scores(x)
            return {"p": z.softmax(-1), "z": z, "s": z.sigmoid()}

    rows = (torch.randn(2, 4),)
    traced = torch.export.export(Net(), rows)
    alone = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Softmax(1))
    made = {"traced": traced, "core": traced.run_decompositions(), "alone": torch.export.export(alone, rows)}
    for name, program in made.items():
        torch.export.save(program, folder / f"{name}.pt2")
    return {name: folder / f"{name}.pt2" for name in made}


@pytest.mark.parametrize("name", ["traced", "core"])
def test_an_exported_program_tells_what_it_gives(programs: dict[str, Path], name: str) -> None:
    told = {o.name: (o.kind, o.shape, o.dtype) for o in models.read(programs[name]).outputs}
    assert told == {
        "p": ("probabilities", (2, 3), "float32"),
        "z": ("logits", (2, 3), "float32"),
        "s": ("sigmoid-probabilities", (2, 3), "float32"),
    }


@pytest.mark.parametrize("name", ["traced", "core", "alone"])
def test_an_exported_program_is_changed_bit_for_bit(programs: dict[str, Path], tmp_path: Path, name: str) -> None:
    import torch

    rows = torch.randn(2, 4)

    def run(path: Path) -> Any:
        made = torch.export.load(path).module()(rows)  # a file that this test has made
        return made if isinstance(made, dict) else {"output": made}

    output = "output" if name == "alone" else "p"
    new = changed(models.read(programs[name]).strip(output=output), tmp_path / "new.pt2")
    changed(new.append("softmax", output), tmp_path / "again.pt2")
    old = run(programs[name])
    assert new.output(output).kind == "logits"
    assert torch.equal(old[output], run(tmp_path / "new.pt2")[output].softmax(-1))
    assert all(torch.equal(value, run(tmp_path / "again.pt2")[key]) for key, value in old.items())
    if name != "alone":
        changed(models.read(programs[name]).append("sigmoid", "z"), tmp_path / "z.pt2")
        after = run(tmp_path / "z.pt2")
        assert torch.equal(after["z"], old["s"]) and torch.equal(after["p"], old["p"])
    before, after = zipfile.ZipFile(programs[name]), zipfile.ZipFile(tmp_path / "new.pt2")
    weights = [n for n in before.namelist() if not n.endswith("models/model.json")]
    assert before.namelist() == after.namelist() and all(before.read(n) == after.read(n) for n in weights)


def test_what_torch_save_writes_is_not_read(tmp_path: Path) -> None:
    import torch

    torch.save(torch.nn.Linear(2, 2).state_dict(), tmp_path / "weights.pt2")
    with pytest.raises(NotRead, match="a pickle"):
        models.read(tmp_path / "weights.pt2")


TENSORFLOW = """
import sys
import tensorflow as tf
module = tf.Module()
module.w = tf.Variable(tf.random.normal((4, 3)))
def given(x):
    z = tf.matmul(x, module.w)
    e = tf.exp(z)
    return {"p": tf.nn.softmax(z), "z": z, "e": e / tf.reduce_sum(e, -1, keepdims=True), "r": tf.nn.relu(z)}
module.f = tf.function(given)
signature = module.f.get_concrete_function(tf.TensorSpec((None, 4), tf.float32))
tf.saved_model.save(module, sys.argv[1], signatures=signature)
"""


@pytest.mark.skipif(find_spec("tensorflow") is None, reason="tensorflow is not installed")
def test_a_saved_model_tells_what_it_gives_and_is_not_changed(tmp_path: Path) -> None:
    pytest.importorskip("google.protobuf")
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", TENSORFLOW, str(tmp_path)]
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=200)
    model = models.read(tmp_path)
    told = {o.name: (o.kind, o.shape) for o in model.outputs}
    shape = (None, 3)
    assert told == {
        "p": ("probabilities", shape),
        "z": ("logits", shape),
        "e": ("probabilities", shape),
        "r": ("unknown", shape),
    }
    with pytest.raises(NotDone, match="only read"):
        model.strip(output="p")
    graph = tmp_path / "saved_model.pb"
    graph.write_bytes(graph.read_bytes()[:-50])
    with pytest.raises(NotRead, match="damaged"):
        models.read(tmp_path)


def test_a_copy_of_a_view_is_known_as_the_view() -> None:
    assert operator("view_copy") == operator("view") is not None and operator("nothing_copy") is None


def checkpoint(folder: Path, shapes: dict[str, list[int]], **config: Any) -> Path:
    """A folder as transformers writes it, of weights that are never read."""
    told = {n: {"dtype": "F32", "shape": s, "data_offsets": [0, 0]} for n, s in shapes.items()}
    header = json.dumps(told).encode()
    folder.mkdir(exist_ok=True)
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    (folder / "config.json").write_text(json.dumps(config))
    return folder


LABELS = {"0": "no", "1": "maybe", "2": "yes"}
BERT: dict[str, Any] = {"architectures": ["BertForSequenceClassification"], "id2label": LABELS}
HEAD = {"classifier.weight": [3, 8]}
GPT: dict[str, Any] = {"architectures": ["GPT2LMHeadModel"], "vocab_size": 50}


@pytest.mark.parametrize(
    ("shapes", "config", "kind", "loss"),
    [
        (HEAD, {**BERT, "problem_type": "multi_label_classification"}, "logits", "BCEWithLogitsLoss"),
        (HEAD, BERT, "logits", None),
        (HEAD, {**BERT, "problem_type": "regression"}, "unknown", "MSELoss"),
        ({"classifier.weight": [2, 8]}, BERT, "unknown", None),
        (HEAD, {**BERT, "auto_map": {"AutoModel": "own.Model"}}, "unknown", None),
        ({"pooler.dense.weight": [8, 8]}, {"architectures": ["BertModel"]}, "unknown", None),
        ({"wte.weight": [50, 8]}, GPT, "logits", "CrossEntropyLoss"),
    ],
)
def test_a_checkpoint_tells_its_head_where_the_weights_have_it(
    tmp_path: Path, shapes: dict[str, list[int]], config: dict[str, Any], kind: str, loss: str | None
) -> None:
    (output,) = models.read(checkpoint(tmp_path / "model", shapes, **config)).outputs
    assert (output.kind, output.loss) == (kind, loss)


def test_weights_alone_tell_nothing_and_a_wrong_length_is_refused(tmp_path: Path) -> None:
    weights = checkpoint(tmp_path, HEAD) / "model.safetensors"
    assert models.read(weights).outputs[0].kind == "unknown"
    weights.write_bytes((2**40).to_bytes(8, "little") + b"{}")
    with pytest.raises(NotRead, match="length"):
        models.read(weights)


def test_an_index_names_no_file_elsewhere(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "model", {}, **BERT)
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "../a.safetensors"}}))
    with pytest.raises(NotRead, match="outside its folder"):
        models.read(folder)
