"""TensorFlow's losses that take no logits, and those written by hand: what takes their place."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..workbench import fixed, repaired

HEAD = (
    "import tensorflow as tf\n\nx = tf.placeholder(tf.float32, [None, 8])\ny = tf.placeholder(tf.float32, [None, 3])\n"
    "z = tf.layers.dense(x, 3)\n"
)
#: the loss, and what takes its place
MENDED = {
    "p = tf.sigmoid(z)\nloss = tf.losses.log_loss(y, p)\nprint(p)\n": (
        "p = tf.sigmoid(z)\nloss = tf.losses.sigmoid_cross_entropy(y, z)\nprint(p)\n"
    ),
    "loss = tf.losses.log_loss(y, z)\n": "loss = tf.losses.sigmoid_cross_entropy(y, z)\n",
    "loss = tf.losses.log_loss(labels=y, predictions=z, weights=2.0, epsilon=1e-8)\n": (
        "loss = tf.losses.sigmoid_cross_entropy(multi_class_labels=y, logits=z, weights=2.0)\n"
    ),
    "loss = tf.compat.v1.losses.log_loss(y, z)\n": "loss = tf.compat.v1.losses.sigmoid_cross_entropy(y, z)\n",
    "loss = tf.reduce_mean(-tf.reduce_sum(y * tf.log(z), axis=1))\n": (
        "loss = tf.reduce_mean(-tf.reduce_sum(y * tf.nn.log_softmax(z), axis=1))\n"
    ),
    "loss = -tf.reduce_sum(tf.math.log(z) * y)\n": "loss = -tf.reduce_sum(tf.nn.log_softmax(z) * y)\n",
}


@pytest.mark.parametrize(("before", "after"), MENDED.items())
def test_what_takes_its_place(tmp_path: Path, before: str, after: str) -> None:
    assert fixed(tmp_path, HEAD + before) == HEAD + after


LEFT_ALONE = {
    "an epsilon by its place": "loss = tf.losses.log_loss(y, z, 1.0, 1e-8)\n",
    "whoever knows what": "loss = tf.losses.log_loss(y, z, **options)\n",
    "another's log_loss": "from sklearn.metrics import log_loss\n\nloss = log_loss(y, z)\n",
    "another base": "loss = -tf.reduce_sum(y * tf.experimental.numpy.log2(z))\n",
    "scores that are no logits": "loss = -tf.reduce_sum(y * tf.log(tf.nn.relu(z)))\n",
    "scores of the first axis": "loss = -tf.reduce_sum(y * tf.log(tf.transpose(z)), axis=0)\n",
    "a sum over the examples": "loss = -tf.reduce_sum(y * tf.log(z), axis=0)\n",
    "a sum over steps": "z3 = tf.layers.dense(tf.placeholder(tf.float32, [None, 7, 8]), 3)\n"
    "loss = -tf.reduce_mean(tf.reduce_sum(y3 * tf.log(z3), axis=1))\n",
    "a sum over what may be the examples": "z3 = tf.layers.dense(load(), 3)\n"
    "loss = -tf.reduce_mean(tf.reduce_sum(y3 * tf.log(z3), axis=0))\n",
    "one unit": "loss = -tf.reduce_sum(y * tf.log(tf.layers.dense(x, 1)))\n",
    "a scale that is learned": "loss = tf.reduce_mean(tf.log(z) + (y - x) ** 2 / z)\n",
}


@pytest.mark.parametrize("program", LEFT_ALONE.values(), ids=LEFT_ALONE)
def test_what_is_left_alone(tmp_path: Path, program: str) -> None:
    file = tmp_path / "program.py"
    file.write_text(HEAD + program)
    assert repaired(file, unsafe=True).changed == ()


#: how a guard is spelled, and what the loss becomes
GUARDS = ("K.epsilon(), 1 - K.epsilon()", "K.epsilon(), 1.0 - K.epsilon()", "tf.keras.backend.epsilon(), 1.0")


@pytest.mark.parametrize("guard", GUARDS)
def test_keras_own_epsilon_is_a_number(tmp_path: Path, guard: str) -> None:
    head = "import tensorflow as tf\nfrom tensorflow.keras import backend as K\n\n\ndef loss(y_true, y_pred):\n"
    clipped = f"    p = tf.nn.softmax(y_pred)\n    q = K.clip(p, {guard})\n"
    after = fixed(tmp_path, f"{head}{clipped}    return -K.mean(y_true * K.log(q)) + K.mean(p)\n")
    assert "-K.mean(y_true * tf.nn.log_softmax(y_pred)) + K.mean(p)" in after


#: a layer with its activation, and the layer that gives logits
LAYERS = {
    "tf.layers.dense(x, 3, activation=tf.nn.softmax)": "tf.layers.dense(x, 3)",
    "tf.layers.dense(x, 3, tf.nn.softmax, False)": "tf.layers.dense(x, 3, None, False)",
    "tf.contrib.layers.fully_connected(x, 3, activation_fn=tf.nn.softmax)": (
        "tf.contrib.layers.fully_connected(x, 3, activation_fn=None)"
    ),
    "tf.contrib.layers.fully_connected(x, 3, tf.nn.softmax, scope='p')": (
        "tf.contrib.layers.fully_connected(x, 3, None, scope='p')"
    ),
}


@pytest.mark.parametrize(("before", "after"), LAYERS.items())
def test_a_layer_that_has_an_activation_of_its_own_is_told_none(tmp_path: Path, before: str, after: str) -> None:
    loss = "loss = tf.nn.softmax_cross_entropy_with_logits(labels=y, logits=out)\n"
    assert fixed(tmp_path, f"{HEAD}out = {before}\n{loss}") == f"{HEAD}out = {after}\n{loss}"
