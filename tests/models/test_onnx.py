"""ONNX files: what they give, and their heads taken out and put in, in onnxruntime bit for bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from finallayer import models
from finallayer.cli import main
from finallayer.models.model import Edited
from finallayer.models.proving import prove
from finallayer.models.refusals import NotDone, NotRead

from . import changing
from .onnx_files import affine, node, write

onnx = pytest.importorskip("onnx")

QUANTISED = [
    affine(),
    node("Softmax", "z", "s", "softmax", axis=-1),
    node("QuantizeLinear", "s scale zero", "q", "to 8 bits"),
    node("DequantizeLinear", "q scale zero", "p", "from 8 bits"),
]
SCALE = {"scale": np.float32(1 / 256), "zero": np.uint8(0)}
ONE = {"axes": np.array([-1], np.int64)}
BY_HAND = [
    affine(),
    node("ReduceMax", "z", "m", axes=[-1]),
    node("Sub", "z m", "d"),
    node("Exp", "d", "e"),
    node("ReduceSum", "e axes", "t"),
    node("Div", "e t", "p"),
]
CASES: dict[str, tuple[dict[str, Any], str, tuple[str, ...]]] = {
    "softmax": ({"nodes": [affine(), node("Softmax", "z", "p", "s", axis=-1)]}, "probabilities", ("s",)),
    "softmax before 13": ({"nodes": [affine(), node("Softmax", "z", "p", "s")], "opset": 11}, "probabilities", ("s",)),
    "logits": ({"nodes": [affine(), node("Identity", "z", "p", "i")]}, "logits", ("fc", "i")),
    "sigmoid": ({"nodes": [affine(), node("Sigmoid", "z", "p", "s")]}, "sigmoid-probabilities", ("s",)),
    "log_softmax": ({"nodes": [affine(), node("LogSoftmax", "z", "p", "s")]}, "log-probabilities", ("s",)),
    "by hand": (
        {"nodes": BY_HAND, "stored": ONE},
        "probabilities",
        ("ReduceMax 1", "Sub 2", "Exp 3", "ReduceSum 4", "Div 5"),
    ),
    "a bias": (
        {"nodes": [affine(), node("Add", "z b", "p", "bias")], "stored": {"b": np.ones(3, "f4")}},
        "logits",
        ("fc", "bias"),
    ),
    "relu": ({"nodes": [affine(), node("Relu", "z", "p", "relu")]}, "unknown", ("relu",)),
    "quantised": (
        {"nodes": QUANTISED, "stored": SCALE},
        "probabilities",
        ("softmax", "to 8 bits", "from 8 bits"),
    ),
    "half": ({"nodes": [affine(), node("Softmax", "z", "p", "s")], "dtype": "FLOAT16"}, "probabilities", ("s",)),
    "a label, too": (
        {
            "nodes": [affine(), node("Softmax", "z", "p", "s"), node("ReduceMax", "p", "top", "top", axes=[-1])],
            "outputs": {"p": ("N", 3), "top": ("N", 1)},
        },
        "probabilities",
        ("s",),
    ),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("onnx")
    return {name: write(folder / f"{name}.onnx", **how) for name, (how, _, _) in CASES.items()}


@pytest.mark.parametrize("name", CASES)
def test_what_an_output_gives_and_by_which_nodes(made: dict[str, Path], name: str) -> None:
    output = models.read(made[name]).output("p")
    assert (output.kind, output.made_by) == CASES[name][1:]
    assert output.shape == ("N", 3)


def test_what_few_bits_lose_is_told(made: dict[str, Path]) -> None:
    (lost,) = models.read(made["quantised"]).outputs[0].notes
    assert "multiples of 0.00391" in lost
    (lost,) = models.read(made["half"]).outputs[0].notes
    assert "float16" in lost
    assert models.read(made["softmax"]).outputs[0].notes == ()


def run(path: Path) -> Any:
    ort = pytest.importorskip("onnxruntime")
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    rows = np.random.default_rng(1).normal(size=(64, 4)).astype("f2" if "16" in given.type else "f4")
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, {"x": rows}), strict=True))


def changed(edited: Edited, path: Path) -> models.Model:
    model = changing.changed(edited, path)
    onnx.checker.check_model(str(path), full_check=True)
    return model


def softmax(z: Any) -> Any:
    e = np.exp(z.astype("f8") - z.max(-1, keepdims=True).astype("f8"))
    return e / e.sum(-1, keepdims=True)


HEADS = {
    "probabilities": softmax,
    "sigmoid-probabilities": lambda z: 1 / (1 + np.exp(-z.astype("f8"))),
    "log-probabilities": lambda z: np.log(softmax(z)),
}


@pytest.mark.parametrize("name", [n for n, (_, kind, _) in CASES.items() if kind in HEADS])
def test_stripped_and_appended_again(made: dict[str, Path], tmp_path: Path, name: str) -> None:
    old = models.read(made[name])
    new = changed(old.strip(output="p"), tmp_path / "new.onnx")
    before, after = run(made[name]), run(tmp_path / "new.onnx")
    assert new.output("p").kind == "logits"
    apart = {"half": 1e-3, "quantised": 1 / 511}.get(name, 1e-6)
    assert np.abs(HEADS[CASES[name][1]](after["p"]) - before["p"]).max() < apart
    assert all(np.array_equal(before[k], after[k]) for k in before if k != "p")
    if name in ("quantised", "log_softmax"):
        return
    changed(new.append("sigmoid" if name == "sigmoid" else "softmax", "p"), tmp_path / "again.onnx")
    again = run(tmp_path / "again.onnx")
    most = 1e-6 if name == "by hand" else 0
    assert np.abs(again["p"] - before["p"]).max() <= most


def test_all_else_is_the_same_to_the_byte(made: dict[str, Path], tmp_path: Path) -> None:
    changed(models.read(made["softmax"]).strip(), tmp_path / "new.onnx")
    old, new = onnx.load(made["softmax"]), onnx.load(tmp_path / "new.onnx")
    (left,) = [n for n in new.graph.node if n.op_type == "Identity"]
    assert (left.name, *left.input, *left.output) == ("s", "z", "p")
    for model in (old, new):
        del model.graph.node[1]
    assert old.SerializeToString(deterministic=True) == new.SerializeToString(deterministic=True)


def test_a_node_that_was_changed_besides_is_seen(made: dict[str, Path], tmp_path: Path) -> None:
    edited = models.read(made["softmax"]).strip()
    with (tmp_path / "new.onnx").open("wb") as file:
        edited.write(file)
    model = onnx.load(tmp_path / "new.onnx")
    model.graph.node[0].name = "another"
    onnx.save(model, tmp_path / "new.onnx")
    with pytest.raises(NotDone, match="other nodes"):
        edited.compare(str(tmp_path / "new.onnx"))


def test_a_softmax_over_several_axes_is_not_misread(tmp_path: Path) -> None:
    """Before version 13 of ONNX's operators a softmax took all axes from its own on for one."""
    cube: dict[str, Any] = {"rows": ("N", 5, 4), "outputs": {"p": ("N", 5, 3)}}
    path = write(tmp_path / "a.onnx", [affine(), node("Softmax", "z", "p", "s", axis=1)], 11, **cube)
    assert models.read(path).outputs[0].expression.attrs.get("axis") is None  # type: ignore[union-attr]
    path = write(tmp_path / "b.onnx", [affine(), node("Softmax", "z", "p", "s", axis=1)], 13, **cube)
    assert models.read(path).outputs[0].expression.attrs["axis"] == -2  # type: ignore[union-attr]


def test_what_stands_between_the_head_and_the_output_is_refused(tmp_path: Path) -> None:
    nodes = [affine(), node("Softmax", "z", "s"), node("Clip", "s low", "p", "clip")]
    path = write(tmp_path / "a.onnx", nodes, stored={"low": np.float32(1e-7)})
    with pytest.raises(NotDone, match=r"'clip' \(Clip\) stands between"):
        models.read(path).strip()


def test_a_graph_that_goes_round_in_a_circle_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.onnx", [node("Add", "x b", "a", "one"), node("Relu", "a", "b", "two"), affine()])
    with pytest.raises(NotRead, match="circle"):
        models.read(path)


@pytest.mark.parametrize("place", ["/etc/passwd", "../weights", "a/../../b", "C:\\weights", ""])
def test_weights_outside_the_folder_are_refused(made: dict[str, Path], tmp_path: Path, place: str) -> None:
    model = onnx.load(made["softmax"])
    model.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL
    model.graph.initializer[0].ClearField("raw_data")
    model.graph.initializer[0].external_data.add(key="location", value=place)
    (tmp_path / "a.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(NotRead, match="outside its folder"):
        models.read(tmp_path / "a.onnx")


def test_the_command_writes_proves_and_tells(made: dict[str, Path], tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    out = tmp_path / "out.onnx"
    asked = ["head", str(made["softmax"]), "--strip", "-o", str(out), "--output-format", "json"]
    done = CliRunner().invoke(main, asked)
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["path"], told["format"]) == (str(out), "onnx")
    assert {k: told["outputs"][0][k] for k in ("name", "shape", "kind", "made_by")} == {
        "name": "p",
        "shape": ["N", 3],
        "kind": "logits",
        "made_by": ["fc", "s"],
    }
    assert told["proof"]["max_ulp"] == 0 and "onnxruntime" in told["proof"]["how"]
    assert list(tmp_path.iterdir()) == [out]


def test_weights_in_another_file_keep_the_model_in_its_folder(made: dict[str, Path], tmp_path: Path) -> None:
    model = onnx.load(made["softmax"])
    weights = tmp_path / "weights"
    weights.write_bytes(model.graph.initializer[0].raw_data)
    model.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL
    model.graph.initializer[0].ClearField("raw_data")
    model.graph.initializer[0].external_data.add(key="location", value="weights")
    (tmp_path / "a.onnx").write_bytes(model.SerializeToString())
    (tmp_path / "sub").mkdir()
    for place, code in (("sub/b.onnx", 2), ("b.onnx", 0)):
        asked = ["head", str(tmp_path / "a.onnx"), "--strip", "-o", str(tmp_path / place)]
        assert CliRunner().invoke(main, asked).exit_code == code
    assert models.read(tmp_path / "b.onnx").outputs[0].kind == "logits"


def test_a_head_that_computes_in_eight_bits_is_refused(tmp_path: Path) -> None:
    nodes = [
        affine(),
        node("QuantizeLinear", "z scale zero", "q"),
        node("QLinearSoftmax", "q scale zero scale zero", "s", "in bits", domain="com.microsoft", axis=-1, opset=17),
        node("DequantizeLinear", "s scale zero", "p"),
    ]
    path = write(tmp_path / "a.onnx", nodes, stored=SCALE, extra=[("com.microsoft", 1)])
    assert models.read(path).outputs[0].kind == "probabilities"
    with pytest.raises(NotDone, match="in eight bits"):
        models.read(path).strip()


def test_a_softmax_is_appended_along_the_channels_of_a_convolution(tmp_path: Path) -> None:
    kernel = {"K": np.random.default_rng(0).normal(size=(3, 4, 1, 1)).astype("f4")}
    picture: dict[str, Any] = {"rows": ("N", 4, 5, 6), "outputs": {"p": ("N", 3, 5, 6)}, "stored": kernel}
    path = write(tmp_path / "a.onnx", [node("Conv", "x K", "p", "conv")], **picture)
    new = changed(models.read(path).append("softmax"), tmp_path / "b.onnx")
    assert new.outputs[0].expression.attrs["axis"] == -3  # type: ignore[union-attr]
    path = write(tmp_path / "c.onnx", [node("Conv", "x K", "p", "conv")], 11, **picture)
    with pytest.raises(NotDone, match="no softmax along axis 1 alone"):
        models.read(path).append("softmax")


def test_rows_of_a_table_that_data_picks_are_no_weights(tmp_path: Path) -> None:
    nodes = [
        node("Cast", "x", "i", "tokens", to=7),
        node("Gather", "table i", "e", "embedding"),
        node("ReduceMean", "e", "m", axes=[1], keepdims=0),
        node("MatMul", "m W", "p", "scores"),
    ]
    path = write(tmp_path / "a.onnx", nodes, stored={"table": np.ones((9, 4), "f4")})
    assert models.read(path).outputs[0].kind == "logits"


@pytest.mark.parametrize(
    ("behind", "stored"),
    [
        ([node("Sub", "c s", "p")], {"c": np.float32(1)}),
        ([node("Clip", "s a c", "p")], {"a": np.float32(0), "c": np.float32(0.5)}),
        ([node("Greater", "s c", "b"), node("Where", "b s a", "p")], {"a": np.float32(0), "c": np.float32(0.5)}),
    ],
)
def test_probabilities_that_were_changed_are_not_called_so(tmp_path: Path, behind: Any, stored: Any) -> None:
    made = write(tmp_path / "a.onnx", [affine(), node("Softmax", "z", "s"), *behind], stored=stored)
    model = models.read(made)
    assert model.outputs[0].kind == "unknown"
    with pytest.raises(NotDone, match="made of probabilities already"):
        model.append("softmax")


def test_probabilities_cast_to_whole_numbers_are_none(tmp_path: Path) -> None:
    made = write(tmp_path / "a.onnx", [affine(), node("Softmax", "z", "s"), node("Cast", "s", "p", to=7)])
    proto = onnx.load(made)
    proto.graph.output[0].type.tensor_type.elem_type = 7
    onnx.save(proto, made)
    assert models.read(made).outputs[0].kind == "unknown"


SHARED = [affine(), node("Softmax", "z", "p"), node("Identity", "p", "i"), node("Cast", "i", "q", to=1)]


@pytest.mark.parametrize("also", ["p", "i"])
def test_what_another_output_gives_stays(tmp_path: Path, also: str) -> None:
    both = {"q": ("N", 3), also: ("N", 3)}
    model = models.read(write(tmp_path / "a.onnx", SHARED, outputs=both))
    with pytest.raises(NotDone, match="more than 'q' is made of"):
        model.strip("q")
    plain = [affine(), node("Identity", "z", "i"), node("Cast", "i", "q", to=1)]
    model = models.read(write(tmp_path / "b.onnx", plain, outputs={"q": ("N", 3), "i": ("N", 3)}))
    new = changed(model.append("softmax", "q"), tmp_path / "new.onnx")
    assert [o.kind for o in new.outputs] == ["probabilities", "logits"]


def test_what_reads_a_tensor_between_the_head_and_the_output_goes_on_reading_probabilities(tmp_path: Path) -> None:
    model = models.read(write(tmp_path / "a.onnx", [*SHARED, node("Log", "i", "l")], outputs={"q": (), "l": ()}))
    with pytest.raises(NotDone, match="more than 'q' is made of"):
        model.strip("q")


def test_a_head_goes_behind_what_nobody_understands(tmp_path: Path) -> None:
    model = models.read(write(tmp_path / "a.onnx", [affine(), node("Hardmax", "z", "p")]))
    new = changed(edited := model.append("softmax"), tmp_path / "new.onnx")
    assert prove(model, new, edited, "p", lambda task: {"error": "nothing runs"}).how == "by expression: nothing runs"


def test_a_head_made_of_several_is_refused_for_that(tmp_path: Path) -> None:
    model = models.read(write(tmp_path / "a.onnx", [affine(), node("Softmax", "z", "s"), node("Log", "s", "p")]))
    with pytest.raises(NotDone, match="more than one softmax or sigmoid makes it"):
        model.strip()


def test_eight_bits_hold_no_logits(tmp_path: Path) -> None:
    made = write(tmp_path / "a.onnx", [*QUANTISED[:2], node("QuantizeLinear", "s scale zero", "p")], stored=SCALE)
    proto = onnx.load(made)
    proto.graph.output[0].type.tensor_type.elem_type = 2
    onnx.save(proto, made)
    with pytest.raises(NotDone, match="no floating-point numbers"):
        models.read(made).strip()


def classifier(path: Path, head: str, intercepts: list[float]) -> Path:
    """As scikit-learn's exporter writes it: labels, scores, and the scores as a dictionary a row."""
    weights = [0.1 * i for i in range(4 * len(intercepts))]
    given = {"coefficients": weights, "intercepts": intercepts, "post_transform": head}
    nodes = [
        node("LinearClassifier", "x", "l p", "c", domain="ai.onnx.ml", classlabels_ints=[0, 1, 2], **given),
        node("ZipMap", "p", "d", domain="ai.onnx.ml", classlabels_int64s=[0, 1, 2]),
    ]
    return write(path, nodes, outputs={"p": ("N", 3), "d": ()}, extra=[("ai.onnx.ml", 3)])


def test_a_classifier_that_two_outputs_show_is_not_changed_for_one(tmp_path: Path) -> None:
    model = models.read(classifier(tmp_path / "a.onnx", "SOFTMAX", [0.0, 0.1, 0.2]))
    assert model.output("p").kind == "probabilities"
    with pytest.raises(NotDone, match="which its node gives"):
        model.strip("p")


@pytest.mark.parametrize("head", ["SOFTMAX", "LOGISTIC", "NONE"])
def test_a_classifier_with_scores_for_one_of_two_classes_is_not_known(tmp_path: Path, head: str) -> None:
    assert models.read(classifier(tmp_path / "a.onnx", head, [0.1])).output("p").kind == "unknown"


def test_what_is_no_tensor_gets_no_head(tmp_path: Path) -> None:
    made = write(tmp_path / "a.onnx", [affine(), node("SequenceConstruct", "z", "p")])
    proto = onnx.load(made)
    proto.graph.output[0].CopyFrom(onnx.helper.make_tensor_sequence_value_info("p", 1, None))
    onnx.save(proto, made)
    with pytest.raises(NotDone, match="is no tensor"):
        models.read(made).append("softmax")
