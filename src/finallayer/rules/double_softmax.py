"""Probabilities handed to a loss that applies softmax itself.

## What it does
Finds a softmax whose output reaches a cross-entropy on logits, or another softmax.

## Why is this bad
The loss applies softmax a second time. Its input then lies in [0, 1], so with C classes it can never fall below
`ln(e + C - 1) - 1` (1.46 for ten classes), and every gradient is damped.

## Example
```python
loss = F.cross_entropy(torch.softmax(net(x), dim=1), y)
```

## Use instead
```python
loss = F.cross_entropy(net(x), y)
```

## References
- [CrossEntropyLoss expects unnormalised logits](https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html)
"""

from __future__ import annotations

from collections.abc import Iterator

from finallayer.expr import TRANSPARENT, Node, through
from finallayer.kinds import Kind
from finallayer.rules.base import Match, Related, Rule, Severity, Sighting

RULE = Rule(
    "FL101", "double-softmax", Severity.ERROR, "probabilities handed to a loss or softmax that applies softmax itself"
)


@RULE.on("xent_logits")
def judge(sighting: Sighting) -> Iterator[Match]:
    match sighting.node:
        case Node(op="xent_logits", args=(Node(kind=Kind.PROBS) as x, *_)):
            made = through(x, TRANSPARENT)
            related = (Related(made.origin, "softmax applied here"),) if made.origin else ()
            yield Match("the loss applies softmax to probabilities", sighting.node, related)


BAD = [
    """
import torch
import torch.nn.functional as F

def step(net, x, y):
    return F.cross_entropy(torch.softmax(net(x), dim=1), y)  # FL101
"""
]

GOOD = [
    """
import torch.nn.functional as F

def step(net, x, y):
    return F.cross_entropy(net(x), y)
"""
]
