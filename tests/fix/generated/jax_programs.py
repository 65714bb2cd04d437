"""Random JAX programs: ``params``, ``loss_fn(params, x, y)``, and ``show(params, x)``, what its readers see."""

from __future__ import annotations

import random
import textwrap
from collections.abc import Callable
from typing import NamedTuple

from . import Program

_SOFTMAX_READERS = (
    "shown.append(jnp.argmax(out, axis=-1))",
    "shown.append(out.argmax(axis=1))",
    "shown.append(out)",
    "shown.append(out[:, 1])",
    "shown.append(jnp.max(out, axis=-1))",
    "shown.append(out > 0.3)",
    "shown.append(1 - out)",
    "shown.append(predict(params, x))",
    "shown.append(classify(params, x))",
    "shown.append(np.asarray(out).tolist())",
    "for row in out:\n    shown.append(row.max())",
    "shown.append(jnp.where(out > 0.2, out, 0.0))",
    "shown.append(jax.vmap(jnp.argmax)(out))",
    "shown.append(out.shape)",
    "shown.append(jax.device_get(out).sum())",
    "kept = []\nkept.append(out)\nshown.append(jnp.concatenate(kept))",
    "shown.append(float(out[0, 0]))",
)
_SIGMOID_READERS = (
    "shown.append(out > 0.5)",
    "shown.append((out > 0.5).astype(jnp.int32))",
    "shown.append(jnp.round(out))",
    "shown.append(out.squeeze(-1))",
    "shown.append(predict(params, x))",
    "shown.append(jnp.where(out >= 0.5, 1, 0))",
    "shown.append(out.shape)",
)
_HELPERS = """
def predict(params, x):
    return {call}


def classify(params, x):
    return jnp.argmax(predict(params, x), axis=-1)
"""


class Task(NamedTuple):
    """What a model is to tell apart, and the losses for that, which all take logits."""

    head: str
    units: int
    losses: tuple[str, ...]


TASKS = (
    Task(
        "softmax",
        3,
        (
            "optax.softmax_cross_entropy_with_integer_labels({out}, y).mean()",
            "optax.softmax_cross_entropy({out}, jax.nn.one_hot(y, 3)).mean()",
            "jnp.mean(optax.softmax_cross_entropy(logits={out}, labels=jax.nn.one_hot(y, 3)))",
            "optax.softmax_cross_entropy({out}, optax.smooth_labels(jax.nn.one_hot(y, 3), 0.1)).sum()",
        ),
    ),
    Task(
        "sigmoid",
        1,
        (
            "optax.sigmoid_binary_cross_entropy({out}, y).mean()",
            "jnp.mean(optax.sigmoid_binary_cross_entropy(logits={out}, labels=y))",
        ),
    ),
)


def jax_program(draw: random.Random) -> Program:
    """One JAX program."""
    seed = draw.random()
    text, right = (_written(seed, right) for right in (False, True))
    return Program("jax", text, right, "units = 1\n" in text)


def _written(seed: float, right: bool) -> str:
    """A program, or its right form: each part draws for itself, so that both have the same in common."""
    of = {part: random.Random(f"{seed} {part}") for part in ("program", "model", "loss", "readers")}
    draw = of["program"]
    task = draw.choice(TASKS)
    head, scores = draw.choice(heads(task))
    model, call = draw.choice(FORMS)(of["model"], task, scores if right else lambda z: head(scores(z)))
    loss = of["loss"].choice(task.losses)
    named = of["loss"].random() < 0.6
    inner = f"    out = {call}\n    return {loss.format(out='out')}" if named else f"    return {loss.format(out=call)}"
    known = _SOFTMAX_READERS if task.head == "softmax" else _SIGMOID_READERS
    readers = "\n".join(of["readers"].choice(known) for _ in range(of["readers"].randint(0, 4)))
    decorator = draw.choice(("", "", "@jax.jit\n"))
    body = "" if right else textwrap.indent(readers, "    ")
    return (
        f"import jax\nimport jax.numpy as jnp\nimport numpy as np\nimport optax\n{model}\nunits = {task.units}\n\n"
        f"{decorator}def loss_fn(params, x, y):\n{inner}\n\n{_HELPERS.format(call=call)}\n\n"
        f"def show(params, x):\n    shown = []\n    out = {call}\n{body}\n    return shown\n{draw.choice(_CALLS)}"
    )


#: The program's own call of its loss, or none: then nobody is known to call it.
_CALLS = (
    "",
    "\ngrads = jax.grad(loss_fn)(params, jnp.ones((2, 4)), jnp.zeros((2,) if units > 1 else (2, 1), int))\n",
)
Form = Callable[[str], str]


def heads(task: Task) -> tuple[tuple[Form, Form], ...]:
    """How the head is written around scores, and what the scores are of an expression."""
    name = task.head
    axis = ", axis=-1" if name == "softmax" else ""
    return (
        (lambda z: f"jax.nn.{name}({z})", lambda z: z),
        (lambda z: f"jax.nn.{name}({z}{axis})", lambda z: z),
        (lambda z: f"jax.nn.{name}({z}{axis})", lambda z: f"{z} / 2.0 + 0.1"),
    )


# Models: the text that defines ``params``, and the call that gives the output


def _linen_compact(draw: random.Random, task: Task, head: Form) -> tuple[str, str]:
    body = draw.choice(
        (
            f"        return {head(f'nn.Dense({task.units})(x)')}\n",
            f"        x = nn.Dense({task.units})(x)\n        return {head('x')}\n",
            f"        x = nn.Dense({task.units})(x)\n        x = {head('x')}\n        return x\n",
        )
    )
    return (
        "from flax import linen as nn\n\n\nclass Net(nn.Module):\n    @nn.compact\n    def __call__(self, x):\n"
        f"        x = nn.relu(nn.Dense(8)(x))\n{body}\n\nnet = Net()\n"
        "params = net.init(jax.random.key(0), jnp.ones((1, 4)))\n",
        draw.choice(("net.apply(params, x)", "net.apply(params, x)", "Net().apply(params, x)")),
    )


def _linen_setup(draw: random.Random, task: Task, head: Form) -> tuple[str, str]:
    return (
        "import flax.linen as nn\n\n\nclass Net(nn.Module):\n    def setup(self):\n        self.body = nn.Dense(8)\n"
        f"        self.out = nn.Dense({task.units})\n\n    def __call__(self, x):\n        x = nn.relu(self.body(x))\n"
        f"        return {head('self.out(x)')}\n\n\nnet = Net()\n"
        "params = net.init(jax.random.key(0), jnp.ones((1, 4)))['params']\n",
        "net.apply({'params': params}, x)",
    )


def _nnx(draw: random.Random, task: Task, head: Form) -> tuple[str, str]:
    return (
        "from flax import nnx\n\n\nclass Net(nnx.Module):\n    def __init__(self, rngs):\n"
        "        self.body = nnx.Linear(4, 8, rngs=rngs)\n"
        f"        self.out = nnx.Linear(8, {task.units}, rngs=rngs)\n\n"
        f"    def __call__(self, x):\n        x = nnx.relu(self.body(x))\n        return {head('self.out(x)')}\n\n\n"
        "params = Net(nnx.Rngs(0))\n",
        "params(x)",
    )


def _haiku(draw: random.Random, task: Task, head: Form) -> tuple[str, str]:
    return (
        "import haiku as hk\n\n\ndef forward(x):\n    x = jax.nn.relu(hk.Linear(8)(x))\n"
        f"    return {head(f'hk.Linear({task.units})(x)')}\n\n\nnet = hk.without_apply_rng(hk.transform(forward))\n"
        "params = net.init(jax.random.PRNGKey(0), jnp.ones((1, 4)))\n",
        "net.apply(params, x)",
    )


def _equinox(draw: random.Random, task: Task, head: Form) -> tuple[str, str]:
    return (
        "import equinox as eqx\n\n\nclass Net(eqx.Module):\n    body: eqx.nn.Linear\n    out: eqx.nn.Linear\n\n"
        "    def __init__(self, key):\n        one, two = jax.random.split(key)\n"
        "        self.body = eqx.nn.Linear(4, 8, key=one)\n"
        f"        self.out = eqx.nn.Linear(8, {task.units}, key=two)\n\n"
        f"    def __call__(self, x):\n        x = jax.nn.relu(self.body(x))\n        return {head('self.out(x)')}\n\n\n"
        "params = Net(jax.random.key(0))\n",
        "jax.vmap(params)(x)",
    )


def _plain(draw: random.Random, task: Task, head: Form) -> tuple[str, str]:
    return (
        f"\n\ndef forward(params, x):\n    x = jnp.tanh(x @ params['w1'] + params['b1'])\n"
        f"    x = x @ params['w2']\n    return {head('x')}\n\n\n"
        "one, two = jax.random.split(jax.random.key(0))\n"
        "params = {'w1': jax.random.normal(one, (4, 8)), 'b1': jnp.zeros(8),\n"
        f"          'w2': jax.random.normal(two, (8, {task.units}))}}\n",
        "forward(params, x)",
    )


FORMS = (_linen_compact, _linen_setup, _nnx, _haiku, _equinox, _plain)
