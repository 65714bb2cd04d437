"""Keras models, where what a metric or a callback reads hangs on more than the call of ``compile``."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..workbench import fixed, repaired

SIGMOIDS = """import sys
import keras

model = keras.Sequential([keras.Input((4,)), keras.layers.Dense({units}, activation="sigmoid")])
model.compile("adam", "binary_crossentropy", {metrics})
"""
LOSS = "keras.losses.BinaryCrossentropy(from_logits=True)"
ACCURACY = 'keras.metrics.BinaryAccuracy(name="{}", threshold=0)'
#: (units, metrics) -> what becomes of the metrics
BY_UNITS = {
    ("1", 'metrics=["accuracy"]'): f"metrics=[{ACCURACY.format('accuracy')}]",
    ("1", 'weighted_metrics=["accuracy"]'): f"weighted_metrics=[{ACCURACY.format('accuracy')}]",
    ("3", 'metrics=["accuracy"]'): 'metrics=["accuracy"]',
    ("3", 'metrics=["accuracy", "binary_accuracy"]'): f'metrics=["accuracy", {ACCURACY.format("binary_accuracy")}]',
    ("3", 'weighted_metrics=["acc"]'): 'weighted_metrics=["acc"]',
}


@pytest.mark.parametrize(("before", "after"), BY_UNITS.items(), ids=str)
def test_accuracy_is_what_the_units_make_of_it(tmp_path: Path, before: tuple[str, str], after: str) -> None:
    units, metrics = before
    file = tmp_path / "program.py"
    file.write_text(SIGMOIDS.format(units=units, metrics=metrics))
    ((_, mended),) = repaired(file, unsafe=True).changed
    assert mended.decode().endswith(f'model.compile("adam", {LOSS}, {after})\n')


@pytest.mark.parametrize("metrics", ['metrics=["accuracy"]', 'weighted_metrics=["acc"]'])
def test_accuracy_of_units_unknown_is_left_alone(tmp_path: Path, metrics: str) -> None:
    program = SIGMOIDS.format(units="int(sys.argv[1])", metrics=metrics)
    assert fixed(tmp_path, program) == program


def test_a_step_of_one_unit_is_no_model_of_one_unit(tmp_path: Path) -> None:
    program = SIGMOIDS.format(units="1", metrics='metrics=["accuracy"]')
    program = program.replace("(4,)", "(7, 4)").replace('sigmoid")]', 'sigmoid"), keras.layers.Flatten()]')
    assert fixed(tmp_path, program) == program


@pytest.mark.parametrize(
    ("does", "safe"),
    [
        ("print((self.model.predict(x) > 0.5).mean())", False),
        ("print((self.model(x) > 0.5).mean())", False),
        ("ask(self.model)", False),
        ("model = self.model", False),
        ("self.model.stop_training = logs['loss'] < 0.1", True),
        ("self.model.save_weights('best.h5')", True),
    ],
)
def test_a_callback_may_read_the_output(tmp_path: Path, does: str, safe: bool) -> None:
    program = SIGMOIDS.format(units="1", metrics="metrics=[keras.metrics.AUC()]")
    program += (
        f"\nclass Watch(keras.callbacks.Callback):\n    def on_epoch_end(self, epoch, logs=None):\n        {does}\n"
    )
    assert (fixed(tmp_path, program) != program) is safe
    notes = [f.fix.note for f in repaired(tmp_path / "program.py").remaining if f.fix is not None]
    assert safe or notes == ["can't see all that reads the sigmoid: `self.model` of a callback (line 9)"]


STEP = """import keras

class Model(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(1, activation={activation})

    def call(self, x):
        return self.dense(x)

    def {method}(self, *args, **kwargs):
        return measure(self, *args, **kwargs)

model = Model()
model.compile("adam", keras.losses.BinaryCrossentropy(from_logits={logits}), metrics=[keras.metrics.AUC()])
"""


@pytest.mark.parametrize("method", ["train_step", "test_step", "compute_metrics"])
def test_a_model_that_measures_itself_keeps_its_metrics(tmp_path: Path, method: str) -> None:
    for activation, logits in (("None", "True"), ('"sigmoid"', "False")):
        program = STEP.format(activation=activation, logits=logits, method=method)
        assert fixed(tmp_path, program) == program
    assert "AUC(from_logits=True)" in fixed(tmp_path, STEP.format(activation="None", logits="True", method="other"))


def test_metrics_that_are_asked_for_may_be_handed_something_else(tmp_path: Path) -> None:
    program = STEP.format(activation="None", logits="True", method="other")
    program += "for metric in model.metrics:\n    metric.update_state(y, keras.ops.sigmoid(model(x)))\n"
    assert fixed(tmp_path, program) == program


@pytest.mark.parametrize(
    ("shows", "safe"),
    [
        ("'{p}'.format(**locals())", False),
        ("vars()['p']", False),
        ("globals()['net']", True),
        ("vars(x)", True),
        ("mine.locals()", True),
    ],
)
def test_a_scope_that_is_shown_shows_the_output(tmp_path: Path, shows: str, safe: bool) -> None:
    program = (
        "import torch\nfrom torch import nn\n\nnet, criterion = nn.Linear(4, 3), nn.CrossEntropyLoss()\n\n"
        "def step(x, y):\n    p = torch.softmax(net(x), 1)\n    loss = criterion(p, y)\n"
        f"    print({shows})\n    return loss\n"
    )
    assert (fixed(tmp_path, program) != program) is safe


def test_a_metric_that_keras_2_calls_otherwise_is_not_safe_to_change(tmp_path: Path) -> None:
    program = SIGMOIDS.format(units="1", metrics='metrics=["AUC"]')
    assert fixed(tmp_path, program) == program
    (fix,) = {f.fix for f in repaired(tmp_path / "program.py").remaining}
    assert fix is not None
    assert fix.note == "Keras 2 calls the metric `AUC` `auc`"


def test_a_regularizer_of_the_output_reads_it(tmp_path: Path) -> None:
    program = SIGMOIDS.format(units="3", metrics="metrics=[]")
    assert fixed(tmp_path, program) != program
    regular = program.replace('"sigmoid")', '"sigmoid", activity_regularizer="l2")')
    assert fixed(tmp_path, regular) == regular


HEADS = """import keras

i = keras.Input((4,))
a = keras.layers.Activation("softmax"{name})(keras.layers.Dense(3)(i))
b = keras.layers.Dense(1)(i)
model = keras.Model(i, {outputs})
model.compile("adam", {loss})
"""
CROSS = '"sparse_categorical_crossentropy"'


@pytest.mark.parametrize(
    ("name", "several", "reads", "stays"),
    [
        (', name="a"', True, "", True),
        ("", True, "", True),
        (', name="softmax"', False, "", False),
        (', name="softmax"', False, "print(h.history['val_softmax_accuracy'])", True),
        (', name="softmax"', False, "print(h.history['val_accuracy'])", False),
        (', name="a"', False, "", True),
        ("", False, "print(other.get_layer('activation_1').output)", True),
        ("", False, "print('the activation 1')", False),
    ],
)
def test_names_that_others_say_stay(tmp_path: Path, name: str, several: bool, reads: str, stays: bool) -> None:
    outputs, loss = ("[a, b]", f'[{CROSS}, "mse"]') if several else ("a", CROSS)
    after = fixed(tmp_path, HEADS.format(name=name, outputs=outputs, loss=loss) + reads + "\n")
    assert (f'keras.layers.Activation("linear"{name})' in after) is stays
    assert "from_logits=True" in after


OWN = """import keras

class Model(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(3, activation="softmax")

    def call(self, x):
        return self.dense(x)

    def {method}(self, x):
        return keras.ops.argmax(self(x), -1)

model = Model()
model.compile("adam", "categorical_crossentropy")
print(model.predict(x))
"""


@pytest.mark.parametrize(("method", "safe"), [("predict_step", False), ("classes_of", True)])
def test_a_model_that_says_what_it_predicts_has_no_model_of_probabilities(
    tmp_path: Path, method: str, safe: bool
) -> None:
    program = OWN.format(method=method)
    assert (fixed(tmp_path, program) != program) is safe


SHARED = """import keras

i = keras.Input((4,))
a = keras.layers.Dense(3, activation="softmax", name="a")(i)
b = keras.layers.Dense(2, name="b")(i)
model = keras.Model(i, [a, b])
model.compile("adam", ["categorical_crossentropy", "mse"], metrics={metrics})
"""


@pytest.mark.parametrize(
    ("metrics", "safe"),
    [
        ('["accuracy", "mse"]', False),  # before Keras 3, each output has both
        ('["accuracy", "accuracy"]', True),
        ('[["accuracy"], ["mse"]]', True),
    ],
)
def test_metrics_that_every_output_may_have_read_the_same_from_logits(tmp_path: Path, metrics: str, safe: bool) -> None:
    program = SHARED.format(metrics=metrics)
    assert (fixed(tmp_path, program) != program) is safe


CLASSES = """from keras.layers import Activation, Dense
from keras.models import Sequential

model = Sequential([Dense({units}, input_shape=(8,)), Activation("{head}")])
model.compile("adam", "{loss}")
model.fit(x, y)
print(model.predict_classes(x))
"""


@pytest.mark.parametrize(
    ("units", "head", "loss", "goes"),
    [
        ("10", "softmax", "categorical_crossentropy", True),
        ("len(names)", "softmax", "categorical_crossentropy", False),
        ("10", "sigmoid", "binary_crossentropy", True),  # of ten units, the argmax as well
        ("1", "sigmoid", "binary_crossentropy", False),  # a threshold of 0.5
    ],
)
def test_classes_are_the_argmax_of_several_units(tmp_path: Path, units: str, head: str, loss: str, goes: bool) -> None:
    mended = fixed(tmp_path, CLASSES.format(units=units, head=head, loss=loss))
    assert ("from_logits=True" in mended) == goes == ("Activation" not in mended)


OWN_METRIC = """import keras
from keras import ops


def hits({given}):
    {body}
    return ops.mean(ops.cast(ops.equal(ops.argmax(a, axis=-1), guess), "float32"))


model = keras.Sequential([keras.layers.Dense(3{head})])
model.compile(loss={loss}, metrics=[hits])
"""


@pytest.mark.parametrize(
    ("given", "body", "same"),
    [
        ("a, b", "guess = ops.argmax(b, axis=-1)", True),
        ("a, b", "b = ops.argmax(b, axis=-1)\n    guess = b", True),
        ("a, b", "guess = ops.argmax(b, axis=0)", False),
        ("a, b", "guess = ops.argmax(b > 0.5, axis=-1)", False),
        ("a, b", "guess = ops.argmax(b, axis=-1) * (ops.max(b, axis=-1) > 0.5)", False),
        ("a, *b", "guess = ops.argmax(b[0], axis=-1)", False),
    ],
)
def test_an_own_metric_that_is_an_argmax_reads_logits(tmp_path: Path, given: str, body: str, same: bool) -> None:
    before = OWN_METRIC.format(given=given, body=body, head=", activation='softmax'", loss="'categorical_crossentropy'")
    on_logits = "keras.losses.CategoricalCrossentropy(from_logits=True)"
    after = OWN_METRIC.format(given=given, body=body, head="", loss=on_logits)
    assert fixed(tmp_path, before) == (after if same else before)


TWICE = """import keras

model = keras.Sequential([keras.layers.Dense(3{head})])
loss = {loss}
metrics = ["categorical_accuracy"]
model.compile(loss=loss, metrics=metrics)
model.fit(x, y)
model.compile(optimizer="sgd", loss=loss, metrics=metrics)
model.fit(x, y)
"""


def test_a_loss_that_a_model_is_compiled_with_twice_is_changed_where_it_is_named(tmp_path: Path) -> None:
    before = TWICE.format(head=", activation='softmax'", loss="'categorical_crossentropy'")
    after = TWICE.format(head="", loss="keras.losses.CategoricalCrossentropy(from_logits=True)")
    assert fixed(tmp_path, before) == after
    assert "loss = 'categorical_crossentropy'\n" in fixed(tmp_path, before + "print(loss)\n")


READ = """import keras
import numpy as np
from keras.losses import CategoricalCrossentropy
{}
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5, activation="softmax")])
model.compile("adam", "categorical_crossentropy")
model.fit(np.zeros((8, 4)), np.eye(5)[[0] * 8]{})
{}"""
OPTUNA = "from optuna.integration import KerasPruningCallback\n"
#: what is imported, what the model is trained with, what reads it besides -> whether the fix is safe
READERS = {
    "the greatest of each": (
        "",
        "",
        "p = model.predict(x)\nfor i in range(len(p)):\n    print(np.argmax(p[i]))\n",
        True,
    ),
    "the greatest of each, numbered": (
        *("", "", "p = model.predict(x)\nfor i, _ in enumerate(p):\n    print(np.argmax(p[i]))\n", True),
    ),
    "the greatest of each column": (
        *("", "", "p = model.predict(x)\nfor i in range(5):\n    print(np.argmax(p[:, i]))\n", False),
    ),
    "its history": ("", "", 'print(model.history.history["loss"])\n', True),
    "what stops the training": (OPTUNA, ', callbacks=[KerasPruningCallback(1, "loss")]', "", True),
    "a library's callback": ("import other\n", ", callbacks=[other.SomeCallback()]", "", False),
    "its weights are kept": ("import tensorflow as tf\n", "", "tf.train.Checkpoint(model=model).save(path)\n", True),
}


@pytest.mark.parametrize(("imports", "callbacks", "reads", "safe"), READERS.values(), ids=READERS)
def test_what_reads_no_probabilities(tmp_path: Path, imports: str, callbacks: str, reads: str, safe: bool) -> None:
    program = READ.format(imports, callbacks, "x = np.zeros((3, 4))\n" + reads)
    mended = fixed(tmp_path, program)
    assert ("from_logits=True" in mended) is safe


def test_the_last_of_a_list_of_layers_that_is_joined_to_others(tmp_path: Path) -> None:
    program = (
        "import keras\nimport numpy as np\nfrom keras.layers import Activation, Dense\n\nfirst = [Dense(12)]\n"
        'last = [\n    Dense(5),\n    Activation("softmax"),\n]\nmodel = keras.Sequential(first + last)\n'
        'model.compile("adam", "categorical_crossentropy")\nmodel.fit(np.zeros((8, 4)), np.eye(5)[[0] * 8])\n'
    )
    assert "last = [\n    Dense(5),\n]\n" in fixed(tmp_path, program)
    assert fixed(tmp_path, program + "print(len(last))\n") == program + "print(len(last))\n"


SEQUENCES = """import numpy as np
from keras.layers import LSTM, Dense, Input
from keras.losses import CategoricalCrossentropy
from keras.models import Model

inputs, states = Input(shape=(None, 30)), [Input(shape=(256,)), Input(shape=(256,))]
lstm = LSTM(256, return_sequences=True, return_state=True)
outputs, _, _ = lstm(inputs)
dense = Dense(30{})
outputs = dense(outputs)
model = Model(inputs, outputs)
model.compile(optimizer="rmsprop", loss={})
model.fit(np.zeros((8, 6, 30)), np.zeros((8, 6, 30)))
outputs, h, c = lstm(inputs, initial_state=states)
decoder = Model([inputs] + states, [dense(outputs)] + [h, c])
tokens, h, c = decoder.predict([np.zeros((1, 1, 30)), np.zeros((1, 256)), np.zeros((1, 256))])
print(np.argmax(tokens[0, -1, :]))
"""


def test_a_decoder_that_gives_its_states_too(tmp_path: Path) -> None:
    before = SEQUENCES.format(', activation="softmax"', '"categorical_crossentropy"')
    assert fixed(tmp_path, before) == SEQUENCES.format("", "CategoricalCrossentropy(from_logits=True)")
