"""A head and a loss that belong to different problems.

## What it does
Finds softmax outputs that reach a binary cross-entropy, sigmoid outputs that reach a categorical one, and softmax
outputs that reach a mean squared error against labels.

## Why is this bad
Softmax says that exactly one of the classes is true, sigmoid says so of each class on its own; each has its loss.

- Softmax + binary cross-entropy asks one distribution to answer C yes-or-no questions. In Keras it is two programs: on
  the TensorFlow backend in float32 the loss finds the logits behind the softmax and takes their *sigmoid*, so the
  model is trained as C sigmoids and read as a softmax; on the other backends it is trained on the softmax. In older
  Keras `metrics=["accuracy"]` turns into binary accuracy on top: 0.9 for ten classes and a model that knows nothing.
- Sigmoid + categorical cross-entropy has no term that pushes the other classes down (`NLLLoss`, hand-written losses),
  or divides the sigmoids by their sum (Keras): where they saturate together, no class can be told from another. On the
  TensorFlow backend in float32 the loss takes the softmax of the logits behind them instead.
- Softmax + mean squared error has the gradient `x * (d - sum(x * d))` with `d = x - p`: it vanishes where the model is
  surely wrong just as where it is surely right, so the worst samples stop teaching.

A softmax over two units with binary cross-entropy is right where the loss is handed it: both its terms are the target's
log-likelihood. In Keras that is so on the JAX and torch backends only. On the TensorFlow backend in float32 the loss
goes back to the two logits and trains each as a sigmoid of its own: for logits of 2 and 1, the first class being true,
it is 0.720 instead of 0.313. That is reported as advice; so is a softmax over a number of classes that nobody knows.

## Example
```python
model.add(Dense(10, activation="softmax"))
model.compile(loss="binary_crossentropy", metrics=["accuracy"])
```

## Use instead
One class of several: logits and a categorical cross-entropy.
```python
model.add(Dense(10))
model.compile(loss=keras.losses.CategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
```
Any number of classes at once: logits and a binary cross-entropy.
```python
model.add(Dense(10))
model.compile(loss=keras.losses.BinaryCrossentropy(from_logits=True))
```

## Fix safety
Safe where the labels are whole numbers, as a sparse loss reads them: the sigmoid goes, and the loss takes logits.
Unsafe where they may say that several classes are true at once.

## References
- [Keras probabilistic losses](https://keras.io/api/losses/probabilistic_losses/)
- [torch.nn.BCEWithLogitsLoss](https://docs.pytorch.org/docs/stable/generated/torch.nn.BCEWithLogitsLoss.html)
- [Golik, Doetsch, Ney 2013: Cross-entropy vs. squared error training](https://www.isca-archive.org/interspeech_2013/golik13_interspeech.html)
"""

from __future__ import annotations

from collections.abc import Iterator

from finallayer.expr import OPERATIONS, PICKS, TRANSPARENT, Node, Role, having, scores, through
from finallayer.findings import Match, Severity, Sighting
from finallayer.kinds import Kind
from finallayer.rules.base import Rule
from finallayer.rules.route import maker, units
from finallayer.rules.wording import OUTPUTS, called, made_here, rescue

RULE = Rule(
    "FL106",
    "mismatched-head",
    Severity.ERROR,
    "softmax into binary cross-entropy, sigmoid into categorical, softmax into squared error",
)

_WHOLE_ROW = TRANSPARENT - PICKS
_PER_CHANNEL = frozenset(op for op in having(Role.LAYER) if OPERATIONS[op].gives is scores)


@RULE.on("xent_logits", "xent_probs", "nll", "bce_logits", "bce_probs", "mse")
def judge(sighting: Sighting) -> Iterator[Match]:
    match sighting.node:
        case Node(op="bce_probs", args=(Node(kind=Kind.PROBS) as x, *_)) as loss if _is_row_of_classes(x):
            backend = loss.attrs.get("rescued_by")
            unless = f" ({backend} trains their logits as sigmoids)" if backend else ""
            message = (
                f"{called(loss)} is a loss for independent classes, but is handed a softmax over {_classes(x)}: "
                f"use a categorical cross-entropy{unless}"
            )
            yield Match(message, related=made_here(x))
        case Node(op="bce_probs", args=(Node(kind=Kind.PROBS) as x, *_)) as loss if _is_taken_apart(loss, x):
            message = (
                f"{called(loss)} on a softmax {_if_over_two(x)} the categorical cross-entropy on some backends only: "
                f"{loss.attrs['rescued_by']} trains their logits as sigmoids; use a categorical cross-entropy"
            )
            yield Match(message, related=made_here(x), severity=Severity.ADVICE)
        case Node(op="bce_logits", args=(Node(kind=Kind.PROBS | Kind.LOG_PROBS as kind) as x, *_)) as loss:
            message = f"{called(loss)} applies sigmoid itself, but is handed {OUTPUTS[kind]}: pass the logits"
            yield Match(message, related=made_here(x))
        case (
            Node(
                op="xent_logits" | "xent_probs",
                args=(Node(kind=Kind.SIGMOID_PROBS | Kind.LOG_SIGMOID as kind) as x, *_),
            )
            | Node(op="nll", args=(Node(kind=Kind.LOG_SIGMOID as kind) as x, *_))
        ):
            message = (
                f"{called(sighting.node)} is a loss for one class of several, but is handed {OUTPUTS[kind]}: "
                "pass logits, or use a binary cross-entropy for independent classes"
            )
            yield Match(message, related=made_here(x))
        case Node(op="mse", args=(Node(kind=Kind.PROBS) as x, *target)) as loss if _is_against_labels(loss, target):
            message = (
                f"{called(loss)} on softmax outputs: its gradient vanishes where the model is surely wrong; "
                "use a cross-entropy on the logits"
            )
            yield Match(message, related=made_here(x))


def _is_row_of_classes(x: Node) -> bool:
    """Whether all classes of a softmax are there, and for certain more than two: one class alone may be asked for."""
    return through(x, _WHOLE_ROW).op == "softmax" and (_classes(x) or 0) > 2


def _is_taken_apart(loss: Node, x: Node) -> bool:
    """Whether a loss may go back to the logits of a softmax over two, for all we know, of which each is then a
    sigmoid's."""
    return bool(rescue(loss)) and _classes(x) in (2, None)


def _if_over_two(x: Node) -> str:
    return "over 2 is" if _classes(x) == 2 else "is for independent classes, and over two of them"


def _classes(x: Node) -> int | None:
    """Over how many classes a softmax goes; pooling a convolution over the picture leaves its channels."""
    softmax = through(x, _WHOLE_ROW)
    return units(softmax) or units(through(softmax.args[0], _PER_CHANNEL))


def _is_against_labels(loss: Node, target: list[Node]) -> bool:
    """Whether a squared error compares a classifier's softmax with labels."""
    scores = maker(loss.args[0]).args
    is_classifier = any(z.kind is Kind.LOGITS for z in scores)
    return is_classifier and any(y.kind is Kind.TARGET for y in target)


BAD = [
    """
import keras

-model = keras.Sequential([keras.Input((20,)), keras.layers.Dense(5, activation="sigmoid")])
-model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])  # FL106
+model = keras.Sequential([keras.Input((20,)), keras.layers.Dense(5)])
+model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
""",
    """
? where several classes may be true at once, it is the softmax that is wrong
from keras import layers, models
+from keras.losses import CategoricalCrossentropy

model = models.Sequential([layers.Input((32, 32, 3)), layers.Conv2D(10, 1, activation="relu")])
model.add(layers.GlobalAveragePooling2D())
-model.add(layers.Activation("softmax"))
-model.compile(loss="binary_crossentropy", metrics=["accuracy"])  # FL106
+model.compile(loss=CategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
""",
    """
? where several classes may be true at once, it is the softmax that is wrong
import keras

-model = keras.Sequential([keras.Input((784,)), keras.layers.Dense(10, activation="softmax")])
-model.compile(loss="binary_crossentropy")  # FL106
+model = keras.Sequential([keras.Input((784,)), keras.layers.Dense(10)])
+model.compile(loss=keras.losses.CategoricalCrossentropy(from_logits=True))
""",
    """
? where several classes may be true at once, it is the loss that is wrong
from keras.models import Sequential
from keras.layers import Dense
+from keras.losses import CategoricalCrossentropy

model = Sequential()
model.add(Dense(64, activation="relu", input_dim=20))
-model.add(Dense(5, activation="sigmoid"))
-model.compile(optimizer="adam", loss="categorical_crossentropy")  # FL106
+model.add(Dense(5))
+model.compile(optimizer="adam", loss=CategoricalCrossentropy(from_logits=True))
""",
    # two units: only on some backends is a softmax as good as a sigmoid
    """
? where several classes may be true at once, it is the softmax that is wrong
import keras

-model = keras.Sequential([keras.Input((12,)), keras.layers.Dense(2, activation="softmax")])
-model.compile(loss="binary_crossentropy", optimizer="sgd")  # FL106
+model = keras.Sequential([keras.Input((12,)), keras.layers.Dense(2)])
+model.compile(loss=keras.losses.CategoricalCrossentropy(from_logits=True), optimizer="sgd")
""",
    # as many as another file says: for more than two it is another problem's loss, whatever the backend
    """
? where several classes may be true at once, it is the softmax that is wrong
import keras
from labels import classes

-model = keras.Sequential([keras.Input((12,)), keras.layers.Dense(len(classes), activation="softmax")])
-model.compile(loss="binary_crossentropy", optimizer="sgd")  # FL106
+model = keras.Sequential([keras.Input((12,)), keras.layers.Dense(len(classes))])
+model.compile(loss=keras.losses.CategoricalCrossentropy(from_logits=True), optimizer="sgd")
""",
    """
! only the author knows which of the two problems was meant
import keras

inputs = keras.Input((20,))
outputs = keras.layers.Dense(3, activation="softmax")(inputs)
model = keras.Model(inputs, outputs)
model.compile(loss="mse")  # FL106
""",
    """
! only the author knows which of the two problems was meant
import torch
from torch import nn

net = nn.Linear(20, 5)
criterion = nn.BCELoss()

def step(x, y):
    return criterion(torch.softmax(net(x), dim=1), y)  # FL106
""",
    """
? where several classes may be true at once, it is the loss that is wrong
-import torch
import torch.nn.functional as F
from torch import nn

net = nn.Linear(20, 5)

def step(x, y):
-    return F.cross_entropy(torch.sigmoid(net(x)), y)  # FL106
+    return F.cross_entropy(net(x), y)
""",
    """
! only the author knows which of the two problems was meant
import torch.nn.functional as F
from torch import nn

net = nn.Sequential(nn.Linear(20, 2), nn.Softmax(dim=1))

def step(x, y):
    return F.binary_cross_entropy_with_logits(net(x), y)  # FL106
""",
    """
! only the author knows which of the two problems was meant
import torch.nn.functional as F
from torch import nn

net = nn.Sequential(nn.Linear(20, 5), nn.Softmax(dim=1))

def step(x, y):
    return F.mse_loss(net(x), F.one_hot(y, 5).float())  # FL106
""",
    """
? where several classes may be true at once, it is the loss that is wrong
import jax
import optax

def loss(params, x, y):
-    scores = jax.nn.sigmoid(x @ params["w"])
-    return optax.softmax_cross_entropy(scores, y).mean()  # FL106
+    scores = x @ params["w"]
+    return optax.softmax_cross_entropy(scores, y).mean()

grads = jax.grad(loss)
""",
]

GOOD = [
    # two units: a softmax is as good as a sigmoid
    """
import torch
from torch import nn

net = nn.Linear(20, 2)
criterion = nn.BCEWithLogitsLoss()

def step(x, y):
    return criterion(net(x), y)
""",
    # so in PyTorch, where the loss reads what it is handed, and in Keras where something lies between
    """
import keras
import torch
from torch import nn

net = nn.Sequential(nn.Linear(20, 2), nn.Softmax(dim=1))
criterion = nn.BCELoss()

def step(x, y):
    return criterion(net(x), y)

model = keras.Sequential([keras.layers.Dense(2, activation="softmax"), keras.layers.Reshape((2, 1))])
model.compile(loss="binary_crossentropy", optimizer="sgd")
""",
    # how many classes there are isn't known: two are right
    """
import torch
from torch import nn

def build(classes):
    return nn.Sequential(nn.Linear(20, classes), nn.LogSoftmax(dim=1))

def step(x, y, classes):
    return nn.NLLLoss()(build(classes)(x), y)
""",
    # two softmaxes compared: a consistency loss, with no label in sight
    """
import torch
import torch.nn.functional as F
from torch import nn

student, teacher = nn.Linear(20, 5), nn.Linear(20, 5)

def consistency(x):
    with torch.no_grad():
        soft = F.softmax(teacher(x), dim=1)
    return F.mse_loss(F.softmax(student(x), dim=1), soft)
""",
    # sigmoid outputs that are a regression's
    """
import keras

autoencoder = keras.Sequential([
    keras.Input((784,)),
    keras.layers.Dense(32, activation="relu"),
    keras.layers.Dense(784, activation="sigmoid"),
])
autoencoder.compile(loss="mse")
""",
    # several classes at once
    """
import jax
import optax

def loss(params, x, y):
    return optax.sigmoid_binary_cross_entropy(x @ params["w"], y).sum(-1).mean()

grads = jax.grad(loss)
""",
]
