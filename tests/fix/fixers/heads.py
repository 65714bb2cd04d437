"""Programs with a softmax or sigmoid before their loss, and what they are after the fix: the specification, as data."""

from __future__ import annotations

from typing import NamedTuple


class Pair(NamedTuple):
    """A program before and after its safe fixes."""

    before: str
    after: str


def pair(head: str, before: str, after: str) -> Pair:
    return Pair(head + before, head + after)


TORCH = "import torch\nimport torch.nn.functional as F\nfrom torch import nn\n\n"
PROBABILITIES = TORCH + "net = nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=1))\ncriterion = nn.CrossEntropyLoss()\n\n"
LOGITS = TORCH + "net = nn.Sequential(nn.Linear(4, 3))\ncriterion = nn.CrossEntropyLoss()\n\n"
STEP = "def step(x, y):\n    return criterion(net(x), y)\n\n"
KERAS = "import keras\nimport numpy as np\n\n"
JAX = "import jax\nimport optax\nfrom flax import linen as nn\n\n"


def reader(before: str, after: str) -> Pair:
    """A reader of the output beside the training step."""
    return Pair(PROBABILITIES + STEP + before, LOGITS + STEP + after)


SAFE: dict[str, Pair] = {
    # PyTorch: where the softmax stands
    "torch: the last of a Sequential": Pair(PROBABILITIES + STEP, LOGITS + STEP),
    "torch: a line of its own": pair(
        TORCH,
        "net = nn.Sequential(\n    nn.Linear(4, 3),  # scores\n    nn.Softmax(dim=1),\n)\n\n"
        "def step(x, y):\n    return F.cross_entropy(net(x), y)\n",
        "net = nn.Sequential(\n    nn.Linear(4, 3),  # scores\n)\n\n"
        "def step(x, y):\n    return F.cross_entropy(net(x), y)\n",
    ),
    "torch: an attribute left unused goes": pair(
        TORCH,
        "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n        self.fc = nn.Linear(4, 3)\n"
        "        self.softmax = nn.Softmax(dim=1)\n\n    def forward(self, x):\n        return self.softmax(self.fc(x))\n\n"
        "net = Net()\n\ndef step(x, y):\n    return F.cross_entropy(net(x), y)\n",
        "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n        self.fc = nn.Linear(4, 3)\n"
        "\n    def forward(self, x):\n        return self.fc(x)\n\n"
        "net = Net()\n\ndef step(x, y):\n    return F.cross_entropy(net(x), y)\n",
    ),
    "torch: an attribute that attention uses stays": pair(
        TORCH,
        "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n        self.q = nn.Linear(4, 4)\n"
        "        self.fc = nn.Linear(4, 3)\n        self.softmax = nn.Softmax(dim=-1)\n\n    def forward(self, x):\n"
        "        a = self.softmax(self.q(x) @ x.transpose(1, 2)) @ x\n        return self.softmax(self.fc(a.mean(1)))\n\n"
        "net = Net()\n\ndef step(x, y):\n    return F.cross_entropy(net(x), y)\n",
        "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n        self.q = nn.Linear(4, 4)\n"
        "        self.fc = nn.Linear(4, 3)\n        self.softmax = nn.Softmax(dim=-1)\n\n    def forward(self, x):\n"
        "        a = self.softmax(self.q(x) @ x.transpose(1, 2)) @ x\n        return self.fc(a.mean(1))\n\n"
        "net = Net()\n\ndef step(x, y):\n    return F.cross_entropy(net(x), y)\n",
    ),
    "torch: a layer made where it is used": pair(
        TORCH,
        "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n        self.fc = nn.Linear(4, 3)\n\n"
        "    def forward(self, x):\n        x = self.fc(x)\n        x = nn.Softmax(dim=1)(x)\n        return x\n\n"
        "net = Net()\n\ndef step(x, y):\n    return F.cross_entropy(net(x), y), net(x).data.argmax(1)\n",
        "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n        self.fc = nn.Linear(4, 3)\n\n"
        "    def forward(self, x):\n        x = self.fc(x)\n        return x\n\n"
        "net = Net()\n\ndef step(x, y):\n    return F.cross_entropy(net(x), y), net(x).data.argmax(1)\n",
    ),
    "torch: brackets where an operator binds tighter": pair(
        TORCH,
        "net, more = nn.Linear(4, 3), nn.Linear(4, 3)\n\ndef step(x, y):\n"
        "    p = F.softmax(net(x) + more(x), dim=1).float()\n    return F.cross_entropy(p, y)\n",
        "net, more = nn.Linear(4, 3), nn.Linear(4, 3)\n\ndef step(x, y):\n"
        "    logits = (net(x) + more(x)).float()\n    return F.cross_entropy(logits, y)\n",
    ),
    "torch: targets of the shape of outputs that are reshaped, in a loop": pair(
        TORCH,
        "net = nn.Sequential(nn.Linear(4, 1), nn.Sigmoid())\nloss = nn.BCELoss()\n\nfor x in torch.zeros(3, 2, 4):\n"
        "    real = net(x).view(-1)\n    loss(real, torch.ones_like(real)).backward()\n"
        "    fake = net(-x).view(-1)\n    loss(fake, torch.zeros_like(fake)).backward()\n",
        "net = nn.Sequential(nn.Linear(4, 1))\nloss = nn.BCEWithLogitsLoss()\n\nfor x in torch.zeros(3, 2, 4):\n"
        "    real = net(x).view(-1)\n    loss(real, torch.ones_like(real)).backward()\n"
        "    fake = net(-x).view(-1)\n    loss(fake, torch.zeros_like(fake)).backward()\n",
    ),
    "torch: a criterion made in each branch of an if": pair(
        TORCH,
        "class Trainer:\n    def __init__(self, fast):\n        self.net = nn.Sequential(nn.Linear(4, 1), nn.Sigmoid())\n"
        "        if fast:\n            self.loss = nn.BCELoss().cuda()\n        else:\n            self.loss = nn.BCELoss()\n\n"
        "    def step(self, x, y):\n        return self.loss(self.net(x), y)\n\n"
        "Trainer(torch.cuda.is_available()).step(torch.zeros(2, 4), torch.ones(2, 1))\n",
        "class Trainer:\n    def __init__(self, fast):\n        self.net = nn.Sequential(nn.Linear(4, 1))\n"
        "        if fast:\n            self.loss = nn.BCEWithLogitsLoss().cuda()\n        else:\n"
        "            self.loss = nn.BCEWithLogitsLoss()\n\n"
        "    def step(self, x, y):\n        return self.loss(self.net(x), y)\n\n"
        "Trainer(torch.cuda.is_available()).step(torch.zeros(2, 4), torch.ones(2, 1))\n",
    ),
    "torch: two models that one function trains": pair(
        TORCH,
        "def train(net, x, y):\n    F.cross_entropy(net(x), y).backward()\n\n"
        "a = nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=1))\n"
        "b = nn.Sequential(nn.Linear(4, 5), nn.Softmax(dim=1))\n\n"
        "train(a, torch.zeros(2, 4), torch.zeros(2).long())\ntrain(b, torch.zeros(2, 4), torch.zeros(2).long())\n",
        "def train(net, x, y):\n    F.cross_entropy(net(x), y).backward()\n\n"
        "a = nn.Sequential(nn.Linear(4, 3))\nb = nn.Sequential(nn.Linear(4, 5))\n\n"
        "train(a, torch.zeros(2, 4), torch.zeros(2).long())\ntrain(b, torch.zeros(2, 4), torch.zeros(2).long())\n",
    ),
    "torch: a row of predictions, one below the other": pair(
        TORCH,
        "net = nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=-1))\n\ndef step(x, y):\n    p = net(x)\n"
        "    return F.cross_entropy(p.view(-1, 3), y.view(-1)), F.cross_entropy(p.reshape(-1, p.size(-1)), y.view(-1))\n",
        "net = nn.Sequential(nn.Linear(4, 3))\n\ndef step(x, y):\n    logits = net(x)\n"
        "    return F.cross_entropy(logits.view(-1, 3), y.view(-1)), "
        "F.cross_entropy(logits.reshape(-1, logits.size(-1)), y.view(-1))\n",
    ),
    "torch: the classes moved to where the loss has them": pair(
        TORCH,
        "net = nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=-1))\n\n"
        "def step(x, y):\n    return F.cross_entropy(net(x).permute(0, 2, 1), y)\n",
        "net = nn.Sequential(nn.Linear(4, 3))\n\n"
        "def step(x, y):\n    return F.cross_entropy(net(x).permute(0, 2, 1), y)\n",
    ),
    "torch: Lightning": pair(
        TORCH + "import pytorch_lightning as pl\n\n",
        "class Lit(pl.LightningModule):\n    def __init__(self):\n        super().__init__()\n"
        "        self.net = nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=1))\n\n"
        "    def forward(self, x):\n        return self.net(x)\n\n"
        "    def training_step(self, batch, i):\n        x, y = batch\n        loss = F.cross_entropy(self(x), y)\n"
        "        self.log('loss', loss)\n        return loss\n\n"
        "trainer = pl.Trainer(max_epochs=1)\ntrainer.fit(Lit(), None)\n",
        "class Lit(pl.LightningModule):\n    def __init__(self):\n        super().__init__()\n"
        "        self.net = nn.Sequential(nn.Linear(4, 3))\n\n"
        "    def forward(self, x):\n        return self.net(x)\n\n"
        "    def training_step(self, batch, i):\n        x, y = batch\n        loss = F.cross_entropy(self(x), y)\n"
        "        self.log('loss', loss)\n        return loss\n\n"
        "trainer = pl.Trainer(max_epochs=1)\ntrainer.fit(Lit(), None)\n",
    ),
    # PyTorch: who reads
    "torch: argmax and shapes are the same": reader(
        "def hits(x, y):\n    out = net(x)\n    print(out.shape, len(out))\n"
        "    _, guess = torch.max(out, 1)\n    return (out.argmax(1) == y).sum() + guess.sum()\n",
        "def hits(x, y):\n    out = net(x)\n    print(out.shape, len(out))\n"
        "    _, guess = torch.max(out, 1)\n    return (out.argmax(1) == y).sum() + guess.sum()\n",
    ),
    "torch: returned to unknown callers": reader(
        "def predict(x):\n    with torch.no_grad():\n        return net(x)\n",
        "def predict(x):\n    with torch.no_grad():\n        return net(x).softmax(dim=1)\n",
    ),
    "torch: the softmax comes before an array, an item, a loop": reader(
        "def show(x):\n    out = net(x)\n    print(out.detach().cpu().numpy(), out[0, 1].item())\n"
        "    for row in out:\n        print(row)\n",
        "def show(x):\n    out = net(x)\n    print(out.detach().cpu().softmax(dim=1).numpy(), out.softmax(dim=1)[0, 1].item())\n"
        "    for row in out.softmax(dim=1):\n        print(row)\n",
    ),
    "torch: gathered in a list": reader(
        "def evaluate(loader, score):\n    outs = []\n    for x in loader:\n        outs.append(net(x).numpy())\n"
        "    return score(outs)\n",
        "def evaluate(loader, score):\n    outs = []\n    for x in loader:\n        outs.append(net(x).softmax(dim=1).numpy())\n"
        "    return score(outs)\n",
    ),
    "torch: a list of outputs that is returned": reader(
        "def evaluate(loader):\n    outs = []\n    for x in loader:\n        outs.append(net(x))\n    return outs, 1\n",
        "def evaluate(loader):\n    outs = []\n    for x in loader:\n        outs.append(net(x).softmax(dim=1))\n"
        "    return outs, 1\n",
    ),
    "torch: what another function calls by an output's name": reader(
        "def show(x):\n    out = net(x)\n    return out.argmax(1)\n\ndef other(out):\n    return out + 1\n",
        "def show(x):\n    out = net(x)\n    return out.argmax(1)\n\ndef other(out):\n    return out + 1\n",
    ),
    "torch: values and places of the greatest": reader(
        "def top(x):\n    confidence, guess = net(x).max(1)\n    print(confidence, guess)\n",
        "def top(x):\n    confidence, guess = net(x).softmax(dim=1).max(1)\n    print(confidence, guess)\n",
    ),
    "torch: the target of another loss": reader(
        "student = nn.Linear(4, 3)\n\ndef distil(x):\n    return F.cross_entropy(student(x), net(x))\n",
        "student = nn.Linear(4, 3)\n\ndef distil(x):\n    return F.cross_entropy(student(x), net(x).softmax(dim=1))\n",
    ),
    "torch: relu, clamp and where are the same of probabilities, not of logits": reader(
        "def show(x):\n    out = net(x)\n    print(F.relu(out), out.clamp(0, 1))\n",
        "def show(x):\n    out = net(x)\n    print(F.relu(out.softmax(dim=1)), out.softmax(dim=1).clamp(0, 1))\n",
    ),
    "torch: a layer that a model has at its end and further in": pair(
        TORCH,
        "first, last = nn.Linear(4, 4), nn.Linear(4, 1)\nsigmoid = nn.Sigmoid()\n"
        "net = nn.Sequential(first, sigmoid, last, sigmoid)\nloss = nn.BCELoss()\n\n"
        "def step(x, y):\n    return loss(net(x), y)\n",
        "first, last = nn.Linear(4, 4), nn.Linear(4, 1)\nsigmoid = nn.Sigmoid()\n"
        "net = nn.Sequential(first, sigmoid, last)\nloss = nn.BCEWithLogitsLoss()\n\n"
        "def step(x, y):\n    return loss(net(x), y)\n",
    ),
    "torch: beside what it was made of": reader(
        "def show(x):\n    out = net(x)\n    both = torch.cat([x.view(-1, 4), out], 1)\n    print(both, torch.stack((out, x)))\n",
        "def show(x):\n    out = net(x)\n    both = torch.cat([x.view(-1, 4), out.softmax(dim=1)], 1)\n"
        "    print(both, torch.stack((out.softmax(dim=1), x)))\n",
    ),
    "torch: in another shape, beside what it was made of": pair(
        TORCH,
        "net = nn.Sequential(nn.Linear(4, 4), nn.Sigmoid())\n\ndef step(x, save):\n    out = net(x)\n"
        "    F.binary_cross_entropy(out, x).backward()\n    with torch.no_grad():\n        out = net(x)\n"
        "        save(torch.cat([x.view(-1, 2, 2), out.view(-1, 2, 2)], dim=2))\n",
        "net = nn.Sequential(nn.Linear(4, 4))\n\ndef step(x, save):\n    out = net(x)\n"
        "    F.binary_cross_entropy_with_logits(out, x).backward()\n    with torch.no_grad():\n        out = net(x)\n"
        "        save(torch.cat([x.view(-1, 2, 2), out.view(-1, 2, 2).sigmoid()], dim=2))\n",
    ),
    "torch: one reader, two models": reader(
        "other = nn.Linear(4, 3)\n\ndef show(out):\n    print(out)\n\ndef main(x):\n    show(net(x))\n    show(other(x))\n",
        "other = nn.Linear(4, 3)\n\ndef show(out):\n    print(out)\n\ndef main(x):\n    show(net(x).softmax(dim=1))\n"
        "    show(other(x))\n",
    ),
    "torch: a softmax that all that reads it applies itself": reader(
        "def show(x):\n    out = net(x)\n    print(F.softmax(out, dim=1), out.argmax(1))\n",
        "def show(x):\n    out = net(x)\n    print(F.softmax(out, dim=1), out.argmax(1))\n",
    ),
    # PyTorch: sigmoid
    "torch: BCELoss": pair(
        TORCH,
        "net = nn.Sequential(nn.Linear(4, 1), nn.Sigmoid())\ncriterion = nn.BCELoss(reduction='sum')\n\n"
        "def step(x, y):\n    out = net(x).squeeze(1)\n    hits = (out > 0.5) == y\n    return criterion(out, y), hits\n",
        "net = nn.Sequential(nn.Linear(4, 1))\ncriterion = nn.BCEWithLogitsLoss(reduction='sum')\n\n"
        "def step(x, y):\n    out = net(x).squeeze(1)\n    hits = (out.sigmoid() > 0.5) == y\n    return criterion(out, y), hits\n",
    ),
    "torch: binary_cross_entropy": pair(
        TORCH,
        "net = nn.Linear(4, 1)\ntorch.manual_seed(0)\n\n"
        "def step(x, y):\n    return F.binary_cross_entropy(torch.sigmoid(net(x)), y)\n",
        "net = nn.Linear(4, 1)\ntorch.manual_seed(0)\n\ndef step(x, y):\n    return F.binary_cross_entropy_with_logits(net(x), y)\n",
    ),
    "torch: a sigmoid before a loss with logits": pair(
        TORCH,
        "net = nn.Linear(4, 1)\n\ndef step(x, y):\n    return F.binary_cross_entropy_with_logits(net(x).sigmoid(), y)\n",
        "net = nn.Linear(4, 1)\n\ndef step(x, y):\n    return F.binary_cross_entropy_with_logits(net(x), y)\n",
    ),
    # Keras
    "keras: activation, string loss, predict": pair(
        KERAS,
        "model = keras.Sequential([keras.layers.Dense(10, activation='softmax')])\n"
        "model.compile(optimizer='adam', loss='sparse_categorical_crossentropy', metrics=['accuracy'])\n"
        "p = model.predict(x)\nprint(p)\n",
        "model = keras.Sequential([keras.layers.Dense(10)])\n"
        "model.compile(optimizer='adam', loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=['accuracy'])\n"
        "probability_model = keras.Sequential([model, keras.layers.Softmax()])\n"
        "p = probability_model.predict(x)\nprint(p)\n",
    ),
    "keras: argmax of predictions stays": pair(
        KERAS,
        "model = keras.Sequential([keras.layers.Dense(10, activation='softmax')])\n"
        "model.compile(loss=keras.losses.CategoricalCrossentropy())\nprint(np.argmax(model.predict(x), axis=1))\n",
        "model = keras.Sequential([keras.layers.Dense(10)])\n"
        "model.compile(loss=keras.losses.CategoricalCrossentropy(from_logits=True))\nprint(np.argmax(model.predict(x), axis=1))\n",
    ),
    "keras: predictions put together": pair(
        KERAS,
        "model = keras.Sequential([keras.layers.Dense(10, activation='softmax')])\n"
        "model.compile(loss=keras.losses.CategoricalCrossentropy())\n"
        "print(np.concatenate([model.predict(x), model.predict(-x)]).mean(axis=0))\n",
        "model = keras.Sequential([keras.layers.Dense(10)])\n"
        "model.compile(loss=keras.losses.CategoricalCrossentropy(from_logits=True))\n"
        "probability_model = keras.Sequential([model, keras.layers.Softmax()])\n"
        "print(np.concatenate([probability_model.predict(x), probability_model.predict(-x)]).mean(axis=0))\n",
    ),
    "keras: a loop of one's own on JAX": pair(
        "import jax\nimport keras\n\n",
        "model = keras.Sequential([keras.layers.Dense(10, activation='softmax')])\n"
        "loss_fn = keras.losses.CategoricalCrossentropy()\n\ndef loss_of(trainable, fixed, x, y):\n"
        "    p, fixed = model.stateless_call(trainable, fixed, x, training=True)\n    return loss_fn(y, p), fixed\n\n"
        "grad = jax.value_and_grad(loss_of, has_aux=True)\n",
        "model = keras.Sequential([keras.layers.Dense(10)])\n"
        "loss_fn = keras.losses.CategoricalCrossentropy(from_logits=True)\n\ndef loss_of(trainable, fixed, x, y):\n"
        "    p, fixed = model.stateless_call(trainable, fixed, x, training=True)\n    return loss_fn(y, p), fixed\n\n"
        "grad = jax.value_and_grad(loss_of, has_aux=True)\n",
    ),
    "keras: names imported one by one": pair(
        "from tensorflow.keras.layers import Activation, Dense\nfrom tensorflow.keras.models import Sequential\n\n",
        "model = Sequential()\nmodel.add(Dense(10))\nmodel.add(Activation('softmax'))\n"
        "model.compile('adam', 'categorical_crossentropy')\n",
        "model = Sequential()\nmodel.add(Dense(10))\nmodel.compile('adam', CategoricalCrossentropy(from_logits=True))\n",
    )._replace(
        after="from tensorflow.keras.layers import Dense\nfrom tensorflow.keras.losses import CategoricalCrossentropy\n"
        "from tensorflow.keras.models import Sequential\n\n"
        "model = Sequential()\nmodel.add(Dense(10))\nmodel.compile('adam', CategoricalCrossentropy(from_logits=True))\n"
    ),
    "keras: the functional form": pair(
        KERAS,
        "inputs = keras.Input((8,))\noutputs = keras.layers.Dense(10, activation='softmax')(inputs)\n"
        "model = keras.Model(inputs, outputs)\nmodel.compile(loss=keras.losses.categorical_crossentropy)\n",
        "inputs = keras.Input((8,))\noutputs = keras.layers.Dense(10)(inputs)\n"
        "model = keras.Model(inputs, outputs)\nmodel.compile(loss=keras.losses.CategoricalCrossentropy(from_logits=True))\n",
    ),
    "keras: a loop of one's own": pair(
        "import tensorflow as tf\n\n",
        "model = tf.keras.Sequential([tf.keras.layers.Dense(10), tf.keras.layers.Softmax()])\n"
        "loss_fn = tf.keras.losses.CategoricalCrossentropy(label_smoothing=0.1)\n"
        "hits = tf.keras.metrics.CategoricalAccuracy()\n\ndef step(x, y):\n    with tf.GradientTape() as tape:\n"
        "        p = model(x, training=True)\n        loss = loss_fn(y, p)\n    hits.update_state(y, p)\n"
        "    print(tf.reduce_max(p))\n    return tape.gradient(loss, model.trainable_variables)\n",
        "model = tf.keras.Sequential([tf.keras.layers.Dense(10)])\n"
        "loss_fn = tf.keras.losses.CategoricalCrossentropy(label_smoothing=0.1, from_logits=True)\n"
        "hits = tf.keras.metrics.CategoricalAccuracy()\n\ndef step(x, y):\n    with tf.GradientTape() as tape:\n"
        "        logits = model(x, training=True)\n        loss = loss_fn(y, logits)\n"
        "    hits.update_state(y, logits)\n"
        "    print(tf.reduce_max(tf.nn.softmax(logits)))\n    return tape.gradient(loss, model.trainable_variables)\n",
    ),
    "keras: a softmax before from_logits=True": pair(
        KERAS,
        "model = keras.Sequential([keras.layers.Dense(10, activation='softmax')])\n"
        "model.compile(loss=keras.losses.CategoricalCrossentropy(from_logits=True))\n",
        "model = keras.Sequential([keras.layers.Dense(10)])\n"
        "model.compile(loss=keras.losses.CategoricalCrossentropy(from_logits=True))\n",
    ),
    "keras: logits before from_logits=False": pair(
        KERAS,
        "model = keras.Sequential([keras.layers.Dense(10)])\n"
        "model.compile(loss=keras.losses.CategoricalCrossentropy(from_logits=False), metrics=['accuracy'])\n",
        "model = keras.Sequential([keras.layers.Dense(10)])\n"
        "model.compile(loss=keras.losses.CategoricalCrossentropy(from_logits=True), metrics=['accuracy'])\n",
    ),
    "keras: a list of losses": pair(
        KERAS,
        "i = keras.Input((8,))\np = keras.layers.Dense(10, activation='softmax')(i)\n"
        "q = keras.layers.Dense(1)(i)\nmodel = keras.Model(i, [q, p])\n"
        "model.compile(loss=['mse', keras.losses.CategoricalCrossentropy()])\nguess = model.predict(x)[1].argmax(axis=1)\n",
        "i = keras.Input((8,))\nlogits = keras.layers.Dense(10)(i)\n"
        "q = keras.layers.Dense(1)(i)\nmodel = keras.Model(i, [q, logits])\n"
        "model.compile(loss=['mse', keras.losses.CategoricalCrossentropy(from_logits=True)])\n"
        "guess = model.predict(x)[1].argmax(axis=1)\n",
    ),
    "torch: logits into BCELoss": pair(
        TORCH,
        "net = nn.Linear(4, 1)\ncriterion = nn.BCELoss()\n\ndef step(x, y):\n    return criterion(net(x), y)\n",
        "net = nn.Linear(4, 1)\ncriterion = nn.BCEWithLogitsLoss()\n\ndef step(x, y):\n    return criterion(net(x), y)\n",
    ),
    # JAX
    "jax: flax and optax": pair(
        JAX,
        "class Net(nn.Module):\n    @nn.compact\n    def __call__(self, x):\n        return nn.softmax(nn.Dense(10)(x))\n\n"
        "net = Net()\n\n@jax.jit\ndef step(params, x, y):\n    def loss_fn(params):\n        p = net.apply(params, x)\n"
        "        return optax.softmax_cross_entropy(p, y).mean()\n\n    return jax.grad(loss_fn)(params)\n\n"
        "def predict(params, x):\n    return net.apply(params, x)\n",
        "class Net(nn.Module):\n    @nn.compact\n    def __call__(self, x):\n        return nn.Dense(10)(x)\n\n"
        "net = Net()\n\n@jax.jit\ndef step(params, x, y):\n    def loss_fn(params):\n        logits = net.apply(params, x)\n"
        "        return optax.softmax_cross_entropy(logits, y).mean()\n\n    return jax.grad(loss_fn)(params)\n\n"
        "def predict(params, x):\n    return nn.softmax(net.apply(params, x))\n",
    ),
}

#: programs with metrics that have a threshold, which old versions of Keras won't have at 0
OF_NEW_KERAS: dict[str, Pair] = {
    "keras: one unit, and its accuracy": pair(
        KERAS,
        "model = keras.Sequential([keras.layers.Dense(1, activation='sigmoid')])\n"
        "model.compile(loss='binary_crossentropy', metrics=['accuracy'])\nyes = model.predict(x) > 0.5\n",
        "model = keras.Sequential([keras.layers.Dense(1)])\n"
        "model.compile(loss=keras.losses.BinaryCrossentropy(from_logits=True), "
        "metrics=[keras.metrics.BinaryAccuracy(name='accuracy', threshold=0)])\n"
        'probability_model = keras.Sequential([model, keras.layers.Activation("sigmoid")])\n'
        "yes = probability_model.predict(x) > 0.5\n",
    ),
    "keras: one unit's logits before a string loss, and their accuracy": pair(
        KERAS,
        "model = keras.Sequential([keras.layers.Dense(1)])\n"
        "model.compile(loss='binary_crossentropy', metrics=['acc'])\n",
        "model = keras.Sequential([keras.layers.Dense(1)])\n"
        "model.compile(loss=keras.losses.BinaryCrossentropy(from_logits=True), "
        "metrics=[keras.metrics.BinaryAccuracy(name='acc', threshold=0)])\n",
    ),
    "keras: a dictionary of losses, and of metrics": pair(
        KERAS,
        "i = keras.Input((8,))\np = keras.layers.Dense(1, activation='sigmoid', name='p')(i)\n"
        "q = keras.layers.Dense(1, name='q')(i)\nmodel = keras.Model(i, [p, q])\n"
        "model.compile(\n    loss={\n        'p': 'binary_crossentropy',\n        'q': 'mse',\n    },\n"
        "    metrics={'p': ['AUC', keras.metrics.BinaryAccuracy()], 'q': ['mae']},\n)\n",
        "i = keras.Input((8,))\nlogits = keras.layers.Dense(1, name='p')(i)\n"
        "q = keras.layers.Dense(1, name='q')(i)\nmodel = keras.Model(i, [logits, q])\n"
        "model.compile(\n    loss={\n        'p': keras.losses.BinaryCrossentropy(from_logits=True),\n"
        "        'q': 'mse',\n    },\n    metrics={'p': [keras.metrics.AUC(name='AUC', from_logits=True), "
        "keras.metrics.BinaryAccuracy(threshold=0)], 'q': ['mae']},\n)\n",
    ),
}

#: why nobody can see every reader -> the program, and what the fix says of it
UNSAFE: dict[str, tuple[str, str]] = {
    "a model that is saved": (PROBABILITIES + STEP + "torch.save(net, 'net.pt')\n", "kept by `torch.save`"),
    "a model that is exported": (
        KERAS
        + "model = keras.Sequential([keras.layers.Dense(10, activation='softmax')])\n"
        + "model.compile(loss='categorical_crossentropy')\nmodel.save('m.keras')\n",
        "kept by `save`",
    ),
    "a softmax that TensorFlow's graph knows by name": (
        "import tensorflow as tf\n\nx = tf.placeholder(tf.float32, [None, 4])\ny = tf.placeholder(tf.float32, [None, 3])\n"
        "w = tf.Variable(tf.zeros([4, 3]))\n\n"
        "def head(x):\n    return tf.nn.softmax(tf.matmul(x, w), name='p')\n\n"
        "loss = tf.nn.softmax_cross_entropy_with_logits(logits=head(x), labels=y)\n",
        "the operation's name in the graph (line 8)",
    ),
    "a model handed to somebody who only has a trainer's name": (
        PROBABILITIES + STEP + "trainer = Trainer()\ntrainer.fit(net)\n",
        "handed to `trainer.fit`",
    ),
    "a model whose output a trainer gives": (
        PROBABILITIES
        + STEP
        + "import pytorch_lightning as pl\n\ntrainer = pl.Trainer()\ntrainer.fit(net)\ntrainer.predict(net)\n",
        "handed to `trainer.predict`",
    ),
    "a model handed to somebody": (PROBABILITIES + STEP + "serve(net)\n", "handed to `serve`"),
    "a model returned to unknown callers": (
        TORCH
        + "def train(x, y):\n    net = nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=1))\n"
        + "    F.cross_entropy(net(x), y).backward()\n    return net\n",
        "returned to callers unknown here",
    ),
    "an output kept in an attribute that a method reads which nobody calls": (
        PROBABILITIES + "class Log:\n    def step(self, x, y):\n        self.last = net(x)\n"
        "        return criterion(self.last, y)\n\n    def report(self):\n        return self.last.sum()\n",
        "`self.last` may be the output",
    ),
    "an output kept in a global name": (
        PROBABILITIES + "def step(x, y):\n    global last\n    last = net(x)\n    return criterion(last, y)\n",
        "kept for later",
    ),
    "a model that is handed on as an argument": (
        PROBABILITIES
        + "other = nn.Linear(4, 3)\n\n"
        + STEP
        + "def evaluate(net, x):\n    return net(x).argmax(1), net(x)\n",
        "an argument in a function that nothing calls",
    ),
    "code that nothing runs": (
        PROBABILITIES + STEP + "if False:\n    print(net(torch.zeros(1, 4)))\n",
        "in code that nothing runs",
    ),
}

#: why there is no certain fix -> the program
LEFT_ALONE: dict[str, str] = {
    "another criterion in the other branch": TORCH
    + "net = nn.Sequential(nn.Linear(4, 1), nn.Sigmoid())\nloss = nn.BCELoss()\n"
    + "if torch.rand(()) > 0.5:\n    loss = nn.MSELoss()\n\n"
    + "def step(x, y):\n    return loss(net(x), y)\n",
    "a criterion of two branches that another model's loss is, too": TORCH
    + "net, other = nn.Sequential(nn.Linear(4, 1), nn.Sigmoid()), nn.Sequential(nn.Linear(4, 1), nn.Hardsigmoid())\n"
    + "if torch.rand(()) > 0.5:\n    loss = nn.BCELoss()\nelse:\n    loss = nn.BCELoss(reduction='sum')\n\n"
    + "def step(x, y):\n    return loss(net(x), y) + loss(other(x), y)\n",
    "classes put in other rows before the loss": TORCH
    + "net = nn.Sequential(nn.Linear(4, 6), nn.Softmax(dim=-1))\n\n"
    + "def step(x, y):\n    return F.cross_entropy(net(x).view(-1, 2), y.view(-1))\n",
    "rows as long as something else": TORCH
    + "net = nn.Sequential(nn.Linear(4, 6), nn.Softmax(dim=-1))\n\n"
    + "def step(x, y):\n    return F.cross_entropy(net(x).view(-1, x.size(-1)), y.view(-1))\n",
    "one model of two whose softmax is along another axis": TORCH
    + "def train(net, x, y):\n    F.cross_entropy(net(x), y).backward()\n\n"
    + "a = nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=1))\nb = nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=0))\n\n"
    + "train(a, torch.zeros(2, 4), torch.zeros(2).long())\ntrain(b, torch.zeros(2, 4), torch.zeros(2).long())\n",
    "logits that a threshold takes for probabilities, which is found once the loss says that they are logits": TORCH
    + "net = nn.Linear(4, 1)\ncriterion = nn.BCELoss()\n\ndef step(x, y):\n    out = net(x)\n"
    + "    print(out > 0.5)\n    return criterion(out, y)\n",
    "the output is written into": PROBABILITIES
    + "def step(x, y):\n    out = net(x)\n    out[0] = 0\n    return criterion(out, y)\n",
    "a method changes it in place": PROBABILITIES
    + "def step(x, y):\n    out = net(x)\n    out.clamp_(0.1, 0.9)\n    return criterion(net(x), y), out\n",
    "outputs put together that were not appended": PROBABILITIES
    + STEP
    + "def evaluate(xs):\n    return torch.cat([net(x) for x in xs])\n",
    "appended, and unpacked": PROBABILITIES
    + STEP
    + "def evaluate(x):\n    outs = []\n    outs.append(net(x))\n    outs.append(net(-x))\n    first, second = outs\n"
    "    print(first, outs)\n",
    "appended, read one by one and together": PROBABILITIES
    + STEP
    + "def evaluate(xs):\n    outs = []\n    for x in xs:\n        outs.append(net(x))\n    print(outs[0])\n"
    "    return torch.cat(outs)\n",
    "logits that are written into later": TORCH
    + "net = nn.Linear(4, 3)\n\ndef step(x, y):\n    z = net(x)\n    p = F.softmax(z, dim=1)\n    z[:, 0] = 0\n"
    "    return F.cross_entropy(p, y)\n",
    "a softmax that converts": TORCH + "net = nn.Linear(4, 3)\n\ndef step(x, y):\n"
    "    return F.cross_entropy(F.softmax(net(x), dim=1, dtype=torch.float64), y)\n",
    "made without a gradient": TORCH
    + "net = nn.Sequential(nn.Linear(4, 4), nn.Sigmoid())\n\ndef step(x):\n    with torch.no_grad():\n        out = net(x)\n"
    "    return F.binary_cross_entropy(out, x)\n\nstep(torch.zeros(2, 4)).backward()\n",
    "a layer that two models have": TORCH
    + "act = nn.Sigmoid()\nnet, other = nn.Sequential(nn.Linear(4, 1), act), nn.Sequential(nn.Linear(4, 4), act)\n"
    "loss = nn.BCELoss()\n\ndef step(x, y):\n    return loss(net(other(x)), y)\n",
    "a softmax that one reader applies again, and another doesn't": PROBABILITIES
    + STEP
    + "def show(x):\n    print(F.softmax(net(x), dim=1))\n\ndef tell(x):\n    print(net(x))\n",
    "a softmax that is applied again along another axis": PROBABILITIES
    + STEP
    + "def show(x):\n    print(F.softmax(net(x), dim=0), net(x).softmax(1))\n",
    "the loss reads it in another shape": PROBABILITIES
    + "def step(x, y):\n    return criterion(net(x).reshape(-1, 6), y)\n",
    "read together with something else": TORCH
    + "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n        self.fc = nn.Linear(4, 3)\n\n"
    "    def forward(self, x):\n        return {'p': self.fc(x).softmax(-1), 'x': x}\n\nnet = Net()\n\n"
    "def step(x, y):\n    out = net(x)\n    print(out)\n    return F.cross_entropy(out['p'], y)\n",
    "a metric that needs probabilities": KERAS
    + "model = keras.Sequential([keras.layers.Dense(10, activation='softmax')])\n"
    "model.compile(loss='categorical_crossentropy', metrics=['AUC'])\n",
    "a layer that its loss is known by": KERAS
    + "i = keras.Input((8,))\np = keras.layers.Softmax(name='p')(keras.layers.Dense(10)(i))\n"
    "q = keras.layers.Dense(1, name='q')(i)\nmodel = keras.Model(i, [p, q])\n"
    "model.compile(loss={'p': 'categorical_crossentropy', 'q': 'mse'})\n",
    "one of several outputs predicted": KERAS
    + "i = keras.Input((8,))\np = keras.layers.Dense(10, activation='softmax', name='p')(i)\n"
    "q = keras.layers.Dense(1, name='q')(i)\nmodel = keras.Model(i, [p, q])\n"
    "model.compile(loss=['categorical_crossentropy', 'mse'])\nkind, size = model.predict(x)\nprint(kind)\n",
    "metrics by names that the outputs have elsewhere": KERAS
    + "i = keras.Input((8,))\np = keras.layers.Dense(1, activation='sigmoid')(i)\n"
    "q = keras.layers.Dense(1)(i)\nmodel = keras.Model(i, {'p': p, 'q': q})\n"
    "model.compile(loss={'p': 'binary_crossentropy', 'q': 'mse'}, metrics={'p': ['AUC'], 'q': ['mae']})\n",
    "AUC of several classes": KERAS + "model = keras.Sequential([keras.layers.Dense(10, activation='softmax')])\n"
    "model.compile(loss='categorical_crossentropy', metrics=[keras.metrics.AUC()])\n",
}
