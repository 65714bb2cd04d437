"""Who reads an output: what is computed from probabilities is none, nor is what only stands beside the model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ..workbench import fixed, fixed_bytes, repaired

TORCH = "import torch\nimport torch.nn.functional as F\nfrom torch import nn\n\n"
ONE_UNIT = (
    "net = nn.Sequential(nn.Linear(8, 1){})\nloss_of = nn.{}()\n\n\n"
    "def step(x, y):\n    return loss_of(net(x), y)\n\n\n"
)
SIGMOID = TORCH + ONE_UNIT.format(", nn.Sigmoid()", "BCELoss")
ONE_LOGIT = TORCH + ONE_UNIT.format("", "BCEWithLogitsLoss")
CLASSES = "net = nn.Sequential(nn.Linear(8, 5){})\n\n\ndef step(x, y):\n    return F.cross_entropy(net(x), y)\n\n\n"
SOFTMAX = TORCH + CLASSES.format(", nn.Softmax(dim=-1)")
LOGITS = TORCH + CLASSES.format("")
KERAS = 'import keras\n\nnet = keras.Sequential([keras.layers.Dense(5, activation="softmax")])\n'
FITTED = KERAS + 'net.compile("sgd", "categorical_crossentropy")\nnet.fit(x, y, callbacks=[{}])\n'

#: what reads -> the program before and after
RESTORED = {
    "each item of sigmoids, by its name": (
        SIGMOID + "def sure(x):\n    return [abs(o.item() - 0.5) for o in net(x)]\n",
        ONE_LOGIT + "def sure(x):\n    return [abs(o.sigmoid().item() - 0.5) for o in net(x)]\n",
    ),
    "sigmoids in a loop": (
        SIGMOID + "def show(x):\n    for o in net(x):\n        print(o)\n",
        ONE_LOGIT + "def show(x):\n    for o in net(x):\n        print(o.sigmoid())\n",
    ),
    "sigmoids in a loop that counts": (
        SIGMOID + "def show(x):\n    for i, o in enumerate(net(x)):\n        print(i, o)\n",
        ONE_LOGIT + "def show(x):\n    for i, o in enumerate(net(x)):\n        print(i, o.sigmoid())\n",
    ),
    "rows of an array beside others": (
        SOFTMAX + "def show(x):\n    for p, q in zip(net(x).numpy()[:9], x):\n        print(p.max(), q)\n",
        LOGITS
        + "def show(x):\n    for p, q in zip(net(x).softmax(dim=-1).numpy()[:9], x):\n        print(p.max(), q)\n",
    ),
    "a list of numbers": (
        SOFTMAX + "def show(x):\n    print(list(net(x).tolist()))\n",
        LOGITS + "def show(x):\n    print(list(net(x).softmax(dim=-1).tolist()))\n",
    ),
    "items of a softmax get it before they are taken apart": (
        SOFTMAX + "def show(x):\n    return [row.max().item() for row in net(x)]\n",
        LOGITS + "def show(x):\n    return [row.max().item() for row in net(x).softmax(dim=-1)]\n",
    ),
    "the probability of what was so, put together of both": (
        SIGMOID + "def focus(x, y):\n    p = net(x)\n    hit = y * p + (1 - y) * (1 - p)\n    return 1 - hit\n",
        ONE_LOGIT
        + "def focus(x, y):\n    p = net(x).sigmoid()\n    hit = y * p + (1 - y) * (1 - p)\n    return 1 - hit\n",
    ),
    "probabilities over their sum": (
        SOFTMAX + "def again(x):\n    p = net(x)\n    whole = p / p.sum(-1, keepdim=True)\n    return whole ** 2\n",
        LOGITS + "def again(x):\n    p = net(x).softmax(dim=-1)\n    whole = p / p.sum(-1, keepdim=True)\n"
        "    return whole ** 2\n",
    ),
    "a variable of the module that nothing reads": (
        SIGMOID + "for x in torch.rand(3, 4, 8):\n    result = net(x)\n    print(step(x, y))\n    score = result\n",
        ONE_LOGIT
        + "for x in torch.rand(3, 4, 8):\n    result = net(x)\n    print(step(x, y))\n    score = result.sigmoid()\n",
    ),
    "what nobody reads in another shape": (
        SOFTMAX + "if __name__ == '__main__':\n    scores = net(torch.rand(4, 8))[0]\n",
        LOGITS + "if __name__ == '__main__':\n    scores = net(torch.rand(4, 8)).softmax(dim=-1)[0]\n",
    ),
    "a variable of the module of which the place of the greatest is read": (
        SOFTMAX + "scores = net(torch.rand(4, 8))\nprint(scores.argmax(-1))\n",
        LOGITS + "scores = net(torch.rand(4, 8))\nprint(scores.argmax(-1))\n",
    ),
    "a function's own variable that nothing reads": (
        SOFTMAX + "def run(x, y):\n    scores = net(x)\n    return step(x, y)\n",
        LOGITS + "def run(x, y):\n    scores = net(x)\n    return step(x, y)\n",
    ),
}


@pytest.mark.parametrize(("before", "after"), RESTORED.values(), ids=RESTORED)
def test_what_is_computed_from_probabilities_sees_the_same(tmp_path: Path, before: str, after: str) -> None:
    assert fixed(tmp_path, before) == after


def notebook(*cells: str) -> bytes:
    return json.dumps(
        {
            "nbformat": 4,
            "nbformat_minor": 5,
            "metadata": {"language_info": {"name": "python"}},
            "cells": [
                {
                    "cell_type": "code",
                    "id": f"c{i}",
                    "metadata": {},
                    "outputs": [],
                    "execution_count": None,
                    "source": c,
                }
                for i, c in enumerate(cells)
            ],
        }
    ).encode()


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ("step(x, y)\nout = net(x)\nout", "step(x, y)\nout = net(x)\nout.softmax(dim=-1)"),
        ("step(x, y)\nout = net(x)\nout;", "step(x, y)\nout = net(x)\nout;"),
        ("out = net(x)\nout\nstep(x, y)", "out = net(x)\nout\nstep(x, y)"),
    ],
)
def test_what_a_cell_shows_is_read(tmp_path: Path, cell: str, shown: str) -> None:
    data = fixed_bytes(tmp_path, notebook(SOFTMAX, cell), "notes.ipynb")
    assert "".join(json.loads(data)["cells"][1]["source"]) == shown


def note_of(folder: Path, program: str) -> str:
    """Why the fix of a program's finding is unsafe; empty where it is safe."""
    file = folder / "program.py"
    file.write_text(program)
    (fix,) = {f.fix for f in repaired(file).remaining} or {None}
    return fix.note if fix is not None else ""


@pytest.mark.parametrize(
    "callback", ["keras.callbacks.ModelCheckpoint('m.keras')", "extra.callbacks.Gallery()", "SomeCallback()"]
)
def test_a_callback_that_may_keep_the_model_is_named(tmp_path: Path, callback: str) -> None:
    imports = "import extra\nfrom extra import SomeCallback\n"
    assert "is handed the model (line " in note_of(tmp_path, imports + FITTED.format(callback))


@pytest.mark.parametrize(
    "callback",
    [
        "keras.callbacks.EarlyStopping(patience=3)",
        "keras.callbacks.TensorBoard('logs')",
        "keras.callbacks.ModelCheckpoint('m.weights.h5', save_weights_only=True)",
    ],
)
def test_a_callback_that_looks_at_losses_or_weights_is_no_reader(tmp_path: Path, callback: str) -> None:
    assert 'Dense(5, activation="softmax")' not in fixed(tmp_path, FITTED.format(callback))


WATCHING = "class Watch({}):\n    def on_epoch_end(self, epoch, logs=None):\n        {}\n\n"
LOOKING = "keras.callbacks.EarlyStopping"


@pytest.mark.parametrize(
    ("defined", "callbacks", "safe"),
    [
        (WATCHING.format("keras.callbacks.Callback", "print(logs)"), "[Watch()]", True),
        (WATCHING.format(LOOKING, "print(epoch)"), "[Watch()]", True),
        (WATCHING.format("keras.callbacks.ModelCheckpoint", "print(epoch)"), "[Watch('m.keras')]", False),
        (WATCHING.format("extra.Base", "print(self.model.predict(x))"), "[Watch()]", False),
        (WATCHING.format("keras.callbacks.Callback", "print(getattr(self, 'model')(x))"), "[Watch()]", False),
        (WATCHING.format("keras.callbacks.Callback", "print(self._model(x))"), "[Watch()]", False),
        (WATCHING.format("Kept", "print(self.kept(x))"), "[Watch()]", False),
        (WATCHING.format("Plain", "print(self.model.predict(x))"), "[Watch()]", False),
        ("", "[extra.Watcher()]", False),
        ("", "extra.those()", False),
        ("", f"[{LOOKING}(), *extra.those]", False),
        (f"def those():\n    return [{LOOKING}()]\n\n", "those()", True),
        ("def those():\n    return [extra.Watcher()]\n\n", "those()", False),
        ("def those(one):\n    return [one]\n\n", "those(extra.Watcher())", False),
        ("", f"[{LOOKING}()] if epochs else None", True),
        (f"some = [{LOOKING}()]\nsome.append({LOOKING}())\n", "some", True),
        (f"some = [{LOOKING}()]\nsome.append(extra.Watcher())\n", "some", False),
        ("some = []\nfor one in extra.those:\n    some += [one]\n", "some", False),
        (f"def make():\n    stop = {LOOKING}()\n    return stop, 'logs'\n\nstop, logs = make()\n", "[stop]", True),
        (f"stop, logs = {LOOKING}(), 'logs'\n", "[stop]", True),
        ("def make():\n    return 'logs', extra.Watcher()\n\nlogs, one = make()\n", "[one]", False),
        (f"def make():\n    return {LOOKING}(), 'logs'\n\nlogs, one = make()\n", "[one]", False),
        ("def make():\n    return extra.those\n\none, logs = make()\n", "[one]", False),
        (f"one, *logs = {LOOKING}(), 'logs'\n", "[one]", False),
        ("one, logs = extra.make()\n", "[one]", False),
    ],
)
@pytest.mark.parametrize("way", ["callbacks={}", "32, 3, 'auto', {}", "**{{'callbacks': {}}}"])
def test_what_a_callback_asks_is_known_or_the_fix_unsafe(
    tmp_path: Path, defined: str, callbacks: str, safe: bool, way: str
) -> None:
    plain = "class Plain(keras.callbacks.Callback):\n    pass\n\n"
    kept = "class Kept(keras.callbacks.Callback):\n    def set_model(self, model):\n        self.kept = model\n\n"
    start, _, _ = FITTED.partition("net.fit")
    program = f"import extra\n{start}{plain}{kept}{defined}net.fit(x, y, {way.format(callbacks)})\n"
    assert (fixed(tmp_path, program) != program) is safe


@pytest.mark.parametrize(
    ("shown", "safe"),
    [
        ("board = keras.callbacks.TensorBoard('logs')\nboard.set_model(net)\n", True),
        ("board = keras.callbacks.TensorBoard('logs')\nboard.set_model(net)\nprint(board.model(x))\n", False),
        ("board = keras.callbacks.ModelCheckpoint('m.keras')\nboard.set_model(net)\n", False),
        ("board = keras.callbacks.TensorBoard('logs')\nboard = extra.Board()\nboard.set_model(net)\n", False),
        ("board = extra.Board()\nboard.set_model(net)\n", False),
        ("class Board(keras.callbacks.TensorBoard):\n    pass\n\nboard = Board()\nboard.set_model(net)\n", False),
        ("board = keras.callbacks.TensorBoard('logs')\nboard.show(net)\n", False),
    ],
)
def test_a_callback_of_keras_that_is_shown_the_model_only_looks(tmp_path: Path, shown: str, safe: bool) -> None:
    start, fit, rest = FITTED.partition("net.fit")
    program = "import extra\n" + start + shown + fit + rest.format("keras.callbacks.EarlyStopping()")
    assert (fixed(tmp_path, program) != program) is safe


def test_what_a_script_of_keras_ends_with_stays_what_it_is(tmp_path: Path) -> None:
    program = FITTED.format("") + "predictions = net.predict(x)\n"
    after = fixed(tmp_path, program)
    assert "probability_net = keras.Sequential([net, keras.layers.Softmax()])\n" in after
    assert after.endswith("predictions = probability_net.predict(x)\n")


FALLING = "print(net.predict(x))\n"
READ = "net = keras.models.load_model('net.keras')"


@pytest.mark.parametrize(
    ("perhaps", "safe"),
    [
        (f"try:\n    {READ}\nexcept OSError:\n    net.fit(x, y)\n", False),
        (f"try:\n    {READ}\nexcept OSError:\n    raise\n", True),
        (f"try:\n    net.fit(x, y)\nexcept OSError:\n    {READ}\n", False),
        ("try:\n    net.fit(x, y)\nexcept OSError:\n    print('no')\n", True),
        (f"while net.fit(x, y):\n    break\nelse:\n    {READ}\n", False),
        (f"with contextlib.suppress(OSError):\n    {READ}\n", False),
    ],
)
def test_a_model_that_is_perhaps_another_is_named(tmp_path: Path, perhaps: str, safe: bool) -> None:
    start = "import contextlib\n" + KERAS + 'net.compile("sgd", "categorical_crossentropy")\n'
    program = start + perhaps + FALLING
    assert (fixed(tmp_path, program) != program) is safe


@pytest.mark.parametrize(
    ("hands", "safe"),
    [
        ("extra.explain(net.predict)", False),
        ("asking = {'ask': net.predict}", False),
        ("extra.ask = net.predict", False),
        ("print(net.predict(x))", True),
        ("p = (lambda ask: ask)(net.predict)", True),
        ("ask = net.predict\nprint(ask(x).tolist())", False),
        ("import functools\nask = functools.partial(net.predict, verbose=0)\nprint(ask(x).tolist())", False),
    ],
)
def test_who_is_handed_predict_itself_asks_for_probabilities(tmp_path: Path, hands: str, safe: bool) -> None:
    program = f'import extra\n{KERAS}net.compile("sgd", "categorical_crossentropy")\n{hands}\n'
    assert (fixed(tmp_path, program) != program) is safe


OTHERS = "other = keras.Sequential([keras.layers.Dense(1)])\nother.compile('sgd', 'mse')\n"
KEEPS = "keras.callbacks.ModelCheckpoint('m.keras')"


@pytest.mark.parametrize(
    ("fits", "safe"),
    [
        (f"kept = [{KEEPS}]\nother.fit(x, y, callbacks=kept)\nkept = []\nnet.fit(x, y, callbacks=kept)\n", True),
        (f"kept = []\nother.fit(x, y, callbacks=kept)\nkept = [{KEEPS}]\nnet.fit(x, y, callbacks=kept)\n", False),
        (f"one = {KEEPS}\nother.fit(x, y, callbacks=[one])\nnet.fit(x, y, callbacks=[])\n", True),
        (f"one = {KEEPS}\nother.fit(x, y)\nnet.fit(x, y, callbacks=[one])\n", False),
        (f"kept = []\nkept.append({KEEPS})\nother.fit(x, y)\nnet.fit(x, y, callbacks=kept)\n", False),
        (f"one = {KEEPS}\nother.fit(x, y, callbacks=[one])\nnet.fit(x, y, callbacks=[one])\n", False),
        (f"one = {KEEPS}\nother.fit(x, y, callbacks=[])\nnet.fit(x, y, 32, 3, 'auto', [one])\n", False),
        (f"other.fit(x, y, callbacks=those({KEEPS}))\nnet.fit(x, y, callbacks=mine())\n", True),
    ],
)
def test_a_callback_of_another_model_keeps_only_that(tmp_path: Path, fits: str, safe: bool) -> None:
    note = note_of(tmp_path, KERAS + 'net.compile("sgd", "categorical_crossentropy")\n' + OTHERS + fits)
    assert ("`ModelCheckpoint` is handed the model" not in note) is safe


@pytest.mark.parametrize(
    ("fit", "safe"),
    [
        ("net.fit(x, y)", True),
        ("net.fit(x, y, callbacks=[keras.callbacks.EarlyStopping(patience=3)])", True),
        ("slow = keras.callbacks.ReduceLROnPlateau()\nnet.fit(x, y, callbacks=[slow])", True),
        ("net.fit(x, y, callbacks=[one])", False),
        ("net.fit(x, y, 32, 3, 'auto', [one])", False),
        ("net.fit(x, y, **options)", False),
        ("net.fit(*everything)", False),
        ("net.fit(x, y, callbacks=mine())", False),
    ],
)
def test_a_fit_without_a_checkpoint_keeps_no_model(tmp_path: Path, fit: str, safe: bool) -> None:
    kept = f"{OTHERS}one = {KEEPS}\nother.fit(x, y, callbacks=[one])\n"
    program = (
        f'from data import everything, mine, options\n{KERAS}net.compile("sgd", "categorical_crossentropy")\n{kept}'
    )
    assert (fixed(tmp_path, f"{program}{fit}\n") != f"{program}{fit}\n") is safe


def test_a_model_like_it_that_is_trained_on_logits_is_another(tmp_path: Path) -> None:
    program = (
        "from tensorflow import keras\nfrom data import x, y\n\n"
        "one = keras.Sequential([keras.layers.Dense(9)])\n"
        'one.compile("sgd", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))\none.fit(x, y)\n'
        'two = keras.Sequential([keras.layers.Dense(9, activation="softmax")])\n'
        'two.compile("sgd", loss="sparse_categorical_crossentropy")\ntwo.fit(x, y)\n'
    )
    assert "activation" not in fixed(tmp_path, program)


#: what isn't the output -> a program whose fix is safe
NO_READER = {
    "a backbone from elsewhere, and its configuration": "import torch.nn.functional as F\n"
    "from somewhere import Backbone\nfrom torch import nn\n\n\nclass Net(nn.Module):\n"
    "    def __init__(self):\n        super().__init__()\n        self.body = Backbone.from_pretrained('small')\n"
    "        self.top = nn.Linear(self.body.config.width, 5)\n\n"
    "    def forward(self, x):\n        return F.softmax(self.top(self.body(x)[0]), dim=-1)\n\n\nnet = Net()\n\n\n"
    "def step(x, y):\n    return F.cross_entropy(net(x), y)\n",
    "a layer before the head": SOFTMAX + "def size():\n    return net[0].weight.norm()\n",
    "a picture of its layers": SOFTMAX.replace("import torch\n", "import torch\nfrom torchinfo import summary\n")
    + "print(summary(net, (1, 8)))\n",
    "the state of the model": SOFTMAX + "torch.save(net.state_dict(), 'net.pt')\nnet.to('cpu').eval()\n",
}


@pytest.mark.parametrize("program", NO_READER.values(), ids=NO_READER)
def test_what_cannot_read_the_output_makes_no_fix_unsafe(tmp_path: Path, program: str) -> None:
    assert note_of(tmp_path, program) == ""
    assert "oftmax(" not in fixed(tmp_path, program)


def test_another_object_of_the_class_is_followed_too(tmp_path: Path) -> None:
    program = TORCH + (
        "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.top = nn.Linear(8, 5)\n\n"
        "    def forward(self, x):\n        return F.softmax(self.top(x), dim=-1)\n\n\nnet = Net()\nserve(Net())\n\n\n"
        "def step(x, y):\n    return F.cross_entropy(net(x), y)\n"
    )
    assert "handed to `serve` (line 15)" in note_of(tmp_path, program)


@pytest.mark.parametrize(
    ("decorator", "said"), [("registry.register('net')", "what decorates `Net` (line 7)"), ("dataclass", "")]
)
def test_a_class_that_a_decorator_registers_is_asked_for_by_others(tmp_path: Path, decorator: str, said: str) -> None:
    program = TORCH.replace("import torch\n", "import registry\nimport torch\nfrom dataclasses import dataclass\n") + (
        f"@{decorator}\nclass Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.top = nn.Linear(8, 5)\n\n    def forward(self, x):\n"
        "        return F.softmax(self.top(x), dim=-1)\n\n\nnet = Net()\n\n\n"
        "def step(x, y):\n    return F.cross_entropy(net(x), y)\n"
    )
    assert said in note_of(tmp_path, program)


HEIRS = TORCH + (
    "class Base(nn.Module):\n    def cost(self, x, y):\n        return F.binary_cross_entropy(self(x), y)\n\n\n"
    "class Made(Base):\n    def __init__(self):\n        super().__init__()\n        self.top = nn.Linear(8, 1)\n\n"
    "    def forward(self, x):\n        return torch.sigmoid(self.top(x))\n\n\n"
    "class Heir({}):\n    {}\n\n\ndef step(x, y):\n    return Made().cost(x, y)\n"
)


@pytest.mark.parametrize(
    ("above", "body", "safe"),
    [
        ("Base", "def forward(self, x):\n        return x.clamp(0, 1)", False),
        ("Made", "def forward(self, x):\n        return super().forward(x) ** 2", False),
        ("Made", "width = 3", True),
        ("Base", "def cost(self, x, y):\n        return 0", True),
        ("nn.Module", "def forward(self, x):\n        return x", True),
    ],
)
def test_an_heir_that_nobody_makes_may_run_a_changed_method(tmp_path: Path, above: str, body: str, safe: bool) -> None:
    program = HEIRS.format(above, body)
    assert (fixed(tmp_path, program) != program) is safe


def test_an_heir_that_nobody_makes_is_named(tmp_path: Path) -> None:
    program = HEIRS.format("Base", "def forward(self, x):\n        return x.clamp(0, 1)")
    program = program.replace("def step", "made = Made()\n\n\ndef step").replace("Made().cost", "made.cost")
    assert "`Heir` inherits `cost` (line 19)" in note_of(tmp_path, program)


def test_a_container_that_holds_the_model_is_followed(tmp_path: Path) -> None:
    assert "kept by `torch.save` (line 12)" in note_of(
        tmp_path, SOFTMAX + "torch.save({'net': net, 'epoch': 1}, 'net.pt')\n"
    )
    assert note_of(tmp_path, SOFTMAX + "for one in [net]:\n    print(len([net]), one(3).argmax())\n") == ""


def test_nor_can_an_object_of_another_class(tmp_path: Path) -> None:
    rows = "class Rows(torch.utils.data.Dataset):\n    def __getitem__(self, i):\n        return self.rows[i]\n"
    (tmp_path / "rows.py").write_text("import torch\n\n\n" + rows)
    net = (
        "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.top = nn.Linear(8, 5)\n\n    def forward(self, x):\n        return {}\n\n\n"
        "net = Net()\nfor x, y in Rows():\n    F.cross_entropy(net(x), y)\n"
    )
    head = "import torch.nn.functional as F\nfrom rows import Rows\nfrom torch import nn\n\n\n"
    before, after = net.format("F.softmax(self.top(x), dim=-1)"), net.format("self.top(x)")
    assert fixed(tmp_path, head + before) == head + after


@pytest.mark.parametrize("item", ["net[-1]", "net[1]", "net[:-1](x)"])
def test_the_head_itself_and_what_is_counted_from_it_are_followed_by_nobody(tmp_path: Path, item: str) -> None:
    assert note_of(tmp_path, SOFTMAX + f"def inside(x):\n    return {item}\n") != ""


#: what a function does with its parameter `p` where nobody runs it
OTHER_BRANCHES = ("print(p)", "print(1 - p)", "print(f'{p}')", "return p", "q = p", "plot(p)")


@pytest.mark.parametrize("does", OTHER_BRANCHES)
def test_a_function_that_is_handed_the_softmax_again_reads_it_in_its_other_branch_too(
    tmp_path: Path, does: str
) -> None:
    show = f"def show(p, labels=None):\n    if labels:\n        {does}\n    print(p.argmax(-1))\n\n\n"
    look = "def look(x):\n    show({}, labels=False)\n"
    assert fixed(tmp_path, SOFTMAX + show + look.format("net(x)")) == LOGITS + show + look.format(
        "net(x).softmax(dim=-1)"
    )


def test_the_log_of_the_other_branch_is_one_of_a_softmax_too(tmp_path: Path) -> None:
    program = TORCH + (
        "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.top = nn.Linear(8, 5)\n\n"
        "    def forward(self, x):\n        return {}self.top(x){}\n\n\nnet = Net()\n\n\n"
        "def cost(p, y, weights=None):\n    if weights is not None:\n        return -(weights * y * torch.{})\n"
        "    return -(y * torch.{}).sum()\n\n\ndef step(x, y):\n    return cost(net(x), y, weights=3)\n"
    )
    mended = fixed(tmp_path, program.format("F.softmax(", ", dim=-1)", "log(p)", "log(p)"))
    assert "return self.top(x)\n" in mended
    assert mended.count("log_softmax(p, dim=-1)") == 2 and "torch.log(" not in mended


def test_every_return_of_a_method_loses_its_sigmoid(tmp_path: Path) -> None:
    program = (
        "import tensorflow as tf\n\n\ndef cost(p, y):\n"
        "    return -tf.reduce_mean(y * tf.math.log(p + 1e-9) + (1 - y) * tf.math.log(1 - p + 1e-9))\n\n\n"
        "class Critic:\n    def __init__(self, wide=None):\n        self.wide = wide\n"
        "        self.score = self.judge(tf.compat.v1.placeholder(tf.float32, [8, 20]))\n"
        "        self.loss = cost(self.score, tf.zeros_like(self.score))\n\n    def judge(self, x):\n"
        "        w = tf.compat.v1.get_variable('w', [20, 1])\n        if self.wide is None:\n"
        "            return {0}tf.matmul(x, w){1}\n        return {0}tf.matmul(x, self.wide){1}\n"
    )
    before, after = program.format("tf.nn.sigmoid(", ")"), program.format("", "")
    after = after.replace("tf.math.log(p + 1e-9)", "tf.math.log_sigmoid(p)")
    assert fixed(tmp_path, before) == after.replace("tf.math.log(1 - p + 1e-9)", "tf.math.log_sigmoid(-p)")


HANDED_OVER = TORCH + (
    "class Top(nn.Module):\n    def __init__(self, last):\n        super().__init__()\n"
    "        self.fc, self.last = nn.Linear(8, 5), last\n\n    def forward(self, x):\n"
    "        return self.last(self.fc(x))\n\n\nnet = Top({})\nmask = Top(nn.ReLU())\n\n\n"
    "def step(x, y):\n    return F.cross_entropy(net(x), y)\n"
)
ADDED = TORCH + (
    "net = nn.Sequential()\nnet.add_module('fc', nn.Linear(8, 5))\n{}\n\ndef step(x, y):\n"
    "    return F.cross_entropy(net(x), y)\n"
)
GENERIC = (
    "import keras\n\n\ndef dense(n, kind):\n    return keras.layers.Dense(n, activation=kind)\n\n\n"
    "net = keras.Sequential([dense(5, 'softmax')])\nnet.compile('sgd', 'categorical_crossentropy')\n"
)
RELU = (
    "import keras\n\nnet = keras.Sequential([keras.layers.Dense(1, activation='relu')])\n"
    "net.compile('sgd', 'binary_crossentropy')\n"
)
#: what an expert leaves, or writes otherwise -> the program before and after all of its fixes, unsafe ones too
WRITTEN = {
    "a layer that is handed over": (HANDED_OVER.format("nn.Softmax(dim=-1)"), HANDED_OVER.format("nn.Identity()")),
    "a layer that is added by a name": (
        ADDED.format("net.add_module('p', nn.Softmax(dim=-1))\n"),
        ADDED.format(""),
    ),
    "an activation that is a parameter stays": (GENERIC, GENERIC),
    "outputs of a relu are no logits": (RELU, RELU),
}


@pytest.mark.parametrize(("before", "after"), WRITTEN.values(), ids=WRITTEN)
def test_a_head_is_taken_out_where_it_was_put_in(tmp_path: Path, before: str, after: str) -> None:
    file = tmp_path / "program.py"
    file.write_text(before)
    assert [new.decode() for _, new in repaired(file, unsafe=True).changed] == [after] * (before != after)


def test_a_softmax_of_the_softmax_is_not_given_a_third(tmp_path: Path) -> None:
    program = TORCH + CLASSES.format("{}") + "def show(x):\n    print(F.softmax(net(x), dim=1))\n"
    file = tmp_path / "program.py"
    file.write_text(program.format(", nn.Softmax(dim=-1)"))
    assert repaired(file, unsafe=True).changed == ()


LOOP = "for layer in net.{}:\n    {}\n"
#: what of a model's layers is asked -> what is said against the fix; nothing where only weights are
ASKED = {
    "weights, by what the layers are": (
        LOOP.format("modules()", "if isinstance(layer, nn.Linear):\n        nn.init.zeros_(layer.weight)"),
        "",
    ),
    "weights, by the names": (
        "for name in net._modules:\n    if isinstance(net._modules[name], nn.Linear):\n"
        "        net._modules[name].weight.data.normal_(0, 1)\n",
        "",
    ),
    "weights, in a function of the project": (
        "def start(layer, size):\n    if isinstance(layer, (nn.Linear, nn.Conv2d)):\n"
        "        layer.weight.data.normal_(0, size)\n\n\n" + LOOP.format("children()", "start(layer, 0.1)"),
        "",
    ),
    "what the layers give": ("z = torch.zeros(2, 8)\n" + LOOP.format("children()", "z = layer(z)"), "`.children`"),
    "which layer is the head": (
        LOOP.format("modules()", "if isinstance(layer, nn.Sigmoid):\n        layer.weight = 0"),
        "`.modules`",
    ),
    "any layer": (LOOP.format("modules()", "if isinstance(layer, nn.Module):\n        layer.weight"), "`.modules`"),
    "all but the last": ("body = nn.Sequential(*list(net.children())[:-1])\n", "`.children`"),
}


@pytest.mark.parametrize(("asks", "unseen"), ASKED.values(), ids=ASKED)
def test_layers_that_are_asked_for_their_weights_show_no_output(tmp_path: Path, asks: str, unseen: str) -> None:
    program = SIGMOID + asks
    if unseen:
        assert unseen in note_of(tmp_path, program)
    else:
        assert fixed(tmp_path, program) == ONE_LOGIT + asks


def test_a_function_that_calls_them_shows_another(tmp_path: Path) -> None:
    shows = "def run(layer):\n    return layer(torch.zeros(8))\n\n\n" + LOOP.format("children()", "print(run(layer))")
    assert fixed(tmp_path, SIGMOID + shows) == SIGMOID + shows


def test_a_layer_that_goes_is_missed_where_those_without_weights_are_counted(tmp_path: Path) -> None:
    counts = "rest = 0\n" + LOOP.format(
        "children()", "if isinstance(layer, (nn.Linear, nn.Conv2d)):\n        pass\n    else:\n        rest += 1"
    )
    assert fixed(tmp_path, SIGMOID + counts) == SIGMOID + counts


OF_KERAS = {
    "drawn": ("keras.utils.plot_model(net, show_shapes=True)", ""),
    "drawn by a function of the project's own name": ("plot_model(net)", "`plot_model`"),
    "an inner layer's weights": ("net.layers[0].get_weights()", ""),
    "an inner layer's output": ("keras.Model(net.inputs, net.layers[0].output)", "of the model"),
    "the last layer's activation": ("net.layers[-1].activation", "`.layers`"),
    "the loss that it is compiled with": ("print(net.loss == 'categorical_crossentropy')", "`.loss`"),
}


@pytest.mark.parametrize(("asks", "unseen"), OF_KERAS.values(), ids=OF_KERAS)
def test_who_draws_a_model_or_reads_an_inner_layers_weights_reads_no_output(
    tmp_path: Path, asks: str, unseen: str
) -> None:
    program = FITTED.format("") + asks + "\n"
    if unseen:
        assert unseen in note_of(tmp_path, program)
    else:
        assert fixed(tmp_path, program) != program


LAYER_BY_LAYER = "for layer in net.layers:\n    {}"
#: what is asked of the layers -> whether it stays the same where one of them goes; where none does, it always does
OF_LAYERS = {
    "their weights": (LAYER_BY_LAYER.format("print(layer.get_weights())"), True),
    "their names": (LAYER_BY_LAYER.format("print(layer.name)"), False),
    "their shapes": (LAYER_BY_LAYER.format("print(layer.output_shape)"), False),
    "how many they are": ("half = len(net.layers) // 2", False),
    "the last one's weights": ("net.layers[-1].get_weights()", False),
    "all but the last": ("for layer in net.layers[:-1]:\n    layer.trainable = False", False),
    "a summary for the screen": ("net.summary()", True),
    "a summary, printed": ("net.summary(print_fn=print)", True),
    "a summary, kept": ("net.summary(print_fn=lines.append)", False),
}


@pytest.mark.parametrize("goes", [True, False])
@pytest.mark.parametrize(("asks", "same"), OF_LAYERS.values(), ids=OF_LAYERS)
def test_a_layer_that_goes_is_missed_by_who_counts_or_names_them(
    tmp_path: Path, asks: str, same: bool, goes: bool
) -> None:
    program = FITTED.format("") + asks + "\n"
    if goes:
        program = program.replace('(5, activation="softmax")', "(5), keras.layers.Softmax()")
    assert (fixed(tmp_path, program) != program) is (same or not goes)


@pytest.mark.parametrize(("shown", "safe"), [("print(net)", True), ("print(net, file=report)", False)])
def test_what_a_model_is_made_of_is_shown_as_it_is_but_not_kept(tmp_path: Path, shown: str, safe: bool) -> None:
    program = f"{SOFTMAX}{shown}\n"
    assert (fixed(tmp_path, program) != program) is safe


#: what a test, or code that nothing runs, asks of the output -> what becomes of it
ASSERTED = {
    "the sum": ("assert torch.allclose(p.sum(1), torch.ones(2))", "p = net(x).softmax(dim=-1)"),
    "another sum": ("assert abs(p.sum().item() - 2) < 1e-5, 'off'", "p = net(x).softmax(dim=-1)"),
    "the shape": ("assert p.shape == (2, 5)", "p = net(x)"),
    "the class": ("assert p.argmax() == 3", "p = net(x)"),
}


@pytest.mark.parametrize(("asserted", "read"), ASSERTED.values(), ids=ASSERTED)
def test_what_is_asserted_of_an_output_is_read(tmp_path: Path, asserted: str, read: str) -> None:
    test = "def test_output():\n    x = torch.zeros(2, 8)\n    {}\n    {}\n"
    asserted, read = asserted.replace("p.", "out."), read.replace("p =", "out =")
    after = fixed(tmp_path, SOFTMAX + test.format("out = net(x)", asserted))
    in_place = LOGITS + test.format("out = net(x)", asserted.replace("out.sum", "out.softmax(dim=-1).sum"))
    assert after in (LOGITS + test.format(read, asserted), in_place)
    assert ("softmax" in after) is ("softmax" in read)


ASKED_LATER = "def ask(x):\n    p, q = net(x), net(-x)\n    return extra({})\n"


@pytest.mark.parametrize("later", ["lambda: {}.sum()", "lambda q: q + {}"])
def test_a_lambda_that_nobody_calls_gets_the_softmax_back(tmp_path: Path, later: str) -> None:
    program = SOFTMAX + ASKED_LATER.format(later.format("p"))
    assert fixed(tmp_path, program) == LOGITS + ASKED_LATER.format(later.format("p.softmax(dim=-1)"))


@pytest.mark.parametrize("asked", ["", "print(answers.count_params())\n"])
def test_a_model_of_the_same_output_that_nothing_asks_is_for_others(tmp_path: Path, asked: str) -> None:
    program = (
        "import keras\n\ni = keras.Input((4,))\np = keras.layers.Dense(5, activation='softmax')(i)\n"
        "net = keras.Model(i, p)\nanswers = keras.Model(i, [p, i])\n"
        "net.compile(loss='categorical_crossentropy')\nnet.fit(x, y)\n"
    )
    after = fixed(tmp_path, program + asked)
    assert (after != program + asked) is bool(asked)
    if not asked:
        assert "the output is kept for later (line 6)" in note_of(tmp_path, program)


def test_a_model_that_another_file_takes_is_asked_there(tmp_path: Path) -> None:
    (tmp_path / "network.py").write_text(
        "import keras\n\ni = keras.Input((4,))\nnet = keras.Model(i, keras.layers.Dense(5, activation='softmax')(i))\n"
    )
    train = tmp_path / "train.py"
    train.write_text(
        "import keras\nfrom network import net\n\nnet.compile(loss='categorical_crossentropy')\nnet.fit(x, y)\n"
    )
    assert {d.path.name for d, _ in repaired(train).changed} == {"network.py", "train.py"}


@pytest.mark.parametrize("later", ["lambda q={}: q{}.sum()", "lambda *, q={}: q{}.sum()"])
def test_a_default_is_followed_to_where_it_is_read(tmp_path: Path, later: str) -> None:
    program = "def tell(x):\n    out = net(x)\n    later = {}\n    print(later())\n"
    before = SOFTMAX + program.format(later.format("out", ""))
    assert fixed(tmp_path, before) == LOGITS + program.format(later.format("out", ".softmax(dim=-1)"))


def test_a_default_of_what_nobody_calls_is_given_the_softmax_back(tmp_path: Path) -> None:
    program = "def tell(x, extra):\n    out = net(x)\n    extra(lambda a, q={}: a)\n"
    assert fixed(tmp_path, SOFTMAX + program.format("out")) == LOGITS + program.format("out.softmax(dim=-1)")


def test_a_lambda_that_gives_the_output_shows_it_to_who_is_handed_it(tmp_path: Path) -> None:
    assert "is handed to `extra`" in note_of(tmp_path, SOFTMAX + ASKED_LATER.format("lambda: q"))


#: functions that nobody knows to be called, of which nobody knows either to what their names are bound then
BOUND_ANEW = {
    "later": "def ask(x):\n    p = net(x)\n    extra(lambda: p.sum())\n    p = x\n    return p\n",
    "later, for a function with a name": (
        "def ask(x):\n    p = net(x)\n\n    def inner():\n        return p.sum()\n\n    extra(inner)\n    p = x\n"
        "    return p\n"
    ),
    "later, in a branch": (
        "def ask(x):\n    p = net(x)\n    extra(lambda: p.sum())\n    if x.sum() > 0:\n        p = x\n"
        "        return p\n    p = x\n    return p\n"
    ),
    "in the next round": (
        "def ask(xs):\n    kept, p = [], None\n    for x in xs:\n        p = net(x)\n"
        "        kept.append(lambda: p.sum())\n        p = x\n    return kept\n"
    ),
    "on the way out": (
        "def ask(x):\n    p = net(x)\n    if x.sum() > 0:\n        p = x\n        return extra(lambda: p.sum())\n"
        "    return 0\n"
    ),
    "by the module": "p = net(torch.zeros(2, 8))\nextra(lambda: print(p))\np = torch.zeros(3)\n",
    "the model": (
        "def ask(x):\n    m = net\n    extra(lambda v: print(m(v)))\n    m = nn.Linear(8, 5)\n    return m(x)\n"
    ),
}


@pytest.mark.parametrize("asks", BOUND_ANEW.values(), ids=BOUND_ANEW)
def test_a_name_that_is_bound_anew_before_nobody_knows_which_call_is_named(tmp_path: Path, asks: str) -> None:
    assert "in code that nothing runs" in note_of(tmp_path, SOFTMAX + asks)


MADE = KERAS.replace("net = ", "def build():\n    net = ").rstrip() + (
    '\n    net.compile("sgd", "categorical_crossentropy")\n    return net\n\n\nmodel = build()\nmodel.fit(x, y)\n'
)


@pytest.mark.parametrize(
    ("hands", "safe"),
    [
        ("found = search(build)\nprint(found.predict_proba(x))\n", False),
        ("found = search(lambda size: build())\n", False),
        ("print(build().count_params())\n", True),
        ("print(isinstance(build, type))\n", True),
    ],
)
def test_who_is_handed_a_function_that_makes_the_model_may_ask_it(tmp_path: Path, hands: str, safe: bool) -> None:
    program = MADE + hands
    assert (fixed(tmp_path, program) != program) is safe


RECORD = "from dataclasses import dataclass\n\n\n@dataclass\nclass Guess:\n    probs: object\n\n\n"


def test_a_record_keeps_probabilities(tmp_path: Path) -> None:
    program = SOFTMAX + RECORD + "def guess(x):\n    return Guess({})\n"
    assert fixed(tmp_path, program.format("net(x)")) == (
        LOGITS + RECORD + "def guess(x):\n    return Guess(net(x).softmax(dim=-1))\n"
    )
    read = program.format("net(x)") + "\n\nprint(guess(torch.zeros(1, 8)).probs)\n"
    assert fixed(tmp_path, read) == read


#: what is called for probabilities, by functions that nobody calls -> the program before and after
FOR_OTHERS = {
    "a method of two": (
        "class Judge:\n    def predict_proba(self, x):\n        return net(x)\n\n"
        "    def predict(self, x):\n        return self.predict_proba(x).argmax(1)\n",
        "return net(x)",
        "return net(x).softmax(dim=-1)",
    ),
    "a function of two": (
        "def score(x):\n    return net(x)\n\n\ndef label(x):\n    return score(x).argmax(1)\n",
        "return net(x)",
        "return net(x).softmax(dim=-1)",
    ),
    "one that the program calls": (
        "def score(x):\n    return net(x)\n\n\nprint(score(torch.zeros(1, 8)).argmax(1))\n",
        "",
        "",
    ),
    "rows that a list takes in": (
        "rows = []\nrows.extend(net(torch.zeros(3, 8)))\nprint(torch.stack(rows).max())\n",
        "extend(net(torch.zeros(3, 8)))",
        "extend(net(torch.zeros(3, 8)).softmax(dim=-1))",
    ),
}


@pytest.mark.parametrize(("program", "before", "after"), FOR_OTHERS.values(), ids=FOR_OTHERS)
def test_what_others_will_call_gives_probabilities(tmp_path: Path, program: str, before: str, after: str) -> None:
    assert fixed(tmp_path, SOFTMAX + program) == LOGITS + program.replace(before, after)


def test_a_function_that_says_so_gives_probabilities(tmp_path: Path) -> None:
    program = SOFTMAX + "def probabilities(x):\n    return net(x)\n\n\nprint(probabilities(x).argmax(1))\n"
    assert "`probabilities` is called for probabilities" in note_of(tmp_path, program)


@pytest.mark.parametrize(("hook", "safe"), [("__init_subclass__(cls)", False), ("__init__(self)", True)])
def test_a_class_that_is_told_of_its_heirs_may_make_them(tmp_path: Path, hook: str, safe: bool) -> None:
    base = f"class Base(nn.Module):\n    def {hook}:\n        super().{hook.partition('(')[0]}()\n\n\n"
    net = (
        "class Net(Base):\n    def __init__(self):\n        super().__init__()\n        self.top = nn.Linear(8, 5)\n\n"
        "    def forward(self, x):\n        return F.softmax(self.top(x), dim=-1)\n\n\n"
    )
    program = TORCH + base + net + "net = Net()\n\n\ndef step(x, y):\n    return F.cross_entropy(net(x), y)\n"
    assert (fixed(tmp_path, program) != program) is safe


DOCTEST = '    """\n    >>> {}\n    """\n'


@pytest.mark.parametrize(
    ("example", "safe"),
    [
        ("Net()(torch.zeros(1, 8)).sum()\n    tensor(1.)", False),
        ("p = Net()(torch.zeros(1, 8))\n    >>> assert p.max() <= 1", False),
        ("Net()(torch.zeros(1, 8)).shape\n    torch.Size([1, 5])", True),
        ("sum([1, 2])\n    3", True),
    ],
)
def test_an_example_in_a_docstring_is_read(tmp_path: Path, example: str, safe: bool) -> None:
    net = (
        f"class Net(nn.Module):\n{DOCTEST.format(example)}"
        "    def __init__(self):\n        super().__init__()\n        self.top = nn.Linear(8, 5)\n\n"
        "    def forward(self, x):\n        return F.softmax(self.top(x), dim=-1)\n\n\n"
    )
    program = TORCH + net + "net = Net()\n\n\ndef step(x, y):\n    return F.cross_entropy(net(x), y)\n"
    assert (fixed(tmp_path, program) != program) is safe


#: what code that nothing runs does with a model -> whether it may read its output
UNRUN = {
    "net(torch.zeros(1, 8)).shape": False,
    "y = net(torch.zeros(1, 8))\n        assert y.size() == (1, 1)": False,
    "twin = net.eval()\n        twin.load_state_dict({})": False,
    "return net(torch.zeros(1, 8))": True,
    "y = net.eval()(torch.zeros(1, 8))\n        return y": True,
    "net.compile(nn.BCELoss())": True,
    "global kept\n        kept = net": True,
}


@pytest.mark.parametrize(("does", "reads"), UNRUN.items())
def test_code_that_nothing_runs_may_ask_a_model_for_the_shape(tmp_path: Path, does: str, reads: bool) -> None:
    rest = f"def test(really):\n    if really:\n        {does}\n\n\ntest(False)\n"
    if reads:
        assert "in code that nothing runs" in note_of(tmp_path, SIGMOID + rest)
    else:
        assert fixed(tmp_path, SIGMOID + rest) == ONE_LOGIT + rest


TOGETHER = TORCH + (
    "top = nn.Linear(8, 5)\n\n\ndef model(x):\n    return {}, [top.weight]\n\n\n"
    "p, weights = model(torch.zeros(2, 8))\nloss = F.cross_entropy(p, torch.ones(2).long())\n"
)


def test_what_is_returned_with_an_output_is_none(tmp_path: Path) -> None:
    before, after = TOGETHER.format("F.softmax(top(x), -1)"), TOGETHER.format("top(x)")
    assert fixed(tmp_path, before) == after
    assert "`other`" in note_of(tmp_path, before + "other, weights = model(torch.ones(2, 8))\n")


BESIDE = TORCH + (
    "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n        self.body = nn.Linear(8, 4)\n"
    "        self.top = nn.Sequential(nn.Linear(4, 1){})\n\n    def forward(self, x, look=False):\n"
    "        h = self.body(x)\n        if look:\n            {}\n        return self.top(h)\n\n\n"
    "net = Net()\nloss = nn.{}()(net(torch.zeros(2, 8), False), torch.zeros(2, 1))\n"
)


@pytest.mark.parametrize(("does", "reads"), [("print(self.body(h))", ""), ("print(self.top(h))", "`self.top`")])
def test_another_part_of_the_model_may_be_asked_by_code_that_nothing_runs(
    tmp_path: Path, does: str, reads: str
) -> None:
    before = BESIDE.format(", nn.Sigmoid()", does, "BCELoss")
    if reads:
        assert f"{reads} in code that nothing runs" in note_of(tmp_path, before)
    else:
        assert fixed(tmp_path, before) == BESIDE.format("", does, "BCEWithLogitsLoss")


def test_a_notebooks_places_are_those_of_its_cells(tmp_path: Path) -> None:
    file = tmp_path / "book.ipynb"
    file.write_bytes(notebook(SOFTMAX, "x = 1\ntorch.save(net, 'net.pt')\n"))
    (fix,) = {f.fix for f in repaired(file).remaining}
    assert fix is not None
    assert fix.note == "can't see all that reads the softmax: the model is kept by `torch.save` (cell 2, line 2)"


#: what of a program is in the way of its fix -> what is said
IN_THE_WAY = {
    "def write(x):\n    p = net(x)\n    p[0] = 0\n    return p\n": "line 14 changes the output",
    "def again(x):\n    print(net(x))\n    return F.softmax(net(x), dim=-1)\n": "line 14 applies the softmax again",
}


@pytest.mark.parametrize(("rest", "why"), IN_THE_WAY.items())
def test_what_is_in_the_way_is_named(tmp_path: Path, rest: str, why: str) -> None:
    file = tmp_path / "program.py"
    file.write_text(SOFTMAX + rest)
    first = repaired(file).remaining[0]
    assert f"the softmax can't go: {why}" in first.unfixed


def test_what_names_the_output_on_its_way_is_not_wrapped(tmp_path: Path) -> None:
    program = (
        SOFTMAX
        + "def show(x, y):\n    if (p := net(x)) is not None:\n        print(p)\n    return F.cross_entropy(p, y)\n"
    )
    assert fixed(tmp_path, program) == program
    assert not any("could not be worked out" in f.unfixed for f in repaired(tmp_path / "program.py").remaining)
