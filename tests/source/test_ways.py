"""Several ways through one program: what is certainly wrong on one of them is found, what is chosen together isn't.

In each program, a mark at the end of a line says which rule has an error or a warning there; there are no others.
"""

from __future__ import annotations

import re

import pytest

from finallayer.check.judge import analyse
from finallayer.findings import Severity
from finallayer.source import Project

#: One way is certainly wrong, another is right or unknown.
WRONG = {
    "branch inside forward": """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.cfg = cfg
        self.fc = nn.Linear(8, 4)
        self.out = nn.LogSoftmax(dim=1)
        self.smooth = nn.Softmax(dim=1)
    def forward(self, x):
        x = self.fc(x)
        if self.cfg.smooth:
            x = self.smooth(x)
        else:
            x = self.out(x)
        return x
def train(cfg, loader):
    net = Net(cfg)
    crit = nn.NLLLoss()
    for x, y in loader:
        crit(net(x), y).backward()  # FL103
""",
    "elif chain of classes": """
import argparse
import torch
from torch import nn
import torch.nn.functional as F


class A(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 4)
    def forward(self, x):
        return self.fc(x)


class B(A):
    def forward(self, x):
        return F.softmax(self.fc(x), dim=1)
def build(name):
    if name == "a1": return A()
    elif name == "a2": return nn.Linear(3, 4)
    elif name == "a3": return nn.Sequential(nn.Linear(3, 9), nn.Linear(9, 4))
    elif name == "a4": return nn.Sequential(nn.Linear(3, 8), nn.Linear(8, 4))
    elif name == "a5": return nn.Sequential(nn.Linear(3, 7), nn.Linear(7, 4))
    elif name == "b": return B()
    raise ValueError(name)
def main(args, loader):
    model = build(args.arch).to(args.device)
    opt = torch.optim.SGD(model.parameters(), lr=0.1)
    criterion = nn.CrossEntropyLoss().to(args.device)
    for x, y in loader:
        opt.zero_grad()
        out = model(x)
        loss = criterion(out, y)  # FL101
        loss.backward()
        opt.step()
if __name__ == "__main__":
    p = argparse.ArgumentParser()
    p.add_argument("--arch")
    p.add_argument("--device")
    main(p.parse_args(), [])
""",
    "jax head option": """
import sys
import jax, optax
import flax.linen as nn


class Net(nn.Module):
    probs: bool
    @nn.compact
    def __call__(self, x):
        x = nn.Dense(5)(x)
        if self.probs:
            return nn.softmax(x)
        return x
net = Net(probs="--probs" in sys.argv)
def loss_fn(params, x, y):
    z = net.apply(params, x)
    return optax.softmax_cross_entropy(z, y).mean()  # FL101
""",
    "keras activation option": """
import keras
from keras import layers
def build(act, n):
    inp = keras.Input((8,))
    x = layers.Dense(32, activation="relu")(inp)
    out = layers.Dense(n, activation="softmax" if act else "sigmoid")(x)
    m = keras.Model(inp, out)
    m.compile("adam", loss="categorical_crossentropy")  # FL106
    return m
""",
    "keras either loss": """
import sys
import keras
from keras import layers
model = keras.Sequential([keras.Input((8,)), layers.Dense(4)])
loss = "categorical_crossentropy" if len(sys.argv) > 1 else "sparse_categorical_crossentropy"
model.compile("adam", loss=loss)  # FL102
""",
    "keras loaded or made": """
import os
import keras
from keras import layers
if os.path.isfile("m.keras"):
    model = keras.models.load_model("m.keras")
else:
    model = keras.Sequential([keras.Input((8,)), layers.Dense(4, activation="softmax")])
model.compile("adam", loss=keras.losses.BinaryCrossentropy())  # FL106
""",
    "loss by option one wrong": """
import argparse
from torch import nn
from mydata import batches
parser = argparse.ArgumentParser()
parser.add_argument("--loss")
a = parser.parse_args()
net = nn.Sequential(nn.Linear(12, 4), nn.Sigmoid())
if a.loss == "bce":
    criterion = nn.BCELoss()
else:
    criterion = nn.BCEWithLogitsLoss()
for x, y in batches:
    criterion(net(x), y).backward()  # FL104
""",
    "match": """
import sys
from torch import nn
from mydata import batches
match sys.argv[1]:
    case "small":
        net = nn.Linear(8, 4)
    case "deep":
        net = nn.Sequential(nn.Linear(8, 9), nn.Linear(9, 4), nn.Softmax(1))
    case _:
        raise SystemExit
crit = nn.CrossEntropyLoss()
for x, y in batches:
    crit(net(x), y).backward()  # FL101
""",
    "resume wraps": """
import argparse, torch
from torch import nn
from mydata import batches
a = argparse.ArgumentParser().parse_args()
if a.resume:
    net = torch.load(a.resume)
else:
    net = nn.Sequential(nn.Linear(12, 4), nn.Softmax(dim=1))
if a.cuda:
    net = net.cuda()
crit = nn.CrossEntropyLoss()
def main():
    if a.train:
        for x, y in batches:
            crit(net(x), y).backward()  # FL101
main()
""",
    "table of six": """
import sys
from torch import nn
from mydata import batches
MODELS = {
    "a": lambda: nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4)),
    "b": lambda: nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 4)),
    "c": lambda: nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 4)),
    "d": lambda: nn.Sequential(nn.Linear(8, 4)),
    "e": lambda: nn.Sequential(nn.Linear(8, 9), nn.Tanh(), nn.Linear(9, 4)),
    "f": lambda: nn.Sequential(nn.Linear(8, 4), nn.Softmax(dim=-1)),
    "g": lambda: nn.Sequential(nn.Linear(8, 7), nn.Tanh(), nn.Linear(7, 4)),
}
net = MODELS[sys.argv[1]]()
criterion = nn.CrossEntropyLoss()
for x, y in batches:
    criterion(net(x), y).backward()  # FL101
""",
    "tf head by flag": """
import tensorflow as tf
flags = tf.compat.v1.flags
flags.DEFINE_boolean("probs", False, "")
FLAGS = flags.FLAGS
def head(x):
    z = tf.keras.layers.Dense(4)(x)
    if FLAGS.probs:
        z = tf.nn.softmax(z)
    return z
def loss(x, y):
    return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(labels=y, logits=head(x)))  # FL101
""",
    "try load": """
import torch
from torch import nn
from mydata import batches
try:
    net = torch.load("net.pt")
except FileNotFoundError:
    net = nn.Sequential(nn.Linear(12, 4), nn.Softmax(dim=1))
loss_of = nn.CrossEntropyLoss()
for x, y in batches:
    loss_of(net(x), y).backward()  # FL101
""",
}
#: No way is wrong, or what is one thing goes with what is another.
RIGHT = {
    "a log where the loss is of a type that takes one": """
import torch
from torch import nn


def ready(one, options):
    if isinstance(one, nn.Module) and not options:
        return one
    return one(**options)


class Trainer:
    def __init__(self, criterion=nn.NLLLoss, **options):
        self.criterion = ready(criterion, options)

    def loss(self, p, y):
        if isinstance(self.criterion, nn.NLLLoss):
            p = torch.log(p + 1e-8)
        return self.criterion(p, y)


net = nn.Sequential(nn.Linear(8, 4), nn.Softmax(dim=1))


def train(x, y, both, options):
    out = net(x) if both else (net(x), 0)
    Trainer().loss(out, y).backward()
""",
    "dicts by same key": """
import sys
from torch import nn
from mydata import batches
HEADS = {"softmax": nn.Softmax(1), "log": nn.LogSoftmax(1), "none": nn.Identity(), "sig": nn.Sigmoid()}
LOSSES = {"softmax": nn.MSELoss(), "log": nn.NLLLoss(), "none": nn.CrossEntropyLoss(), "sig": nn.BCELoss()}
kind = sys.argv[1]
net = nn.Sequential(nn.Linear(3, 4), HEADS[kind])
crit = LOSSES[kind]
for x, y in batches:
    crit(net(x), y).backward()
""",
    "early return": """
from torch import nn
import torch.nn.functional as F
net = nn.Linear(3, 4)
def out(x, cfg):
    z = net(x)
    if cfg.probs:
        return F.log_softmax(z, 1)
    return z
def loss(x, y, cfg):
    o = out(x, cfg)
    if cfg.probs:
        return F.nll_loss(o, y)
    return F.cross_entropy(o, y)
""",
    "elif and eq": """
import argparse
from torch import nn
import torch.nn.functional as F


class Net(nn.Module):
    def __init__(self, head):
        super().__init__()
        self.head = head
        self.fc = nn.Linear(3, 3)
    def forward(self, x):
        x = self.fc(x)
        if self.head == "sigmoid":
            return x.sigmoid()
        if self.head == "softmax":
            return F.log_softmax(x, 1)
        return x
def main():
    p = argparse.ArgumentParser()
    p.add_argument("--head")
    args = p.parse_args()
    net = Net(args.head)
    for x, y in []:
        out = net(x)
        if args.head == "sigmoid":
            loss = F.binary_cross_entropy(out, y)
        elif args.head == "softmax":
            loss = F.nll_loss(out, y)
        else:
            loss = F.cross_entropy(out, y)
        loss.backward()
main()
""",
    "isinstance": """
import argparse
from torch import nn
import torch.nn.functional as F


class P(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 3)
    def forward(self, x):
        return self.fc(x).log_softmax(1)


class Z(P):
    def forward(self, x):
        return self.fc(x)
a = argparse.ArgumentParser().parse_args()
net = P() if a.p else Z()
def step(x, y):
    out = net(x)
    if isinstance(net, Z):
        return F.cross_entropy(out, y)
    return F.nll_loss(out, y)
""",
    "keras units decide": """
import keras
from keras import layers
def build(n):
    act, loss = ("sigmoid", "binary_crossentropy") if n == 1 else ("softmax", "categorical_crossentropy")
    m = keras.Sequential([layers.Dense(n, activation=act)])
    m.compile("adam", loss=loss)
    return m
def build2(n):
    if n == 2:
        act, units = "sigmoid", 1
    else:
        act, units = "softmax", n
    m = keras.Sequential([layers.Dense(units, activation=act)])
    loss = "binary_crossentropy" if n == 2 else "categorical_crossentropy"
    m.compile("adam", loss=loss)
    return m
def build3(n):
    m = keras.Sequential()
    if n > 1:
        m.add(layers.Dense(n, activation="softmax"))
    else:
        m.add(layers.Dense(1, activation="sigmoid"))
    if n > 1:
        m.compile("adam", loss="categorical_crossentropy")
    else:
        m.compile("adam", loss="binary_crossentropy")
    return m
""",
    "phase flag": """
import argparse
from torch import nn
from mydata import batches
a = argparse.ArgumentParser().parse_args()


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 3)
    def forward(self, x, test):
        x = self.fc(x)
        if test:
            return x.softmax(1)
        return x
net = Net()
crit = nn.CrossEntropyLoss()
def run(loader, test):
    for x, y in loader:
        out = net(x, test)
        loss = crit(out, y)
""",
    "table of pairs": """
import sys
from torch import nn
from mydata import batches
TABLE = {
    "nll": (nn.Sequential(nn.Linear(3, 4), nn.LogSoftmax(1)), nn.NLLLoss()),
    "ce": (nn.Linear(3, 4), nn.CrossEntropyLoss()),
    "bce": (nn.Sequential(nn.Linear(3, 4), nn.Sigmoid()), nn.BCELoss()),
}
net, crit = TABLE[sys.argv[1]]
for x, y in batches:
    crit(net(x), y).backward()
""",
    "two options": """
import argparse
from torch import nn
from mydata import batches
a = argparse.ArgumentParser().parse_args()
net = nn.Sequential(nn.Linear(12, 4), nn.Sigmoid()) if a.sigmoid else nn.Linear(12, 4)
crit = {"bce": nn.BCELoss(), "bcel": nn.BCEWithLogitsLoss()}[a.loss]
for x, y in batches:
    crit(net(x), y).backward()
""",
}
#: What the program changes while it runs, or does only in the last round of a loop.
CHANGING = {
    "a compiled loss that tests read": """
import keras


class Picture(keras.Model):
    def __init__(self):
        super().__init__()
        self.out = keras.layers.Dense(3, activation="softmax")

    def call(self, x):
        return self.out(x)

    def train_step(self, x):
        return {"loss": keras.ops.mean(keras.ops.square(x - self(x)))}


model = Picture()
model.compile("adam", loss="binary_crossentropy")  # FL106
model.fit(x, validation_data=x)
""",
    "a compiled loss that a step reads": """
import tensorflow as tf
from tensorflow.keras import layers


class Depth(tf.keras.Model):
    def __init__(self):
        super().__init__()
        self.out = layers.Dense(1, activation="softmax")

    def call(self, x):
        return self.out(x)

    def train_step(self, batch):
        x, y = batch
        return {"loss": self.compiled_loss(y, self(x))}

    def test_step(self, batch):
        x, y = batch
        return {"loss": tf.reduce_mean(tf.abs(y - self(x)))}


model = Depth()
model.compile("adam", loss="categorical_crossentropy")  # FL105
""",
    "callee in place": """
import torch
from torch import nn
import torch.nn.functional as F
fc = nn.Linear(8, 4)
def squash(t):
    t.sigmoid_()
def loss(x, y):
    z = fc(x)
    squash(z)
    return F.binary_cross_entropy_with_logits(z, y)  # FL104
""",
    "elu flag set by method": """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.pretraining = True
        self.fc = nn.Linear(4, 3)
    def finish_pretraining(self):
        self.pretraining = False
    def forward(self, x):
        x = self.fc(x)
        if self.pretraining:
            return x
        return torch.softmax(x, 1)


class Task:
    def __init__(self):
        self.net = Net()
        self.crit = nn.CrossEntropyLoss()
    def loss(self, x, y):
        return self.crit(self.net(x), y)  # FL101
    def go(self):
        self.net.finish_pretraining()
""",
    "except defines": """
import torch
from torch import nn
import torch.nn.functional as F
try:
    from fused import my_loss
except ImportError:
    def my_loss(z, y):
        return -torch.log(torch.softmax(z, 1)).gather(1, y).mean()  # FL201
fc = nn.Linear(3, 3)
def step(x, y):
    return my_loss(fc(x), y)
""",
    "failing import activation": """
import torch
from torch import nn
import torch.nn.functional as F
def head(z):
    return torch.softmax(z, dim=-1)
try:
    from fast_heads import head
except ImportError:
    pass
fc = nn.Linear(3, 3)
def step(x, y):
    return F.cross_entropy(head(fc(x)), y)  # FL101
""",
    "forty layers": """
import torch
from torch import nn
import torch.nn.functional as F


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList()
        for i in range(40):
            self.layers.append(nn.Linear(8, 8))
        self.layers.append(nn.Softmax(dim=1))
    def forward(self, x):
        for l in self.layers:
            x = l(x)
        return x
net = Net()
def step(x, t):
    return F.cross_entropy(net(x), t)  # FL101
""",
    "global flag": """
import torch.nn.functional as F
warm = True
def step(net, x, y):
    global warm
    if warm:
        warm = False
        return net(x).sum()
    return F.nll_loss(F.softmax(net(x), 1), y)  # FL103
""",
    "keras layers loop": """
import keras
from keras import layers
def build(units):
    inp = keras.Input((8,))
    x = inp
    for i, u in enumerate(units):
        x = layers.Dense(u, activation="sigmoid" if i == len(units) - 1 else "relu")(x)
    m = keras.Model(inp, x)
    m.compile("adam", loss="categorical_crossentropy")  # FL106
    return m
""",
    "out argument": """
import torch
from torch import nn
import torch.nn.functional as F
fc = nn.Linear(8, 4)
def loss(x, y):
    z = fc(x)
    p = torch.empty_like(z)
    torch.softmax(z, 1, out=p)
    return F.nll_loss(p, y)  # FL103
""",
    "range last": """
import torch
from torch import nn
import torch.nn.functional as F


class MLP(nn.Module):
    def __init__(self, sizes):
        super().__init__()
        self.n = len(sizes) - 1
        self.fcs = nn.ModuleList([nn.Linear(sizes[i], sizes[i + 1]) for i in range(self.n)])
    def forward(self, x):
        for i in range(self.n):
            x = self.fcs[i](x)
            if i == self.n - 1:
                x = torch.sigmoid(x)
            else:
                x = torch.relu(x)
        return x
def train(sizes, loader):
    net = MLP(sizes)
    for x, t in loader:
        F.binary_cross_entropy_with_logits(net(x), t).backward()  # FL104
""",
    "range last jax": """
import jax, optax
import jax.numpy as jnp
def net(params, x):
    for i, (w, b) in enumerate(params):
        x = x @ w + b
        if i + 1 < len(params):
            x = jax.nn.relu(x)
        else:
            x = jax.nn.softmax(x)
    return x
def loss(params, x, y):
    return optax.softmax_cross_entropy(net(params, x), y).mean()  # FL101
""",
    "slice all": """
import torch
from torch import nn
import torch.nn.functional as F
fc = nn.Linear(8, 6)
def step(x, t):
    out = fc(x)
    out[:] = out.softmax(1)
    return F.cross_entropy(out, t)  # FL101
""",
    "slice column": """
import torch
from torch import nn
fc = nn.Linear(8, 6)
crit = nn.BCEWithLogitsLoss()
def step(x, t):
    out = fc(x)
    out[:, 0] = torch.sigmoid(out[:, 0])
    return crit(out[:, 0], t)  # FL104
""",
    "try body wrong": """
import torch
from torch import nn
import torch.nn.functional as F
fc = nn.Linear(3, 3)
def step(x, y):
    try:
        return F.cross_entropy(torch.softmax(fc(x), 1), y)  # FL101
    except RuntimeError:
        return None
""",
}
#: What changes nothing that matters.
UNCHANGED = {
    "a guarded entropy of either": """
import torch
from torch import nn
import torch.nn.functional as F
fc = nn.Linear(8, 3)


def step(x, hard):
    s = fc(x)
    if hard:
        s = F.softmax(s, dim=-1)
    return (-s * torch.log(s + 1e-15)).sum(dim=-1).mean()
""",
    "a compiled loss that the only step doesn't read": """
import keras


class Picture(keras.Model):
    def __init__(self):
        super().__init__()
        self.out = keras.layers.Dense(3, activation="softmax")

    def call(self, x):
        return self.out(x)

    def train_step(self, x):
        return {"loss": keras.ops.mean(keras.ops.square(x - self(x)))}


model = Picture()
model.compile("adam", loss="binary_crossentropy")
model.fit(x)
""",
    "a compiled loss that no step reads": """
import tensorflow as tf
from tensorflow.keras import layers


class Depth(tf.keras.Model):
    def __init__(self):
        super().__init__()
        self.out = layers.Dense(3, activation="softmax")

    def call(self, x):
        return self.out(x)

    def train_step(self, batch):
        x, y = batch
        return {"loss": tf.reduce_mean(tf.abs(y - self(x)))}

    def test_step(self, batch):
        x, y = batch
        return {"loss": tf.reduce_mean(tf.abs(y - self(x)))}


model = Depth()
model.compile("adam", loss="categorical_crossentropy")
""",
    "except shadow right": """
import torch
from torch import nn
import torch.nn.functional as F
try:
    from fused import log_softmax
except ImportError:
    def log_softmax(z, dim):
        return F.log_softmax(z, dim)
fc = nn.Linear(3, 3)
def step(x, y):
    return F.nll_loss(log_softmax(fc(x), 1), y)
""",
    "flag never flipped": """
import torch
from torch import nn


class T:
    def __init__(self):
        self.probs = False
        self.net = nn.Linear(3, 3)
        self.crit = nn.CrossEntropyLoss()
    def step(self, x, y):
        z = self.net(x)
        if self.probs:
            z = z.softmax(1)
        return self.crit(z, y)
""",
    "last is linear": """
from torch import nn
import torch.nn.functional as F


class MLP(nn.Module):
    def __init__(self, sizes):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(a, b) for a, b in zip(sizes[:-1], sizes[1:])])
    def forward(self, x):
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if i != len(self.layers) - 1:
                x = F.softmax(x, dim=1)
        return x
def train(sizes, loader):
    net = MLP(sizes)
    for x, t in loader:
        F.cross_entropy(net(x), t).backward()
""",
    "slice other columns": """
import torch
from torch import nn
import torch.nn.functional as F
fc = nn.Linear(8, 14)
def step(x, box, y):
    out = fc(x)
    out[..., :4] = out[..., :4].sigmoid()
    return F.mse_loss(out[..., :4], box) + F.cross_entropy(out[..., 4:], y)
""",
    "try fallback axis": """
import tensorflow as tf
def soft(x):
    try:
        p = tf.nn.softmax(x, axis=-1)
    except TypeError:
        p = tf.nn.softmax(x, dim=-1)
    return p
z = tf.keras.layers.Dense(3)(tf.zeros((2, 3)))
p = soft(z)
""",
}
_MARK = re.compile(r"# (FL\d+)$", re.MULTILINE)


def found(program: str) -> set[tuple[int, str]]:
    analysis = analyse("program.py", Project(), program.encode())
    assert not analysis.notes
    return {(f.origin.line, f.rule.code) for f in analysis.findings if f.rule.severity > Severity.ADVICE}


def marked(program: str) -> set[tuple[int, str]]:
    return {(program.count("\n", 0, m.start()) + 1, m[1]) for m in _MARK.finditer(program)}


@pytest.mark.parametrize("program", WRONG.values(), ids=WRONG)
def test_what_is_certainly_wrong_on_one_way_is_found(program: str) -> None:
    assert marked(program)
    assert found(program) == marked(program)


@pytest.mark.parametrize("program", RIGHT.values(), ids=RIGHT)
def test_what_is_chosen_together_is_right(program: str) -> None:
    assert found(program) == set()


@pytest.mark.parametrize("program", CHANGING.values(), ids=CHANGING)
def test_what_a_program_changes_is_found(program: str) -> None:
    assert marked(program)
    assert found(program) == marked(program)


@pytest.mark.parametrize("program", UNCHANGED.values(), ids=UNCHANGED)
def test_what_changes_nothing_is_right(program: str) -> None:
    assert found(program) == set()
