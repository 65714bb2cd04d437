"""Real training in plain PyTorch, in this process: heads differ in nothing but the head; gradients are the framework's.

What Keras does is tested through the command (test_command), where each backend has a process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from typing import Any

import numpy as np
import pytest

from finallayer.compare.cliff import MARGINS, head_curve, reference, rows_at
from finallayer.compare.dataset import Dataset, split
from finallayer.compare.fairness import initial_weights
from finallayer.compare.grid import Cell
from finallayer.compare.measure import Epoch, margins
from finallayer.compare.sources import load
from finallayer.compare.worker import make_trainer, one_line, train_cell
from finallayer.numerics.blocks import xent_logits


@pytest.fixture(scope="module")
def data() -> Dataset:
    digits = load("digits")
    return split("digits", digits.x_train[:400], digits.y_train[:400], 10, 0.0, 255.0)


@pytest.fixture(scope="module")
def trainer(data: Dataset) -> Any:
    import torch

    torch.set_num_threads(1)  # a tiny network on a busy machine waits for its second thread
    return make_trainer("torch", data)


def train(trainer: Any, data: Dataset, head: str, inputs: str = "raw", seed: int = 0, epochs: int = 2) -> list[Epoch]:
    return list(train_cell(trainer, Cell("torch", "float32", inputs, head, seed), data, epochs, batch_size=32))


def timeless(epochs: list[Epoch]) -> list[dict[str, Any]]:
    return [epoch.as_dict() | {"seconds": 0} for epoch in epochs]


def test_a_cell_is_a_function_of_its_seed_whatever_ran_before(trainer: Any, data: Dataset) -> None:
    first = train(trainer, data, "logits")
    train(trainer, data, "clipped-log", seed=5)
    assert timeless(train(trainer, data, "logits")) == timeless(first)
    assert timeless(train(trainer, data, "logits", seed=1)) != timeless(first)


def test_heads_that_are_the_same_mathematics_train_the_same(trainer: Any, data: Dataset) -> None:
    """Scaled inputs keep margins small, where log(softmax(z)) is right: a difference would be unfair, not a head's."""
    logits, by_hand = (train(trainer, data, head, inputs="scaled") for head in ("logits", "log-of-softmax"))
    for a, b in zip(logits, by_hand, strict=True):
        assert a.loss == pytest.approx(b.loss, rel=1e-5)
        assert a.val_accuracy == b.val_accuracy


def test_the_network_starts_from_the_shared_weights(trainer: Any, data: Dataset) -> None:
    trainer.start(Cell("torch", "float32", "raw", "logits", 7))
    x, _ = data.inputs("scaled")
    kernel, bias, last, last_bias = initial_weights(7, 64, 10)
    expected = np.maximum(x.reshape(len(x), -1) @ kernel + bias, 0) @ last + last_bias
    np.testing.assert_allclose(trainer.logits(x), expected, rtol=1e-4, atol=1e-5)


def test_a_clipped_log_silences_samples_and_logits_do_not(trainer: Any, data: Dataset) -> None:
    clipped, logits = (train(trainer, data, head, epochs=3)[-1] for head in ("clipped-log", "logits"))
    assert clipped.silenced > 0.1 and logits.silenced == 0
    assert clipped.largest_margin is not None and clipped.largest_margin > 16.2
    assert logits.val_accuracy > clipped.val_accuracy + 0.1
    assert logits.loss is not None and logits.true_loss is not None and clipped.true_loss is not None
    assert clipped.true_loss > 5 * logits.true_loss


def test_a_log_of_softmax_breaks_on_raw_inputs_and_is_counted(trainer: Any, data: Dataset) -> None:
    last = train(trainer, data, "log-of-softmax")[-1]
    assert last.nonfinite > 0 and last.loss is None


@pytest.mark.parametrize(
    ("head", "precision", "edge"),
    [
        ("logits", "float32", None),
        ("logits", "mixed_bfloat16", None),
        ("clipped-log", "float32", 16.118),  # -log(1e-7)
        ("epsilon-log", "float32", 18.4),  # where 1e-10 is 1 % of the probability
        ("double-softmax", "float32", 0.0),
    ],
)
def test_the_safe_margin_of_each_head(trainer: Any, head: str, precision: str, edge: float | None) -> None:
    curve = head_curve(trainer, precision, head, 32)
    assert curve["safe_margin"] == (None if edge is None else pytest.approx(edge, abs=0.05))
    if edge is None:
        truth = -xent_logits(*reversed(rows_at(MARGINS))).grad[:, 1]
        np.testing.assert_allclose(curve["gradient"], truth, rtol=0.02 if "16" in precision else 1e-4, atol=1e-7)


def test_the_axis_is_true_on_both_sides() -> None:
    """One rival: the truth is a sigmoid of the margin, 4.5e-5 where the target leads by 10 and not 0.9."""
    truth = np.array(reference())
    np.testing.assert_allclose(truth, 1 / (1 + np.exp(-MARGINS)), rtol=1e-6, atol=1e-24)
    logits, labels = rows_at(MARGINS)
    np.testing.assert_array_equal(margins(logits, labels), MARGINS)


def test_a_float16_gradient_overflows_sooner_once_the_loss_is_scaled(trainer: Any) -> None:
    plain, scaled = (head_curve(trainer, "mixed_float16", head, 32) for head in ("logits", "clipped-log"))
    assert plain["overflows_from"] is None
    assert scaled["overflows_from"] == 3.5  # 65,536 / 32 samples times 1 + e**3.43 is all that float16 holds
    assert head_curve(trainer, "float32", "log-of-softmax", 32)["overflows_from"] is None


def test_a_skipped_step_is_counted(trainer: Any, data: Dataset) -> None:
    """Pixels of 255 times a first scale of 65,536: the first steps overflow float16."""
    rows = list(train_cell(trainer, Cell("torch", "mixed_float16", "raw", "logits", 0), data, 1, batch_size=32))
    scaler = trainer._scaler
    assert rows[0].skipped == np.log2(trainer.initial_scale / scaler.get_scale()) > 0
    assert train(trainer, data, "logits", epochs=1)[0].skipped == 0


def test_the_gradient_is_that_of_the_framework(trainer: Any) -> None:
    """Against a finite difference of the loss, not against another gradient."""
    import torch

    logits, labels = np.array([[1.0, -0.5, 2.0]]), np.array([0], dtype=np.int32)
    gradient = trainer.gradient("float32", "epsilon-log", logits, labels)

    def loss(z: np.ndarray) -> float:
        x = torch.softmax(torch.tensor(z, dtype=torch.float64), -1)
        return float(-torch.log(x + 1e-10)[0, 0])

    steps = np.eye(3)[:, None] * 1e-6
    numeric = [(loss(logits + step) - loss(logits - step)) / 2e-6 for step in steps]
    np.testing.assert_allclose(gradient[0], numeric, rtol=1e-4)


def test_an_error_is_told_in_one_line() -> None:
    assert one_line(ValueError("first\nsecond")) == "ValueError: first"
    assert one_line(KeyError()) == "KeyError: no message"


KERAS_CELLS_AGAIN = """
from dataclasses import replace
from finallayer.compare.dataset import split
from finallayer.compare.grid import Cell
from finallayer.compare.sources import load
from finallayer.compare.worker import make_trainer, train_cell

def keras_masks(trainer):
    import keras
    (dropout,) = (layer for layer in trainer._program.model.layers if isinstance(layer, keras.layers.Dropout))
    return keras.ops.convert_to_numpy(dropout.seed_generator.state).tolist()

digits = load("digits")
data = split("digits", digits.x_train[:200], digits.y_train[:200], 10, 0.0, 255.0)
trainer = make_trainer("keras-torch", data)
for precision in ("float32", "mixed_float16"):
    cell = Cell("keras-torch", precision, "raw", "logits", 0)
    def run(cell):
        return [replace(epoch, seconds=0) for epoch in train_cell(trainer, cell, data, epochs=2, batch_size=32)]
    first = run(cell)
    other = run(replace(cell, seed=1))
    assert run(cell) == first, precision
    assert other != first, precision
    twin = run(replace(cell, head="softmax", inputs="scaled"))
    logits = run(replace(cell, inputs="scaled"))
    trainer.start(replace(cell, seed=3))
    assert keras_masks(trainer) == [3, 0]
    assert abs(twin[0].loss - logits[0].loss) < 1e-3, (twin[0].loss, logits[0].loss)
"""


KERAS_IN_MIXED_PRECISION = """
import json, sys
import numpy as np
from finallayer.compare.cliff import head_curve
from finallayer.compare.train_keras import KerasTrainer

trainer = KerasTrainer((8,), 10)
programs = [("mixed_float16", "softmax"), ("mixed_float16", "softmax-float32"), ("mixed_float16", "logits")]
programs += [("float32", "softmax-eps-1e-4"), ("float32", "softmax"), ("float32", "softmax-eps-1e-15")]
curves = {f"{precision} {head}": head_curve(trainer, precision, head, 32) for precision, head in programs}
json.dump(curves, sys.stdout)
"""


@pytest.mark.parametrize("backend", ["tensorflow", "torch"])
def test_what_keras_does_with_a_softmax_in_mixed_precision_and_with_another_epsilon(backend: str) -> None:
    told = in_keras_on_torch() if backend == "torch" else in_keras(backend, KERAS_IN_MIXED_PRECISION)
    curves = json.loads(told.splitlines()[-1])
    at = dict(zip(MARGINS.tolist(), zip(*(curve["gradient"] for curve in curves.values()), strict=True), strict=True))
    half, kept, logits, *_ = at[20.0]
    assert half == 0 and logits == pytest.approx(1)
    assert kept == (pytest.approx(1) if backend == "tensorflow" else 0), (
        "a softmax kept in float32 is rescued on TensorFlow"
    )
    assert at[13.0][0] is None, "in float16 -p/x overflows before it is clipped"
    first = curves["mixed_float16 softmax"]
    assert first["overflows_from"] is not None and 4 < first["overflows_from"] < 5 < first["safe_margin"] < 12
    edges = [curves[name]["safe_margin"] for name in curves if "float32 softmax" in name][-3:]
    if backend == "torch":
        assert edges == pytest.approx([9.2, 16.12, 34.5], abs=0.1)  # -log of 1e-4, 1e-7 and 1e-15
    else:
        assert edges == [None, None, None]


def in_keras(backend: str, program: str) -> str:
    """What a program prints in a Python of its own, where Keras stands on that backend."""
    environment = {**os.environ, "KERAS_BACKEND": backend, "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@cache
def in_keras_on_torch() -> str:
    """What both programs print, one behind the other: to import Keras takes longer than either."""
    return in_keras("torch", KERAS_CELLS_AGAIN + KERAS_IN_MIXED_PRECISION)


def test_a_keras_program_trained_again_starts_from_nothing_but_its_seed() -> None:
    """Programs are compiled once: weights, Adam's moments, the loss scale and the masks must all be set back."""
    in_keras_on_torch()
