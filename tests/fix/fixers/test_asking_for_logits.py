"""A model with a flag for its softmax: the loss asks it for logits, and the model stays what it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..workbench import fixed

TORCH = (
    "import torch\nimport torch.nn.functional as F\nfrom torch import nn\n\n\n"
    "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n        self.last = nn.Linear(4, 3)\n"
    "\n    def forward(self, x, {flag}):\n        z = self.last(x)\n{choice}\n\nnet = Net()\n\n\n"
    "def step(x, y):\n    return F.cross_entropy(net(x), y)\n\n\n"
)
READER = "def show(x):\n    return net(x).max()\n\n\nprint(show(torch.zeros(1, 4)))\n"
KERAS = (
    "import tensorflow as tf\nfrom tensorflow import keras\n\n\nclass Net(keras.Model):\n    def __init__(self):\n"
    "        super().__init__()\n        self.last = keras.layers.Dense(3)\n\n    def call(self, x, logits=False):\n"
    "        z = self.last(x)\n        return z if logits else tf.nn.softmax(z)\n\n\nnet = Net()\n\n\n"
    "def step(x, y):\n    return keras.losses.sparse_categorical_crossentropy(y, net(x))\n"
)

#: the flag and its default, the choice by it, and how logits are asked for
FLAGS = {
    "in two branches": (
        "raw=False",
        "        if raw:\n            return z\n        else:\n            return F.softmax(z, dim=1)",
        "raw=True",
    ),
    "after a branch": (
        "raw=False",
        "        if raw:\n            return z\n        return F.softmax(z, dim=1)",
        "raw=True",
    ),
    "in an expression": ("raw=False", "        return z if raw else F.softmax(z, dim=1)", "raw=True"),
    "turned": ("raw=False", "        return F.softmax(z, dim=1) if not raw else z", "raw=True"),
    "for the softmax": (
        "normalised=True",
        "        if normalised:\n            z = F.softmax(z, dim=1)\n        return z",
        "normalised=False",
    ),
    "by its name only": ("*, raw=False", "        return z if raw else F.softmax(z, dim=1)", "raw=True"),
}


@pytest.mark.parametrize(("flag", "choice", "asked"), FLAGS.values(), ids=FLAGS)
def test_the_loss_asks(flag: str, choice: str, asked: str, tmp_path: Path) -> None:
    program = TORCH.format(flag=flag, choice=choice) + READER
    assert fixed(tmp_path, program) == program.replace("cross_entropy(net(x), y)", f"cross_entropy(net(x, {asked}), y)")


def test_a_loss_on_probabilities_is_told_besides(tmp_path: Path) -> None:
    after = KERAS.replace("(y, net(x))", "(y, net(x, logits=True), from_logits=True)")
    assert fixed(tmp_path, KERAS) == after


def test_by_a_name_that_only_the_loss_reads(tmp_path: Path) -> None:
    program = TORCH.format(flag=FLAGS["after a branch"][0], choice=FLAGS["after a branch"][1])
    named = program.replace(
        "    return F.cross_entropy(net(x), y)", "    out = net(x)\n    return F.cross_entropy(out, y)"
    )
    assert fixed(tmp_path, named) == named.replace("out = net(x)", "out = net(x, raw=True)")


def test_by_a_name_that_is_another_s_later(tmp_path: Path) -> None:
    program = TORCH.format(flag=FLAGS["after a branch"][0], choice=FLAGS["after a branch"][1])
    named = program.replace(
        "    return F.cross_entropy(net(x), y)",
        "    out = net(x)\n    loss = F.cross_entropy(out, y)\n    out = net(-x)\n    return loss, out.max()",
    )
    assert fixed(tmp_path, named) == named.replace("out = net(x)", "out = net(x, raw=True)")


#: programs that stay as they are
LOOK_ALIKES = {
    "the flag is the object's": TORCH.format(
        flag="a=None", choice="        return z if self.raw else F.softmax(z, dim=1)"
    ).replace("self.last = nn.Linear(4, 3)", "self.last, self.raw = nn.Linear(4, 3), len(__name__) > 9"),
    "somebody else reads the name": TORCH.format(
        flag="raw=False", choice="        return z if raw else F.softmax(z, dim=1)"
    ).replace(
        "    return F.cross_entropy(net(x), y)",
        "    out = net(x)\n    print(out.max())\n    return F.cross_entropy(out, y)",
    ),
    "the flag is set by its place": TORCH.format(
        flag="raw=False", choice="        return z if raw else F.softmax(z, dim=1)"
    ).replace("net(x), y", "net(x, False), y"),
}


@pytest.mark.parametrize("program", LOOK_ALIKES.values(), ids=LOOK_ALIKES)
def test_what_only_looks_alike_stays(program: str, tmp_path: Path) -> None:
    assert fixed(tmp_path, program) == program
