"""``.keras`` files that Keras has written: what they give, and their heads taken out and put in."""

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

import finallayer
from finallayer import models
from finallayer.models.refusals import NotDone, NotRead

from .changing import changed

BACKEND = "torch"

pytestmark = pytest.mark.skipif(not all(map(find_spec, ("keras", "torch"))), reason="Keras or torch is not installed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("keras")
    environment = {**os.environ, "KERAS_BACKEND": BACKEND, "PYTHONPATH": str(Path(finallayer.__file__).parents[1])}
    script = str(Path(__file__).parent / "keras_files.py")
    subprocess.run([sys.executable, script, str(made)], env=environment, check=True, capture_output=True, timeout=200)
    return made


def test_what_each_file_gives(folder: Path) -> None:
    told = {
        (path.stem, o.name if path.stem == "several" else ""): (o.kind, o.agrees)
        for path in sorted(folder.glob("*.keras"))
        for o in models.read(path).outputs
    }
    assert told == {
        ("function", ""): ("unknown", None),
        ("leaky", ""): ("unknown", None),
        ("logits", ""): ("logits", True),
        ("logs", ""): ("log-probabilities", None),
        ("one_unit", ""): ("probabilities", None),
        ("own", ""): ("unknown", None),
        ("regression", ""): ("unknown", None),
        ("several", "by_hand"): ("probabilities", None),
        ("several", "classes"): ("probabilities", None),
        ("several", "nested"): ("probabilities", None),
        ("several", "operation"): ("probabilities", None),
        ("several", "score"): ("logits", None),
        ("several", "yes"): ("sigmoid-probabilities", None),
        ("sigmoid", ""): ("sigmoid-probabilities", True),
        ("softmax", ""): ("probabilities", True),
        ("squared", ""): ("probabilities", None),
        ("twice", ""): ("probabilities", False),
        ("wrong", ""): ("logits", False),
    }


def test_layers_shapes_losses_and_metrics_are_told(folder: Path) -> None:
    (output,) = models.read(folder / "sigmoid.keras").outputs
    assert output.shape == (None, 1) and output.dtype == "float32" and len(output.made_by) == 1
    assert output.loss == "BinaryCrossentropy(from_logits=False)"
    assert output.metrics == ("accuracy", "AUC(from_logits=False)", "BinaryAccuracy")
    several = models.read(folder / "several.keras")
    assert several.output("nested").made_by[0].startswith("inner/softmax")
    assert several.output("by_hand").made_by[-1].startswith("true_divide")


def stripped(folder: Path, name: str, output: str | None = None) -> tuple[Path, models.Model]:
    new = folder.parent / f"{name} stripped.keras"
    return new, changed(models.read(folder / f"{name}.keras").strip(output), new)


def config_of(path: Path) -> Any:
    return json.loads(zipfile.ZipFile(path).read("config.json"))


def test_loss_and_metrics_go_along(folder: Path) -> None:
    new, model = stripped(folder, "sigmoid")
    (output,) = model.outputs
    assert (output.kind, output.agrees) == ("logits", True)
    accuracy, auc, sure = config_of(new)["compile_config"]["metrics"]
    assert (accuracy["class_name"], accuracy["config"]) == ("BinaryAccuracy", {"name": "accuracy", "threshold": 0.0})
    assert auc["config"]["from_logits"] is True
    assert sure["config"]["threshold"] == pytest.approx(1.3862943611198906)  # log(0.8 / 0.2)


def test_a_softmax_that_stood_before_a_loss_on_logits_goes_and_the_loss_stays(folder: Path) -> None:
    new, model = stripped(folder, "twice")
    assert model.outputs[0].agrees is True
    assert config_of(new)["compile_config"] == config_of(folder / "twice.keras")["compile_config"]


def test_all_else_is_the_same_to_the_byte(folder: Path) -> None:
    new, _ = stripped(folder, "softmax")
    old, changed = zipfile.ZipFile(folder / "softmax.keras"), zipfile.ZipFile(new)
    assert old.namelist() == changed.namelist()
    assert all(old.read(n) == changed.read(n) for n in old.namelist() if n != "config.json")
    before, after = config_of(folder / "softmax.keras"), config_of(new)
    assert before["config"]["layers"][-1]["config"].pop("activation") == "softmax"
    assert after["config"]["layers"][-1]["config"].pop("activation") == "linear"
    assert before.pop("compile_config").pop("loss") != after.pop("compile_config").pop("loss")
    assert before == after


@pytest.mark.parametrize(
    ("name", "output", "why"),
    [
        ("logits", None, "gives logits already"),
        ("leaky", None, "no softmax or sigmoid is known to make it"),
        ("squared", None, "mean_squared_error, which can't be told to take logits"),
        ("own", None, "no softmax or sigmoid"),
        ("several", None, "6 outputs"),
        ("several", "by_hand", "made of its logits by several layers"),
        ("several", "elsewhere", "no output 'elsewhere'"),
    ],
)
def test_what_is_not_stripped_and_why(folder: Path, name: str, output: str | None, why: str) -> None:
    with pytest.raises(NotDone, match=why):
        models.read(folder / f"{name}.keras").strip(output)


def test_no_second_head_is_appended(folder: Path) -> None:
    with pytest.raises(NotDone, match="gives probabilities already"):
        models.read(folder / "softmax.keras").append("softmax")


#: Loads what was stripped and appended, in Keras; says what is equal, bit for bit, and how training goes on.
CHECK = """
import sys
import keras, numpy as np
from pathlib import Path
folder = Path(sys.argv[1])
rows = np.random.default_rng(1).normal(size=(16, 4)).astype("float32")
def load(name): return keras.saving.load_model(folder / f"{name}.keras")
def numbers(x): return keras.ops.convert_to_numpy(x)
for name, head in (("softmax", "softmax"), ("sigmoid", "sigmoid")):
    old, new, back = load(name), load(f"{name} stripped"), load(f"{name} again")
    assert np.array_equal(numbers(old(rows)), numbers(getattr(keras.ops, head)(new(rows)))), name
    assert np.array_equal(numbers(old(rows)), numbers(back(rows))), name
    assert int(new.optimizer.iterations) == int(old.optimizer.iterations) == 1
    labels = (np.arange(16) % 3) if head == "softmax" else (np.arange(16) % 2)[:, None]
    told = [m.train_on_batch(rows, labels, return_dict=True) for m in (old, new)]
    assert told[0].keys() == told[1].keys(), told
    assert all(abs(told[0][k] - told[1][k]) < 1e-5 for k in told[0]), told
    for a, b in zip(old.weights, new.weights): assert np.allclose(numbers(a), numbers(b), atol=1e-6)
old, new, back = load("several"), load("several nested"), load("several put in")
for name, value in old(rows).items():
    expected = keras.ops.softmax(new(rows)[name]) if name == "nested" else new(rows)[name]
    assert np.array_equal(numbers(value), numbers(expected)), name
    expected = keras.ops.sigmoid(value) if name == "score" else value
    assert np.array_equal(numbers(back(rows)[name]), numbers(expected)), name
"""


def test_keras_runs_what_was_changed_and_trains_on(folder: Path, tmp_path: Path) -> None:
    for name in ("softmax", "sigmoid"):
        (tmp_path / f"{name}.keras").write_bytes((folder / f"{name}.keras").read_bytes())
        new = changed(models.read(folder / f"{name}.keras").strip(), tmp_path / f"{name} stripped.keras")
        changed(new.append(name), tmp_path / f"{name} again.keras")
    (tmp_path / "several.keras").write_bytes((folder / "several.keras").read_bytes())
    several = models.read(folder / "several.keras")
    changed(several.strip(output="nested"), tmp_path / "several nested.keras")
    changed(several.append("sigmoid", "score"), tmp_path / "several put in.keras")
    environment = {**os.environ, "KERAS_BACKEND": BACKEND}
    done = subprocess.run(
        [sys.executable, "-c", CHECK, str(tmp_path)], env=environment, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_a_damaged_file_is_one_line(folder: Path, tmp_path: Path) -> None:
    whole, cut = (folder / "softmax.keras").read_bytes(), tmp_path / "cut.keras"
    for length in (10, len(whole) // 2, len(whole) - 30):
        cut.write_bytes(whole[:length])
        with pytest.raises(NotRead, match=r"^[^\n]+$"):
            models.read(cut)
