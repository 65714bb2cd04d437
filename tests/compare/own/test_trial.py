"""``finallayer compare SCRIPT`` as a user runs it: real programs, one that fails, one that is interrupted."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import finallayer
from finallayer.cli import main
from finallayer.compare.own.trial import tell

from .trials import cell, epoch, trial

SRC = Path(finallayer.__file__).parents[1]
COMMAND = [sys.executable, "-m", "finallayer", "compare"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(SRC), os.environ.get("PYTHONPATH", "")])}

TRAIN = """\
import torch
from network import net
from torch import nn

torch.manual_seed(1)
x = torch.randn(240, 8)
y = (x @ torch.randn(8, 4)).argmax(1)
model = net()
optimizer = torch.optim.Adam(model.parameters(), 0.05)
criterion = nn.CrossEntropyLoss()
for epoch in range(20):
    for rows in torch.randperm(240).split(60):
        optimizer.zero_grad()
        criterion(model(100 * x[rows]), y[rows]).backward()
        optimizer.step()
torch.save(model.state_dict(), "model.pt")
print(f"accuracy {(model(100 * x).argmax(1) == y).float().mean():.4f}")
"""
NETWORK = """\
from torch import nn


def net():
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4), nn.Softmax(dim=1))
"""


@pytest.fixture(scope="module")
def torchs(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Path]:
    """A real program of two files, with its defect in the one that it imports, as its user runs it."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "train.py").write_text(TRAIN)
    (folder / "network.py").write_text(NETWORK)
    command = [*COMMAND, "train.py", "--seeds", "1", "--metric", r"accuracy (\S+)", "--out", "report"]
    done = subprocess.run(
        command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=280, check=False
    )
    return done, folder


def test_both_arms_are_run_measured_and_judged(torchs: Any) -> None:
    done, folder = torchs
    assert done.returncode == 0, done.stderr
    assert "-    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4), nn.Softmax(dim=1))" in done.stdout
    assert "executing train.py and its fixed form, once each" in done.stderr
    results = json.loads((folder / "report/results.json").read_text())
    assert results["verdict"]["answer"] in " ".join(done.stdout.split()) and results["missing"] == []
    assert results["verdict"]["metric"] == "metric" and results["verdict"]["difference"]["mean"] > 0.1
    for arm, silences in (("as-is", True), ("fixed", False)):
        rows = results["arms"][arm]["measurements"]
        assert {row["seed"] for row in rows} == {0} and sum(row["samples"] for row in rows) == 20 * 240
        assert (max(row["silenced"] for row in rows) > 0.1) is silences
        assert [len(run["metric"]) for run in results["arms"][arm]["runs"]] == [1]
    assert results["arms"]["as-is"]["runs"][0]["audit"]["findings"] == ["FL101"]
    assert results["arms"]["fixed"]["runs"][0]["audit"]["findings"] == []


def test_the_users_files_are_left_as_they_are(torchs: Any) -> None:
    _, folder = torchs
    assert sorted(p.name for p in folder.iterdir()) == ["network.py", "report", "train.py"]
    assert (folder / "network.py").read_text() == NETWORK
    assert "Softmax" not in (folder / "report/arms/fixed/network.py").read_text()


def test_the_report_holds_the_diff_the_curves_and_every_number(torchs: Any) -> None:
    _, folder = torchs
    page = (folder / "report/report.html").read_text()
    assert page.count("<svg role") >= 4 and "nn.Softmax(dim=1)" in page and "the metric" in page
    assert "src=" not in page and "http" not in page.replace("http://www.w3.org", "")
    lines = list(csv.DictReader((folder / "report/results.csv").open()))
    assert {line["arm"] for line in lines} == {"as-is", "fixed"} and "silenced" in lines[0]
    assert "accuracy " in (folder / "report/output/fixed-0.txt").read_text()


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["compare", *arguments])


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with two programs that need no framework; the second fails with seed 1."""
    (tmp_path / "train.py").write_text("import random\nprint('acc', random.random())\n")
    (tmp_path / "other.py").write_text(
        "import os, random\nprint('acc', 2 + random.random())\n"
        "assert os.environ['PYTHONHASHSEED'] != '1', 'not today'\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(SRC), *sys.path])
    handlers = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield tmp_path
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_a_run_that_fails_costs_only_itself_and_resume_runs_it_again(here: Path) -> None:
    asked = ["train.py", "--against", "other.py", "--metric", r"acc (\S+)", "--seeds", "3", "--out", "out"]
    done = invoke(*asked)
    assert done.exit_code == 1, done.output
    assert "fixed, seed 1 failed: AssertionError: not today" in done.output
    results = json.loads((here / "out/results.json").read_text())
    assert results["missing"] == [{"arm": "fixed", "seed": 1, "reason": "AssertionError: not today"}]
    assert (
        results["verdict"]["difference"]["pairs"] == 2
        and "AssertionError: not today" in (here / "out/report.html").read_text()
    )
    again = invoke(*asked, "--resume")
    assert again.exit_code == 1 and "[1/1] fixed, seed 1 failed" in again.output
    changed = invoke(*asked[:-4], "--seeds", "2", "--out", "out", "--resume", "--", "more")
    assert changed.exit_code == 2 and "other values of the program, its fix or its arguments" in changed.output
    assert invoke("train.py", "--against", "other.py", "--out", "new", "--resume").exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train.py"], "nothing to fix, so nothing to compare"),
        (["none.py"], "none.py: No such file or directory; expected a script or a notebook"),
        (["train.py", "--against", "none.py"], "none.py: No such file"),
        (["train.py", "--against", "other.py", "--metric", "("], "is no regular expression"),
        (["train.py", "--against", "other.py", "--engine", "ray"], "expected local, dask:ADDRESS"),
        (["train.py", "--heads", "softmax"], "--heads is of the article's network, and doesn't go with a SCRIPT"),
        (["--metric", "x"], "--metric goes with a SCRIPT"),
        (["wrong.py"], "FL101 (double-softmax): none of this rule's fixes fits here"),
    ],
)
def test_what_cannot_begin_is_said_in_a_line(here: Path, arguments: list[str], said: str) -> None:
    (here / "wrong.py").write_text(
        "import torch\nfrom torch import nn\nnet = nn.Linear(8, 4)\nx, y = torch.randn(6, 8), torch.randint(4, (6,))\n"
        "nn.functional.cross_entropy(torch.softmax(net(x), 0), y).backward()\n"
    )
    done = invoke(*arguments, "--out", "out")
    assert done.exit_code == 2 and said in done.output and "Traceback" not in done.output
    assert not (here / "out/results.json").exists()


def test_names_that_are_not_utf8_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    made = trial([cell(epoch(1))], [], against="\udcff.py")
    made.missing = {("fixed", 0): "not run yet"}
    tell(made, Path("\udcfe/report.html"), Path("\udcfe"))
    told = capsys.readouterr().out
    assert r"Report: \udcfe/report.html" in told and r"is in \udcfe/output" in told


def book(*cells: str) -> str:
    made: list[dict[str, object]] = [
        {"cell_type": "code", "source": c, "metadata": {}, "outputs": [], "execution_count": None} for c in cells
    ]
    return json.dumps({"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


def test_notebooks_run_cell_by_cell_without_their_magics(here: Path) -> None:
    for name, value in (("a.ipynb", 1), ("b.ipynb", 2)):
        (here / name).write_text(book("%matplotlib inline\nx = 0.25\n!ls", f"print('acc', {value} * x)"))
    done = invoke("a.ipynb", "--against", "b.ipynb", "--metric", r"acc (\S+)", "--seeds", "1", "--out", "out")
    assert done.exit_code == 0, done.output
    assert "-print('acc', 1 * x)" in done.output and "+print('acc', 2 * x)" in done.output
    found = json.loads((here / "out/results.json").read_text())
    assert found["verdict"]["difference"]["mean"] == 0.25 and found["settings"]["script"] == "a.ipynb"


def test_ctrl_c_keeps_what_is_finished_and_ends_what_runs(here: Path) -> None:
    """The second seed's runs wait for a file."""
    second, there = "os.environ['PYTHONHASHSEED'] == '1'", "os.path.exists(sys.argv[1])"
    wait = f"import os, sys, time\nif {second} and not {there}: time.sleep(600)\n"
    for name in ("train.py", "other.py"):
        (here / name).write_text(wait + f"print('acc', len({name!r}))\n")
    flag = str(here.parent / "go on")
    command = [*COMMAND, "train.py", "--against", "other.py", "--metric", r"acc (\S+)", "--seeds", "2", "--jobs", "4"]
    command += ["--out", "out", "--", flag]
    process = subprocess.Popen(command, cwd=here, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    while "[2/4]" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    results = json.loads((here / "out/results.json").read_text())
    assert [(one["arm"], one["reason"]) for one in results["missing"]] == [
        ("as-is", "interrupted"),
        ("fixed", "interrupted"),
    ]
    assert not _running(flag)
    Path(flag).touch()
    done = subprocess.run([*command[:-2], "--resume", "--", flag], cwd=here, env=ENVIRONMENT, timeout=120, check=False)
    assert done.returncode == 0
    assert json.loads((here / "out/results.json").read_text())["verdict"]["difference"]["mean"] == 0


def _running(mark: str) -> bool:
    """Whether a process of the trial is left after a moment."""
    for _ in range(20):
        lines = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout.splitlines()
        if not any("finallayer.running.bootstrap" in line and mark in line for line in lines):
            return False
        time.sleep(0.2)
    return True
