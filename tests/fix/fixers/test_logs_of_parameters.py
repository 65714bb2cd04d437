"""Logs in a function that is handed probabilities: it is handed the logits, and makes probabilities where it must."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from ..workbench import fixed, repaired, repaired_together

TORCH = (
    "import torch\nimport torch.nn.functional as F\nfrom torch import nn\n\n"
    "torch.manual_seed(0)\nnet = nn.Linear(3, 4)\nx = torch.randn(5, 3)\n\n"
)
NLL = "def nll({}):\n    return -{}.sum(1).mean()\n\n"

#: what is shown -> (before, after)
REWRITTEN: dict[str, tuple[str, str]] = {
    "the parameter": (
        TORCH + NLL.format("p", "torch.log(p)") + "loss = nll(F.softmax(net(x), dim=1))\n",
        TORCH + NLL.format("logits", "F.log_softmax(logits, dim=1)") + "loss = nll(net(x))\n",
    ),
    "whose probabilities others read, too": (
        TORCH
        + NLL.format("p", "torch.log(p + 1e-9)")
        + "p = F.softmax(net(x), dim=1)\nloss = nll(p)\nshown = p.max()\n",
        TORCH
        + NLL.format("logits", "F.log_softmax(logits, dim=1)")
        + "logits = net(x)\np = F.softmax(logits, dim=1)\nloss = nll(logits)\nshown = p.max()\n",
    ),
    "several readers in the function": (
        TORCH + "def nll(p, y):\n    right = p.argmax(1) == y\n"
        "    return -torch.log(p)[right].mean(), p.max(), len(p)\n\n"
        "loss, shown, _ = nll(net(x).softmax(1), net(x).argmax(1))\n",
        TORCH + "def nll(logits, y):\n    right = logits.argmax(1) == y\n"
        "    return -F.log_softmax(logits, dim=1)[right].mean(), torch.softmax(logits, dim=1).max(), len(logits)\n\n"
        "loss, shown, _ = nll(net(x), net(x).argmax(1))\n",
    ),
    "handed over by keyword, from two callers": (
        TORCH + "def nll(y, *, p):\n    return -(y * p.log()).mean()\n\n"
        "loss = nll(1, p=net(x).softmax(1)) + nll(2, p=torch.softmax(net(x), 1))\n",
        TORCH + "def nll(y, *, logits):\n    return -(y * F.log_softmax(logits, dim=1)).mean()\n\n"
        "loss = nll(1, logits=net(x)) + nll(2, logits=net(x))\n",
    ),
    "a method": (
        TORCH + "class Task:\n    def nll(self, p):\n        return -torch.log(p).mean()\n\n    def step(self, x):\n"
        "        z = net(x)\n        return self.nll(torch.sigmoid(z))\n\nloss = Task().step(x)\n",
        TORCH + "class Task:\n    def nll(self, logits):\n        return -F.logsigmoid(logits).mean()\n\n"
        "    def step(self, x):\n        z = net(x)\n        return self.nll(z)\n\nloss = Task().step(x)\n",
    ),
    "a softmax function of the project's own": (
        TORCH
        + "def probabilities(z):\n    return F.softmax(z, dim=1)\n\n"
        + NLL.format("p", "torch.log(p)")
        + "def step(x):\n    z, _ = net(x), 0\n    p = probabilities(z)\n    return nll(p), p\n\n"
        "loss, shown = step(x)\n",
        TORCH
        + "def probabilities(z):\n    return F.softmax(z, dim=1)\n\n"
        + NLL.format("logits", "F.log_softmax(logits, dim=1)")
        + "def step(x):\n    z, _ = net(x), 0\n    p = probabilities(z)\n    return nll(z), p\n\n"
        "loss, shown = step(x)\n",
    ),
    "a name that the docstring explains stays": (
        TORCH + 'def nll(p):\n    """p: what the model gives."""\n    return -torch.log(p).mean()\n\n'
        "loss = nll(F.softmax(net(x), dim=1))\n",
        TORCH + 'def nll(p):\n    """p: what the model gives."""\n    return -F.log_softmax(p, dim=1).mean()\n\n'
        "loss = nll(net(x))\n",
    ),
    "one of two methods at a call, so that the softmax goes": (
        TORCH + "class A:\n    def cost(self, p):\n        return -torch.log(p).mean()\n\n\n"
        "class B:\n    def cost(self, p):\n        return p.max()\n\n\n"
        "loss = sum(task.cost(net(x).softmax(1)) for task in (A(), B()))\n",
        TORCH + "class A:\n    def cost(self, p):\n        return -F.log_softmax(p, dim=1).mean()\n\n\n"
        "class B:\n    def cost(self, p):\n        return torch.softmax(p, dim=1).max()\n\n\n"
        "loss = sum(task.cost(net(x)) for task in (A(), B()))\n",
    ),
    "a parameter that gets another value later, so that the softmax goes": (
        TORCH + "def nll(p):\n    cost = -torch.log(p).mean()\n    p = p.detach()\n    return cost, p.max()\n\n"
        "loss, shown = nll(net(x).softmax(1))\n",
        TORCH + "def nll(p):\n    cost = -F.log_softmax(p, dim=1).mean()\n    p = p.detach()\n"
        "    return cost, torch.softmax(p, dim=1).max()\n\nloss, shown = nll(net(x))\n",
    ),
    "defined after what calls it": (
        TORCH
        + "def step(x):\n    return nll(F.softmax(net(x), dim=1))\n\n"
        + NLL.format("p", "torch.log(p)")
        + "loss = step(x)\n",
        TORCH
        + "def step(x):\n    return nll(net(x))\n\n"
        + NLL.format("logits", "F.log_softmax(logits, dim=1)")
        + "loss = step(x)\n",
    ),
}


@pytest.mark.parametrize(("before", "after"), REWRITTEN.values(), ids=REWRITTEN)
def test_what_becomes_of_it(tmp_path: Path, before: str, after: str) -> None:
    assert fixed(tmp_path, before) == after


@pytest.mark.parametrize(("before", "after"), REWRITTEN.values(), ids=REWRITTEN)
def test_nothing_is_found_afterwards(tmp_path: Path, before: str, after: str) -> None:
    file = tmp_path / "program.py"
    file.write_text(after)
    result = repaired(file)
    assert [(f.rule.code, f.message) for f in result.remaining] == []
    assert result.changed == ()


@pytest.mark.parametrize(("before", "after"), REWRITTEN.values(), ids=REWRITTEN)
def test_a_run_shows_the_same_numbers(before: str, after: str) -> None:
    torch = pytest.importorskip("torch")
    ran: list[dict[str, Any]] = []
    for program in (before, after):
        torch.manual_seed(0)
        ran.append({})
        exec(compile(program, "program", "exec"), ran[-1])
    old, new = ran
    assert math.isclose(old["loss"].item(), new["loss"].item(), rel_tol=1e-5)
    assert torch.allclose(torch.as_tensor(old.get("shown", 0.0)), torch.as_tensor(new.get("shown", 0.0)))


DEFINITION = TORCH + NLL.format("p", "torch.log(p)")
#: why there is no certain fix -> the program
LEFT_ALONE: dict[str, str] = {
    "a caller whose probabilities come from elsewhere": DEFINITION
    + "loss = nll(net(x).softmax(1)) + nll(torch.rand(5, 4))\n",
    "callers with softmaxes along different axes": DEFINITION
    + "loss = nll(net(x).softmax(1)) + nll(net(x).softmax(0))\n",
    "the parameter gets another value": TORCH
    + "def nll(p, y):\n    if y:\n        p = p * y\n    return -torch.log(p).mean()\n\n"
    "loss = nll(net(x).softmax(1), x.sum())\n",
    "the log of one minus a softmax has no stable form": TORCH
    + NLL.format("p", "torch.log(1 - p)")
    + "loss = nll(net(x).softmax(1))\n",
    "a softmax that converts": DEFINITION + "loss = nll(torch.softmax(net(x), 1, dtype=torch.float64))\n",
    "the logits aren't the same any more": DEFINITION
    + "def step(z):\n    p = z.softmax(1)\n    z += 1\n    q = p\n    return nll(q[:2]), z\n\nloss = step(net(x))\n",
}


@pytest.mark.parametrize("program", LEFT_ALONE.values(), ids=LEFT_ALONE)
def test_what_is_left_alone(tmp_path: Path, program: str) -> None:
    file = tmp_path / "program.py"
    file.write_text(program)
    assert repaired(file, unsafe=True).changed == ()


CALL = "loss = nll(net(x).softmax(1))\n"
#: who may call the function unseen -> (the program after its definition, what the note says)
UNSAFE = {
    "code that nothing runs": (
        "loss = nll(net(x).softmax(1))\nif False:\n    print(nll(x))\n",
        "code that nothing runs",
    ),
    "who gets the function": ("loss = nll(net(x).softmax(1))\nothers = [nll]\n", "`nll` is handed on (line 13)"),
    "who has it by another name": (
        "loss = nll(net(x).softmax(1))\nother = nll\nother(net(x).softmax(1))\n",
        "handed on",
    ),
}


@pytest.mark.parametrize(("rest", "unseen"), UNSAFE.values(), ids=UNSAFE)
def test_a_caller_out_of_sight_makes_it_unsafe(tmp_path: Path, rest: str, unseen: str) -> None:
    assert fixed(tmp_path, DEFINITION + rest) == DEFINITION + rest
    (finding,) = repaired(tmp_path / "program.py").remaining
    assert finding.fix is not None and not finding.fix.safe
    assert unseen in finding.fix.note


def test_a_decorator_may_hand_on_something_else(tmp_path: Path) -> None:
    program = DEFINITION.replace("def nll", "@print\ndef nll") + "loss = nll(net(x).softmax(1))\n"
    assert fixed(tmp_path, program) == program


def test_the_callers_of_another_file_change_with_it(tmp_path: Path) -> None:
    losses = "import torch\n\n" + NLL.format("p", "torch.log(p)")
    train = "from torch import nn\n\nfrom losses import nll\n\nnet = nn.Linear(3, 4)\n\n\n"
    train += "def step(x):\n    return nll({})\n"
    (tmp_path / "losses.py").write_text(losses)
    (tmp_path / "train.py").write_text(train.format("net(x).softmax(1)"))
    changed = repaired_together([tmp_path]).changed
    assert {d.path.name: new.decode() for d, new in changed} == {
        "losses.py": "import torch\n\n" + NLL.format("logits", "torch.log_softmax(logits, dim=1)"),
        "train.py": train.format("net(x)"),
    }


def test_a_caller_that_knows_it_by_another_name_changes_too(tmp_path: Path) -> None:
    (tmp_path / "losses.py").write_text("import torch\n\n" + NLL.format("p", "torch.log(p)"))
    train = (
        "from torch import nn\n\nfrom losses import nll\nfrom losses import nll as cost\n\nnet = nn.Linear(3, 4)\n\n\n"
    )
    train += "def step(x):\n    return cost({}) + nll({})\n"
    (tmp_path / "train.py").write_text(train.format("net(x).softmax(1)", "net(x).softmax(1)"))
    changed = repaired_together([tmp_path]).changed
    assert {d.path.name: new.decode() for d, new in changed} == {
        "losses.py": "import torch\n\n" + NLL.format("p", "torch.log_softmax(p, dim=1)"),
        "train.py": train.format("net(x)", "net(x)"),
    }
