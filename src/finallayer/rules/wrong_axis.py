"""A softmax, or a loss that applies it, along the batch instead of the classes.

## What it does
Finds a loss that reads a softmax taken along axis 0 of a batch, or over the whole batch at once (`e / e.sum()`), where
the number of axes is known.

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
from finallayer.rules.base import Rule
from finallayer.rules.route import class_axis, softmax_of
from finallayer.rules.wording import called, made_here

RULE = Rule("FL107", "wrong-axis", Severity.ERROR, "softmax or loss along another axis than the classes")

_READ_KINDS = PROBABILITY_KINDS | LOG_KINDS


@RULE.on("nll", "xent_probs", "log", "xent_logits")
def judge(sighting: Sighting) -> Iterator[Match]:
    match sighting.node:
        case Node(op="nll" | "xent_probs", args=(Node(kind=kind) as x, *_)) as loss if kind in _READ_KINDS:
            softmax = softmax_of(x)
            if softmax is not None and _is_along_batch(softmax, sighting):
                yield Match(_message(softmax, called(loss)), related=made_here(softmax))
        case Node(op="log", args=(Node(kind=Kind.PROBS) as x,)):
            softmax = softmax_of(x)
            if softmax is not None and class_axis(softmax) not in (None, 0) and _is_along_batch(softmax, sighting):
                yield Match(_message(softmax, "the log"), related=made_here(softmax))
        case Node(op="xent_logits", args=(Node(kind=Kind.LOGITS) as z, *_), attrs={"axis": 0}) as loss:
            if class_axis(z) not in (None, 0) and _has_batch(z, sighting):
                yield Match(f"{called(loss)} runs along axis 0, the batch: use axis=-1", related=made_here(z))


def _is_along_batch(softmax: Node, sighting: Sighting) -> bool:
    axis, rank = softmax.attrs.get("axis"), softmax.rank
    along_batch = axis == 0 or softmax.attrs.get("whole") or (rank is not None and axis == -rank)
    return bool(along_batch) and _has_batch(softmax, sighting)


def _has_batch(x: Node, sighting: Sighting) -> bool:
    """Whether there is an axis of examples beside that of the classes, for certain. A model that is compiled is
    handed batches."""
    return (x.rank is not None and x.rank >= 2) or sighting.compiled


def _message(softmax: Node, reader: str) -> str:
    over = "over the whole batch" if softmax.attrs.get("whole") else "along axis 0, the batch"
    return f"{reader} reads a softmax taken {over}, not along the classes: use axis=-1"


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
]
