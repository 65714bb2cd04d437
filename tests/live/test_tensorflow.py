"""TensorFlow losses: what is reported, at which line, of which expression; and nothing of a loss that is right."""

from __future__ import annotations

import importlib.util
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import finallayer
from finallayer.findings import Severity

HEAD = """\
import tensorflow as tf
from tensorflow import nn

y = tf.range(8) % 5
onehot = tf.one_hot(y, 5)
W, b = tf.Variable(tf.random.normal((4, 5))), tf.Variable(tf.zeros(5))
frozen = tf.Variable(tf.ones((4, 5)), trainable=False)
x = tf.random.normal((8, 4))

def net(x):
    return x @ W + b

"""

#: name -> (the body of the loss; what is reported: rule, and the text that it stands at)
BAD: dict[str, tuple[str, set[tuple[str, str]]]] = {
    "softmax + cross entropy": (
        "return tf.reduce_mean(nn.softmax_cross_entropy_with_logits(onehot, nn.softmax(net(x))))",
        {("FL101", "nn.softmax_cross_entropy_with_logits(onehot, nn.softmax(net(x)))")},
    ),
    "the same with integer labels": (
        "return tf.reduce_mean(nn.sparse_softmax_cross_entropy_with_logits(y, nn.softmax(net(x))))",
        {("FL101", "nn.sparse_softmax_cross_entropy_with_logits(y, nn.softmax(net(x)))")},
    ),
    "log(softmax + eps)": (
        "return -tf.reduce_mean(tf.reduce_sum(onehot * tf.math.log(nn.softmax(net(x)) + 1e-8), 1))",
        {("FL203", "tf.math.log(nn.softmax(net(x)) + 1e-8)")},
    ),
    "clip": (
        "return -tf.reduce_sum(tf.math.log(tf.clip_by_value(nn.softmax(net(x)), 1e-7, 1.0)) * onehot)",
        {("FL202", "tf.math.log(tf.clip_by_value(nn.softmax(net(x)), 1e-7, 1.0))")},
    ),
    "picked": (
        "return -tf.reduce_mean(tf.math.log(tf.gather(nn.softmax(net(x)), y, axis=1, batch_dims=1)))",
        {("FL201", "tf.math.log(tf.gather(nn.softmax(net(x)), y, axis=1, batch_dims=1))")},
    ),
    "picked by rows and columns": (
        "p = tf.gather_nd(nn.softmax(net(x)), tf.stack([tf.range(8), y], 1))\n"
        "    return -tf.reduce_mean(tf.math.log(p))",
        {("FL201", "tf.math.log(p)")},
    ),
    "by hand": (
        "e = tf.exp(net(x))\n"
        "    return -tf.reduce_mean(tf.reduce_sum(onehot * tf.math.log(e / tf.reduce_sum(e, 1, keepdims=True)), 1))",
        {
            ("FL204", "e / tf.reduce_sum(e, 1, keepdims=True)"),
            ("FL201", "tf.math.log(e / tf.reduce_sum(e, 1, keepdims=True))"),
        },
    ),
    "log(sigmoid)": (
        "return -tf.reduce_mean(tf.math.log(nn.sigmoid(net(x))))",
        {("FL205", "tf.math.log(nn.sigmoid(net(x)))")},
    ),
    "double sigmoid": (
        "return tf.reduce_mean(nn.sigmoid_cross_entropy_with_logits(onehot, nn.sigmoid(net(x))))",
        {("FL104", "nn.sigmoid_cross_entropy_with_logits(onehot, nn.sigmoid(net(x)))")},
    ),
    "softplus by hand": (
        "return tf.reduce_mean(tf.math.log(1 + tf.exp(net(x))))",
        {("FL206", "tf.math.log(1 + tf.exp(net(x)))")},
    ),
    "logsumexp by hand": (
        "z = net(x)\n"
        "    return tf.reduce_mean(tf.math.log(tf.reduce_sum(tf.exp(z), 1)) - tf.reduce_sum(z * onehot, 1))",
        {("FL207", "tf.math.log(tf.reduce_sum(tf.exp(z), 1))")},
    ),
    "one bad loss of a sum": (
        "z = net(x)\n    bad = tf.math.log(nn.softmax(2 * z))\n"
        "    return tf.reduce_mean(nn.softmax_cross_entropy_with_logits(onehot, z)) - tf.reduce_mean(bad)",
        {("FL201", "tf.math.log(nn.softmax(2 * z))")},
    ),
    "a training step": (
        "with tf.GradientTape() as tape:\n"
        "        loss = -tf.reduce_mean(tf.math.log(nn.softmax(net(x))))\n"
        "    W.assign_sub(tape.gradient(loss, W))\n    b.assign_add(b + 1)\n    return loss",
        {("FL201", "tf.math.log(nn.softmax(net(x)))")},
    ),
    "another axis": (
        "return -tf.reduce_mean(tf.math.log(nn.softmax(tf.transpose(net(x)), axis=0)))",
        {("FL201", "tf.math.log(nn.softmax(tf.transpose(net(x)), axis=0))")},
    ),
    "a gradient written beside it": (
        "@tf.custom_gradient\n"
        "    def cross(z):\n"
        "        p = nn.softmax(z)\n"
        "        return tf.reduce_mean(tf.math.log(p)), lambda g: g * p\n"
        "    return cross(net(x))",
        {("FL201", "tf.math.log(p)")},
    ),
    "a function that is traced": (
        "@tf.function(autograph=False)\n"
        "    def cross(p):\n        return -tf.reduce_mean(tf.math.log(p))\n"
        "    return cross(nn.softmax(net(x)))",
        {("FL201", "tf.math.log(p)")},
    ),
    "a function that AutoGraph converts": (
        "@tf.function\n"
        "    def cross(z):\n"
        "        if tf.size(z) > 3:\n            z = z + 1.0\n"
        "        return -tf.reduce_mean(tf.math.log(nn.softmax(z)))\n"
        "    return cross(net(x))",
        {("FL201", "return -tf.reduce_mean(tf.math.log(nn.softmax(z)))")},  # a line is all that AutoGraph keeps
    ),
}
GOOD: dict[str, str] = {
    "cross entropy": "return tf.reduce_mean(nn.softmax_cross_entropy_with_logits(onehot, net(x)))",
    "integer labels": "return tf.reduce_mean(nn.sparse_softmax_cross_entropy_with_logits(y, net(x)))",
    "log-softmax": "return -tf.reduce_mean(tf.reduce_sum(nn.log_softmax(net(x)) * onehot, 1))",
    "logsumexp": "return tf.reduce_mean(tf.reduce_logsumexp(net(x), 1) - tf.reduce_sum(net(x) * onehot, 1))",
    "binary": "return tf.reduce_mean(nn.sigmoid_cross_entropy_with_logits(onehot, net(x)))",
    "weighted": "return tf.reduce_mean(nn.weighted_cross_entropy_with_logits(onehot, net(x), 2.0))",
    "log-sigmoid": "return -tf.reduce_mean(tf.math.log_sigmoid(net(x)))",
    "a regression": "return tf.reduce_mean((net(x) - 1) ** 2)",
    "a teacher": """t = tf.stop_gradient(nn.softmax(net(x) / 2))
    entropy = tf.stop_gradient(-tf.reduce_sum(t * tf.math.log(t + 1e-8)))
    return tf.reduce_mean(nn.softmax_cross_entropy_with_logits(t, net(x) / 2)) + 0 * entropy""",
    "the softmax of a teacher that isn't trained": """t = nn.softmax(x @ frozen)
    return tf.reduce_mean(tf.reduce_sum(t * (tf.math.log(t) - nn.log_softmax(net(x))), 1))""",
    "accuracy beside the loss": """z = net(x)
    correct = tf.reduce_mean(tf.cast(tf.equal(tf.argmax(z, 1, tf.int32), y), tf.float32))
    return tf.reduce_mean(nn.softmax_cross_entropy_with_logits(onehot, z)) + 0 * correct""",
    "attention": """h = net(x)
    h = nn.softmax(h @ tf.transpose(h) / 2.0) @ h
    return tf.reduce_mean(nn.softmax_cross_entropy_with_logits(onehot, h @ tf.ones((5, 5))))""",
    "a mean by its size": """losses = nn.softmax_cross_entropy_with_logits(onehot, net(x))
    return tf.reduce_sum(losses) / tf.cast(tf.shape(losses)[0], tf.float32)""",
    "the norm of a gradient": """with tf.GradientTape() as tape:
        loss = tf.reduce_mean(nn.softmax_cross_entropy_with_logits(onehot, net(x)))
    return loss + tf.norm(tape.gradient(loss, W))""",
}


@pytest.fixture(scope="module")
def tensorflow() -> Any:
    return pytest.importorskip("tensorflow")


def loss_of(folder: Path, body: str) -> Any:
    file = folder / "program.py"
    file.write_text(f"{HEAD}def loss():\n    {body}\n")
    spec = importlib.util.spec_from_file_location("program", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.loss


@pytest.mark.parametrize("name", BAD)
def test_a_bad_loss_is_reported_at_its_place_and_leaves_no_trace(name: str, tmp_path: Path, tensorflow: Any) -> None:
    body, expected = BAD[name]
    loss = loss_of(tmp_path, body)
    variables = [loss.__globals__[v] for v in ("W", "b")]
    before = [v.numpy().tolist() for v in variables]
    audited = finallayer.audit(loss)
    lines = (tmp_path / "program.py").read_text().splitlines()
    found = {(f.rule.code, lines[f.origin.line - 1][f.origin.column : f.origin.end_column]) for f in audited.findings}
    assert found == expected
    assert audited.blind == ()
    assert [v.numpy().tolist() for v in variables] == before


def test_of_a_gradient_that_is_written_beside_it_nothing_is_claimed(tmp_path: Path, tensorflow: Any) -> None:
    (finding,) = finallayer.audit(loss_of(tmp_path, BAD["a gradient written beside it"][0])).findings
    assert finding.severity is Severity.ADVICE and "written by hand" in finding.message


@pytest.mark.parametrize("name", GOOD)
def test_nothing_is_reported_of_a_loss_that_is_right(name: str, tmp_path: Path, tensorflow: Any) -> None:
    assert finallayer.audit(loss_of(tmp_path, GOOD[name])).findings == ()


def test_the_batchs_margins_and_the_safe_margin_are_told(tensorflow: Any) -> None:
    tf = tensorflow
    z, y = np.zeros((4, 4), "f4"), np.arange(4)
    z[y, y] = [3.0, -1.0, -14.0, -40.0]

    def with_epsilon(z: Any, y: Any) -> Any:
        return -tf.reduce_mean(tf.math.log(tf.gather(tf.nn.softmax(z), y, axis=1, batch_dims=1) + 1e-8))

    def fused(z: Any, y: Any) -> Any:
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, z))

    losses = [(with_epsilon, 13.8, 2 / 4), (fused, np.inf, 0.0)]
    for loss, margin, silenced in losses:
        audited = finallayer.audit(loss, tf.constant(z), tf.constant(y))
        assert audited.margins == pytest.approx([-3.0, 1.0, 14.0, 40.0])
        assert audited.safe_margin is not None
        assert audited.safe_margin["float32"] == pytest.approx(margin, abs=0.1)
        assert audited.silenced == pytest.approx(silenced)


def test_what_is_not_understood_is_named(tmp_path: Path, tensorflow: Any) -> None:
    body = "return tf.reduce_sum(tf.linalg.svd(nn.softmax(net(x)), compute_uv=False))"
    audited = finallayer.audit(loss_of(tmp_path, body))
    assert audited.findings == () and [b.name for b in audited.blind] == ["Svd"]
    assert str(tmp_path) not in "".join(audited.expressions)


def test_branches_and_loops_of_a_graph_are_not_followed_and_are_named(tmp_path: Path, tensorflow: Any) -> None:
    body = """@tf.function
    def cross(p):
        if tf.reduce_sum(p) > 0:
            p = p + 1.0
        while tf.reduce_sum(p) > 100:
            p = p / 2
        return -tf.reduce_mean(tf.math.log(p))
    return cross(nn.softmax(net(x)))"""
    audited = finallayer.audit(loss_of(tmp_path, body))
    assert audited.findings == ()
    assert {b.name for b in audited.blind} == {"StatelessIf", "StatelessWhile"}


def test_random_numbers_go_on_where_they_were(tensorflow: Any) -> None:
    tf = tensorflow
    generator = tf.random.Generator.from_seed(3)

    def draw() -> list[float]:
        return [random.random(), float(np.random.rand()), float(tf.random.normal(())), float(generator.normal(()))]

    def loss() -> Any:
        draw()
        return tf.reduce_mean(tf.random.normal((3,)))

    def seeded() -> None:
        random.seed(0), np.random.seed(0), tf.random.set_seed(0), generator.reset_from_seed(3)

    seeded()
    wanted = draw()
    seeded()
    finallayer.audit(loss)
    assert draw() == wanted


SCRIPT = """\
import tensorflow as tf

x, y, W = tf.ones((8, 4)), tf.range(8) % 5, tf.Variable(tf.ones((4, 5)))

def loss(x, y):
    p = tf.nn.softmax(x @ W)
    return -tf.reduce_mean(tf.math.log(tf.gather(p, y, axis=1, batch_dims=1) + 1e-8))

@tf.function
def step(x, y):
    with tf.GradientTape() as tape:
        value = loss(x, y)
    W.assign_sub(tape.gradient(value, W))

for _ in range(3):
    step(x, y)
    with tf.GradientTape() as tape:
        value = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, tf.nn.softmax(x @ W)))
    unused = tf.math.log(tf.nn.softmax(x @ W))  # no gradient is asked of it
    tape.gradient(value, W)
raise SystemExit(3)
"""


def test_a_script_is_told_of_where_its_tapes_are_asked_for_a_gradient(tmp_path: Path, tensorflow: Any) -> None:
    from finallayer.auditing.script import run

    file = tmp_path / "train.py"
    file.write_text(SCRIPT)
    done = run(file, [], True, lambda audit: None)
    assert done.failed
    assert [[(f.origin.line, f.rule.code) for f in a.findings] for a in done.audits] == [
        [(7, "FL203")],
        [(18, "FL101")],
    ]
    done = run(file, [], False, lambda audit: None)
    assert len(done.audits) == 1 and not done.failed
