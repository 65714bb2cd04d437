"""Functions that only read what they are handed get probabilities back where they are called."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import pytest

from finallayer.fix.validation.validate import validate

from ..validation.mutants import mutants
from ..validation.test_mutants import proposed
from ..workbench import fixed, repaired

HEAD = "import torch\nfrom torch import nn\n\n"
MADE = "torch.manual_seed(0)\nnet = nn.Sequential(nn.Linear(4, 4){})\nloss = nn.{}()\n\n"
STEP = "x = torch.rand(2, 4)\nout = net(x)\nerror = loss(out, x)\nerror.backward()\nprint(round(error.item(), 5))\n"
SHOW = (
    "def show(images):\n    images = images.view(2, 2, 2)\n    print([round(i, 4) for i in images[0, 0].tolist()])\n\n"
)


def _program(functions: str, then: str, mended: bool = False) -> str:
    made = MADE.format("", "BCEWithLogitsLoss") if mended else MADE.format(", nn.Sigmoid()", "BCELoss")
    return HEAD + functions + made + STEP + then


def _shown(program: str) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        exec(compile(program, "program", "exec"), {})
    return shown.getvalue()


@pytest.mark.parametrize(
    ("functions", "before", "after"),
    [
        (SHOW, "show(x)\nshow(out)\n", "show(x)\nshow(out.sigmoid())\n"),
        (SHOW, "show(x)\nshow(images=out)\n", "show(x)\nshow(images=out.sigmoid())\n"),
        (
            SHOW + "def both(images, given):\n    show(given)\n    show(images)\n\n",
            "both(out, x)\n",
            "both(out.sigmoid(), x)\n",
        ),
        (
            SHOW + "class Logger:\n    def log(self, images):\n        if isinstance(images, torch.Tensor):\n"
            "            images = images.data\n        show(images)\n\n",
            "show(x)\nlogger = Logger()\nlogger.log(out)\n",
            "show(x)\nlogger = Logger()\nlogger.log(out.sigmoid())\n",
        ),
        (
            "def total(rewards):\n    found = 0\n    for j in range(2):\n        found += rewards[j] * 2\n"
            "    print([round(i, 4) for i in found.tolist()])\n\n",
            "total(out)\n",
            "total(out.sigmoid())\n",
        ),
    ],
    ids=["of another shape", "by keyword", "handed on", "a method", "again and again"],
)
def test_who_calls_it_gives_probabilities_back(tmp_path: Path, functions: str, before: str, after: str) -> None:
    program, wanted = _program(functions, before), _program(functions, after, mended=True)
    assert fixed(tmp_path, program) == wanted
    assert _shown(program) == _shown(wanted)


@pytest.mark.parametrize(
    ("functions", "then"),
    [
        (
            "def show(images):\n    images = images.view(2, 2, 2)\n    print(images)\n    return images\n\n",
            "show(x)\nprint(show(out)[0])\n",
        ),
        (
            "def show(images):\n    print(images.view(2, 2, 2)[0])\n    return loss(images, x)\n\n",
            "show(x)\nprint(show(out))\n",
        ),
        (
            "kept = []\n\ndef show(images):\n    kept.append(images.view(2, 2, 2))\n    print(kept[0])\n\n",
            "show(x)\nshow(out)\nprint(kept[1])\n",
        ),
    ],
    ids=["gives it", "trains", "keeps it"],
)
def test_who_does_more_than_read_is_no_mere_reader(tmp_path: Path, functions: str, then: str) -> None:
    program = _program(functions, then)
    assert fixed(tmp_path, program) == program


def test_a_logger_of_another_file_stays_as_it_is(tmp_path: Path) -> None:
    logger, train = tmp_path / "logger.py", tmp_path / "train.py"
    logger.write_text(
        "import torch\n\n\ndef display(real, fake):\n    if isinstance(real, torch.Tensor):\n        real = real.data\n"
        "    print('D(x): {:.4f}, D(G(z)): {:.4f}'.format(real.mean(), fake.mean()))\n"
    )
    head = "import torch\nfrom torch import nn\n\nfrom logger import display\n\n"
    step = "def step(x):\n    real, fake = net(x), net(-x)\n    loss(real, torch.ones_like(real)).backward()\n"
    step += "    return real, fake\n\nreal, fake = step(torch.rand(2, 4))\n"
    train.write_text(head + MADE.format(", nn.Sigmoid()", "BCELoss") + step + "display(real, fake)\n")
    changed = {d.path.name: new.decode() for d, new in repaired(train).changed}
    wanted = head + MADE.format("", "BCEWithLogitsLoss") + step + "display(real.sigmoid(), fake.sigmoid())\n"
    assert changed == {"train.py": wanted}


def test_a_faulty_fixer_loses_its_fix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []
    for code, sighting, edits, context in proposed(_program(SHOW, "show(x)\nshow(out)\n"), tmp_path, monkeypatch):
        for mutant in mutants(edits):
            tried.append(mutant.fault)
            assert validate(code, sighting, mutant.edits, context).refused, mutant
    assert len(tried) > 4
