"""A softplus written as log(1 + exp(z)).

## What it does
Finds `log(1 + exp(z))` and `log1p(exp(z))` where `z` may be large and a gradient is asked for.

## Why is this bad
`exp` overflows beyond 88.7 in float32 and bfloat16, beyond 11.1 in float16. The loss is then infinite and its gradient
NaN (infinity over infinity), although softplus is simply `z` there. Below -16.6 (float32) `1 + exp(z)` rounds to 1:
the loss and its gradient are 0. This is the logistic loss of the textbooks, `log(1 + exp(-y * z))`, so the samples
that overflow are the ones that are most wrong.

## Example
```python
loss = torch.log(1 + torch.exp(-y * score)).mean()
```

## Use instead
```python
loss = F.softplus(-y * score).mean()
```

## Fix safety
Safe: softplus gives the same numbers wherever the hand-written form gave right ones.

## References
- [torch.nn.functional.softplus](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.softplus.html)
- [jax.nn.softplus](https://docs.jax.dev/en/latest/_autosummary/jax.nn.softplus.html)
- [Mächler 2012: Accurately computing log(1 + exp(x))](https://cran.r-project.org/web/packages/Rmpfr/vignettes/log1mexp-note.pdf)
"""

from __future__ import annotations

from collections.abc import Iterator

from finallayer.expr import Node
from finallayer.findings import Match, Severity, Sighting
from finallayer.rules.base import Rule
from finallayer.rules.bounds import exp_is_safe
from finallayer.rules.margin import judged, loss_of
from finallayer.rules.route import is_detached

RULE = Rule("FL206", "naive-softplus", Severity.WARNING, "log(1 + exp(z)): overflows")


@RULE.on("softplus")
def judge(sighting: Sighting) -> Iterator[Match]:
    match sighting:
        case Sighting(node=Node(args=(z,), attrs={"naive": True}), training=True) if not exp_is_safe(
            z
        ) and not is_detached(z):
            yield from judged(sighting, "log(1 + exp(z)) overflows: use softplus", loss_of(sighting.node))


BAD = [
    """
-import torch
from torch import nn

net = nn.Linear(8, 1)

def step(x, y):
-    return torch.log(1 + torch.exp(-y * net(x))).mean()  # FL206
+    return nn.functional.softplus(-y * net(x)).mean()
""",
    """
import tensorflow as tf

def logistic(y, score):
-    return tf.reduce_mean(tf.log(1.0 + tf.exp(-y * score)))  # FL206
+    return tf.reduce_mean(tf.nn.softplus(-y * score))
""",
    """
import jax
import jax.numpy as jnp

def loss(w, x, y):
-    return jnp.mean(jnp.log1p(jnp.exp(-y * (x @ w))))  # FL206
+    return jnp.mean(jax.nn.softplus(-y * (x @ w)))

grads = jax.grad(loss)
""",
]

GOOD = [
    """
import torch.nn.functional as F
from torch import nn

net = nn.Linear(8, 1)

def step(x, y):
    return F.softplus(-y * net(x)).mean()
""",
    # the stable form by hand
    """
import torch

def bce_with_logits(z, y):
    return torch.clamp(z, min=0) - z * y + torch.log(1 + torch.exp(-torch.abs(z)))
""",
    """
import jax.numpy as jnp

def bce_with_logits(z, y):
    positive = z >= 0
    magnitude = jnp.where(positive, z, -z)
    return jnp.where(positive, z, 0) - z * y + jnp.log(1 + jnp.exp(-magnitude))
""",
    """
import tensorflow as tf

def logaddexp2(x, y):
    log2 = tf.math.log(2.0)
    return tf.maximum(x, y) + tf.math.log1p(tf.exp(-tf.abs(x - y) * log2)) / log2
""",
    """
import jax.numpy as jnp

def loss(w, x, y):
    return jnp.mean(jnp.logaddexp(0.0, -y * (x @ w)))
""",
]
