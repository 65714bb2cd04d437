"""The log of a clipped softmax or sigmoid.

## What it does
Finds `log(clip(p, eps, 1 - eps))`, `log(maximum(p, eps))` and the like, where `p` comes from a softmax or sigmoid and
a gradient is asked for.

## Why is this bad
The clip is there against `log(0)`, and it does prevent NaN, by giving up on the sample: outside its bounds a clip has
a gradient of exactly 0. The samples that the model gets most wrong stop teaching it, without NaN and without a
warning; anomaly detectors see nothing. With `eps=1e-7` that is so from a margin of 16.1 on (the top logit minus the
target's), which a network on unscaled inputs passes in its first steps. A `1 - p` rounds to 0 or to the dtype's
spacing before the clip can help. A smaller `eps` only moves the cliff, and in float16 `1e-8` is 0.

## Example
```python
probs = torch.softmax(net(x), dim=1).clamp(1e-7, 1 - 1e-7)
loss = F.nll_loss(torch.log(probs), y)
```

## Use instead
```python
loss = F.cross_entropy(net(x), y)
```

## Fix safety
Safe: inside the bounds the two losses and their gradients agree. Beyond them the loss grows again, and learning with
it: a learning rate that was tuned around the cliff may be too large now.

## References
- [Blanchard, Higham, Higham 2021: Accurately computing the log-sum-exp and softmax functions](https://doi.org/10.1093/imanum/draa038)
- [tf.clip_by_value](https://www.tensorflow.org/api_docs/python/tf/clip_by_value)
- [torch.nn.functional.cross_entropy](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.cross_entropy.html)
"""

from __future__ import annotations

from collections.abc import Iterator

from finallayer.findings import Match, Severity, Sighting
from finallayer.kinds import Kind
from finallayer.rules.base import Rule
from finallayer.rules.margin import judged, loss_of
from finallayer.rules.route import guarded_probability
from finallayer.rules.wording import made_here, of_mixture

RULE = Rule("FL202", "clipped-log", Severity.WARNING, "log(clip(p)): no gradient at all past the clip")


@RULE.on("log")
def judge(sighting: Sighting) -> Iterator[Match]:
    p = guarded_probability(sighting, "clip")
    if p is not None:
        made = "softmax" if p.kind is Kind.PROBS else "sigmoid"
        message = of_mixture(p) or f"log of a clipped {made}: use a loss on logits, which needs no clip"
        yield from judged(sighting, message, loss_of(sighting.node), made_here(p))


BAD = [
    """
import torch
import torch.nn.functional as F
from torch import nn

net = nn.Linear(20, 5)

def step(x, y):
-    probs = torch.softmax(net(x), dim=1)
-    return F.nll_loss(torch.log(probs.clamp(min=1e-7)), y)  # FL202
+    logits = net(x)
+    return F.nll_loss(torch.log_softmax(logits, dim=1), y)
""",
    """
import tensorflow as tf

x = tf.placeholder(tf.float32, [None, 784])
y = tf.placeholder(tf.float32, [None, 10])
-pred = tf.nn.softmax(tf.layers.dense(x, 10))
-loss = -tf.reduce_mean(tf.reduce_sum(y * tf.log(tf.clip_by_value(pred, 1e-10, 1.0)), axis=1))  # FL202
+logits = tf.layers.dense(x, 10)
+pred = tf.nn.softmax(logits)
+loss = -tf.reduce_mean(tf.reduce_sum(y * tf.nn.log_softmax(logits), axis=1))
""",
    """
import tensorflow as tf

W = tf.Variable(tf.ones([784, 10]))

def logistic_regression(x):
-    return tf.nn.softmax(tf.matmul(x, W))
+    return tf.matmul(x, W)

def cross_entropy(y_pred, y_true):
    y_true = tf.one_hot(y_true, depth=10)
-    y_pred = tf.clip_by_value(y_pred, 1e-9, 1.)
-    return tf.reduce_mean(-tf.reduce_sum(y_true * tf.math.log(y_pred), 1))  # FL202
+    return tf.reduce_mean(-tf.reduce_sum(y_true * tf.nn.log_softmax(y_pred), 1))

def run(x, y):
    with tf.GradientTape() as g:
        loss = cross_entropy(logistic_regression(x), y)
    return g.gradient(loss, [W])
""",
    """
import jax
import jax.numpy as jnp

def loss(params, x, y):
-    p = jax.nn.sigmoid(x @ params["w"])
-    p = jnp.clip(p, 1e-7, 1 - 1e-7)
-    return -jnp.mean(y * jnp.log(p) + (1 - y) * jnp.log(1 - p))  # FL202
+    logits = x @ params["w"]
+    return -jnp.mean(y * jax.nn.log_sigmoid(logits) + (1 - y) * jax.nn.log_sigmoid(-logits))

grads = jax.grad(loss)
""",
    """
-import torch
from torch import nn

-net = nn.Sequential(nn.Linear(8, 1), nn.Sigmoid())
+net = nn.Sequential(nn.Linear(8, 1))

def step(x, y):
-    p = torch.clip(net(x), 1e-6, 1 - 1e-6)
-    return -(y * p.log() + (1 - y) * (1 - p).log()).mean()  # FL202
+    logits = net(x)
+    return -(y * nn.functional.logsigmoid(logits) + (1 - y) * nn.functional.logsigmoid(-logits)).mean()
""",
]

GOOD = [
    # two models' predictions compared: arrays, which carry no gradient
    """
import keras
from keras import ops

def divergence(model, smaller, x):
    p, q = (ops.clip(ops.softmax(m.predict(x)), 1e-8, 1.0) for m in (model, smaller))
    return ops.mean(ops.sum(p * (ops.log(p) - ops.log(q)), axis=-1))
""",
    """
import torch.nn.functional as F
from torch import nn

net = nn.Linear(20, 5)

def step(x, y):
    return F.cross_entropy(net(x), y)
""",
    # clipped logits are logits
    """
import torch
import torch.nn.functional as F
from torch import nn

net = nn.Linear(20, 5)

def step(x, y):
    return F.nll_loss(F.log_softmax(net(x).clamp(-30, 30), dim=1), y)
""",
    # a probability that is data
    """
import torch

def binary_entropy(p):
    p = p.clamp(1e-6, 1 - 1e-6)
    return -(p * torch.log(p) + (1 - p) * torch.log(1 - p))
""",
    # a metric: nothing is trained
    """
import torch
from torch import nn

net = nn.Linear(20, 5)

def evaluate(x, y):
    with torch.no_grad():
        probs = torch.softmax(net(x), dim=1).clamp(min=1e-7)
        return -torch.log(probs.gather(1, y)).mean()
""",
]
