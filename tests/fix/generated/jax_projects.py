"""Random JAX projects (flax, haiku, equinox, plain): head x loss x targets x readers x layout."""

from __future__ import annotations

import random
import re

from .jax_programs import FORMS, TASKS, heads
from .projects import RATE, Parts, Project, laid_over_files, readers, script

_IMPORTS = "import jax\nimport jax.numpy as jnp\nimport numpy as np\nimport optax\n"
_DATA = """x = jnp.asarray(np.random.RandomState(1).randn(6, 4))
y = jnp.array([0, 1, 2, 1, 0, 2])
void = jnp.array([0, -1, 2, 1, -1, 2])
w = jnp.array([0.5, 1.0, 2.0])
hot = jax.nn.one_hot(y, 3)
empty = jax.nn.one_hot(void, 3)
soft = jnp.asarray(np.random.RandomState(2).dirichlet([1, 1, 1], 6))
several = jnp.array([[1.0, 1, 0], [0, 1, 0], [1, 1, 1], [0, 0, 0], [0, 1, 1], [1, 0, 0]])
counts = several * 3 + hot
one = several[:, :1]
"""
Loss = tuple[str, str, str]  # of p and t; of logits z, where it isn't what was meant; a function that it calls
_INDEX: tuple[Loss, ...] = (
    ("optax.softmax_cross_entropy_with_integer_labels(p, t).mean()",
     "optax.softmax_cross_entropy_with_integer_labels(z, t).mean()", ""),
    ("optax.softmax_cross_entropy(p, jax.nn.one_hot(t, 3)).mean()", "optax.softmax_cross_entropy(z, "
    "jax.nn.one_hot(t, 3)).mean()", ""),
    ("-jnp.log(p[jnp.arange(len(t)), t]).mean()", "", ""),
    ("-jnp.mean(jnp.log(jnp.take_along_axis(p, t[:, None], axis=1) + 1e-9))", "", ""),
    ("-jnp.mean(jnp.sum(jax.nn.one_hot(t, 3) * jnp.log(p), axis=-1))", "", ""),
    ("-jnp.mean(w[t] * jnp.log(p)[jnp.arange(6), t])", "", ""),
    ("loss_of(p, t)", "", "\n\ndef loss_of(p, t):\n    return -jnp.mean(jnp.log(p)[jnp.arange(t.size), t])\n"),
    ("loss_of(p, t)", "", "\n\ndef loss_of(p, t):\n    q = p[jnp.arange(t.size), t]\n"
    "    return -jnp.mean((1 - q) ** 2 * jnp.log(q))\n"),
)  # fmt: skip
_DENSE: tuple[Loss, ...] = (
    ("optax.softmax_cross_entropy(p, t).mean()", "optax.softmax_cross_entropy(z, t).mean()", ""),
    ("-jnp.sum(t * jnp.log(p), axis=-1).mean()", "", ""),
    ("-jnp.sum(t * jnp.log(p + 1e-10)) / len(x)", "", ""),
    ("-jnp.mean(jnp.sum(t * jnp.log(jnp.clip(p, 1e-9, 1.0)), axis=1))", "", ""),
    ("-(w * t * jnp.log(p)).sum(axis=1).mean()", "", ""),
    ("-jnp.sum(t * (1 - p) ** 2 * jnp.log(p), 1).mean()", "", ""),
    ("loss_of(p, t)", "", "\n\ndef loss_of(p, t):\n    return -jnp.sum(t * jnp.log(p), -1).mean()\n"),
    ("loss_of(p, t)", "", "\n\ndef loss_of(p, t):\n    p = p / p.sum(-1, keepdims=True)\n"
    "    return -jnp.mean(jnp.sum(t * jnp.log(p + 1e-12), -1))\n"),
    ("loss_of(t, p)", "", "\n\ndef loss_of(t, p):\n    p = jnp.clip(p, 1e-8, 1 - 1e-8)\n"
    "    return jnp.mean(-jnp.sum(t * jnp.log(p), axis=-1))\n"),
)  # fmt: skip
_BINARY: tuple[Loss, ...] = (
    ("optax.sigmoid_binary_cross_entropy(p, t).mean()", "optax.sigmoid_binary_cross_entropy(z, t).mean()", ""),
    ("-jnp.mean(t * jnp.log(p) + (1 - t) * jnp.log(1 - p))", "", ""),
    ("-jnp.mean(t * jnp.log(p + 1e-9) + (1 - t) * jnp.log(1 - p + 1e-9))", "", ""),
    ("-(2.0 * t * jnp.log(p) + (1 - t) * jnp.log(1.0 - p)).sum(-1).mean()", "", ""),
    ("-jnp.log(jnp.where(t > 0.5, p, 1 - p)).mean()", "", ""),
    (
        "loss_of(p, t)",
        "",
        "\n\ndef loss_of(p, t):\n    return -jnp.mean(t * jnp.log(p) + (1.0 - t) * jnp.log(1.0 - p))\n",
    ),
    (
        "loss_of(p, t)",
        "",
        "\n\ndef loss_of(p, t):\n    q = t * p + (1 - t) * (1 - p)\n    return -jnp.mean((1 - q) ** 2 * jnp.log(q))\n",
    ),
)
_READERS = readers(r"""
{p}
{p}
{p}.argmax(-1)
jnp.argmax({p}, axis=1)
np.asarray({p})
{p}[:, 0] > 0.9
({p} > 0.5).astype(int)
jnp.round({p})
[float(v[0]) for v in {p}]
[v.max() > 0.4 for v in {p}]
{{i: v.tolist() for i, v in enumerate({p})}}
sum(v[0] for v in {p})
q = {p}\nq / q.sum(-1, keepdims=True)
q = {p}\n(1 - q) ** 2
q = {p}\n0.5 * q + 0.1
q = {p}\n-(q * jnp.log(q)).sum(-1)
q = np.array({p})\nq *= 2\nq
{p}.at[0].set(0.0)
f'{{{p}[0, 0]:.4f}}'
'%.3f' % {p}[0, 0]
np.save('p.npy', {p})
np.savetxt('p.txt', {p}, fmt='%.8f')
{p}.shape
jax.nn.softmax({p})
jnp.log({p})
jnp.where({p} > 0.3, {p}, 0.0)
jax.random.bernoulli(jax.random.key(1), {p})
jax.vmap(jnp.max)({p})
jax.device_get({p})
(lambda q: q.max())({p})
jax.lax.stop_gradient({p}).mean()
jnp.mean(({p} >= 0.5) == one)
max(v.max() for v in {p})
list(map(float, {p}[0]))
{p}.sum()
kept = []\nfor i in range(2):\n    kept.append({p})\njnp.mean(jnp.stack(kept), axis=0)
jax.jit(lambda q: q * 2)({p})
jnp.allclose({p}.sum(-1), 1.0)
""")
_MADE = re.compile(r"^(net = |params = |one, two = )", re.MULTILINE)


def jax_project(draw: random.Random) -> Project:
    """One JAX project."""
    multi = draw.random() < 0.2
    task = draw.choice(TASKS)
    if multi:
        task = TASKS[1]._replace(units=3)
    head, scores = draw.choice(heads(task))
    form, seed = draw.choice(FORMS), draw.random()
    at_call = draw.random() < 0.35
    around = scores if at_call else lambda z: head(scores(z))
    parts, call = _parts(*form(random.Random(seed), task, around))
    if at_call:
        call = head(call)
    if task.head == "softmax":
        target = draw.choice(("y", "y", "hot", "soft", "empty", "several", "counts"))
    else:
        target = draw.choice(("several", "several * 0.8 + 0.1") if multi else ("one", "one * 0.8 + 0.1"))
    loss, meant, helper = draw.choice(_INDEX if target == "y" else _DENSE if task.head == "softmax" else _BINARY)
    train = _trained(draw, call, loss, target, shows=not meant)
    read, served = (_read(draw, call, most) for most in draw.choice(((0, 0), (1, 1), (2, 0), (3, 2))))
    kind = f"{form.__name__}{' at call' * at_call} {task.head} | {loss} | {target}"
    parts = parts._replace(kind=kind, helpers=helper, helper_names=("loss_of",) if helper else ())
    name, files, entries, checked = laid_over_files(parts._replace(train=train, readers=read, served=served), draw)
    right = None
    if meant:
        plain, of_logits = _parts(*form(random.Random(seed), task, scores))
        right = script(plain._replace(train=_step(of_logits, meant, target, "z", 1)))
    return Project("jax", f"{name}: {kind}", files, entries, checked, not meant, True, right)


def _parts(text: str, call: str) -> tuple[Parts, str]:
    """A model's text, divided: its imports, what is defined, how it is made."""
    lines = text.split("\n")
    imports = "".join(f"{line}\n" for line in lines if line.startswith(("import ", "from ")))
    rest = "\n".join(line for line in lines if not line.startswith(("import ", "from ")))
    at = _MADE.search(rest)
    assert at
    model, made = rest[: at.start()], rest[at.start() :]
    exports = tuple(re.findall(r"^(?:class|def) (\w+)", model, re.MULTILINE))
    return Parts("", _IMPORTS + imports, model, exports, made, _DATA, "", (), "", (), ()), call


def _step(call: str, loss: str, target: str, name: str, steps: int) -> str:
    return (
        f"\n\ndef loss_fn(params, x, t):\n    {name} = {call}\n    return {loss}\n\n\n"
        f"for step in range({steps}):\n    value, grads = jax.value_and_grad(loss_fn)(params, x, {target})\n"
        f"    params = jax.tree.map(lambda a, g: a - {RATE} * g, params, grads)\n"
    )


def _trained(draw: random.Random, call: str, loss: str, target: str, shows: bool) -> str:
    text = _step(call, loss, target, "p", 1)
    if draw.random() < 0.3 and len(re.findall(r"\bp\b", loss)) == 1:
        text = text.replace(f"    p = {call}\n", "").replace(loss, re.sub(r"\bp\b", call, loss))
    text = text.replace("def loss_fn", draw.choice(("", "@jax.jit\n")) + "def loss_fn")
    return text + ("    print(value)\n" if shows and draw.random() < 0.7 else "")


def _read(draw: random.Random, call: str, most: int) -> tuple[str, ...]:
    chosen = []
    for _ in range(draw.randint(0, most)):
        form = draw.choice(_READERS)
        chosen.append(form.format(p=call) if draw.random() < 0.5 else f"out = {call}\n" + form.format(p="out"))
    return tuple(chosen)
