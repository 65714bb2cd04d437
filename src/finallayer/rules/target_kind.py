"""A loss whose target is no distribution, but its log or its logits.

## What it does
Finds log-probabilities that are handed to a divergence as a target which isn't said to be one of logs, probabilities
where it is, and logits handed as the target to a divergence, or to a cross-entropy beside a prediction.

## Why is this bad
A divergence weighs each class by the target's probability. PyTorch's `kl_div` computes `q * (log(q) - log_p)` and reads
`q` as probabilities unless `log_target=True`: log-probabilities in their place are negative weights, so the value is
NaN, and what its gradient descends has no least value. With `log_target=True` the loss is `exp(q) * (q - log_p)`:
probabilities there become weights of between 1 and 2.7, whichever class they are of. Either way the student is trained
towards something that no teacher said. Logits in the place of a target are weights of any size and sign: that loss has
no least value either.

## Example
```python
teacher = F.log_softmax(teacher_net(x), dim=1)
loss = F.kl_div(F.log_softmax(net(x), dim=1), teacher, reduction="batchmean")
```

## Use instead
```python
loss = F.kl_div(F.log_softmax(net(x), dim=1), teacher, reduction="batchmean", log_target=True)
```

## References
- [torch.nn.KLDivLoss: log_target](https://docs.pytorch.org/docs/stable/generated/torch.nn.KLDivLoss.html)
- [optax.losses.kl_divergence_with_log_targets](https://optax.readthedocs.io/en/latest/api/losses.html)
- [tf.keras.losses.KLDivergence](https://www.tensorflow.org/api_docs/python/tf/keras/losses/KLDivergence)
"""

from __future__ import annotations

from collections.abc import Iterator

from finallayer.expr import Node
from finallayer.findings import Match, Severity, Sighting
from finallayer.kinds import LOG_KINDS, PROBABILITY_KINDS
from finallayer.rules.base import Rule
from finallayer.rules.route import are_scores, is_detached, is_the_wrong_way_round, may_be_prediction
from finallayer.rules.wording import OUTPUTS, called, made_here

RULE = Rule("FL111", "target-kind", Severity.ERROR, "a target that is the log of a distribution, or its logits")
NO_FIX = "the loss becomes another, and what was tuned to it may be wrong"

_SAY_SO = "pass probabilities, or say so (`log_target=True`) where it can be told"


@RULE.on("kl", "kl_probs", "xent_logits", "xent_probs", "bce_logits", "bce_probs")
def judge(sighting: Sighting) -> Iterator[Match]:
    match sighting.node:
        case Node(op="kl", args=(_, Node(kind=kind) as target), attrs={"log_target": False}) as loss if (
            kind in LOG_KINDS and not is_the_wrong_way_round(loss)
        ):
            message = f"{called(loss)} takes its target's log itself, but is handed {OUTPUTS[kind]}: {_SAY_SO}"
            yield Match(message, related=made_here(target))
        case Node(op="kl", args=(_, Node(kind=kind) as target), attrs={"log_target": True}) as loss if (
            kind in PROBABILITY_KINDS
        ):
            message = f"{called(loss)} expects the log of its target here, but is handed {OUTPUTS[kind]}"
            yield Match(message, related=made_here(target))
        case Node(op="kl_probs", args=(_, Node(kind=kind) as target)) as loss if kind in LOG_KINDS:
            message = f"{called(loss)} takes probabilities as its target, but is handed {OUTPUTS[kind]}"
            yield Match(message, related=made_here(target))
        case Node(args=(x, target)) as loss if _is_against_logits(loss, x, target):
            message = f"{called(loss)} is handed logits as its target: use their softmax, or what it should predict"
            yield Match(message, related=made_here(target))


def _is_against_logits(loss: Node, x: Node, target: Node) -> bool:
    """Whether the target is logits that a prediction is compared with; any other is the target itself (FL110)."""
    return are_scores(target) and (loss.op in ("kl", "kl_probs") or may_be_prediction(x) or is_detached(target))


BAD = [
    """
import torch
import torch.nn.functional as F
from torch import nn

student, teacher = nn.Linear(8, 3), nn.Linear(8, 3)
criterion = nn.KLDivLoss(reduction="batchmean")

def step(x):
    with torch.no_grad():
        target = F.log_softmax(teacher(x), dim=1)
    return criterion(F.log_softmax(student(x), dim=1), target)  # FL111
""",
    """
import torch
import torch.nn.functional as F
from torch import nn

student, teacher = nn.Linear(8, 3), nn.Linear(8, 3)

def distil(x, temperature=4.0):
    log_p = F.log_softmax(student(x) / temperature, dim=-1)
    with torch.no_grad():
        q = F.softmax(teacher(x) / temperature, dim=-1)
    return F.kl_div(log_p, q, log_target=True, reduction="batchmean")  # FL111
""",
    """
import torch.nn.functional as F
from torch import nn

student, teacher = nn.Linear(8, 3), nn.Linear(8, 3)

def distil(x):
    target = teacher(x).detach()
    divergence = F.kl_div(F.log_softmax(student(x), dim=-1), target, reduction="batchmean")  # FL111
    return divergence + F.cross_entropy(student(x), target)  # FL111

def of_another(x, other):
    return F.cross_entropy(other(x), teacher(x))  # FL111
""",
    """
import jax
import optax

def loss(params, teacher, x):
    predictions = jax.nn.log_softmax(x @ params["w"])
    targets = jax.nn.log_softmax(x @ teacher["w"])
    return optax.kl_divergence(predictions, targets).mean()  # FL111

def with_logs(params, teacher, x):
    predictions = jax.nn.log_softmax(x @ params["w"])
    return optax.kl_divergence_with_log_targets(predictions, jax.nn.softmax(x @ teacher["w"])).mean()  # FL111
""",
    """
import tensorflow as tf

student = tf.keras.Sequential([tf.keras.layers.Dense(5, activation="softmax")])
teacher = tf.keras.Sequential([tf.keras.layers.Dense(5)])
divergence = tf.keras.losses.KLDivergence()

def step(x):
    with tf.GradientTape() as tape:
        loss = divergence(teacher(x), student(x))  # FL111
    return tape.gradient(loss, student.trainable_variables)
""",
    """
from torch import nn

class Consistency(nn.Module):
    def __init__(self):
        super().__init__()
        self.net, self.mean = nn.Linear(8, 3), nn.Linear(8, 3)
        self.logs = nn.LogSoftmax(dim=1)
        self.divergence = nn.KLDivLoss(reduction="sum", log_target=False)

    def forward(self, x):
        return self.divergence(self.logs(self.net(x)), self.logs(self.mean(x)))  # FL111
""",
]

GOOD = [
    # in Keras' order
    """
import tensorflow as tf

student = tf.keras.Sequential([tf.keras.layers.Dense(5, activation="softmax")])
teacher = tf.keras.Sequential([tf.keras.layers.Dense(5, activation="softmax")])
divergence = tf.keras.losses.KLDivergence()

def step(x):
    with tf.GradientTape() as tape:
        loss = divergence(teacher(x), student(x))
    return tape.gradient(loss, student.trainable_variables)
""",
    """
import torch
import torch.nn.functional as F
from torch import nn

student, teacher = nn.Linear(8, 3), nn.Linear(8, 3)
told = nn.KLDivLoss(reduction="batchmean", log_target=True)

def distil(x):
    with torch.no_grad():
        logs = F.log_softmax(teacher(x), dim=1)
    log_p = F.log_softmax(student(x), dim=1)
    yield told(log_p, logs)
    yield F.kl_div(log_p, logs, reduction="batchmean", log_target=True)
    yield F.kl_div(log_p, logs.exp(), reduction="batchmean")
    yield F.kl_div(log_p, F.softmax(teacher(x), dim=1), reduction="batchmean")
""",
    # either, as an option says
    """
import torch.nn.functional as F
from torch import nn

student, teacher = nn.Linear(8, 3), nn.Linear(8, 3)

def distil(x, in_logs):
    logs = F.log_softmax(teacher(x), dim=1)
    return F.kl_div(F.log_softmax(student(x), dim=1), logs if in_logs else logs.exp(), log_target=in_logs)
""",
    # a distribution as a cross-entropy's target, and labels
    """
import torch
import torch.nn.functional as F
from torch import nn

student, teacher = nn.Linear(8, 3), nn.Linear(8, 3)

def step(x, y):
    with torch.no_grad():
        soft = teacher(x).softmax(1)
    return F.cross_entropy(student(x), soft) + F.cross_entropy(student(x), teacher(x).argmax(1))
""",
    # what a layer gives may be brought to [0, 1] before it is a target
    """
import torch
import torch.nn.functional as F
from torch import nn

encoder, decoder = nn.Linear(8, 3), nn.Linear(3, 3)

def rebuild(x):
    code = F.relu(encoder(x)).clamp(max=1)
    return F.binary_cross_entropy_with_logits(decoder(code), code)
""",
    # a target from elsewhere
    """
import torch.nn.functional as F
from torch import nn

student = nn.Linear(8, 3)

def distil(x, teacher):
    return F.kl_div(F.log_softmax(student(x), dim=-1), teacher(x), reduction="batchmean")
""",
    """
import jax
import optax

def loss(params, teacher, x):
    predictions = jax.nn.log_softmax(x @ params["w"])
    logs = jax.nn.log_softmax(x @ teacher["w"])
    return optax.kl_divergence_with_log_targets(predictions, logs).mean()

def of_probabilities(params, teacher, x):
    predictions = jax.nn.log_softmax(x @ params["w"])
    return optax.kl_divergence(predictions, jax.nn.softmax(x @ teacher["w"])).mean()
""",
]
