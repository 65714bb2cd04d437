"""What nobody calls, and what is handed to a training loop that isn't at hand: which findings there are."""

from __future__ import annotations

from pathlib import Path

import pytest

from finallayer.check.judge import analyse
from finallayer.source import Project, sightings
from finallayer.source.files import SourceFile
from finallayer.source.uses import Uses

TORCH = "import torch\nimport torch.nn.functional as F\nfrom torch import nn\n"
NET = TORCH + "model = nn.Sequential(nn.Linear(8, 3), nn.Softmax(dim=1))\ncriterion = nn.CrossEntropyLoss()\n"
STEP = "def step(model, criterion, x, y):\n    return criterion(model(x), y)\n"
READS = TORCH + (
    "class Model:\n    def __init__(self):\n        self.net = nn.Linear(8, 1)\n        {made}\n"
    "    def train(self, x, y):\n        return F.binary_cross_entropy_with_logits(self.net(x), y)\n"
    "    def predict(self, x):\n        return {reads}\n"
)
MANUAL = "-torch.log(torch.softmax(z, 1)).gather(1, y).mean()"
TRANSFORMERS = (
    "from transformers import AutoModelForSequenceClassification, Trainer\n"
    "model = AutoModelForSequenceClassification.from_pretrained('m', num_labels=5, "
    "problem_type='multi_label_classification')\n"
)
SKORCH = TORCH + (
    "import skorch\nclass Head(nn.Module):\n    def __init__(self, width):\n        super().__init__()\n"
    "        self.fc = nn.Linear(width, 3)\n    def forward(self, X):\n        return self.fc(X).softmax(-1)\n"
)
SEGMENTER = TORCH + "import segmentation_models_pytorch as smp\n"
JAX = "import haiku as hk\nimport jax\nimport jax.numpy as jnp\n"
FLAX = (
    "import jax\nimport jax.numpy as jnp\nimport optax\nfrom flax import linen as nn\n"
    "from flax.training import train_state\n"
    "class TrainState(train_state.TrainState):\n    batch_stats: dict\n"
    "class Net(nn.Module):\n    @nn.compact\n    def __call__(self, x):\n        return nn.softmax(nn.Dense(3)(x))\n"
    "net = Net()\n"
    "state = TrainState.create(apply_fn=net.apply, params=p, batch_stats=b, tx=optax.sgd(1))\n"
)

#: name -> (program, the rules that find something in it)
PROGRAMS: dict[str, tuple[str, str]] = {
    # a layer that a loss on logits trains, read elsewhere
    "a threshold in another method": (
        READS.format(made="pass", reads="self.net(x) > 0.5"),
        "FL108",
    ),
    "the network is made by the method that trains it": (
        READS.replace("__init__", "build").format(made="pass", reads="self.net(x) > 0.5"),
        "FL108",
    ),
    "what several batches gave": (
        READS.format(made="pass", reads="torch.cat([self.net(b) for b in x], 0) > 0.5"),
        "FL108",
    ),
    "a threshold for logits": (READS.format(made="pass", reads="self.net(x) > 0"), ""),
    "another layer is read": (READS.format(made="self.other = nn.Linear(8, 1)", reads="self.other(x) > 0.5"), ""),
    "another loss trains the layer, too": (
        READS.format(made="self.mse = nn.MSELoss()", reads="self.mse(self.net(x), x), self.net(x) > 0.5"),
        "",
    ),
    "another object of the class": (
        TORCH + "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.fc = nn.Linear(8, 1)\n    def forward(self, x):\n        return self.fc(x)\n"
        "one, other = Net(), Net()\nF.binary_cross_entropy_with_logits(one(x), y)\nprint(other(x) > 0.5)\n",
        "",
    ),
    # the module's own model and loss, by name and use
    "a step that nobody calls": (NET + STEP, "FL101"),
    "a model that is passed on by its name": (
        NET
        + STEP
        + "def fit(model, criterion, data):\n    for x, y in data:\n        yield step(model, criterion, x, y)\n",
        "FL101",
    ),
    "a net that is moved stays the net": (NET + "model = model.to('cuda')\n" + STEP, "FL101"),
    "a trainer that nobody makes": (
        NET + "class Trainer:\n    def __init__(self, model, criterion):\n"
        "        self.net, self.loss = model, criterion\n"
        "    def step(self, x, y):\n        return self.loss(self.net(x), y)\n",
        "FL101",
    ),
    "a state that nobody hands over": (
        FLAX + "def step(state, x, y):\n    def loss(p):\n        z = state.apply_fn(p, x)\n"
        "        return optax.softmax_cross_entropy(z, y).mean()\n    return jax.grad(loss)(state.params)\n",
        "FL101",
    ),
    "a step that somebody calls with another": (NET + STEP + "step(nn.Linear(8, 3), criterion, 1, 2)\n", ""),
    "a teacher beside the model": (NET + "teacher = nn.Linear(8, 3)\n" + STEP, ""),
    "two models in a list": (NET + "others = [nn.Linear(8, 3), nn.Linear(8, 3)]\n" + STEP, ""),
    "a name that gets a second value": (NET + "model = nn.Sequential(model, nn.Identity())\n" + STEP, ""),
    "a parameter by another name": (NET + STEP.replace("model", "head"), ""),
    "a parameter that isn't called": (NET + "def step(model, y):\n    return F.cross_entropy(model, y)\n", ""),
    "two losses": (NET + "other = nn.NLLLoss()\n" + STEP, ""),
    "a parameter that says which class it is of": (
        SKORCH + "def step(net: Head, x, y):\n    return F.cross_entropy(net(x), y)\n",
        "FL101",
    ),
    "a parameter of a class that others derive from": (
        SKORCH + "class Other(Head):\n    def forward(self, X):\n        return self.fc(X)\n"
        "class Third(Head):\n    pass\ndef step(net: Head, x, y):\n    return F.cross_entropy(net(x), y)\n",
        "",
    ),
    # haiku and lax
    "a pair of functions of haiku's": (
        JAX + "init, apply = hk.without_apply_rng(hk.transform(lambda x: jax.nn.softmax(hk.Linear(3)(x))))\n"
        "def loss(p, x, y):\n    return -(y * jnp.log(apply(p, x))).sum()\n",
        "FL201",
    ),
    "a scan": (
        JAX + "def loss(w, xs, ys):\n    _, p = jax.lax.scan(lambda c, x: (c, jax.nn.softmax(x @ w)), 0, xs)\n"
        "    return -(ys * jnp.log(p)).sum()\n",
        "FL201",
    ),
    "a method by its name": (
        FLAX.replace("@nn.compact\n    def __call__", "@nn.compact\n    def probs")
        + "def loss(p, x, y):\n    return optax.softmax_cross_entropy(net.apply(p, x, method='probs'), y).mean()\n",
        "FL101",
    ),
    # flags
    "the other way of a flag": (
        TORCH
        + f"def loss(z, y, fused=True):\n    if fused:\n        return F.cross_entropy(z, y)\n    return {MANUAL}\n",
        "FL201",
    ),
    "a text that is asked for": (
        TORCH + "def loss(z, y, kind='fused'):\n    p = torch.softmax(z, 1) if kind == 'own' else None\n"
        "    return -(y * torch.log(p)).sum(1).mean()\n",
        "FL201",
    ),
    "a loss and what it reads, on one way of two flags": (
        TORCH + "class Model(nn.Module):\n    def __init__(self, n=-1, mode='mse'):\n        super().__init__()\n"
        "        self.n, self.mode = n, mode\n    def forward(self, z, y):\n        if self.n == -1:\n"
        "            return z\n        if self.mode == 'mse':\n            return F.mse_loss(z, y)\n"
        "        return F.cross_entropy(torch.softmax(z, 1), y)\n",
        "FL101",
    ),
    "what a flag asks for, in a method that may not be meant with it": (
        TORCH + "class Model(nn.Module):\n    def __init__(self, probs=False):\n        super().__init__()\n"
        "        self.probs = probs\n    def forward(self, z):\n"
        "        return torch.softmax(z, 1) if self.probs else z\n"
        "    def loss(self, z, y):\n        return F.cross_entropy(self(z), y)\n",
        "",
    ),
    "a flag of a class": (
        TORCH + "class Loss(nn.Module):\n    def __init__(self, logits=False):\n        super().__init__()\n"
        "        self.logits = logits\n    def forward(self, p, y):\n        if self.logits:\n"
        "            p = torch.softmax(p, 1)\n        return -(y * torch.log(p)).sum(1).mean()\n",
        "FL201",
    ),
    "flags that belong together": (
        TORCH + "fc = nn.Linear(8, 3)\ndef step(x, y, probs=False, logits=True):\n"
        "    out = torch.softmax(fc(x), 1) if probs else fc(x)\n"
        "    return F.cross_entropy(out, y) if logits else -torch.log_softmax(out, 1).sum()\n",
        "",
    ),
    "a flag of a model, for use after training": (
        TORCH + "class Net(nn.Module):\n    def __init__(self, probs=False):\n        super().__init__()\n"
        "        self.fc, self.probs = nn.Linear(8, 3), probs\n    def forward(self, x):\n"
        "        return torch.softmax(self.fc(x), 1) if self.probs else self.fc(x)\n"
        "    def loss(self, x, y):\n        return F.cross_entropy(self(x), y)\n",
        "",
    ),
    # lambdas, and functions within functions
    "a lambda": (TORCH + "softplus = lambda x: torch.log(1 + torch.exp(x))\n", "FL206"),
    "lambdas in a dictionary": (TORCH + f"losses = {{'own': lambda z, y: {MANUAL}}}\n", "FL201"),
    "a loss that a function makes": (
        TORCH + "def make(w):\n    def loss(z, y):\n        return -(w * y * torch.log(torch.softmax(z, 1))).sum()\n"
        "    return loss\n",
        "FL201",
    ),
    "a loss that a method makes": (
        TORCH + "class Losses:\n    def __init__(self):\n        self.t = 2\n    def make(self):\n"
        f"        return lambda z, y: {MANUAL.replace('z,', 'z / self.t,')}\n",
        "FL201",
    ),
    "a stable lambda": (TORCH + "softplus = lambda x: torch.log1p(torch.exp(-x.abs()))\n", ""),
    # training loops that aren't at hand
    "a foreign trainer": (NET + "from helpers import Trainer\nTrainer(model=model, criterion=criterion)\n", "FL101"),
    "a foreign method": (NET + "import helpers\nhelpers.make_runner().train(model, loss_fn=criterion)\n", "FL101"),
    "a foreign function beside the file": (NET + "from .loops import train\ntrain(model, criterion, 3)\n", "FL101"),
    "a foreign trainer of a class": (
        SKORCH.replace("width)", "width=2)") + "from helpers import fit\nfit(Head, nn.CrossEntropyLoss())\n",
        "FL101",
    ),
    "two models for a foreign trainer": (
        NET + "from helpers import train\ntrain(nn.Linear(8, 3), model, criterion)\n",
        "",
    ),
    "models in a list for a foreign trainer": (
        NET + "from helpers import train\ntrain(model, [model, nn.Linear(8, 3)], criterion)\n",
        "",
    ),
    "two losses for a foreign trainer": (
        NET + "from helpers import train\ntrain(model, criterion, nn.KLDivLoss())\n",
        "",
    ),
    "a foreign function that doesn't train": (NET + "from helpers import report\nreport(model, criterion)\n", ""),
    "a model in a foreign wrapper": (
        NET + "from helpers import train, without_softmax\ntrain(without_softmax(model), criterion)\n",
        "",
    ),
    "skorch's base class": (
        SKORCH + "skorch.NeuralNet(Head, criterion=nn.CrossEntropyLoss, module__width=3)\n",
        "FL101",
    ),
    "a subclass of skorch's": (
        SKORCH + "class Own(skorch.NeuralNet):\n    pass\nOwn(Head(3), criterion=nn.CrossEntropyLoss)\n",
        "FL101",
    ),
    "skorch's classifier takes the log": (
        SKORCH + "skorch.NeuralNetClassifier(Head(3), criterion=nn.NLLLoss)\n",
        "",
    ),
    # transformers
    "metrics of logits": (
        TRANSFORMERS + "def measure(p):\n    z, y = p\n    return ((z > 0.5) == y).mean()\n"
        "Trainer(model=model, compute_metrics=measure)\n",
        "FL108",
    ),
    "metrics of prepared logits": (
        "import torch\n" + TRANSFORMERS + "def measure(p):\n    return ((p.predictions > 0.5) == p.label_ids).mean()\n"
        "Trainer(model, compute_metrics=measure, preprocess_logits_for_metrics=lambda z, y: torch.sigmoid(z))\n",
        "",
    ),
    "metrics of a regression": (
        TRANSFORMERS.replace("multi_label_classification", "regression")
        + "def measure(p):\n    z, y = p\n    return ((z > 0.5) == y).mean()\n"
        "Trainer(model, compute_metrics=measure)\n",
        "",
    ),
    "a loss of logits by name": (
        TORCH + TRANSFORMERS + "for x, y in data:\n    F.nll_loss(model(x).logits, y)\n",
        "FL103",
    ),
    "a loss of a trainer's own": (
        TORCH + TRANSFORMERS + "class Own(Trainer):\n    def compute_loss(self, model, inputs):\n"
        "        z = model(**inputs).get('logits')\n        return F.binary_cross_entropy(z, inputs.pop('labels'))\n"
        "Own(model=model).train()\n",
        "FL102",
    ),
    # segmentation networks
    "an activation by its name": (
        SEGMENTER + "F.cross_entropy(smp.Unet('r', classes=3, activation='softmax2d')(x), y)\n",
        "FL101",
    ),
    "no activation": (
        SEGMENTER + "F.cross_entropy(smp.Unet('r', classes=3)(x), y)\n",
        "",
    ),
    "a lambda that reads a name which is bound anew": (
        TORCH + "net = nn.Linear(8, 5)\ndef step(x, y):\n    out = net(x)\n"
        "    minimize(lambda: F.cross_entropy(out, y))\n    out = out.softmax(1)\n    return out\n",
        "",
    ),
    "a head within the heads": (
        TORCH + "from torchvision import models\nm = models.vit_b_16()\n"
        "m.heads.head = nn.Sequential(nn.Linear(8, 3), nn.Softmax(1))\nF.cross_entropy(m(x), y)\n",
        "FL101",
    ),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_is_found_in_it(tmp_path: Path, name: str) -> None:
    program, rules = PROGRAMS[name]
    path = tmp_path / "program.py"
    path.write_text(program)
    analysis = analyse(str(path), Project())
    assert not analysis.notes
    assert {f.rule.code for f in analysis.findings} == set(rules.split()), analysis.findings


def test_what_only_an_assertion_calls_is_called_by_nobody() -> None:
    program = NET + STEP + "assert step(nn.Linear(8, 3), criterion, 1, 2) > 0\n"
    seen = sightings(SourceFile("program.py", program), Project(), Uses())
    assert any(s.node.op == "xent_logits" and s.node.args[0].op == "softmax" for s in seen)


OVERRIDDEN = TORCH + (
    "class Base:\n    def __init__(self, module):\n        self.criterion = nn.NLLLoss()\n"
    "    def get_loss(self, y_pred, y):\n        return self.criterion(y_pred, y)\n"
    "class Derived(Base):\n    def get_loss(self, y_pred, y):\n        return super().get_loss({handed}, y)\n"
    "Derived(nn.Sequential(nn.Linear(8, 4), nn.Softmax(1)))\n"
)


@pytest.mark.parametrize(("handed", "rule"), [("torch.log(y_pred)", "FL201"), ("y_pred", "FL103")])
def test_a_method_that_a_subclass_writes_anew_is_called_by_that_alone(tmp_path: Path, handed: str, rule: str) -> None:
    path = tmp_path / "program.py"
    path.write_text(OVERRIDDEN.format(handed=handed))
    assert [f.rule.code for f in analyse(str(path), Project()).findings] == [rule]
