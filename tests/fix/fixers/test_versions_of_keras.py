"""Which Keras a program speaks: the one of its models, and of its time."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..workbench import fixed, repaired

PROGRAM = (
    "from keras.layers import Convolution2D, Dense, Flatten, Input\nfrom keras.models import Model, Sequential\n\n"
    '{made}model.compile("adam", "categorical_crossentropy")\n'
)
PLAIN = 'model = Sequential([Dense(3, activation="softmax")])\n'
FUNCTIONAL = 'i = Input((4,))\no = Dense(3, activation="softmax")(i)\nmodel = Model({})\n'

#: what only a program for Keras 1 says
KERAS_1 = {
    "arguments of layers": 'model = Sequential([Dense(3, init="uniform", activation="softmax")])\n',
    "arguments of convolutions": 'model = Sequential([Convolution2D(8, 3, 3, border_mode="same"), Flatten(), '
    'Dense(3, activation="softmax")])\n',
    "arguments of models": FUNCTIONAL.format("input=i, output=o"),
    "arguments of fit": f"{PLAIN}def train(x, y):\n    model.fit(x, y, nb_epoch=3)\n\n",
    "modules that have gone": f"from keras import objectives\n\n{PLAIN}print(objectives.mse)\n",
    "functions that have gone": f'from keras import backend as K\n\nK.set_image_dim_ordering("th")\n{PLAIN}',
}
#: what one for Keras 2 or 3 says as well
LATER = {
    "the same layers by their old names": "model = Sequential([Convolution2D(8, 3), Flatten(), "
    'Dense(3, activation="softmax")])\n',
    "models": FUNCTIONAL.format("inputs=i, outputs=o"),
    "its own function of epochs": f"{PLAIN}def train(x, y, nb_epoch):\n    model.fit(x, y, epochs=nb_epoch)\n\n"
    "train(a, b, nb_epoch=3)\n",
}


def findings(folder: Path, made: str) -> list[tuple[bool, str]]:
    (folder / "program.py").write_text(PROGRAM.format(made=made))
    fixes = (f.fix for f in repaired(folder / "program.py").remaining)
    return [(fix.safe, fix.note) for fix in fixes if fix is not None]


@pytest.mark.parametrize("made", KERAS_1.values(), ids=KERAS_1)
def test_a_program_for_keras_1_gets_no_later_loss_unasked(made: str, tmp_path: Path) -> None:
    assert findings(tmp_path, made) == [(False, "the program is written for Keras 1, and losses on logits need 2.3")]


COMPILED = '"categorical_crossentropy")'


@pytest.mark.parametrize(
    ("reads", "metrics", "safe"),
    [
        ('history.history["acc"]', "accuracy", False),
        ('history.history["val_acc"]', "accuracy", False),
        ('keras.callbacks.EarlyStopping(monitor="val_acc")', "accuracy", False),
        ('logs.get("acc")', "accuracy", False),
        ('keras.callbacks.ModelCheckpoint("{epoch:02d}-{val_acc:.2f}.weights.h5")', "accuracy", False),
        ('history.history["acc"]', "acc", True),
        ('print(f"{acc:.2f}")', "accuracy", True),
        ('history.history["accuracy"]', "accuracy", True),
    ],
)
def test_how_a_program_reads_its_accuracy_tells_its_keras(tmp_path: Path, reads: str, metrics: str, safe: bool) -> None:
    compiled = COMPILED.replace(")", f', metrics=["{metrics}"])')
    program = PROGRAM.format(made=PLAIN).replace(COMPILED, compiled) + f"history = model.fit(x, y)\n{reads}\n"
    (tmp_path / "program.py").write_text(program)
    repair = repaired(tmp_path / "program.py")

    assert bool(repair.changed) is safe
    assert safe or ["2.3" in f.fix.note for f in repair.remaining if f.fix is not None] == [True]


@pytest.mark.parametrize("made", LATER.values(), ids=LATER)
def test_a_later_one_does(made: str, tmp_path: Path) -> None:
    assert "CategoricalCrossentropy(from_logits=True)" in fixed(tmp_path, PROGRAM.format(made=made))


def test_the_loss_is_of_the_keras_that_the_model_is_of(tmp_path: Path) -> None:
    program = "import tensorflow as tf\n" + PROGRAM.format(made=PLAIN) + "print(tf.__version__)\n"
    after = fixed(tmp_path, program)
    assert "from keras.losses import CategoricalCrossentropy\n" in after
    assert "tf.keras" not in after


def test_of_tensorflow_s_where_no_other_is_there(tmp_path: Path) -> None:
    program = (
        'import tensorflow as tf\n\nmodel = tf.keras.Sequential([tf.keras.layers.Dense(3, activation="softmax")])\n'
        'model.compile("adam", "categorical_crossentropy")\n'
    )
    assert "tf.keras.losses.CategoricalCrossentropy(from_logits=True)" in fixed(tmp_path, program)


#: what only a Keras from 2.4 on has
NEW = {
    "a layer": "from keras.layers import Rescaling\n\nprint(Rescaling(2))\n",
    "operations": "from keras import ops\n\nprint(ops.exp(1.0))\n",
    "by its module": "import keras\n\nkeras.utils.set_random_seed(1)\n",
    "by TensorFlow": "import tensorflow as tf\n\nprint(tf.keras.layers.Rescaling(2))\n",
}
#: what an older one has, too, or may do without
OLD = {
    "nothing": "",
    "an old module": "from keras.utils import np_utils\n\nprint(np_utils.to_categorical([1]))\n",
    "if it is there": "try:\n    from keras import ops\nexcept ImportError:\n    ops = None\n",
}


@pytest.mark.parametrize(
    ("more", "metrics", "safe"),
    [
        *((more, '["accuracy"]', True) for more in NEW.values()),
        *((more, '["accuracy"]', False) for more in OLD.values()),
        *((more, "[]", True) for more in OLD.values()),
    ],
)
def test_the_accuracy_of_several_sigmoids_was_a_threshold(more: str, metrics: str, safe: bool, tmp_path: Path) -> None:
    program = (
        f"from keras.layers import Dense\nfrom keras.models import Sequential\n{more}"
        f'model = Sequential([Dense(3, activation="sigmoid")])\n'
        f'model.compile("adam", "binary_crossentropy", metrics={metrics})\n'
    )
    assert (fixed(tmp_path, program) != program) is safe


@pytest.mark.parametrize(("reads", "safe"), [("acc", False), ("accuracy", True)])
def test_a_metric_keeps_the_name_by_which_tensorflow_1_is_asked_for_it(tmp_path: Path, reads: str, safe: bool) -> None:
    program = (
        "import tensorflow as tf\n\nnet = tf.keras.Sequential([tf.keras.layers.Dense(1, activation='sigmoid')])\n"
        "net.compile(tf.keras.optimizers.Adam(lr=0.1), 'binary_crossentropy', metrics=['accuracy'])\n"
        f"history = net.fit(x, y)\nprint(history.history['{reads}'])\n"
    )
    assert (fixed(tmp_path, program) != program) is safe


OTHERS = {
    "an accuracy by its old name": ("plot.py", 'import keras\n\nprint(model.fit(x, y).history["val_acc"])\n', True),
    "in a notebook": (
        "plot.ipynb",
        '{"cells": [{"cell_type": "code", "source": ["import keras\\n", "print(h.history[\\"acc\\"])"]}]}',
        True,
    ),
    "a pinned version": ("requirements.txt", "numpy\nKeras==2.2.4\n", True),
    "a later one": ("requirements.txt", "keras>=2.2\nkeras-rl==2.0\n", False),
    "an accuracy that was asked for so": (
        "plot.py",
        'import keras\n\nmodel.compile(metrics=["acc"])\nprint(model.fit(x, y).history["val_acc"])\n',
        False,
    ),
    "in a part of its own": ("old/plot.py", 'import keras\n\nprint(model.fit(x, y).history["val_acc"])\n', False),
    "TensorFlow's own": ("plot.py", 'from tensorflow import keras\n\nprint(model.fit(x, y).history["acc"])\n', False),
}


@pytest.mark.parametrize(("name", "text", "old"), OTHERS.values(), ids=OTHERS)
def test_another_file_of_the_project_tells_its_keras(tmp_path: Path, name: str, text: str, old: bool) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(text)
    note = f"{name} is written for a Keras before 2.3, and losses on logits need that"
    assert findings(tmp_path, PLAIN) == ([(False, note)] if old else [])


def test_a_program_that_needs_a_later_keras_is_none_of_an_old_one(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("keras==2.2.4\n")
    assert findings(tmp_path, f"from keras.optimizers import AdamW\n\n{PLAIN}") == []
