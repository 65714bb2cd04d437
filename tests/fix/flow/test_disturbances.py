"""No fix where the numbers are changed behind the analysis' back, or the framework's functions are."""

from __future__ import annotations

from pathlib import Path

import pytest

from finallayer.fix.proposals import DISTURBED

from ..workbench import fixed, repaired

TORCH = """\
import torch
import torch.nn.functional as F
from torch import nn

net = nn.Linear(4, 3)

"""
STEP = "def step(x, y):\n    z = net(x)\n    p = torch.softmax(z, 1)\n    {}\n    return F.nll_loss(torch.log(p), y)\n"
NUMPY = """\
import numpy as np
from scipy.special import softmax

def loss(x, w, y):
    z = x @ w
    p = softmax(z, axis=1)
    {}
    return -(y * np.log(p)).sum()
"""
BINARY = """\
import numpy as np
import torch
from scipy.special import expit
from torch import nn

net, criterion = nn.Linear(4, 1), nn.BCEWithLogitsLoss()

def step(x, y):
    out = net(x)
    loss = criterion(out, y)
    p = out.detach()
    {}
    return loss, p > 0.5
"""
TEMPERED = """\
def tempered(function):
    return lambda z: function(z / 10)

"""

CHANGED = {
    "a view of the logits": TORCH + STEP.format("w = z.detach(); w.mul_(2)"),
    "another name of the probabilities": TORCH + STEP.format("w = p; w.mul_(0.5)"),
    "an item of a view": TORCH + STEP.format("z.view(-1)[0] = 100.0"),
    "a method of a view": TORCH + STEP.format("p.view(-1).clamp_(min=0.1)"),
    "a function's out": TORCH + STEP.format("torch.clamp(p, min=0.1, out=p)"),
    "a function by its name": TORCH + STEP.format("F.threshold_(p, 0.5, 0.1)"),
    "in place, said by an argument": TORCH + STEP.format("F.threshold(p, 0.5, 0.1, inplace=True)"),
    "NumPy's out by position": NUMPY.format("np.multiply(p, 0.5, p)"),
    "copyto": NUMPY.format("np.copyto(p, 0.5 * p + 0.1)"),
    "another shape of it": NUMPY.format("v = z.reshape(-1); v[0] = 100"),
    "row by row": NUMPY.format("for row in p: row /= 2"),
    "a function of the project's own": TORCH
    + "def smooth(probabilities):\n    probabilities.mul_(0.9).add_(0.03)\n\n"
    + STEP.format("smooth(p)"),
    "the round before": TORCH + "def fit(x, ys):\n    p = torch.softmax(net(x), 1)\n    total = 0\n    for y in ys:\n"
    "        total = total + F.nll_loss(torch.log(p), y)\n        p.detach().mul_(0.5)\n    return total\n",
    "a threshold on what a view has changed": BINARY.format("p.sigmoid_(); p = out"),
    "a threshold on NumPy's out": BINARY.format("p = p.numpy(); expit(p, p)"),
}
#: what a name stands for by then is what was written into it: half of a probability, and no logits
FOLLOWED = {
    "an out": NUMPY.format("np.multiply(p, 0.5, out=p)"),
    "several outs": NUMPY.format("np.multiply(p, 0.5, out=(p,))"),
    "a threshold on assigned items": BINARY.format("p[:] = p.sigmoid()"),
    "a threshold on an out": BINARY.format("torch.sigmoid(p, out=p)"),
}
REPLACED = {
    "a module's function": "F.softmax = lambda z, dim: old(z / 5, dim)",
    "the same by its name": 'setattr(F, "softmax", lambda z, dim: old(z / 5, dim))',
    "a test's patch": 'mock.patch("torch.nn.functional.softmax", lambda z, dim: old(z / 5, dim)).start()',
    "a test's patch of a module": 'mock.patch.object(F, "softmax", lambda z, dim: old(z / 5, dim)).start()',
    "a tensor's method": "torch.Tensor.log = lambda p: torch.log2(p)",
    "a loss": "nn.NLLLoss.forward = lambda loss, p, y: F.cross_entropy(p, y)",
}
WITH_SOFTMAX = (
    TORCH
    + "from unittest import mock\nold = F.softmax\n{}\n\n"
    + "def step(x, y):\n    return F.nll_loss(torch.log(F.softmax(net(x), 1)), y)\n"
)


@pytest.mark.parametrize("program", CHANGED.values(), ids=CHANGED)
def test_what_changes_its_numbers_elsewhere_is_left_alone(tmp_path: Path, program: str) -> None:
    compile(program, "program.py", "exec")
    assert fixed(tmp_path, program) == program
    repair = repaired(tmp_path / "program.py", unsafe=True)
    assert repair.remaining and all(f.fix is None for f in repair.remaining)


@pytest.mark.parametrize("program", FOLLOWED.values(), ids=FOLLOWED)
def test_what_is_seen_to_change_the_numbers_is_followed(tmp_path: Path, program: str) -> None:
    assert fixed(tmp_path, program) == program
    assert repaired(tmp_path / "program.py", unsafe=True).remaining == ()


SHARED = {
    "an out by another name": NUMPY.format("q = p; np.multiply(p, 0.5, out=p); p = q"),
    "an out of a part": NUMPY.format("np.multiply(p, 0.5, out=p[0])"),
    "the logits by an out": NUMPY.format("np.multiply(z, 0.5, out=z)"),
    "all items of the logits": NUMPY.format("z[...] = 2 * z"),
    "all items by another name": NUMPY.format("q = p; p[:] = p * 0.5; p = q"),
}


@pytest.mark.parametrize("program", SHARED.values(), ids=SHARED)
def test_another_name_of_what_is_written_into_is_left_alone(tmp_path: Path, program: str) -> None:
    assert fixed(tmp_path, program) == program
    assert all(f.fix is None for f in repaired(tmp_path / "program.py", unsafe=True).remaining)


@pytest.mark.parametrize("line", REPLACED.values(), ids=REPLACED)
def test_a_function_that_the_program_replaces_is_none_of_the_frameworks(tmp_path: Path, line: str) -> None:
    assert fixed(tmp_path, WITH_SOFTMAX.format(line)) == WITH_SOFTMAX.format(line)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "torch.backends.cudnn.benchmark = True",
        "torch.Tensor.accuracy = lambda p, y: (p.argmax(1) == y).float().mean()",
        "F.mine = lambda p: p",
        'setattr(net, "softmax", nn.Softmax(dim=1))',
    ],
)
def test_what_is_no_function_of_a_framework_may_be_set(tmp_path: Path, line: str) -> None:
    assert "F.log_softmax(net(x), 1)" in fixed(tmp_path, WITH_SOFTMAX.format(line))


NO_MATTER = {
    "a copy": "q = p.clone(); q[:, 0] = 0.5",
    "another array": "q = torch.zeros(3); q[0] = 1; q += p.sum()",
    "its gradient only": "z.requires_grad_()",
}


@pytest.mark.parametrize("line", NO_MATTER.values(), ids=NO_MATTER)
def test_a_change_that_reaches_no_log_is_no_matter(tmp_path: Path, line: str) -> None:
    assert "log_softmax(z, 1)" in fixed(tmp_path, TORCH + STEP.format(line))


@pytest.mark.parametrize("then", ["; p.data.mul_(0.5)", "\n    p.data.mul_(0.5)"])
def test_a_change_comes_too_late_for_what_was_read(tmp_path: Path, then: str) -> None:
    program = TORCH + "def step(z, y):\n    p = torch.softmax(z, 1)\n"
    program += "    loss = F.nll_loss(torch.log(p), y){}\n    return loss\n"
    assert "F.nll_loss(torch.log_softmax(z, 1), y)" in fixed(tmp_path, program.format(then))


def test_another_file_changes_what_is_read_here(tmp_path: Path) -> None:
    parts = (
        "import torch\nimport torch.nn.functional as F\nfrom torch import nn\n\nnet = nn.Linear(8, 4)\n"
        'p = torch.softmax(net(torch.load("x.pt")), dim=1)\n\n'
        "def loss(y):\n    return F.nll_loss(torch.log(p), y)\n"
    )
    (tmp_path / "parts.py").write_text(parts)
    (tmp_path / "program.py").write_text("from parts import loss, p\n\nloss([1]).backward()\np[0] = 0.25\n")
    remaining = repaired(tmp_path / "program.py", unsafe=True).remaining
    assert [(f.fix, f.unfixed) for f in remaining] == [(None, DISTURBED)]


def test_a_change_within_the_same_round_comes_too_late(tmp_path: Path) -> None:
    program = (
        "def fit(xs, y):\n    total = 0\n    for x in xs:\n        z = net(x)\n        p = torch.softmax(z, 1)\n"
        "        total = total + F.nll_loss(torch.log(p), y)\n        p.detach().mul_(0.5)\n    return total\n"
    )
    assert "F.nll_loss(torch.log_softmax(z, 1), y)" in fixed(tmp_path, TORCH + program)


@pytest.mark.parametrize("decorator", [TEMPERED, "from helpers import tempered\n\n"])
@pytest.mark.parametrize("last", ["F.nll_loss(torch.log(probabilities(z)), y)", "F.cross_entropy(probabilities(z), y)"])
def test_what_an_unknown_decorator_does_is_not_known(tmp_path: Path, decorator: str, last: str) -> None:
    program = (
        TORCH
        + decorator
        + "@tempered\ndef probabilities(z):\n    return torch.softmax(z, 1)\n\n"
        + f"def step(x, y):\n    z = net(x)\n    return {last}\n"
    )
    assert fixed(tmp_path, program) == program
    (finding,) = repaired(tmp_path / "program.py").remaining
    assert finding.fix is None or "what decorates `probabilities`" in finding.fix.note


def test_a_decorator_of_the_function_in_which_a_log_stands_is_no_matter(tmp_path: Path) -> None:
    program = (
        TORCH
        + "from helpers import timed\n\n@timed\ndef step(z, y):\n"
        + "    return F.nll_loss(torch.log(torch.softmax(z, 1)), y)\n"
    )
    assert "torch.log_softmax(z, 1)" in fixed(tmp_path, program)
