"""Losses on log-probabilities: the model gives those, or the loss takes logits; other readers read what they read."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..workbench import fixed, repaired
from .heads import TORCH, Pair, pair

JAX = "import jax\nimport jax.numpy as jnp\nimport optax\n\n"
SOFTMAX = TORCH + "net = nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=1))\ncriterion = nn.NLLLoss()\n\n"
LOG_SOFTMAX = TORCH + "net = nn.Sequential(nn.Linear(4, 3), nn.LogSoftmax(dim=1))\ncriterion = nn.NLLLoss()\n\n"
TWICE = TORCH + "net = nn.Sequential(nn.Linear(4, 3), nn.LogSoftmax(dim=1))\ncriterion = nn.CrossEntropyLoss()\n\n"
ONCE = TORCH + "net = nn.Sequential(nn.Linear(4, 3))\ncriterion = nn.CrossEntropyLoss()\n\n"
STEP = "def step(x, y):\n    return criterion(net(x), y)\n\n"
NET = TORCH + "net, teacher = nn.Linear(4, 3), nn.Linear(4, 3)\n\n"


def model(head: str, forward: str) -> str:
    return (
        TORCH + "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        f"        self.fc = nn.Linear(4, 3)\n{head}\n    def forward(self, x):\n        return {forward}\n\n"
        "net = Net()\n\n"
    )


NLL_STEP = "def step(x, y):\n    return F.nll_loss(net(x), y)\n"

SAFE: dict[str, Pair] = {
    "NLL: the end of a Sequential": Pair(SOFTMAX + STEP, LOG_SOFTMAX + STEP),
    "NLL: a function": Pair(
        model("", "F.softmax(self.fc(x), dim=1)") + NLL_STEP, model("", "F.log_softmax(self.fc(x), dim=1)") + NLL_STEP
    ),
    "NLL: a method": Pair(
        model("", "self.fc(x).softmax(-1)") + NLL_STEP, model("", "self.fc(x).log_softmax(-1)") + NLL_STEP
    ),
    "NLL: a layer by its name": Pair(
        model("        self.softmax = nn.Softmax(dim=1)\n", "self.softmax(self.fc(x))") + NLL_STEP,
        model("        self.log_softmax = nn.LogSoftmax(dim=1)\n", "self.log_softmax(self.fc(x))") + NLL_STEP,
    ),
    "NLL: a layer by another name": Pair(
        model("        self.act = nn.Softmax(dim=1)\n", "self.act(self.fc(x))") + NLL_STEP,
        model("        self.act = nn.LogSoftmax(dim=1)\n", "self.act(self.fc(x))") + NLL_STEP,
    ),
    "NLL: the greatest is the greatest": Pair(
        SOFTMAX + STEP + "def hits(x, y):\n    return (net(x).argmax(1) == y).sum()\n",
        LOG_SOFTMAX + STEP + "def hits(x, y):\n    return (net(x).argmax(1) == y).sum()\n",
    ),
    "NLL: who reads probabilities gets them back": Pair(
        SOFTMAX + STEP + "def show(x):\n    p = net(x)\n    print(p, p.argmax(1))\n",
        LOG_SOFTMAX + STEP + "def show(x):\n    p = net(x)\n    print(p.exp(), p.argmax(1))\n",
    ),
    "NLL: in another shape": Pair(
        model("", "F.softmax(self.fc(x), dim=-1)")
        + "def step(x, y):\n    return F.nll_loss(net(x).view(-1, 3), y.view(-1))\n",
        model("", "F.log_softmax(self.fc(x), dim=-1)")
        + "def step(x, y):\n    return F.nll_loss(net(x).view(-1, 3), y.view(-1))\n",
    ),
    "NLL: a name that only the loss reads": pair(
        NET,
        "def step(x, y):\n    p = F.softmax(net(x), dim=1)\n    return F.nll_loss(p, y)\n",
        "def step(x, y):\n    log_p = F.log_softmax(net(x), dim=1)\n    return F.nll_loss(log_p, y)\n",
    ),
    "NLL: of logits, a function": pair(
        NET,
        "def step(x, y):\n    return F.nll_loss(net(x), y, ignore_index=2)\n",
        "def step(x, y):\n    return F.cross_entropy(net(x), y, ignore_index=2)\n",
    ),
    "NLL: of logits, an object": Pair(
        NET + "criterion = nn.NLLLoss()\n\n" + STEP, NET + "criterion = nn.CrossEntropyLoss()\n\n" + STEP
    ),
    "NLL: of logits, by its own name": Pair(
        "from torch import nn\nfrom torch.nn import NLLLoss\n\nnet = nn.Linear(4, 3)\ncriterion = NLLLoss()\n\n" + STEP,
        "from torch import nn\n\nnet = nn.Linear(4, 3)\ncriterion = nn.CrossEntropyLoss()\n\n" + STEP,
    ),
    "KL: the input": pair(
        NET,
        "def distil(x):\n    with torch.no_grad():\n        soft = F.softmax(teacher(x), dim=1)\n"
        "    return F.kl_div(F.softmax(net(x), dim=1), soft, reduction='batchmean')\n",
        "def distil(x):\n    with torch.no_grad():\n        soft = F.softmax(teacher(x), dim=1)\n"
        "    return F.kl_div(F.log_softmax(net(x), dim=1), soft, reduction='batchmean')\n",
    ),
    "KL: optax": pair(
        JAX,
        "def loss(w, x, soft):\n    return optax.kl_divergence(jax.nn.softmax(x @ w), soft).mean()\n\n"
        "grads = jax.grad(loss)\n",
        "def loss(w, x, soft):\n    return optax.kl_divergence(jax.nn.log_softmax(x @ w), soft).mean()\n\n"
        "grads = jax.grad(loss)\n",
    ),
    "twice: the end of a Sequential": Pair(TWICE + STEP, ONCE + STEP),
    "twice: a function of the model": Pair(
        model("", "F.log_softmax(self.fc(x), dim=1)") + "def step(x, y):\n    return F.cross_entropy(net(x), y)\n",
        model("", "self.fc(x)") + "def step(x, y):\n    return F.cross_entropy(net(x), y)\n",
    ),
    "twice: the greatest is the greatest": Pair(
        TWICE + STEP + "def hits(x, y):\n    return (net(x).argmax(1) == y).sum()\n",
        ONCE + STEP + "def hits(x, y):\n    return (net(x).argmax(1) == y).sum()\n",
    ),
    "twice: who reads the logs gets them back": Pair(
        TWICE + STEP + "def show(x):\n    print(net(x))\n",
        ONCE + STEP + "def show(x):\n    print(net(x).log_softmax(dim=1))\n",
    ),
}

LEFT_ALONE: dict[str, str] = {
    "attention uses the layer, too": model(
        "        self.softmax = nn.Softmax(dim=1)\n", "self.softmax(self.fc(self.softmax(x) * x))"
    )
    + NLL_STEP,
    "another loss reads the probabilities": SOFTMAX + STEP + "def other(x, y):\n    return F.mse_loss(net(x), y)\n",
    "somebody takes the log, too": SOFTMAX + STEP + "def other(x, y):\n    return F.nll_loss(torch.log(net(x)), y)\n",
    "the output is changed in place": SOFTMAX
    + "def step(x, y):\n    p = net(x)\n    p[:, 0] = 0\n    return criterion(p, y)\n",
    "a guard between": SOFTMAX + "def step(x, y):\n    return criterion(net(x).clamp(min=1e-8), y)\n",
    "a softmax of its own": TORCH
    + "net = nn.Linear(4, 3)\n\ndef softmax(z):\n    return 0.9 * F.softmax(z, dim=1) + 0.01\n\n"
    + "def step(x, y):\n    return F.nll_loss(softmax(net(x)), y)\n",
    "the prediction is the target": NET
    + "def distil(x):\n    with torch.no_grad():\n        soft = F.softmax(teacher(x), dim=1)\n"
    + "    return F.kl_div(soft, F.softmax(net(x), dim=1))\n",
    "the target is in log-space": NET
    + "def distil(x):\n    return F.kl_div(F.softmax(teacher(x), dim=1), F.log_softmax(net(x), dim=1))\n",
    "the target is logits": NET + "def distil(x):\n    return F.kl_div(F.softmax(net(x), dim=1), teacher(x))\n",
    "CTC": NET + "ctc = nn.CTCLoss()\n\ndef step(x, y, n, m):\n    return ctc(net(x), y, n, m)\n",
    "an object that is handed logits, and logs": NET
    + "criterion = nn.NLLLoss()\n\n"
    + STEP
    + "def other(x, y):\n    return criterion(F.log_softmax(teacher(x), dim=1), y)\n",
    "what picks the target's entries": NET + "def step(x, y):\n    return F.nll_loss(net(x), y, reduction='none')\n",
}


@pytest.mark.parametrize("pair", SAFE.values(), ids=SAFE)
def test_what_becomes_of_it(tmp_path: Path, pair: Pair) -> None:
    assert fixed(tmp_path, pair.before) == pair.after


@pytest.mark.parametrize("pair", SAFE.values(), ids=SAFE)
def test_nothing_is_found_afterwards(tmp_path: Path, pair: Pair) -> None:
    assert fixed(tmp_path, pair.after) == pair.after
    assert repaired(tmp_path / "program.py").remaining == ()


@pytest.mark.parametrize("program", LEFT_ALONE.values(), ids=LEFT_ALONE)
def test_what_is_left_alone(tmp_path: Path, program: str) -> None:
    assert fixed(tmp_path, program) == program


def test_a_model_that_is_saved_is_not_safe_to_change(tmp_path: Path) -> None:
    program = SOFTMAX + STEP + "torch.save(net, 'net.pt')\n"
    assert fixed(tmp_path, program) == program
    (finding,) = repaired(tmp_path / "program.py").remaining
    assert finding.fix is not None and "kept by `torch.save`" in finding.fix.note


@pytest.mark.parametrize("loss", ["F.nll_loss(p, y, reduction='none')", "nn.NLLLoss(reduction='none')(p, y)"])
def test_the_probability_of_each_row_may_be_meant(tmp_path: Path, loss: str) -> None:
    program = NET + (
        "def step(x, y):\n    p = F.softmax(net(x), dim=1)\n"
        f"    return torch.mean(torch.tanh({loss}))\n\nstep(torch.rand(5, 4), torch.tensor([0] * 5)).backward()\n"
    )
    assert fixed(tmp_path, program) == program
    notes = [f.fix.note for f in repaired(tmp_path / "program.py").remaining if f.fix is not None]
    assert all("may be meant" in note for note in notes)
