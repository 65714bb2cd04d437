"""Sigmoid outputs handed to a loss that applies sigmoid itself.

## What it does
Finds sigmoid outputs (or their logs) that reach a binary cross-entropy on logits, or another sigmoid.

## Why is this bad
Sigmoid is applied twice. The second one sees inputs in [0, 1] and gives only [0.5, 0.73]: for negative samples the
loss can't fall below ln 2 = 0.69, for positive ones not below 0.31, and every gradient is damped by the first
sigmoid's slope, at most 1/4. Read at a threshold of 0.5, a sigmoid of a sigmoid says yes to everything.

In Keras, the TensorFlow backend finds the logits behind a sigmoid layer in float32 and uses those, with a warning; the
JAX and torch backends, and any backend whose sigmoid is in 16 bits, train on sigmoid twice.

## Example
```python
model = nn.Sequential(nn.Linear(8, 1), nn.Sigmoid())
loss = nn.BCEWithLogitsLoss()(model(x), y)
```

## Use instead
```python
model = nn.Linear(8, 1)
loss = nn.BCEWithLogitsLoss()(model(x), y)
```

## Fix safety
Safe where every reader of the sigmoid is known: anything that reads probabilities gets its own sigmoid.

## References
- [torch.nn.BCEWithLogitsLoss](https://docs.pytorch.org/docs/stable/generated/torch.nn.BCEWithLogitsLoss.html)
- [tf.nn.sigmoid_cross_entropy_with_logits](https://www.tensorflow.org/api_docs/python/tf/nn/sigmoid_cross_entropy_with_logits)
- [optax.sigmoid_binary_cross_entropy](https://optax.readthedocs.io/en/latest/api/losses.html)
"""

from __future__ import annotations

from collections.abc import Iterator

from finallayer.expr import MOVES, Node, through
from finallayer.findings import Match, Severity, Sighting
from finallayer.kinds import Kind
from finallayer.rules.base import Rule
from finallayer.rules.route import maker
from finallayer.rules.wording import OUTPUTS, called, made_here, rescue

RULE = Rule("FL104", "double-sigmoid", Severity.ERROR, "sigmoid outputs handed to a loss that applies sigmoid itself")


_BETWEEN = (
    "a difference of sigmoid outputs, which lies between -1 and 1: its loss never falls below 0.31; compare logits"
)


@RULE.on("bce_logits", "bce_probs", "sigmoid", "log_sigmoid")
def judge(sighting: Sighting) -> Iterator[Match]:
    match sighting.node:
        case Node(op="bce_logits", args=(Node(kind=Kind.SIGMOID_PROBS | Kind.LOG_SIGMOID as kind) as x, *_)) as loss:
            unless = f" ({rescue(loss)})" if rescue(loss) else ""
            message = f"{called(loss)} applies sigmoid itself, but is handed {OUTPUTS[kind]}{unless}: pass the logits"
            yield Match(message, related=made_here(x))
        case Node(op="bce_logits", args=(x, *_)) as loss if _is_difference(x):
            yield Match(f"{called(loss)} is handed {_BETWEEN}", related=made_here(_compared(x)))
        case Node(op="bce_probs", args=(x, *_)) as loss if maker(x).op == "sigmoid" and _is_difference(
            maker(x).args[0]
        ):
            message = f"{called(loss)} is handed the sigmoid of {_BETWEEN}"
            yield Match(message, related=made_here(_compared(maker(x).args[0])))
        case Node(op="sigmoid" | "log_sigmoid" as op, args=(Node(kind=Kind.SIGMOID_PROBS) as x,)):
            yield Match(f"{op} is applied to sigmoid outputs: apply it once, to the logits", related=made_here(x))


def _is_difference(x: Node) -> bool:
    """Whether a score is how much more likely a network finds one thing than another, or than others on average."""
    x = through(x, MOVES)
    return x.op == "sub" and all(_sigmoid_of_scores(term) for term in x.args)


def _sigmoid_of_scores(x: Node) -> bool:
    made = through(x, MOVES | {"mean"})
    return made.op == "sigmoid" and made.args[0].kind is Kind.LOGITS


def _compared(x: Node) -> Node:
    """The sigmoid on the left of a difference."""
    return through(through(x, MOVES).args[0], MOVES | {"mean"})


BAD = [
    # relativistic networks compare scores, not their sigmoids
    """
! the scores are compared with those of other samples
! none of this rule's fixes fits here
-import torch
from torch import nn

discriminator = nn.Sequential(nn.Linear(8, 1), nn.Sigmoid())
-criterion, relative = nn.BCEWithLogitsLoss(), nn.BCELoss()
+criterion, relative = nn.BCEWithLogitsLoss(), nn.BCEWithLogitsLoss()

def step(real, fake, ones):
    d_real, d_fake = discriminator(real), discriminator(fake)
    loss = criterion(d_real - d_fake.mean(), ones)  # FL104
-    return loss + relative(torch.sigmoid(d_fake - d_real), ones)  # FL104 FL302
+    return loss + relative(d_fake - d_real, ones)
""",
    """
from torch import nn

-model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 1), nn.Sigmoid())
+model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 1))
criterion = nn.BCEWithLogitsLoss()

def step(x, y):
    return criterion(model(x), y)  # FL104
""",
    """
-import torch
import torch.nn.functional as F
from torch import nn

net = nn.Linear(8, 1)

def step(x, y):
-    logits = torch.sigmoid(net(x)).squeeze(1)
+    logits = net(x).squeeze(1)
    return F.binary_cross_entropy_with_logits(logits, y)  # FL104
""",
    """
import keras

-model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1, activation="sigmoid")])
+model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1)])
model.compile(loss=keras.losses.BinaryCrossentropy(from_logits=True))  # FL104
""",
    """
import tensorflow as tf

x = tf.placeholder(tf.float32, [None, 8])
y = tf.placeholder(tf.float32, [None, 1])
hidden = tf.layers.dense(x, 16, activation=tf.nn.relu)
-out = tf.layers.dense(hidden, 1, activation=tf.nn.sigmoid)
+out = tf.layers.dense(hidden, 1)
loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=y, logits=out))  # FL104
""",
    """
import jax
import optax
from flax import linen as nn

class Net(nn.Module):
    head: str = "sigmoid"

    @nn.compact
    def __call__(self, x):
        x = nn.Dense(1)(x)
-        if self.head == "sigmoid":
-            x = nn.sigmoid(x)
        return x

def loss_fn(params, x, y):
    return optax.sigmoid_binary_cross_entropy(Net().apply(params, x), y).mean()  # FL104

grads = jax.grad(loss_fn)
""",
]

GOOD = [
    # scores are compared, and a sigmoid's outputs elsewhere
    """
import torch
from torch import nn

discriminator = nn.Linear(8, 1)
criterion = nn.BCEWithLogitsLoss()

def step(real, fake, ones):
    d_real, d_fake = discriminator(real), discriminator(fake)
    gain = (torch.sigmoid(d_real) - torch.sigmoid(d_fake)).mean()
    return criterion(d_real - d_fake.mean(), ones) - gain
""",
    # the arguments' names say which is the target, whatever both are made of
    """
import tensorflow as tf

def divergence(logits, other):
    p = tf.sigmoid(logits)
    return tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(logits=other, labels=p), axis=-1)
""",
    """
from torch import nn

model = nn.Linear(8, 1)
criterion = nn.BCEWithLogitsLoss()

def step(x, y):
    return criterion(model(x), y)
""",
    # only a part of the head reaches the loss: the sigmoid is for the other readers
    """
import torch.nn.functional as F
from torch import nn

class Confidence(nn.Module):
    def __init__(self):
        super().__init__()
        self.token = nn.Sequential(nn.Linear(8, 1), nn.Sigmoid())

    def forward(self, x):
        return self.token(x.detach())

    def loss(self, x, correct):
        return F.binary_cross_entropy_with_logits(self.token[0](x), correct)
""",
    # focal loss: the sigmoid only weighs
    """
import torch
import torch.nn.functional as F
from torch import nn

net = nn.Linear(8, 1)

def focal(x, label, gamma=2.0):
    logits = net(x)
    probs = torch.sigmoid(logits)
    weight = torch.abs(label - probs) ** gamma
    return (weight * F.binary_cross_entropy_with_logits(logits, label, reduction="none")).mean()
""",
    # gates: a sigmoid of an affine map of a sigmoid
    """
import torch
import torch.nn.functional as F
from torch import nn

squeeze, excite, head = nn.Linear(8, 2), nn.Linear(2, 8), nn.Linear(8, 1)

def step(x, y):
    gate = torch.sigmoid(excite(torch.sigmoid(squeeze(x))))
    return F.binary_cross_entropy_with_logits(head(x * gate), y)
""",
    """
import jax
import jax.numpy as jnp
import optax

def loss(params, x, y):
    logits = x @ params["w"]
    return optax.sigmoid_binary_cross_entropy(logits, y).mean()

def accuracy(params, x, y):
    return jnp.mean((x @ params["w"] > 0) == y)

grads = jax.grad(loss)
""",
]
