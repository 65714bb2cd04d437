"""Softmax over an axis of size one: the constant 1.

## What it does
Finds a softmax, or a cross-entropy that applies it, along the axis of a layer with a single unit.

## Why is this bad
Softmax divides by the sum over its axis. Over one unit that is `exp(z) / exp(z)`: 1, whatever the logits, with a
gradient of exactly 0. The model predicts the same for every sample, its loss never moves, and no weight below is
trained. Cross-entropy over one class is 0 from the first step, which can look like success.

## Example
```python
model.add(Dense(1, activation="softmax"))
model.compile(loss="binary_crossentropy")
```

## Use instead
One logit and a sigmoid inside the loss:
```python
model.add(Dense(1))
model.compile(loss=keras.losses.BinaryCrossentropy(from_logits=True))
```
or two units and a cross-entropy on logits.

## Fix safety
Safe before a binary loss: the softmax goes, the loss takes the logit, and who reads probabilities gets a sigmoid.

## References
- [Stack Overflow 45337371: a model with one softmax unit that does not learn](https://stackoverflow.com/questions/45337371)
- [Bridle 1990: Probabilistic interpretation of feedforward classification network outputs](https://doi.org/10.1007/978-3-642-76153-9_28)
"""

from __future__ import annotations

from collections.abc import Iterator

from finallayer.expr import Node
from finallayer.findings import Match, Severity, Sighting
from finallayer.kinds import Kind
from finallayer.rules.axes import Axes
from finallayer.rules.base import Rule
from finallayer.rules.route import class_axis, softmax_of, units
from finallayer.rules.wording import called, made_here

RULE = Rule("FL105", "softmax-over-one-unit", Severity.ERROR, "softmax over an axis of size 1: constant 1")

_REMEDY = "use one logit with a binary cross-entropy on logits, or a unit per class"


@RULE.on("softmax", "log_softmax", "xent_logits", "xent_probs", "bce_probs")
def judge(sighting: Sighting) -> Iterator[Match]:
    match sighting.node:
        case Node(op="xent_logits", args=(Node(kind=Kind.LOGITS) as z, *_)) as loss if units(z) == 1:
            message = f"{called(loss)} over one unit is always 0: {_REMEDY}"
            yield Match(message, related=made_here(z))
        case Node(op="xent_probs" | "bce_probs", args=(x, *_)) as loss:
            softmax = softmax_of(x)
            if softmax is None or units(softmax) != 1:
                return
            if _is_over_units(softmax) or (loss.op == "bce_probs" and _are_rows(softmax)):
                message = f"{called(loss)} is handed the softmax of one unit, which is always 1: {_REMEDY}"
                yield Match(message, related=made_here(x))
        case Node(op="softmax" | "log_softmax", args=(z,)) as softmax if units(z) == 1 and _is_over_units(softmax):
            always = 1 if softmax.op == "softmax" else 0
            yield Match(f"{softmax.op} over one unit is always {always}: {_REMEDY}", related=made_here(z))


def _is_over_units(softmax: Node) -> bool:
    """Whether the softmax runs along the layer's units for certain: attention over time has one unit, too."""
    axis, of_units = softmax.attrs.get("axis"), class_axis(softmax.args[0])
    return isinstance(axis, int) and of_units is not None and Axes.of(softmax).same(axis, of_units)


def _are_rows(softmax: Node) -> bool:
    """Whether the softmax runs along the second axis of what may have more: whose binary loss isn't one over time."""
    return softmax.attrs.get("axis") == 1 and softmax.rank is None and softmax.least_rank <= 2


BAD = [
    """
from torch import nn

-net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 1), nn.Softmax(dim=1))
-criterion = nn.BCELoss()
+net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 1))
+criterion = nn.BCEWithLogitsLoss()

def step(x, y):
    return criterion(net(x), y)  # FL105
""",
    """
import keras

-model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1, activation="softmax")])  # FL105
-model.compile(loss="binary_crossentropy")  # FL105
+model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1)])
+model.compile(loss=keras.losses.BinaryCrossentropy(from_logits=True))
""",
    """
! with several classes it is the number of units that is wrong
from keras.models import Sequential
from keras.layers import Dense

model = Sequential()
model.add(Dense(32, input_dim=8, activation="relu"))
model.add(Dense(1, activation="softmax"))  # FL105
model.compile(loss="mean_squared_error", optimizer="sgd")  # FL106
""",
    """
! with several classes it is the number of units that is wrong
import torch
from torch import nn

head = nn.Sequential(nn.Linear(16, 1), nn.Softmax(dim=-1))  # FL105

def predict(x):
    return head(x)
""",
    """
! with several classes it is the number of units that is wrong
from torch import nn

model = nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 1))
criterion = nn.CrossEntropyLoss()

def step(x, y):
    return criterion(model(x), y)  # FL105
""",
    """
! with several classes it is the number of units that is wrong
import tensorflow as tf

x = tf.placeholder(tf.float32, [None, 8])
y = tf.placeholder(tf.float32, [None, 1])
logits = tf.layers.dense(x, 1)
loss = tf.nn.softmax_cross_entropy_with_logits(labels=y, logits=logits)  # FL105
""",
    """
! with several classes it is the number of units that is wrong
import jax
from flax import linen as nn

class Net(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.softmax(nn.Dense(1)(x))  # FL105

def predict(params, x):
    return Net().apply(params, x)
""",
]

GOOD = [
    # attention from pairs: a column plus a row is a square
    """
import tensorflow as tf

def attend(sequence, bias):
    f_1 = tf.layers.conv1d(sequence, 1, 1)
    f_2 = tf.layers.conv1d(sequence, 1, 1)
    return tf.nn.softmax(tf.nn.leaky_relu(f_1 + tf.transpose(f_2, [0, 2, 1])) + bias)
""",
    """
import keras

model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1)])
model.compile(loss=keras.losses.BinaryCrossentropy(from_logits=True))
""",
    # attention over time: one score for each step, softmax along the steps
    """
import torch
from torch import nn

class Pool(nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.score = nn.Linear(hidden, 1)

    def forward(self, h):
        weights = torch.softmax(self.score(h), dim=1)
        return (weights * h).sum(1)

pooled = Pool(16)(torch.zeros(2, 5, 16))
""",
    """
import torch
from torch import nn

score = nn.Linear(16, 1)

def attend(h):
    weights = torch.softmax(score(h).squeeze(-1), dim=-1)
    return torch.einsum("bt,bth->bh", weights, h)
""",
    """
from keras import layers

def attend(h):
    e = layers.Dense(1, activation="tanh")(h)
    e = layers.Flatten()(e)
    a = layers.Activation("softmax")(e)
    return layers.Dot(axes=1)([a, h])
""",
    """
import tensorflow as tf

V = tf.keras.layers.Dense(1)

def attend(score, values):
    weights = tf.nn.softmax(V(score), axis=1)
    return tf.reduce_sum(weights * values, axis=1)
""",
    # one unit for each candidate, cross-entropy among the candidates
    """
import torch
import torch.nn.functional as F
from torch import nn

score = nn.Linear(16, 1)

def rank(candidates, y):
    return F.cross_entropy(score(candidates).view(-1, 4), y)
""",
    # one filter, but channels first: Keras' softmax runs along the last axis, the width
    """
import keras
from keras.layers import Conv2D, Flatten

board = [keras.Input((4, 9, 9)), Conv2D(1, 1, data_format="channels_first", activation="softmax"), Flatten()]
move = keras.Sequential(board)
""",
    # as many classes as a file has, and one more
    """
import keras

def make(coco):
    numbers = {key: i for i, key in enumerate(coco.getCatIds())}
    names = ["background"] + [coco.loadCats(key)[0]["name"] for key in numbers.keys()]
    return keras.Sequential([keras.Input((8,)), keras.layers.Dense(len(names), activation="softmax")])
""",
]
