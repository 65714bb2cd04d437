"""Logs of softmax and sigmoid outputs: what each becomes. A program that has no certain fix stays as it is."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import pytest

from ..workbench import fixed, repaired

TORCH = (
    "import torch\nimport torch.nn.functional as F\nfrom torch import nn\n\n"
    "torch.manual_seed(0)\nnet = nn.Linear(20, 5)\n\n"
)
TF1 = (
    "import tensorflow as tf\n\n"
    "x = tf.placeholder(tf.float32, [None, 784])\ny_ = tf.placeholder(tf.float32, [None, 10])\n"
    "W = tf.Variable(tf.zeros([784, 10]))\n"
)
JAX = "import jax\nimport jax.numpy as jnp\n\n"
NUMPY = "import numpy as np\nfrom scipy import special\n\nx = np.random.randn(3, 4)\n\n"

#: what is shown -> (what stands before it, before, after)
REWRITTEN: dict[str, tuple[str, str, str]] = {
    "in one expression": (
        TORCH,
        "def loss(x, y):\n    return -(y * torch.log(F.softmax(net(x), dim=1))).sum()\n",
        "def loss(x, y):\n    return -(y * F.log_softmax(net(x), dim=1)).sum()\n",
    ),
    "scores of the same name": (
        TORCH,
        "def loss(x, y):\n    p = net(x)\n    p = F.softmax(p, dim=1)\n    return -(y * torch.log(p)).sum(), p\n",
        "def loss(x, y):\n    logits = net(x)\n    p = F.softmax(logits, dim=1)\n"
        "    return -(y * F.log_softmax(logits, dim=1)).sum(), p\n",
    ),
    "a tensor's methods": (
        TORCH,
        "def loss(x, y):\n    return -(y * net(x).softmax(-1).log()).sum()\n",
        "def loss(x, y):\n    return -(y * net(x).log_softmax(-1)).sum()\n",
    ),
    "an epsilon goes": (
        TORCH,
        "def loss(x, y):\n    return -(y * torch.log(torch.softmax(net(x), dim=1) + 1e-8)).sum()\n",
        "def loss(x, y):\n    return -(y * torch.log_softmax(net(x), dim=1)).sum()\n",
    ),
    "a clip goes, an index stays": (
        TORCH,
        "def loss(x, y):\n    return -torch.log(torch.clamp(F.softmax(net(x), dim=1), min=1e-7)[:, 0]).sum()\n",
        "def loss(x, y):\n    return -F.log_softmax(net(x), dim=1)[:, 0].sum()\n",
    ),
    "the logits have a name": (
        TORCH,
        "def loss(x, y):\n    z = net(x)\n    p = F.softmax(z, dim=1)\n    return -(y * p.log()).sum(), p\n",
        "def loss(x, y):\n    z = net(x)\n    p = F.softmax(z, dim=1)\n"
        "    return -(y * F.log_softmax(z, dim=1)).sum(), p\n",
    ),
    "the logits get a name": (
        TORCH,
        "def loss(x, y):\n    p = F.softmax(net(x), dim=1)  # probabilities\n    return -(y * torch.log(p)).sum(), p\n",
        "def loss(x, y):\n    logits = net(x)\n    p = F.softmax(logits, dim=1)  # probabilities\n"
        "    return -(y * F.log_softmax(logits, dim=1)).sum(), p\n",
    ),
    "nobody else reads the probabilities": (
        TORCH,
        "def loss(x, y):\n    p = F.softmax(net(x), dim=1)\n    return -(y * torch.log(p)).sum()\n",
        "def loss(x, y):\n    logits = net(x)\n    return -(y * F.log_softmax(logits, dim=1)).sum()\n",
    ),
    "nobody else reads the probabilities of named logits": (
        TORCH,
        "def loss(x, y):\n    d = 1\n    z = net(x)\n    p = F.softmax(z, dim=d)\n    i = y + 1\n"
        "    return -torch.log(p[i])\n",
        "def loss(x, y):\n    d = 1\n    z = net(x)\n    i = y + 1\n    return -F.log_softmax(z, dim=d)[i]\n",
    ),
    "the name is taken": (
        TORCH,
        "logits = 3\n\ndef loss(x, y):\n    p = F.softmax(net(x), dim=1)\n    return -(y * torch.log(p)).sum(), p\n",
        "logits = 3\n\ndef loss(x, y):\n    logits_2 = net(x)\n    p = F.softmax(logits_2, dim=1)\n"
        "    return -(y * F.log_softmax(logits_2, dim=1)).sum(), p\n",
    ),
    "two heads": (
        TORCH,
        "def loss(x, y):\n    p = F.softmax(net(x), dim=1)\n    q = F.softmax(net(y), dim=1)\n"
        "    return torch.log(p) + torch.log(q), p, q\n",
        "def loss(x, y):\n    logits = net(x)\n    p = F.softmax(logits, dim=1)\n    q_logits = net(y)\n"
        "    q = F.softmax(q_logits, dim=1)\n"
        "    return F.log_softmax(logits, dim=1) + F.log_softmax(q_logits, dim=1), p, q\n",
    ),
    "the logits have changed since": (
        TORCH,
        "def loss(x, y):\n    z = net(x)\n    p = F.softmax(z, dim=1)\n    z = net(y)\n    return torch.log(p), p, z\n",
        "def loss(x, y):\n    z = net(x)\n    logits = z\n    p = F.softmax(logits, dim=1)\n    z = net(y)\n"
        "    return F.log_softmax(logits, dim=1), p, z\n",
    ),
    "a clip by name": (
        TORCH,
        "def loss(x, y):\n    p = F.softmax(net(x), dim=1)\n    p = torch.clamp(p, 1e-7, 1 - 1e-7)\n"
        "    return -(y * torch.log(p)).sum()\n",
        "def loss(x, y):\n    logits = net(x)\n    return -(y * F.log_softmax(logits, dim=1)).sum()\n",
    ),
    "picked entries with a name": (
        TORCH,
        "def loss(x, y):\n    p = F.softmax(net(x), dim=1)\n    pt = p.gather(1, y)\n"
        "    return -torch.log(pt).mean()\n",
        "def loss(x, y):\n    logits = net(x)\n    log_pt = F.log_softmax(logits, dim=1).gather(1, y)\n"
        "    return -log_pt.mean()\n",
    ),
    "picked entries that a focal loss reads, too": (
        TORCH,
        "def loss(x, y):\n    z = net(x)\n    p = F.softmax(z, dim=1)\n    pt = p[torch.arange(len(y)), y]\n"
        "    return -((1 - pt) ** 2 * torch.log(pt + 1e-8)).mean()\n",
        "def loss(x, y):\n    z = net(x)\n    p = F.softmax(z, dim=1)\n    pt = p[torch.arange(len(y)), y]\n"
        "    log_pt = F.log_softmax(z, dim=1)[torch.arange(len(y)), y]\n    return -((1 - pt) ** 2 * log_pt).mean()\n",
    ),
    "what picks them has changed since": (
        TORCH,
        "def loss(x, y):\n    p = F.softmax(net(x), dim=1)\n    pt = p.gather(1, y)\n    y = y + 1\n"
        "    return torch.log(pt), y\n",
        "def loss(x, y):\n    logits = net(x)\n    log_pt = F.log_softmax(logits, dim=1).gather(1, y)\n"
        "    y = y + 1\n    return log_pt, y\n",
    ),
    "picked entries of what has no name yet": (
        TORCH,
        "def loss(x, y):\n    pt = F.softmax(net(x), dim=1).gather(1, y)\n    return (1 - pt) * torch.log(pt)\n",
        "def loss(x, y):\n    logits = net(x)\n    pt = F.softmax(logits, dim=1).gather(1, y)\n"
        "    log_pt = F.log_softmax(logits, dim=1).gather(1, y)\n    return (1 - pt) * log_pt\n",
    ),
    "a pair of what was reshaped": (
        TORCH,
        "def loss(x, y):\n    r = torch.sigmoid(net(x)).view(-1)\n"
        "    return -(y * torch.log(r) + (1 - y) * torch.log(1 - r)).mean()\n",
        "def loss(x, y):\n    logits = net(x)\n    log_r = F.logsigmoid(logits).view(-1)\n"
        "    log_not_r = F.logsigmoid(-logits).view(-1)\n"
        "    return -(y * log_r + (1 - y) * log_not_r).mean()\n",
    ),
    "one minus a picked sigmoid": (
        TORCH,
        "def loss(x, i):\n    q = 1 - torch.sigmoid(net(x))[i]\n    return -torch.log(q).mean()\n",
        "def loss(x, i):\n    log_q = F.logsigmoid(-net(x))[i]\n    return -log_q.mean()\n",
    ),
    "another statement would rename the logits": (
        TORCH,
        "def loss(x, y):\n    p = F.softmax(net(x), dim=1)\n    q = torch.clamp(p, min=1e-7)\n"
        "    p = F.softmax(net(y), dim=1)\n    return torch.log(q), q, p\n",
        "def loss(x, y):\n    logits = net(x)\n    p = F.softmax(logits, dim=1)\n    q = torch.clamp(p, min=1e-7)\n"
        "    log_q = F.log_softmax(logits, dim=1)\n    p = F.softmax(net(y), dim=1)\n    return log_q, q, p\n",
    ),
    "an axis that isn't the same any more": (
        TORCH,
        "def loss(x, y, d):\n    p = F.softmax(net(x), dim=d)\n    d = 0\n    return torch.log(p), d\n",
        "def loss(x, y, d):\n    log_p = F.log_softmax(net(x), dim=d)\n    d = 0\n    return log_p, d\n",
    ),
    "another function has such a name": (
        TORCH,
        "def other(logits):\n    return logits + 1\n\n"
        "def loss(x, y):\n    p = F.softmax(net(x), dim=1)\n    return torch.log(p), p\n",
        "def other(logits):\n    return logits + 1\n\n"
        "def loss(x, y):\n    logits = net(x)\n    p = F.softmax(logits, dim=1)\n"
        "    return F.log_softmax(logits, dim=1), p\n",
    ),
    "a layer": (
        TORCH,
        "def loss(x, y):\n    return -(y * torch.log(nn.Softmax(dim=1)(net(x)))).sum()\n",
        "def loss(x, y):\n    return -(y * F.log_softmax(net(x), dim=1)).sum()\n",
    ),
    "a layer of the module": (
        "import torch\nfrom torch import nn\n\ntorch.manual_seed(0)\n\n",
        "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.fc = nn.Linear(3, 3)\n"
        "        self.softmax = nn.Softmax(dim=1)\n\n    def forward(self, x):\n        p = self.softmax(self.fc(x))\n"
        "        return torch.log(p), p\n",
        "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.fc = nn.Linear(3, 3)\n"
        "        self.softmax = nn.Softmax(dim=1)\n\n    def forward(self, x):\n        logits = self.fc(x)\n"
        "        p = self.softmax(logits)\n        return torch.log_softmax(logits, dim=1), p\n",
    ),
    "TF 1": (
        TF1,
        "y = tf.nn.softmax(tf.matmul(x, W), name='y')\n"
        "loss = -tf.reduce_sum(y_ * tf.log(tf.clip_by_value(y, 1e-10, 1.0)))\n",
        "logits = tf.matmul(x, W)\ny = tf.nn.softmax(logits, name='y')\n"
        "loss = -tf.reduce_sum(y_ * tf.nn.log_softmax(logits))\n",
    ),
    "a name scope": (
        TF1,
        "with tf.name_scope('out'):\n    y = tf.nn.softmax(tf.matmul(x, W))\nloss = -tf.reduce_sum(y_ * tf.log(y))\n",
        "with tf.name_scope('out'):\n    logits = tf.matmul(x, W)\n    y = tf.nn.softmax(logits)\n"
        "loss = -tf.reduce_sum(y_ * tf.nn.log_softmax(logits))\n",
    ),
    "attributes": (
        TF1,
        "class Net:\n    def build(self):\n        self.y = tf.nn.softmax(tf.matmul(x, W))\n        self.cost()\n\n"
        "    def cost(self):\n        self.loss = -tf.reduce_sum(y_ * tf.log(self.y))\n",
        "class Net:\n    def build(self):\n        self.logits = tf.matmul(x, W)\n"
        "        self.y = tf.nn.softmax(self.logits)\n"
        "        self.cost()\n\n"
        "    def cost(self):\n        self.loss = -tf.reduce_sum(y_ * tf.nn.log_softmax(self.logits))\n",
    ),
    "a minus that meets another": (
        "import numpy as np\n\n\ndef sigmoid(x):\n    return 1 / (1 + np.exp(-x))\n\n\n",
        "def loss(x, w, y):\n    z = np.dot(x, w)\n    p = sigmoid(z)\n    return -np.mean(y * np.log(p)), p\n",
        "def loss(x, w, y):\n    z = np.dot(x, w)\n    p = sigmoid(z)\n"
        "    return np.mean(y * np.logaddexp(0, -z)), p\n",
    ),
    "a minus that belongs to more": (
        "import numpy as np\n\n\ndef sigmoid(x):\n    return 1 / (1 + np.exp(-x))\n\n\n",
        "def loss(x, w, y):\n    z = np.dot(x, w)\n    p = sigmoid(z)\n    return -np.mean(w + np.log(p)), p\n",
        "def loss(x, w, y):\n    z = np.dot(x, w)\n    p = sigmoid(z)\n"
        "    return -np.mean(w + -np.logaddexp(0, -z)), p\n",
    ),
    "picked, shown, and then the log by a name": (
        TORCH,
        "def step(z, y, i):\n    probs = torch.softmax(z, dim=1)\n    p = probs[i, y]\n    print(p)\n"
        "    log_of = torch.log(p)\n    return -log_of, probs\n",
        "def step(z, y, i):\n    probs = torch.softmax(z, dim=1)\n    p = probs[i, y]\n    print(p)\n"
        "    log_of = torch.log_softmax(z, dim=1)[i, y]\n    return -log_of, probs\n",
    ),
    "picked by what is another by then": (
        TORCH,
        "def step(z, y, i):\n    probs = torch.softmax(z, dim=1)\n    p = probs[i, y]\n    i = i + 1\n"
        "    log_of = torch.log(p)\n    return -log_of, probs, p, i\n",
        "def step(z, y, i):\n    probs = torch.softmax(z, dim=1)\n    p = probs[i, y]\n"
        "    log_p = torch.log_softmax(z, dim=1)[i, y]\n    i = i + 1\n"
        "    log_of = log_p\n    return -log_of, probs, p, i\n",
    ),
    "an attribute that only its own function reads": (
        TF1,
        "class Net:\n    def build(self):\n        self.y = tf.nn.softmax(tf.matmul(x, W))\n"
        "        self.loss = -tf.reduce_sum(y_ * tf.log(self.y))\n",
        "class Net:\n    def build(self):\n        logits = tf.matmul(x, W)\n"
        "        self.y = tf.nn.softmax(logits)\n"
        "        self.loss = -tf.reduce_sum(y_ * tf.nn.log_softmax(logits))\n",
    ),
    "JAX": (
        JAX,
        "def loss(w, x, y):\n    return -jnp.mean(jnp.sum(y * jnp.log(jax.nn.softmax(x @ w)), axis=1))\n\n"
        "g = jax.grad(loss)\n",
        "def loss(w, x, y):\n    return -jnp.mean(jnp.sum(y * jax.nn.log_softmax(x @ w), axis=1))\n\n"
        "g = jax.grad(loss)\n",
    ),
    "binary cross-entropy by hand": (
        TORCH,
        "def loss(x, y):\n    p = torch.sigmoid(net(x))\n"
        "    return -(y * torch.log(p) + (1 - y) * torch.log(1 - p)).mean(), p\n",
        "def loss(x, y):\n    logits = net(x)\n    p = torch.sigmoid(logits)\n"
        "    return -(y * F.logsigmoid(logits) + (1 - y) * F.logsigmoid(-logits)).mean(), p\n",
    ),
    "a sigmoid of minus something": (
        TORCH,
        "def loss(x):\n    p = torch.log(torch.sigmoid(-net(x)))\n"
        "    return p - torch.log(1 - torch.sigmoid(-net(x)))\n",
        "def loss(x):\n    p = F.logsigmoid(-net(x))\n    return p - F.logsigmoid(net(x))\n",
    ),
    "a sigmoid by hand": (
        "import jax\nimport jax.numpy as jnp\n\n",
        "def loss(w, x):\n    p = 1 / (1 + jnp.exp(-(x @ w)))\n    return -jnp.mean(jnp.log(p)), p\n\n"
        "g = jax.grad(loss)\n",
        "def loss(w, x):\n    logits = x @ w\n    p = 1 / (1 + jnp.exp(-logits))\n"
        "    return -jnp.mean(jax.nn.log_sigmoid(logits)), p\n\ng = jax.grad(loss)\n",
    ),
    "TF 1's log_sigmoid": (
        TF1,
        "y = tf.nn.sigmoid(tf.matmul(x, W))\nloss = -tf.reduce_sum(tf.log(1e-10 + 1 - y))\n",
        "logits = tf.matmul(x, W)\ny = tf.nn.sigmoid(logits)\nloss = -tf.reduce_sum(tf.log_sigmoid(-logits))\n",
    ),
    "TF 2's log_sigmoid": (
        "import tensorflow as tf\n\nnet = tf.keras.layers.Dense(1)\n\n",
        "def loss(x):\n    return -tf.reduce_sum(tf.math.log(tf.sigmoid(net(x))))\n",
        "def loss(x):\n    return -tf.reduce_sum(tf.math.log_sigmoid(net(x)))\n",
    ),
    "NLL of a softmax": (
        TORCH,
        "def loss(x, y):\n    return F.nll_loss(F.softmax(net(x), dim=1), y)\n",
        "def loss(x, y):\n    return F.nll_loss(F.log_softmax(net(x), dim=1), y)\n",
    ),
    "NLL of a log of a softmax": (
        TORCH,
        "criterion = nn.NLLLoss()\n\ndef loss(x, y):\n    return criterion(torch.log(F.softmax(net(x), dim=1)), y)\n",
        "criterion = nn.NLLLoss()\n\ndef loss(x, y):\n    return criterion(F.log_softmax(net(x), dim=1), y)\n",
    ),
    "a cross-entropy of log-probabilities": (
        TORCH,
        "def loss(x, y):\n    p = F.log_softmax(net(x), dim=1)\n    return F.cross_entropy(p, y), p\n",
        "def loss(x, y):\n    logits = net(x)\n    p = F.log_softmax(logits, dim=1)\n"
        "    return F.cross_entropy(logits, y), p\n",
    ),
    "softplus": (
        TORCH,
        "def loss(x):\n    z = net(x)\n    return torch.log(1 + torch.exp(z)).sum() + z.exp().add(1).log().sum()\n",
        "def loss(x):\n    z = net(x)\n    return F.softplus(z).sum() + F.softplus(z).sum()\n",
    ),
    "logsumexp": (
        TORCH,
        "def loss(x):\n    z = net(x)\n    return torch.log(torch.sum(torch.exp(z), dim=1, keepdim=True)) - z\n",
        "def loss(x):\n    z = net(x)\n    return torch.logsumexp(z, dim=1, keepdim=True) - z\n",
    ),
    "the logits' own softmax function": (
        JAX,
        "def softmax(z):\n    e = jnp.exp(z - z.max(axis=-1, keepdims=True))\n"
        "    return e / e.sum(axis=-1, keepdims=True)\n\n"
        "def loss(w, x, y):\n    p = softmax(x @ w)\n    return -jnp.mean(y * jnp.log(p)), p\n\ng = jax.grad(loss)\n",
        "def softmax(z):\n    e = jnp.exp(z - z.max(axis=-1, keepdims=True))\n"
        "    return e / e.sum(axis=-1, keepdims=True)\n\n"
        "def loss(w, x, y):\n    logits = x @ w\n    p = softmax(logits)\n"
        "    return -jnp.mean(y * jax.nn.log_softmax(logits, axis=-1)), p\n\ng = jax.grad(loss)\n",
    ),
    "a softmax in two steps": (
        JAX,
        "def loss(w, x, y):\n    z = x @ w\n    e = jnp.exp(z)\n    p = e / e.sum(axis=1, keepdims=True)\n"
        "    return jnp.mean((p - y) ** 2)\n\ng = jax.grad(loss)\n",
        "def loss(w, x, y):\n    z = x @ w\n    p = jax.nn.softmax(z, axis=1)\n"
        "    return jnp.mean((p - y) ** 2)\n\ng = jax.grad(loss)\n",
    ),
    "a softmax function": (
        JAX,
        "def softmax(z):\n    e = jnp.exp(z)\n    return e / jnp.sum(e, axis=-1, keepdims=True)\n\n"
        "def loss(w, x, y):\n    return jnp.mean((softmax(x @ w) - y) ** 2)\n\ng = jax.grad(loss)\n",
        "def softmax(z):\n    return jax.nn.softmax(z, axis=-1)\n\n"
        "def loss(w, x, y):\n    return jnp.mean((softmax(x @ w) - y) ** 2)\n\ng = jax.grad(loss)\n",
    ),
    "picked by rows of one and zeros": (
        TORCH,
        "def loss(x, y):\n    z = net(x)\n    p = F.softmax(z, dim=1)\n    mask = torch.zeros_like(z)\n"
        "    mask.scatter_(1, y.view(-1, 1), 1.)\n    pt = (p * mask).sum(1).view(-1, 1)\n    log_pt = pt.log()\n"
        "    return -((1 - pt) ** 2 * log_pt).mean()\n",
        "def loss(x, y):\n    z = net(x)\n    p = F.softmax(z, dim=1)\n    mask = torch.zeros_like(z)\n"
        "    mask.scatter_(1, y.view(-1, 1), 1.)\n    pt = (p * mask).sum(1).view(-1, 1)\n"
        "    log_pt = (F.log_softmax(z, dim=1) * mask).sum(1).view(-1, 1)\n"
        "    return -((1 - pt) ** 2 * log_pt).mean()\n",
    ),
    "picked by one-hot rows, in one expression": (
        TF1,
        "def loss(a, r):\n    z = tf.matmul(x, W)\n    p = tf.nn.softmax(z)\n"
        "    return -tf.log(tf.reduce_sum(tf.multiply(tf.one_hot(a, 10), p), axis=1)) * r\n",
        "def loss(a, r):\n    z = tf.matmul(x, W)\n"
        "    return -tf.reduce_sum(tf.multiply(tf.one_hot(a, 10), tf.nn.log_softmax(z)), axis=1) * r\n",
    ),
    "picked by one-hot rows, and shown": (
        JAX,
        "def loss(w, x, y):\n    p = jax.nn.softmax(x @ w)\n    pt = jnp.sum(p * jax.nn.one_hot(y, 4), axis=-1)\n"
        "    return -jnp.log(pt).mean(), p\n\njax.grad(loss, has_aux=True)(w, x, y)\n",
        "def loss(w, x, y):\n    logits = x @ w\n    p = jax.nn.softmax(logits)\n"
        "    log_pt = jnp.sum(jax.nn.log_softmax(logits) * jax.nn.one_hot(y, 4), axis=-1)\n"
        "    return -log_pt.mean(), p\n\njax.grad(loss, has_aux=True)(w, x, y)\n",
    ),
    "a sigmoid that is divided by a function": (
        TF1,
        "h = tf.matmul(x, W)\np = tf.div(1., 1. + tf.exp(-h))\nloss = -tf.reduce_mean(y_ * tf.log(p))\n",
        "h = tf.matmul(x, W)\np = tf.div(1., 1. + tf.exp(-h))\nloss = -tf.reduce_mean(y_ * tf.log_sigmoid(h))\n",
    ),
    "scores of the same name that others read first": (
        TORCH,
        "def loss(x, y):\n    p = net(x)\n    p = p.view(-1, 5)\n    z = p\n    p = F.softmax(p, dim=1)\n"
        "    return -(y * torch.log(p)).sum(), p, z\n",
        "def loss(x, y):\n    p = net(x)\n    logits = p.view(-1, 5)\n    z = logits\n"
        "    p = F.softmax(logits, dim=1)\n"
        "    return -(y * F.log_softmax(logits, dim=1)).sum(), p, z\n",
    ),
    "a name that means the scores again": (
        TORCH,
        "def loss(p, y):\n    p = F.softmax(p, dim=1)\n    p = p / p.sum(dim=1, keepdim=True)\n"
        "    p = p.clamp(1e-9, 1)\n"
        "    return -(y * torch.log(p)).sum()\n\nloss(net(x), y).backward()\n",
        "def loss(p, y):\n    return -(y * F.log_softmax(p, dim=1)).sum()\n\nloss(net(x), y).backward()\n",
    ),
    "scores of the same name, one of two": (
        TORCH,
        "def loss(x, y):\n    h, p = both(x)\n    p = torch.sigmoid(p)\n    return -(y * torch.log(p)).sum(), p, h\n",
        "def loss(x, y):\n    h, logits = both(x)\n    p = torch.sigmoid(logits)\n"
        "    return -(y * F.logsigmoid(logits)).sum(), p, h\n",
    ),
}


@pytest.mark.parametrize(("head", "before", "after"), REWRITTEN.values(), ids=REWRITTEN)
def test_what_becomes_of_it(tmp_path: Path, head: str, before: str, after: str) -> None:
    assert fixed(tmp_path, head + before) == head + after


#: which import goes, or stays -> (before, after)
IMPORTS: dict[str, tuple[str, str]] = {
    "one that nothing reads any more goes": (
        "import torch\nfrom torch.nn.functional import softmax\n\nnet = torch.nn.Linear(3, 3)\n\n"
        "def loss(x, y):\n    return -(y * torch.log(softmax(net(x), dim=1))).sum()\n",
        "import torch\n\nnet = torch.nn.Linear(3, 3)\n\n"
        "def loss(x, y):\n    return -(y * torch.log_softmax(net(x), dim=1)).sum()\n",
    ),
    "from among others": (
        "import torch\nfrom torch.nn.functional import relu, softmax, tanh\n\nnet = torch.nn.Linear(3, 3)\n\n"
        "def loss(x):\n    return torch.log(softmax(net(relu(tanh(x))), dim=1)).sum()\n",
        "import torch\nfrom torch.nn.functional import relu, tanh\n\nnet = torch.nn.Linear(3, 3)\n\n"
        "def loss(x):\n    return torch.log_softmax(net(relu(tanh(x))), dim=1).sum()\n",
    ),
    "one that nothing read before, either, stays": (
        "import os\nimport torch\n\nnet = torch.nn.Linear(3, 3)\n\n"
        "def loss(x):\n    return torch.log(torch.softmax(net(x), dim=1)).sum()\n",
        "import os\nimport torch\n\nnet = torch.nn.Linear(3, 3)\n\n"
        "def loss(x):\n    return torch.log_softmax(net(x), dim=1).sum()\n",
    ),
    "one with a comment stays": (
        "import torch\nfrom torch.nn.functional import softmax  # noqa\n\nnet = torch.nn.Linear(3, 3)\n\n"
        "def loss(x):\n    return torch.log(softmax(net(x), dim=1)).sum()\n",
        "import torch\nfrom torch.nn.functional import softmax  # noqa\n\nnet = torch.nn.Linear(3, 3)\n\n"
        "def loss(x):\n    return torch.log_softmax(net(x), dim=1).sum()\n",
    ),
    "one that a string speaks of stays": (
        "import torch\nfrom torch.nn.functional import softmax\n\n__all__ = ['softmax']\nnet = torch.nn.Linear(3, 3)\n"
        "def loss(x):\n    return torch.log(softmax(net(x), dim=1)).sum()\n",
        "import torch\nfrom torch.nn.functional import softmax\n\n__all__ = ['softmax']\nnet = torch.nn.Linear(3, 3)\n"
        "def loss(x):\n    return torch.log_softmax(net(x), dim=1).sum()\n",
    ),
}


@pytest.mark.parametrize(("before", "after"), IMPORTS.values(), ids=IMPORTS)
def test_which_imports_go(tmp_path: Path, before: str, after: str) -> None:
    assert fixed(tmp_path, before) == after


def test_an_import_that_another_file_takes_from_here_stays(tmp_path: Path) -> None:
    before, after = IMPORTS["one that nothing reads any more goes"]
    (tmp_path / "other.py").write_text("from program import softmax\n")
    assert fixed(tmp_path, before) == after.replace("import torch\n", "import torch\n" + before.splitlines(True)[1], 1)


@pytest.mark.parametrize(("head", "before", "after"), REWRITTEN.values(), ids=REWRITTEN)
def test_nothing_is_found_afterwards(tmp_path: Path, head: str, before: str, after: str) -> None:
    file = tmp_path / "program.py"
    file.write_text(head + after)
    result = repaired(file)
    assert [(f.rule.code, f.message) for f in result.remaining] == []
    assert result.changed == ()


OWN_SOFTMAX = (
    "import numpy as np\n\ndef softmax(z):\n    e = np.exp(z - np.max(z, axis=1, keepdims=True))\n"
    "    return e / np.sum(e, axis=1, keepdims=True)\n\n"
)
#: Logs of such a softmax in a file of NumPy's alone, which gains no SciPy.
WITHOUT_SCIPY = {
    "of an expression": (
        "def loss(x, w, y):\n    return -np.mean(np.log(softmax(x @ w))[np.arange(len(y)), y])\n",
        "def loss(x, w, y):\n    logits = x @ w\n    return -np.mean("
        "(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))[np.arange(len(y)), y])\n",
    ),
    "of a name": (
        "def loss(x, w, y):\n    z = x @ w\n    p = softmax(z)\n    return -np.sum(y * np.log(p + 1e-9)), p\n",
        "def loss(x, w, y):\n    z = x @ w\n    p = softmax(z)\n"
        "    return -np.sum(y * (z - np.logaddexp.reduce(z, axis=1, keepdims=True))), p\n",
    ),
    "of an argument": (
        "def loss(z, y):\n    p = softmax(z)\n    return -np.sum(y * np.log(p + 1e-9))\n",
        "def loss(z, y):\n    return -np.sum(y * (z - np.logaddexp.reduce(z, axis=1, keepdims=True)))\n",
    ),
    "picked by what is read besides": (
        "def loss(z):\n    p = softmax(z)\n    q = p[p < 0.5]\n    return np.mean((1 - q) * np.log(q)), p\n",
        "def loss(z):\n    p = softmax(z)\n    q = p[p < 0.5]\n"
        "    log_q = (z - np.logaddexp.reduce(z, axis=1, keepdims=True))[p < 0.5]\n"
        "    return np.mean((1 - q) * log_q), p\n",
    ),
    "in a comprehension": 2 * ("def loss(xs, w):\n    return [np.log(softmax(x @ w)) for x in xs]\n",),
}


@pytest.mark.parametrize(("before", "after"), WITHOUT_SCIPY.values(), ids=WITHOUT_SCIPY)
def test_numpy_alone_gains_no_scipy(tmp_path: Path, before: str, after: str) -> None:
    assert fixed(tmp_path, OWN_SOFTMAX + before) == OWN_SOFTMAX + after


SIGMOID = "import numpy as np\n\ndef sigmoid(z):\n    return 1 / (1 + np.exp(-z))\n\n"


def test_minus_twice_is_not_at_all(tmp_path: Path) -> None:
    before = "def loss(z, y):\n    p = sigmoid(z)\n    return np.mean(y * -np.log(p) + (1 - y) * -np.log(1 - p))\n"
    after = "def loss(z, y):\n    return np.mean(y * np.logaddexp(0, -z) + (1 - y) * np.logaddexp(0, z))\n"
    assert fixed(tmp_path, SIGMOID + before) == SIGMOID + after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("-y * np.log(p) - (1 - y) * np.log(1 - p)", "y * np.logaddexp(0, -z) + (1 - y) * np.logaddexp(0, z)"),
        ("c - np.log(p)", "c + np.logaddexp(0, -z)"),
        ("c - (-y) * np.log(p)", "c - (y) * np.logaddexp(0, -z)"),
        ("c - y ** -np.log(p)", "c - y ** np.logaddexp(0, -z)"),
        ("c - np.log(p) ** 2", "c - (-np.logaddexp(0, -z)) ** 2"),
    ],
)
def test_a_minus_that_a_log_is_taken_with_turns(tmp_path: Path, before: str, after: str) -> None:
    program = "def loss(z, y, c):\n    {}return np.mean({})\n"
    mended = program.format("", after)
    assert fixed(tmp_path, SIGMOID + program.format("p = sigmoid(z)\n    ", before)) == SIGMOID + mended


def test_both_logs_of_a_formula_that_is_reported_once_are_mended(tmp_path: Path) -> None:
    before = (
        "def loss(x, w, y):\n    p = sigmoid(x @ w)\n    return np.mean(y * -np.log(p) - (1 - y) * np.log(1 - p)), p\n"
    )
    after = (
        "def loss(x, w, y):\n    logits = x @ w\n    p = sigmoid(logits)\n"
        "    return np.mean(y * np.logaddexp(0, -logits) + (1 - y) * np.logaddexp(0, logits)), p\n"
    )
    assert fixed(tmp_path, SIGMOID + before) == SIGMOID + after


#: why there is no certain fix -> the program
LEFT_ALONE: dict[str, str] = {
    "what a mask picks of a row may be of several classes": TORCH
    + "def loss(x, y):\n    p = F.softmax(net(x), dim=1)\n    return -torch.log((p * y).sum(1)).mean(), p\n",
    "0 times the log of a class that is masked is no 0": TORCH
    + "def loss(x, y, m):\n    p = F.softmax(net(x).masked_fill(m, -torch.inf), dim=1)\n"
    "    return -torch.log((p * F.one_hot(y, 5)).sum(1)).mean(), p\n",
    "what is picked along another axis": TORCH + "def loss(x, y):\n    p = F.softmax(net(x), dim=1)\n"
    "    return -torch.log((p * F.one_hot(y, 5)).sum(0)).mean(), p\n",
    "the probabilities come from one of two places": TORCH
    + "def loss(x, y, a):\n    if a:\n        p = F.softmax(net(x), dim=1)\n    else:\n"
    "        p = F.softmax(net(y), dim=0)\n"
    "    return torch.log(p)\n",
    "a large clip is part of what the loss means": TORCH
    + "def loss(x, y):\n    return -(y * torch.log(torch.clamp(F.softmax(net(x), dim=1), 0.1, 0.9))).sum()\n",
    "the log of one minus a softmax has no stable form": TORCH
    + "def loss(x, y):\n    return -(y * torch.log(1 - F.softmax(net(x), dim=1))).sum()\n",
    "a name that a function writes from afar": TORCH
    + "def other(x):\n    global p\n    p = x\n\np = F.softmax(net(torch.load('x')), dim=1)\nother(p)\n"
    "l = torch.log(p)\n",
    "an entry that was picked is written": TORCH
    + "def loss(x, y):\n    p = F.softmax(net(x), dim=1)\n    pt = p.gather(1, y)\n    pt[0] = 1\n"
    "    return torch.log(pt)\n",
    "an entry that was picked is changed by another name": TORCH
    + "def loss(x, y):\n    p = F.softmax(net(x), dim=1)\n    pt = p.gather(1, y)\n    qt = pt\n    qt *= 2\n"
    "    return torch.log(pt)\n",
    "entries that were picked in one of two ways": TORCH
    + "def loss(x, y, a):\n    p = F.softmax(net(x), dim=1)\n    pt = p.gather(1, y)\n"
    "    if a:\n        pt = p[:, 0]\n    return torch.log(pt)\n",
    "a function that only looks like a gather": TORCH + "def gather(p, y):\n    return p[y] ** 2\n\n"
    "def loss(x, y):\n    p = F.softmax(net(x), dim=1)\n    pt = gather(p, y)\n    return torch.log(pt)\n",
    "the names are shown that would change": TORCH
    + "def loss(x, y):\n    p = F.softmax(net(x), dim=1)\n    pt = p.gather(1, y)\n    report(locals())\n"
    "    return torch.log(pt)\n",
    "entries that are drawn": TORCH
    + "def loss(x):\n    p = F.softmax(net(x), dim=1)\n    pt = p.gather(1, torch.multinomial(p, 1))\n"
    "    return (1 - pt) * torch.log(pt), pt\n",
    "entries that are drawn by a distribution": TORCH + "def loss(x):\n    p = F.softmax(net(x), dim=1)\n"
    "    pt = p.gather(1, torch.distributions.Categorical(p).sample()[:, None])\n"
    "    return (1 - pt) * torch.log(pt), pt\n",
    "entries that are drawn with noise": TORCH + "def loss(x):\n    z = net(x)\n    p = F.softmax(z, dim=1)\n"
    "    pt = p.gather(1, F.gumbel_softmax(z, dim=1).argmax(1)[:, None])\n"
    "    return (1 - pt) * torch.log(pt), pt\n",
    "entries that something unknown picks": TORCH
    + "def loss(x, rows):\n    p = F.softmax(net(x), dim=1)\n    pt = p[rows.pop()]\n"
    "    return (1 - pt) * torch.log(pt), pt\n",
    "a blend of picked entries": TORCH
    + "def loss(x, y):\n    p = F.softmax(net(x), dim=1)\n    pt = 0.9 * p.gather(1, y) + 0.1\n"
    "    return torch.log(pt)\n",
    "a logarithm to another base": TORCH
    + "def loss(x, y):\n    z = net(x)\n    return torch.log2(F.softmax(z, dim=1)), torch.log2(1 + z.exp())\n",
    "a log in place": TORCH + "def loss(x, y):\n    p = F.softmax(net(x), dim=1)\n    p.log_()\n    return p\n",
    "an epsilon that keeps masked classes from NaN": TORCH
    + "def loss(x, y, m):\n    z = net(x).masked_fill(m, float('-inf'))\n"
    "    return -(y * torch.log(F.softmax(z, dim=1) + 1e-8)).sum()\n",
    "Keras 2 has no keras.ops": "import keras\nimport keras.backend as K\n\nhead = keras.layers.Dense(5)\n\n"
    "def loss(x, y):\n    return -K.sum(y * K.log(K.softmax(head(x))))\n",
    "an item of the probabilities is written": TORCH
    + "def loss(z):\n    p = F.softmax(z, dim=1)\n    p[:, 0] = 0.5\n    return torch.log(p)\n\n"
    "loss(torch.rand(3, 4))\n",
    "the logits are written into meanwhile": TORCH
    + "def loss(z):\n    p = F.softmax(z, dim=1)\n    z[:, 0] = 0\n    return torch.log(p)\n\nloss(torch.rand(3, 4))\n",
    "a method changes the logits meanwhile": TORCH
    + "def loss(z):\n    p = F.softmax(z, dim=1)\n    z.mul_(2)\n    return torch.log(p)\n\nloss(torch.rand(3, 4))\n",
    "a function changes the logits meanwhile": TORCH
    + "def loss(z):\n    p = F.softmax(z, dim=1)\n    F.relu(z, inplace=True)\n    return torch.log(p)\n\n"
    "loss(torch.rand(3, 4))\n",
    "the logits grow meanwhile, under any name": TORCH
    + "def loss(z):\n    p = F.softmax(z, dim=1)\n    z += 1\n    return torch.log(p)\n\nloss(torch.rand(3, 4))\n",
    "the powers of a written-out softmax are masked": NUMPY
    + "def soft(z, m):\n    e = np.exp(z)\n    e[m] = 0\n    return e / np.sum(e, axis=1, keepdims=True)\n\n"
    "soft(x, x > 0)\n",
    "a sum of some of the powers": NUMPY
    + "def soft(z):\n    return np.exp(z) / np.sum(np.exp(z)[:, :2], axis=1, keepdims=True)\n\nsoft(x)\n",
    "powers of another type": NUMPY
    + "def soft(z):\n    return np.exp(z, dtype=float) / np.sum(np.exp(z), axis=1, keepdims=True)\n\nsoft(x)\n",
    "a softplus of some": NUMPY + "def f(z):\n    return np.log(1 + np.exp(z, where=z > 0))\n\nf(x)\n",
    "a logsumexp in another shape": NUMPY
    + "def f(z):\n    return np.log(np.sum(np.exp(z), axis=1)[:, None])\n\nf(x)\n",
    "a logsumexp of some": NUMPY + "def f(z):\n    return np.log(np.sum(np.exp(z)[:, 1:], axis=1))\n\nf(x)\n",
    "a sum of another type": NUMPY + "def f(z):\n    return np.log(np.sum(np.exp(z), 1, np.float64))\n\nf(x)\n",
    "a log of another type": NUMPY + "def f(z):\n    return np.log(np.sum(np.exp(z), axis=1), dtype=float)\n\nf(x)\n",
}


@pytest.mark.parametrize("program", LEFT_ALONE.values(), ids=LEFT_ALONE)
def test_what_is_left_alone(tmp_path: Path, program: str) -> None:
    assert fixed(tmp_path, program) == program


OLD_KERAS = "import keras\nfrom keras import backend as K\n\nhead = keras.layers.Dense(1)\n\n"
#: Losses that speak Keras' old backend, which has no log_sigmoid but a softplus.
BY_SOFTPLUS = {
    "plain": (
        OLD_KERAS + "def loss(x):\n    return -K.mean(K.log(K.sigmoid(head(x))))\n\nloss(x)\n",
        OLD_KERAS + "def loss(x):\n    return K.mean(K.softplus(-head(x)))\n\nloss(x)\n",
    ),
    "both, of differences, guarded": (
        OLD_KERAS + "def loss(a, b):\n    p = K.sigmoid(head(a) - head(b))\n"
        "    return -K.mean(K.log(p + 1e-6) + K.log(1 - K.sigmoid(head(b) - K.mean(head(a))) + 1e-6))\n\nloss(x, y)\n",
        OLD_KERAS + "def loss(a, b):\n    logits = head(a) - head(b)\n"
        "    return -K.mean(-K.softplus(-logits) + -K.softplus(head(b) - K.mean(head(a))))\n\nloss(x, y)\n",
    ),
    "of TensorFlow's Keras, which alone is imported": (
        OLD_KERAS.replace("from keras", "from tensorflow.python.keras").replace("import keras", "import numpy as np", 1)
        + "def loss(x):\n    return -K.mean(K.log(K.sigmoid(x * head)))\n\nloss(x)\n",
        OLD_KERAS.replace("from keras", "from tensorflow.python.keras").replace("import keras", "import numpy as np", 1)
        + "def loss(x):\n    return K.mean(K.softplus(-(x * head)))\n\nloss(x)\n",
    ),
    "TensorFlow's own is at hand": (
        "import tensorflow as tf\n"
        + OLD_KERAS
        + "def loss(x):\n    return -K.mean(tf.math.log(K.sigmoid(head(x))))\n\nloss(x)\n",
        "import tensorflow as tf\n"
        + OLD_KERAS
        + "def loss(x):\n    return -K.mean(tf.math.log_sigmoid(head(x)))\n\nloss(x)\n",
    ),
    "a sigmoid of nobody's": 2
    * (
        OLD_KERAS.replace("from keras import", "from others import")
        + "def loss(x):\n    return -K.mean(K.log(K.sigmoid(head(x))))\n\nloss(x)\n",
    ),
}


@pytest.mark.parametrize(("before", "after"), BY_SOFTPLUS.values(), ids=BY_SOFTPLUS)
def test_keras_old_backend_has_a_softplus(tmp_path: Path, before: str, after: str) -> None:
    assert fixed(tmp_path, before) == after


ROUNDS = """import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def step(w, b, x, y):
    {}
    print(round(float(cost), 6))
    return w - 0.1 * np.dot(x, (a - y).T), b - 0.1 * np.sum(a - y)


w, b = np.zeros((2, 1)), 0.0
for i in range(20):
    w, b = step(w, b, np.array([[1, 2], [3, 4]]), np.array([[1, 0]]))
"""


def test_an_own_sigmoid_of_other_scores_in_each_round_is_one(tmp_path: Path) -> None:
    before = "a = sigmoid(np.dot(w.T, x) + b)\n    cost = -np.sum(y * np.log(a))"
    after = "logits = np.dot(w.T, x) + b\n    a = sigmoid(logits)\n    cost = np.sum(y * np.logaddexp(0, -logits))"
    assert fixed(tmp_path, ROUNDS.format(before)) == ROUNDS.format(after)
    assert _shown(ROUNDS.format(before)) == _shown(ROUNDS.format(after))


SUM = "np.sum(y * {} + (1 - y) * {})"
LOGS, STABLE = (
    SUM.format("np.log(a)", "np.log(1 - a)"),
    SUM.format("np.logaddexp(0, -logits)", "np.logaddexp(0, logits)"),
)
SIGNED = SUM.format("-np.logaddexp(0, -logits)", "-np.logaddexp(0, logits)")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f"-{LOGS}", STABLE),
        (f"-{LOGS} / 2", f"{STABLE} / 2"),
        (f"(-1 / 2) * {LOGS}", f"(1 / 2) * {STABLE}"),
        (f"(- 1 / 2) * {LOGS}", f"(1 / 2) * {STABLE}"),
        (f"-1 / 2 * {LOGS}", f"1 / 2 * {STABLE}"),
        (f"-(1.0 / 2) * {LOGS}", f"(1.0 / 2) * {STABLE}"),
        (f"3 - {LOGS}", f"3 + {STABLE}"),
        (f"-({LOGS} - 3)", f"-({SIGNED} - 3)"),
    ],
)
def test_one_minus_goes_where_both_logs_bring_their_own(tmp_path: Path, before: str, after: str) -> None:
    made = "a = sigmoid(np.dot(w.T, x) + b)\n    cost = {}"
    named = "logits = np.dot(w.T, x) + b\n    a = sigmoid(logits)\n    cost = {}"
    program, wanted = ROUNDS.format(made.format(before)), ROUNDS.format(named.format(after))
    assert fixed(tmp_path, program) == wanted
    assert _shown(program) == _shown(wanted)


def _shown(program: str) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        exec(compile(program, "program", "exec"), {})
    return shown.getvalue()


def test_a_helper_that_gives_something_else_at_times_is_no_sigmoid(tmp_path: Path) -> None:
    helper = "def sigmoid(z):\n    return 1 / (1 + np.exp(-z))\n"
    other = "def sigmoid(z):\n    if b == 0.0:\n        return np.abs(z) + 0.5\n    return 1 / (1 + np.exp(-z))\n"
    before = "a = sigmoid(np.dot(w.T, x) + b)\n    cost = -np.sum(y * np.log(a))"
    program = ROUNDS.format(before).replace(helper, other)
    assert other in program and fixed(tmp_path, program) == program


def test_a_log_keeps_its_name_in_the_graph(tmp_path: Path) -> None:
    head = 'import tensorflow as tf\n\nz = tf.placeholder(tf.float32, [None, 3])\np = tf.nn.softmax(z, name="p")\n'
    before = head + 'log_p = tf.log(p, name="log_p")\nloss = -tf.reduce_sum(log_p[:, 0])\n'
    run = "with tf.Session() as session:\n    print(session.run([p, loss], {z: [[0, 1, 2]]}))\n"
    wanted = before.replace("tf.log(p, ", "tf.nn.log_softmax(z, ")
    assert fixed(tmp_path, before + run) == wanted + run


def test_a_softmax_that_turns_its_classes_is_left_alone(tmp_path: Path) -> None:
    program = (
        "import numpy as np\n\ndef softmax(z):\n    e = np.exp(z - np.max(z, axis=1, keepdims=True))\n"
        "    return e.T / np.sum(e, axis=1)\n\n"
        "def loss(z, y):\n    p = softmax(z)\n    return -np.sum(y * np.log(p)), p\n"
    )
    assert fixed(tmp_path, program) == program


def test_a_guard_counts_a_row_without_a_class(tmp_path: Path) -> None:
    guarded = (
        TF1 + "p = tf.nn.softmax(tf.matmul(x, W))\nloss = -tf.log(tf.reduce_sum(p * tf.one_hot(a, 10), 1) + 1e-10)\n"
    )
    (tmp_path / "program.py").write_text(guarded)
    fixes = [f.fix for f in repaired(tmp_path / "program.py").remaining]
    assert [(fix.safe, fix.note) for fix in fixes if fix is not None] == [
        (False, "a row in which no class is 1 would count 0, and no more the log of the guard")
    ]


WITH_LAYER = """
class Loss(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Softmax(dim=1)
        self.eps = 1e-8

    def forward(self, x, y):
        return -(y * torch.log(self.head(x) + self.eps)).sum(), {}


class Other(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Softmax(dim=1)

    def forward(self, x):
        return self.head(x)


print(Other()(net(x)), Loss()(net(x), y))
"""


@pytest.mark.parametrize(("given", "stays"), [("x", False), ("self.head(y)", True)])
def test_a_layer_that_nobody_applies_any_more_goes(tmp_path: Path, given: str, stays: bool) -> None:
    after = WITH_LAYER.format(given).replace("torch.log(self.head(x) + self.eps)", "F.log_softmax(x, dim=1)")
    made = "        self.head = nn.Softmax(dim=1)\n"
    after = after if stays else after.replace(made, "", 1)
    assert fixed(tmp_path, TORCH + WITH_LAYER.format(given)) == TORCH + after


def test_the_log_of_what_is_left_stays(tmp_path: Path) -> None:
    logs = "    return -(y * {} + (1 - y) * torch.log(1 - p)).sum()\n"
    before = "def loss(x, y):\n    p = F.softmax(net(x), dim=1)\n" + logs.format("torch.log(p)")
    after = "def loss(x, y):\n    logits = net(x)\n    p = F.softmax(logits, dim=1)\n"
    assert fixed(tmp_path, TORCH + before) == TORCH + after + logs.format("F.log_softmax(logits, dim=1)")
