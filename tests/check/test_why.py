"""``check --why``: what is known at a line, from where, and the step at which it was lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from finallayer.check.why import why
from finallayer.cli.why import render
from finallayer.source.reading import read

from .test_cli import call

START = """\
import torch
from torch import nn
import torch.nn.functional as F
"""


def told(tmp_path: Path, program: str, at: str = "HERE") -> str:
    """What is told of the line that ends in ``# HERE``, with the paths of the test's folder taken out."""
    file = tmp_path / "train.py"
    file.write_text(START + program)
    line = next(n for n, text in enumerate((START + program).splitlines(), 1) if text.endswith(f"# {at}"))
    return "\n".join(render(why(read(file), line))).replace(f"{tmp_path}/", "")


def test_a_loss_tells_what_it_is_handed_and_the_way_from_the_softmax(tmp_path: Path) -> None:
    text = told(tmp_path, "p = F.softmax(nn.Linear(8, 3)(x), dim=1)\nq = p.squeeze()\nF.cross_entropy(q, y)  # HERE\n")
    assert "probabilities: " in text
    assert "train.py:4:5: softmax gives probabilities" in text
    assert "a loss: xent_logits(" in text
    way = text[text.index("FL101") :].splitlines()[1:]
    assert [line.strip() for line in way] == [
        "train.py:4:5: softmax gives probabilities",
        "train.py:5:5: reshape gives probabilities",
        "train.py:6:1: xent_logits",
    ]


LOAD = "from gone import load\n"
#: What keeps a value from being known, and what is said of it.
LOST = {
    "a call of what nobody has": (
        "from gone import load\nnet = load('a')\nnet(x)  # HERE\n",
        "doesn't know `gone.load`",
    ),
    "by another name": (
        "from gone import load\nz = load('a')(x)\nq = z\nF.relu(q)  # HERE\n",
        "doesn't know `gone.load`",
    ),
    "a parameter": ("def step(net, x):\n    return net(x)  # HERE\n", "`net` is a parameter of `step`, and no call"),
    "an attribute of it": ("def step(batch):\n    return batch.image  # HERE\n", "`batch` is a parameter of `step`"),
    "an item of it": ("def step(batch):\n    return batch[0]  # HERE\n", "`batch` is a parameter of `step`"),
    "recursion": ("def f(x):\n    return f(x)\nf(1)  # HERE\n", "`f` calls itself"),
    "a name that nothing binds": ("F.relu(nowhere)  # HERE\n", "nothing in the program says what `nowhere` is"),
    "syntax": ("q = [*map(f, x)][u:v]\nF.relu(lambda: (yield))  # HERE\n", "the function <lambda>"),
    "kinds that differ": (
        "z = nn.Linear(8, 3)(x)\nif a:\n    z = F.softmax(z, 1)\nprint(z)  # HERE\n",
        "it may be logits, or probabilities",
    ),
}


@pytest.mark.parametrize(("program", "said"), LOST.values(), ids=LOST)
def test_what_was_lost_is_said_with_its_reason(tmp_path: Path, program: str, said: str) -> None:
    assert said in told(tmp_path, program)


def test_a_reason_that_lies_in_another_line_has_its_place(tmp_path: Path) -> None:
    assert "(train.py:5:7)" in told(tmp_path, "from gone import load\nnet = load('a')\nnet(x)  # HERE\n")


def test_models_and_losses_are_named_with_the_place_where_they_were_made(tmp_path: Path) -> None:
    text = told(tmp_path, "ce = nn.CrossEntropyLoss()\nce(z, y)  # HERE\n")
    assert "a CrossEntropyLoss of torch" in text
    assert "train.py:4:6: a CrossEntropyLoss of torch made here" in text


#: Lines at which there is nothing to tell, and why.
SILENT = {
    "empty": ("# HERE\n", "there is no expression on the line"),
    "behind the end": ("import sys\nsys.exit()\nraise E\nz = net(x)  # HERE\n", "the analysis never comes here"),
}


@pytest.mark.parametrize(("program", "said"), SILENT.values(), ids=SILENT)
def test_silence_has_a_reason(tmp_path: Path, program: str, said: str) -> None:
    assert said in told(tmp_path, program)


def test_what_the_budget_left_out_is_told_too(tmp_path: Path) -> None:
    doubled = "def f0(t): return t\n" + "".join(f"def f{n}(t): return f{n - 1}(f{n - 1}(t))\n" for n in range(1, 18))
    assert "analysed in part" in told(tmp_path, doubled + "q = f17(0)\nF.relu(q)  # HERE\n")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text(START + "F.relu(z)\n")
    (tmp_path / "two.py").write_text("print 'a'\n")
    return tmp_path


@pytest.mark.usefixtures("here")
def test_the_command_line() -> None:
    result = call("check", "--why", "train.py:4")
    assert result.exit_code == 0
    assert result.stdout.startswith("train.py:4\n    F.relu(z)\n")


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("place", "said"), [("train.py", "expected FILE:LINE"), ("gone.py:3", "can't be read"), ("two.py:1", "Python 2")]
)
def test_what_cannot_be_told_is_one_line(place: str, said: str) -> None:
    result = call("check", "--why", place)
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
