"""``finallayer audit train.py``: a script runs unchanged, and its losses are audited where it calls backward()."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import finallayer

SCRIPT = """\
import argparse
import torch
import torch.nn.functional as F
from helper import batch
from torch import nn

parser = argparse.ArgumentParser()
parser.add_argument("--classes", type=int)
args = parser.parse_args()
net = nn.Sequential(nn.Linear(4, args.classes), nn.Softmax(1))
teacher = nn.Linear(4, args.classes)
optimizer = torch.optim.SGD([*net.parameters(), *teacher.parameters()], lr=0.1)
for step in range(3):
    x, y = batch(args.classes)
    loss = F.cross_entropy(net(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print("step", step)
F.nll_loss(torch.log(F.softmax(teacher(x), 1)), y).backward()
F.cross_entropy(teacher(x), y).backward()
print("the end")
"""
HELPER = """\
import torch

def batch(classes):
    return torch.randn(8, 4), torch.arange(8) % classes
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pytest.importorskip("torch")
    (tmp_path / "train.py").write_text(SCRIPT)
    (tmp_path / "helper.py").write_text(HELPER)
    return tmp_path


def audit(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "finallayer", "audit", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(Path(finallayer.__file__).parents[1])}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=280)


def test_a_script_ends_at_its_first_loss_and_that_is_told(folder: Path) -> None:
    done = audit(folder, "train.py", "--classes", "5")
    assert done.returncode == 1
    assert "train.py:15:12: FL101" in done.stdout and "executing train.py" in done.stderr
    assert "step 0" not in done.stdout


def test_a_script_goes_on_and_every_loss_is_told_once(folder: Path) -> None:
    done = audit(folder, "--go-on", "--output-format", "json", "train.py", "--classes", "5")
    assert done.returncode == 1 and "step 2" in done.stdout and "the end" in done.stdout
    found = json.loads(done.stdout[done.stdout.index("[\n") :])
    assert [(f["line"], f["rule"]) for f in found] == [(15, "FL101"), (20, "FL201")]


def test_a_loss_that_is_right_is_exit_code_0(folder: Path) -> None:
    (folder / "train.py").write_text(SCRIPT.replace(", nn.Softmax(1)", ""))
    done = audit(folder, "train.py", "--classes", "5")
    assert done.returncode == 0 and "No findings." in done.stdout


@pytest.mark.parametrize(
    ("text", "said"),
    [("print('nothing')", "no loss was met"), ("raise ValueError('broken')", "ValueError: broken")],
)
def test_what_could_not_be_audited_is_exit_code_2(text: str, said: str, folder: Path) -> None:
    (folder / "train.py").write_text(text)
    done = audit(folder, "train.py")
    assert done.returncode == 2 and said in done.stderr


def test_the_least_severity_is_asked_for(folder: Path) -> None:
    (folder / "train.py").write_text(SCRIPT.replace("F.cross_entropy(net(x), y)", "F.nll_loss(net(x).log(), y)"))
    assert audit(folder, "train.py", "--classes", "5").returncode == 1
    assert audit(folder, "--severity", "error", "train.py", "--classes", "5").returncode == 0


def test_what_is_no_regular_file_is_named_and_not_read(tmp_path: Path) -> None:
    pipe = tmp_path / "train.py"
    os.mkfifo(pipe)
    done = audit(tmp_path, "train.py")
    assert done.returncode == 2
    assert done.stderr == "finallayer: train.py: not a regular file; expected a script\n"
