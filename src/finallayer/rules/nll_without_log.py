"""A negative log-likelihood, or a KL divergence, handed probabilities or logits instead of log-probabilities.

## What it does
Finds softmax outputs, sigmoid outputs and logits that reach a loss which expects its input to be log-probabilities
already: `NLLLoss`, `nll_loss`, `KLDivLoss`, `kl_div`, `CTCLoss`.

## Why is this bad
`NLLLoss` takes no log, despite its name: it returns minus the target's entry. On probabilities that is minus the
expected accuracy, bounded by [-1, 0], whose gradient `-x_t (1 - x_t)` vanishes exactly where the model is most wrong.
On logits it is unbounded below: the loss falls without end while the model grows one weight. A loss below zero in the
training log is the symptom.

## Example
```python
loss = F.nll_loss(F.softmax(net(x), dim=1), y)
```

## Use instead
```python
loss = F.cross_entropy(net(x), y)
```
or, where log-probabilities are wanted elsewhere too,
```python
loss = F.nll_loss(F.log_softmax(net(x), dim=1), y)
```

## Fix safety
Safe: the loss gets a log_softmax, or the model ends in one; logits get `cross_entropy`. Whoever else reads the
probabilities keeps them, or gets them back by `exp`. Unsafe where such a reader can't be seen.

## References
- [torch.nn.NLLLoss: the input holds log-probabilities](https://docs.pytorch.org/docs/stable/generated/torch.nn.NLLLoss.html)
- [torch.nn.KLDivLoss: the input holds log-probabilities](https://docs.pytorch.org/docs/stable/generated/torch.nn.KLDivLoss.html)
"""

from __future__ import annotations

from collections.abc import Iterator

from finallayer.expr import Node
from finallayer.findings import Match, Severity, Sighting
from finallayer.kinds import PROBABILITY_KINDS, Kind
from finallayer.rules.base import Rule
from finallayer.rules.wording import OUTPUTS, called, made_here

RULE = Rule("FL103", "nll-without-log", Severity.ERROR, "NLL or KL handed probabilities or logits")


@RULE.on("nll", "kl")
def judge(sighting: Sighting) -> Iterator[Match]:
    match sighting.node:
        case Node(op="nll", attrs={"no_loss": True}):
            return
        case Node(op="nll", attrs={"reduction": "none"} as attrs) if "summed" not in attrs:
            return  # a way to gather the target's entries, such as a focal loss's weights
        case Node(args=(Node(kind=kind) as x, *_)) as loss if kind in PROBABILITY_KINDS | {Kind.LOGITS}:
            message = f"{called(loss)} takes log-probabilities, but is handed {OUTPUTS[kind]}: use log_softmax instead"
            yield Match(message, related=made_here(x))


BAD = [
    """
import torch.nn.functional as F
from torch import nn

net = nn.Linear(8, 4)

def step(x, y):
-    return F.nll_loss(F.softmax(net(x), dim=1), y)  # FL103
+    return F.nll_loss(F.log_softmax(net(x), dim=1), y)
""",
    """
from torch import nn

model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
-criterion = nn.NLLLoss()
+criterion = nn.CrossEntropyLoss()

def train(loader):
    for x, y in loader:
        criterion(model(x), y).backward()  # FL103
""",
    """
import torch
import torch.nn.functional as F
from torch import nn

student, teacher = nn.Linear(20, 5), nn.Linear(20, 5)

def distil(x):
    with torch.no_grad():
        soft = F.softmax(teacher(x), dim=1)
-    return F.kl_div(F.softmax(student(x), dim=1), soft, reduction="batchmean")  # FL103
+    return F.kl_div(F.log_softmax(student(x), dim=1), soft, reduction="batchmean")
""",
    """
from torch import nn

class Head(nn.Module):
    def __init__(self, hidden, classes):
        super().__init__()
        self.linear = nn.Linear(hidden, classes)
        self.criterion = nn.NLLLoss()

    def forward(self, h, labels):
-        return self.criterion(self.linear(h).softmax(-1), labels)  # FL103
+        return self.criterion(self.linear(h).log_softmax(-1), labels)
""",
    """
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(784, 10)
-        self.softmax = nn.Softmax(dim=1)
+        self.log_softmax = nn.LogSoftmax(dim=1)

    def forward(self, x):
-        return self.softmax(self.fc(x))
+        return self.log_softmax(self.fc(x))

net = Net()

def step(x, y):
    output = net(x)
-    print(output.max())
+    print(output.exp().max())
    return F.nll_loss(output, y)  # FL103

def unnormalised(x, y):
-    return F.nll_loss(net.fc(x), y)  # FL103
+    return F.cross_entropy(net.fc(x), y)
""",
    """
! a divergence is handed logits: its other argument may be meant
import optax
from flax import linen as nn

class Student(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(10)(x)

def loss_fn(params, x, soft):
    return optax.kl_divergence(Student().apply(params, x), soft).mean()  # FL103
""",
]

GOOD = [
    # LogSoftmax + NLLLoss
    """
from torch import nn

model = nn.Sequential(nn.Linear(784, 10), nn.LogSoftmax(dim=1))
criterion = nn.NLLLoss()

def train(loader):
    for x, y in loader:
        criterion(model(x), y).backward()
""",
    """
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(784, 10)

    def forward(self, x):
        return F.log_softmax(self.fc(x), dim=1)

def step(model, x, y):
    return F.nll_loss(model(x), y)

loss = step(Net(), x=None, y=None)
""",
    # distillation: KL on log_softmax, softmax on the target
    """
import torch
import torch.nn.functional as F
from torch import nn

student, teacher = nn.Linear(20, 5), nn.Linear(20, 5)

def distil(x, t=4.0):
    with torch.no_grad():
        soft = F.softmax(teacher(x) / t, dim=1)
    return F.kl_div(F.log_softmax(student(x) / t, dim=1), soft, reduction="batchmean") * t * t
""",
    """
import jax
import optax

def loss_fn(params, x, soft):
    log_predictions = jax.nn.log_softmax(x @ params["w"])
    return optax.kl_divergence(log_predictions, soft).mean()

grads = jax.grad(loss_fn)
""",
]
