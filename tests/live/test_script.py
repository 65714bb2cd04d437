"""``finallayer audit train.py``: a script runs unchanged, and its losses are audited where it asks for a gradient.

Scripts of TensorFlow and of Keras are run in those frameworks' own tests, in whose process they are loaded.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner, Result

import finallayer
from finallayer.auditing.script import run
from finallayer.cli import main

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


@pytest.fixture
def audit_here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """The same in this process, where torch is loaded already."""
    monkeypatch.chdir(folder)
    monkeypatch.setitem(sys.modules, "helper", ModuleType("helper"))  # whose place is given back
    del sys.modules["helper"]
    return lambda *arguments: CliRunner().invoke(main, ["audit", *arguments])


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


def test_a_loss_that_is_right_is_exit_code_0(folder: Path, audit_here: Callable[..., Result]) -> None:
    (folder / "train.py").write_text(SCRIPT.replace(", nn.Softmax(1)", ""))
    done = audit_here("train.py", "--classes", "5")
    assert done.exit_code == 0 and "No findings." in done.stdout


@pytest.mark.parametrize(
    ("text", "said"),
    [("print('nothing')", "no loss was met"), ("raise ValueError('broken')", "ValueError: broken")],
)
def test_what_could_not_be_audited_is_exit_code_2(
    text: str, said: str, folder: Path, audit_here: Callable[..., Result]
) -> None:
    (folder / "train.py").write_text(text)
    done = audit_here("train.py")
    assert done.exit_code == 2 and said in done.stderr


@pytest.mark.parametrize(("code", "failed"), [("3", True), ("'no data'", True), ("0", False), ("", False)])
def test_the_scripts_own_exit_code_says_whether_it_failed(
    code: str, failed: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "train.py"
    file.write_text(f"raise SystemExit({code})\n")
    assert run(file, [], True, lambda audit: None).failed == failed
    assert ("no data" in capsys.readouterr().err) == ("data" in code)


JAX = """\
import jax
import jax.numpy as jnp
from jax import nn, value_and_grad

x, y, w = jnp.ones((8, 4)), jnp.arange(8) % 5, jnp.ones((4, 5))

def loss(w, x, y):
    p = nn.softmax(x @ w)
    return -jnp.log(p[jnp.arange(8), y] + 1e-8).mean(), p

@jax.jit
def step(w, x, y):
    (value, _), gradient = value_and_grad(loss, has_aux=True)(w, x, y)
    return w - gradient

for number in range(3):
    w = step(w, x, y)
    print("step", number)
print(jax.grad(lambda x, w: -jnp.log(nn.softmax(x @ w)).mean(), argnums=1)(x, w).shape)
"""


def test_a_script_of_jax_is_told_of_where_it_asks_for_a_gradient(tmp_path: Path) -> None:
    pytest.importorskip("jax")
    (tmp_path / "train.py").write_text(JAX)
    done = audit(tmp_path, "--go-on", "--output-format", "json", "train.py")
    assert done.returncode == 1 and "step 2" in done.stdout and "(4, 5)" in done.stdout, done.stderr
    found = json.loads(done.stdout[done.stdout.index("[\n") :])
    assert [(f["line"], f["rule"]) for f in found] == [(9, "FL203"), (19, "FL201")]
    assert "step 0" not in audit(tmp_path, "train.py").stdout


def test_the_least_severity_is_asked_for(folder: Path, audit_here: Callable[..., Result]) -> None:
    (folder / "train.py").write_text(SCRIPT.replace("F.cross_entropy(net(x), y)", "F.nll_loss(net(x).log(), y)"))
    assert audit_here("train.py", "--classes", "5").exit_code == 1
    assert audit_here("--severity", "error", "train.py", "--classes", "5").exit_code == 0


def test_what_is_no_regular_file_is_named_and_not_read(tmp_path: Path) -> None:
    pipe = tmp_path / "train.py"
    os.mkfifo(pipe)
    done = audit(tmp_path, "train.py")
    assert done.returncode == 2
    assert done.stderr == "finallayer: train.py: not a regular file; expected a script\n"


def test_an_error_is_shown_from_the_script_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "train.py"
    script.write_text("def step():\n    raise ValueError('no data')\n\nstep()\n")
    assert run(script, [], False, lambda _: None).failed
    shown = capsys.readouterr().err
    assert "no data" in shown and 'train.py", line 4' in shown and "runpy" not in shown


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # pytest's hook, not Python's
def test_a_loss_in_a_thread_is_told_and_the_thread_ends_silently(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    script = tmp_path / "train.py"
    script.write_text(
        "import threading, torch\nfrom torch.nn import functional as F\nw = torch.ones(2, 3, requires_grad=True)\n"
        "def step():\n    F.cross_entropy(w.softmax(1), torch.tensor([0, 1])).backward()\n"
        "thread = threading.Thread(target=step)\nthread.start()\nthread.join()\nassert w.grad is None\n"
    )
    done = run(script, [], False, lambda _: None)
    assert not done.failed and len(done.audits) == 1 and capsys.readouterr().err == ""
