"""Python's own semantics, as the front end follows them: for each program, the kinds that its losses are handed.

Each case holds one piece of the interpreter: without it, the loss would be handed something else.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from finallayer.expr import UNREAD
from finallayer.kinds import Kind
from finallayer.source import Project, sightings
from finallayer.source.files import SourceFile

from .kinds import LOSSES, kinds_at_losses

TORCH = """import torch
from torch import nn
import torch.nn.functional as F
fc = nn.Linear(3, 3)
z = fc(x)
p = F.softmax(z, 1)
"""
SEARCH = (
    "class Search:\n    def __init__(self, net):\n        self.net = net\n"
    "    def compile(self):\n        self.net.compile(loss='categorical_crossentropy')\n"
    "    def step(self, x, y):\n        self.net.set_weights(y)\n        {}\n"
    "Search(keras.Sequential([layers.Dense(4, activation='softmax')])).compile()\n"
)
KERAS = "import keras\nfrom keras import layers\ninputs = keras.Input((8,))\n"
JAX = "import jax\nimport optax\nimport jax.numpy as jnp\nz = jnp.dot(x, w)\np = jax.nn.softmax(z)\n"

#: name -> (what was imported and made before, the program, the kinds that its losses are handed)
CASES: dict[str, tuple[str, str, list[Kind]]] = {
    # branches
    "a loop goes on behind a return on a condition and a continue": (
        TORCH,
        "def f(outs):\n    for out in outs:\n        if a:\n            return 0\n"
        "        if b:\n            F.nll_loss(z, y)\n"
        "        F.cross_entropy(out, y)\n        continue\nf((z, p))\n",
        [Kind.LOGITS, Kind.LOGITS, Kind.LOGITS, Kind.PROBS],
    ),
    "branches that disagree": (
        TORCH,
        "if a:\n    out = p\nelse:\n    out = z\nF.cross_entropy(out, y)\n",
        [Kind.UNKNOWN, Kind.LOGITS, Kind.PROBS],
    ),
    "the second branch starts from what was before the first": (
        TORCH,
        "out = z\nif a:\n    out = p\nelse:\n    F.cross_entropy(out, y)\n",
        [Kind.LOGITS],
    ),
    "a branch that returns leaves nothing behind": (
        TORCH,
        "def f(out):\n    if a:\n        out = F.softmax(out, 1)\n        return None\n"
        "    return F.cross_entropy(out, y)\nf(z)\n",
        [Kind.LOGITS],
    ),
    "code behind a return isn't run": (
        TORCH,
        "def f(out):\n    return out\n    F.cross_entropy(out, y)\nf(z)\n",
        [],
    ),
    "layers that only one branch adds": (
        TORCH,
        "found = [fc]\nif a:\n    found.append(nn.Softmax(1))\nF.cross_entropy(nn.Sequential(*found)(x), y)\n",
        [Kind.UNKNOWN, Kind.LOGITS, Kind.PROBS],
    ),
    "an item that only one branch puts first": (
        TORCH,
        "outs = [z]\nif a:\n    outs.insert(0, p)\nF.cross_entropy(outs[0], y)\n",
        [Kind.UNKNOWN],
    ),
    "an exception's handler changes nothing where all went well": (
        TORCH,
        "out = z\ntry:\n    load()\nexcept OSError:\n    out = p\nF.cross_entropy(out, y)\n",
        [Kind.LOGITS],
    ),
    "a match that may match nothing": (
        TORCH,
        "out = z\nmatch mode:\n    case 'a':\n        out = p\nF.cross_entropy(out, y)\n",
        [Kind.UNKNOWN, Kind.LOGITS, Kind.PROBS],
    ),
    "the or of values": (TORCH, "F.cross_entropy(given or p, y)\n", [Kind.UNKNOWN]),
    "an attribute of a class that is None is no method": (
        TORCH,
        "class Net:\n    head = None\n    def loss(self, y):\n        if self.head is None:\n"
        "            F.cross_entropy(p, y)\n        else:\n            F.nll_loss(z, y)\nNet().loss(y)\n",
        [Kind.PROBS],
    ),
    # statements that change a value
    "a method that works in place": (TORCH, "p.log_()\nF.nll_loss(p, y)\n", [Kind.LOG_PROBS]),
    "an augmented assignment": (TORCH, "p *= p\nF.cross_entropy(p, y)\n", [Kind.UNKNOWN]),
    "global": (
        TORCH,
        "out = z\ndef f():\n    global out\n    out = p\nf()\nF.cross_entropy(out, y)\n",
        [Kind.PROBS],
    ),
    "nonlocal": (
        TORCH,
        "def outer():\n    out = z\n    def inner():\n        nonlocal out\n        out = p\n"
        "    inner()\n    F.cross_entropy(out, y)\nouter()\n",
        [Kind.PROBS],
    ),
    "a starred target": (
        TORCH,
        "*rest, last = z, z, p\nF.cross_entropy(last, y)\nF.nll_loss(rest[1], y)\n",
        [Kind.PROBS, Kind.LOGITS],
    ),
    # arguments
    "a keyword argument": (TORCH, "def f(a, b):\n    F.cross_entropy(b, y)\nf(b=p, a=z)\n", [Kind.PROBS]),
    "a default": (TORCH, "def f(out=p):\n    F.cross_entropy(out, y)\nf()\n", [Kind.PROBS]),
    "a default that a call with unknown arguments may override": (
        TORCH,
        "def f(out=p):\n    F.cross_entropy(out, y)\nf(**options)\n",
        [Kind.UNKNOWN],
    ),
    "a keyword-only argument and its default": (
        TORCH,
        "def f(*, out, other=p):\n    F.cross_entropy(out, y)\n    F.cross_entropy(other, y)\nf(out=z)\n",
        [Kind.LOGITS, Kind.PROBS],
    ),
    "the rest of the arguments": (
        TORCH,
        "def f(a, *rest, **named):\n    F.cross_entropy(rest[0], y)\n    F.nll_loss(named['b'], y)\nf(z, p, b=p)\n",
        [Kind.PROBS, Kind.PROBS],
    ),
    "arguments spread from a tuple and a dictionary": (
        TORCH,
        "def f(a, b, c):\n    F.cross_entropy(b, y)\n    F.nll_loss(c, y)\nf(*(z, p), **{'c': p})\n",
        [Kind.PROBS, Kind.PROBS],
    ),
    "a partial's own arguments come first": (
        TORCH,
        "import functools\nloss = functools.partial(F.cross_entropy, p)\nloss(y)\n",
        [Kind.PROBS],
    ),
    "None as a default may be anything when nobody calls": (
        TORCH,
        "def f(labels=None):\n    if labels is not None:\n        F.cross_entropy(p, labels)\n",
        [Kind.PROBS],
    ),
    "a function that nobody calls": (TORCH, "def f(x):\n    F.cross_entropy(p, y)\n", [Kind.PROBS]),
    # loops and sequences
    "a loop over layers": (
        TORCH,
        "out = x\nfor layer in [fc, nn.Softmax(1)]:\n    out = layer(out)\nF.cross_entropy(out, y)\n",
        [Kind.PROBS],
    ),
    "a list that grows nobody knows how often": (
        TORCH,
        "found = []\nwhile a:\n    found.append(nn.Softmax(1))\n    found.append(fc)\nF.nll_loss(found[0](x), y)\n",
        [Kind.UNKNOWN],
    ),
    "an index from the end": (TORCH, "outs = (z, p, z)\nF.cross_entropy(outs[-2], y)\n", [Kind.PROBS]),
    "an item stored at an unknown place": (
        TORCH,
        "outs = [z, z]\nouts[k] = p\nF.cross_entropy(outs[0], y)\n",
        [Kind.UNKNOWN],
    ),
    "insert": (TORCH, "outs = [z]\nouts.insert(0, p)\nF.cross_entropy(outs[0], y)\n", [Kind.PROBS]),
    "a comprehension's condition": (
        TORCH,
        "kept = [out for name, out in (('a', z), ('b', p)) if name == 'b']\nF.cross_entropy(kept[0], y)\n",
        [Kind.PROBS],
    ),
    "a dictionary of functions": (
        TORCH,
        "heads = {'raw': lambda t: t, 'soft': lambda t: F.softmax(t, 1)}\nF.cross_entropy(heads['soft'](z), y)\n",
        [Kind.PROBS],
    ),
    "a generator gives what it yields, one by one": (
        TORCH,
        "def f():\n    yield p\n    return z\nF.cross_entropy(f(), y)\n",
        [Kind.UNKNOWN],
    ),
    "a function that calls itself": (
        TORCH,
        "def f(out):\n    return f(out) if a else F.softmax(out, 1)\nF.cross_entropy(f(p), y)\n",
        [Kind.UNKNOWN, Kind.PROBS, Kind.UNKNOWN],
    ),
    # classes
    "super, past an overridden method": (
        TORCH,
        "class A:\n    def out(self):\n        return p\n"
        "class B(A):\n    def out(self):\n        return super().out()\n"
        "F.cross_entropy(B().out(), y)\n",
        [Kind.PROBS],
    ),
    "a property": (
        TORCH,
        "class A:\n    @property\n    def out(self):\n        return p\nF.cross_entropy(A().out, y)\n",
        [Kind.PROBS],
    ),
    "static and class methods": (
        TORCH,
        "class A:\n    @staticmethod\n    def one(out):\n        return out\n    @classmethod\n    def two(cls, out):\n"
        "        return out\nF.cross_entropy(A().one(p), y)\nF.cross_entropy(A.two(p), y)\n",
        [Kind.PROBS, Kind.PROBS],
    ),
    "a dataclass's fields": (
        TORCH,
        "from dataclasses import dataclass\n@dataclass\nclass A:\n    first: object\n    out: object\n"
        "F.cross_entropy(A(z, p).out, y)\n",
        [Kind.PROBS],
    ),
    "a hook that runs after construction": (
        TORCH,
        "class A:\n    def __post_init__(self):\n        self.out = p\nF.cross_entropy(A().out, y)\n",
        [Kind.PROBS],
    ),
    "a subclass of Sequential": (
        TORCH,
        "class Net(nn.Sequential):\n    pass\nF.cross_entropy(Net(fc, nn.Softmax(1))(x), y)\n",
        [Kind.PROBS],
    ),
    # losses and models
    "one of two losses": (
        TORCH,
        "loss = nn.CrossEntropyLoss() if a else nn.NLLLoss()\nloss(p, y)\n",
        [Kind.PROBS, Kind.PROBS],
    ),
    "a foreign function that hands the model on": (
        TORCH,
        "import accelerate\nnet, opt = accelerate.Accelerator.prepare(nn.Sequential(fc, nn.Softmax(1)), opt)\n"
        "F.cross_entropy(net(x), y)\n",
        [Kind.PROBS],
    ),
    "the last layer of a zoo's classifier": (
        TORCH,
        "from torchvision import models\nnet = models.vgg16()\n"
        "net.classifier[6] = nn.Sequential(fc, nn.Softmax(1))\nF.cross_entropy(net(x), y)\n",
        [Kind.PROBS],
    ),
    "an activation chosen by a flag": (
        KERAS,
        "out = layers.Dense(3, activation='softmax' if a else layers.Softmax())(inputs)\n"
        "keras.Model(inputs, out).compile('adam', 'categorical_crossentropy')\n",
        [Kind.PROBS],
    ),
    "from_logits that nobody knows": (
        KERAS,
        "keras.losses.CategoricalCrossentropy(from_logits=flag)(y, layers.Dense(3)(inputs))\n",
        [],
    ),
    "losses by the names of the layers, in any order": (
        KERAS,
        "a, b = layers.Dense(3, 'softmax', name='a')(inputs), layers.Dense(3, name='b')(inputs)\n"
        "keras.Model(inputs, [a, b]).compile('adam', {'b': 'mse', 'a': 'categorical_crossentropy'})\n",
        [Kind.PROBS],
    ),
    "losses of outputs whose names nobody knows": (
        KERAS,
        "a, b = layers.Dense(3, 'softmax')(inputs), layers.Dense(3)(inputs)\n"
        "keras.Model(inputs, [a, b]).compile('adam', {'b': 'categorical_crossentropy', 'a': 'mse'})\n",
        [],
    ),
    "losses in the order of the outputs": (
        KERAS,
        "a, b = layers.Dense(3)(inputs), layers.Dense(3, 'softmax')(inputs)\n"
        "keras.Model(inputs, [a, b]).compile('adam', ['mse', 'categorical_crossentropy'])\n",
        [Kind.PROBS],
    ),
    "a loss method that Keras itself calls": (
        KERAS,
        "class Net(keras.Model):\n    def call(self, x):\n        return layers.Dense(3)(x)\n"
        "    def compute_loss(self, x, y, y_pred, sample_weight):\n"
        "        return keras.losses.categorical_crossentropy(y, y_pred)\n",
        [Kind.LOGITS],
    ),
    "logits before labels, as before TensorFlow 1.0": (
        "import tensorflow as tf\n",
        "p = tf.nn.softmax(tf.layers.dense(x, 3))\ntf.nn.softmax_cross_entropy_with_logits(p, y)\n",
        [Kind.PROBS],
    ),
    # functions of functions
    "value_and_grad with more results": (
        JAX,
        "def f(w):\n    return 0.0, p\n(loss, out), grads = jax.value_and_grad(f, has_aux=True)(w)\n"
        "optax.softmax_cross_entropy(out, y)\n",
        [Kind.PROBS],
    ),
    "grad with more results": (
        JAX,
        "def f(w):\n    return 0.0, p\ngrads, out = jax.grad(f, has_aux=True)(w)\n"
        "optax.softmax_cross_entropy(out, y)\n",
        [Kind.PROBS],
    ),
    "grad gives a gradient": (
        JAX,
        "optax.softmax_cross_entropy(jax.grad(lambda w: p)(w), y)\n",
        [Kind.UNKNOWN],
    ),
    "flax with state that changes": (
        JAX,
        "from flax import linen as nn\nclass Net(nn.Module):\n"
        "    def __call__(self, x):\n        return nn.softmax(x)\n"
        "out, state = Net().apply(v, z, mutable=['batch_stats'])\noptax.softmax_cross_entropy(out, y)\n"
        "optax.softmax_cross_entropy(state, y)\n",
        [Kind.PROBS, Kind.UNKNOWN],
    ),
    "haiku with and without a random key": (
        JAX,
        "import haiku as hk\nnet = hk.transform(lambda t: t)\n"
        "optax.softmax_cross_entropy(net.apply(v, key, p), y)\n"
        "optax.softmax_cross_entropy(hk.without_apply_rng(net).apply(v, p), y)\n",
        [Kind.PROBS, Kind.PROBS],
    ),
    # Keras' own ways
    "a model of a class without call, made of inputs and outputs": (
        KERAS,
        "class Net(keras.Model):\n    def train_step(self, data):\n        x, y = data\n"
        "        p = self(x, training=True)\n"
        "        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)(y, p)\n"
        "net = Net(inputs, layers.Dense(4, activation='softmax')(inputs))\n",
        [Kind.PROBS],
    ),
    "a model that hands its outputs to the base class": (
        KERAS,
        "class Net(keras.Model):\n    def __init__(self, units):\n"
        "        head = layers.Dense(units, activation='softmax')\n"
        "        super().__init__(inputs=inputs, outputs=head(inputs))\n"
        "Net(4).compile(loss=keras.losses.CategoricalCrossentropy(from_logits=True))\n",
        [Kind.PROBS],
    ),
    "a model whose weights are set, and which is asked for predictions alone": (
        KERAS,
        SEARCH.format("return self.net.predict(x)"),
        [],
    ),
    "a model whose weights are set, and which is fitted, too": (
        KERAS,
        SEARCH.format("return self.net.predict(x), self.net.fit(x, y)"),
        [Kind.PROBS],
    ),
    "weights that build makes": (
        KERAS,
        "class Head(layers.Layer):\n    def build(self, input_shape):\n        self.w = self.add_weight(shape=(8, 4))\n"
        "    def call(self, x):\n        return keras.ops.matmul(x, self.w)\n"
        "keras.Sequential([Head()]).compile(loss=keras.losses.CategoricalCrossentropy(from_logits=True))\n",
        [Kind.LOGITS],
    ),
    "a layer taken off again": (
        KERAS,
        "net = keras.Sequential([layers.Dense(4), layers.Softmax()])\nnet.pop()\n"
        "net.compile(loss=keras.losses.CategoricalCrossentropy(from_logits=True))\n",
        [Kind.LOGITS],
    ),
    # dictionaries and builtins
    "popping takes the item away": (
        TORCH,
        "outs = {'a': z, 'b': p}\nouts.pop('b')\nfor out in outs.values():\n    F.cross_entropy(out, y)\n",
        [Kind.LOGITS],
    ),
    "popping on one branch only": (
        TORCH,
        "outs = {'a': z}\nif a:\n    outs.pop('a')\nF.cross_entropy(outs['a'], y)\n",
        [Kind.LOGITS],
    ),
    "popping on every branch": (
        TORCH,
        "outs = {'a': p}\nif a:\n    outs.pop('a')\nelse:\n    outs.pop('a')\nF.cross_entropy(outs.get('a', z), y)\n",
        [Kind.LOGITS],
    ),
    "setdefault stores": (
        TORCH,
        "outs = {}\nouts.setdefault('a', p)\nouts.setdefault('a', z)\nF.cross_entropy(outs['a'], y)\n",
        [Kind.PROBS],
    ),
    "a map over sequences, one of which nobody knows": (
        TORCH,
        "for out in map(lambda row, head: head(row), rows, [fc]):\n    F.cross_entropy(out, y)\n",
        [Kind.LOGITS],
    ),
    "a random choice among layers": (
        TORCH,
        "import random\nF.cross_entropy(random.choice([nn.Softmax(1), nn.Softmax(-1)])(z), y)\n",
        [Kind.PROBS],
    ),
    # what isn't at hand
    "a softmax of a module that isn't at hand": (
        TORCH,
        "from .heads import softmax\nF.cross_entropy(softmax(z), y)\n",
        [Kind.PROBS],
    ),
    "a softmax among all names of a module that isn't at hand": (
        TORCH,
        "from heads import *\nF.cross_entropy(softmax(z), y)\n",
        [Kind.PROBS],
    ),
    "a name that nobody imports": (TORCH, "F.cross_entropy(softmax(z), y)\n", [Kind.UNKNOWN]),
    # classes that nobody instantiates
    "a method that only an heir completes": (
        TORCH,
        "class Base:\n    def step(self, x, y):\n        self.prepare()\n        return self.loss(self.head(x), y)\n"
        "    def prepare(self):\n        raise NotImplementedError\n"
        "class Heir(Base):\n    def prepare(self):\n        self.head, self.loss = nn.Softmax(1), F.cross_entropy\n",
        [Kind.PROBS],
    ),
    "sonnet": (
        "import tensorflow as tf\nimport sonnet as snt\n",
        "class Net(snt.AbstractModule):\n    def __init__(self, sizes):\n        super().__init__()\n"
        "        self.layers = [snt.Linear(output_size=s) for s in sizes]\n"
        "    def _build(self, x):\n        for layer in self.layers[:-1]:\n            x = tf.nn.relu(layer(x))\n"
        "        return tf.nn.softmax(self.layers[-1](x))\n"
        "tf.nn.softmax_cross_entropy_with_logits(logits=Net([20, 10])(x), labels=y)\n",
        [Kind.PROBS],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_kinds_that_the_losses_are_handed(name: str) -> None:
    before, program, kinds = CASES[name]
    assert kinds_at_losses(before + program) == kinds


@pytest.mark.parametrize(
    "program",
    [
        "with torch.no_grad():\n    F.cross_entropy(p, y)\n",
        "@torch.no_grad()\ndef f():\n    F.cross_entropy(p, y)\nf()\n",
        "@torch.no_grad\ndef f():\n    F.cross_entropy(p, y)\nf()\n",
        "-F.cross_entropy(p, y).mean().item()\n",
    ],
)
def test_what_runs_without_a_gradient_says_so(program: str) -> None:
    found = sightings(SourceFile("program.py", TORCH + program + "F.nll_loss(p, y)\n"), Project())
    assert [s.training for s in found if s.node.op in LOSSES] == [False, True]


def test_a_step_that_gives_its_loss_to_be_read_trains() -> None:
    program = "def step():\n    loss = F.cross_entropy(p, y)\n    loss.backward()\n    return loss\nstep().item()\n"
    found = sightings(SourceFile("program.py", TORCH + program), Project())
    assert [s.training for s in found if s.node.op in LOSSES] == [True]


def test_a_key_that_may_be_missing_decides_nothing() -> None:
    program = (
        "index = {'<unk>': 0}\nfor word in words:\n"
        "    if index.get(word) is None:\n        index[word] = len(index)\n"
        "F.cross_entropy(nn.Linear(8, len(index))(x), y)\n"
    )
    (loss,) = [s.node for s in sightings(SourceFile("program.py", TORCH + program), Project()) if s.node.op in LOSSES]
    assert not isinstance(loss.args[0].attrs["units"], int)


def test_a_square_takes_one_argument() -> None:
    program = "g = torch.exp(-torch.square(x) / width)\ng / g.sum(-1, keepdim=True)\n"
    (kernel,) = [
        s.node
        for s in sightings(SourceFile("program.py", TORCH + program), Project())
        if s.node.op == "softmax" and s.node.attrs.get("naive")
    ]
    assert kernel.args[0].args[0].args[0].op == "pow"


def test_of_two_tensors_the_larger_is_a_clip() -> None:
    program = "eps = torch.tensor(1e-6)\ntorch.log(torch.max(p, eps))\ntorch.log(torch.max(p, dim))\n"
    found = sightings(SourceFile("program.py", TORCH + program), Project())
    assert [s.node.args[0].op for s in found if s.node.op == "log"] == ["clip", "max"]


#: what is done with ``log(p...)`` -> the marks that its sighting bears
PURPOSES = {
    "-(p * torch.log(p)).sum()": {"self_weighted"},
    "torch.einsum('bc,bc->b', p, torch.log(p))": {"self_weighted"},
    "(p * (torch.log(p) - F.log_softmax(z, 1))).sum()": {"self_weighted"},  # a divergence from a fixed p
    "q = torch.log(p)\nif a:\n    q = q.to(x)\n(q * p).sum()": {"self_weighted"},
    "torch.exp(torch.log(p[0, a]) - old)": {"self_weighted"},  # a ratio of two policies
    "-(torch.log(p.gather(1, a)) * advantage.detach()).mean()": set(),  # a policy's
    "-torch.log(p.gather(1, a)) * (p.detach() / old).clamp(max=1) * gain": {"self_weighted"},
    "-torch.log(p.gather(1, y)) * (1 - p.gather(1, y).detach()) ** 2": set(),  # a focal loss
    "(-torch.log(p.gather(1, y))).mean().item() * count.item()": set(),  # a running average
    "-torch.log(p.gather(1, y)) * mask": set(),
    "-(y * torch.log(p)).sum(1)": set(),
    "-weight * p.detach() * torch.log(p) * gain": {"self_weighted"},  # an expectation over the actions
    "-torch.log(p) * (p / old).detach() * gain": {"self_weighted"},
    "torch.softmax(x + torch.log(p), 1)": {"self_weighted"},  # as small as p
    "F.log_softmax(x + torch.log(p), 1)": set(),
    "torch.xlogy(p, p).sum()": {"no_loss", "self_weighted"},
    "torch.where(z > 0, torch.log(p), torch.log1p(-p))": {"no_loss"},
    "torch.log(p)": set(),
}


def purposes_of_logs(program: str) -> list[set[str]]:
    found = sightings(SourceFile("program.py", TORCH + program), Project())
    marks = [set(s.node.attrs) & {"no_loss", "self_weighted"} for s in found if s.node.op == "log"]
    return marks[:1] if all(m == marks[0] for m in marks) else marks


@pytest.mark.parametrize(("use", "marks"), PURPOSES.items())
def test_what_is_done_with_a_log_says_what_it_is_for(use: str, marks: set[str]) -> None:
    assert purposes_of_logs(use + "\n") == [marks]


def test_a_metric_knows_of_the_loss_on_the_same_output() -> None:
    program = KERAS + (
        "out = layers.Dense(1)(inputs)\nmodel = keras.Model(inputs, out)\n"
        "model.compile('adam', keras.losses.BinaryCrossentropy(from_logits=True), ['accuracy'])\n"
    )
    found = sightings(SourceFile("program.py", program), Project())
    assert [s.node.attrs.get("loss") for s in found if s.node.op == "metric"] == ["bce_logits"]


def test_a_finding_in_a_function_knows_who_called() -> None:
    program = TORCH + "def loss(out):\n    return F.cross_entropy(out, y)\nloss(p)\n"
    found = sightings(SourceFile("program.py", program), Project())
    assert [s.caller and s.caller.line for s in found if s.node.op in LOSSES] == [9]


def test_names_reach_a_program_by_every_kind_of_import(tmp_path: Path) -> None:
    package = tmp_path / "package"
    (package / "inner").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "inner" / "__init__.py").write_text("")
    (package / "heads.py").write_text(TORCH + "def soft(t):\n    return F.softmax(t, 1)\n")
    losses = [
        "from ..heads import soft as head\nF.cross_entropy(head(z), y)\n",
        "from ..heads import *\nF.cross_entropy(soft(z), y)\n",
        "from .. import heads\nF.cross_entropy(heads.soft(z), y)\n",
        "import package\nF.cross_entropy(package.heads.soft(z), y)\n",
        "import package.heads as h\nF.cross_entropy(h.soft(z), y)\n",
    ]
    for program in losses:
        found = sightings(SourceFile(str(package / "inner" / "train.py"), TORCH + program), Project())
        assert [s.node.args[0].kind for s in found if s.node.op in LOSSES] == [Kind.PROBS], program


@pytest.mark.parametrize("limits", ["np.finfo(np.float32)", "torch.finfo(torch.float32)", "jnp.finfo('float32')"])
def test_the_limits_of_a_floating_type_are_numbers(limits: str) -> None:
    program = TORCH + f"import numpy as np\nimport jax.numpy as jnp\ntorch.log(p + {limits}.eps)\n"
    found = sightings(SourceFile("program.py", program), Project())
    assert [s.node.args[0].attrs.get("eps") for s in found if s.node.op == "log"] == [2.0**-23]


@pytest.mark.parametrize(("index", "rank"), [(":, None", 3), ("0", 1), (":, -1", 1), ("..., 0", None), ("1:", 2)])
def test_an_index_adds_and_takes_axes(index: str, rank: int | None) -> None:
    program = KERAS + f"import tensorflow as tf\ntf.nn.log_softmax(layers.Dense(3)(inputs)[{index}], axis=0)\n"
    [found] = [s for s in sightings(SourceFile("program.py", program), Project()) if s.node.op == "log_softmax"]
    assert found.node.args[0].rank == rank


def test_the_epsilon_that_log_loss_adds_is_no_clip() -> None:
    program = "import tensorflow as tf\ntf.compat.v1.losses.log_loss(labels, tf.sigmoid(z), epsilon=1e-7)\n"
    found = sightings(SourceFile("program.py", program), Project())
    (loss,) = [s.node for s in found if s.node.op == "bce_probs"]
    assert loss.attrs.get("eps") is None


def test_an_expression_is_printed_the_same_whatever_the_hashes_of_strings() -> None:
    program = "import torch\nprint(torch.nn.functional.cross_entropy(torch.clamp(x, -1, 1).softmax(1), y))\n"
    code = (
        "from finallayer.source import Project, sightings\nfrom finallayer.source.files import SourceFile\n"
        f"print([str(s.node) for s in sightings(SourceFile('a.py', {program!r}), Project())])"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in "012345"
    }
    assert len(printed) == 1


def test_a_line_of_the_catalogue_may_state_an_activation() -> None:
    found = sightings(
        SourceFile("program.py", "import tensorflow as tf\ntf.nn.softmax(tf.nn.relu_layer(x, w, b))\n"), Project()
    )
    (softmax,) = [s.node for s in found]
    assert [n.op for n in softmax.walk()][:3] == ["softmax", "activation", "affine"]


def test_what_is_no_axis_is_none_that_can_be_read() -> None:
    found = sightings(SourceFile("program.py", "import torch\ntorch.softmax(x, 'rows')\n"), Project())
    assert [s.node.attrs for s in found] == [{"axis": UNREAD}]
