"""The log of a softmax, taken in two steps.

## What it does
Finds a log of softmax outputs where a gradient is asked for: written by hand or by the framework, of `1 - softmax`,
and of the target's entry alone.

## Why is this bad
The formula is right and the numbers are not. The gradient of the log is `1 / p`: it overflows once the target's logit
trails the largest by 88.7 in float32, 11.1 in float16, and what comes back through the softmax is infinite or NaN. At
104 (float32) `p` itself rounds to 0 and the loss is infinite. One such sample is enough to lose the run. `1 - softmax`
rounds to 0 much earlier, from a lead of 16.6 in float32, 8.3 in float16. `log_softmax` computes `z - logsumexp(z)` in
one step, with no limit on either side, in less time and memory.

## Example
```python
loss = -tf.reduce_sum(y * tf.math.log(tf.nn.softmax(logits)), axis=1)
```

## Use instead
```python
loss = tf.nn.softmax_cross_entropy_with_logits(labels=y, logits=logits)
```
or
```python
loss = -tf.reduce_sum(y * tf.nn.log_softmax(logits), axis=1)
```

## Fix safety
Safe: `log_softmax` gives the same numbers wherever the two steps gave right ones. Losses stay comparable.

## References
- [torch.nn.functional.log_softmax: faster and numerically stable](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.log_softmax.html)
- [Blanchard, Higham, Higham 2021: Accurately computing the log-sum-exp and softmax functions](https://doi.org/10.1093/imanum/draa038)
- [Yan et al. 2021: Exposing numerical bugs in deep learning with gradient back-propagation](https://doi.org/10.1145/3468264.3468612)
"""

from __future__ import annotations

from collections.abc import Iterator

from finallayer.expr import PICKS, TRANSPARENT, Node, through
from finallayer.findings import Match, Severity, Sighting
from finallayer.kinds import Kind
from finallayer.rules.base import Rule
from finallayer.rules.margin import judged, loss_of
from finallayer.rules.route import guard, is_classifiers, route
from finallayer.rules.wording import made_here, of_mixture

RULE = Rule("FL201", "log-of-softmax", Severity.WARNING, "log(softmax(z)), taken in two steps")


@RULE.on("log")
def judge(sighting: Sighting) -> Iterator[Match]:
    match sighting:
        case Sighting(node=Node(args=(Node(kind=Kind.PROBS) as x, *_)) as log, training=True) if guard(
            x
        ) is None and is_classifiers(log):
            message = of_mixture(x) or f"log of a softmax: use log_softmax, or a loss on logits{_for_policies(x)}"
            yield from judged(sighting, message, loss_of(log), made_here(x))


def _for_policies(x: Node) -> str:
    """What else there is to use where what picks the entry was drawn from the distribution."""
    drawn = any(
        step.attrs.get("at") == "sample" or any(through(index, TRANSPARENT).op == "sample" for index in step.args[1:])
        for step in route(x)
        if step.op in PICKS
    )
    return ", or the distribution's own `log_prob`" if drawn else ""


BAD = [
    # an entropy without an epsilon; a policy's gradient, which is a classifier's with an advantage for a weight
    """
import torch
from torch import nn

net = nn.Linear(20, 5)

def entropy(x):
-    p = torch.softmax(net(x), dim=-1)
-    return -(p * torch.log(p)).sum(-1).mean()  # FL201
+    logits = net(x)
+    p = torch.softmax(logits, dim=-1)
+    return -(p * torch.log_softmax(logits, dim=-1)).sum(-1).mean()

def reinforce(state, action, advantage):
-    p = torch.softmax(net(state), dim=-1)
-    return -(torch.log(p.gather(1, action)) * advantage).mean()  # FL201
+    logits = net(state)
+    return -(torch.log_softmax(logits, dim=-1).gather(1, action) * advantage).mean()
""",
    """
! the numbers are changed in place through a view, `out=` or a function of one's own
import torch
import torch.nn.functional as F

def loss(x, w, y):
    z = x @ w
    p = torch.softmax(z, dim=1)
    z.detach().mul_(0.5)
    return F.nll_loss(torch.log(p), y)  # FL201
""",
    """
! the program puts functions of its own in the place of the framework's
import torch
import torch.nn.functional as F

F.softmax = lambda z, dim: torch.softmax(z / 2, dim)

def loss(x, w, y):
    return F.nll_loss(torch.log(F.softmax(x @ w, dim=1)), y)  # FL201
""",
    # the target's entry, picked by labels that are fed
    """
! a sum over the classes picks the probability: only the whole formula has a stable form
import tensorflow as tf

x = tf.placeholder(tf.float32, [None, 8])
y = tf.placeholder(tf.float32, [None, 5])
p = tf.nn.softmax(tf.layers.dense(x, 5))
loss = -tf.reduce_mean(tf.log(tf.reduce_sum(p * y, axis=1)))  # FL201
""",
    # padding that doesn't count
    """
import numpy as np

def softmax(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)

def loss(x, w, t, n):
-    y = softmax(np.dot(x, w))
-    ls = np.log(y[np.arange(n), t])  # FL201
+    logits = np.dot(x, w)
+    ls = (logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))[np.arange(n), t]
    ls *= (t != -1).reshape(n)
    return -np.sum(ls) / n
""",
    # a focal loss weighs by the probability itself, a masked one by what counts: neither is a policy
    """
import tensorflow as tf

x = tf.placeholder(tf.float32, [None, 8])
y = tf.placeholder(tf.int32, [None])
-p = tf.gather(tf.nn.softmax(tf.layers.dense(x, 5)), y, axis=1, batch_dims=1)
-focal = -tf.reduce_mean(tf.pow(1 - p, 2.0) * tf.log(p))  # FL201
-masked = -tf.reduce_mean(tf.cast(tf.not_equal(y, 0), tf.float32) * tf.log(p))  # FL201
-balanced = -tf.reduce_mean(0.25 * tf.log(p))  # FL201
-padded = -tf.reduce_mean(tf.sequence_mask(lengths, dtype=tf.float32) * tf.log(p))  # FL201
+logits = tf.layers.dense(x, 5)
+p = tf.gather(tf.nn.softmax(logits), y, axis=1, batch_dims=1)
+log_p = tf.gather(tf.nn.log_softmax(logits), y, axis=1, batch_dims=1)
+focal = -tf.reduce_mean(tf.pow(1 - p, 2.0) * log_p)
+masked = -tf.reduce_mean(tf.cast(tf.not_equal(y, 0), tf.float32) * log_p)
+balanced = -tf.reduce_mean(0.25 * log_p)
+padded = -tf.reduce_mean(tf.sequence_mask(lengths, dtype=tf.float32) * log_p)
""",
    """
import tensorflow as tf

x = tf.placeholder(tf.float32, [None, 784])
y_ = tf.placeholder(tf.float32, [None, 10])
W = tf.Variable(tf.zeros([784, 10]))
b = tf.Variable(tf.zeros([10]))
-y = tf.nn.softmax(tf.matmul(x, W) + b)
-cross_entropy = -tf.reduce_sum(y_ * tf.log(y))  # FL201
+logits = tf.matmul(x, W) + b
+y = tf.nn.softmax(logits)
+cross_entropy = -tf.reduce_sum(y_ * tf.nn.log_softmax(logits))
train_step = tf.train.GradientDescentOptimizer(0.01).minimize(cross_entropy)
""",
    """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(20, 5)

    def forward(self, x):
-        return torch.softmax(self.fc(x), dim=1)
+        return self.fc(x)

net = Net()

def step(x, y):
-    probs = net(x)
-    return -torch.log(probs.gather(1, y.unsqueeze(1))).mean()  # FL201
+    logits = net(x)
+    return -torch.log_softmax(logits, dim=1).gather(1, y.unsqueeze(1)).mean()
""",
    """
import torch
from torch import nn

-net = nn.Sequential(nn.Linear(20, 5), nn.Softmax(dim=1))
+net = nn.Sequential(nn.Linear(20, 5))
criterion = nn.NLLLoss()

def step(x, y):
-    return criterion(net(x).log(), y)  # FL201
+    return criterion(torch.log_softmax(net(x), dim=1), y)
""",
    """
! the log is of one minus a softmax, which has no stable form
import torch
from torch import nn

net = nn.Linear(20, 5)

def others(x, y):
    probs = net(x).softmax(-1)
    return -(y * torch.log(1 - probs)).sum(1).mean()  # FL201
""",
    """
import jax
import jax.numpy as jnp

def softmax(z):
    e = jnp.exp(z - jnp.max(z, axis=-1, keepdims=True))
    return e / jnp.sum(e, axis=-1, keepdims=True)

def loss(params, x, y):
-    probs = softmax(x @ params["w"] + params["b"])
-    return -jnp.mean(jnp.sum(y * jnp.log(probs), axis=1))  # FL201
+    logits = x @ params["w"] + params["b"]
+    return -jnp.mean(jnp.sum(y * jax.nn.log_softmax(logits, axis=-1), axis=1))

grads = jax.grad(loss)
""",
    """
import tensorflow as tf
from tensorflow import keras

-model = keras.Sequential([keras.layers.Dense(10, activation="softmax")])
+model = keras.Sequential([keras.layers.Dense(10)])

@tf.function
def train_step(x, y):
    with tf.GradientTape() as tape:
-        loss = -tf.reduce_mean(tf.math.log(tf.gather(model(x), y, batch_dims=1)))  # FL201
+        loss = -tf.reduce_mean(tf.gather(tf.nn.log_softmax(model(x)), y, batch_dims=1))
    return tape.gradient(loss, model.trainable_variables)
""",
    """
import keras
from keras import ops

class Net(keras.Model):
    def __init__(self):
        super().__init__()
-        self.head = keras.layers.Dense(4, activation="softmax")
+        self.head = keras.layers.Dense(4)

    def call(self, x):
        return self.head(x)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
-        return -ops.mean(ops.sum(y * ops.log(self(x)), axis=-1))  # FL201
+        return -ops.mean(ops.sum(y * ops.log_softmax(self(x), axis=-1), axis=-1))
""",
]

GOOD = [
    """
import tensorflow as tf

x = tf.placeholder(tf.float32, [None, 784])
y = tf.placeholder(tf.float32, [None, 10])
logits = tf.layers.dense(x, 10)
loss = -tf.reduce_sum(y * tf.nn.log_softmax(logits), axis=1)
""",
    # focal loss written on log_softmax
    """
import torch
import torch.nn.functional as F
from torch import nn

net = nn.Linear(20, 5)

def focal(x, y, gamma=2.0):
    log_p = F.log_softmax(net(x), dim=1).gather(1, y.unsqueeze(1))
    p = log_p.exp()
    return -((1 - p) ** gamma * log_p).mean()
""",
    # drawn from by noise, which is Gumbel's
    """
import tensorflow as tf

x = tf.placeholder(tf.float32, [None, 8])
p = tf.nn.softmax(tf.layers.dense(x, 5))
noise = tf.random_uniform(tf.shape(p))
action = tf.argmax(tf.log(p) - tf.log(-tf.log(noise)), 1)
""",
    # policy gradients with log_prob
    """
import torch
from torch import nn
from torch.distributions import Categorical

policy = nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 2), nn.Softmax(dim=-1))

def act(state):
    distribution = Categorical(policy(state))
    action = distribution.sample()
    return action, distribution.log_prob(action), distribution.entropy()

def update(log_probs, returns):
    return -torch.stack([l * r for l, r in zip(log_probs, returns)]).sum()
""",
    # an entropy
    """
import torch
from torch import nn

policy = nn.Linear(4, 2)

def entropy(state):
    p = torch.softmax(policy(state), dim=-1)
    return -(p * torch.log(p + 1e-8)).sum(-1).mean()
""",
    # nothing is trained through it
    """
import torch
from torch import nn

net = nn.Linear(20, 5)

@torch.no_grad()
def perplexity(x, y):
    probs = torch.softmax(net(x), dim=1)
    return torch.exp(-torch.log(probs.gather(1, y)).mean())
""",
    # a mixture's likelihood
    """
import torch
from torch import nn

mix, means = nn.Linear(8, 3), nn.Linear(8, 3)

def nll(x, y):
    pi = torch.softmax(mix(x), dim=-1)
    density = torch.exp(-0.5 * (y - means(x)) ** 2)
    return -torch.log((pi * density).sum(-1)).mean()
""",
    # an average of several softmaxes has no log_softmax
    """
import torch
from torch import nn

net = nn.Linear(20, 5)

def marginal_entropy(views):
    mean = torch.softmax(net(views), dim=-1).mean(0)
    return -torch.log(mean).sum()
""",
    # gumbel softmax
    """
import torch
from torch import nn

net = nn.Linear(20, 5)

def sample(x, tau=1.0):
    noise = -torch.log(-torch.log(torch.rand(5)))
    return torch.softmax((net(x) + noise) / tau, dim=-1)
""",
]
