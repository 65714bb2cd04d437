"""A hand-written softmax that doesn't subtract the maximum.

## What it does
Finds `exp(z) / sum(exp(z))` where `z` may be large and a gradient is asked for.

## Why is this bad
`exp` overflows beyond 88.7 in float32 and bfloat16, beyond 11.1 in float16: a single logit above that turns the whole
row into NaN (infinity over infinity). Where all logits lie below -104, the sum is 0 and the row is NaN as well.
Softmax doesn't change when a constant is subtracted from every logit, and with the maximum subtracted neither can
happen: that is what every framework's own softmax does.

## Example
```python
e = jnp.exp(z)
probs = e / e.sum(axis=-1, keepdims=True)
```

## Use instead
```python
probs = jax.nn.softmax(z, axis=-1)
```

## Fix safety
Safe: the framework's softmax gives the same numbers wherever the hand-written one gave any.

## References
- [jax.nn.softmax](https://docs.jax.dev/en/latest/_autosummary/jax.nn.softmax.html)
- [scipy.special.softmax](https://docs.scipy.org/doc/scipy/reference/generated/scipy.special.softmax.html)
- [Blanchard, Higham, Higham 2021: Accurately computing the log-sum-exp and softmax functions](https://doi.org/10.1093/imanum/draa038)
"""

from __future__ import annotations

from collections.abc import Iterator

from finallayer.expr import Node
from finallayer.findings import Match, Severity, Sighting
from finallayer.rules.base import Rule
from finallayer.rules.bounds import exp_is_safe
from finallayer.rules.route import is_detached

RULE = Rule("FL204", "naive-softmax", Severity.WARNING, "exp(z) / sum(exp(z)) without subtracting the maximum")


@RULE.on("softmax", "weighted_softmax")
def judge(sighting: Sighting) -> Iterator[Match]:
    match sighting:
        case Sighting(node=Node(op=op, args=(z, *_), attrs={"naive": True} as attrs), training=True) if not (
            (exp_is_safe(z) and not _is_tried_out(sighting)) or is_detached(z) or attrs.get("no_loss")
        ):
            use = (
                "the framework's softmax"
                if op == "softmax"
                else "the framework's softmax of the masked, or shifted, logits"
            )
            yield Match(
                f"softmax without subtracting the maximum: use {use}; "
                "it is NaN once a logit passes 88.7 (float32) or 11.1 (float16)"
            )


def _is_tried_out(sighting: Sighting) -> bool:
    """Whether a function is shown at work on numbers that are spelled out: others may call it with any, but for a
    notebook's."""
    node, origin = sighting.node, sighting.node.origin
    numbers = any(leaf.op == "numbers" and "low" in leaf.attrs for leaf in node.walk())
    return numbers and sighting.caller is not None and origin is not None and origin.path.endswith(".py")


BAD = [
    # a function that is shown at work on numbers that are spelled out, and overflows with others
    """
import numpy as np

def softmax(x):
-    return np.exp(x) / np.sum(np.exp(x), axis=0)  # FL204
+    shifted = x - np.max(x, axis=0, keepdims=True)
+    return np.exp(shifted) / np.sum(np.exp(shifted), axis=0)

print(softmax(np.array([2.0, 1.0, 0.1])))
""",
    """
-import numpy as np
from scipy import special

def softmax(x):
-    return np.exp(x) / np.sum(np.exp(x), axis=1, keepdims=True)  # FL204
+    return special.softmax(x, axis=1)

def accuracy(x, y):
    return (softmax(special.logit(x)).argmax(axis=1) == y).mean()
""",
    """
import numpy as np

def softmax(x):
-    e = np.exp(x)
+    e = np.exp(x - np.max(x, axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)  # FL204
""",
    """
import jax
-import jax.numpy as jnp

def softmax(z):
-    return jnp.exp(z) / jnp.sum(jnp.exp(z), axis=-1, keepdims=True)  # FL204
+    return jax.nn.softmax(z, axis=-1)

def mix(params, x):
    return (softmax(x @ params["w"]) * params["values"]).sum()

grads = jax.grad(mix)
""",
    """
import tensorflow as tf

def pixel_wise_softmax(output_map):
-    exponential_map = tf.exp(output_map)
-    sum_exp = tf.reduce_sum(exponential_map, 3, keep_dims=True)
-    return tf.div(exponential_map, sum_exp)  # FL204
+    return tf.nn.softmax(output_map, axis=3)
""",
    """
! the scores have no name to be read again by
import torch
from torch import nn

score = nn.Linear(16, 1)

def attend(h):
    e = torch.exp(score(h))
    weights = e / e.sum(dim=1, keepdim=True)  # FL204
    return (weights * h).sum(1)

def attend_to_some(h, mask):
    e = torch.where(mask, torch.exp(score(h)), 0.0)
    weights = e / e.sum(dim=1, keepdim=True)  # FL204
    return (weights * h).sum(1)
""",
]

GOOD = [
    # numbers that are spelled out, none of which overflows
    """
import numpy as np

scores = np.array([[0.2, 0.3], [0.1, -0.4]])
for temperature in [0.1, 1.0]:
    e = np.exp(scores / temperature)
    print(e / e.sum(axis=0))
""",
    # what is only drawn from: a policy that explores
    """
import numpy as np

def explore(values, temperature):
    weights = np.exp(np.clip(values / temperature, -500.0, 500.0))
    return np.random.choice(range(len(values)), p=weights / np.sum(weights))
""",
    """
import jax.numpy as jnp

def softmax(z):
    e = jnp.exp(z - jnp.max(z, axis=-1, keepdims=True))
    return e / jnp.sum(e, axis=-1, keepdims=True)
""",
    # bounded scores: tanh, negated squares, cosines over a temperature
    """
import torch
from torch import nn

score, centres = nn.Linear(16, 1), nn.Linear(16, 4)

def attend(h):
    e = torch.exp(torch.tanh(score(h)))
    return e / e.sum(dim=1, keepdim=True)

def assign(x, c):
    e = torch.exp(-((x - c) ** 2))
    return e / e.sum(-1, keepdim=True)

def contrast(a, b):
    e = torch.exp(torch.cosine_similarity(a, b, dim=-1) / 0.1)
    return e / e.sum(-1, keepdim=True)

def squashed(h, alpha):
    z = score(h)
    e = torch.exp(z / torch.sqrt(1 + alpha * torch.square(z)))
    return e / e.sum(dim=1, keepdim=True)
""",
]
