"""Heads that don't belong to their loss: what is mended, and what only looks like it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..workbench import fixed, repaired

KERAS = "import keras\n\n"
TORCH = "import torch\nimport torch.nn.functional as F\nfrom torch import nn\n\n"


def one_unit(head: str, compiled: str, rest: str = "") -> str:
    return f"{KERAS}model = keras.Sequential([keras.layers.Dense(8), {head}])\nmodel.compile({compiled})\n{rest}"


SOFTMAX_OF_ONE = 'keras.layers.Dense(1, activation="softmax")'
ONE_LOGIT = "keras.layers.Dense(1)"
BINARY = "loss=keras.losses.BinaryCrossentropy(from_logits=True)"
#: the program, and what becomes of it
MENDED = {
    "a string": (one_unit(SOFTMAX_OF_ONE, 'loss="binary_crossentropy"'), one_unit(ONE_LOGIT, BINARY)),
    "a loss object that was told something": (
        one_unit(SOFTMAX_OF_ONE, "loss=keras.losses.BinaryCrossentropy(label_smoothing=0.1)"),
        one_unit(ONE_LOGIT, "loss=keras.losses.BinaryCrossentropy(label_smoothing=0.1, from_logits=True)"),
    ),
    "a layer of its own": (
        one_unit(f'{ONE_LOGIT}, keras.layers.Activation("softmax")', 'loss="binary_crossentropy"'),
        one_unit(ONE_LOGIT, BINARY),
    ),
    "who reads probabilities gets a sigmoid": (
        one_unit(SOFTMAX_OF_ONE, 'loss="binary_crossentropy"', "print(model.predict(x) > 0.5)\n"),
        one_unit(
            ONE_LOGIT,
            BINARY,
            'probability_model = keras.Sequential([model, keras.layers.Activation("sigmoid")])\n'
            "print(probability_model.predict(x) > 0.5)\n",
        ),
    ),
    "BCELoss": (
        f"{TORCH}net = nn.Sequential(nn.Linear(4, 1), nn.Softmax(dim=-1))\ncriterion = nn.BCELoss()\n\n"
        "def step(x, y):\n    p = net(x)\n    print(p)\n    return criterion(p, y)\n",
        f"{TORCH}net = nn.Sequential(nn.Linear(4, 1))\ncriterion = nn.BCEWithLogitsLoss()\n\n"
        "def step(x, y):\n    logits = net(x)\n    print(logits.sigmoid())\n    return criterion(logits, y)\n",
    ),
    "a sigmoid before whole numbers as labels": (
        one_unit('keras.layers.Dense(5, activation="sigmoid")', '"sgd", "sparse_categorical_crossentropy"'),
        one_unit("keras.layers.Dense(5)", '"sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True)'),
    ),
    "a sigmoid before a sparse loss that is told of logits": (
        one_unit(
            'keras.layers.Dense(5), keras.layers.Activation("sigmoid")',
            "loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=['accuracy']",
        ),
        one_unit(
            "keras.layers.Dense(5)",
            "loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=['accuracy']",
        ),
    ),
    "the greatest sigmoid is that of the greatest logit": (
        one_unit(
            'keras.layers.Dense(5, activation="sigmoid")',
            'loss="sparse_categorical_crossentropy"',
            "print(model.predict(x).argmax(axis=1))\n",
        ),
        one_unit(
            "keras.layers.Dense(5)",
            "loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True)",
            "print(model.predict(x).argmax(axis=1))\n",
        ),
    ),
}


@pytest.mark.parametrize(("before", "after"), MENDED.values(), ids=MENDED)
def test_what_becomes_of_it(tmp_path: Path, before: str, after: str) -> None:
    assert fixed(tmp_path, before) == after


#: why it isn't certain what was meant -> the program, and what the fix says of it
UNSAFE = {
    "rows may say that several classes are true": (
        one_unit('keras.layers.Dense(5, activation="sigmoid")', 'loss="categorical_crossentropy"'),
        "several classes may be true at once",
    ),
    "each class may be asked for on its own": (
        one_unit('keras.layers.Dense(5, activation="softmax")', 'loss="binary_crossentropy"'),
        "it is the softmax that is wrong",
    ),
    "targets may be distributions": (
        f"{TORCH}net = nn.Linear(4, 3)\n\ndef step(x, y):\n    return F.cross_entropy(net(x).sigmoid(), y)\n",
        "several classes may be true at once",
    ),
    "each sigmoid is read": (
        one_unit(
            'keras.layers.Dense(5, activation="sigmoid")',
            'loss="sparse_categorical_crossentropy"',
            "print(model.predict(x) > 0.5)\n",
        ),
        "line 5 reads a softmax instead",
    ),
    "two units, and a binary loss": (
        one_unit('keras.layers.Dense(2, activation="softmax")', 'loss="binary_crossentropy"'),
        "where several classes may be true at once, it is the softmax that is wrong",
    ),
    "the model is kept": (
        one_unit(SOFTMAX_OF_ONE, 'loss="binary_crossentropy"', 'model.save("m.keras")\n'),
        "kept by `save`",
    ),
}


@pytest.mark.parametrize(("program", "note"), UNSAFE.values(), ids=UNSAFE)
def test_where_more_than_one_thing_may_be_meant_it_is_unsafe(tmp_path: Path, program: str, note: str) -> None:
    assert fixed(tmp_path, program) == program
    notes = [f.fix.note for f in repaired(tmp_path / "program.py").remaining if f.fix is not None]
    assert notes and all(note in n for n in notes)


LEFT_ALONE = {
    "one unit, and a loss for several classes": one_unit(SOFTMAX_OF_ONE, 'loss="categorical_crossentropy"'),
    "one unit, and whole numbers as labels": one_unit(SOFTMAX_OF_ONE, 'loss="sparse_categorical_crossentropy"'),
    "one unit, and a squared error": one_unit(SOFTMAX_OF_ONE, 'loss="mse"'),
    "two losses": f"{TORCH}net = nn.Sequential(nn.Linear(4, 1), nn.Softmax(dim=1))\n\ndef step(x, y, k):\n"
    "    p = net(x)\n    return F.binary_cross_entropy(p, y) + F.cross_entropy(p, k)\n",
    "a binary loss that was told something": one_unit(
        'keras.layers.Dense(5, activation="softmax")', "loss=keras.losses.BinaryCrossentropy(label_smoothing=0.1)"
    ),
    "a binary metric of a softmax": one_unit(
        'keras.layers.Dense(5, activation="softmax")', 'loss="binary_crossentropy", metrics=["AUC"]'
    ),
    "a squared error": one_unit('keras.layers.Dense(5, activation="softmax")', 'loss="mse"'),
    "a sigmoid of one unit": one_unit(
        'keras.layers.Dense(1, activation="sigmoid")', 'loss="sparse_categorical_crossentropy"'
    ),
    "the weights of attention": f"{TORCH}score, net = nn.Linear(8, 1), nn.Linear(8, 1)\n\ndef step(h, y):\n"
    "    w = torch.softmax(score(h), dim=1)\n"
    "    return F.binary_cross_entropy_with_logits(net((w * h).sum(1)), y)\n",
    "a metric that reads each sigmoid": one_unit(
        'keras.layers.Dense(5, activation="sigmoid")', 'loss="sparse_categorical_crossentropy", metrics=["mae"]'
    ),
}


@pytest.mark.parametrize("program", LEFT_ALONE.values(), ids=LEFT_ALONE)
def test_what_is_left_alone(tmp_path: Path, program: str) -> None:
    file = tmp_path / "program.py"
    file.write_text(program)
    assert repaired(file, unsafe=True).changed == ()


def test_a_binary_loss_becomes_that_for_one_class_of_several(tmp_path: Path) -> None:
    file = tmp_path / "program.py"
    compiled = 'loss=keras.losses.BinaryCrossentropy(), metrics=["accuracy"]'
    file.write_text(one_unit('keras.layers.Dense(5, activation="softmax")', compiled, "print(model.predict(x))\n"))
    after = one_unit(
        "keras.layers.Dense(5)",
        'loss=keras.losses.CategoricalCrossentropy(from_logits=True), metrics=["accuracy"]',
        "probability_model = keras.Sequential([model, keras.layers.Softmax()])\nprint(probability_model.predict(x))\n",
    )
    assert [new.decode() for _, new in repaired(file, unsafe=True).changed] == [after]
