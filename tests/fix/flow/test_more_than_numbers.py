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
    "computed by a function of that name": STEP
    + "    return grad(loss, p)\n\n\ndef grad(loss, p):\n    return torch.autograd.grad(loss, p)\n",
    "computed by a method of that name": STEP
    + "    return Run().grad(loss, p)\n\n\nclass Run:\n    def grad(self, loss, p):\n"
    + "        return torch.autograd.grad(loss, p)\n",
    "computed by a decorated function": STEP
    + "    return grad(p)\n\n\n@torch.func.grad\ndef grad(p):\n    return p.sum()\n",
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
    "a function of the project's own that is called like that": STEP
    + "    return grad(loss, p)\n\n\ndef grad(loss, p):\n    loss.backward()\n    return p.shape\n",
    "a method of the project's own that is called like that": STEP
    + "    return Run().grad(loss, p)\n\n\nclass Run:\n    def grad(self, loss, p):\n"
    + "        loss.backward()\n        return p.shape\n",
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


JAX = "import jax\nimport jax.numpy as jnp\n\n\n"
JAX += "def cost(p, y):\n    return -jnp.log(p + 1e-8)[jnp.arange(len(y)), y].mean()\n\n\n"

BY_A_FUNCTION = {
    "called at once": "def step(z, y):\n    return jax.grad(cost)(jax.nn.softmax(z), y)\n",
    "with a name": "slope = jax.jit(jax.grad(cost))\n\n\n"
    "def step(z, y):\n    p = jax.nn.softmax(z)\n    return slope(p, y)\n",
}


@pytest.mark.parametrize("step", BY_A_FUNCTION.values(), ids=BY_A_FUNCTION)
def test_a_function_that_gives_the_gradient_by_probabilities_is_handed_them(tmp_path: Path, step: str) -> None:
    assert fixed(tmp_path, JAX + step) == JAX + step


def test_classes_that_the_softmax_leaves_out_keep_their_epsilon(tmp_path: Path) -> None:
    program = (
        "import jax\nimport jax.numpy as jnp\n\n\ndef cost(z, y, legal):\n    p = jax.nn.softmax(z, where=legal)\n"
        "    return -jnp.log(p + 1e-8)[jnp.arange(len(y)), y].mean()\n"
    )
    assert fixed(tmp_path, program) == program


KEEPER = (
    "    def forward(self, z):\n        self.p = F.softmax(z * 2, dim=1)\n\n"
    "    def loss(self, y):\n        return -torch.log(self.p + 1e-8)[torch.arange(len(y)), y].mean()\n\n"
    "    def shown(self):\n        return self.p\n\n\n"
    "def step(net, x, y):\n    head = Head()\n    head.forward(net(x))\n    return head.loss(y), head.shown()\n"
)


@pytest.mark.parametrize("says", ["    __slots__ = ('p',)\n\n", "    def all(self):\n        return vars(self)\n\n"])
def test_an_object_gets_no_attribute_that_it_cannot_have_or_that_shows(tmp_path: Path, says: str) -> None:
    program = HEADER + "class Head:\n" + says + KEEPER
    assert "logits" not in fixed(tmp_path, program)


def test_another_object_gets_one(tmp_path: Path) -> None:
    assert "self.logits" in fixed(tmp_path, HEADER + "class Head:\n" + KEEPER)


NET = HEADER + (
    "class Net(torch.nn.Module):\n    def __init__(self):\n        super().__init__()\n"
    "        self.fc = torch.nn.Linear(4, 3)\n\n    def forward(self, x):\n"
    "        return self.fc(x).softmax(1)\n\n\nnet = Net()\n\n\n"
    "def step(x, y):\n    return F.cross_entropy(net(x), y)\n\n\n"
)

OTHERS = {
    "another of its class": "other = type(net)()\nprint(other(torch.ones(1, 4)))\n",
    "a coroutine": "async def guess(x):\n    return net(x)\n\n\nprint(asyncio.run(guess(torch.ones(1, 4))).sum(1))\n",
}


@pytest.mark.parametrize("then", OTHERS.values(), ids=OTHERS)
def test_who_gets_the_output_by_another_way_keeps_its_softmax(tmp_path: Path, then: str) -> None:
    program = "import asyncio\n" + NET + then
    assert fixed(tmp_path, program) == program


def test_the_name_of_its_class_makes_no_other(tmp_path: Path) -> None:
    assert "softmax" not in fixed(tmp_path, NET + "print(type(net).__name__)\n")
