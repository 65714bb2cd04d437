"""``finallayer check`` takes saved models along: the same rules, and a finding names the node or layer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from finallayer.cli import main

from .test_strangers_files import dense, keras_file, sequential


def found(folder: Path) -> dict[str, list[tuple[str, str]]]:
    done = CliRunner().invoke(main, ["check", str(folder), "--no-cache", "--output-format", "json"])
    assert done.exit_code in (0, 1), done.stderr
    by_file: dict[str, list[tuple[str, str]]] = {}
    for one in json.loads(done.stdout):
        by_file.setdefault(Path(one["path"]).stem, []).append((one["rule"], one["message"]))
    return by_file


def compiled(loss: Any, *layers: Any, **more: Any) -> dict[str, Any]:
    return sequential(*layers, compile_config={"loss": loss, "metrics": None, **more})


def test_models_of_keras(tmp_path: Path) -> None:
    told = {"module": "keras.losses", "class_name": "SparseCategoricalCrossentropy", "config": {"from_logits": True}}
    keras_file(tmp_path / "right.keras", compiled(told, dense("d", activation="linear")))
    keras_file(tmp_path / "bare.keras", sequential(dense("d")))
    keras_file(tmp_path / "twice.keras", compiled(told, dense("scores")))
    keras_file(tmp_path / "wrong.keras", compiled("categorical_crossentropy", dense("scores", activation=None)))
    keras_file(tmp_path / "usual.keras", compiled("categorical_crossentropy", dense("scores")))
    keras_file(tmp_path / "one.keras", sequential(dense("lonely", 1, build_config={"input_shape": [None, 4]})))
    rules = {name: [rule for rule, _ in ones] for name, ones in found(tmp_path).items()}
    assert rules == {"twice": ["FL101"], "wrong": ["FL102"], "usual": ["FL301"], "one": ["FL105"]}
    assert "'lonely'" in found(tmp_path)["one"][0][1]


def test_graphs_of_onnx(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    from .onnx_files import affine, node, write

    write(tmp_path / "right.onnx", [affine(), node("Softmax", "z", "p", axis=-1)])
    write(tmp_path / "log.onnx", [affine(), node("Softmax", "z", "s"), node("Log", "s", "p")])
    write(tmp_path / "twice.onnx", [affine(), node("Softmax", "z", "s"), node("Softmax", "s", "p", "again")])
    write(tmp_path / "batch.onnx", [affine(), node("Softmax", "z", "p", "over rows", axis=0)])
    naive = [affine(), node("Exp", "z", "e"), node("ReduceSum", "e axes", "t"), node("Div", "e t", "p", "by hand")]
    write(tmp_path / "naive.onnx", naive, stored={"axes": np.array([-1], np.int64)})
    trains = node("SoftmaxCrossEntropyLoss", "s y", "p", "loss")
    write(tmp_path / "train.onnx", [affine(), node("Softmax", "z", "s"), trains], stored={"y": np.zeros(3, np.int64)})
    told = found(tmp_path)
    rules = {name: [rule for rule, _ in ones] for name, ones in told.items()}
    assert rules == {"twice": ["FL101"], "batch": ["FL107"], "naive": ["FL204"], "train": ["FL101"]}
    assert "'again'" in told["twice"][0][1] and "'by hand'" in told["naive"][0][1]


def test_a_damaged_model_costs_its_own_findings_and_no_other(tmp_path: Path) -> None:
    keras_file(tmp_path / "one.keras", sequential(dense("lonely", 1, build_config={"input_shape": [None, 4]})))
    (tmp_path / "cut.keras").write_bytes(b"PK\3\4")
    done = CliRunner().invoke(main, ["check", str(tmp_path), "--no-cache"])
    assert done.exit_code == 2 and "FL105" in done.stdout
    assert "cut.keras: can't be read" in done.stderr and done.stderr.count("\n") == 1


def test_a_rule_that_fails_at_a_model_costs_its_findings_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(seen: Any) -> Any:
        raise ZeroDivisionError("in a rule")

    monkeypatch.setattr("finallayer.check.saved.judge", failing)
    keras_file(tmp_path / "a.keras", sequential(dense("d")))
    done = CliRunner().invoke(main, ["check", str(tmp_path), "--no-cache"])
    assert done.exit_code == 2 and "a.keras: could not be analysed (ZeroDivisionError: in a rule)" in done.stderr
