"""A log_softmax before a loss that applies it again.

## What it does
Finds log-probabilities that reach a cross-entropy on logits, or another log_softmax.

## Why is this bad
It isn't wrong: log_softmax of log-probabilities gives them back, because their exponentials already sum to 1. It is
computed twice, forwards and backwards, for nothing, and the program says `LogSoftmax + CrossEntropyLoss` where it
means one or the other: the next change (an `exp`, a softmax, a temperature between the two) makes a double softmax of
it.

## Example
```python
model = nn.Sequential(nn.Linear(784, 10), nn.LogSoftmax(dim=1))
loss = nn.CrossEntropyLoss()(model(x), y)
```

## Use instead
Logits and `CrossEntropyLoss`:
```python
model = nn.Linear(784, 10)
loss = nn.CrossEntropyLoss()(model(x), y)
```
or log-probabilities and `NLLLoss`:
```python
model = nn.Sequential(nn.Linear(784, 10), nn.LogSoftmax(dim=1))
loss = nn.NLLLoss()(model(x), y)
```

## Fix safety
Safe: the log_softmax goes, and the loss is the same up to rounding. Whoever else reads it keeps it, or gets it back.
Unsafe where such a reader can't be seen.

## References
- [torch.nn.CrossEntropyLoss: LogSoftmax on an input, followed by NLLLoss](https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html)
- [torch.nn.NLLLoss](https://docs.pytorch.org/docs/stable/generated/torch.nn.NLLLoss.html)
"""

from __future__ import annotations

from collections.abc import Iterator

from finallayer.expr import Node
from finallayer.findings import Match, Severity, Sighting
from finallayer.kinds import Kind
from finallayer.rules.base import Rule
from finallayer.rules.wording import called, made_here

RULE = Rule("FL303", "redundant-log-softmax", Severity.ADVICE, "log_softmax before a loss that applies it again")


@RULE.on("xent_logits", "log_softmax")
def judge(sighting: Sighting) -> Iterator[Match]:
    match sighting.node:
        case Node(op="xent_logits", args=(Node(kind=Kind.LOG_PROBS) as x, *_)) as loss:
            message = f"{called(loss)} applies log_softmax itself: hand it the logits, or use an NLL loss"
            yield Match(message, related=made_here(x))
        case Node(op="log_softmax", args=(Node(kind=Kind.LOG_PROBS) as x,)):
            yield Match("log_softmax of log-probabilities gives them back: apply it once", related=made_here(x))


BAD = [
    """
from torch import nn

-model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10), nn.LogSoftmax(dim=1))
+model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
criterion = nn.CrossEntropyLoss()

def step(x, y):
    return criterion(model(x), y)  # FL303
""",
    """
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(784, 10)

    def forward(self, x):
-        return F.log_softmax(self.fc(x), dim=1)
+        return self.fc(x)

net = Net()

def step(x, y):
    return F.cross_entropy(net(x), y)  # FL303
""",
    """
import jax
import optax

def loss(params, x, y):
-    log_probs = jax.nn.log_softmax(x @ params["w"])
-    return optax.softmax_cross_entropy(log_probs, y).mean()  # FL303
+    logits = x @ params["w"]
+    return optax.softmax_cross_entropy(logits, y).mean()

grads = jax.grad(loss)
""",
]

GOOD = [
    """
from torch import nn

model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10), nn.LogSoftmax(dim=1))
criterion = nn.NLLLoss()

def step(x, y):
    return criterion(model(x), y)
""",
    # log-probabilities of a language model, read beside the loss
    """
import torch.nn.functional as F
from torch import nn

lm = nn.Linear(64, 1000)

def step(h, y):
    logits = lm(h)
    log_probs = F.log_softmax(logits, dim=-1)
    return F.cross_entropy(logits, y), log_probs.max(-1)
""",
]
