"""A distribution that is handed probabilities as logits, or logits as probabilities.

## What it does
Finds softmax and sigmoid outputs that are handed to a distribution, or to what draws from one, as its logits; and
logits and log-probabilities that are handed to one as its probabilities.

## Why is this bad
A distribution normalises its logits by itself. Probabilities in their place get a second softmax: of ten classes, one
that is predicted for certain comes to 0.23 and each other to 0.085, so that samples are close to noise, entropies
close to their largest, and a policy can't become surer. Logits in the place of probabilities are divided by their
sum, or refused where one is negative; whichever argument comes first differs: PyTorch's and NumPyro's distributions
take probabilities first, those of TensorFlow Probability and Distrax logits.

Log-probabilities are logits like any others: a softmax gives back what they are the logs of. For a single outcome they
aren't: a sigmoid of `log(p)` is `p / (1 + p)`.

## Example
```python
action = Categorical(logits=F.softmax(policy(state), dim=-1)).sample()
```

## Use instead
```python
action = Categorical(logits=policy(state)).sample()
```

## References
- [torch.distributions.Categorical: probs or logits](https://docs.pytorch.org/docs/stable/distributions.html#categorical)
- [jax.random.categorical: unnormalised log probabilities](https://docs.jax.dev/en/latest/_autosummary/jax.random.categorical.html)
- [tf.random.categorical: unnormalised log-probabilities](https://www.tensorflow.org/api_docs/python/tf/random/categorical)
"""

from __future__ import annotations

from collections.abc import Iterator

from finallayer.expr import Node
from finallayer.findings import Match, Severity, Sighting
from finallayer.kinds import LOG_KINDS, PROBABILITY_KINDS
from finallayer.rules.base import Rule
from finallayer.rules.route import are_scores
from finallayer.rules.wording import OUTPUTS, called, made_here

RULE = Rule(
    "FL109", "distribution-kind", Severity.ERROR, "a distribution handed probabilities as logits, or the reverse"
)
NO_FIX = "what is drawn changes, and with it whatever was tuned to it"


@RULE.on("distribution", "sample")
def judge(sighting: Sighting) -> Iterator[Match]:
    match sighting.node:
        case Node(attrs={"from_logits": True}, args=(Node() as x, *_)) as drawn if _are_no_logits(drawn, x):
            message = f"{_name(drawn)} is handed {OUTPUTS[x.kind]} as its logits: {_instead_of_probabilities(drawn)}"
            yield Match(message, related=made_here(x))
        case Node(attrs={"from_logits": False}, args=(Node() as x, *_)) as drawn if x.kind in LOG_KINDS or are_scores(
            x
        ):
            message = f"{_name(drawn)} is handed {OUTPUTS[x.kind]} as its probabilities: {_instead_of_logits(drawn)}"
            yield Match(message, related=made_here(x))


def _are_no_logits(drawn: Node, x: Node) -> bool:
    """Log-probabilities are logits of a distribution over classes, which softmax normalises, but of no outcome."""
    return x.kind in PROBABILITY_KINDS or ("binary" in drawn.attrs and x.kind in LOG_KINDS)


def _name(drawn: Node) -> str:
    """What a distribution, or what draws from one, is called."""
    return called(drawn) if drawn.attrs.get("name") else "what draws"


def _instead_of_probabilities(drawn: Node) -> str:
    either = ", or name them `probs=`" if drawn.op == "distribution" and drawn.args[0].kind in PROBABILITY_KINDS else ""
    return f"pass the logits{either}"


def _instead_of_logits(drawn: Node) -> str:
    if drawn.op == "distribution" and not ("binary" in drawn.attrs and drawn.args[0].kind in LOG_KINDS):
        return "name them `logits=`"
    return "pass probabilities"


BAD = [
    """
import torch
from torch import nn
from torch.distributions import Categorical

policy = nn.Linear(4, 2)

def act(state):
    return Categorical(logits=torch.softmax(policy(state), dim=-1)).sample()  # FL109
""",
    # the first argument of torch's is the probabilities
    """
from torch import distributions, nn

policy = nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, 2))

def act(state):
    chances = distributions.Categorical(policy(state))  # FL109
    action = chances.sample()
    return action, chances.log_prob(action)
""",
    """
import torch
from torch import nn

class Agent(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(8, 32), nn.ReLU())
        self.gate = nn.Linear(32, 6)

    def forward(self, x):
        p = torch.sigmoid(self.gate(self.body(x)))
        return torch.distributions.Bernoulli(logits=p)  # FL109

    def draw(self, x):
        return torch.multinomial(self.gate(self.body(x)), 1)  # FL109
""",
    """
import torch.nn.functional as F
from torch import nn
from torch.distributions import Bernoulli, OneHotCategorical, RelaxedOneHotCategorical

net = nn.Linear(8, 3)

def draw(x, temperature):
    z = net(x)
    yield OneHotCategorical(probs=F.log_softmax(z, dim=-1))  # FL109
    yield RelaxedOneHotCategorical(temperature, logits=z.softmax(-1))  # FL109
    yield Bernoulli(logits=F.logsigmoid(z))  # FL109
    yield F.gumbel_softmax(z.softmax(-1), tau=temperature)  # FL109
    yield z.softmax(-1).multinomial(1), F.log_softmax(z, -1).multinomial(1)  # FL109
""",
    """
import jax
from flax import linen as nn

class Policy(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.softmax(nn.Dense(4)(nn.relu(nn.Dense(64)(x))))

policy = Policy()

def act(params, key, x):
    return jax.random.categorical(key, policy.apply(params, x))  # FL109
""",
    """
import tensorflow as tf

model = tf.keras.Sequential([tf.keras.layers.LSTM(64), tf.keras.layers.Dense(80, activation="softmax")])

def generate(x):
    return tf.random.categorical(model(x), num_samples=1)  # FL109
""",
    # the first argument of these is the logits
    """
import distrax
import jax
import tensorflow as tf
import tensorflow_probability as tfp

tfd = tfp.distributions
net = tf.keras.Sequential([tf.keras.layers.Dense(3, activation="softmax")])

def act(state, params):
    yield tfd.Categorical(net(state))  # FL109
    yield distrax.Categorical(jax.nn.softmax(state @ params["w"]))  # FL109
    yield tfd.Bernoulli(probs=tf.keras.layers.Dense(1)(state))  # FL109
""",
]

GOOD = [
    """
import torch
from torch import nn
from torch.distributions import Bernoulli, Categorical

policy = nn.Linear(4, 2)

def act(state):
    z = policy(state)
    yield Categorical(logits=z).sample()
    yield Categorical(z.softmax(-1)).sample()
    yield Categorical(probs=None, logits=z)
    yield Categorical(logits=torch.log_softmax(z, dim=-1))
    yield Bernoulli(logits=z)
    yield Bernoulli(z.sigmoid())
    yield torch.multinomial(z.softmax(-1), 1)
""",
    # weights that no softmax has normalised: never negative
    """
import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import Categorical

net = nn.Linear(4, 2)

def draw(x):
    z = net(x)
    yield Categorical(F.relu(z) + 1e-6)
    yield Categorical(probs=z.exp())
    yield Categorical(probs=F.softplus(z))
    yield Categorical(probs=torch.sigmoid(z))
    yield torch.multinomial(z.clamp(min=0), 1)
    yield torch.bernoulli(F.hardsigmoid(z))
    yield Categorical(probs=(torch.tanh(z) + 1) / 2)
""",
    # nobody knows what a policy from elsewhere gives
    """
from torch.distributions import Categorical

def act(policy, state, as_logits):
    scores = policy(state)
    return Categorical(logits=scores) if as_logits else Categorical(scores)
""",
    """
import jax
import jax.numpy as jnp
import tensorflow as tf

model = tf.keras.Sequential([tf.keras.layers.Dense(80, activation="softmax")])

def generate(x, key, params):
    yield tf.random.categorical(tf.math.log(model(x)), num_samples=1)
    yield jax.random.categorical(key, jnp.log(jax.nn.softmax(x @ params["w"])))
    yield jax.random.categorical(key, x @ params["w"])
    yield jax.random.choice(key, 80, p=jax.nn.softmax(x @ params["w"]))
""",
    # probabilities of transitions
    """
import torch
from torch import nn

class Chain(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Parameter(torch.eye(5))
        self.start = nn.Linear(3, 5)

    def forward(self, x):
        now = self.start(x).softmax(-1)
        return torch.multinomial(now @ self.table, 1)
""",
    # several ways, of which each is told which it is
    """
import distrax
import numpyro.distributions as dist
import tensorflow as tf
import tensorflow_probability as tfp

net = tf.keras.Sequential([tf.keras.layers.Dense(3)])

def act(x):
    yield tfp.distributions.Categorical(net(x))
    yield tfp.distributions.Categorical(probs=tf.nn.softmax(net(x)))
    yield distrax.Categorical(probs=tf.nn.softmax(net(x)))
    yield dist.Categorical(logits=net(x))
    yield dist.Categorical(tf.nn.softmax(net(x)))
""",
]
