"""Layers of ``.keras`` files that look like heads and are none, or are heads that can't go alone: from their JSON."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from finallayer import models
from finallayer.models.proving import prove
from finallayer.models.refusals import NotDone

from .changing import changed
from .test_strangers_files import dense, keras_file, sequential


def layer(kind: str, name: str, module: str = "keras.layers", **settings: Any) -> dict[str, Any]:
    config = {"name": name, **settings}
    return {"module": module, "class_name": kind, "config": config, "registered_name": None}


def functional(*layers: Any, outputs: Any, **more: Any) -> dict[str, Any]:
    inputs = {**layer("InputLayer", "x", batch_shape=[None, 4]), "name": "x", "inbound_nodes": []}
    config = {"name": "model", "layers": [inputs, *layers], "input_layers": ["x", 0, 0], "output_layers": outputs}
    return {"module": "keras", "class_name": "Functional", "config": config, "registered_name": None, **more}


def called(made: dict[str, Any], *calls: tuple[str, int, int], **given: Any) -> dict[str, Any]:
    """A layer that is called once with each of these tensors."""
    nodes = [{"args": [tensor(*call)], "kwargs": given} for call in calls]
    return {**made, "name": made["config"]["name"], "inbound_nodes": nodes}


def tensor(*history: Any) -> dict[str, Any]:
    return {"class_name": "__keras_tensor__", "config": {"shape": [None, 3], "keras_history": list(history)}}


def told(path: Path, config: dict[str, Any]) -> list[tuple[str, str]]:
    return [(o.name, o.kind) for o in models.read(keras_file(path, config)).outputs]


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "SimpleRNN", "ConvLSTM2D"])
def test_an_activation_that_a_layer_goes_on_with_is_no_head(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.keras"
    assert told(path, sequential(layer(kind, "r", units=3, activation="softmax"))) == [("r", "unknown")]
    model = models.read(keras_file(path, sequential(layer(kind, "r", units=3, activation="linear"))))
    new = changed(edited := model.append("softmax"), tmp_path / "new.keras")
    before, head = json.loads(zipfile.ZipFile(new.path).read("config.json"))["config"]["layers"]
    assert (before["config"]["activation"], head["config"]["activation"]) == ("linear", "softmax")
    assert prove(model, new, edited, "r", lambda task: {"error": "nothing runs"}).how == "by expression: nothing runs"


def test_a_model_in_a_model_counts_its_calls_from_one(tmp_path: Path) -> None:
    inner = functional(
        called(dense("p"), ("x", 0, 0)),
        called(dense("s", 1, "sigmoid"), ("x", 0, 0)),
        outputs={"z": ["p", 0, 0], "a": ["s", 0, 0]},
    )
    inner["config"]["name"] = "inner"
    outer = functional(called(inner, ("x", 0, 0)), outputs=[["inner", 1, 0], ["inner", 1, 1]])
    kinds = [kind for _, kind in told(tmp_path / "a.keras", outer)]
    assert kinds == ["sigmoid-probabilities", "probabilities"]  # in the order of their names


def test_a_layer_as_an_activation_is_a_head(tmp_path: Path) -> None:
    softmax = {**layer("Softmax", "softmax", axis=1)}
    model = models.read(keras_file(tmp_path / "a.keras", sequential(dense("d", activation=softmax))))
    assert model.outputs[0].kind == "probabilities"
    assert model.outputs[0].expression is not None and model.outputs[0].expression.attrs["axis"] == 1
    new = changed(model.strip(), tmp_path / "new.keras")
    (made,) = json.loads(zipfile.ZipFile(new.path).read("config.json"))["config"]["layers"]
    assert (made["class_name"], made["config"]["activation"]) == ("Dense", "linear")


REGULARISED = dense("d")
REGULARISED["config"]["activity_regularizer"] = layer("L1", "l1", "keras.regularizers")
MASK = called(layer("Softmax", "p", axis=-1), ("z", 0, 0), mask=tensor("x", 0, 0))


@pytest.mark.parametrize(
    ("config", "why"),
    [
        (sequential(REGULARISED), "activity_regularizer"),
        (sequential(dense("d"), layer("ActivityRegularization", "r", l2=0.1)), "stands between"),
        (functional(called(dense("z", activation=None), ("x", 0, 0)), MASK, outputs=["p", 0, 0]), "a mask"),
        (sequential(dense("d"), compile_config={"loss": "poisson"}), "compiled with poisson"),
    ],
)
def test_what_would_train_or_give_something_else_is_refused(tmp_path: Path, config: dict[str, Any], why: str) -> None:
    model = models.read(keras_file(tmp_path / "a.keras", config))
    with pytest.raises(NotDone, match=why):
        model.strip()


@pytest.mark.parametrize(
    ("made", "named"),
    [
        (layer("TorchModuleWrapper", "w", module_bytes="gASVAAAA"), "TorchModuleWrapper"),
        (layer("TFSMLayer", "w", filepath="/elsewhere"), "TFSMLayer"),
        (layer("StringLookup", "w", vocabulary="/etc/passwd"), "StringLookup"),
        (layer("get_file", "w", "keras.utils"), "get_file"),
        (dense("w", activation=layer("function", "get_file", "keras.utils")), "function"),
        (layer("deserialize_keras_object", "w", "keras.src.ops.nn"), "deserialize_keras_object"),
    ],
)
def test_what_keras_would_run_or_read_is_not_loaded(tmp_path: Path, made: dict[str, Any], named: str) -> None:
    model = models.read(keras_file(tmp_path / "a.keras", sequential(made, dense("d"))))
    assert str(model.strip().task("old", "new", "d")).startswith(f"{named} may run code")
