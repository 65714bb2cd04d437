"""Where a log's value ends up: of one that is only read, nothing is said of a gradient."""

from __future__ import annotations

from pathlib import Path

import pytest

from finallayer.check.judge import analyse
from finallayer.source import Project

TORCH = """\
import torch
from torch import nn
net = nn.Linear(8, 4)
x, y = load()
def main(z, n):
    p = torch.softmax(net(x), 1)
    ce = -torch.log(p)[torch.arange(3), y].mean()
    {}
main(0, 1)
"""
TENSORFLOW = """\
import tensorflow as tf
x = tf.placeholder(tf.float32, [None, 8])
y = tf.placeholder(tf.float32, [None, 4])
p = tf.nn.softmax(tf.layers.dense(x, 4))
ce = -tf.reduce_mean(y * tf.log(p))
{}
with tf.Session() as session:
    print(session.run(ce, feed_dict=batch))
"""
JAX = """\
import jax
import jax.numpy as jnp
def main(w, x, y):
    def loss(w):
        p = jax.nn.softmax(x @ w)
        ce = -jnp.mean(y * jnp.log(p))
        print(ce)
        return ce
    {}
print(main(1, 2, 3))
"""
READ = [
    *("print(ce)", "print(ce.item(), ce.shape)", "if ce > 3:\n        print(1)", "print(f'loss {ce:.3f}')"),
    *("print('%.3f' % ce)", "print('loss {}'.format(ce))", "seen = ce.detach().cpu().numpy()\n    keep(seen)"),
    *("losses = [ce]\n    print(losses[0].item())", "best = ce if ce < 3 else 0\n    print(best)"),
    "print(ce)\n    other = nn.CrossEntropyLoss()(net(x), y)\n    other.backward()",
]
HANDED = [
    *("ce.backward()", "torch.autograd.grad(ce, w)", "torch.autograd.backward([ce, ce])", "engine.backward(loss=ce)"),
    *("scaler.scale(ce).backward()", "sum({'a': ce}.values()).backward()", "fit(dict(loss=ce))", "box.loss = ce"),
    *(
        "for one in (ce,):\n        one.backward()",
        "(ce / z).backward()",
        "optimizer.step(lambda: ce)",
        "box['l'] = ce",
    ),
    *("def closure():\n        return ce\n    optimizer.step(closure)", "getattr(ce, 'backward')()", "many.append(ce)"),
    *("a, b = ce, 3\n    a.backward()", "other = ce.clone()\n    other.backward()", "nn.MSELoss()(ce, y).backward()"),
    *("loss = ce if y else 0\n    loss.backward()", "z += ce\n    z.backward()", "z[0] = ce\n    z.sum().backward()"),
    *("loss = 0\n    for i in range(n):\n        loss = loss + ce\n    loss.backward()", "setattr(box, 'loss', ce)"),
    *("with scaled(ce) as loss:\n        loss.backward()", "step = ce.backward\n    step()", "keep[0][1] = ce"),
    *("global kept\n    kept = ce", "return {'loss': ce}", "yield ce", "queue.put(ce)", "(ce % 2).backward()"),
]
FETCHED = ["", "better = ce < 3", "summary = tf.identity(ce)"]
OPTIMIZED = [
    *("optimizer.minimize(ce)", "optimizer.minimize(loss=ce)", "tf.gradients(ys=ce, xs=[x])", "tf.losses.add_loss(ce)"),
    *("optimizer.minimize(tf.add_n([ce, ce]))", "optimizer.minimize(tf.cond(x > 0, lambda: ce, lambda: 0.0))"),
    *("tf.estimator.EstimatorSpec(mode, loss=ce)", "with tf.control_dependencies([x]):\n    fit(tf.identity(ce))"),
]
DIFFERENTIATED = [
    *("jax.grad(loss)(w)", "jax.jit(jax.value_and_grad(loss))(w)", "loss(w)\n    minimize(fun=loss, x0=w)"),
    *("loss(w)\n    go({'f': loss})", "jax.vmap(jax.grad(loss))(w)", "print(jax.jit(loss)(w))\n    fit(jax.jit(loss))"),
]


def severities(tmp_path: Path, program: str) -> list[str]:
    path = tmp_path / "program.py"
    path.write_text(program)
    analysis = analyse(str(path), Project())
    assert not analysis.notes
    return sorted({str(f.severity) for f in analysis.findings})


@pytest.mark.parametrize(
    "program",
    [*(TORCH.format(r) for r in READ), *(TENSORFLOW.format(f) for f in FETCHED), JAX.format("if loss(w) > 3: pass")],
)
def test_a_value_that_is_only_read_has_no_gradient_to_lose(tmp_path: Path, program: str) -> None:
    assert severities(tmp_path, program) == ["advice"]


@pytest.mark.parametrize(
    "program",
    [
        *(TORCH.format(f"print(ce)\n    {h}") for h in HANDED),
        *(TENSORFLOW.format(o) for o in OPTIMIZED),
        *map(JAX.format, DIFFERENTIATED),
    ],
)
def test_what_is_handed_on_may_be_differentiated_though_it_is_read_too(tmp_path: Path, program: str) -> None:
    assert severities(tmp_path, program) == ["warning"]


def test_nothing_is_said_of_a_guard_before_a_value_that_is_only_read(tmp_path: Path) -> None:
    assert severities(tmp_path, TORCH.format("print(ce)").replace("log(p)", "log(p + 1e-8)")) == []
    assert severities(tmp_path, TORCH.format("ce.backward()").replace("log(p)", "log(p + 1e-8)")) == ["warning"]


def test_what_a_function_returns_that_others_may_import_is_anybodys(tmp_path: Path) -> None:
    program = TORCH.format("return ce").replace("main(0, 1)", "print(main(0, 1).item())")
    assert severities(tmp_path, program) == ["warning"]


@pytest.mark.parametrize(("use", "severity"), [("", "advice"), ("self.optimizer.minimize(self.reward)", "warning")])
def test_an_attribute_that_is_only_fetched_is_only_read(tmp_path: Path, use: str, severity: str) -> None:
    program = f"""\
import tensorflow as tf
class Rewards:
    def __init__(self, x):
        self.reward = -tf.log(1 - tf.nn.sigmoid(tf.layers.dense(x, 1)))
    def get(self, session, feed):
        return session.run(self.reward, feed)
    def train(self):
        {use or "pass"}
"""
    assert severities(tmp_path, program) == [severity]


@pytest.mark.parametrize(
    ("reads", "severity"),
    [("pass", "advice"), ("return session.run(self.nll)", "advice"), ("keep(self.nll)", "warning")],
)
def test_what_a_class_leaves_that_trains_by_another_loss_is_only_read(
    tmp_path: Path, reads: str, severity: str
) -> None:
    program = f"""\
import tensorflow as tf
class Ranker:
    def __init__(self, x, y):
        z = tf.layers.dense(x, 4)
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=z)
        self.step = tf.train.AdamOptimizer().minimize(loss)
        self.nll = -tf.reduce_mean(tf.log(tf.gather(tf.nn.softmax(z), y, axis=1, batch_dims=1)))
    def rate(self, session):
        {reads}
"""
    assert severities(tmp_path, program) == [severity]
    assert severities(tmp_path, program.replace("self.step = ", "").replace("minimize(loss)", "go(loss)")) == (
        ["advice"] if "run" in reads else ["warning"]
    )


def test_an_attribute_that_its_file_only_fetches_is_read_in_programs_that_import_it_too(tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text("""\
import tensorflow as tf
class Net:
    def __init__(self, x):
        self.log_p = tf.log(tf.nn.softmax(tf.layers.dense(x, 4)))
    def ask(self, session):
        return session.run(self.log_p)
""")
    program = "import tensorflow as tf\nfrom nets import Net\nnet = Net(tf.placeholder(tf.float32, [None, 8]))\n"
    assert severities(tmp_path, program) == ["advice"]


STOPPED = """\
import torch
from torch import nn
net, other = nn.Linear(8, 4), nn.Linear(4, 4)
x, y = load()
with torch.no_grad():
    z = {z}
p = torch.softmax({scores}, 1)
loss = -torch.log({picked}).mean()
loss.backward()
"""


@pytest.mark.parametrize(
    ("z", "scores", "picked", "severity"),
    [
        ("net(x)", "z", "p", []),
        ("net(x)", "z / 2", "torch.cat([p[0, y], p[1, y]])", []),
        ("net(x)", "z", "p.gather(1, y)", []),
        ("net(x)", "z + net(x)", "p", ["warning"]),
        ("net(x)", "other(z)", "p", ["warning"]),
        ("net(x)", "z * x", "p", ["warning"]),
        ("x", "net(z)", "p", ["warning"]),
    ],
)
def test_no_gradient_goes_through_what_was_made_without_one(
    tmp_path: Path, z: str, scores: str, picked: str, severity: list[str]
) -> None:
    assert severities(tmp_path, STOPPED.format(z=z, scores=scores, picked=picked)) == severity


COMPARED = """\
import jax, jax.numpy as jnp
from absl.testing import absltest
def likelihood(z, y):
    return jnp.sum(jnp.log(jax.nn.softmax(z @ w)[jnp.arange(9), y]))
class LossTest(absltest.TestCase):
    def test_it(self):
        {}
"""


@pytest.mark.parametrize(
    ("line", "severity"),
    [
        ("self.assertEqual(likelihood(1, 2), 3)", "advice"),
        ("self.assertEqual(jax.grad(likelihood)(1, 2), 3)", "warning"),
        ("model.fit(likelihood)", "warning"),
    ],
)
def test_a_test_that_differentiates_nothing_compares_values(tmp_path: Path, line: str, severity: str) -> None:
    program = COMPARED.format(line)
    assert severities(tmp_path, program) == [severity]
    by_pytest = program.replace("absl.testing import absltest", "pytest import approx").replace("absltest.TestCase", "")
    assert severities(tmp_path, by_pytest.replace("LossTest", "TestLoss")) == [severity]
    alone = by_pytest.replace("from pytest import approx", "").replace("LossTest", "TestLoss")
    assert severities(tmp_path, alone) == ["warning"]  # a module of losses that tries them out
