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
Safe for a threshold: 0 on logits says the same as 0.5 on probabilities. A metric over many thresholds, such as Keras'
`AUC`, takes `from_logits=True`.

## References
- [Keras accuracy metrics: threshold](https://keras.io/api/metrics/accuracy_metrics/)
- [Keras AUC: from_logits](https://keras.io/api/metrics/classification_metrics/)
"""

from __future__ import annotations

from collections.abc import Iterator

from finallayer.expr import Node
from finallayer.kinds import PROBABILITY_KINDS, Kind
from finallayer.rules.base import Match, Rule, Severity, Sighting
from finallayer.rules.wording import OUTPUTS, called, made_here

RULE = Rule(
    "FL108", "metric-kind", Severity.ERROR, "a metric or threshold for probabilities handed logits, or the reverse"
)


# `loss` is the operation of the loss that trains the same value. An affine map's output is known to be logits only
# where that is a loss on logits: one that is trained by a squared error may well be read at 0.5.
@RULE.on("metric", "threshold")
def judge(sighting: Sighting) -> Iterator[Match]:
    match sighting.node:
        case (
            Node(
                op="metric",
                args=(Node(kind=Kind.LOGITS) as x, *_),
                attrs={"reads": "probs", "loss": "bce_logits" | "xent_logits"},
            ) as metric
        ):
            message = (
                f"{called(metric)} reads probabilities, but is handed logits: set its threshold to 0, or apply sigmoid"
            )
            yield Match(message, related=made_here(x))
        case Node(op="metric", args=(Node(kind=kind) as x, *_), attrs={"reads": "logits"}) as metric if (
            kind in PROBABILITY_KINDS
        ):
            yield Match(f"{called(metric)} reads logits, but is handed {OUTPUTS[kind]}", related=made_here(x))
        case Node(
            op="threshold",
            args=(Node(kind=Kind.LOGITS) as x, *_),
            attrs={"value": int() | float() as value, "loss": "bce_logits"},
        ) if 0 < value < 1:
            yield Match(f"logits are read at {value:g}, a threshold for probabilities: use 0", related=made_here(x))
        case Node(op="threshold", args=(Node(kind=Kind.SIGMOID_PROBS) as x, *_), attrs={"value": 0}):
            message = "sigmoid outputs are always above 0, a threshold for logits: use 0.5"
            yield Match(message, related=made_here(x))


BAD = [
    """
import keras

model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1)])
loss = keras.losses.BinaryCrossentropy(from_logits=True)
model.compile(loss=loss, metrics=[keras.metrics.BinaryAccuracy()])  # FL108
""",
    """
import torch
from torch import nn

net = nn.Linear(8, 1)
criterion = nn.BCEWithLogitsLoss()

def step(x, y):
    out = net(x)
    loss = criterion(out, y)
    predicted = (out > 0.5).float()  # FL108
    return loss, (predicted == y).float().mean()
""",
    """
import torch
from torch import nn

net = nn.Sequential(nn.Linear(8, 1), nn.Sigmoid())

def predict(x):
    return net(x) > 0  # FL108
""",
    """
import jax
import jax.numpy as jnp
import optax

def loss_fn(params, x, y):
    logits = x @ params["w"]
    accuracy = jnp.mean((logits > 0.5) == y)  # FL108
    return optax.sigmoid_binary_cross_entropy(logits, y).mean(), accuracy

grads = jax.value_and_grad(loss_fn, has_aux=True)
""",
]

GOOD = [
    """
import keras

model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1)])
loss = keras.losses.BinaryCrossentropy(from_logits=True)
model.compile(loss=loss, metrics=[keras.metrics.BinaryAccuracy(threshold=0.0)])
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
]
