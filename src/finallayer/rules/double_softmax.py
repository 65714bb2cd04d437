"""Probabilities handed to a loss or a softmax that applies softmax itself.

## What it does
Finds softmax outputs that reach a cross-entropy on logits, or another softmax, through any chain of calls, reshapes
and casts.

## Why is this bad
Softmax is applied twice. The second one sees inputs in [0, 1], so with C classes the loss can never fall below `ln(e +
C - 1) - 1`: 1.46 for ten classes, however sure and right the model is. Every gradient passes through the first softmax
once more and is damped by its probabilities: a confidently wrong sample gets almost none. Training runs, the loss goes
down a little, and stops.

In Keras the same program is two programs. With a softmax layer in float32 and `from_logits=True`, the TensorFlow
backend finds the logits behind the softmax and uses those, with a warning. The JAX and torch backends, a softmax in 16
bits, and one followed by any other layer train on softmax twice.

## Example
```python
loss = F.cross_entropy(torch.softmax(net(x), dim=1), y)
```

## Use instead
```python
loss = F.cross_entropy(net(x), y)
```

## Fix safety
Safe where every reader of the softmax is known. The largest output stays the largest; anything that reads
probabilities gets its own softmax. A saved model keeps its weights; its loss curve starts anew.

## References
- [torch.nn.CrossEntropyLoss: the input holds unnormalised logits](https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html)
- [tf.nn.softmax_cross_entropy_with_logits: unscaled logits, as it applies softmax itself](https://www.tensorflow.org/api_docs/python/tf/nn/softmax_cross_entropy_with_logits)
- [Keras probabilistic losses: from_logits](https://keras.io/api/losses/probabilistic_losses/)
- [pytorch#55902: a request to warn about it](https://github.com/pytorch/pytorch/issues/55902)
"""

from __future__ import annotations

from collections.abc import Iterator

from finallayer.expr import Node
from finallayer.findings import Match, Severity, Sighting
from finallayer.kinds import Kind
from finallayer.rules.axes import Axes
from finallayer.rules.base import Rule
from finallayer.rules.route import maker
from finallayer.rules.wording import called, made_here, rescue

RULE = Rule(
    "FL101", "double-softmax", Severity.ERROR, "probabilities handed to a loss or softmax that applies softmax itself"
)


@RULE.on("xent_logits", "softmax", "log_softmax")
def judge(sighting: Sighting) -> Iterator[Match]:
    match sighting.node:
        case Node(op="xent_logits", args=(Node(kind=Kind.PROBS) as x, *_)) as loss:
            unless = f" ({rescue(loss)})" if rescue(loss) else ""
            message = f"{called(loss)} applies softmax itself, but is handed softmax outputs{unless}: pass the logits"
            yield Match(message, related=made_here(x))
        case Node(op="softmax" | "log_softmax" as op, args=(Node(kind=Kind.PROBS) as x,)) as again if (
            _along_the_same_axis(again, maker(x))
        ):
            yield Match(f"{op} is applied to softmax outputs: apply it once, to the logits", related=made_here(x))


def _along_the_same_axis(again: Node, made: Node) -> bool:
    """Nested softmaxes along two axes are a normalisation of a matrix, not a mistake."""
    axes = again.attrs.get("axis"), made.attrs.get("axis")
    return None in axes or Axes.of(made).same(*axes)


BAD = [
    """
-import torch
import torch.nn.functional as F

def step(net, x, y):
-    return F.cross_entropy(torch.softmax(net(x), dim=1), y)  # FL101
+    return F.cross_entropy(net(x), y)
""",
    """
import torch
import torch.nn.functional as F

def step(net, x, y):
    z = net(x)
    p = torch.softmax(z, dim=1)
-    loss = F.cross_entropy(p, y)  # FL101
+    loss = F.cross_entropy(z, y)
    return loss, p
""",
    """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, classes=10):
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU())
        self.head = nn.Linear(128, classes)
-        self.act = nn.Softmax(dim=1)

    def forward(self, x):
-        logits = self.act(self.head(self.body(x)))
+        logits = self.head(self.body(x))
        return logits

model = Net()
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

def train(loader):
    for x, y in loader:
        optimizer.zero_grad()
        loss = criterion(model(x), y)  # FL101
        loss.backward()
        optimizer.step()
""",
    """
! the probabilities are the exponential of a model's log-probabilities
import torch
from torch import nn

scores = nn.Sequential(nn.Linear(20, 5), nn.LogSoftmax(dim=-1))
criterion = nn.CrossEntropyLoss()

def step(x, y):
    probabilities = torch.exp(scores(x))
    return criterion(probabilities, y)  # FL101
""",
    """
import keras

model = keras.Sequential([
    keras.Input((784,)),
    keras.layers.Dense(128, activation="relu"),
-    keras.layers.Dense(10, activation="softmax"),
+    keras.layers.Dense(10),
])
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(optimizer="adam", loss=loss)  # FL101
""",
    """
import tensorflow as tf

-model = tf.keras.Sequential([tf.keras.layers.Dense(10), tf.keras.layers.Softmax()])
+model = tf.keras.Sequential([tf.keras.layers.Dense(10)])

def train_step(x, y):
    with tf.GradientTape() as tape:
        logits = model(x, training=True)
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits)  # FL101
    return tape.gradient(loss, model.trainable_variables)
""",
    """
import tensorflow as tf

x = tf.placeholder(tf.float32, [None, 784])
y = tf.placeholder(tf.float32, [None, 10])
w = tf.Variable(tf.zeros([784, 10]))
b = tf.Variable(tf.zeros([10]))
-prediction = tf.nn.softmax(tf.matmul(x, w) + b)
+prediction = tf.matmul(x, w) + b
cost = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(logits=prediction, labels=y))  # FL101
train = tf.train.AdamOptimizer(0.01).minimize(cost)
""",
    """
import jax
import optax
from flax import linen as nn

class Net(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Dense(64)(x))
-        return nn.softmax(nn.Dense(10)(x))
+        return nn.Dense(10)(x)

net = Net()

@jax.jit
def step(params, x, y):
    def loss_fn(params):
        logits = net.apply(params, x)
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()  # FL101
    return jax.value_and_grad(loss_fn)(params)
""",
    """
! no loss says which of two softmaxes was meant
import torch

net = torch.nn.Sequential(torch.nn.Linear(8, 3), torch.nn.Softmax(dim=-1))

def predict(x):
    return torch.softmax(net(x), dim=-1)  # FL101
""",
]

GOOD = [
    """
import torch.nn.functional as F

def step(net, x, y):
    return F.cross_entropy(net(x), y)
""",
    # softmax on the target: distillation
    """
import torch
import torch.nn.functional as F
from torch import nn

student, teacher = nn.Linear(20, 5), nn.Linear(20, 5)

def step(x, temperature=2.0):
    with torch.no_grad():
        soft = torch.softmax(teacher(x) / temperature, dim=1)
    return F.cross_entropy(student(x) / temperature, soft)
""",
    # attention
    """
import torch
from torch import nn
import torch.nn.functional as F

class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.k, self.v = nn.Linear(32, 32), nn.Linear(32, 32), nn.Linear(32, 32)
        self.head = nn.Linear(32, 4)

    def forward(self, x):
        weights = torch.softmax(self.q(x) @ self.k(x).transpose(1, 2) / 32 ** 0.5, dim=-1)
        return self.head((weights @ self.v(x)).mean(1))

def step(model, x, y):
    return F.cross_entropy(model(x), y)

model = Classifier()
loss = step(model, torch.zeros(2, 7, 32), torch.zeros(2).long())
""",
    # masked softmax, normalised again
    """
import torch
from torch import nn

gate = nn.Linear(16, 8)

def route(x, mask):
    weights = torch.softmax(gate(x), dim=-1) * mask
    return weights / weights.sum(-1, keepdim=True)
""",
    # softmax at prediction only
    """
import torch
import torch.nn.functional as F
from torch import nn

model = nn.Linear(784, 10)

def train(x, y):
    return F.cross_entropy(model(x), y)

@torch.no_grad()
def predict(x):
    return torch.softmax(model(x), dim=1).argmax(dim=1)
""",
    """
import keras

model = keras.Sequential([keras.Input((784,)), keras.layers.Dense(10)])
model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
probability_model = keras.Sequential([model, keras.layers.Softmax()])
""",
    # softmax only when not training
    """
import tensorflow as tf

class Net(tf.keras.Model):
    def __init__(self):
        super().__init__()
        self.out = tf.keras.layers.Dense(10)

    def call(self, x, is_training=False):
        x = self.out(x)
        if not is_training:
            x = tf.nn.softmax(x)
        return x

net = Net()

def step(x, y):
    with tf.GradientTape() as tape:
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=net(x, is_training=True))
    return tape.gradient(loss, net.trainable_variables)
""",
    # logits kept, softmax returned beside them
    """
import torch
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, x):
        logits = self.linear(x)
        probs = F.softmax(logits, dim=1)
        return logits, probs

net = Net()

def step(x, y):
    logits, probs = net(x)
    return F.cross_entropy(logits, y), probs.argmax(1)

def step_by_index(x, y):
    return F.cross_entropy(net(x)[0], y)
""",
    # a loss on outputs.logits
    """
from transformers import AutoModelForSequenceClassification
import torch.nn.functional as F

model = AutoModelForSequenceClassification.from_pretrained("bert-base-uncased")

def step(batch):
    outputs = model(**batch)
    probabilities = outputs.logits.softmax(-1)
    return F.cross_entropy(outputs.logits, batch["labels"]), probabilities
""",
    # gumbel softmax, temperature
    """
import torch.nn.functional as F
from torch import nn

choose, head = nn.Linear(16, 8), nn.Linear(8, 4)

def step(x, y, temperature):
    code = F.gumbel_softmax(choose(x), tau=1.0, hard=True)
    return F.cross_entropy(head(code) / temperature, y)
""",
    # a matrix normalised along both axes
    """
import torch

def match(similarity):
    return torch.softmax(torch.softmax(similarity, dim=1), dim=2)
""",
    """
import tensorflow as tf

x = tf.placeholder(tf.float32, [None, 784])
y = tf.placeholder(tf.float32, [None, 10])
logits = tf.layers.dense(x, 10)
prediction = tf.nn.softmax(logits)
cost = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(logits=logits, labels=y))
correct = tf.equal(tf.argmax(prediction, 1), tf.argmax(y, 1))
""",
    """
import jax
import jax.numpy as jnp
import optax

def forward(params, x):
    return x @ params["w"] + params["b"]

def loss(params, x, y):
    return optax.softmax_cross_entropy(forward(params, x), y).mean()

def predict(params, x):
    return jnp.argmax(jax.nn.softmax(forward(params, x)), axis=-1)

step = jax.jit(jax.value_and_grad(loss))
""",
]
