"""Logits handed to a loss that takes probabilities.

## What it does
Finds the outputs of a layer without softmax or sigmoid (or log-probabilities) that reach a loss on probabilities:
Keras' cross-entropies with `from_logits=False`, which is their default, `BCELoss`, `log_loss`, a hand-written `-sum(y
* log(p))` and the like.

## Why is this bad
The loss takes the log of its input. Logits are any real numbers: PyTorch's `BCELoss` raises an error outside [0, 1],
TensorFlow's `log_loss` gives NaN for a negative one, and Keras clips every value to [1e-7, 1 - 1e-7] (its categorical
cross-entropy divides the row by its sum first): what lies outside gets no gradient at all, and the model learns little
or nothing, without a word of warning.

## Example
```python
model = keras.Sequential([keras.layers.Dense(10)])
model.compile(loss="sparse_categorical_crossentropy")
```

## Use instead
```python
model = keras.Sequential([keras.layers.Dense(10)])
model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
```

## Fix safety
Safe: telling the loss that it gets logits, or a log that it is one of a softmax, changes nothing but the loss. What
reads the output as probabilities was wrong before and stays so: apply softmax or sigmoid there. None where the output
is a tanh's or a relu's, of which no class, or every one, could become certain.

## References
- [Keras probabilistic losses: from_logits](https://keras.io/api/losses/probabilistic_losses/)
- [torch.nn.BCELoss](https://docs.pytorch.org/docs/stable/generated/torch.nn.BCELoss.html)
- [torch.nn.BCEWithLogitsLoss](https://docs.pytorch.org/docs/stable/generated/torch.nn.BCEWithLogitsLoss.html)
"""

from __future__ import annotations

from collections.abc import Iterator

from finallayer.expr import TRANSPARENT, Node, through
from finallayer.findings import Match, Severity, Sighting
from finallayer.formulas import sides
from finallayer.kinds import LOG_KINDS, PROBABILITY_KINDS, Kind
from finallayer.rules.base import Rule
from finallayer.rules.bounds import interval
from finallayer.rules.route import units
from finallayer.rules.wording import OUTPUTS, called, made_here, on_logits

RULE = Rule("FL102", "logits-as-probabilities", Severity.ERROR, "logits handed to a loss that takes probabilities")


@RULE.on("xent_probs", "bce_probs", "kl_probs", "log")
def judge(sighting: Sighting) -> Iterator[Match]:
    match sighting.node:
        case Node(op="log", attrs=attrs) as log:
            x = _scores_of(log)
            if x is not None and ("of_classes" in attrs or "of_outcome" in attrs) and "no_loss" not in attrs:
                use = "log_sigmoid, or a binary cross-entropy" if "of_outcome" in attrs else "log_softmax, or a loss"
                yield Match(f"a cross-entropy takes the log of logits: use {use} on logits", related=made_here(x))
        case Node(args=(Node(kind=Kind.LOGITS) as x, *_)) as loss if not (
            _may_be_probabilities(x) or _is_picture(sighting, x)
        ):
            message = f"{called(loss)} takes probabilities, but is handed logits: use {on_logits(loss)}"
            yield Match(message, related=made_here(x))
        case Node(args=(Node(kind=kind) as x, *_)) as loss if kind in LOG_KINDS:
            message = f"{called(loss)} takes probabilities, but is handed {OUTPUTS[kind]}: use a loss on logits"
            yield Match(message, related=made_here(x))


def _scores_of(log: Node) -> Node | None:
    """The logits in a log or, where that is of a quotient, on one side of it. Probabilities times a matrix aren't any:
    of transitions, say, or of confusions."""
    found = [x for x, _ in sides(log) if x.kind is Kind.LOGITS and not _may_be_probabilities(log.args[0])]
    mixed = any(x.op == "matmul" and any(a.kind in PROBABILITY_KINDS for a in x.args) for x in found)
    return found[0] if len(found) == 1 and not mixed else None


def _may_be_probabilities(x: Node) -> bool:
    """A clip or a hard sigmoid may have brought scores to [0, 1]."""
    low, high = interval(x)
    return low >= 0 and high <= 1


def _is_picture(sighting: Sighting, x: Node) -> bool:
    """Whether a model is compiled with a binary loss on a tanh of more units than two outcomes have, or of many axes: a
    generator, compiled for ``predict``'s sake and trained through its discriminator."""
    head = through(x, TRANSPARENT)
    is_tanh = head.op == "activation" and str(head.attrs.get("name", "")).rpartition(".")[2] == "tanh"
    is_compiled = sighting.compiled and sighting.node.op == "bce_probs"
    return is_compiled and is_tanh and (units(x) not in (1, 2) or (head.rank or 0) > 2)


BAD = [
    # a tanh of many units is no generator's where the loss trains it here and now
    """
! the output is a tanh's, of which no class could ever become certain
import tensorflow as tf

net = tf.keras.Sequential([tf.keras.layers.Dense(64), tf.keras.layers.Dense(8, activation="tanh")])
bce = tf.keras.losses.BinaryCrossentropy()

def train_step(x, y):
    with tf.GradientTape() as tape:
        loss = bce(y, net(x))  # FL102
    return tape.gradient(loss, net.trainable_variables)
""",
    """
! the output is a tanh's, of which no class could ever become certain
from keras.models import Sequential
from keras.layers import Dense

model = Sequential([Dense(8, input_dim=4, activation="relu"), Dense(2, activation="tanh")])
model.compile(loss="binary_crossentropy", optimizer="sgd")  # FL102
""",
    """
! the output is a tanh's, of which no class could ever become certain
from keras.models import Sequential
from keras.layers import Dense

model = Sequential([Dense(8, input_dim=4, activation="relu"), Dense(1, activation="tanh")])
model.compile(loss="binary_crossentropy", optimizer="sgd")  # FL102
""",
    """
import keras

model = keras.Sequential([keras.Input((20,)), keras.layers.Dense(64, activation="relu"), keras.layers.Dense(10)])
-model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")  # FL102
+model.compile(optimizer="adam", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
""",
    """
import keras

inputs = keras.Input((32, 32, 3))
x = keras.layers.Conv2D(16, 3, activation="relu")(inputs)
x = keras.layers.GlobalAveragePooling2D()(x)
outputs = keras.layers.Dense(1)(x)
model = keras.Model(inputs, outputs)
-model.compile(loss=keras.losses.BinaryCrossentropy())  # FL102
+model.compile(loss=keras.losses.BinaryCrossentropy(from_logits=True))
""",
    """
from tensorflow.keras import layers, models, losses

model = models.Sequential()
model.add(layers.Dense(32, activation="tanh", input_shape=(8,)))
model.add(layers.Dense(4))
-model.compile("sgd", losses.categorical_crossentropy)  # FL102
+model.compile("sgd", losses.CategoricalCrossentropy(from_logits=True))
""",
    """
import tensorflow as tf

dense = tf.keras.layers.Dense(10)

def train_step(x, y):
    with tf.GradientTape() as tape:
-        loss = tf.keras.losses.sparse_categorical_crossentropy(y, dense(x))  # FL102
+        loss = tf.keras.losses.sparse_categorical_crossentropy(y, dense(x), from_logits=True)
    return tape.gradient(loss, dense.trainable_variables)
""",
    """
import torch
from torch import nn

net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 1))
-criterion = nn.BCELoss()
+criterion = nn.BCEWithLogitsLoss()

def step(x, y):
    return criterion(net(x), y)  # FL102
""",
    """
! log-probabilities are handed over, which are no logits
import torch.nn.functional as F
from torch import nn

net = nn.Linear(8, 4)

def step(x, y):
    return F.binary_cross_entropy(F.logsigmoid(net(x)), y)  # FL102
""",
    """
import tensorflow as tf

x = tf.placeholder(tf.float32, [None, 8])
y = tf.placeholder(tf.float32, [None, 1])
out = tf.layers.dense(x, 1)
-loss = tf.losses.log_loss(y, out)  # FL102
+loss = tf.losses.sigmoid_cross_entropy(y, out)
""",
    """
import tensorflow as tf

x = tf.placeholder(tf.float32, [None, 784])
y = tf.placeholder(tf.float32, [None, 10])
scores = tf.layers.dense(x, 10)
-loss = tf.reduce_mean(-tf.reduce_sum(y * tf.log(scores), axis=1))  # FL102
+loss = tf.reduce_mean(-tf.reduce_sum(y * tf.nn.log_softmax(scores), axis=1))
""",
    """
! the output is a relu's, and so no logits
import tensorflow as tf

x = tf.placeholder(tf.float32, [None, 784])
y = tf.placeholder(tf.float32, [None, 10])
prediction = tf.nn.relu(tf.layers.dense(x, 10))
loss = tf.reduce_mean(-tf.reduce_sum(y * tf.log(prediction), axis=1))  # FL102
""",
]

GOOD = [
    # a generator is compiled, though nothing trains it by that loss; its pictures go from -1 to 1
    """
from keras.models import Sequential
from keras.layers import Activation, Conv2D, Dense, Reshape

generator = Sequential([Dense(784, input_dim=100), Reshape((28, 28, 1)), Conv2D(1, 5, padding="same")])
generator.add(Activation("tanh"))
generator.compile(loss="binary_crossentropy", optimizer="sgd")
""",
    """
import keras

model = keras.Sequential([keras.Input((20,)), keras.layers.Dense(10)])
model.compile(optimizer="adam", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
""",
    """
import torch
from torch import nn

net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 1))
criterion = nn.BCEWithLogitsLoss()

def step(x, y):
    return criterion(net(x).squeeze(1), y)
""",
    # regression
    """
import keras

model = keras.Sequential([keras.Input((20,)), keras.layers.Dense(1)])
model.compile(loss="mse", metrics=["mae"])
""",
    # a Gaussian's log-likelihood takes the log of a scale, and adds it
    """
import torch
from torch import nn

mean, scale = nn.Linear(8, 1), nn.Sequential(nn.Linear(8, 1), nn.ReLU())

def nll(x, y):
    sigma = scale(x) + 1e-3
    return (torch.log(sigma) + 0.5 * ((y - mean(x)) / sigma) ** 2).mean()
""",
    # what a model imported from elsewhere gives isn't known
    """
import torch.nn.functional as F
from somewhere import build

net = build()

def step(x, y):
    return F.binary_cross_entropy(net(x), y)
""",
    # scores clipped to [0, 1] may be meant as probabilities
    """
import torch
import torch.nn.functional as F
from torch import nn

net = nn.Linear(8, 1)

def step(x, y):
    return F.binary_cross_entropy(torch.clamp(net(x), 0.0, 1.0), y)
""",
    """
import tensorflow as tf

generator = tf.keras.layers.Dense(1)
cross_entropy = tf.keras.losses.BinaryCrossentropy(from_logits=True)

def generator_loss(noise):
    fake = generator(noise)
    return cross_entropy(tf.ones_like(fake), fake)
""",
]
