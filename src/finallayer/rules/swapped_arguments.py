"""A loss that is handed the labels as its prediction, and the prediction as its target.

## What it does
Finds losses and metrics whose target is what a layer gives, and whose prediction is not: data, labels made one-hot, or
a constant.

A divergence is reported, too, that is handed probabilities and the log of others, in this order: PyTorch's and Optax's
take the prediction's log first.

## Why is this bad
The two arguments of a loss aren't alike. In the place of the prediction labels have no gradient; in the place of the
target the model's outputs are weights, which the loss would rather have small, or large, than right: `cross_entropy(y,
net(x))` is linear in `net(x)` and has no least value. Where the labels are numbers of classes it doesn't even run;
where they are one-hot it does. Which comes first differs: PyTorch and Optax take the prediction first, Keras and
scikit-learn the labels, and TensorFlow's losses both by name.

A teacher's softmax as the target of a student is no mistake, and isn't reported.

## Example
```python
loss = F.binary_cross_entropy_with_logits(y, net(x))
```

## Use instead
```python
loss = F.binary_cross_entropy_with_logits(net(x), y)
```

## References
- [torch.nn.functional.cross_entropy: input, target](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.cross_entropy.html)
- [Keras losses: y_true, y_pred](https://keras.io/api/losses/)
- [tf.nn.softmax_cross_entropy_with_logits: labels, logits](https://www.tensorflow.org/api_docs/python/tf/nn/softmax_cross_entropy_with_logits)
"""

from __future__ import annotations

from collections.abc import Iterator

from finallayer.expr import MOVES, Node, through
from finallayer.findings import Match, Severity, Sighting
from finallayer.kinds import LOG_KINDS, PROBABILITY_KINDS
from finallayer.rules.base import Rule
from finallayer.rules.route import are_scores, is_detached, is_the_wrong_way_round, maker, may_be_prediction
from finallayer.rules.wording import OUTPUTS, called, made_here

RULE = Rule("FL110", "swapped-arguments", Severity.ERROR, "the prediction handed as the target")
NO_FIX = "what else was written or tuned for the loss as it is, only its author knows"

_DISTRIBUTIONS = PROBABILITY_KINDS | LOG_KINDS


@RULE.on("xent_logits", "xent_probs", "bce_logits", "bce_probs", "nll", "metric", "kl")
def judge(sighting: Sighting) -> Iterator[Match]:
    match sighting.node:
        case Node(op="kl") as loss:
            if is_the_wrong_way_round(loss):
                message = f"{called(loss)} takes the log of the prediction and the target without: swap the two"
                yield Match(message, related=made_here(loss.args[1]))
        case Node(args=(x, target), attrs={"name": _}) as loss if (
            loss.attrs.get("reads") != "labels"
            and not (may_be_prediction(x) or is_detached(target))
            and (are_scores(target) or _is_no_teacher(loss, x, target))
        ):
            message = (
                f"{called(loss)} is handed {OUTPUTS[target.kind]} as its target, and no model's output as its "
                "prediction: swap the two"
            )
            yield Match(message, related=made_here(target))


def _is_no_teacher(loss: Node, x: Node, target: Node) -> bool:
    """Whether the target is a model's distribution that no student is to learn: what stands in the student's place is
    labels or data for certain, or the loss takes the numbers of classes. What is made of data alone is no model's."""
    scores = maker(target).args
    is_models = target.kind in _DISTRIBUTIONS and not (scores and _is_data(scores[0]))
    return is_models and (_takes_numbers(loss) or _is_data(x))


def _takes_numbers(loss: Node) -> bool:
    return loss.op == "nll" or "sparse" in str(loss.attrs["name"]).lower()


def _is_data(x: Node) -> bool:
    """Whether a value is made one-hot, spelled out, or fed. One that is clipped is meant to have a log taken."""
    x = through(x, MOVES)
    return x.op in ("one_hot", "target", "const") or x.attrs.get("fed") is True


BAD = [
    # the first argument of PyTorch's divergence is the log of the prediction
    """
import torch.nn.functional as F
from torch import nn

student, teacher = nn.Linear(8, 3), nn.Linear(8, 3)

def distil(x):
    return F.kl_div(F.softmax(teacher(x), dim=1), F.log_softmax(student(x), dim=1))  # FL103 FL110
""",
    """
import torch.nn.functional as F
from torch import nn

net = nn.Linear(8, 3)

def step(x, y):
    return F.cross_entropy(y, net(x))  # FL110
""",
    """
import torch
from torch import nn

critic = nn.Sequential(nn.Flatten(), nn.Linear(784, 1), nn.Sigmoid())
criterion = nn.BCELoss()

def step(real):
    return criterion(torch.ones(len(real), 1), critic(real))  # FL110
""",
    """
import torch.nn.functional as F
from torch import nn

net = nn.Sequential(nn.Linear(8, 3), nn.Softmax(dim=1))

def step(loader):
    for x, y in loader:
        labels = F.one_hot(y, 3).float()
        yield F.binary_cross_entropy(labels, net(x))  # FL110
        yield F.nll_loss(y, net(x).log())  # FL110 FL201
""",
    """
import tensorflow as tf

model = tf.keras.Sequential([tf.keras.layers.Flatten(), tf.keras.layers.Dense(10, activation="softmax")])
loss_fn = tf.keras.losses.SparseCategoricalCrossentropy()

def train_step(x, y):
    with tf.GradientTape() as tape:
        loss = loss_fn(model(x, training=True), y)  # FL110
    return tape.gradient(loss, model.trainable_variables)
""",
    """
import tensorflow as tf

x = tf.placeholder(tf.float32, [None, 784])
y = tf.placeholder(tf.float32, [None, 10])
logits = tf.layers.dense(x, 10)
cost = tf.nn.softmax_cross_entropy_with_logits(labels=logits, logits=y)  # FL110
""",
    """
import jax
import optax
from flax import linen as nn

net = nn.Dense(10)

def loss(params, x, y):
    logits = net.apply(params, x)
    return optax.softmax_cross_entropy(jax.nn.one_hot(y, 10), logits).mean()  # FL110

grads = jax.grad(loss)
""",
]

GOOD = [
    # a distribution's entropy, and its divergence from another, of parameters that are fed
    """
import tensorflow as tf

class Bernoulli:
    def __init__(self, logits):
        self.logits, self.probs = logits, tf.sigmoid(logits)

    def entropy(self):
        return tf.nn.sigmoid_cross_entropy_with_logits(logits=self.logits, labels=self.probs)

    def divergence(self, other):
        cross = tf.nn.sigmoid_cross_entropy_with_logits(logits=other.logits, labels=self.probs)
        return tf.reduce_sum(cross - self.entropy())

one, other = (Bernoulli(tf.placeholder(tf.float32, [None, 3])) for _ in range(2))
entropy, divergence = one.entropy(), one.divergence(other)
""",
    """
import torch.nn.functional as F
from torch import nn

net = nn.Linear(8, 3)

def step(x, y):
    return F.cross_entropy(net(x), y) + F.binary_cross_entropy_with_logits(net(x), F.one_hot(y, 3).float())
""",
    # a student that comes from elsewhere, and its teacher
    """
import torch
import torch.nn.functional as F
from torch import nn

teacher = nn.Linear(8, 3)

def distil(student_logits, x):
    return F.cross_entropy(student_logits, teacher(x).softmax(1))

def of_outcomes(student, x):
    with torch.no_grad():
        target = torch.sigmoid(teacher(x))
    return F.binary_cross_entropy_with_logits(student(x), target)
""",
    # either way round is the same
    """
import torch.nn.functional as F
from torch import nn

net = nn.Linear(8, 3)

def step(x, y):
    return F.mse_loss(y, net(x)) + F.l1_loss(y, net(x))
""",
    # TensorFlow before 1.0 took the logits first
    """
import tensorflow as tf

x = tf.placeholder(tf.float32, [None, 784])
y = tf.placeholder(tf.float32, [None, 10])
logits = tf.layers.dense(x, 10)
old = tf.nn.softmax_cross_entropy_with_logits(logits, y)
new = tf.nn.softmax_cross_entropy_with_logits(y, logits)
""",
    # a reverse cross-entropy: the log of labels that were kept from 0
    """
import tensorflow as tf

model = tf.keras.Sequential([tf.keras.layers.Dense(10, activation="softmax")])
cross_entropy = tf.keras.losses.CategoricalCrossentropy()

def symmetric(x, y):
    labels = tf.clip_by_value(tf.one_hot(y, 10), 1e-4, 1.0)
    return cross_entropy(model(x), labels)
""",
    # labels that are looked up in a table that the model keeps
    """
import torch
import torch.nn.functional as F
from torch import nn

class Coarse(nn.Module):
    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone
        self.coarser = nn.Parameter(torch.eye(10), requires_grad=False)

    def forward(self, x, y):
        return F.cross_entropy(self.backbone(x), F.one_hot(y, 10).float() @ self.coarser)
""",
    """
from sklearn.metrics import log_loss, roc_auc_score
from torch import nn

net = nn.Sequential(nn.Linear(8, 3), nn.Softmax(dim=1))

def evaluate(x, y):
    p = net(x).detach().numpy()
    return log_loss(y, p), roc_auc_score(y, p, multi_class="ovr")
""",
]
