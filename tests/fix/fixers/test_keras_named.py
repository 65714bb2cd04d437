"""Keras' losses, metrics and heads that have a name, or say more than what goes: where they are changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..workbench import fixed, repaired

IMPORT = "import keras\n\n"
SOFTMAX, LOGITS = 'keras.layers.Dense(3, activation="softmax")', "keras.layers.Dense(3)"
LOSS = "keras.losses.CategoricalCrossentropy(from_logits=True)"
MODEL = f"model = keras.Sequential([{SOFTMAX}])\n"


def mended(program: str) -> str:
    return program.replace(SOFTMAX, LOGITS)


#: the program, and what becomes of it besides the softmax
WRITTEN = {
    "a loss by name": (
        f'LOSS = "categorical_crossentropy"\n{MODEL}model.compile("adam", loss=LOSS)\n',
        f'LOSS = {LOSS}\n{MODEL}model.compile("adam", loss=LOSS)\n',
    ),
    "a loss whose name somebody else reads": (
        f'LOSS = "categorical_crossentropy"\n{MODEL}model.compile("adam", loss=LOSS)\nprint(LOSS)\n',
        f'LOSS = "categorical_crossentropy"\n{MODEL}model.compile("adam", loss={LOSS})\nprint(LOSS)\n',
    ),
    "a configuration": (
        f'config = {{"loss": "categorical_crossentropy", "lr": 0.1}}\n{MODEL}print(config["lr"])\n'
        'model.compile("adam", loss=config["loss"])\n',
        f'config = {{"loss": {LOSS}, "lr": 0.1}}\n{MODEL}print(config["lr"])\n'
        'model.compile("adam", loss=config["loss"])\n',
    ),
    "losses by output": (
        f'i = keras.Input((4,))\na = {SOFTMAX[:-1]}, name="a")(i)\nb = keras.layers.Dense(1, name="b")(i)\n'
        'model = keras.Model(i, [a, b])\nlosses = {"a": "categorical_crossentropy", "b": "mse"}\n'
        'model.compile("adam", loss=losses, loss_weights={"a": 1.0, "b": 0.5})\n',
        f'i = keras.Input((4,))\na = {LOGITS[:-1]}, name="a")(i)\nb = keras.layers.Dense(1, name="b")(i)\n'
        f'model = keras.Model(i, [a, b])\nlosses = {{"a": {LOSS}, "b": "mse"}}\n'
        'model.compile("adam", loss=losses, loss_weights={"a": 1.0, "b": 0.5})\n',
    ),
    "metrics by name": (
        f'METRICS = ["accuracy", keras.metrics.CategoricalCrossentropy(from_logits=False)]\n{MODEL}'
        'model.compile("adam", "categorical_crossentropy", metrics=METRICS)\n',
        f'METRICS = ["accuracy", keras.metrics.CategoricalCrossentropy(from_logits=True)]\n{MODEL}'
        f'model.compile("adam", {LOSS}, metrics=METRICS)\n',
    ),
    "overlaps of the greatest": (
        f'{MODEL}model.compile("adam", "categorical_crossentropy", metrics=[keras.metrics.OneHotMeanIoU(3)])\n',
        f'{MODEL}model.compile("adam", {LOSS}, metrics=[keras.metrics.OneHotMeanIoU(3)])\n',
    ),
    "numbers converted besides": (
        f'model = keras.Sequential([{LOGITS}, keras.layers.Activation("softmax", dtype="float32")])\n'
        'model.compile("adam", "categorical_crossentropy")\n',
        f'model = keras.Sequential([{LOGITS}, keras.layers.Activation("linear", dtype="float32")])\n'
        f'model.compile("adam", {LOSS})\n',
    ),
    "a layer that the program knows by name": (
        f'i = keras.Input((4,))\na = keras.layers.Activation("softmax", name="a")({LOGITS}(i))\n'
        'b = keras.layers.Dense(1, name="b")(i)\nmodel = keras.Model(i, [a, b])\n'
        'model.compile("adam", loss=["categorical_crossentropy", "mse"], loss_weights={"a": 1.0, "b": 0.5})\n',
        f'i = keras.Input((4,))\na = keras.layers.Activation("linear", name="a")({LOGITS}(i))\n'
        'b = keras.layers.Dense(1, name="b")(i)\nmodel = keras.Model(i, [a, b])\n'
        f'model.compile("adam", loss=[{LOSS}, "mse"], loss_weights={{"a": 1.0, "b": 0.5}})\n',
    ),
    "a layer with a name of its own": (
        f'i = keras.Input((4,))\no = keras.layers.Activation("softmax", name="species")({LOGITS}(i))\n'
        'model = keras.Model(i, o)\nmodel.compile("adam", loss="categorical_crossentropy")\n',
        f'i = keras.Input((4,))\no = keras.layers.Activation("linear", name="species")({LOGITS}(i))\n'
        f'model = keras.Model(i, o)\nmodel.compile("adam", loss={LOSS})\n',
    ),
    "a layer whose name would lie": (
        f'i = keras.Input((4,))\no = keras.layers.Activation("softmax", name="class_prob")({LOGITS}(i))\n'
        'model = keras.Model(i, o)\nmodel.compile("adam", loss="categorical_crossentropy")\n',
        f'i = keras.Input((4,))\no = {LOGITS}(i)\nmodel = keras.Model(i, o)\nmodel.compile("adam", loss={LOSS})\n',
    ),
    "a network with its own softmax": (
        "model = keras.applications.VGG16(weights=None, classes=3)\n"
        'model.compile("adam", "categorical_crossentropy")\n',
        "model = keras.applications.VGG16(weights=None, classes=3, classifier_activation=None)\n"
        f'model.compile("adam", {LOSS})\n',
    ),
    "a line for the softmax alone": (
        f"def build():\n    i = keras.Input((4,))\n    x = {LOGITS}(i)\n    out = keras.layers.Softmax()(x)\n"
        '    return keras.Model(i, out)\n\nmodel = build()\nmodel.compile("adam", "categorical_crossentropy")\n',
        f"def build():\n    i = keras.Input((4,))\n    out = {LOGITS}(i)\n"
        f'    return keras.Model(i, out)\n\nmodel = build()\nmodel.compile("adam", {LOSS})\n',
    ),
    "logits that something else reads": (
        f"def build():\n    i = keras.Input((4,))\n    x = {LOGITS}(i)\n    out = keras.layers.Softmax()(x)\n"
        "    print(x)\n    return keras.Model(i, out)\n\nmodel = build()\n"
        'model.compile("adam", "categorical_crossentropy")\n',
        f"def build():\n    i = keras.Input((4,))\n    x = {LOGITS}(i)\n    out = x\n"
        f'    print(x)\n    return keras.Model(i, out)\n\nmodel = build()\nmodel.compile("adam", {LOSS})\n',
    ),
}


@pytest.mark.parametrize(("before", "after"), WRITTEN.values(), ids=WRITTEN)
def test_where_it_is_changed(tmp_path: Path, before: str, after: str) -> None:
    assert fixed(tmp_path, IMPORT + before) == IMPORT + mended(after)


COMPILE = 'model.compile("adam", "categorical_crossentropy", metrics={})\n'
LEFT_ALONE = {
    "a configuration that is shown": f'config = {{"loss": "categorical_crossentropy"}}\nprint(config)\n{MODEL}'
    'model.compile("adam", loss=config["loss"])\n',
    "a configuration from elsewhere": f'import json\n\nconfig = json.load(open("c.json"))\n{MODEL}'
    'model.compile("adam", loss=config["loss"])\n',
    "an overlap that is told its class": MODEL + COMPILE.format("[keras.metrics.IoU(3, (0,))]"),
    "overlaps of labels": MODEL + COMPILE.format("[keras.metrics.MeanIoU(3)]"),
    "a metric that others use": f"m = keras.metrics.CategoricalCrossentropy()\n{MODEL}{COMPILE.format('[m]')}"
    "m.update_state(y, other(x))\n",
    "metrics that grow": f"METRICS = [keras.metrics.CategoricalCrossentropy()]\nMETRICS.append(more())\n"
    f"{MODEL}{COMPILE.format('METRICS')}",
    "a softmax layer that converts": f"model = keras.Sequential([{LOGITS}, keras.layers.Softmax(dtype='float32')])\n"
    'model.compile("adam", "categorical_crossentropy")\n',
    "a threshold that isn't the half": 'model = keras.Sequential([keras.layers.Dense(1, activation="sigmoid")])\n'
    'model.compile("adam", "binary_crossentropy", metrics=[keras.metrics.BinaryAccuracy(threshold=0.7)])\n',
}


@pytest.mark.parametrize("program", LEFT_ALONE.values(), ids=LEFT_ALONE)
def test_what_is_left_alone(tmp_path: Path, program: str) -> None:
    file = tmp_path / "program.py"
    file.write_text(IMPORT + program)
    assert repaired(file, unsafe=True).changed == ()


def test_a_name_that_is_imported_later_does_not_spell_what_comes_before(tmp_path: Path) -> None:
    program = (
        'LOSS = "categorical_crossentropy"\n\nfrom keras import Sequential\nfrom keras.layers import Dense\n'
        'from keras.losses import CategoricalCrossentropy\n\nmodel = Sequential([Dense(3, activation="softmax")])\n'
        'model.compile("adam", loss=LOSS)\n'
    )
    assert "LOSS = CategoricalCrossentropy" not in fixed(tmp_path, program)


MEASURED = f"{IMPORT}model = keras.Sequential([{LOGITS}])\nseen = keras.metrics.CategoricalCrossentropy()\n\n"
TRAIN = """def evaluate(batches):
    for x, y in batches:
        seen.update_state(y, model(x))
    return seen.result()
"""


def test_a_metric_of_logits_is_told_where_it_is_made(tmp_path: Path) -> None:
    told = MEASURED.replace("Crossentropy()", "Crossentropy(from_logits=True)")
    assert fixed(tmp_path, MEASURED + TRAIN) == told + TRAIN


@pytest.mark.parametrize(
    "also",
    [
        "seen.update_state(y, keras.ops.softmax(model(x)))\n",
        "seen(y, other(x))\n",
        "keep(seen)\n",
        "update = seen.update_state\n",
    ],
)
def test_a_metric_that_is_handed_something_else_too_is_left_alone(tmp_path: Path, also: str) -> None:
    program = MEASURED + TRAIN + also
    file = tmp_path / "program.py"
    file.write_text(program)
    assert repaired(file, unsafe=True).changed == ()


NETWORK = "net = keras.applications.VGG16({})\nloss_fn = keras.losses.CategoricalCrossentropy({})\n\n"
STEP = "def step(x, y):\n    return loss_fn(y, net(x))\n\n"


def test_what_a_network_with_its_own_softmax_predicts_stays_probabilities(tmp_path: Path) -> None:
    before = IMPORT + NETWORK.format("", "") + STEP + "print(net.predict(x).max())\n"
    after = IMPORT + NETWORK.format("classifier_activation=None", "from_logits=True") + STEP
    after += (
        "probability_net = keras.Sequential([net, keras.layers.Softmax()])\nprint(probability_net.predict(x).max())\n"
    )
    assert fixed(tmp_path, before) == after


@pytest.mark.parametrize(
    "reads",
    [
        "inner = keras.Model(net.input, net.output)\n",
        "show(net)\n",
        "net.save('net.keras')\n",
        "print(keras.Model.from_config(net.get_config())(x))\n",
    ],
)
def test_a_network_whose_output_goes_elsewhere_is_not_safe_to_change(tmp_path: Path, reads: str) -> None:
    program = IMPORT + NETWORK.format("", "") + STEP + reads
    assert fixed(tmp_path, program) == program


def test_a_softmax_comes_back_by_the_name_that_every_keras_has(tmp_path: Path) -> None:
    before = f'{IMPORT}model = keras.Sequential([{SOFTMAX}])\nmodel.compile(loss="categorical_crossentropy")\n'
    assert "print(keras.activations.softmax(model(x)))" in fixed(tmp_path, f"{before}print(model(x))\n")
    assert "keras.ops.softmax(model(x))" in fixed(tmp_path, f"{before}print(model(x), keras.ops.ones(3))\n")


def test_a_softmax_comes_back_as_tensorflow_1_has_it(tmp_path: Path) -> None:
    program = (
        "import tensorflow.compat.v1 as tf\n\nmodel = tf.keras.Sequential([tf.keras.layers.Dense(3{})])\n"
        "model.compile(loss={})\nprint({})\n"
    )
    before = program.format(", activation='softmax'", "'categorical_crossentropy'", "model(x)")
    loss = "tf.keras.losses.CategoricalCrossentropy(from_logits=True)"
    assert fixed(tmp_path, before) == program.format("", loss, "tf.nn.softmax(model(x))")


@pytest.mark.parametrize(
    "imports",
    ["import keras\n", "from tensorflow import keras\n", "import tensorflow as tf\nfrom tensorflow import keras\n"],
)
def test_what_becomes_an_array_stays_one(tmp_path: Path, imports: str) -> None:
    program = (
        f'{imports}model = keras.Sequential([{SOFTMAX}])\nmodel.compile("adam", "categorical_crossentropy")\n'
        'print((keras.ops.convert_to_numpy(model(x)) > 0.5).astype("int32"))\n'
    )
    softmax = "tf.nn.softmax" if "as tf" in imports else "keras.ops.softmax"
    after = fixed(tmp_path, program)
    assert f'print((keras.ops.convert_to_numpy({softmax}(model(x))) > 0.5).astype("int32"))' in after


def test_a_metric_by_the_name_of_the_loss_is_no_second_import_of_it(tmp_path: Path) -> None:
    before = "from keras.layers import Dense\nfrom keras.models import Sequential\n\n"
    made = 'model = Sequential([Dense(3{})])\nmodel.compile("adam", {}, metrics=["accuracy", {}])\n'
    name = '"categorical_crossentropy"'
    loss = "CategoricalCrossentropy({}from_logits=True)"
    after = (
        "from keras.layers import Dense\nfrom keras.losses import CategoricalCrossentropy\n"
        "from keras.models import Sequential\nfrom keras import metrics\n\n"
    )
    told = made.format("", loss.format(""), "metrics." + loss.format(f"name={name}, "))
    assert fixed(tmp_path, before + made.format(', activation="softmax"', name, name)) == after + told
