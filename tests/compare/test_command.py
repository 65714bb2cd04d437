"""The command as a user runs it: real Keras on JAX and on TensorFlow, each in a process of its own, and Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from filelock import FileLock

from finallayer.cli import compare as compare_verb
from finallayer.cli import main
from finallayer.compare import backends
from finallayer.compare.heads import head_names
from finallayer.compare.session import tell

from .synthetic import results_of, silenced_and_rescued

SRC = Path(backends.__file__).parents[2]
COMMAND = [sys.executable, "-m", "finallayer", "compare"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(SRC), os.environ.get("PYTHONPATH", "")])}


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small data set of one's own: 300 digits, 0 to 255."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    path = tmp_path_factory.mktemp("data") / "mine.npz"
    np.savez(path, x=digits.images[:300] * (255 / 16), y=digits.target[:300])
    return str(path)


@pytest.fixture(scope="module")
def report(mine: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Path]:
    """One real run of Keras on JAX and on TensorFlow, for all processes that test."""
    folder = tmp_path_factory.getbasetemp()
    shared = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
    out, told = shared / "report", shared / "report.json"
    options = "--backends jax,tensorflow --precisions float32 --inputs raw --heads softmax --epochs 2 --seeds 2".split()
    command = [*COMMAND, "--data", mine, *options, "--out", str(out)]
    with FileLock(shared / "report.lock"):
        if not told.exists():
            ran = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=500, check=False)
            told.write_text(json.dumps([ran.returncode, ran.stdout, ran.stderr]))
    return subprocess.CompletedProcess(command, *json.loads(told.read_text())), out


@pytest.fixture(scope="module")
def results(report: tuple[subprocess.CompletedProcess[str], Path]) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((report[1] / "results.json").read_text())
    return content


def losses(results: dict[str, Any], backend: str, head: str, seed: int = 0) -> list[float]:
    (cell,) = [c for c in results["cells"] if (c["backend"], c["head"], c["seed"]) == (f"keras-{backend}", head, seed)]
    return [epoch["loss"] for epoch in cell["epochs"]]


def test_it_exits_0_and_prints_table_verdict_and_place(
    report: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    done, out = report
    assert done.returncode == 0, done.stderr
    assert "Keras on TensorFlow, float32, raw" in done.stdout and "double-softmax" not in done.stdout
    assert f"Report: {out / 'report.html'}" in done.stdout
    assert (out / "report.html").stat().st_size > 50_000
    assert "[8/8]" in done.stderr and "left" in done.stderr
    assert "\x1b[" not in done.stdout + done.stderr


def test_heads_of_a_pair_see_the_same_weights_batches_and_dropout(results: dict[str, Any]) -> None:
    """On TensorFlow in float32 Keras rescues the softmax head, and it becomes the logits head: nothing may differ."""
    for seed in (0, 1):
        rescued, logits = (losses(results, "tensorflow", head, seed) for head in ("softmax", "logits"))
        assert rescued == pytest.approx(logits, rel=1e-5)
    assert losses(results, "tensorflow", "logits", 0) != pytest.approx(losses(results, "tensorflow", "logits", 1))


def test_the_same_program_on_jax_falls_silent(results: dict[str, Any]) -> None:
    rows = {(row["backend"], row["head"]): row for row in results["summary"]}
    assert rows["keras-jax", "softmax"]["silenced"] > 0.2
    assert rows["keras-tensorflow", "softmax"]["silenced"] == rows["keras-jax", "logits"]["silenced"] == 0
    assert rows["keras-jax", "softmax"]["gain"]["mean"] > 0.1
    assert rows["keras-tensorflow", "softmax"]["gain"]["mean"] == 0
    assert rows["keras-jax", "softmax"]["gain"]["pairs"] == 2


def test_the_edge_is_where_keras_clips(results: dict[str, Any]) -> None:
    edges = {(curve["backend"], curve["head"]): curve["safe_margin"] for curve in results["gradients"]["curves"]}
    assert edges["keras-jax", "softmax"] == pytest.approx(16.118, abs=0.01)
    assert edges["keras-tensorflow", "softmax"] is None
    assert edges["keras-jax", "logits"] is None


def test_versions_and_data_are_recorded(results: dict[str, Any]) -> None:
    versions = results["environment"]["versions"]
    assert set(versions["keras-jax"]) == {"keras", "jax"} and set(versions["keras-tensorflow"]) == {
        "keras",
        "tensorflow",
    }
    assert (results["data"]["train_samples"], results["data"]["val_samples"]) == (240, 60)


LONG = "--backends torch --precisions float32 --inputs raw --heads clipped-log --epochs 1 --seeds 400".split()


def ended_early(mine: str, out: Path, ending: signal.Signals) -> dict[str, Any]:
    """The results of a run of 800 cells that is ended after the third, with one line and exit code 130."""
    command = [*COMMAND, "--data", mine, *LONG, "--out", str(out)]
    process = subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("[  3/800]"):
            process.send_signal(ending)
            break
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 130
    assert "Traceback" not in said and "to go on" in said
    results: dict[str, Any] = json.loads((out / "results.json").read_text())
    assert len(results["cells"]) >= 3 and results["missing"][0]["reason"] == "interrupted"
    assert len(results["cells"]) + len(results["missing"]) == 800
    assert "runs are missing" in (out / "report.html").read_text()
    return results


def test_a_terminal_that_is_closed_ends_it_as_ctrl_c_does(mine: str, tmp_path: Path) -> None:
    ended_early(mine, tmp_path, signal.SIGHUP)


def test_interrupted_and_resumed(mine: str, tmp_path: Path) -> None:
    before = ended_early(mine, tmp_path, signal.SIGINT)
    seeds = 1 + max(cell["seed"] for cell in before["cells"])
    again = [*COMMAND, "--data", mine, *LONG, "--seeds", str(seeds + 1), "--out", str(tmp_path), "--resume"]
    assert subprocess.run(again, env=ENVIRONMENT, capture_output=True, timeout=300, check=False).returncode == 0
    after = json.loads((tmp_path / "results.json").read_text())
    assert len(after["cells"]) == 2 * (seeds + 1) and after["missing"] == []
    assert [cell for cell in after["cells"] if cell in before["cells"]] == before["cells"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_the_report_is_whole_where_nothing_can_be_printed(mine: str, tmp_path: Path) -> None:
    options = f"--data {mine} --backends torch --precisions float32 --inputs raw --heads clipped-log --epochs 1"
    command = [*COMMAND, *options.split(), "--seeds", "1", "--out", str(tmp_path)]
    last = {}
    for output, more in (("&-", []), ("/dev/full", ["--resume"])):  # closed, and a full disk
        ended = subprocess.run(
            ["sh", "-c", f'"$@" >{output}', "sh", *command, *more],
            env=ENVIRONMENT, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert json.loads((tmp_path / "results.json").read_text())["missing"] == []
        assert (tmp_path / "report.html").stat().st_size > 10_000
        (tmp_path / "report.html").unlink()
        assert "Traceback" not in ended.stderr and "Exception ignored" not in ended.stderr
        last[output] = ended.returncode, ended.stderr.splitlines()[-1]
    assert last["&-"][0] == 0 and last["&-"][1].startswith("[2/2]")
    assert last["/dev/full"] == (2, "Error: the report or the output: No space left on device")


def refused(*options: str) -> str:
    """The one line on stderr of a command that may not start."""
    result: Result = CliRunner().invoke(main, ["compare", *options])
    assert result.exit_code == 2
    assert result.stdout == ""
    lines = result.stderr.strip().splitlines()
    assert lines[-1].startswith("Error: ")
    return lines[-1]


BAD_OPTIONS = {
    "unknown backend 'mxnet'": ["--backends", "mxnet"],
    "unknown head 'hinge'": ["--heads", "hinge"],
    "--precisions: unknown value 'float8'": ["--precisions", "float8"],
    "--inputs: unknown value 'cooked'": ["--inputs", "cooked"],
    "unknown data set 'imagenet'": ["--data", "imagenet"],
    "no such file": ["--data", "nowhere.npz"],
    "Invalid value for '--epochs'": ["--epochs", "0"],
    "Invalid value for '--seeds'": ["--seeds", "many"],
    "--heads: empty": ["--heads", ""],
}


@pytest.mark.parametrize("says", BAD_OPTIONS)
def test_bad_options_get_one_line_and_exit_2(says: str, tmp_path: Path) -> None:
    assert says in refused(*BAD_OPTIONS[says], "--out", str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_an_unwritable_folder_and_an_old_results_file_are_refused(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    assert f"--out: cannot write into {blocked}" in refused("--backends", "torch", "--out", str(blocked))
    (tmp_path / "results.json").write_text('{"schema_version": 0}')
    line = refused("--backends", "torch", "--out", str(tmp_path), "--resume")
    assert "has schema version 0; expected 2" in line


def test_a_backend_that_is_not_installed_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends.Backend, "missing", lambda self: list(self.modules))
    assert "Keras on JAX (keras, jax not installed); install it with: pip install keras jax" in refused(
        "--backends", "jax"
    )


def test_without_the_extra_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare_verb, "NEEDED", ("matplotlib", "no_such_module"))
    assert "compare needs no_such_module, not installed; expected the extra: pip install" in refused()


def test_a_disk_that_fills_up_gets_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(options: dict[str, Any]) -> int:
        raise OSError(28, "No space left on device", "results.json")

    monkeypatch.setattr(compare_verb, "_compare", full)
    assert refused() == "Error: results.json: No space left on device"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("comp", ["compare"]),
        ("compare --he", ["--heads", "--help"]),
        ("compare --heads lo", [name for name in head_names() if name.startswith("lo")]),
        ("compare --backends keras-jax,to", ["keras-jax,torch"]),
        ("compare --precisions mixed", ["mixed_bfloat16", "mixed_float16"]),
    ],
)
def test_shells_complete_verbs_options_and_names(words: str, expected: list[str]) -> None:
    asked = {
        "_FINALLAYER_COMPLETE": "bash_complete",
        "COMP_WORDS": f"finallayer {words}",
        "COMP_CWORD": str(len(words.split())),
    }
    result = CliRunner().invoke(main, [], env=asked, prog_name="finallayer", complete_var="_FINALLAYER_COMPLETE")
    assert [line.split(",", 1)[1] for line in result.output.splitlines()] == expected


def test_help_reads_well() -> None:
    result = CliRunner().invoke(main, ["compare", "--help"], terminal_width=100)
    assert result.exit_code == 0
    for option in "--data --data-dir --backends --precisions --inputs --heads --epochs --seeds --out --resume".split():
        assert option in result.output


def test_what_a_file_holds_forges_no_line(tmp_path: Path) -> None:
    names = np.array(["ant", "bee"])[np.arange(20) % 2]
    odd = np.where(np.arange(20) == 3, "\x1b[2J\n::error::no", names)
    x = np.arange(40.0).reshape(20, 2)
    np.savez(tmp_path / "mine.npz", x_train=x, y_train=names, x_test=x, y_test=odd)
    line = refused("--data", str(tmp_path / "mine.npz"), "--out", str(tmp_path / "out"))
    assert "\x1b" not in line and "\\x1b[2J" in line


def test_a_folder_that_looks_like_markup_is_told_as_it_is(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    tell(results_of(*silenced_and_rescued()), tmp_path / "[bold]o[" / "b]" / "report.html")
    assert "[bold]o[/b]/report.html" in capsys.readouterr().out
