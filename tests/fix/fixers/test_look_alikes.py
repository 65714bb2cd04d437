"""What a function is called says nothing of what it does: a fix leaves alone whatever only bears a known name.

``helpers`` is a module that isn't at hand. A function of the program's own is followed, and is no softmax where it does
anything besides.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from ..workbench import fixed

TORCH = """import torch
import torch.nn.functional as F
from torch import nn

net = nn.Linear(4, 3)

"""
JAX = """import helpers
import jax
import jax.numpy as jnp
import optax

"""
TENSORFLOW = """import helpers
import tensorflow as tf

x = tf.placeholder(tf.float32, [None, 4])
y = tf.placeholder(tf.float32, [None, 3])
z = tf.layers.dense(x, 3)
"""
KERAS = """import helpers
import keras

inputs = keras.Input((4,))
"""
COMPILE = 'model.compile("adam", loss="categorical_crossentropy")\n'
NUMPY = """import helpers
import numpy as np

"""

LOOK_ALIKES = {
    # a softmax that isn't one
    "torch: a softmax of another module": TORCH.replace("import torch\n", "import helpers\nimport torch\n")
    + "def step(x, y):\n    return F.cross_entropy(helpers.softmax(net(x), 1), y)\n",
    "torch: its log": TORCH.replace("import torch\n", "import helpers\nimport torch\n")
    + "def step(x, y):\n    return F.nll_loss(torch.log(helpers.softmax(net(x), 1)), y)\n",
    "torch: an own softmax with a floor": TORCH
    + "def softmax(z, dim):\n    return 0.9 * F.softmax(z, dim=dim) + 0.01\n\n"
    + "def step(x, y):\n    return F.nll_loss(torch.log(softmax(net(x), 1)), y)\n",
    "torch: a method of an own class": TORCH
    + "class Scores:\n    def __init__(self, z):\n        self.z = z\n\n"
    + "    def softmax(self, dim):\n        return (3 * self.z).softmax(dim) ** 2\n\n"
    + "def step(x, y):\n    return F.nll_loss(torch.log(Scores(net(x)).softmax(1)), y)\n",
    "torch: a sigmoid of another module": TORCH.replace("import torch\n", "import helpers\nimport torch\n")
    + "def step(x, y):\n    return F.binary_cross_entropy(helpers.sigmoid(net(x)), y)\n",
    "jax: a softmax of another module": JAX
    + "def loss(w, x, y):\n    return optax.softmax_cross_entropy(helpers.softmax(x @ w), y).mean()\n\n"
    + "grads = jax.grad(loss)\n",
    "jax: an own softmax with a floor": JAX
    + "def softmax(z):\n    return 0.9 * jax.nn.softmax(z) + 0.01\n\n"
    + "def loss(w, x, y):\n    return -jnp.sum(y * jnp.log(softmax(x @ w)))\n\ngrads = jax.grad(loss)\n",
    "tensorflow: a softmax of another module": TENSORFLOW + "loss = -tf.reduce_sum(y * tf.log(helpers.softmax(z)))\n",
    "keras: an activation of another module": KERAS
    + "model = keras.Model(inputs, keras.layers.Dense(10, activation=helpers.softmax)(inputs))\n"
    + COMPILE,
    "keras: an own activation by that name": KERAS
    + "def softmax(z):\n    return keras.ops.softmax(3 * z)\n\n"
    + "model = keras.Model(inputs, keras.layers.Dense(10, activation=softmax)(inputs))\n"
    + COMPILE,
    "numpy: a sigmoid of another module": NUMPY
    + "def loss(w, x, y):\n    p = helpers.expit(x @ w)\n"
    + "    return -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))\n",
    # around a softmax
    "numpy: another of another module": NUMPY + "def loss(w, x, y):\n    p = helpers.sigmoid(x @ w)\n"
    "    return -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))\n",
    "torch: a log of another module": TORCH.replace("import torch\n", "import helpers\nimport torch\n")
    + "def step(x, y):\n    return F.nll_loss(helpers.log(F.softmax(net(x), dim=1)), y)\n",
    "torch: an own clamp that is a temperature": TORCH
    + "def clamp(p, low):\n    return p**2\n\n"
    + "def step(x, y):\n    return F.nll_loss(torch.log(clamp(F.softmax(net(x), dim=1), 1e-7)), y)\n",
    "tensorflow: an own clip that mixes": TENSORFLOW
    + "def clip_by_value(p, low, high):\n    return 0.5 * p + 0.1\n\n"
    + "p = clip_by_value(tf.nn.softmax(z), 1e-7, 1)\nloss = -tf.reduce_sum(y * tf.log(p))\n",
    # written out
    "torch: an own exp": TORCH
    + "def exp(z):\n    return torch.exp(2 * z)\n\n"
    + "def step(x, y):\n    e = exp(net(x))\n    return F.nll_loss(torch.log(e / e.sum(1, keepdim=True)), y)\n",
    "jax: an exp of another module": JAX
    + "def loss(w, x, y):\n    e = helpers.exp(x @ w)\n"
    + "    return -jnp.sum(y * jnp.log(e / jnp.sum(e, 1, keepdims=True)))\n\n"
    + "grads = jax.grad(loss)\n",
    "numpy: a sum of another module": NUMPY
    + "def softmax(z):\n    e = np.exp(z)\n    return e / helpers.sum(e, axis=1, keepdims=True)\n",
    "numpy: an own sum that spreads by tile": NUMPY
    + "def tile(total, n):\n    return total + 1\n\n"
    + "def softmax(z):\n    e = np.exp(z)\n    return e / tile(np.sum(e, axis=1), 3)\n",
    "tensorflow: a log of another module": TENSORFLOW + "loss = helpers.log(1 + tf.exp(z))\n",
    # losses and metrics
    "torch: a cross-entropy of another module": TORCH.replace("import torch\n", "import helpers\nimport torch\n")
    + "def step(x, y):\n    return helpers.cross_entropy(F.softmax(net(x), dim=1), y)\n",
    "torch: an own cross-entropy of probabilities": TORCH
    + "def cross_entropy(p, y):\n    return ((p - y) ** 2).mean()\n\n"
    + "def step(x, y):\n    return cross_entropy(F.softmax(net(x), dim=1), y)\n",
    "jax: an own cross-entropy": JAX
    + "def softmax_cross_entropy(p, y):\n    return -jnp.sum(y * p)\n\n"
    + "def loss(w, x, y):\n    return softmax_cross_entropy(jax.nn.softmax(x @ w), y)\n\ngrads = jax.grad(loss)\n",
    "keras: a loss of another module": KERAS
    + 'model = keras.Model(inputs, keras.layers.Dense(10, activation="softmax")(inputs))\n'
    + 'model.compile("adam", loss=helpers.categorical_crossentropy)\n',
    "keras: a metric of another module": KERAS
    + 'model = keras.Model(inputs, keras.layers.Dense(10, activation="softmax")(inputs))\n'
    + 'model.compile("adam", "categorical_crossentropy", metrics=[helpers.categorical_accuracy])\n',
}


@pytest.mark.parametrize("program", LOOK_ALIKES.values(), ids=LOOK_ALIKES)
def test_what_only_bears_the_name_is_left_alone(tmp_path: Path, program: str) -> None:
    assert fixed(tmp_path, program) == program


def test_an_own_predict_is_no_kerass(tmp_path: Path) -> None:
    """Its reader gets the softmax back inside it, not a second model around it."""
    net = (
        "class Net(keras.Model):\n    def __init__(self):\n        super().__init__()\n"
        "        self.head = keras.layers.Dense(10{0})\n\n    def call(self, x):\n        return self.head(x)\n\n"
        "    def predict(self, x):\n        return {1}.numpy()[0]\n\nmodel = Net()\n"
    )
    end = "print(model.predict(inputs) * 2)\n"
    before = KERAS + net.format(', activation="softmax"', "self(x)") + COMPILE + end
    loss = COMPILE.replace('"categorical_crossentropy"', "keras.losses.CategoricalCrossentropy(from_logits=True)")
    assert fixed(tmp_path, before) == KERAS + net.format("", "keras.activations.softmax(self(x))") + loss + end
