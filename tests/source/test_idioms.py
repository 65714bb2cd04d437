"""What the source front end understands: for each idiom, the kind of what the loss (or log) is handed in the end."""

from __future__ import annotations

from pathlib import Path

import pytest

from finallayer.kinds import Kind
from finallayer.source import Project, sightings
from finallayer.source.files import SourceFile

TORCH = "import torch\nfrom torch import nn\nimport torch.nn.functional as F\n"
KERAS = "import keras\nfrom keras import layers\n"
JAX = "import jax\nimport jax.numpy as jnp\nimport optax\nfrom flax import linen as lin\n"

#: name -> (program, operation that reads, kind of what it reads)
IDIOMS: dict[str, tuple[str, str, Kind]] = {
    "methods that only move a tensor's numbers": (
        TORCH
        + "p = nn.Linear(3, 3)(x).softmax(1).resize(2, 3).tile(2, 1).flip(0).roll(1)\n"
        + "q = p.broadcast_to(4, 3).T.transpose_(0, 1)\n"
        + "F.cross_entropy(q.repeat_interleave(2, 0).nan_to_num().mT.H.moveaxis(0, 1), y)\n",
        "xent_logits",
        Kind.PROBS,
    ),
    "functions that only move a tensor's numbers": (
        TORCH
        + "p = torch.moveaxis(torch.unflatten(nn.Linear(3, 3)(x).softmax(1), 0, (2, -1)), 0, 1)\n"
        + "q = torch.row_stack([torch.fliplr(torch.repeat_interleave(torch.rot90(p), 2, 0))])\n"
        + "q = nn.utils.rnn.pad_sequence(torch.tensor_split(q, 2))\n"
        + "F.cross_entropy(torch.diagonal(q), y)\n",
        "xent_logits",
        Kind.PROBS,
    ),
    "TensorFlow's functions that only move a tensor's numbers": (
        "import tensorflow as tf\n"
        "p = tf.reverse_sequence(tf.roll(tf.repeat(tf.nn.softmax(tf.layers.dense(x, 3)), 2, 0), 1, 0), n)\n"
        "p, q = tf.dynamic_partition(tf.Print(p, [p]), i, 2)\n"
        "tf.nn.softmax_cross_entropy_with_logits(labels=y, logits=p)\n",
        "xent_logits",
        Kind.PROBS,
    ),
    "a picture of probabilities that is made larger": (
        TORCH + "up = nn.Upsample(scale_factor=2)\np = nn.Conv2d(3, 4, 1)(x).softmax(1)\n"
        "F.cross_entropy(up(F.avg_pool2d(F.interpolate(p, size=8), 2)), y)\n",
        "xent_logits",
        Kind.PROBS,
    ),
    "the largest probabilities of some places": (
        TORCH + "F.cross_entropy(F.max_pool2d(nn.Conv2d(3, 4, 1)(x).softmax(1), 2), y)\n",
        "xent_logits",
        Kind.UNKNOWN,
    ),
    "entries that JAX sets": (
        JAX + "def loss(w, x, y):\n    z = x @ w\n    z = z.at[:, 4:].set(jax.nn.softmax(z[:, 4:]))\n"
        "    return optax.softmax_cross_entropy(z[:, 4:], y).mean()\n",
        "xent_logits",
        Kind.PROBS,
    ),
    "other entries than those that JAX sets": (
        JAX + "def loss(w, x, y):\n    z = x @ w\n    z = z.at[:, 4:].set(jax.nn.softmax(z[:, 4:]))\n"
        "    return optax.softmax_cross_entropy(z[:, :4], y).mean()\n",
        "xent_logits",
        Kind.UNKNOWN,
    ),
    "a function that is mapped over rows": (
        "import tensorflow as tf\np = tf.nn.softmax(tf.layers.dense(x, 3))\n"
        "tf.log(tf.map_fn(lambda row: tf.gather_nd(row[1], row[0]), (i, p)))\n",
        "log",
        Kind.PROBS,
    ),
    "an activation that a scope gives": (
        "import tensorflow as tf\nimport tensorflow.contrib.slim as slim\n"
        "with slim.arg_scope([slim.conv2d], padding='SAME'):\n"
        "    with slim.arg_scope([slim.fully_connected], activation_fn=tf.nn.softmax):\n"
        "        p = slim.fully_connected(x, 10)\n"
        "    slim.fully_connected(x, 10)\n"
        "tf.nn.softmax_cross_entropy_with_logits(labels=y, logits=p)\n",
        "xent_logits",
        Kind.PROBS,
    ),
    "a scope that is over": (
        "import tensorflow as tf\nimport tensorflow.contrib.slim as slim\n"
        "with slim.arg_scope([slim.fully_connected], activation_fn=tf.nn.softmax) as scope:\n    pass\n"
        "z = slim.fully_connected(x, 10)\n"
        "tf.nn.softmax_cross_entropy_with_logits(labels=y, logits=z)\n",
        "xent_logits",
        Kind.LOGITS,
    ),
    "what a scope hands a function to change": (
        "import tensorflow as tf\nfrom tensorflow.contrib.framework import add_arg_scope, arg_scope\n"
        "@add_arg_scope\ndef dense(out, state=None):\n"
        "    state['last'] = tf.matmul(state['last'], tf.get_variable('w', [3, out]))\n"
        "state = {'last': tf.nn.softmax(x)}\n"
        "with arg_scope([dense], state=state):\n    dense(1)\n"
        "tf.nn.sigmoid_cross_entropy_with_logits(labels=y, logits=state['last'])\n",
        "bce_logits",
        Kind.LOGITS,
    ),
    "a number that an object counts on": (
        TORCH + "net = nn.Sequential(nn.Linear(3, 3), nn.Softmax(dim=1))\nclass Steps:\n"
        "    def __init__(self):\n        self.done = 0\n"
        "    def step(self, x, y):\n        self.done += 1\n        if self.done < 100:\n            return 0\n"
        "        return F.cross_entropy(net(x), y)\n",
        "xent_logits",
        Kind.PROBS,
    ),
    "the output of a Keras model": (
        KERAS
        + "from keras import backend as K\nx = keras.Input((8,))\n"
        + "net = keras.Model(x, layers.Dense(3, activation='softmax')(x))\n"
        + "K.log(K.sum(K.placeholder((None, 3)) * net.output, axis=1))\n",
        "log",
        Kind.PROBS,
    ),
    "the only output of a Sequential": (
        KERAS
        + "net = keras.Sequential([layers.Dense(3)])\nnet.add(layers.Activation('softmax'))\n"
        + "keras.ops.log(net.outputs[0])\n",
        "log",
        Kind.PROBS,
    ),
    "an output that was set": (
        KERAS + "net = keras.Sequential([layers.Dense(3)])\nnet.output = y\nkeras.ops.log(net.output)\n",
        "log",
        Kind.UNKNOWN,
    ),
    "an array of tensors that a loop fills": (
        "import tensorflow as tf\n"
        "def step(i, ps):\n    return i + 1, ps.write(i, tf.nn.softmax(net(i)))\n"
        "_, ps = tf.while_loop(lambda i, _: i < 8, step, (0, tf.TensorArray(tf.float32, 8)))\n"
        "tf.math.log(tf.reshape(tf.transpose(ps.stack(), [1, 0, 2]), [-1, 3]))\n",
        "log",
        Kind.PROBS,
    ),
    "a list of tensors that a framework stacks": (
        "import tensorflow as tf\nps = []\n"
        "for i in range(30):\n    ps.append(tf.nn.softmax(tf.layers.dense(x[i], 3)))\n"
        "tf.math.log(tf.transpose(ps, [1, 0, 2]))\n",
        "log",
        Kind.PROBS,
    ),
    "an item of one of two lists of the same": (
        "import tensorflow as tf\nps = [tf.nn.softmax(z) for z in layers(x)]\n"
        "ps = ps if wide else [tf.reshape(p, [-1, 3]) for p in ps]\n"
        "for i, p in enumerate(ps):\n    tf.math.log(tf.gather_nd(p, y))\n",
        "log",
        Kind.PROBS,
    ),
    "a list of several kinds of tensors": (
        "import tensorflow as tf\nz = tf.layers.dense(x, 3)\ntf.math.log(tf.transpose([tf.nn.softmax(z), z]))\n",
        "log",
        Kind.UNKNOWN,
    ),
    "the diagonal of a batch's scores": (
        "import tensorflow as tf\np = tf.nn.softmax(tf.layers.dense(x, 3))\n"
        "tf.math.log(tf.scatter_nd(i, tf.linalg.diag_part(p), [3]))\n",
        "log",
        Kind.PROBS,
    ),
    "an array that nothing is written to": (
        "import tensorflow as tf\nps = tf.TensorArray(tf.float32, 8)\nps.write(0, tf.nn.softmax(z))\n"
        "tf.math.log(ps.stack())\n",
        "log",
        Kind.UNKNOWN,
    ),
    "expit of a module that isn't at hand": (
        JAX + "from trax import fastmath\njnp.log(fastmath.expit(z))\n",
        "log",
        Kind.SIGMOID_PROBS,
    ),
    "a sigmoid by tanh": (
        JAX + "p = 0.5 * (jnp.tanh(jnp.dot(x, w) / 2) + 1)\njnp.log(p)\n",
        "log",
        Kind.SIGMOID_PROBS,
    ),
    "the probability of what happened": (
        TORCH + "p = torch.sigmoid(nn.Linear(3, 1)(x))\ntorch.log((1 - y) * (1 - p) + p * y)\n",
        "log",
        Kind.SIGMOID_PROBS,
    ),
    "names that stand for a stax layer": (
        JAX
        + "from jax.example_libraries import stax\n"
        + "init, net = stax.serial(stax.Dense(8), stax.Relu, stax.Dense(3), stax.Softmax)\njnp.log(net(params, x))\n",
        "log",
        Kind.PROBS,
    ),
    "a foreign to_device gives back the model alone": (
        TORCH
        + "from skorch.utils import to_device\nnet = to_device(nn.Sequential(nn.Linear(3, 3), nn.Softmax(1)), 'cpu')\n"
        + "F.nll_loss(net(x), y)\n",
        "nll",
        Kind.PROBS,
    ),
    "layers in __init__, applied in forward": (
        TORCH
        + """
class Net(nn.Module):
    def __init__(self, classes=10):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, classes))
        self.head = nn.Softmax(dim=1)
    def forward(self, x):
        return self.head(self.body(x))
net, loss = Net(), nn.CrossEntropyLoss()
for x, y in loader:
    loss(net(x), y)
""",
        "xent_logits",
        Kind.PROBS,
    ),
    "inherited forward, super().__init__ with an argument": (
        TORCH
        + """
class Base(nn.Module):
    def __init__(self, act):
        super().__init__()
        self.fc, self.act = nn.Linear(3, 3), act
    def forward(self, x):
        return self.act(self.fc(x))
class Net(Base):
    def __init__(self):
        super().__init__(nn.Sigmoid())
F.binary_cross_entropy_with_logits(Net()(x), y)
""",
        "bce_logits",
        Kind.SIGMOID_PROBS,
    ),
    "softmax only when not training": (
        TORCH
        + """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 3)
    def forward(self, x):
        x = self.fc(x)
        if not self.training:
            x = F.softmax(x, 1)
        return x
F.cross_entropy(Net()(x), y)
""",
        "xent_logits",
        Kind.LOGITS,
    ),
    "a flag that the caller decides": (
        TORCH
        + """
def head(x, flag):
    return F.softmax(nn.Linear(3, 3)(x), 1) if flag else nn.Linear(3, 3)(x)
F.cross_entropy(head(x, flag=True), y)
""",
        "xent_logits",
        Kind.PROBS,
    ),
    "layers collected in a loop": (
        TORCH
        + """
def build(sizes=(8, 8)):
    found = [nn.Flatten()]
    for size in sizes:
        found += [nn.Linear(size, size), nn.ReLU()]
    found.append(nn.Softmax(dim=1))
    return nn.Sequential(*found)
nn.CrossEntropyLoss()(build().to(device)(x), y)
""",
        "xent_logits",
        Kind.PROBS,
    ),
    "layers by name in an OrderedDict": (
        TORCH
        + """
from collections import OrderedDict
net = nn.Sequential(OrderedDict([("fc", nn.Linear(3, 3)), ("out", nn.LogSoftmax(1))]))
F.nll_loss(net(x), y)
""",
        "nll",
        Kind.LOG_PROBS,
    ),
    "model and loss as arguments": (
        TORCH
        + """
def train(model, criterion, loader):
    for x, y in loader:
        criterion(model(x), y).backward()
train(nn.DataParallel(nn.Sequential(nn.Linear(3, 3), nn.Softmax(1))).cuda(), nn.NLLLoss(), loader)
""",
        "nll",
        Kind.PROBS,
    ),
    "exp of log_softmax": (TORCH + "F.cross_entropy(torch.exp(F.log_softmax(x, 1)), y)\n", "xent_logits", Kind.PROBS),
    "logits returned beside probabilities": (
        TORCH
        + """
def forward(x):
    logits = nn.Linear(3, 3)(x)
    return logits, F.softmax(logits, 1)
logits, probs = forward(x)
F.cross_entropy(logits, y)
""",
        "xent_logits",
        Kind.LOGITS,
    ),
    "the head of a zoo model replaced": (
        TORCH
        + """
from torchvision import models
model = models.resnet18(pretrained=True)
model.fc = nn.Sequential(nn.Linear(512, 10), nn.Softmax(dim=1))
nn.CrossEntropyLoss()(model(x), y)
""",
        "xent_logits",
        Kind.PROBS,
    ),
    "the target is softmax, the prediction isn't": (
        TORCH + "F.cross_entropy(nn.Linear(3, 3)(x), F.softmax(teacher(x), 1))\n",
        "xent_logits",
        Kind.LOGITS,
    ),
    "a clip whose result is discarded": (
        TORCH + "p = F.softmax(x, 1)\ntorch.clamp(p, 1e-7)\ntorch.log(p)\n",
        "log",
        Kind.PROBS,
    ),
    "Keras, Sequential with add": (
        KERAS
        + """
model = keras.Sequential()
model.add(layers.Dense(10))
model.add(layers.Activation("softmax"))
model.compile(optimizer="adam", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
""",
        "xent_logits",
        Kind.PROBS,
    ),
    "Keras, functional, string loss": (
        KERAS
        + """
inputs = keras.Input((8,))
model = keras.Model(inputs, layers.Dense(3)(inputs))
model.compile("adam", "categorical_crossentropy")
""",
        "xent_probs",
        Kind.LOGITS,
    ),
    "Keras, subclass and custom loop": (
        KERAS
        + """
import tensorflow as tf
class Net(keras.Model):
    def __init__(self):
        super().__init__()
        self.out = layers.Dense(3, activation=tf.nn.softmax)
    def call(self, x):
        return self.out(x)
net, loss_fn = Net(), keras.losses.CategoricalCrossentropy(from_logits=True)
@tf.function
def step(x, y):
    with tf.GradientTape() as tape:
        loss = loss_fn(y, net(x, training=True))
""",
        "xent_logits",
        Kind.PROBS,
    ),
    "TensorFlow 1, weights in a dictionary": (
        """
import tensorflow as tf
x = tf.placeholder(tf.float32, [None, 4])
w = {"out": tf.Variable(tf.random_normal([4, 3]))}
def net(x, w):
    return tf.nn.softmax(tf.matmul(x, w["out"]))
cost = -tf.reduce_sum(y * tf.log(net(x, w)))
""",
        "log",
        Kind.PROBS,
    ),
    "flax through a train state and value_and_grad": (
        JAX
        + """
from flax.training import train_state
class Net(lin.Module):
    head: str = "softmax"
    @lin.compact
    def __call__(self, x):
        x = lin.Dense(3)(x)
        return lin.softmax(x) if self.head == "softmax" else x
net = Net()
state = train_state.TrainState.create(apply_fn=net.apply, params=net.init(key, x), tx=tx)
@jax.jit
def step(state, x, y):
    def loss_fn(params):
        return optax.softmax_cross_entropy(state.apply_fn({"params": params}, x), y).mean()
    return jax.value_and_grad(loss_fn)(state.params)
step(state, x, y)
""",
        "xent_logits",
        Kind.PROBS,
    ),
    "NumPy by hand": (
        "import numpy as np\ndef f(z):\n    e = np.exp(z)\n    return np.log(e / e.sum(axis=1, keepdims=True))\n",
        "log",
        Kind.PROBS,
    ),
    "a snippet without its imports": (
        'model = Sequential()\nmodel.add(Dense(3, activation="softmax"))\nmodel.compile("sgd", "mse")\n',
        "mse",
        Kind.PROBS,
    ),
}


def seen(program: str, path: str = "program.py") -> list[tuple[str, Kind]]:
    return [(s.node.op, s.node.args[0].kind) for s in sightings(SourceFile(path, program), Project()) if s.node.args]


@pytest.mark.parametrize("name", IDIOMS)
def test_the_kind_that_a_loss_is_handed(name: str) -> None:
    program, reader, kind = IDIOMS[name]
    assert [k for op, k in seen(program) if op == reader] == [kind]


def test_a_model_and_its_loss_meet_across_files(tmp_path: Path) -> None:
    package = tmp_path / "models"
    package.mkdir()
    (package / "__init__.py").write_text("from .net import Net\nREGISTRY = {'net': Net}\n")
    (package / "net.py").write_text(
        TORCH + "class Net(nn.Module):\n    def forward(self, x):\n        return F.softmax(x, dim=1)\n"
    )
    train = tmp_path / "train.py"
    train.write_text(TORCH + "from models import REGISTRY\nnn.CrossEntropyLoss()(REGISTRY['net']()(x), y)\n")
    project = Project()
    found = sightings(SourceFile(str(train), train.read_text()), project)
    loss = next(s for s in found if s.node.op == "xent_logits")
    assert loss.node.args[0].kind is Kind.PROBS
    assert loss.node.args[0].origin is not None and loss.node.args[0].origin.path.endswith("net.py")
    assert any(p.endswith("net.py") for p in project.dependencies(str(train)))


def test_a_trainer_fits_a_lightning_module_of_another_file(tmp_path: Path) -> None:
    (tmp_path / "task.py").write_text(
        TORCH + "import lightning as L\nclass Task(L.LightningModule):\n"
        "    def __init__(self, net):\n        super().__init__()\n        self.net = net\n"
        "    def training_step(self, batch, batch_idx):\n        x, y = batch\n"
        "        return F.cross_entropy(self.net(x), y)\n"
    )
    program = (
        TORCH + "import lightning as L\nfrom task import Task\n"
        "trainer = L.Trainer(max_epochs=3)\n{}(Task(nn.Sequential(nn.Linear(8, 3), nn.Softmax(dim=1))), data)\n"
    )
    for call, found in (("trainer.fit", [Kind.PROBS]), ("trainer.test", []), ("print", [])):
        train = sightings(SourceFile(str(tmp_path / "train.py"), program.format(call)), Project())
        assert [s.node.args[0].kind for s in train if s.node.op == "xent_logits"] == found


def test_nothing_of_the_users_code_runs(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    (tmp_path / "helper.py").write_text(f"open({str(mark)!r}, 'w')\nloss = 1\n")
    seen(f"from helper import loss\nopen({str(mark)!r}, 'w')\nprint(loss)\n", str(tmp_path / "main.py"))
    assert not mark.exists()


@pytest.mark.parametrize(
    "program",
    [
        "def f(x):\n    return f(f(x))\nf(1)\n",
        "class A:\n    def __init__(self):\n        self.a = A()\nA().a.a\n",
        "x = [1]\nfor i in range(10 ** 9):\n    x = x + x\n",
        "def f(n):\n" + "".join(f"    if n:\n        g{i} = f(n - {i})\n" for i in range(30)) + "f(3)\n",
        "import program\nfrom program import x\nx = program.x\n",
        "f = lambda *a, **k: f(*a, **k)\nf(*f, **f)\n",
        "import tensorflow as tf\nz = tf.exp(x)\ntf.div(z)\ntf.subtract(y=z)\ntf.add()\nz.mul()\n",
        "d = {}\nif a:\n    d[k] = 1\n    d[k] = 2\nelse:\n    d[k] = 3\nfor x in d.values():\n    d[x]\nd[y]\n",
        "if a:\n    from torch import *\n    from jax import *\nelse:\n    from keras import *\nDense(Linear(x))\n",
        "z = 1\n" + "z = z + exp(z) * z\n" * 200,
        "def f(loss=None, /, *, mean=None):\n    return loss\n",
        "class A:\n    __fields__ = {}\n    items = layers = exact = 1\n    def f(self):\n        return self\n",
    ],
)
def test_what_could_run_for_ever_ends(program: str) -> None:
    seen(program)


COLLECTED = "    out = []\n    for f in parts:\n        out.append(f(b))"
GROWS = "    out.append(x)\n"


@pytest.mark.parametrize(
    ("made", "kind"),
    [
        (f"for b in x:\n{COLLECTED}\n    F.cross_entropy(out[1], t)", Kind.PROBS),
        (f"for b in x:\n{COLLECTED}\nF.cross_entropy(out[1], t)", Kind.PROBS),
        (f"def each(b):\n{COLLECTED}\n    return out\nfor c in x:\n    F.cross_entropy(each(c)[1], t)", Kind.PROBS),
        ("for b in x:\n    out = [x]\nout.append(last(x))\nF.cross_entropy(out[1], t)", Kind.PROBS),
        (f"for b in x:\n    out = [last(b)]\n    for c in b:\n    {GROWS}    F.cross_entropy(out[1], t)", Kind.UNKNOWN),
        (f"out = [last(x)]\nfor b in x:\n{GROWS}F.cross_entropy(out[1], t)", Kind.UNKNOWN),
        (f"for b in x:\n    out = [last(x)]\nfor b in x:\n{GROWS}F.cross_entropy(out[1], t)", Kind.UNKNOWN),
    ],
)
def test_a_list_that_a_round_begins_anew_has_a_certain_length(made: str, kind: Kind) -> None:
    program = TORCH + "parts = [nn.Linear(3, 3), nn.Softmax(1)]\nlast = parts[1]\n"
    assert seen(program + made)[-1:] == [("xent_logits", kind)]


def test_an_index_of_no_axis_is_the_value() -> None:
    assert seen(TORCH + "p = F.softmax(z, 1)[()]\nF.nll_loss(p[...], y)\n")


def test_branches_join_and_undo() -> None:
    program = (
        TORCH
        + """
head = nn.Linear(3, 3)
layers = []
if a:
    layers.append(nn.Linear(3, 3))
    out = F.softmax(x, 1)
else:
    layers.append(nn.Linear(4, 4))
    out = F.softmax(y, 1)
F.cross_entropy(out, t)
F.nll_loss(nn.Sequential(*layers)(x), t)
"""
    )
    assert seen(program)[-2:] == [("xent_logits", Kind.PROBS), ("nll", Kind.LOGITS)]


OPTIONAL = (
    TORCH
    + """
class Row(nn.Module):
    def __init__(self, *parts):
        super().__init__()
        self.net = nn.Sequential(*parts)
    def forward(self, x):
        return self.net(x)

def gate(drop):
    found = [nn.Linear(3, 3), nn.Sigmoid()]
    if drop:
        found.append(nn.{last}())
    return {made}
gate(args.drop)(x)
"""
)


@pytest.mark.parametrize("made", ["nn.Sequential(*found)", "Row(*found)", "nn.Sequential(nn.Flatten(), *found)"])
def test_a_layer_that_only_one_way_adds_is_not_the_one_before_it_once_more(made: str) -> None:
    """Without the dropout the row ends in its sigmoid, and that is applied once."""
    assert ("sigmoid", Kind.SIGMOID_PROBS) not in seen(OPTIONAL.format(last="Dropout", made=made))
    assert ("sigmoid", Kind.SIGMOID_PROBS) in seen(
        OPTIONAL.format(last="Sigmoid", made="nn.Sequential(nn.Linear(3, 3), nn.Sigmoid(), nn.Sigmoid())")
    )


def test_a_squared_error_among_the_metrics_is_no_loss() -> None:
    head = KERAS + "model = keras.Sequential([keras.Input((8,)), layers.Dense(4, activation='softmax')])\n"
    measured = (
        head + "model.compile(loss='categorical_crossentropy', metrics=['mse', keras.losses.mean_squared_error])\n"
    )
    assert "mse" not in dict(seen(measured))
    assert ("mse", Kind.PROBS) in seen(head + "model.compile(loss='mse')\n")


def test_a_module_first_met_where_no_gradient_is_asked_for_is_trained_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "step.py").write_text(TORCH + "F.cross_entropy(torch.softmax(nn.Linear(4, 3)(x), 1), y).backward()\n")
    program = "import torch\nimport step\nwith torch.no_grad():\n    step.anything()\n"
    file = SourceFile(str(tmp_path / "main.py"), program)
    assert [s.training for s in sightings(file, Project()) if s.node.op == "xent_logits"] == [True]


def test_a_package_hands_on_a_function_that_goes_by_its_modules_name(tmp_path: Path) -> None:
    package = tmp_path / "heads"
    package.mkdir()
    (package / "__init__.py").write_text("from .squash import squash\n")
    (package / "squash.py").write_text(TORCH + "def squash(z):\n    return F.softmax(z, 1)\n")
    (package / "plain.py").write_text(TORCH + "def keep(z):\n    return nn.Linear(3, 3)(z)\n")
    program = TORCH + "from heads import squash, plain\nF.cross_entropy(squash(z), y)\nF.nll_loss(plain.keep(z), y)\n"
    assert seen(program, str(tmp_path / "train.py"))[-2:] == [("xent_logits", Kind.PROBS), ("nll", Kind.LOGITS)]


def test_a_module_of_a_package_does_not_hide_the_standard_librarys(tmp_path: Path) -> None:
    for name, text in {"__init__": "", "logging": "from logging import DEBUG\n", "heads": HEADS}.items():
        (tmp_path / f"{name}.py").write_text(text)
    program = "from logging import DEBUG\nfrom .heads import Net, F\nprint(DEBUG)\nF.cross_entropy(Net()(x), y)\n"
    assert ("xent_logits", Kind.PROBS) in seen(program, str(tmp_path / "train.py"))


def test_modules_that_import_a_name_from_each_other(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("from b import x\n")
    (tmp_path / "b.py").write_text("from a import x\n")
    (tmp_path / "heads.py").write_text(HEADS)
    program = "from a import x\nfrom heads import Net, F\nprint(x)\nF.cross_entropy(Net()(x), y)\n"
    assert ("xent_logits", Kind.PROBS) in seen(program, str(tmp_path / "train.py"))


HEADS = (
    TORCH
    + """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 3)
    def forward(self, x):
        return F.softmax(self.fc(x), 1)
"""
)
