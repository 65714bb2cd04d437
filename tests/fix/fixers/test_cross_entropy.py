"""Whole cross-entropies: the fused call where it is certain to be the same, log_softmax elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..workbench import fixed, repaired

HEAD = (
    "import tensorflow as tf\n{}\nx = tf.placeholder(tf.float32, [None, 784])\n"
    "y = tf.placeholder(tf.float32, [None, 10])\n"
)
DATA = (
    "from tensorflow.examples.tutorials.mnist import input_data\n\n"
    "mnist = input_data.read_data_sets('data', one_hot=True)"
)
NET = "W = tf.Variable(tf.zeros([784, 10]))\nlogits = tf.matmul(x, W)\np = tf.nn.softmax(logits)\n"
TRAIN = (
    "train = tf.train.GradientDescentOptimizer(0.1).minimize(loss)\nsess = tf.Session()\n"
    "batch = mnist.train.next_batch(50)\nsess.run([train, loss], feed_dict={x: batch[0], y: batch[1]})\n"
)
CALL = "tf.nn.softmax_cross_entropy_with_logits(labels=y, logits=logits)"
LOG = "tf.nn.log_softmax(logits)"


def program(loss: str, train: str = TRAIN, head: str = HEAD.format(DATA)) -> str:
    return f"{head}{NET}loss = {loss}\n{train}"


#: a formula -> what it becomes
FORMULAS = {
    "-tf.reduce_sum(y * tf.log(p))": f"tf.reduce_sum({CALL})",
    "-tf.reduce_sum(y * tf.log(tf.clip_by_value(p, 1e-10, 1.0)))": f"tf.reduce_sum({CALL})",
    "-tf.reduce_sum(tf.log(p + 1e-8) * y, 1)": CALL,
    "-tf.reduce_sum(tf.multiply(y, tf.log(p)), axis=-1)": CALL,
    "tf.reduce_mean(-tf.reduce_sum(y * tf.log(p), reduction_indices=[1]))": f"tf.reduce_mean({CALL})",
    "-tf.reduce_mean(tf.reduce_sum(y * tf.log(p), 1))": f"tf.reduce_mean({CALL})",
    "tf.reduce_mean(tf.reduce_sum(-y * tf.log(p), axis=[1]))": f"tf.reduce_mean({CALL})",
    "tf.reduce_sum(y * -tf.log(p), axis=1)": CALL,
    "2 * -tf.reduce_sum(y * tf.log(p), axis=1)": f"2 * {CALL}",
}
#: what isn't one, though its log becomes log_softmax
OTHERS = {
    "a mean over the classes, too": "-tf.reduce_mean(y * tf.log(p))",
    "a sum over the examples": "-tf.reduce_sum(y * tf.log(p), axis=0)",
    "no minus sign": "tf.reduce_sum(y * tf.log(p), axis=1)",
    "two minus signs": "-tf.reduce_sum(-y * tf.log(p), axis=1)",
    "weighed": "-tf.reduce_sum(2.0 * y * tf.log(p), axis=1)",
    "an axis that stays": "-tf.reduce_sum(y * tf.log(p), axis=1, keep_dims=True)",
    "targets that nothing feeds": "-tf.reduce_sum(x * tf.log(p), axis=1)",
}


@pytest.mark.parametrize(("before", "after"), FORMULAS.items())
def test_a_cross_entropy_is_fused(tmp_path: Path, before: str, after: str) -> None:
    assert fixed(tmp_path, program(before)) == program(after)
    (tmp_path / "after.py").write_text(program(after))
    assert repaired(tmp_path / "after.py").remaining == ()


@pytest.mark.parametrize("formula", OTHERS.values(), ids=OTHERS)
def test_what_is_no_cross_entropy_gets_log_softmax(tmp_path: Path, formula: str) -> None:
    assert fixed(tmp_path, program(formula)) == program(formula.replace("tf.log(p)", LOG))


#: what feeds the targets -> whether each certainly sums to one
FEEDS = {
    "xs, ys = mnist.train.next_batch(50)\nsess.run(loss, {x: xs, y: ys})\n": True,
    "sess.run(loss, feed_dict={x: mnist.test.images, y: mnist.test.labels[:50]})\n": True,
    "feed = {x: 0, y: mnist.test.labels}\nsess.run(loss, feed_dict=feed)\n": True,
    "labels = keras.utils.to_categorical(data.labels)\nsess.run(loss, {x: 0, y: labels[0:9]})\n": True,
    "def rows(labels):\n    return labels\n\nsess.run(loss, {x: 0, y: keras.utils.to_categorical(rows(0))})\n": True,
    "def rows(labels):\n    return keras.utils.to_categorical(labels)\n\nsess.run(loss, {x: 0, y: rows(0)})\n": True,
    # what a function is called says nothing of what it makes
    "def one_hot(labels):\n    return 0.9 * labels\n\nsess.run(loss, {x: 0, y: one_hot(data[1])})\n": False,
    "sess.run(loss, {x: 0, y: helpers.dense_to_one_hot(data[1], 10)})\n": False,
    "def cast(labels):\n    return labels * 2\n\nsess.run(loss, {x: 0, y: cast(mnist.test.labels)})\n": False,
    "sess.run(loss, {x: 0, y: np.array(keras.utils.to_categorical(0, 10)).astype('f')})\n": True,
    "sess.run(loss, {x: 0, y: tf.one_hot(labels, 10)})\n": False,
    "": False,
    "sess.run(loss, {x: 0, y: data.labels})\n": False,
    "sess.run(loss, {x: 0, y: mnist.test.labels})\nsess.run(loss, {x: 0, y: data[1]})\n": False,
    "ys = mnist.test.labels\nys = ys * 2\nsess.run(loss, {x: 0, y: ys})\n": False,
    "ys = mnist.test.labels\nys[0] = 0.5\nsess.run(loss, {x: 0, y: ys})\n": False,
    "def step(ys):\n    sess.run(loss, {x: 0, y: ys})\n\nstep(mnist.test.labels)\n": False,
    "sess.run(loss, {x: 0, y: mnist.test.labels})\nsess.run(loss, feed_dict=others())\n": False,
    "sess.run(loss, {x: 0, y: mnist.test.labels})\nsess.run(loss, others)\n": False,
    "xs, ys = mnist.train.next_batch(50)\nsess.run(loss, {x: xs, y: xs})\n": False,
}


@pytest.mark.parametrize(("train", "certain"), FEEDS.items())
def test_tensorflow_is_told_distributions_only(tmp_path: Path, train: str, certain: bool) -> None:
    before = program("-tf.reduce_sum(y * tf.log(p))", train)
    after = f"tf.reduce_sum({CALL})" if certain else f"-tf.reduce_sum(y * {LOG})"
    assert fixed(tmp_path, before) == program(after, train)


def test_labels_that_were_not_read_one_hot_are_no_distributions(tmp_path: Path) -> None:
    head = HEAD.format(DATA.replace(", one_hot=True", ""))
    before = program("-tf.reduce_sum(y * tf.log(p))", head=head)
    assert fixed(tmp_path, before) == program(f"-tf.reduce_sum(y * {LOG})", head=head)


def test_a_label_that_no_class_has_is_a_row_of_zeros_in_the_graph(tmp_path: Path) -> None:
    text = "import tensorflow as tf\n\n\ndef loss(h, labels):\n    logits = tf.keras.layers.Dense(5)(h)\n"
    text += "    y = tf.one_hot(labels, 5)\n    return -tf.reduce_sum(y * {}, axis=-1)\n"
    before = text.format("tf.math.log(tf.nn.softmax(logits))")
    assert fixed(tmp_path, before) == text.format("tf.nn.log_softmax(logits)")


JAX = "import jax\nimport jax.numpy as jnp\n{}\n\ndef loss(w, x, y):\n    return {}\n\n\ng = jax.grad(loss)\n"


def test_optax_takes_any_targets(tmp_path: Path) -> None:
    before = JAX.format("import optax\n", "-jnp.mean(jnp.sum(y * jnp.log(jax.nn.softmax(x @ w)), axis=-1))")
    after = JAX.format("import optax\n", "jnp.mean(optax.softmax_cross_entropy(x @ w, y))")
    assert fixed(tmp_path, before) == after


def test_classes_that_a_softmax_leaves_out_stay_out(tmp_path: Path) -> None:
    imported, formula = "import optax", "-jnp.sum(y * {}(w @ x, where=x > 0))"
    before = JAX.format(imported, formula.format("jnp.log(jax.nn.softmax") + ")")
    assert fixed(tmp_path, before) == JAX.format(imported, formula.format("jax.nn.log_softmax"))


def test_optax_is_not_brought_in(tmp_path: Path) -> None:
    before = JAX.format("", "-jnp.mean(jnp.sum(y * jnp.log(jax.nn.softmax(x @ w)), axis=-1))")
    after = JAX.format("", "-jnp.mean(jnp.sum(y * jax.nn.log_softmax(x @ w), axis=-1))")
    assert fixed(tmp_path, before) == after


def test_the_sum_must_be_over_the_softmax_axis(tmp_path: Path) -> None:
    before = JAX.format("import optax\n", "-jnp.mean(jnp.sum(y * jnp.log(jax.nn.softmax(x @ w)), axis=0))")
    after = JAX.format("import optax\n", "-jnp.mean(jnp.sum(y * jax.nn.log_softmax(x @ w), axis=0))")
    assert fixed(tmp_path, before) == after
