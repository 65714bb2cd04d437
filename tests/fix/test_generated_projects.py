"""Generated projects of several files, scripts and notebooks: after a safe fix everything shows what it showed."""

from __future__ import annotations

import importlib.util
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from .generated.playing import difference
from .generated.programs import PROJECTS
from .generated.projects import RATE, Project, notebook
from .generated.repairing import Mended, repaired_project

ROOT = Path(__file__).parent.parent.parent
#: projects of each framework; benchmarks/fix_generated.py runs as many as one likes
NUMBER = {"torch": 10, "jax": 4, "keras": 5}


@pytest.mark.parametrize("framework", NUMBER)
def test_no_safe_fix_is_wrong(framework: str, tmp_path: Path) -> None:
    fixed = 0
    for seed in range(NUMBER[framework]):
        project = PROJECTS[framework](random.Random(seed))
        mended = repaired_project(project, tmp_path / str(seed))
        if mended.after is not None:
            fixed += 1
            assert (project.kind, mended.why or difference(project, mended.after)) == (project.kind, "")
    assert fixed


@pytest.mark.skipif(importlib.util.find_spec("tensorflow") is None, reason="tensorflow is not installed")
def test_no_safe_fix_of_tensorflow_1_is_wrong() -> None:
    """In a process of its own: TensorFlow can't be told to be what it was."""
    command = [sys.executable, str(ROOT / "benchmarks/fix_generated.py"), "tf1-projects", "--programs", "9"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "right" in done.stdout


_MODEL = """import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


def build():
    return nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=1))
"""
_TRAIN = f"""import torch
import torch.nn.functional as F
from network import build

net = build()
x, y = torch.linspace(-1, 1, 8).reshape(2, 4), torch.tensor([0, 2])
F.cross_entropy(net(x), y).backward()
with torch.no_grad():
    for weight in net.parameters():
        weight -= {RATE} * weight.grad
"""
_RIGHT = _MODEL.replace(", nn.Softmax(dim=1)", "") + _TRAIN.replace("from network import build\n", "")


def _project(**more: str) -> Project:
    files = {"network.py": _MODEL, "train.py": _TRAIN, **more}
    return Project("torch", "", files, tuple(n for n in files if n != "network.py"), ".", False, True, _RIGHT)


def _after(project: Project, **changed: str) -> str:
    without = {"network.py": _MODEL.replace(", nn.Softmax(dim=1)", "")}
    return difference(project, {**project.files, **without, **changed})


def test_the_right_fix_is_right() -> None:
    assert _after(_project()) == ""


def test_a_loss_that_stays_as_it_was_is_found_out() -> None:
    project = _project()
    assert "training comes to" in difference(project, project.files)


@pytest.mark.parametrize(
    "reader",
    ["print(net(x)[:, 1] > 0)", "import numpy as np\nnp.save('p.npy', net(x).detach())", "assert net(x).min() > 0"],
)
def test_a_forgotten_reader_in_a_script_is_found_out(reader: str) -> None:
    x = "x = torch.linspace(-9, 9, 8).reshape(2, 4)"
    serve = f"import torch\nfrom network import build\n\nnet = build()\n{x}\n{reader}\n"
    project = _project(**{"tools/serve.py": serve})
    assert _after(project)
    mended = serve.replace("net = build()", "net = torch.nn.Sequential(build(), torch.nn.Softmax(dim=1))")
    assert _after(project, **{"tools/serve.py": mended}) == ""


def test_a_forgotten_display_of_a_notebook_is_found_out() -> None:
    cells = ("import torch\nfrom network import build\n\nnet = build()", "net(torch.ones(1, 4))")
    project = _project(**{"look.ipynb": notebook(cells)})
    assert "look.ipynb shows" in _after(project)
    assert _after(project, **{"look.ipynb": notebook((cells[0], cells[1] + ".softmax(1)"))}) == ""


def test_what_is_still_found_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mended = repaired_project(_project(), tmp_path / "mended")
    assert mended == Mended(mended.after)
    assert mended.after is not None
    monkeypatch.setattr("tests.fix.generated.repairing._found", lambda *_: Counter({"FL101": 1}))
    assert "after the fix" in repaired_project(_project(), tmp_path / "not").why
