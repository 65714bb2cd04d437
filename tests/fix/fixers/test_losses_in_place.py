"""A loss beside its softmax: it is handed the logits, and whoever else reads the probabilities goes on reading them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..workbench import fixed, repaired
from .heads import JAX, TORCH, Pair, pair

NET = TORCH + "net = nn.Linear(4, 3)\n\n"
BINARY = TORCH + "net = nn.Linear(4, 1)\ncriterion = nn.BCELoss()\n\n"
FLAX = JAX + "net = nn.Dense(3)\n\n"

SAFE: dict[str, Pair] = {
    "the logits are at hand": pair(
        NET,
        "def step(x, y):\n    z = net(x)\n    p = torch.softmax(z, dim=1)\n    return F.cross_entropy(p, y), p\n",
        "def step(x, y):\n    z = net(x)\n    p = torch.softmax(z, dim=1)\n    return F.cross_entropy(z, y), p\n",
    ),
    "the logits get a name": pair(
        NET,
        "def step(x, y):\n    out = net(x).softmax(-1)\n    return {'loss': F.cross_entropy(out, y), 'out': out}\n",
        "def step(x, y):\n    logits = net(x)\n    out = logits.softmax(-1)\n"
        "    return {'loss': F.cross_entropy(logits, y), 'out': out}\n",
    ),
    "a name that says probabilities holds no logits": pair(
        NET,
        "def step(x, y):\n    probs = F.softmax(net(x), dim=1)\n    return F.cross_entropy(probs, y)\n",
        "def step(x, y):\n    logits = net(x)\n    return F.cross_entropy(logits, y)\n",
    ),
    "a name that says nothing stays": pair(
        NET,
        "def step(x, y):\n    out = F.softmax(net(x), dim=1)\n    return F.cross_entropy(out, y), out.argmax(1)\n",
        "def step(x, y):\n    out = net(x)\n    return F.cross_entropy(out, y), out.argmax(1)\n",
    ),
    "a weighted loss, beside another": pair(
        NET,
        "def step(x, y, other):\n    return 1.0 * F.cross_entropy(F.softmax(net(x), dim=1), y) + 0.1 * other\n",
        "def step(x, y, other):\n    return 1.0 * F.cross_entropy(net(x), y) + 0.1 * other\n",
    ),
    "a reader that needs them": pair(
        NET,
        "def step(x, y):\n    q = F.softmax(net(x), dim=1)\n    print(q.max())\n    return F.cross_entropy(q, y)\n",
        "def step(x, y):\n    logits = net(x)\n    q = F.softmax(logits, dim=1)\n    print(q.max())\n"
        "    return F.cross_entropy(logits, y)\n",
    ),
    "a function with logits beside it": pair(
        NET,
        "def step(x, t):\n    p = torch.sigmoid(net(x))\n    return F.binary_cross_entropy(p, t, reduction='sum'), p\n",
        "def step(x, t):\n    logits = net(x)\n    p = torch.sigmoid(logits)\n"
        "    return F.binary_cross_entropy_with_logits(logits, t, reduction='sum'), p\n",
    ),
    "an object is told for all that it computes": pair(
        TORCH,
        "net = nn.Linear(4, 1)\ncriterion = nn.BCELoss()\n\n"
        "def train(x, t):\n    p = torch.sigmoid(net(x))\n    return criterion(p, t), p\n\n"
        "def test(x, t):\n    q = net(x).sigmoid()\n    return criterion(q, t).item(), q\n",
        "net = nn.Linear(4, 1)\ncriterion = nn.BCEWithLogitsLoss()\n\n"
        "def train(x, t):\n    logits = net(x)\n    p = torch.sigmoid(logits)\n    return criterion(logits, t), p\n\n"
        "def test(x, t):\n    logits = net(x)\n    q = logits.sigmoid()\n    return criterion(logits, t).item(), q\n",
    ),
    "JAX: beside the loss": pair(
        JAX,
        "def loss(w, x, y):\n    p = jax.nn.softmax(x @ w)\n    return optax.softmax_cross_entropy(p, y).mean(), p\n\n"
        "grads = jax.grad(loss, has_aux=True)\n",
        "def loss(w, x, y):\n    logits = x @ w\n    p = jax.nn.softmax(logits)\n"
        "    return optax.softmax_cross_entropy(logits, y).mean(), p\n\ngrads = jax.grad(loss, has_aux=True)\n",
    ),
}

#: Where the loss isn't that of these logits, or somebody else would be told.
LEFT_ALONE: dict[str, str] = {
    "the target is made of them, too": NET
    + "def step(x):\n    p = F.softmax(net(x), dim=1)\n    return F.cross_entropy(p, p), p\n",
    "changed in between": NET
    + "def step(x, y):\n    p = F.softmax(net(x), dim=1)\n    p[:, 0] = 0\n    return F.cross_entropy(p, y), p\n",
    "changed by another name": NET
    + "def step(x, y):\n    p = F.softmax(net(x), dim=1)\n    q = p\n    q *= 2\n"
    + "    return F.cross_entropy(p, y), p\n",
    "along another axis": NET
    + "def step(x, y):\n    p = F.softmax(net(x), dim=0)\n    return F.cross_entropy(p, y), p\n",
    "of one of two branches": NET
    + "def step(x, y, hard):\n    p = F.softmax(net(x), dim=1)\n    if hard:\n        p = net(x) * 2\n"
    + "    return F.cross_entropy(p, y), p\n",
    "in another type": NET
    + "def step(x, y):\n    p = F.softmax(net(x), dim=1, dtype=torch.float64)\n    return F.cross_entropy(p, y), p\n",
    "a function of its own by that name": NET
    + "def softmax(z, dim):\n    return 0.9 * F.softmax(z, dim=dim) + 0.01\n\n"
    + "def step(x, y):\n    p = softmax(net(x), 1)\n    return F.cross_entropy(p, y), p\n",
    "one minus them": NET
    + "def step(x, t):\n    p = 1 - torch.sigmoid(net(x))\n    return F.binary_cross_entropy(p, t), p\n",
    "the object computes another loss, too": BINARY
    + "def step(x, t):\n    p = torch.sigmoid(net(x))\n    return criterion(p, t), p\n\n"
    + "def other(r, t):\n    return criterion(r, t)\n",
    "an average of two heads": NET
    + "def step(x, y):\n    p = (F.softmax(net(x), dim=1) + F.softmax(net(-x), dim=1)) / 2\n"
    + "    return F.cross_entropy(p, y), p\n",
    "both losses are shown": NET
    + "def show(x, t):\n    z = net(x)\n    p = torch.sigmoid(z)\n"
    + "    print(F.binary_cross_entropy(p, t), F.binary_cross_entropy_with_logits(z, t))\n",
    "the names of the function are shown": NET
    + "def step(x, y):\n    p = F.softmax(net(x), dim=1)\n    report(**locals())\n"
    + "    return F.cross_entropy(p, y), p\n",
}


@pytest.mark.parametrize("pair", SAFE.values(), ids=SAFE)
def test_what_becomes_of_it(tmp_path: Path, pair: Pair) -> None:
    assert fixed(tmp_path, pair.before) == pair.after


@pytest.mark.parametrize("pair", SAFE.values(), ids=SAFE)
def test_nothing_is_found_afterwards(tmp_path: Path, pair: Pair) -> None:
    assert fixed(tmp_path, pair.after) == pair.after
    assert repaired(tmp_path / "program.py").remaining == ()


@pytest.mark.parametrize("program", LEFT_ALONE.values(), ids=LEFT_ALONE)
def test_what_is_left_alone(tmp_path: Path, program: str) -> None:
    assert fixed(tmp_path, program) == program


def test_an_object_that_is_handed_on_makes_it_unsafe(tmp_path: Path) -> None:
    program = BINARY + (
        "def step(x, t):\n    p = torch.sigmoid(net(x))\n    return criterion(p, t), p\n\n"
        "trainer = Trainer(criterion)\n"
    )
    assert fixed(tmp_path, program) == program
    (finding,) = repaired(tmp_path / "program.py").remaining
    assert finding.fix is not None and "`criterion` is handed on" in finding.fix.note


BOTH = TORCH + (
    "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n        self.fc = nn.Linear(4, 3)\n\n"
    "    def forward(self, x):\n        z = self.fc(x)\n        {body}\n        return {given}\n\nnet = Net()\n\n"
    "def step(x, y):\n    {read}\n    print({probabilities})\n    return F.cross_entropy({handed}, y)\n"
)
#: Logits that come with the probabilities: what the model does and gives, how it is read, what is handed on after.
TOGETHER = {
    "a pair": ("p = F.softmax(z, dim=1)", "z, p", "z, p = net(x)", "p", "p", "z"),
    "a pair of which one had no name": (
        *("p = F.softmax(z, dim=1)", "z, p", "_, p = net(x)|logits, p = net(x)", "p", "p", "logits"),
    ),
    "a dictionary": (
        *("p = F.softmax(z, dim=1)", "{'p': p, 'z': z}", "out = net(x)", "out['p']", "out['p']", "out['z']"),
    ),
    "an item": ("p = F.softmax(z, dim=1)", "z, p", "q = net(x)[1]", "q", "net(x)[1]", "net(x)[0]"),
    # what isn't those logits
    "scaled before the softmax": ("p = F.softmax(z / 2, dim=1)", "z, p", "z, p = net(x)", "p", "p", ""),
    "the logits of another softmax": (
        *("p = F.softmax(self.fc(x + 1), dim=1)", "z, p", "z, p = net(x)", "p", "p", ""),
    ),
    "changed after": ("p = F.softmax(z, dim=1)", "z, p", "z, p = net(x)\n    z = z * 2", "p", "p", ""),
    "changed in place after": ("p = F.softmax(z, dim=1)", "z, p", "z, p = net(x)\n    z *= 2", "p", "p", ""),
}


@pytest.mark.parametrize(("body", "given", "read", "probabilities", "before", "after"), TOGETHER.values(), ids=TOGETHER)
def test_logits_that_came_with_the_probabilities(
    tmp_path: Path, body: str, given: str, read: str, probabilities: str, before: str, after: str
) -> None:
    parts = {"body": body, "given": given, "probabilities": probabilities}
    first, _, then = read.partition("|")
    program = BOTH.format(**parts, read=first, handed=before)
    mended = fixed(tmp_path, program)
    if after:
        assert mended == BOTH.format(**parts, read=then or first, handed=after)
    else:
        assert f"F.cross_entropy({before}, y)" in mended


def test_of_two_losses_of_the_same_probabilities_not_one_alone_is_changed(tmp_path: Path) -> None:
    """Without the softmax a loss is another one: it would be that in one branch only."""
    program = NET + (
        "def of_some(p, rows, y):\n    return F.cross_entropy(p[rows], y)\n\n"
        "def step(x, y, rows):\n    p = F.softmax(net(x), dim=1)\n    print(p)\n    if len(rows):\n"
        "        return of_some(p, rows, y)\n    return F.cross_entropy(p, y)\n"
    )
    assert fixed(tmp_path, program) == program
    found = [f.fix for f in repaired(tmp_path / "program.py").remaining]
    assert ["left as it is" in fix.note for fix in found if fix is not None] == [True] and len(found) == 2
