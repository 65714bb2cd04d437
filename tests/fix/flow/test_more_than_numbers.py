"""Who reads more of probabilities than their numbers has no fix: the fixed loss isn't made of them any more."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fix.workbench import fixed

HEADER = "import torch\nimport torch.nn.functional as F\n\n\n"
STEP = """\
def step(net, x, y):
    z = net(x)
    p = F.softmax(z, dim=1)
    loss = -torch.log(p + 1e-8)[torch.arange(len(y)), y].mean()
"""

GRADIENTS = {
    "kept": STEP + "    p.retain_grad()\n    loss.backward()\n    return p.grad\n",
    "told to a function": STEP + "    p.register_hook(print)\n    return loss\n",
    "computed": STEP + "    return torch.autograd.grad(loss, p)\n",
    "computed with others": STEP + "    return torch.autograd.grad(loss, [z, p])\n",
    "computed by the caller": STEP
    + "    return loss, p\n\n\ndef train(net, x, y):\n    loss, p = step(net, x, y)\n"
    + "    return torch.autograd.grad(loss, p)\n",
}

CONTEXTS = {
    "without a gradient": "    with torch.no_grad():\n        p = F.softmax(z, dim=1)\n",
    "without one, by a variable": "    off = torch.no_grad()\n    with off:\n        p = F.softmax(z, dim=1)\n",
    "in half the precision": "    with torch.autocast('cuda'):\n        p = F.softmax(z, dim=1)\n",
    "rounded": "    p = F.softmax(z, dim=1).half().float()\n",
    "rounded by name": "    p = F.softmax(z, dim=1).to(torch.bfloat16).float()\n",
}

LOG = "    return -torch.log(p + 1e-8)[torch.arange(len(y)), y].mean()\n"


@pytest.mark.parametrize("body", GRADIENTS.values(), ids=GRADIENTS)
def test_a_gradient_by_the_probabilities_is_one_that_the_fixed_loss_has_not(tmp_path: Path, body: str) -> None:
    assert fixed(tmp_path, HEADER + body) == HEADER + body


@pytest.mark.parametrize("made", CONTEXTS.values(), ids=CONTEXTS)
def test_what_was_made_without_a_gradient_or_rounded_stays(tmp_path: Path, made: str) -> None:
    program = HEADER + "def step(net, x, y):\n    z = net(x)\n" + made + LOG
    assert fixed(tmp_path, program) == program


def test_a_function_that_keeps_no_gradient_is_called_as_before(tmp_path: Path) -> None:
    predict = "@torch.no_grad()\ndef predict(z):\n    return F.softmax(z, dim=1)\n\n\n"
    program = HEADER + predict + "def step(net, x, y):\n    p = predict(net(x))\n" + LOG
    assert fixed(tmp_path, program) == program


FIXED = {
    "softmax and log in one context": "    with torch.autocast('cuda'):\n        p = F.softmax(z, dim=1)\n    " + LOG,
    "gradients by the logits": STEP + "    return torch.autograd.grad(loss, z)\n",
    "a wider format": "    p = F.softmax(z, dim=1).double()\n" + LOG,
}


@pytest.mark.parametrize("body", FIXED.values(), ids=FIXED)
def test_what_the_fixed_loss_has_too_is_no_hindrance(tmp_path: Path, body: str) -> None:
    start = "" if body.startswith("def") else "def step(net, x, y):\n    z = net(x)\n"
    assert "log_softmax(z" in fixed(tmp_path, HEADER + start + body)


def test_a_layer_that_tells_others_what_it_gives_is_kept(tmp_path: Path) -> None:
    program = HEADER + (
        "class Net(torch.nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.fc = torch.nn.Linear(4, 3)\n        self.act = torch.nn.Softmax(dim=1)\n\n"
        "    def forward(self, x):\n        return self.act(self.fc(x))\n\n\n"
        "net = Net()\nnet.act.register_forward_hook(print)\n\n\n"
        "def step(x, y):\n    return F.cross_entropy(net(x), y)\n"
    )
    assert fixed(tmp_path, program) == program
