"""Random TensorFlow 1 projects, through ``tensorflow.compat.v1``: head x loss x targets x readers x layout."""

from __future__ import annotations

import random
import re

from .projects import RATE, Parts, Project, laid_over_files, readers, script

_IMPORTS = "import numpy as np\nimport tensorflow.compat.v1 as tf\n\ntf.disable_v2_behavior()\n"
_DATA = """rows = np.random.RandomState(1).randn(6, 4)
y = np.array([0, 1, 2, 1, 0, 2])
void = np.array([0, 255, 2, 1, 255, 2])
hot = np.eye(3)[y]
soft = np.random.RandomState(2).dirichlet([1, 1, 1], 6)
empty = hot * np.array([1, 0, 1, 1, 0, 1])[:, None]
several = np.array([[1, 1, 0], [0, 1, 0], [1, 1, 1], [0, 0, 0], [0, 1, 1], [1, 0, 0]])
counts = several * 3 + hot
one = several[:, :1]
"""
_LAYER = """
def weights(name, shape):
    return tf.get_variable(name, shape, initializer=tf.constant_initializer(np.random.RandomState(5).randn(*shape)))


def scores(x):
    h = tf.tanh(tf.matmul(x, weights('w1', [4, 8])))
    return tf.matmul(h, weights('w2', [8, UNITS])) + weights('b', [UNITS])

"""
_PLACEHOLDERS = "x = tf.placeholder(tf.float32, [None, 4])\n"
_CLASS = """
class Net(object):
    def __init__(self, x):
        self.x = x
        self.logits = scores(x)
        self.p = {p}

    def predict(self, sess, rows):
        return sess.run(self.p, {{self.x: rows}})

"""
#: The head: what is defined besides the scores, what a program imports of it, how it is made, and the output.
_FORMS = (
    ("\ndef network(x):\n    return {of_scores}\n", "network", "p = network(x)\n", "p"),
    ("\ndef network(x):\n    z = scores(x)\n    p = {of_z}\n    return p\n", "network", "p = network(x)\n", "p"),
    ("\ndef network(x):\n    z = scores(x)\n    return z, {of_z}\n", "network", "z, p = network(x)\n", "p"),
    ("\ndef network(x, reuse=False):\n    with tf.variable_scope('net', reuse=tf.AUTO_REUSE):\n"
    "        return {of_scores}\n",
     "network", "p = network(x)\n", "p"),
    ("\ndef network(x, last={function}):\n    return last(scores(x))\n", "network", "p = network(x)\n", "p"),
    ("", "scores", "z = scores(x)\np = {of_z}\n", "p"),
    ("", "scores", "p = {of_scores}\n", "p"),
    ("", "scores", "p = {function}(scores(x), name='probability')\n", "p"),
    (_CLASS.replace("{p}", "{of_logits}"), "Net", "net = Net(x)\n", "net.p"),
    (_CLASS.replace("{p}", "{of_logits}"), "Net", "net = Net(x)\np = net.p\n", "p"),
)  # fmt: skip
Loss = tuple[str, str, str]
_INDEX: tuple[Loss, ...] = (
    ("tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=t, logits=p))",
     "tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=t, logits=z))", ""),
    ("-tf.reduce_mean(tf.reduce_sum(tf.one_hot(t, 3) * tf.log(p), 1))", "", ""),
    ("tf.reduce_mean(-tf.reduce_sum(tf.one_hot(t, 3) * tf.log(p + 1e-10), axis=[1]))", "", ""),
    ("-tf.reduce_mean(tf.log(tf.gather_nd(p, tf.stack([tf.range(6), t], 1))))", "", ""),
    ("-tf.reduce_mean(tf.log(tf.reduce_sum(p * tf.one_hot(t, 3), axis=1)))", "", ""),
    ("loss_of(p, t)", "", "\n\ndef loss_of(p, t):\n"
    "    return -tf.reduce_mean(tf.reduce_sum(tf.one_hot(t, 3) * tf.log(p), -1))\n"),
)  # fmt: skip
_DENSE: tuple[Loss, ...] = (
    ("tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits_v2(labels=t, logits=p))",
     "tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits_v2(labels=t, logits=z))", ""),
    ("tf.losses.softmax_cross_entropy(t, p)", "tf.losses.softmax_cross_entropy(t, z)", ""),
    ("-tf.reduce_sum(t * tf.log(p))", "", ""),
    ("tf.reduce_mean(-tf.reduce_sum(t * tf.log(p), reduction_indices=[1]))", "", ""),
    ("tf.reduce_mean(-tf.reduce_sum(t * tf.math.log(tf.clip_by_value(p, 1e-9, 1.0)), axis=1))", "", ""),
    ("-tf.reduce_mean(t * tf.log(p + 1e-9))", "", ""),
    ("tf.reduce_mean(tf.reduce_sum(-t * tf.log(p) * tf.constant([0.5, 1.0, 2.0]), 1))", "", ""),
    ("-tf.reduce_mean(tf.reduce_sum(t * tf.pow(1.0 - p, 2.0) * tf.log(p), 1))", "", ""),
    ("-tf.reduce_mean(tf.reduce_sum(t * tf.log(p), 1)) + 0.01 * tf.reduce_sum(p * tf.log(p))", "", ""),
    ("loss_of(t, p)", "", "\n\ndef loss_of(t, p):\n"
    "    return -tf.reduce_mean(tf.reduce_sum(t * tf.log(p + 1e-8), axis=-1))\n"),
    ("loss_of(t, p)", "", "\n\ndef loss_of(t, p):\n    p = tf.clip_by_value(p, 1e-8, 1 - 1e-8)\n"
    "    return -tf.reduce_sum(t * tf.log(p))\n"),
    ("loss_of(t, p)", "", "\n\ndef loss_of(t, p):\n    p /= tf.reduce_sum(p, axis=-1, keepdims=True)\n"
    "    return tf.reduce_mean(-tf.reduce_sum(t * tf.log(p), -1))\n"),
)  # fmt: skip
_BINARY: tuple[Loss, ...] = (
    ("tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=t, logits=p))",
     "tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=t, logits=z))", ""),
    ("-tf.reduce_mean(t * tf.log(p) + (1 - t) * tf.log(1 - p))", "", ""),
    ("-tf.reduce_mean(t * tf.log(p + 1e-9) + (1. - t) * tf.log(1. - p + 1e-9))", "", ""),
    ("-tf.reduce_sum(2.0 * t * tf.log(p) + (1 - t) * tf.log(1 - p), 1)[0]", "", ""),
    ("tf.losses.log_loss(t, p)", "", ""),
    ("-tf.reduce_mean(tf.log(tf.where(t > 0.5, p, 1 - p)))", "", ""),
    ("loss_of(t, p)", "", "\n\ndef loss_of(t, p):\n"
    "    return -tf.reduce_mean(t * tf.log(p) + (1 - t) * tf.log(1 - p))\n"),
    ("loss_of(t, p)", "", "\n\ndef loss_of(t, p):\n    p = tf.clip_by_value(p, 1e-7, 1 - 1e-7)\n"
    "    return -tf.reduce_mean(t * tf.log(p) + (1 - t) * tf.log(1 - p))\n"),
)  # fmt: skip
#: Readers in the graph, of ``{p}``, before it is run; and of what a run gives.
_TENSORS = readers(r"""
{p}
{p}
tf.argmax({p}, 1)
tf.reduce_max({p})
{p} > 0.9
tf.cast({p} > 0.5, tf.int32)
tf.round({p})
1 - {p}
tf.nn.top_k({p}, 1)[0]
tf.nn.softmax({p})
tf.identity({p}, name='output')
{p}[:, 0]
tf.log({p} + 1e-9)
tf.reduce_mean(tf.cast(tf.equal(tf.argmax({p}, 1), y), tf.float32))
{p} / tf.reduce_sum({p}, 1, keepdims=True)
tf.stack([{p}, {p}])
tf.where({p} > 0.3, {p}, tf.zeros_like({p}))
tf.square({p} - 0.5)
tf.map_fn(tf.reduce_max, {p})
tf.reduce_mean(tf.cast(tf.equal({p} >= 0.5, one > 0.5), tf.float32))
tf.concat([{p}, 1 - {p}], 1)
""")
_VALUES = readers(r"""
{v}
{v}
{v}.argmax(1)
{v}[0, 0] > 0.9
[v[0] for v in {v}]
[v.max() > 0.4 for v in {v}]
f'{{{v}[0, 0]:.4f}}'
np.save('p.npy', {v})
q = {v}\nq *= 2\nq
q = {v}\nq / q.sum()
dict(enumerate({v}.tolist()))
{v}.shape
np.round({v}, 3)
np.savetxt('p.txt', np.atleast_2d({v}), fmt='%.6f')
sum(v.max() for v in {v})
""")


def tf1_project(draw: random.Random) -> Project:
    """One TensorFlow 1 project."""
    units = draw.choice((0, 0, 0, 1, 3))
    function = draw.choice(("tf.sigmoid", "tf.nn.sigmoid")) if units else "tf.nn.softmax"
    classes = units or 3
    text, export, made, output = draw.choice(_FORMS)
    filled = {
        f"of_{z}": f"{function}({of})" for z, of in (("scores", "scores(x)"), ("z", "z"), ("logits", "self.logits"))
    }
    text, made = (t.format(function=function, **filled) if "{" in t else t for t in (text, made))
    layer = _LAYER.replace("UNITS", str(classes))
    target = draw.choice(
        ("several", "soft")
        if units == 3
        else ("one",)
        if units
        else ("y", "void", "hot", "soft", "empty", "several", "counts")
    )
    index = target in ("y", "void")
    loss, meant, helper = draw.choice(_INDEX if index else _BINARY if units else _DENSE)
    if target == "void" and ("gather" in loss or "sparse" in loss or "reduce_sum(p *" in loss):
        target = "y"
    train = _trained(draw, re.sub(r"\bp\b", output, loss), target, index, classes, shows=not meant)
    read, served = (
        _read(draw, output, most, fresh)
        for most, fresh in zip(draw.choice(((0, 0), (1, 1), (2, 0), (3, 2))), (False, True), strict=True)
    )
    kind = f"{export} {text[:20].strip()} {function} | {loss} | {target}"
    parts = Parts(
        kind,
        _IMPORTS,
        layer + text,
        (export,),
        _PLACEHOLDERS + made,
        _DATA,
        helper,
        ("loss_of",) if helper else (),
        train,
        read,
        served,
    )
    name, files, entries, checked = laid_over_files(parts, draw)
    right = None
    if meant:
        step = _trained(random.Random(0), meant, target, index, classes, shows=False)
        right = script(
            parts._replace(model=layer, made=_PLACEHOLDERS + "z = scores(x)\n", helpers="", train=step, readers=())
        )
    return Project("tf1", f"{name}: {kind}", files, entries, checked, not meant, True, right)


def _trained(draw: random.Random, loss: str, target: str, index: bool, classes: int, shows: bool) -> str:
    placeholder = "tf.placeholder(tf.int32, [None])" if index else f"tf.placeholder(tf.float32, [None, {classes}])"
    text = (
        f"t = {placeholder}\nloss = {loss}\ntrain_op = tf.train.GradientDescentOptimizer({RATE}).minimize(loss)\n"
        "sess = tf.Session()\nsess.run(tf.global_variables_initializer())\n"
    )
    if shows and draw.random() < 0.6:
        return text + f"_, value = sess.run([train_op, loss], {{x: rows, t: {target}}})\nprint(value)\n"
    return text + f"sess.run(train_op, feed_dict={{x: rows, t: {target}}})\n"


def _read(draw: random.Random, output: str, most: int, fresh: bool) -> tuple[str, ...]:
    """Readers, in a session of their own where the program may have none yet."""
    chosen = []
    for _ in range(draw.randint(0, most)):
        tensor = draw.choice(_TENSORS).format(p=output)
        shown = draw.choice(_VALUES) if tensor == output else "{v}"
        if fresh:
            before = "with tf.Session() as s:\n    s.run(tf.global_variables_initializer())\n"
            before += f"    got = s.run({tensor}, {{x: rows}})\n"
            chosen.append(before + shown.format(v="got"))
        elif draw.random() < 0.5:
            chosen.append(f"got = sess.run({tensor}, feed_dict={{x: rows}})\n" + shown.format(v="got"))
        else:
            chosen.append(shown.format(v=f"sess.run({tensor}, {{x: rows}})"))
    return tuple(chosen)
