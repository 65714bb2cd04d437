"""Heads among the layers of a list, and models whose layers are gone through one by one."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..workbench import fixed
from .heads import TORCH, Pair, pair

INIT = "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
LOSS = {False: "binary_cross_entropy", True: "binary_cross_entropy_with_logits"}


def listed(forward: str, then: str = "loss = F.{}(net(x), y)\n", more: str = "") -> Pair:
    """A model with a list of layers, of which a sigmoid is the last."""
    before, after = (
        INIT
        + f"        self.layers = nn.ModuleList([\n            nn.Linear(4, 3){more},\n            nn.Linear(3, 1),\n"
        f"{last}        ])\n\n    def forward(self, z):\n{forward}        return z\n\n"
        "net = Net()\nx, y = torch.rand(5, 4), torch.ones(5, 1)\n"
        for last in ("            nn.Sigmoid(),\n", "")
    )
    return pair(TORCH, before + then.format(LOSS[False]), after + then.format(LOSS[True]))


LOOP = "        for layer in self.layers:\n            z = layer(z)\n"
WEIGHTS = (
    INIT + "        self.net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 1){})\n"
    "        for block in self._modules:\n            for m in self._modules[block]:\n                init(m)\n\n"
    "    def forward(self, z):\n        return self.net(z)\n\n"
    "def init(m):\n    if isinstance(m, nn.Linear):\n        m.weight.data.fill_(1)\n"
    "    elif isinstance(m, nn.BatchNorm1d):\n        m.weight.data.fill_(2)\n\n"
    "net = Net()\nx, y = torch.rand(5, 4), torch.ones(5, 1)\nloss = F.{}(net(x), y)\n"
)
SAFE = {
    "a list that is gone through": listed(LOOP),
    "given in a dictionary": Pair(
        *(
            text.replace("return z", 'return {"z": z}')
            for text in listed(
                LOOP,
                "out = net(x)\nmore = {{}}\nfor name, value in out.items():\n    more[name] = value\n"
                'loss = F.{}(more["z"], y)\n',
            )
        )
    ),
    "an initialiser goes through the layers": pair(
        TORCH, WEIGHTS.format(", nn.Sigmoid()", LOSS[False]), WEIGHTS.format("", LOSS[True])
    ),
}
#: What a list's sigmoid stays for.
LEFT_ALONE = {
    "another sigmoid in the list": listed(LOOP, more=", nn.Sigmoid()").before,
    "only some are applied": listed(
        "        for layer in self.layers[1:]:\n            z = layer(z)\n        print(len(self.layers))\n"
    ).before,
    "the loop counts": listed(
        "        count = 0\n        for layer in self.layers:\n            z = layer(z)\n            count += 1\n"
        "        print(count)\n"
    ).before,
    "the initialiser looks at each": WEIGHTS.format(", nn.Sigmoid()", LOSS[False]).replace(
        "def init(m):\n", "def init(m):\n    print(m)\n"
    ),
}


@pytest.mark.parametrize("pair", SAFE.values(), ids=SAFE)
def test_the_last_layer_goes(tmp_path: Path, pair: Pair) -> None:
    assert fixed(tmp_path, pair.before) == pair.after


@pytest.mark.parametrize("program", LEFT_ALONE.values(), ids=LEFT_ALONE)
def test_what_is_left_alone(tmp_path: Path, program: str) -> None:
    assert fixed(tmp_path, TORCH + program if "import" not in program else program) == (
        TORCH + program if "import" not in program else program
    )
