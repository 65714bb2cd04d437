"""A name that says "probabilities" goes on holding them: the softmax comes back where it is given."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..workbench import fixed

HEAD = (
    "import torch\nimport torch.nn.functional as F\nfrom torch import nn\n\n"
    "net = nn.Sequential(nn.Linear(4, 3){})\n\n\ndef step(x, y):\n    return F.cross_entropy(net(x), y)\n\n\n"
)
PROBABILITIES, LOGITS = HEAD.format(", nn.Softmax(dim=1)"), HEAD.format("")

#: what reads the output, before and after
READERS = {
    "read once": (
        "def show(x):\n    probs = net(x)\n    print(probs.max())\n",
        "def show(x):\n    probs = net(x).softmax(dim=1)\n    print(probs.max())\n",
    ),
    "read twice": (
        "def show(x):\n    probs = net(x)\n    print(probs.max(), probs.min())\n",
        "def show(x):\n    probs = net(x).softmax(dim=1)\n    print(probs.max(), probs.min())\n",
    ),
    "a name that says nothing of them": (
        "def show(x):\n    out = net(x)\n    print(out.max())\n",
        "def show(x):\n    out = net(x)\n    print(out.softmax(dim=1).max())\n",
    ),
    "a name that is given twice": (
        "def show(x, again):\n    probs = net(x)\n    if again:\n        probs = net(-x)\n    print(probs.max())\n",
        "def show(x, again):\n    probs = net(x)\n    if again:\n        probs = net(-x)\n"
        "    print(probs.softmax(dim=1).max())\n",
    ),
    "a name that the loss reads, too": (
        "def show(x, y):\n    probs = net(x)\n    print(probs.max())\n    return F.cross_entropy(probs, y)\n",
        "def show(x, y):\n    logits = net(x)\n    print(logits.softmax(dim=1).max())\n"
        "    return F.cross_entropy(logits, y)\n",
    ),
}


@pytest.mark.parametrize(("before", "after"), READERS.values(), ids=READERS)
def test_where_the_softmax_comes_back(before: str, after: str, tmp_path: Path) -> None:
    assert fixed(tmp_path, PROBABILITIES + before) == LOGITS + after
