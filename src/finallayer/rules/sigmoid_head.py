"""A sigmoid layer trained by a loss on probabilities.

## What it does
Finds sigmoid outputs that reach a binary cross-entropy on probabilities: `binary_crossentropy` with its default
`from_logits=False`, `BCELoss`, `log_loss`.

## Why is this bad
The maths is right, and the numbers end early. In float32 a sigmoid rounds to 1 from a logit of 16.6 on, 8.3 in
float16: there a negative sample that is surely misclassified has a gradient of exactly 0 (Keras' clip, `BCELoss`'
clamp). Keras clips the probabilities to [1e-7, 1 - 1e-7], so the other side goes dead from 16.1 on as well. Keras'
TensorFlow backend finds the logits behind a sigmoid in float32 and uses those instead; it can't behind one in 16 bits,
as mixed precision makes it unless the layer is told `dtype="float32"`, nor when any layer follows the sigmoid, nor do
the JAX and torch backends try.

## Example
```python
model = nn.Sequential(nn.Linear(8, 1), nn.Sigmoid())
loss = nn.BCELoss()(model(x), y)
```

## Use instead
```python
model = nn.Linear(8, 1)
loss = nn.BCEWithLogitsLoss()(model(x), y)
```

## Fix safety
Safe where all that reads the model's output is known: the loss gets logits, and what reads probabilities its own
sigmoid. Unsafe where a metric's threshold moves from 0.5 to 0: Keras 3.0 to 3.4 refuse that with an error. A program
that Keras 3 can't run at all is safe from that.

## References
- [torch.nn.BCELoss: its log is clamped at -100](https://docs.pytorch.org/docs/stable/generated/torch.nn.BCELoss.html)
- [torch.nn.BCEWithLogitsLoss: more stable than a sigmoid followed by BCELoss](https://docs.pytorch.org/docs/stable/generated/torch.nn.BCEWithLogitsLoss.html)
- [Keras probabilistic losses: from_logits](https://keras.io/api/losses/probabilistic_losses/)
"""

from __future__ import annotations

from collections.abc import Iterator

from finallayer.expr import Node
from finallayer.findings import Match, Severity, Sighting
from finallayer.kinds import Kind
from finallayer.rules.base import Rule
from finallayer.rules.margin import cost, loss_of
from finallayer.rules.wording import called, made_here, on_logits, rescue

RULE = Rule("FL302", "sigmoid-head", Severity.ADVICE, "sigmoid layer with a loss on probabilities")


@RULE.on("bce_probs")
def judge(sighting: Sighting) -> Iterator[Match]:
    match sighting:
        case Sighting(node=Node(args=(Node(kind=Kind.SIGMOID_PROBS) as x, *_)) as loss, training=True):
            expression = loss_of(loss)
            harm = cost(expression, rescue(loss))
            message = f"{called(loss)} on sigmoid outputs: drop the sigmoid and use {on_logits(loss)}{harm}"
            yield Match(message, expression, made_here(x))


BAD = [
    """
import keras

-model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1, activation="sigmoid")])
-model.compile(optimizer="adam", loss="binary_crossentropy")  # FL302
+model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1)])
+model.compile(optimizer="adam", loss=keras.losses.BinaryCrossentropy(from_logits=True))
""",
    """
from torch import nn

class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
-        self.net = nn.Sequential(nn.Linear(784, 64), nn.LeakyReLU(0.2), nn.Linear(64, 1), nn.Sigmoid())
+        self.net = nn.Sequential(nn.Linear(784, 64), nn.LeakyReLU(0.2), nn.Linear(64, 1))

    def forward(self, x):
        return self.net(x)

discriminator = Discriminator()
-adversarial_loss = nn.BCELoss()
+adversarial_loss = nn.BCEWithLogitsLoss()

def step(real, valid):
    return adversarial_loss(discriminator(real), valid)  # FL302
""",
    """
-import torch
import torch.nn.functional as F
from torch import nn

decode = nn.Linear(20, 784)

def loss_function(z, x):
-    return F.binary_cross_entropy(torch.sigmoid(decode(z)), x, reduction="sum")  # FL302
+    return F.binary_cross_entropy_with_logits(decode(z), x, reduction="sum")
""",
]

GOOD = [
    """
import torch.nn.functional as F
from torch import nn

net = nn.Linear(8, 1)

def step(x, y):
    return F.binary_cross_entropy_with_logits(net(x), y)
""",
    """
import keras

model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1)])
model.compile(loss=keras.losses.BinaryCrossentropy(from_logits=True))
""",
]
