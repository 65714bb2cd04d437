"""The log of a softmax or sigmoid plus a small number.

## What it does
Finds `log(p + eps)` and `log(1 - p + eps)`, where `p` comes from a softmax or sigmoid and a gradient is asked for.

## Why is this bad
The epsilon is there against `log(0)`. Once the probability falls below it, the log reads the epsilon instead: the loss
stops at `-log(eps)` and its gradient dies out like `p / eps`. The samples that the model gets most wrong stop teaching
it, without NaN and without a warning. With `eps=1e-7` the gradient is 1 % off from a margin of 11.5 on (the top logit
minus the target's), half gone at 16.1, and below a thousandth at 23. Written as `1 - p + eps`, a small enough epsilon
is lost in rounding: in float32 `1 - 1 + 1e-10` may be 0 again, depending on the order, and `1 - p` has no digit left
from a logit of 16.6 on.

## Example
```python
loss = -tf.reduce_sum(y * tf.math.log(tf.nn.softmax(logits) + 1e-10))
```

## Use instead
```python
loss = tf.reduce_sum(tf.nn.softmax_cross_entropy_with_logits(labels=y, logits=logits))
```

## Fix safety
Safe: the two losses agree where the probability is well above the epsilon. Below, the loss grows again, and learning
with it: a learning rate that was tuned around the plateau may be too large now.

## References
- [Blanchard, Higham, Higham 2021: Accurately computing the log-sum-exp and softmax functions](https://doi.org/10.1093/imanum/draa038)
- [tf.nn.softmax_cross_entropy_with_logits](https://www.tensorflow.org/api_docs/python/tf/nn/softmax_cross_entropy_with_logits)
- [tf.nn.sigmoid_cross_entropy_with_logits: the stable form, derived](https://www.tensorflow.org/api_docs/python/tf/nn/sigmoid_cross_entropy_with_logits)
"""

from __future__ import annotations

from collections.abc import Iterator

from finallayer.findings import Match, Severity, Sighting
from finallayer.kinds import Kind
from finallayer.rules.base import Rule
from finallayer.rules.margin import judged, loss_of
from finallayer.rules.route import guarded_probability
from finallayer.rules.wording import made_here, of_mixture

RULE = Rule("FL203", "epsilon-log", Severity.WARNING, "log(p + eps): the gradient dies out below eps")


@RULE.on("log")
def judge(sighting: Sighting) -> Iterator[Match]:
    p = guarded_probability(sighting, "add_eps")
    if p is not None:
        made = "softmax" if p.kind is Kind.PROBS else "sigmoid"
        message = of_mixture(p) or f"log of a {made} plus epsilon: use a loss on logits, which needs no epsilon"
        yield from judged(sighting, message, loss_of(sighting.node), made_here(p))


BAD = [
    # TensorFlow's inner modules
    """
import tensorflow as tf
from tensorflow.python.framework import ops

x = tf.placeholder(tf.float32, [None, 784])
y = tf.placeholder(tf.float32, [None, 1])
-pred = ops.convert_to_tensor(tf.nn.sigmoid(tf.layers.dense(x, 1)))
-loss = -tf.reduce_mean(y * tf.log(pred + 1e-12))  # FL203
+logits = tf.layers.dense(x, 1)
+pred = ops.convert_to_tensor(tf.nn.sigmoid(logits))
+loss = -tf.reduce_mean(y * tf.log_sigmoid(logits))
""",
    # a divergence from a teacher: its own log is harmless, the student's isn't
    """
import tensorflow as tf

def distil(student, teacher):
-    p, q = tf.nn.softmax(tf.stop_gradient(teacher)), tf.nn.softmax(student)
+    p, q = tf.nn.softmax(tf.stop_gradient(teacher)), student
    own = tf.math.log(p + 1e-8)
-    other = tf.math.log(q + 1e-8)  # FL203
+    other = tf.nn.log_softmax(q)
    return tf.reduce_sum(p * (own - other), axis=-1)
""",
    """
import tensorflow as tf

x = tf.placeholder(tf.float32, [None, 784])
y = tf.placeholder(tf.float32, [None, 10])
-pred = tf.nn.softmax(tf.layers.dense(x, 10))
-loss = -tf.reduce_mean(tf.reduce_sum(y * tf.log(pred + 1e-10), 1))  # FL203
+logits = tf.layers.dense(x, 10)
+pred = tf.nn.softmax(logits)
+loss = -tf.reduce_mean(tf.reduce_sum(y * tf.nn.log_softmax(logits), 1))
""",
    """
import torch
from torch import nn

-EPS = 1e-8
-net = nn.Sequential(nn.Linear(20, 5), nn.Softmax(dim=1))
+net = nn.Sequential(nn.Linear(20, 5))

def step(x, y):
-    return -(y * torch.log(net(x) + EPS)).sum(1).mean()  # FL203
+    return -(y * torch.log_softmax(net(x), dim=1)).sum(1).mean()
""",
    """
import tensorflow as tf

x = tf.placeholder(tf.float32, [None, 784])
-z = tf.layers.dense(tf.layers.dense(x, 32, activation=tf.nn.relu), 784, activation=tf.nn.sigmoid)
-loss = -tf.reduce_sum(x * tf.log(1e-10 + z) + (1 - x) * tf.log(1e-10 + 1 - z), 1)  # FL203 FL205
+z = tf.layers.dense(tf.layers.dense(x, 32, activation=tf.nn.relu), 784)
+loss = -tf.reduce_sum(x * tf.log_sigmoid(z) + (1 - x) * tf.log_sigmoid(-z), 1)
""",
    """
import jax
import jax.numpy as jnp

def loss(params, x, y):
-    probs = jax.nn.softmax(x @ params["w"])
-    picked = jnp.take_along_axis(probs, y[:, None], axis=1)
-    return -jnp.mean(jnp.log(picked + 1e-7))  # FL203
+    logits = x @ params["w"]
+    log_picked = jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], axis=1)
+    return -jnp.mean(log_picked)

grads = jax.grad(loss)
""",
    """
-import torch
from torch import nn

-discriminator = nn.Sequential(nn.Linear(64, 1), nn.Sigmoid())
+discriminator = nn.Sequential(nn.Linear(64, 1))

def loss(real, fake, eps=1e-8):
-    return -(torch.log(discriminator(real) + eps) + torch.log(1 - discriminator(fake) + eps)).mean()  # FL203
+    return -(nn.functional.logsigmoid(discriminator(real)) + nn.functional.logsigmoid(-discriminator(fake))).mean()
""",
]

GOOD = [
    # off-policy gradients: ratios of the policy weigh its log, without a gradient
    """
import tensorflow as tf

state = tf.placeholder(tf.float32, [None, 4])
old = tf.placeholder(tf.float32, [None, 2])
advantage = tf.placeholder(tf.float32, [None, 2])
policy = tf.layers.dense(state, 2, activation=tf.nn.softmax)
gain = tf.log(policy + 1e-6) * tf.stop_gradient(policy / old * advantage)
loss = -tf.reduce_mean(tf.reduce_sum(gain, axis=1))
""",
    """
import tensorflow as tf

x = tf.placeholder(tf.float32, [None, 784])
y = tf.placeholder(tf.float32, [None, 10])
loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(labels=y, logits=tf.layers.dense(x, 10)))
""",
    # an entropy bonus: p*log(p + eps) with the same p
    """
import torch
from torch import nn

policy = nn.Linear(4, 2)

def bonus(state):
    p = torch.softmax(policy(state), dim=-1)
    return (p * torch.log(p + 1e-10)).sum(-1).mean()
""",
    # an epsilon beside a log of data
    """
import torch

def log_magnitude(spectrum):
    return torch.log(spectrum.abs() + 1e-6)
""",
    # the entropy of a mask
    """
import torch
from torch import nn

class Explainer(nn.Module):
    def __init__(self, edges):
        super().__init__()
        self.mask = nn.Parameter(torch.randn(edges))

    def regularise(self, loss):
        m = self.mask.sigmoid()
        return loss + (-m * torch.log(m + 1e-15) - (1 - m) * torch.log(1 - m + 1e-15)).mean()
""",
]
