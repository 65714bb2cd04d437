"""Logs of what a model, a function or another file made with a softmax: the softmax goes, its readers get it back."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from finallayer.fix.repair import Repair

from ..workbench import fixed, repaired, repaired_together

TORCH = "import torch\nimport torch.nn.functional as F\nfrom torch import nn\n\ntorch.manual_seed(0)\n\n"
TF1 = (
    "import tensorflow as tf\n\nx = tf.placeholder(tf.float32, [None, 784])\n"
    "y = tf.placeholder(tf.float32, [None, 9])\n"
)
NET = (
    "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n        self.fc = nn.Linear(3, 4)\n\n"
    "    def forward(self, x):\n        return {}\n\n"
)

#: A model whose last step is written out, and its loss.
BY_HAND = "fc = nn.Linear(3, 1)\n\n\ndef guess(x):\n{}\n\n\n"
BINARY = (
    "def cost(out, y):\n    return -(y * torch.log(out) + (1 - y) * torch.log(1 - out)).mean()\n\n\n"
    "out = guess(torch.randn(5, 3))\nloss = cost(out, torch.ones(5, 1))\nshown = (out > 0.5).float()\n"
)
BINARY_AFTER = (
    "def cost(out, y):\n    return -(y * F.logsigmoid(out) + (1 - y) * F.logsigmoid(-out)).mean()\n\n\n"
    "out = guess(torch.randn(5, 3))\nloss = cost(out, torch.ones(5, 1))\nshown = (torch.sigmoid(out) > 0.5).float()\n"
)
CALLED = "\nloss = step(torch.randn(5, 3), torch.eye(4)[:1])\n"
#: what is shown -> (before, after)
REWRITTEN: dict[str, tuple[str, str]] = {
    "a module, and readers of both kinds": (
        TORCH + NET.format("F.softmax(self.fc(x), dim=1)") + "net = Net()\nx = torch.randn(5, 3)\np = net(x)\n"
        "loss = -torch.log(p[:, 0] + 1e-9).mean()\nbest = p.argmax(1)\nshown = p.max()\nprint(net(x))\n",
        TORCH + NET.format("self.fc(x)") + "net = Net()\nx = torch.randn(5, 3)\nlogits = net(x)\n"
        "loss = -F.log_softmax(logits, dim=1)[:, 0].mean()\nbest = logits.argmax(1)\n"
        "shown = torch.softmax(logits, dim=1).max()\n"
        "print(torch.softmax(net(x), dim=1))\n",
    ),
    "what is only as long as they are": (
        TORCH + NET.format("F.softmax(self.fc(x), dim=1)") + "net = Net()\nx = torch.randn(5, 3)\np = net(x)\n"
        "w = torch.ones(20).view_as(p.t()).sum(0)\nloss = -(w * torch.log(p + 1e-9)[:, 0]).mean()\n",
        TORCH + NET.format("self.fc(x)") + "net = Net()\nx = torch.randn(5, 3)\nlogits = net(x)\n"
        "w = torch.ones(20).view_as(logits.t()).sum(0)\nloss = -(w * F.log_softmax(logits, dim=1)[:, 0]).mean()\n",
    ),
    "a Sequential, and a threshold": (
        TORCH + "net = nn.Sequential(nn.Linear(3, 1), nn.Sigmoid())\nx = torch.randn(5, 3)\np = net(x)\n"
        "loss = -(torch.log(p) + torch.log(1 - p)).mean()\nshown = (p > 0.5).float()\n",
        TORCH + "net = nn.Sequential(nn.Linear(3, 1))\nx = torch.randn(5, 3)\nlogits = net(x)\n"
        "loss = -(F.logsigmoid(logits) + F.logsigmoid(-logits)).mean()\n"
        "shown = (torch.sigmoid(logits) > 0.5).float()\n",
    ),
    "a function that only takes the log goes": (
        TORCH + "net = nn.Sequential(nn.Linear(3, 1), nn.Sigmoid())\n\n\n"
        "def safe_log(v):\n    return torch.log(v + 1e-8)\n\n\n"
        "a, b = net(torch.randn(5, 3)), net(torch.randn(5, 3))\nloss = -(safe_log(a) + safe_log(1 - b)).mean()\n",
        TORCH + "net = nn.Sequential(nn.Linear(3, 1))\n\n\n"
        "a, b = net(torch.randn(5, 3)), net(torch.randn(5, 3))\nloss = -(F.logsigmoid(a) + F.logsigmoid(-b)).mean()\n",
    ),
    "a function that only takes the log stays for others": (
        TORCH + "net = nn.Sequential(nn.Linear(3, 4), nn.Softmax(dim=1))\n"
        "safe_log = lambda v: torch.log(torch.clamp(v, min=1e-8))\n\n"
        "out = net(torch.randn(5, 3))\nloss = -safe_log(out)[:, 0].mean() + safe_log(out[:, 1] * 0.5).mean()\n"
        "shown = safe_log(torch.rand(3))\nprint(shown.shape)\n",
        TORCH + "net = nn.Sequential(nn.Linear(3, 4))\n"
        "safe_log = lambda v: torch.log(torch.clamp(v, min=1e-8))\n\n"
        "out = net(torch.randn(5, 3))\nloss = -F.log_softmax(out, dim=1)[:, 0].mean() "
        "+ safe_log(torch.softmax(out, dim=1)[:, 1] * 0.5).mean()\n"
        "shown = safe_log(torch.rand(3))\nprint(shown.shape)\n",
    ),
    "a sigmoid that is written as a formula": (
        TORCH + BY_HAND.format("    return 1 / (1 + torch.exp(-(fc(x) + 1)))") + BINARY,
        TORCH + BY_HAND.format("    return fc(x) + 1") + BINARY_AFTER,
    ),
    "a formula of minus the scores, in the framework's words": (
        TORCH + BY_HAND.format("    return torch.div(1.0, torch.exp(fc(x)) + 1.0)") + BINARY,
        TORCH + BY_HAND.format("    return -fc(x)") + BINARY_AFTER,
    ),
    "numbers that are taken out of the framework": (
        TORCH + "import numpy as np\n\nnet = nn.Sequential(nn.Linear(3, 1), nn.Sigmoid())\nx = torch.randn(5, 3)\n"
        "loss = -torch.log(net(x)).mean()\nshown = float(net(x)[0, 0])\nprint(shown)\n"
        "row = np.squeeze(net(x).detach())\nprint(row)\n",
        TORCH + "import numpy as np\n\nnet = nn.Sequential(nn.Linear(3, 1))\nx = torch.randn(5, 3)\n"
        "loss = -F.logsigmoid(net(x)).mean()\nshown = float(torch.sigmoid(net(x)[0, 0]))\nprint(shown)\n"
        "row = np.squeeze(torch.sigmoid(net(x).detach()))\nprint(row)\n",
    ),
    "a clip around the call that has a name": (
        TORCH + NET.format("F.softmax(self.fc(x), dim=1)") + "net = Net()\n\ndef step(x, y):\n"
        "    p = torch.clamp(net(x), 1e-8, 1.0)\n    return -(y * torch.log(p)).sum(1).mean()\n" + CALLED,
        TORCH + NET.format("self.fc(x)") + "net = Net()\n\ndef step(x, y):\n"
        "    logits = net(x)\n    return -(y * F.log_softmax(logits, dim=1)).sum(1).mean()\n" + CALLED,
    ),
    "a clip that is read besides": (
        TORCH + NET.format("torch.sigmoid(self.fc(x))") + "net = Net()\n\ndef step(x, y):\n"
        "    out = net(x)\n    out = torch.clamp(out, 1e-7, 1 - 1e-7)\n"
        "    return -(y * torch.log(out) + (1 - y) * torch.log(1 - out)).mean(), out\n"
        + CALLED.replace("loss", "loss, _"),
        TORCH + NET.format("self.fc(x)") + "net = Net()\n\ndef step(x, y):\n"
        "    logits = net(x)\n    out = torch.clamp(torch.sigmoid(logits), 1e-7, 1 - 1e-7)\n"
        "    return -(y * F.logsigmoid(logits) + (1 - y) * F.logsigmoid(-logits)).mean(), out\n"
        + CALLED.replace("loss", "loss, _"),
    ),
    "a clip of the call that is read besides": (
        TORCH + NET.format("F.softmax(self.fc(x), dim=1)") + "net = Net()\n\ndef step(x, y):\n"
        "    p = torch.clamp(net(x), min=1e-8)\n    return -(y * torch.log(p)).sum(1).mean(), p\n"
        + CALLED.replace("loss", "loss, _"),
        TORCH + NET.format("self.fc(x)") + "net = Net()\n\ndef step(x, y):\n    logits = net(x)\n"
        "    p = torch.clamp(torch.softmax(logits, dim=1), min=1e-8)\n"
        "    return -(y * F.log_softmax(logits, dim=1)).sum(1).mean(), p\n" + CALLED.replace("loss", "loss, _"),
    ),
    "an argument that is clipped": (
        TORCH + NET.format("F.softmax(self.fc(x), dim=1)") + "net = Net()\n\ndef cost(out, y):\n"
        "    # Clip, so that no log is infinite.\n    out = torch.clamp(out, 1e-8, 1.0)\n"
        "    return -(y * torch.log(out)).sum(1).mean()\n\ndef step(x, y):\n    return cost(net(x), y)\n" + CALLED,
        TORCH + NET.format("self.fc(x)") + "net = Net()\n\ndef cost(out, y):\n"
        "    return -(y * F.log_softmax(out, dim=1)).sum(1).mean()\n\ndef step(x, y):\n    return cost(net(x), y)\n"
        + CALLED,
    ),
    "a name that would lie": (
        TORCH + NET.format("F.softmax(self.fc(x), dim=1)") + "net = Net()\n\ndef step(x, y):\n"
        "    probs = net(x)\n    return -(y * torch.log(probs)).sum(1).mean()\n" + CALLED,
        TORCH + NET.format("self.fc(x)") + "net = Net()\n\ndef step(x, y):\n"
        "    logits = net(x)\n    return -(y * F.log_softmax(logits, dim=1)).sum(1).mean()\n" + CALLED,
    ),
    "a name that says nothing": (
        TORCH + NET.format("F.softmax(self.fc(x), dim=1)") + "net = Net()\n\ndef step(x, y):\n"
        "    out = net(x)\n    return -(y * torch.log(out)).sum(1).mean()\n" + CALLED,
        TORCH + NET.format("self.fc(x)") + "net = Net()\n\ndef step(x, y):\n"
        "    out = net(x)\n    return -(y * F.log_softmax(out, dim=1)).sum(1).mean()\n" + CALLED,
    ),
    "a layer with a name of its own": (
        TORCH + "head = nn.Sigmoid()\nnet = nn.Sequential(nn.Linear(3, 1), head)\nx = torch.randn(5, 3)\n"
        "loss = -torch.log(net(x)).mean()\n",
        TORCH + "net = nn.Sequential(nn.Linear(3, 1))\nx = torch.randn(5, 3)\nloss = -F.logsigmoid(net(x)).mean()\n",
    ),
    "two ways through a function": (
        TORCH + "fc = nn.Linear(3, 4)\n\ndef net(x, twice=False):\n    if twice:\n"
        "        return torch.softmax(fc(2 * x), dim=-1)\n    return torch.softmax(fc(x), dim=-1)\n\n"
        "x = torch.randn(5, 3)\nloss = -torch.log(net(x)).mean() - torch.log(net(x, True)).mean()\n",
        TORCH + "fc = nn.Linear(3, 4)\n\ndef net(x, twice=False):\n    if twice:\n"
        "        return fc(2 * x)\n    return fc(x)\n\n"
        "x = torch.randn(5, 3)\n"
        "loss = -F.log_softmax(net(x), dim=-1).mean() - F.log_softmax(net(x, True), dim=-1).mean()\n",
    ),
    "alike softmaxes of two branches": (
        TORCH + "fc = nn.Linear(3, 4)\n\ndef net(x):\n    if len(x) > 2:\n        p = F.softmax(fc(x), dim=1)\n"
        "    else:\n        p = F.softmax(fc(x), dim=1)\n    return p\n\nx = torch.randn(5, 3)\n"
        "loss = -net(x).log().mean()\n",
        TORCH + "fc = nn.Linear(3, 4)\n\ndef net(x):\n    if len(x) > 2:\n        p = fc(x)\n"
        "    else:\n        p = fc(x)\n    return p\n\nx = torch.randn(5, 3)\n"
        "loss = -F.log_softmax(net(x), dim=1).mean()\n",
    ),
    "a softmax that overwrites the logits": (
        TORCH + "fc = nn.Linear(3, 4)\n\ndef net(x):\n    x = fc(x)\n    x = F.softmax(x, dim=1)\n    return x\n\n"
        "loss = -torch.log(net(torch.randn(5, 3))).mean()\n",
        TORCH + "fc = nn.Linear(3, 4)\n\ndef net(x):\n    x = fc(x)\n    return x\n\n"
        "loss = -F.log_softmax(net(torch.randn(5, 3)), dim=1).mean()\n",
    ),
    "the round before": (
        TORCH + "fc = nn.Linear(3, 4)\nx = torch.randn(5, 3)\np = F.softmax(fc(x), dim=1)\nloss = 0\n"
        "for i in range(3):\n    loss = loss - torch.log(p).sum()\n    p = F.softmax(fc(x + i), dim=1)\n",
        TORCH + "fc = nn.Linear(3, 4)\nx = torch.randn(5, 3)\np = fc(x)\nloss = 0\n"
        "for i in range(3):\n    loss = loss - F.log_softmax(p, dim=1).sum()\n    p = fc(x + i)\n",
    ),
    "an attribute": (
        TORCH + "class Trainer:\n    def __init__(self):\n        self.fc = nn.Linear(3, 4)\n\n"
        "    def net(self, x):\n        return self.fc(x).softmax(1)\n\n"
        "    def step(self, x):\n        self.p = self.net(x)\n"
        "        return -torch.log(self.p).mean(), self.p.sum(1)\n\n"
        "loss, shown = Trainer().step(torch.randn(5, 3))\n",
        TORCH + "class Trainer:\n    def __init__(self):\n        self.fc = nn.Linear(3, 4)\n\n"
        "    def net(self, x):\n        return self.fc(x)\n\n"
        "    def step(self, x):\n        self.p = self.net(x)\n"
        "        return -F.log_softmax(self.p, dim=1).mean(), torch.softmax(self.p, dim=1).sum(1)\n\n"
        "loss, shown = Trainer().step(torch.randn(5, 3))\n",
    ),
    "a list of arguments": (
        TORCH + "fc = nn.Linear(3, 4)\n\ndef nll(p):\n    return -torch.log(p).mean()\n\n"
        "given = [fc(torch.randn(5, 3)).softmax(1)]\nloss = nll(*given)\n",
        TORCH + "fc = nn.Linear(3, 4)\n\ndef nll(p):\n    return -F.log_softmax(p, dim=1).mean()\n\n"
        "given = [fc(torch.randn(5, 3))]\nloss = nll(*given)\n",
    ),
    "an epsilon that nobody needs any more": (
        TORCH + "net = nn.Sequential(nn.Linear(3, 4), nn.Sigmoid())\n\ndef bce(p, y):\n    eps = 1e-12\n"
        "    return -(y * torch.log(p + eps) + (1 - y) * torch.log(1 - p + eps)).mean()\n\n"
        "loss = bce(net(torch.randn(5, 3)), torch.ones(5, 4))\n",
        TORCH + "net = nn.Sequential(nn.Linear(3, 4))\n\ndef bce(p, y):\n"
        "    return -(y * F.logsigmoid(p) + (1 - y) * F.logsigmoid(-p)).mean()\n\n"
        "loss = bce(net(torch.randn(5, 3)), torch.ones(5, 4))\n",
    ),
    "a layer's activation, in TF 1": (
        TF1 + "p = tf.layers.dense(x, 9, tf.nn.softmax)\nloss = -tf.reduce_sum(y * tf.log(p))\n",
        TF1 + "logits = tf.layers.dense(x, 9)\nloss = -tf.reduce_sum(y * tf.nn.log_softmax(logits))\n",
    ),
    "a layer's activation by keyword, and a discriminator called twice": (
        TF1 + "def judge(h):\n    return tf.layers.dense(h, 1, activation=tf.nn.sigmoid)\n\n"
        "real, fake = judge(x), judge(y)\n"
        "loss = -tf.reduce_mean(tf.log(real) + tf.log(1. - fake))\nsize = tf.ones_like(real)\n",
        TF1 + "def judge(h):\n    return tf.layers.dense(h, 1)\n\nreal, fake = judge(x), judge(y)\n"
        "loss = -tf.reduce_mean(tf.log_sigmoid(real) + tf.log_sigmoid(-fake))\nsize = tf.ones_like(real)\n",
    ),
    "before TF 1.0, which has no log_sigmoid": (
        TF1 + "def judge(h):\n    return tf.nn.sigmoid(tf.matmul(h, tf.Variable(tf.zeros([784, 1]))))\n\np = judge(x)\n"
        "tf.histogram_summary('p', p)\nloss = -tf.reduce_mean(tf.log(p) + tf.log(1. - p))\n",
        TF1 + "def judge(h):\n    return tf.matmul(h, tf.Variable(tf.zeros([784, 1])))\n\nlogits = judge(x)\n"
        "tf.histogram_summary('p', tf.sigmoid(logits))\n"
        "loss = -tf.reduce_mean(-tf.nn.softplus(-logits) + -tf.nn.softplus(logits))\n",
    ),
    "two functions, by a flag that nobody knows": (
        TF1 + "def small(h):\n    p = tf.nn.softmax(tf.layers.dense(h, 9))\n    return p\n\n"
        "def large(h):\n    p = tf.nn.softmax(tf.layers.dense(h, 9))\n    return p\n\n"
        "FLAGS = tf.app.flags.FLAGS\nif FLAGS.large:\n    q = large(x)\nelse:\n    q = small(x)\n"
        "loss = -tf.reduce_sum(y * tf.log(q))\n",
        TF1 + "def small(h):\n    logits = tf.layers.dense(h, 9)\n    return logits\n\n"
        "def large(h):\n    logits = tf.layers.dense(h, 9)\n    return logits\n\n"
        "FLAGS = tf.app.flags.FLAGS\nif FLAGS.large:\n    q = large(x)\nelse:\n    q = small(x)\n"
        "loss = -tf.reduce_sum(y * tf.nn.log_softmax(q))\n",
    ),
    "logits that have a name already": (
        TF1 + "def small(h):\n    scores = tf.layers.dense(h, 9)\n    class_prob = tf.nn.softmax(scores)\n"
        "    return class_prob\n\nloss = -tf.reduce_sum(y * tf.log(small(x)))\n",
        TF1 + "def small(h):\n    scores = tf.layers.dense(h, 9)\n"
        "    return scores\n\nloss = -tf.reduce_sum(y * tf.nn.log_softmax(small(x)))\n",
    ),
    "a Keras layer in a loop of one's own": (
        "import tensorflow as tf\n\nhead = tf.keras.layers.Dense(5, activation='softmax')\n\n"
        "def loss(x, y):\n    h = tf.nn.relu(x)\n    return -tf.reduce_sum(y * tf.math.log(head(h)))\n",
        "import tensorflow as tf\n\nhead = tf.keras.layers.Dense(5)\n\n"
        "def loss(x, y):\n    h = tf.nn.relu(x)\n    return -tf.reduce_sum(y * tf.nn.log_softmax(head(h)))\n",
    ),
}
RUNNABLE = [name for name, (before, _) in REWRITTEN.items() if before.startswith(TORCH)]


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


@pytest.mark.parametrize("name", RUNNABLE)
def test_a_run_shows_the_same_numbers(tmp_path: Path, name: str) -> None:
    torch = pytest.importorskip("torch")
    ran = []
    for program in (REWRITTEN[name][0], fixed(tmp_path, REWRITTEN[name][0])):
        torch.manual_seed(0)
        names: dict[str, Any] = {}
        exec(compile(program, name, "exec"), names)
        ran.append(names)
    before, after = ran
    assert math.isclose(before["loss"].item(), after["loss"].item(), rel_tol=1e-5)
    assert torch.allclose(torch.as_tensor(before.get("shown", 0.0)), torch.as_tensor(after.get("shown", 0.0)))
    assert torch.equal(torch.as_tensor(before.get("best", 0)), torch.as_tensor(after.get("best", 0)))


LOG = "loss = -torch.log(net(x)).mean()\n"
#: why there is no certain fix -> the program
LEFT_ALONE: dict[str, str] = {
    "a formula that is no sigmoid": TORCH + BY_HAND.format("    return 0.9 / (1 + torch.exp(-fc(x)))") + BINARY,
    "a formula of what has changed since": TORCH
    + BY_HAND.format("    z = fc(x)\n    p = 1 / (1 + torch.exp(-z))\n    z += 1\n    return p")
    + BINARY,
    "a function for nothing but the formula, called for more than the loss": TORCH
    + "fc = nn.Linear(3, 1)\n\n\ndef squash(z):\n    return 1 / (1 + torch.exp(-z))\n\n\n"
    + "def guess(x):\n    return squash(fc(x))\n\n\ngate = squash(torch.ones(3))\nprint(gate)\n"
    + BINARY,
    "an argument that is clipped again in a loop": TORCH
    + NET.format("F.softmax(self.fc(x), dim=1)")
    + "net = Net()\n\ndef cost(out, y):\n    for _ in range(3):\n        out = torch.clamp(out, 1e-8, 1.0)\n"
    + "        y = y + torch.log(out)\n    return y\n\nprint(cost(net(torch.randn(5, 3)), torch.eye(4)[:1]))\n",
    "a clip that changes the probabilities": TORCH
    + NET.format("F.softmax(self.fc(x), dim=1)")
    + "net = Net()\n\ndef step(x, y):\n    p = net(x)\n    p = torch.clamp(p, 0.1, 0.9)\n"
    + "    return -(y * torch.log(p)).sum(1).mean(), p\n"
    + CALLED,
    "a function that only takes the log, of the output and of what is made of another": TORCH
    + "net = nn.Sequential(nn.Linear(3, 4), nn.Softmax(dim=1))\n\n\n"
    + "def safe_log(v):\n    return torch.log(v + 1e-8)\n\n\n"
    + "out = net(torch.randn(5, 3))\nloss = -safe_log(out).mean()\nother = safe_log(1 - out).mean()\n",
    "a function that only takes the log, handed on": TORCH
    + "net = nn.Sequential(nn.Linear(3, 1), nn.Sigmoid())\n\n\n"
    + "def safe_log(v):\n    return torch.log(v + 1e-8)\n\n\n"
    + "out = net(torch.randn(5, 3))\nloss = -torch.stack(list(map(safe_log, [out]))).mean()\n",
    "a clip that blends": TORCH
    + NET.format("F.softmax(self.fc(x), dim=1)")
    + "net = Net()\n\ndef loss(x, y):\n    p = 0.9 * net(x) + 0.1\n    return -(y * torch.log(p)).sum(1).mean()\n",
    "a clipped output that is changed": TORCH
    + NET.format("F.softmax(self.fc(x), dim=1)")
    + "net = Net()\n\ndef loss(x, y):\n    p = torch.clamp(net(x), 1e-8, 1.0)\n    p[:, 0] = 1\n"
    + "    return -(y * torch.log(p)).sum(1).mean()\n",
    "the softmax is all that the function does": TORCH
    + "def net(z):\n    return F.softmax(z, dim=1)\n\nfc = nn.Linear(3, 4)\n"
    "def steps(x):\n    p = net(fc(x)) if x else net(fc(-x))\n    return torch.log(p)\n",
    "the log of one minus a softmax has no stable form": TORCH
    + NET.format("F.softmax(self.fc(x), dim=1)")
    + "net = Net()\n\ndef loss(x):\n    return -torch.log(1 - net(x)).mean()\n",
    "softmaxes along different axes": TORCH
    + "fc = nn.Linear(3, 4)\n\ndef loss(x, a):\n    p = F.softmax(fc(x), dim=1) if a else F.softmax(fc(x), dim=0)\n"
    "    return -torch.log(p).mean()\n",
    "another loss reads the probabilities": TORCH
    + NET.format("F.softmax(self.fc(x), dim=1)")
    + "net = Net()\n\ndef loss(x, y):\n    p = net(x)\n    return -torch.log(p).mean() + F.mse_loss(p, y)\n",
    "the probabilities are changed in place": TORCH
    + NET.format("F.softmax(self.fc(x), dim=1)")
    + "net = Net()\n\ndef loss(x, y):\n    p = net(x)\n    p[0] = 1\n    return -torch.log(p).mean()\n",
    "another value at the same log": TORCH
    + NET.format("F.softmax(self.fc(x), dim=1)")
    + "net = Net()\n\ndef nll(p):\n    return -torch.log(p).mean()\n\n"
    "def loss(x, y):\n    return nll(net(x)) + nll(torch.rand(3))\n",
    "an epsilon that keeps masked classes from NaN": TORCH
    + "fc = nn.Linear(3, 4)\n\ndef net(x, m):\n    return F.softmax(fc(x).masked_fill(m, float('-inf')), dim=1)\n\n"
    "def loss(x, y, m):\n    return -(y * torch.log(net(x, m) + 1e-8)).sum()\n",
    "a logarithm to another base": TORCH
    + NET.format("F.softmax(self.fc(x), dim=1)")
    + "net = Net()\n\ndef loss(x):\n    return -torch.log2(net(x)).mean()\n",
    "a list of them, joined": TORCH
    + NET.format("F.softmax(self.fc(x), dim=1)")
    + "net = Net()\n\ndef loss(xs):\n    p = torch.cat([net(x) for x in xs] + [torch.rand(3, 4)])\n"
    "    return -torch.log(p).mean()\n",
}


@pytest.mark.parametrize("program", LEFT_ALONE.values(), ids=LEFT_ALONE)
def test_what_is_left_alone(tmp_path: Path, program: str) -> None:
    file = tmp_path / "program.py"
    file.write_text(program)
    assert repaired(file, unsafe=True).changed == ()


#: who is out of sight -> (the program, what the note says of it)
UNSAFE: dict[str, tuple[str, str]] = {
    "a method that nobody calls": (
        TORCH + "fc = nn.Linear(3, 4)\n\ndef net(x):\n    return fc(x).softmax(1)\n\nclass Trainer:\n"
        "    def step(self, x):\n        self.p = net(x)\n        return -torch.log(self.p).mean()\n\n"
        "    def report(self):\n        return self.p.sum()\n",
        "`self.p` may be the output",
    ),
    "a branch that isn't taken": (
        TORCH
        + "DEBUG = False\nfc = nn.Linear(3, 4)\n\ndef net(x):\n    if DEBUG:\n        return torch.ones(3, 4) / 4\n"
        "    return fc(x).softmax(1)\n\nx = torch.randn(5, 3)\n" + LOG,
        "`net` returns another in code that nothing runs",
    ),
    "a method in code that nothing runs": (
        TORCH + "fc = nn.Linear(3, 4)\n\nclass Task:\n    def net(self, x):\n        return fc(x).softmax(1)\n\n"
        "    def loss(self, x):\n        return -torch.log(self.net(x)).mean()\n\n"
        "task = Task()\nloss = task.loss(torch.randn(5, 3))\nif False:\n    print(task.net(fc))\n",
        "`task.net` in code that nothing runs",
    ),
    "an assignment that isn't made": (
        TORCH + "DEBUG = False\nfc = nn.Linear(3, 4)\n\ndef net(x):\n    return fc(x).softmax(1)\n\n"
        "x = torch.randn(5, 3)\nif DEBUG:\n    p = torch.ones(3, 4) / 4\nelse:\n    p = net(x)\n"
        "loss = -torch.log(p).mean()\n",
        "`p` is another in code that nothing runs",
    ),
    "the operation's name": (
        TF1 + "def net(x):\n    return tf.nn.softmax(tf.layers.dense(x, 9), name='p')\n\n"
        "loss = -tf.reduce_sum(y * tf.log(net(x)))\n",
        "the operation's name in the graph",
    ),
    "the model is saved": (
        TORCH
        + NET.format("F.softmax(self.fc(x), dim=1)")
        + "net = Net()\nx = torch.randn(5, 3)\n"
        + LOG
        + "torch.save(net, 'net.pt')\n",
        "kept by `torch.save`",
    ),
}


@pytest.mark.parametrize(("program", "unseen"), UNSAFE.values(), ids=UNSAFE)
def test_a_reader_out_of_sight_makes_it_unsafe(tmp_path: Path, program: str, unseen: str) -> None:
    assert fixed(tmp_path, program) == program
    finding = repaired(tmp_path / "program.py").remaining[0]
    assert finding.fix is not None and not finding.fix.safe
    assert unseen in finding.fix.note


MODEL = TORCH + NET.format("F.softmax(self.fc(x), dim=1)")
TRAIN = "import torch\n\nfrom model import Net\n\nnet = Net()\n\n\ndef loss(x):\n    return -torch.log(net(x)).mean()\n"


def _repaired(folder: Path, **files: str) -> Repair:
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    return repaired_together([folder])


def test_a_model_in_another_file_changes_with_its_loss(tmp_path: Path) -> None:
    changed = {d.path.name: new.decode() for d, new in _repaired(tmp_path, model=MODEL, train=TRAIN).changed}
    assert changed == {
        "model.py": (TORCH + NET.format("self.fc(x)")).replace("import torch.nn.functional as F\n", ""),
        "train.py": TRAIN.replace("torch.log(net(x))", "torch.log_softmax(net(x), dim=1)"),
    }


def test_a_third_file_that_reads_the_model_keeps_both_as_they_are(tmp_path: Path) -> None:
    serve = "from model import Net\n\nprint(Net()(3))\n"
    result = _repaired(tmp_path, model=MODEL, train=TRAIN, serve=serve)
    assert result.changed == ()
    (finding,) = result.remaining
    assert finding.fix is None and "(serve.py, line 3) differs" in finding.unfixed
