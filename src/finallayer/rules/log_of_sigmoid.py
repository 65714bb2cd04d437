"""The log of a sigmoid, or of one minus it, taken in two steps.

## What it does
Finds `log(sigmoid(z))`, `log(1 - sigmoid(z))` and `log1p(-sigmoid(z))` where a gradient is asked for, also of a
sigmoid written as `1 / (1 + exp(-z))`.

## Why is this bad
The formula is right and the numbers are not. `sigmoid` rounds to 1 from a logit of 16.6 on in float32, 8.3 in float16;
`1 - p` is then exactly 0, the loss infinite and the gradient NaN. Well before that, `1 - p` has lost most of its
digits. On the other side the gradient of the log, `1 / p`, overflows below -88.7 (-11.1 in float16). `log_sigmoid(z)`
is `-softplus(-z)`, and `log(1 - sigmoid(z))` is `log_sigmoid(-z)`: exact on both sides.

## Example
```python
p = torch.sigmoid(net(x))
loss = -(y * torch.log(p) + (1 - y) * torch.log(1 - p)).mean()
```

## Use instead
```python
loss = F.binary_cross_entropy_with_logits(net(x), y)
```

## Fix safety
Safe: `log_sigmoid` gives the same numbers wherever the two steps gave right ones. Losses stay comparable.

## References
- [torch.nn.BCEWithLogitsLoss: more stable than a sigmoid followed by BCELoss](https://docs.pytorch.org/docs/stable/generated/torch.nn.BCEWithLogitsLoss.html)
- [tf.nn.sigmoid_cross_entropy_with_logits: the stable form, derived](https://www.tensorflow.org/api_docs/python/tf/nn/sigmoid_cross_entropy_with_logits)
- [Mächler 2012: Accurately computing log(1 - exp(-|a|))](https://cran.r-project.org/web/packages/Rmpfr/vignettes/log1mexp-note.pdf)
"""

from __future__ import annotations

from collections.abc import Iterator

from finallayer.expr import Node
from finallayer.findings import Match, Severity, Sighting
from finallayer.kinds import Kind
from finallayer.rules.base import Rule
from finallayer.rules.margin import judged, loss_of
from finallayer.rules.route import guard, is_classifiers
from finallayer.rules.wording import made_here, of_mixture

RULE = Rule("FL205", "log-of-sigmoid", Severity.WARNING, "log(sigmoid(z)) or log(1 - sigmoid(z)), taken in two steps")


@RULE.on("log")
def judge(sighting: Sighting) -> Iterator[Match]:
    match sighting:
        case Sighting(node=Node(args=(Node(kind=Kind.SIGMOID_PROBS) as x, *_)) as log, training=True) if guard(
            x
        ) is None and is_classifiers(log):
            message = of_mixture(x) or "log of a sigmoid: use log_sigmoid, or a binary cross-entropy on logits"
            yield from judged(sighting, message, loss_of(log), made_here(x))


BAD = [
    # the probability of what happened, then its log
    """
! the log is of p or 1 - p, by the label: only the whole formula has a stable form
import tensorflow as tf

X = tf.placeholder(tf.float32, [None, 8])
Y = tf.placeholder(tf.float32, [None, 1])
p = tf.sigmoid(tf.layers.dense(X, 1))
cost = tf.reduce_mean(-tf.log(p * Y + (1 - p) * (1 - Y)))  # FL205
""",
    # a sigmoid by way of the hyperbolic tangent
    """
! the log is of p or 1 - p, by the label: only the whole formula has a stable form
import jax
import jax.numpy as jnp

def sigmoid(z):
    return 0.5 * (jnp.tanh(z / 2) + 1)

def loss(w, x, y):
    p = sigmoid(x @ w)
    return -jnp.sum(jnp.log(p * y + (1 - p) * (1 - y)))  # FL205

grads = jax.grad(loss)
""",
    """
-import torch
from torch import nn

net = nn.Linear(8, 1)

def step(x, y):
-    p = torch.sigmoid(net(x))
-    return -(y * torch.log(p) + (1 - y) * torch.log(1 - p)).mean()  # FL205
+    logits = net(x)
+    return -(y * nn.functional.logsigmoid(logits) + (1 - y) * nn.functional.logsigmoid(-logits)).mean()
""",
    """
import tensorflow as tf

X = tf.placeholder(tf.float32, [None, 8])
Y = tf.placeholder(tf.float32, [None, 1])
W = tf.Variable(tf.random_normal([8, 1]))
-hypothesis = tf.sigmoid(tf.matmul(X, W))
-cost = -tf.reduce_mean(Y * tf.log(hypothesis) + (1 - Y) * tf.log(1 - hypothesis))  # FL205
+logits = tf.matmul(X, W)
+hypothesis = tf.sigmoid(logits)
+cost = -tf.reduce_mean(Y * tf.log_sigmoid(logits) + (1 - Y) * tf.log_sigmoid(-logits))
train = tf.train.GradientDescentOptimizer(0.01).minimize(cost)
""",
    """
import jax
import jax.numpy as np

def sigmoid(x):
    return 1 / (1 + np.exp(-x))

def loss(w, b, x, y):
-    p = sigmoid(np.dot(x, w) + b)
-    return -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))  # FL205
+    logits = np.dot(x, w) + b
+    return -np.mean(y * jax.nn.log_sigmoid(logits) + (1 - y) * jax.nn.log_sigmoid(-logits))

grads = jax.grad(loss)
""",
    """
import jax
import jax.numpy as jnp

def loss(params, x, y):
-    p = jax.nn.sigmoid(x @ params["w"])
-    return -jnp.mean(y * jnp.log(p) + (1 - y) * jnp.log1p(-p))  # FL205
+    logits = x @ params["w"]
+    return -jnp.mean(y * jax.nn.log_sigmoid(logits) + (1 - y) * jax.nn.log_sigmoid(-logits))

grads = jax.grad(loss)
""",
    """
-import torch
from torch import nn

user, item = nn.Embedding(100, 16), nn.Embedding(200, 16)

def bpr(u, i, j):
    x = (user(u) * (item(i) - item(j))).sum(-1)
-    return -torch.log(torch.sigmoid(x)).mean()  # FL205
+    return -nn.functional.logsigmoid(x).mean()
""",
    """
import keras
from keras import ops

-discriminator = keras.Sequential([keras.layers.Dense(1, activation="sigmoid")])
+discriminator = keras.Sequential([keras.layers.Dense(1)])

def generator_loss(fake):
-    return -ops.mean(ops.log(discriminator(fake)))  # FL205
+    return -ops.mean(ops.log_sigmoid(discriminator(fake)))
""",
]

GOOD = [
    # a running product, by way of logs
    """
import tensorflow as tf

def safe_cumprod(x):
    return tf.exp(tf.cumsum(tf.math.log(tf.clip_by_value(x, 1e-20, 1.0)), axis=1))

def attend(scores):
    return safe_cumprod(1 - tf.sigmoid(scores))
""",
    # what is drawn from is no loss
    """
import tensorflow as tf

observed = tf.placeholder(tf.float32, [None, 4])
left = tf.layers.dense(observed, 1, activation=tf.nn.sigmoid)
both = tf.concat([left, 1 - left], axis=1)
action = tf.multinomial(tf.log(both), num_samples=1)

def cooler(temperature=1.0):
    return tf.random.categorical(tf.math.log(left + 1e-7) / temperature, 1)
""",
    """
import torch.nn.functional as F
from torch import nn

net = nn.Linear(8, 1)

def step(x, y):
    return F.binary_cross_entropy_with_logits(net(x), y)
""",
    """
import torch.nn.functional as F
from torch import nn

user, item = nn.Embedding(100, 16), nn.Embedding(200, 16)

def bpr(u, i, j):
    x = (user(u) * (item(i) - item(j))).sum(-1)
    return -F.logsigmoid(x).mean()
""",
    # the inverse of a sigmoid, of a probability that is data
    """
import torch

def logit(p):
    return torch.log(p / (1 - p))
""",
    """
import jax
import jax.numpy as jnp

def loss(params, x, y):
    z = x @ params["w"]
    return -jnp.mean(y * jax.nn.log_sigmoid(z) + (1 - y) * jax.nn.log_sigmoid(-z))

grads = jax.grad(loss)
""",
    # a table of constants
    """
import torch

class SkipGram:
    def __init__(self):
        self.log_sigmoid = torch.log(torch.sigmoid(torch.arange(-6.01, 6.01, 0.01)))
""",
]
