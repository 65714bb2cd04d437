"""A log-sum-exp that doesn't subtract the maximum.

## What it does
Finds `log(sum(exp(z)))` where `z` may be large and a gradient is asked for.

## Why is this bad
`exp` overflows beyond 88.7 in float32 and bfloat16, beyond 11.1 in float16: one such logit, and the loss is infinite
and its gradient NaN. Where all of them lie below -104, the sum is 0 and the loss minus infinity: log-likelihoods of
long sequences and of mixtures get there easily. Frameworks' own `logsumexp` takes the maximum out first.

## Example
```python
loss = torch.log(torch.exp(z).sum(dim=1)) - z.gather(1, y)
```

## Use instead
```python
loss = torch.logsumexp(z, dim=1) - z.gather(1, y)
```
or `F.cross_entropy(z, y)`, which is the same.

## Fix safety
Safe: `logsumexp` gives the same numbers wherever the hand-written form gave right ones.

## References
- [torch.logsumexp](https://docs.pytorch.org/docs/stable/generated/torch.logsumexp.html)
- [jax.scipy.special.logsumexp](https://docs.jax.dev/en/latest/_autosummary/jax.scipy.special.logsumexp.html)
- [Blanchard, Higham, Higham 2021: Accurately computing the log-sum-exp and softmax functions](https://doi.org/10.1093/imanum/draa038)
"""

from __future__ import annotations

from collections.abc import Iterator

from finallayer.expr import Node
from finallayer.findings import Match, Severity, Sighting
from finallayer.rules.base import Rule
from finallayer.rules.bounds import exp_is_safe
from finallayer.rules.margin import judged, loss_of
from finallayer.rules.route import is_detached

RULE = Rule("FL207", "naive-logsumexp", Severity.WARNING, "log(sum(exp(z))) without subtracting the maximum")


@RULE.on("logsumexp")
def judge(sighting: Sighting) -> Iterator[Match]:
    match sighting:
        case Sighting(node=Node(args=(z,), attrs={"naive": True}), training=training) if not exp_is_safe(
            z
        ) and not is_detached(z):
            seen = sighting._replace(asked=sighting.asked and training)
            yield from judged(seen, "log(sum(exp(z))) overflows: use logsumexp", loss_of(sighting.node))


BAD = [
    """
import torch
from torch import nn

net = nn.Linear(20, 5)

def step(x, y):
    z = net(x)
-    return (torch.log(torch.exp(z).sum(dim=1)) - z[range(len(y)), y]).mean()  # FL207
+    return (torch.logsumexp(z, dim=1) - z[range(len(y)), y]).mean()
""",
    """
import tensorflow as tf

def cox(risk, event):
-    log_risk = tf.log(tf.reduce_sum(tf.exp(risk)))  # FL207
+    log_risk = tf.reduce_logsumexp(risk)
    return -tf.reduce_mean((risk - log_risk) * event)
""",
    """
import jax
import jax.numpy as jnp

def loss(params, x, y):
    z = x @ params["w"]
-    log_probs = z - jnp.log(jnp.sum(jnp.exp(z), axis=1, keepdims=True))  # FL207
+    log_probs = z - jax.nn.logsumexp(z, axis=1, keepdims=True)
    return -jnp.mean(jnp.sum(y * log_probs, axis=1))

grads = jax.grad(loss)
""",
    # a contrastive loss by hand
    """
! an exponential is divided by the sum: the whole is a cross-entropy of the scores
import torch
from torch import nn

encode = nn.Linear(20, 5)

def info_nce(x, y):
    scores = encode(x) @ encode(y).t()
    positive = torch.exp(torch.diag(scores))
    return -torch.log(positive / torch.exp(scores).sum(dim=1)).mean()  # FL207
""",
]

GOOD = [
    # similarities of unit vectors can't overflow
    """
import torch
import torch.nn.functional as F
from torch import nn

encode = nn.Linear(20, 5)

def info_nce(x, y, temperature=0.5):
    a, b = F.normalize(encode(x), dim=-1), encode(y)
    b = b / b.norm(dim=-1, keepdim=True)
    negatives = torch.exp(torch.mm(a, b.t()) / temperature).sum(dim=1)
    positive = torch.exp((a * b).sum(-1) / temperature)
    return -torch.log(positive / (positive + negatives)).mean()
""",
    """
import torch
from torch import nn

net = nn.Linear(20, 5)

def step(x, y):
    z = net(x)
    return (torch.logsumexp(z, dim=1) - z[range(len(y)), y]).mean()
""",
    # the maximum taken out by hand: a CRF's forward algorithm
    """
import torch

def log_sum_exp(vec):
    top = vec.max(dim=-1, keepdim=True).values
    return top.squeeze(-1) + torch.log(torch.sum(torch.exp(vec - top), dim=-1))
""",
    # bounded exponents: a kernel density, a contrastive loss on cosines
    """
import torch

def density(x, data):
    return torch.log(torch.sum(torch.exp(-0.5 * (x - data) ** 2), dim=-1))

def contrast(a, b):
    return torch.log(torch.exp(torch.cosine_similarity(a, b, dim=-1) / 0.1).sum(-1))
""",
    # a mixture's likelihood by logsumexp
    """
import torch
import torch.nn.functional as F
from torch import nn

mix, means = nn.Linear(8, 3), nn.Linear(8, 3)

def nll(x, y):
    log_pi = F.log_softmax(mix(x), dim=-1)
    return -torch.logsumexp(log_pi - 0.5 * (y - means(x)) ** 2, dim=-1).mean()
""",
]
