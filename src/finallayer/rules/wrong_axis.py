"""A softmax, or a loss that applies it, along the batch instead of the classes.

## What it does
Finds a softmax taken along axis 0 of a batch, or over the whole batch at once (`e / e.sum()`), by what the program does
with it: a loss reads it and the number of axes is known (a loader's batches have one for the examples), or its classes
are picked, summed or searched along another axis than its own. Also a softmax along another axis than the one in which
the loss looks for its classes.

## Why is this bad
The probabilities of one sample no longer sum to 1. What is called a probability of class 3 is sample 5's share of
class 3 among the batch: it depends on which samples happen to share a batch, and predictions change with the batch's
size. The loss goes down all the same, by telling samples apart instead of classes.

## Example
```python
log_probs = F.log_softmax(net(x), dim=0)
loss = F.nll_loss(log_probs, y)
```

## Use instead
```python
log_probs = F.log_softmax(net(x), dim=-1)
loss = F.nll_loss(log_probs, y)
```

## References
- [torch.nn.Softmax: dim, every slice along it sums to 1](https://docs.pytorch.org/docs/stable/generated/torch.nn.Softmax.html)
- [jax.nn.softmax: axis](https://docs.jax.dev/en/latest/_autosummary/jax.nn.softmax.html)
"""

from __future__ import annotations

from collections.abc import Iterator

from finallayer.expr import Node
from finallayer.findings import Match, Severity, Sighting
from finallayer.kinds import LOG_KINDS, PROBABILITY_KINDS, Kind
from finallayer.rules.axes import Axes, Read, averaged, picked, picked_logs, summed_logs
from finallayer.rules.base import Rule
from finallayer.rules.route import class_axis, softmax_of, units
from finallayer.rules.wording import called, made_here

RULE = Rule("FL107", "wrong-axis", Severity.ERROR, "softmax or loss along another axis than the classes")

_READ_KINDS = PROBABILITY_KINDS | LOG_KINDS
#: Along which axis a loss looks for its classes where it doesn't say.
_LOSSES = {"nll": 1, "xent_probs": -1}
#: The same of what looks for the best class; None: over all axes at once.
_SEARCHES = {"argmax": None, "max": None, "topk": -1}


@RULE.on("nll", "xent_probs", "log", "neg", "sum", "mean", "argmax", "max", "topk", "output", "xent_logits")
def judge(sighting: Sighting) -> Iterator[Match]:
    match sighting.node:
        case Node(op="nll" | "xent_probs", args=(Node(kind=kind) as x, *_)) as loss if kind in _READ_KINDS:
            softmax = softmax_of(x)
            if softmax is not None and _loss_reads_another(softmax, loss, sighting.compiled):
                yield _match(softmax, called(loss))
        case Node(op="log", args=(Node(kind=Kind.PROBS) as x,)) as log:
            softmax = _wrong_before(log, x, sighting.compiled)
            if softmax is not None:
                yield _match(softmax, "the log")
        case Node(op="neg", args=(x,)):
            yield from _matches(picked_logs(x), "the loss", sighting)
        case Node(op="sum") as total:
            reads = (r for r in summed_logs(total) if r.value.op != "log")  # that one has been judged at the log
            yield from _matches(reads, "the sum over the classes", sighting)
        case Node(op="mean") as mean:
            reads = (r for r in averaged(mean) if not _is_read_along_another(r._replace(least=0), sighting.compiled))
            yield from _matches(reads, "the loss", sighting)
        case Node(op="output", args=(Node(kind=kind) as x,), attrs={"axis": int() as along}) if kind in _READ_KINDS:
            yield from _matches(iter([Read(x, along)]), "whoever runs the model", sighting)
        case Node(op="argmax" | "max" | "topk", args=(Node(kind=kind) as x, *_)) as search if kind in _READ_KINDS:
            axis = search.attrs.get("axis", _SEARCHES[search.op])
            if type(axis) is int:
                yield from _matches(iter([Read(x, axis)]), "the search for the best class", sighting)
        case Node(op="xent_logits", args=(Node(kind=Kind.LOGITS) as z, *_), attrs={"axis": 0}) as loss:
            if class_axis(z) not in (None, 0) and (z.least_rank >= 2 or sighting.compiled):
                yield Match(f"{called(loss)} runs along axis 0, the batch: use axis=-1", related=made_here(z))


def _loss_reads_another(softmax: Node, loss: Node, compiled: bool) -> bool:
    """Whether a loss looks for its classes along another axis than that of the softmax."""
    axes = _with_batch(Axes.of(softmax), compiled)
    if loss.op == "nll" and "axis" not in loss.attrs and len(loss.args) > 1:  # labels are a row for each example
        axes = axes._replace(least=max(axes.least, loss.args[1].least_rank + 1 if loss.args[1].least_rank else 0))
    axis, along = softmax.attrs.get("axis"), loss.attrs.get("axis")
    if softmax.attrs.get("whole"):
        return axes.least >= 2
    if type(axis) is not int or not axes.agree:
        return False
    along = along if type(along) is int else _LOSSES[loss.op]
    of_units = class_axis(softmax)
    is_read = axes.apart(axis, along) and (axes.least >= 2 or not axes.is_first(axis))
    if of_units is None:  # a formula, which has no name, may keep its examples in columns
        return is_read and axes.is_first(axis) and ("name" in loss.attrs or loss.op != "nll")
    return is_read and axes.apart(axis, of_units)


def _wrong_before(log: Node, x: Node, compiled: bool) -> Node | None:
    """The softmax before a log along whose axis nobody looks for the classes."""
    for read in picked(x):
        return softmax_of(read.value) if _is_read_along_another(read) else None
    softmax = softmax_of(x)
    if softmax is None or log.attrs.get("no_loss"):
        return None
    summed = log.attrs.get("summed_along")
    if summed is not None and not softmax.attrs.get("whole"):
        return softmax if _is_read_along_another(Read(x, summed), compiled) else None
    axes, of_units = _with_batch(Axes.of(softmax), compiled), class_axis(softmax)
    if softmax.attrs.get("whole"):
        return softmax if of_units not in (None, 0) and axes.least >= 2 else None
    return softmax if _is_another(softmax, of_units, axes) else None


def _matches(reads: Iterator[Read], reader: str, sighting: Sighting) -> Iterator[Match]:
    """What is found where something is read as classes; once for each softmax."""
    found = [softmax_of(r.value) for r in reads if _is_read_along_another(r, sighting.compiled)]
    yield from (_match(softmax, reader) for softmax in dict.fromkeys(found) if softmax is not None)


def _is_read_along_another(read: Read, compiled: bool = False) -> bool:
    """Whether a softmax over the examples is read as classes along an axis that may be that of the classes."""
    softmax = softmax_of(read.value)
    if softmax is None:
        return False
    axes, of_units = _with_batch(Axes.of(softmax, read), compiled), _read_units(softmax)
    axis = softmax.attrs.get("axis")
    if not _is_another(softmax, of_units, axes) or of_units is None or axis is None:
        return False
    return axes.apart(axis, read.axis) and not axes.apart(of_units, read.axis)


def _read_units(softmax: Node) -> int | None:
    """Along which axis the units of a softmax lie that is read along two: the last, if axes of length one were left
    out before."""
    scores = softmax.args[0]
    squeezed = scores.op == "reshape" and scores.attrs.get("squeezes") and "axis" not in scores.attrs
    if squeezed and class_axis(scores.args[0]) == -1 and units(scores.args[0]) != 1:
        return -1
    return class_axis(softmax)


def _is_another(softmax: Node, of_units: int | None, axes: Axes) -> bool:
    """Whether a softmax goes along the first axis, and the layer before it has its classes along another."""
    axis = softmax.attrs.get("axis")
    if type(axis) is not int or of_units is None or not axes.agree or units(softmax) == 1:
        return False
    return axes.is_first(axis) and axes.least >= 2 and axes.apart(axis, of_units)


def _with_batch(axes: Axes, compiled: bool) -> Axes:
    """A model that is compiled is handed batches."""
    return axes._replace(least=max(axes.least, 2)) if compiled else axes


def _match(softmax: Node, reader: str) -> Match:
    axis = softmax.attrs.get("axis")
    first = axis == 0 or (softmax.rank is not None and axis == -softmax.rank)
    along = "over the whole batch" if softmax.attrs.get("whole") else f"along axis {axis}" + ", the batch" * first
    advice = ": use axis=-1" if class_axis(softmax) in (None, -1) else ""
    return Match(f"{reader} reads a softmax taken {along}, not along the classes{advice}", related=made_here(softmax))


NO_FIX = "a network that keeps its examples in columns has its classes along axis 0"
BAD = [
    """
import keras

model = keras.Sequential([keras.Input((20,)), keras.layers.Dense(5), keras.layers.Softmax(axis=0)])
model.compile(loss="categorical_crossentropy")  # FL107 FL301
""",
    # whose input no line states: what is compiled is handed batches
    """
import keras

class Classifier(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(5)
        self.softmax = keras.layers.Softmax(axis=0)

    def call(self, x):
        return self.softmax(self.dense(x))

model = Classifier()
model.compile(loss="sparse_categorical_crossentropy")  # FL107 FL301
""",
    """
import keras

model = keras.Sequential([keras.layers.Dense(5), keras.layers.Softmax(axis=0)])
model.compile(loss="categorical_crossentropy")  # FL107 FL301
""",
    """
import torch
import torch.nn.functional as F
from torch import nn

net = nn.Linear(784, 10)

def step(x, y):
    x = x.view(-1, 784)
    return F.nll_loss(F.log_softmax(net(x), dim=0), y)  # FL107
""",
    # Flatten leaves two axes
    """
import torch.nn.functional as F
from torch import nn

net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10), nn.LogSoftmax(dim=0))

def step(x, y):
    return F.nll_loss(net(x), y)  # FL107
""",
    # a normalisation of batches has batches, and a step of a sequence is left with rows
    """
import torch.nn.functional as F
from torch import nn

body, lstm = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.ReLU()), nn.LSTM(8, 8, batch_first=True)
head = nn.Linear(8, 3)

def step(x, y):
    return F.nll_loss(F.log_softmax(head(body(x)), dim=0), y)  # FL107

def last_of(x, y):
    states, _ = lstm(x)
    return F.nll_loss(F.log_softmax(head(states[:, -1, :]), dim=0), y)  # FL107
""",
    # labels in a row: there is an example for each
    """
import torch.nn.functional as F
from torch import nn

net = nn.Sequential(nn.Linear(8, 3), nn.LogSoftmax(dim=0))

def step(x, labels):
    return F.nll_loss(net(x), labels.view(-1))  # FL107
""",
    # picked, summed and searched along axis 1
    """
! the softmax goes along another axis than the classes, which a fix of this would keep
import torch
from torch import nn

net = nn.Sequential(nn.Linear(8, 3), nn.Softmax(dim=0))

def gathered(x, y):
    return -torch.log(net(x).gather(1, y)).mean()  # FL107 FL201

def picked(x, y):
    p = net(x)
    return -torch.log(p[torch.arange(len(y)), y]).mean()  # FL107 FL201

def right(x, y):
    return (net(x).argmax(dim=1) == y).sum()  # FL107
""",
    """
import torch
import torch.nn.functional as F
from torch import nn

net = nn.Linear(8, 3)

def picked(x, y):
    logs = F.log_softmax(net(x), dim=0)
    return -logs[torch.arange(len(y)), y].mean()  # FL107

def summed(x, t):
    return torch.sum(-t * F.log_softmax(net(x), dim=0), dim=1).mean()  # FL107

def averaged(x, t):
    return -(t * F.log_softmax(net(x), dim=0)).sum(dim=-1).mean(0)  # FL107
""",
    # a loader puts its examples along a first axis, those of its labels, too
    """
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

net = nn.Sequential(nn.Linear(20, 5), nn.LogSoftmax(dim=0))
tensors = TensorDataset(torch.randn(64, 20), torch.randint(5, (64,)))

for x, y in DataLoader(tensors, batch_size=8):
    F.nll_loss(net(x), y).backward()  # FL107

for batch in DataLoader(images(), batch_size=8, shuffle=True):
    F.nll_loss(net(batch["image"]), batch["label"].cuda()).backward()  # FL107
""",
    # a search along axis 1 shows that two axes are left
    """
import torch
from torch import nn

net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(128, 10))

def classes(images):
    return torch.softmax(net(images).squeeze(), dim=0).argmax(dim=1)  # FL107
""",
    # weights and bias of one collection make a layer of a product
    """
import jax
import jax.numpy as jnp

def predict(params, x):
    hidden = jnp.tanh(jnp.dot(x, params["w1"]) + params["b1"])
    return jax.nn.log_softmax(jnp.dot(hidden, params["w2"]) + params["b2"], axis=0)

def loss(params, x, y):
    return -jnp.mean(jnp.sum(y * predict(params, x), axis=1))  # FL107
""",
    # of an image's channels, which the loss reads along axis 1
    """
import torch.nn.functional as F
from torch import nn

norm, head = nn.BatchNorm2d(8), nn.Conv2d(8, 4, 1)

def step(x, y):
    return F.nll_loss(F.log_softmax(head(norm(x)), dim=-1), y)  # FL107
""",
    """
import tensorflow as tf

x = tf.placeholder(tf.float32, [None, 784])
y = tf.placeholder(tf.float32, [None, 10])
e = tf.exp(tf.layers.dense(x, 10))
probs = e / tf.reduce_sum(e)  # FL204
loss = -tf.reduce_sum(y * tf.log(probs))  # FL107 FL201
""",
]

GOOD = [
    """
import torch
import torch.nn.functional as F
from torch import nn

net = nn.Linear(784, 10)

def step(x, y):
    x = x.view(-1, 784)
    return F.nll_loss(F.log_softmax(net(x), dim=-1), y)
""",
    # one example at a time, under vmap: the sum over everything is the sum over the classes
    """
import jax
import jax.numpy as jnp

def predict(params, x):
    return params["w"] @ x + params["b"]

def log_softmax(z):
    z = z - z.max()
    return z - jnp.log(jnp.sum(jnp.exp(z)))

batched = jax.vmap(predict, in_axes=(None, 0))

def loss(params, x, y):
    return -jnp.mean(jnp.sum(jax.vmap(log_softmax)(batched(params, x)) * y, axis=1))

grads = jax.grad(loss)
""",
    # examples in columns: the classes lie along axis 0
    """
import numpy as np

def forward(W, b, X):
    Z = W @ X + b
    E = np.exp(Z - Z.max(axis=0))
    return E / E.sum(axis=0)

def cost(A, Y):
    return -np.mean(np.sum(Y * np.log(A), axis=0))
""",
    # attention along the first axis
    """
import torch
from torch import nn

score = nn.Linear(16, 1)

def attend(steps):
    weights = torch.softmax(score(steps), dim=0)
    return (weights * steps).sum(0)

pooled = attend(torch.zeros(5, 2, 16))
""",
    # one image alone, and a batch along its channels
    """
import torch.nn.functional as F
from torch import nn

norm, head = nn.BatchNorm2d(8), nn.Conv2d(8, 4, 1)

def one(image, y):
    logs = F.log_softmax(head(image), dim=0)
    return F.nll_loss(logs.unsqueeze(0), y.unsqueeze(0)), logs.argmax(0)

def several(images, y):
    logs = F.log_softmax(head(norm(images)), dim=1)
    return F.nll_loss(logs, y), logs.argmax(1)
""",
    # a loader that gives one example at a time, or what its owner makes of them; and one example of a batch
    """
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

net = nn.Sequential(nn.Linear(20, 5), nn.LogSoftmax(dim=0))
tensors = TensorDataset(torch.randn(64, 20), torch.randint(5, (64,)))

for x, y in DataLoader(tensors, batch_size=None):
    F.nll_loss(net(x), y).backward()

for x, y in DataLoader(tensors, collate_fn=lambda examples: examples[0]):
    F.nll_loss(net(x), y).backward()

for x, y in tensors:
    F.nll_loss(net(x), y).backward()

for xs, ys in DataLoader(tensors, batch_size=8):
    for x, y in zip(xs, ys):
        F.nll_loss(net(x), y).backward()

for x, y in DataLoader(images(), batch_size=1):
    F.nll_loss(net(x[0]), torch.tensor(y.item())).backward()
    F.nll_loss(net(x[0]), torch.tensor(float(y)).long()).backward()
""",
    # pairs of one batch, and of two, with what is added to their scores
    """
import jax
import jax.numpy as jnp

def pairs(batch, other):
    scores = jnp.dot(batch["text"], batch["image"].T) + batch["mask"]
    own = jnp.arange(len(scores))
    across = jnp.dot(other["text"], batch["image"].T) + batch["mask"]
    return jax.nn.log_softmax(scores, axis=0)[own, own].mean(), jax.nn.softmax(across, axis=0).argmax(axis=1)
""",
    # contrastive: every pair's scores, normalised both ways
    """
import torch
import torch.nn.functional as F

def loss(a, b):
    scores, own = a @ b.t(), torch.arange(len(a))
    return -(F.log_softmax(scores, dim=1)[own, own] + F.log_softmax(scores, dim=0)[own, own]).mean()
""",
    # a function of one example, mapped over the batch: its axis 0 isn't the batch's
    """
import torch
import torch.nn.functional as F
from torch import nn

net = nn.Linear(8, 3)

def one(x):
    return F.log_softmax(net(x), dim=0)

def loss(x, y):
    x = x.view(-1, 8)
    logs = torch.vmap(one)(x)
    return -logs[torch.arange(len(y)), y].mean(), logs.argmax(1), torch.vmap(lambda v, t: F.nll_loss(one(v), t))(x, y)
""",
    # several heads of attention along the steps, their entropy, and a batch distilled example by example
    """
import torch
import torch.nn.functional as F
from torch import nn

score = nn.Linear(16, 4)

def attend(steps):
    steps = steps.view(-1, 16)
    weights = torch.softmax(score(steps), dim=0)
    return weights.t() @ steps, -torch.xlogy(weights, weights).sum(dim=0)

def distil(x, teacher):
    shares = torch.softmax(teacher(x), dim=0)
    return -(shares * F.log_softmax(score(x), dim=0)).sum(dim=1).mean()
""",
]
