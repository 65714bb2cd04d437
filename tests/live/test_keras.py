"""Compiled Keras models: what their loss computes on each backend, and nothing of theirs is changed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import finallayer

#: One process for all models of a backend, since Keras has one backend a process.
PROGRAM = """
import json
import keras
import numpy as np
from pathlib import Path
import finallayer
from finallayer.auditing.script import run

SCRIPT = '''\
import keras
import numpy as np

class Own(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(3)

    def call(self, x):
        return keras.ops.softmax(keras.ops.reshape(self.dense(x), (-1, 3)))

    def compute_loss(self, x, y, y_pred, sample_weight=None, training=True):
        return -keras.ops.mean(keras.ops.log(y_pred) * y)

x, y = np.ones((16, 4), "f4"), np.arange(16) % 3
layers = keras.layers
model = keras.Sequential([keras.Input((4,)), layers.Dense(3, "softmax"), layers.Reshape((3,))])
model.compile("adam", "sparse_categorical_crossentropy")
model.fit(x, y, verbose=0)
model.train_on_batch(x, y)
own = Own()
own.compile("adam")
own.fit(x, np.eye(3, dtype="f4")[y], verbose=0)
'''

x, y = np.random.default_rng(0).normal(size=(16, 4)).astype("f4"), np.arange(16) % 3
onehot = np.eye(3, dtype="f4")[y]

def model(activation, loss, *more, dtype=None):
    dense = keras.layers.Dense
    made = keras.Sequential([keras.Input((4,)), dense(8, "relu"), dense(3, activation, dtype=dtype), *more])
    made.compile("adam", loss, metrics=["accuracy"])
    made.fit(x, onehot if "Sparse" not in type(loss).__name__ else y, verbose=0)
    return made

losses = keras.losses
cases = {
    "softmax": (model("softmax", losses.SparseCategoricalCrossentropy()), y),
    "softmax, one-hot": (model("softmax", losses.CategoricalCrossentropy()), onehot),
    "logits": (model(None, losses.SparseCategoricalCrossentropy(from_logits=True)), y),
    "softmax and from_logits": (model("softmax", losses.SparseCategoricalCrossentropy(from_logits=True)), y),
    "sigmoid": (model("sigmoid", losses.BinaryCrossentropy()), onehot),
    "binary logits": (model(None, losses.BinaryCrossentropy(from_logits=True)), onehot),
    "regression": (model(None, losses.MeanSquaredError()), onehot),
    "reshaped": (model("softmax", losses.CategoricalCrossentropy(), keras.layers.Reshape((3,))), onehot),
    "mixed": (model("softmax", losses.CategoricalCrossentropy(), dtype="mixed_bfloat16"), onehot),
}
found = {}
for name, (made, target) in cases.items():
    before = [np.array(v).tolist() for v in (*made.variables, *made.optimizer.variables, *made.metrics_variables)]
    audit = finallayer.audit(made, x, target)
    after = [np.array(v).tolist() for v in (*made.variables, *made.optimizer.variables, *made.metrics_variables)]
    assert before == after, name
    assert all(f.origin.path == __file__ for f in audit.findings)
    found[name] = [[f.rule.code for f in audit.findings], audit.safe_margin and audit.safe_margin["float32"]]
    made.fit(x, target, verbose=0)

script = Path(__file__).with_name("train.py")
script.write_text(SCRIPT)
told = [[(f.origin.line, f.rule.code) for f in a.findings] for a in run(script, [], True, lambda audit: None).audits]
found["script"] = sum(told, [])
print("FOUND", json.dumps(found))
"""
EXPECTED = {
    "softmax": (["FL202"], 16.1),
    "softmax, one-hot": (["FL202"], 16.1),
    "logits": ([], None),
    "softmax and from_logits": (["FL101"], None),
    "sigmoid": (["FL202"], 16.1),
    "binary logits": ([], None),
    "regression": ([], None),
    "reshaped": (["FL202"], 16.1),
    "mixed": (["FL202"], 16.1),
}
#: What TensorFlow finds the logits behind, in 32 bits.
RESCUED = {"softmax", "softmax, one-hot", "softmax and from_logits", "sigmoid"}


@pytest.mark.parametrize("backend", ["jax", "torch", "tensorflow"])
def test_a_models_loss_is_what_its_backend_computes(backend: str, tmp_path: Path) -> None:
    pytest.importorskip("keras")
    pytest.importorskip(backend)
    file = tmp_path / "program.py"
    file.write_text(PROGRAM)
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(Path(finallayer.__file__).parents[1])}
    environment["TF_CPP_MIN_LOG_LEVEL"] = "3"
    done = subprocess.run([sys.executable, str(file)], env=environment, capture_output=True, text=True, timeout=280)
    assert "FOUND" in done.stdout, done.stderr
    found = json.loads(done.stdout.partition("FOUND")[2])
    assert found.pop("script") == [[19, "FL202"], [20, "FL202"], [13, "FL201"]]
    for name, (codes, margin) in EXPECTED.items():
        got, safe = found[name]
        #: torch's binary cross-entropy is a function of its own, which the catalogue knows
        wanted = ["FL302"] if (name, backend) == ("sigmoid", "torch") else codes
        if backend == "tensorflow" and name in RESCUED:
            wanted, margin = [], None
        assert (name, got) == (name, wanted)
        assert margin is None or safe == pytest.approx(margin, abs=0.1)
