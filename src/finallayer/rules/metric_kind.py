"""A metric or a threshold that reads probabilities, handed logits, or the reverse.

## What it does
Finds outputs that a loss on logits trains and that are then read as probabilities: compared with 0.5, rounded, or
handed to a metric with a threshold between 0 and 1. And sigmoid outputs compared with 0.

## Why is this bad
A logit of 0 is a probability of 0.5. Read at 0.5, logits between 0 and 0.5 count as "no" although the model says yes
with up to 62 %: accuracy, precision and recall are those of another classifier. An AUC over thresholds in [0, 1] lumps
all logits outside together. The other way round, every sigmoid output is above 0: the answer is always yes. Training
is sound, so nothing shows, but every number that is reported, and every checkpoint chosen by it, is wrong.

## Example
```python
model = keras.Sequential([keras.layers.Dense(1)])
model.compile(loss=keras.losses.BinaryCrossentropy(from_logits=True), metrics=[keras.metrics.BinaryAccuracy()])
```

## Use instead
```python
model = keras.Sequential([keras.layers.Dense(1)])
model.compile(
    loss=keras.losses.BinaryCrossentropy(from_logits=True),
    metrics=[keras.metrics.BinaryAccuracy(threshold=0)],
)
```

## Fix safety
Safe for a threshold of 0.5, which becomes 0: on logits that says the same. What is rounded goes through a sigmoid
first. A metric over many thresholds or of a logarithm gets `from_logits=True`. Unsafe for Keras' `BinaryAccuracy`:
Keras 3.0 to 3.4 refuse a threshold of 0 with an error, where they can run the program at all.

## References
- [Keras accuracy metrics: threshold](https://keras.io/api/metrics/accuracy_metrics/)
- [Keras AUC: from_logits](https://keras.io/api/metrics/classification_metrics/)
"""

from __future__ import annotations

from collections.abc import Iterator
from math import log

from finallayer.expr import ON_LOGITS, Node
from finallayer.findings import Match, Severity, Sighting
from finallayer.kinds import Kind
from finallayer.rules.base import Rule
from finallayer.rules.bounds import interval
from finallayer.rules.wording import called, made_here

RULE = Rule(
    "FL108", "metric-kind", Severity.ERROR, "a metric or threshold for probabilities handed logits, or the reverse"
)


# `loss` is the operation of the loss that is handed the same value: what a loss on logits trains is logits, whoever
# made it. Without one an affine map's output may be anything (one that a squared error trains may well be read at 0.5),
# except to a metric that takes its log.
@RULE.on("metric", "threshold")
def judge(sighting: Sighting) -> Iterator[Match]:
    match sighting.node:
        case Node(args=(Node(kind=Kind.LOGITS | Kind.UNKNOWN) as x, *_), attrs={"loss": loss}) as reader if (
            loss in ON_LOGITS and _is_for_probabilities(reader)
        ):
            message = f"{_reads(reader)} probabilities, but is handed logits: use {_remedy(reader)}"
            yield Match(message, related=made_here(x))
        case Node(args=(Node(kind=Kind.LOGITS) as x, *_), attrs={"reads": "logs", "from_logits": False}) as reader if (
            interval(x)[0] < 0
        ):
            message = f"{_reads(reader)} probabilities, but is handed logits: use {_remedy(reader)}"
            yield Match(message, related=made_here(x))
        case Node(args=(Node(kind=Kind.SIGMOID_PROBS) as x, *_)) as reader if _is_for_logits(reader):
            message = f"{_reads(reader)} logits, but is handed sigmoid outputs: use a threshold of 0.5"
            yield Match(message, related=made_here(x))


def _is_for_probabilities(reader: Node) -> bool:
    """A threshold strictly between 0 and 1, or a metric that has no single one, such as an area under a curve."""
    at = reader.attrs.get("value")
    if isinstance(at, (int, float)):
        return 0 < at < 1
    return at is None and reader.attrs.get("reads") in ("probs", "logs") and reader.attrs.get("from_logits") is not True


def _is_for_logits(reader: Node) -> bool:
    """A threshold of 0: every probability lies above it."""
    at = reader.attrs.get("value")
    return isinstance(at, (int, float)) and at == 0


def _remedy(reader: Node) -> str:
    """What makes it right: of several classes, no single logit says what their softmax does."""
    at = reader.attrs.get("value", 0.5)
    if reader.attrs.get("loss") == "xent_logits" and reader.attrs.get("reads") != "logs":
        return "softmax first"
    if isinstance(at, (int, float)) and 0 < at < 1 and at != 0.5:
        return f"a threshold of {log(at / (1 - at)):.3g}, or apply sigmoid"
    return str(reader.attrs.get("on_logits", "a threshold of 0, or apply sigmoid"))


def _reads(reader: Node) -> str:
    return f"{called(reader)} reads" if reader.op == "metric" else f"a threshold of {reader.attrs['value']:g} is for"


BAD = [
    # the loss stands in another function, on another batch
    """
import tensorflow as tf

model = tf.keras.Sequential([tf.keras.layers.Dense(10)])
-losses = tf.keras.metrics.SparseCategoricalCrossentropy()
+losses = tf.keras.metrics.SparseCategoricalCrossentropy(from_logits=True)

def evaluate(batches):
    for x, y in batches:
-        losses.update_state(y, model(x, training=False))  # FL108
+        losses.update_state(y, model(x, training=False))
    return losses.result()
""",
    """
import keras

model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
loss = keras.losses.CategoricalCrossentropy(from_logits=True)
model.compile(loss=loss, metrics=[  # FL108
    "accuracy",
-    "categorical_crossentropy",
+    keras.metrics.CategoricalCrossentropy(name="categorical_crossentropy", from_logits=True),
])
""",
    """
? Keras 3.0 to 3.4 take no threshold of 0
import keras

model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1)])
loss = keras.losses.BinaryCrossentropy(from_logits=True)
-model.compile(loss=loss, metrics=[keras.metrics.BinaryAccuracy()])  # FL108
+model.compile(loss=loss, metrics=[keras.metrics.BinaryAccuracy(threshold=0)])
""",
    """
import torch
from torch import nn

net = nn.Linear(8, 1)
criterion = nn.BCEWithLogitsLoss()

def step(x, y):
    out = net(x)
    loss = criterion(out, y)
-    predicted = (out > 0.5).float()  # FL108
+    predicted = (out > 0).float()
    return loss, (predicted == y).float().mean()
""",
    """
! the numbers themselves matter, too, as whole ones or beside the comparison
import torch
from torch import nn

net = nn.Linear(8, 1)
criterion = nn.BCEWithLogitsLoss()

def step(x, y):
    out = net(x)
    sure = out[out > 0.5]  # FL108
    return criterion(out, y), sure.mean(), out.long() > 0.5  # FL108
""",
    """
! another loss reads the same logits: 0.5 may be where that one puts its targets
import torch
from torch import nn

net = nn.Linear(8, 1)

def step(x, y, regression):
    out = net(x)
    loss = nn.functional.mse_loss(out, y) if regression else nn.functional.binary_cross_entropy_with_logits(out, y)
    return loss, out > 0.5  # FL108
""",
    """
! a probability is compared with 0, which may guard a logarithm
import torch
from torch import nn

net = nn.Sequential(nn.Linear(8, 1), nn.Sigmoid())

def predict(x):
    return net(x) > 0  # FL108
""",
    """
! the metric is one in which Keras 2 takes no logits, such as `Precision` and `Recall`
import tensorflow as tf

model = tf.keras.Sequential([tf.keras.layers.Dense(1, input_shape=(8,))])
loss = tf.keras.losses.BinaryCrossentropy(from_logits=True)
model.compile("adam", loss, metrics=[tf.keras.metrics.Precision()])  # FL108
""",
    """
import jax
import jax.numpy as jnp
import optax

def loss_fn(params, x, y):
    logits = x @ params["w"]
-    accuracy = jnp.mean((logits > 0.5) == y)  # FL108
+    accuracy = jnp.mean((logits > 0) == y)
    return optax.sigmoid_binary_cross_entropy(logits, y).mean(), accuracy

grads = jax.value_and_grad(loss_fn, has_aux=True)
""",
]

GOOD = [
    """
import keras

model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
loss = keras.losses.CategoricalCrossentropy(from_logits=True)
model.compile(loss=loss, metrics=["mse", "hinge", keras.metrics.CategoricalCrossentropy(from_logits=True)])
""",
    """
import keras

model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1)])
loss = keras.losses.BinaryCrossentropy(from_logits=True)
model.compile(loss=loss, metrics=[keras.metrics.BinaryAccuracy(threshold=0.0)])
""",
    """
import keras

model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1)])
loss = keras.losses.BinaryCrossentropy(from_logits=True)
model.compile(loss=loss, metrics=[keras.metrics.AUC(from_logits=True)])
""",
    # the model's own class says what its metrics are handed
    """
import keras

class Model(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(1)

    def call(self, x):
        return self.dense(x)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        return super().compute_metrics(x, y, keras.ops.sigmoid(y_pred), sample_weight)

model = Model()
model.compile(loss=keras.losses.BinaryCrossentropy(from_logits=True), metrics=[keras.metrics.AUC()])
""",
    # seven units, though each step has one: Keras' "accuracy" asks which is the greatest
    """
import keras

model = keras.Sequential([keras.Input((7, 4)), keras.layers.Dense(1), keras.layers.Flatten()])
model.compile(loss=keras.losses.BinaryCrossentropy(from_logits=True), metrics=["accuracy"])
""",
    # another head of the same shape
    """
import torch
from torch import nn

body, present, amount = nn.Linear(8, 16), nn.Linear(16, 1), nn.Linear(16, 1)
criterion = nn.BCEWithLogitsLoss()

def step(x, y):
    h = torch.relu(body(x))
    return criterion(present(h), y), amount(h) > 0.5
""",
    # argmax reads logits and probabilities alike
    """
import keras

model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(3)])
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(loss=loss, metrics=["accuracy", keras.metrics.SparseCategoricalAccuracy()])
""",
    """
import torch
from torch import nn

net = nn.Linear(8, 1)
criterion = nn.BCEWithLogitsLoss()

def step(x, y):
    out = net(x)
    loss = criterion(out, y)
    predicted = torch.sigmoid(out) > 0.5
    same = out > 0
    return loss, predicted, same
""",
    # a regression read at 0.5
    """
import torch
from torch import nn

net = nn.Linear(8, 1)

def step(x, y):
    out = net(x)
    return nn.functional.mse_loss(out, y), (out > 0.5).float()
""",
    # a mask of what softmax left above zero
    """
import torch

def mask(scores):
    weights = torch.softmax(scores, dim=-1)
    return weights * (weights > 0)
""",
    # a check that these are probabilities, which decides nothing
    """
import jax
import jax.numpy as jnp

def test_range(self, w, x):
    p = jax.nn.sigmoid(x @ w)
    self.assertTrue(jnp.all(p >= 0) and jnp.all(p <= 1))
""",
]
