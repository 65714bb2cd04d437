"""Files that may be anybody's: whatever they hold is one line, nothing of it runs, and little is kept in memory."""

from __future__ import annotations

import errno
import io
import json
import os
import random
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import finallayer
from finallayer import models
from finallayer.cli import main
from finallayer.models.refusals import NotDone, NotRead

from .onnx_files import affine, node, write


def dense(name: str, units: int = 3, activation: Any = "softmax", **more: Any) -> dict[str, Any]:
    settings = {"name": name, "units": units, "activation": activation}
    return {"module": "keras.layers", "class_name": "Dense", "config": settings, "registered_name": None, **more}


def own_code(**settings: Any) -> dict[str, Any]:
    """A layer whose function Keras would run."""
    return {"module": "keras.layers", "class_name": "Lambda", "config": {"name": "l", **settings}}


def sequential(*layers: Any, **more: Any) -> dict[str, Any]:
    config = {"name": "model", "layers": list(layers)}
    return {"module": "keras", "class_name": "Sequential", "config": config, "registered_name": None, **more}


def keras_file(path: Path, config: Any, *members: tuple[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", config if isinstance(config, (bytes, str)) else json.dumps(config))
        for name, content in members:
            archive.writestr(name, content)
    return path


def circle() -> dict[str, Any]:
    def called(name: str, other: str) -> dict[str, Any]:
        tensor = {"class_name": "__keras_tensor__", "config": {"keras_history": [other, 0, 0]}}
        return {**dense(name), "name": name, "inbound_nodes": [{"args": [tensor], "kwargs": {}}]}

    config = {"name": "m", "layers": [called("a", "b"), called("b", "a")], "output_layers": [["a", 0, 0]]}
    return {"module": "keras", "class_name": "Functional", "config": config, "registered_name": "Functional"}


def nested(deep: int) -> dict[str, Any]:
    model = sequential(dense("d"))
    for _ in range(deep):
        model = sequential(model)
    return model


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda p: p.write_bytes(b"nothing"), "no model file"),
        (lambda p: p.write_bytes(b""), "no model file"),
        (lambda p: p.write_bytes(b"PK\3\4" + bytes(100)), "damaged zip"),
        (lambda p: p.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100)), "old HDF5 format"),
        (lambda p: keras_file(p, "{"), "is no JSON"),
        (lambda p: keras_file(p, "[" * 100_000), "too deeply nested"),
        (lambda p: keras_file(p, "[1]"), "describes no model"),
        (lambda p: keras_file(p, b" " * (257 << 20)), "too large"),
        (lambda p: keras_file(p, sequential(dense("d")), ("../up", b"")), "leads out of the archive"),
        (lambda p: keras_file(p, sequential(dense("d")), ("/up", b"")), "leads out of the archive"),
        (lambda p: keras_file(p, sequential(dense("d")), ("a", b""), ("a", b"")), "two members of one name"),
        (lambda p: keras_file(p, circle()), "circle"),
        (lambda p: keras_file(p, nested(60)), "nested more than"),
        (lambda p: keras_file(p, sequential({"class_name": "Dense", "config": {}})), "no name"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_what_is_refused_is_one_line_and_exit_code_2(tmp_path: Path, make: Any, why: str) -> None:
    path = tmp_path / "model.keras"
    make(path)
    with pytest.raises(NotRead, match=why) as raised:
        models.read(path)
    assert "\n" not in str(raised.value)
    done = CliRunner().invoke(main, ["head", str(path)])
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)


@pytest.mark.parametrize("name", ["absent.keras", "folder.keras"])
def test_what_is_no_file_is_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.keras").mkdir()
    done = CliRunner().invoke(main, ["head", str(tmp_path / name)])
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)


def test_a_look_alike_is_not_taken_for_keras_own(tmp_path: Path) -> None:
    """A class of the file's maker, though it is called Dense, and an activation that is no name."""
    for layer in (
        {**dense("d"), "module": "own.layers"},
        {**dense("d"), "registered_name": "own>Dense"},
        dense(
            "d",
            activation={
                "module": "own",
                "class_name": "function",
                "config": "softmax",
                "registered_name": "own>softmax",
            },
        ),
        dense("d", activation="Softmax"),
    ):
        (output,) = models.read(keras_file(tmp_path / "a.keras", sequential(layer))).outputs
        assert output.kind == "unknown"


def test_names_from_a_file_are_shown_and_not_obeyed(tmp_path: Path) -> None:
    path = keras_file(tmp_path / "a.keras", sequential(dense("\x1b[2J\n::error::x")))
    done = CliRunner().invoke(main, ["head", str(path)])
    assert done.exit_code == 0 and "\x1b" not in done.stdout and "\n::error" not in done.stdout


def exported_program(path: Path, target: str) -> None:
    """A program of torch.export that is one operation."""
    x, p = ({"as_tensor": {"name": name}} for name in "xp")
    given = [{"name": "self", "arg": x, "kind": 1}, {"name": "dim", "arg": {"as_int": -1}, "kind": 1}]
    graph = {
        "nodes": [{"target": target, "inputs": given, "outputs": [p], "name": "p"}],
        "tensor_values": {"x": {"dtype": 7, "sizes": []}, "p": {"dtype": 7, "sizes": []}},
        "outputs": [p],
    }
    specs = {"input_specs": [{"user_input": {"arg": x}}], "output_specs": [{"user_output": {"arg": p}}]}
    module = {"graph": graph, "signature": specs, "module_call_graph": []}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/models/model.json", json.dumps({"graph_module": module}))
        archive.writestr("a/data.pkl", b"cos\nsystem\n(S'true'\ntR.")


def saved_model_folder(folder: Path, op: str) -> None:
    """A SavedModel that is one operation."""
    from finallayer.models.savedmodel_messages import saved_model

    whole = saved_model()()
    graph = whole.meta_graphs.add()
    graph.graph.node.add(name="x", op="Placeholder")
    graph.graph.node.add(name="p", op=op, input=["x"])
    signature = graph.signatures.add(key="serving_default").value
    signature.outputs.add(key="p").value.name = "p:0"
    folder.mkdir()
    (folder / "saved_model.pb").write_bytes(whole.SerializeToString())


#: Reads, strips and writes every file in a folder; anything that would run or load what a file names ends it.
WATCHED = """
import sys
from pathlib import Path
import json, zipfile, tempfile
from finallayer import models
from finallayer.models.refusals import NotDone, NotRead
for warm in sorted(Path(sys.argv[1]).iterdir()):  # what is imported lazily
    try: models.read(warm).strip().write(tempfile.TemporaryFile())
    except (NotDone, NotRead): pass
before = set(sys.modules)
forbidden = ("exec", "compile", "import", "pickle.find_class", "marshal.loads", "subprocess.Popen", "os.system",
             "socket.connect", "socket.bind", "ctypes.dlopen", "os.exec", "os.posix_spawn", "os.fork")
def hook(event, args):
    if event in forbidden:
        raise SystemExit(f"{event} {args!r:.200}")
sys.addaudithook(hook)
seen = set()
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        model = models.read(path)
        seen.add(model.format)
        for output in model.outputs:
            for change in (lambda: model.strip(output.name), lambda: model.append("softmax", output.name)):
                try:
                    with open(Path(sys.argv[2]) / "out", "wb") as file: change().write(file)
                except NotDone: pass
    except NotRead: pass
print("done", *sorted(seen), *(set(sys.modules) - before))
"""


def test_nothing_in_a_file_is_run_imported_or_unpickled(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    own = {"module": "antigravity", "class_name": "Evil", "config": {}, "registered_name": "evil"}
    function = {"class_name": "__lambda__", "config": {"value": "4wEAAAAA", "defaults": None, "closure": None}}
    keras_file(folder / "own.keras", {**sequential(dense("d")), **own})
    keras_file(folder / "lambda.keras", sequential(dense("d"), own_code(function=function), dense("e")))
    keras_file(folder / "plain.keras", sequential(dense("d")), ("data.pkl", b"cos\nsystem\n(S'true'\ntR."))
    keras_file(folder / "named.keras", sequential({**dense("d"), "module": "antigravity"}))
    (folder / "pickle.pt2").write_bytes(b"\x80\x04cos\nsystem\n.")
    exported_program(folder / "program.pt2", "torch.ops.antigravity.softmax.int")
    exported_program(folder / "softmax.pt2", "torch.ops.aten.softmax.int")
    formats = ["keras", "pt2"]
    if find_spec("onnx") is not None:
        write(folder / "a.onnx", [affine(), node("Softmax", "z", "p", domain="antigravity")])
        write(folder / "b.onnx", [affine(), node("Softmax", "z", "p")])
        saved_model_folder(folder / "saved", "Softmax")
        saved_model_folder(folder / "py_func", "PyFunc")
        formats = ["keras", "onnx", "pt2", "savedmodel"]
    command = [sys.executable, "-c", WATCHED, str(folder), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(Path(finallayer.__file__).parents[1])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["done", *formats], done.stderr[-500:]


@pytest.mark.parametrize("threshold", [-1e4, 10**400, float("nan"), "0.5"])
def test_a_threshold_that_no_probability_has_is_refused(tmp_path: Path, threshold: Any) -> None:
    told = {"module": "keras.losses", "class_name": "BinaryCrossentropy", "config": {"from_logits": True}}
    sure = {"module": "keras.metrics", "class_name": "BinaryAccuracy", "config": {"threshold": threshold}}
    scores = sequential(dense("d", 1, None), compile_config={"loss": told, "metrics": [sure]})
    with pytest.raises(NotDone, match="threshold is no number"):
        models.read(keras_file(tmp_path / "a.keras", scores)).append("sigmoid")


def test_a_file_with_code_of_its_own_is_changed_but_not_run(tmp_path: Path) -> None:
    """Keras would run what a Lambda holds, so the proof is by expression."""
    path = keras_file(tmp_path / "a.keras", sequential(own_code(), dense("d")))
    out = tmp_path / "b.keras"
    done = CliRunner().invoke(main, ["head", str(path), "--strip", "-o", str(out), "--output-format", "json"])
    assert done.exit_code == 0, done.stderr
    how = "by expression: Lambda may run code or read files, so nothing was run"
    assert json.loads(done.stdout)["proof"] == {"how": how, "max_ulp": None}


def test_the_file_itself_is_only_written_in_place_and_whole(tmp_path: Path) -> None:
    path = keras_file(tmp_path / "a.keras", sequential(own_code(), dense("d")), ("model.weights.h5", bytes(1000)))
    path.chmod(0o640)
    before = path.read_bytes()
    done = CliRunner().invoke(main, ["head", str(path), "--strip", "-o", str(path)])
    assert done.exit_code == 2 and "--in-place" in done.stderr and path.read_bytes() == before
    refused = CliRunner().invoke(main, ["head", str(path), "--append", "softmax", "--in-place"])
    assert refused.exit_code == 2 and path.read_bytes() == before
    done = CliRunner().invoke(main, ["head", str(path), "--strip", "--in-place"])
    assert done.exit_code == 0 and models.read(path).outputs[0].kind == "logits"
    assert path.stat().st_mode & 0o777 == 0o640 and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("asked", [["--strip"], ["--in-place"], ["--strip", "--append", "softmax", "-o", "x"]])
def test_what_cannot_be_meant_is_a_usage_error(tmp_path: Path, asked: list[str]) -> None:
    assert CliRunner().invoke(main, ["head", str(tmp_path / "a.keras"), *asked]).exit_code == 2


def test_damage_anywhere_is_not_read_or_not_done(tmp_path: Path) -> None:
    """A short run of what benchmarks/fuzz_models.py does at length."""
    compiled = {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"], "optimizer": "adam"}
    whole = json.dumps(sequential(dense("a", 8, "relu"), dense("b"), compile_config=compiled))
    outcomes = set()
    for case in range(400):
        chance = random.Random(case)
        at, length = chance.randrange(len(whole)), chance.randrange(20)
        text = (
            whole[:at]
            + chance.choice(["", "null", "[]", "{}", "1e999", '"x"', whole[at : at + 9]])
            + whole[at + length :]
        )
        path = keras_file(tmp_path / "a.keras", text)
        try:
            model = models.read(path)
            for output in model.outputs:
                model.strip(output.name).write(io.BytesIO())
            outcomes.add("done")
        except (NotRead, NotDone) as why:
            outcomes.add(type(why).__name__)
    assert outcomes == {"done", "NotRead", "NotDone"}


@pytest.mark.parametrize(
    ("out", "why"), [("loop", "is no file"), ("pipe", "is no file"), ("absent/a.keras", "there is no folder")]
)
def test_a_place_that_takes_no_file_is_one_line(tmp_path: Path, out: str, why: str) -> None:
    path = keras_file(tmp_path / "a.keras", sequential(own_code(), dense("d")))
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    os.mkfifo(tmp_path / "pipe")
    done = CliRunner().invoke(main, ["head", str(path), "--strip", "-o", str(tmp_path / out)])
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1) and why in done.stderr, done.stderr


def test_a_full_disk_is_told_by_the_name_that_was_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = keras_file(tmp_path / "a.keras", sequential(own_code(), dense("d")))

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full)
    done = CliRunner().invoke(main, ["head", str(path), "--strip", "-o", str(tmp_path / "new.keras")])
    assert done.exit_code == 2 and "new.keras: No space left" in done.stderr
    assert list(tmp_path.iterdir()) == [path]


def test_compiled_code_is_said_to_be_that(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.pt2", "w") as archive:
        archive.writestr("a/data/aotinductor/model/a.so", b"")
    with pytest.raises(NotRead, match="AOTInductor"):
        models.read(tmp_path / "a.pt2")


TAKES = """
import os, numpy
from finallayer.models.ulps import answer
taken = int(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * {share})
answer(lambda task: {{"max_ulp": float(numpy.empty(taken, "u1").size > 0)}})  # asked for, and never touched
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a process's memory is not limited here")
@pytest.mark.parametrize(
    ("share", "found"), [(0.6, {"error": "onnx could not run it (MemoryError)"}), (0.01, {"max_ulp": 1.0})]
)
def test_a_file_that_is_run_may_not_take_the_machines_memory(share: float, found: dict[str, Any]) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(finallayer.__file__).parents[1])}
    command = [sys.executable, "-c", TAKES.format(share=share)]
    done = subprocess.run(command, input='{"runtime": "onnx"}', env=environment, capture_output=True, text=True)
    assert json.loads(done.stdout.splitlines()[-1]) == found
