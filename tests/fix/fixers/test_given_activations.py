"""An activation that callers hand over stays where it is applied: others may hand over another."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..workbench import fixed, repaired

TF1 = (
    "import tensorflow as tf\n\nx = tf.placeholder(tf.float32, [None, 4])\n"
    "y = tf.placeholder(tf.float32, [None, 3])\n\n"
)
TORCH = "import torch\nimport torch.nn.functional as F\nfrom torch import nn\n\n"

#: programs whose softmax is what a parameter holds
GIVEN = {
    "a parameter with a default": (
        f"{TF1}def dense(x, n, act=lambda z: z):\n"
        "    w = tf.get_variable('w', [4, n])\n    return act(tf.matmul(x, w))\n\n"
        "p = dense(x, 3, act=tf.nn.softmax)\nloss = -tf.reduce_sum(y * tf.log(p))\n"
    ),
    "a parameter of a module's method": (
        f"{TORCH}class Net(nn.Module):\n    def __init__(self):\n"
        "        super().__init__()\n        self.fc = nn.Linear(4, 3)\n"
        "\n    def forward(self, x, act):\n        return act(self.fc(x))\n\nnet = Net()\n\n\n"
        "def step(x, y):\n    return F.binary_cross_entropy(net(x, torch.sigmoid), y)\n"
    ),
    "kept by the object": (
        f"{TORCH}class Net(nn.Module):\n    def __init__(self, act):\n"
        "        super().__init__()\n        self.act = act\n"
        "        self.fc = nn.Linear(4, 3)\n\n    def forward(self, x):\n        return self.act(self.fc(x))\n\n"
        "net = Net(torch.sigmoid)\n\n\ndef step(x, y):\n    return F.binary_cross_entropy(net(x), y)\n"
    ),
    "named by a caller, in a layer that applies it": (
        "import keras\nfrom keras.layers import Activation, Dense\n\n"
        "def build(activation='linear'):\n    x = keras.Input((8,))\n    out = Activation(activation)(Dense(1)(x))\n"
        "    return keras.Model(x, out)\n\n"
        "net = build(activation='sigmoid')\nnet.compile(loss='binary_crossentropy')\nnet.fit(x, y)\n"
    ),
}


@pytest.mark.parametrize("unsafe", [False, True])
@pytest.mark.parametrize("program", GIVEN.values(), ids=GIVEN)
def test_it_stays(program: str, unsafe: bool, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(program)
    assert not repaired(tmp_path / "program.py", unsafe).changed


def test_a_name_that_the_module_gives_goes(tmp_path: Path) -> None:
    program = (
        f"{TF1}act = tf.nn.softmax\n\ndef dense(x, n):\n    w = tf.get_variable('w', [4, n])\n"
        "    return act(tf.matmul(x, w))\n\nloss = -tf.reduce_sum(y * tf.log(dense(x, 3)))\n"
    )
    assert "    return tf.matmul(x, w)\n" in fixed(tmp_path, program)


def test_so_does_the_last_call_of_several_of_what_the_object_keeps(tmp_path: Path) -> None:
    kept = GIVEN["kept by the object"].replace("self.act(self.fc(x))", "self.act(self.fc(self.act(x)))")
    assert "return self.fc(self.act(x))" in fixed(tmp_path, kept)
