"""What reads logits as probabilities is told of the logits, where that certainly says the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ..workbench import fixed, repaired

TORCH = """import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(0)
net = nn.Linear(4, 1)
criterion = nn.BCEWithLogitsLoss()

"""
JAX = """import jax
import jax.numpy as jnp
import optax

"""
KERAS = """import keras

model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
loss = keras.losses.BinaryCrossentropy(from_logits=True)
"""
SEVERAL = """import keras

model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
loss = keras.losses.CategoricalCrossentropy(from_logits=True)
"""
COMPILE = 'model.compile("adam", loss, metrics=[{}])\n'

#: the line that reads logits -> what it becomes
THRESHOLDS = {
    "predicted = out > 0.5": "predicted = out > 0",
    "predicted = (out.squeeze(1) >= 0.5).float()": "predicted = (out.squeeze(1) >= 0).float()",
    "predicted = out.detach() > 0.5": "predicted = out.detach() > 0",
    "predicted = ~(out <= 0.5)": "predicted = ~(out <= 0)",
    "predicted = torch.gt(out, 0.5)": "predicted = torch.gt(out, 0)",
    "predicted = out.gt(0.5)": "predicted = out.gt(0)",
    "predicted = torch.where(out > 0.5, 1, 0)": "predicted = torch.where(out > 0, 1, 0)",
    "predicted = (out > 0.5) * torch.ones_like(out)": "predicted = (out > 0) * torch.ones_like(out)",
    "predicted = out.double() > 0.5": "predicted = out.double() > 0",
    "predicted = out.to(torch.float64) > 0.5": "predicted = out.to(torch.float64) > 0",
    "predicted = torch.round(out)": "predicted = torch.round(torch.sigmoid(out))",
    "predicted = out.round().detach()": "predicted = torch.sigmoid(out).round().detach()",
}
STEP = "def step(x, y):\n    out = net(x)\n    {}\n    return criterion(out, y), predicted\n"


@pytest.mark.parametrize(("before", "after"), THRESHOLDS.items())
def test_a_half_becomes_a_zero_and_says_what_the_sigmoid_would(tmp_path: Path, before: str, after: str) -> None:
    import torch

    mended = fixed(tmp_path, TORCH + STEP.format(before))
    assert mended == TORCH + STEP.format(after)
    x, y = torch.randn(64, 4), torch.ones(64, 1)
    got: dict[str, Any] = {}
    truth: dict[str, Any] = {}
    exec(mended, got)
    exec(TORCH + STEP.format(before.replace("out", "out.sigmoid()")), truth)
    _, predicted = got["step"](x, y)
    assert 0 < predicted.float().mean() < 1
    assert torch.equal(predicted, truth["step"](x, y)[1])


#: the metrics of a model with one unit -> what they become, and whether without a doubt
METRICS = {
    '"binary_crossentropy"': (
        'keras.metrics.BinaryCrossentropy(name="binary_crossentropy", from_logits=True)',
        True,
    ),
    'keras.metrics.AUC(name="auc")': ('keras.metrics.AUC(name="auc", from_logits=True)', True),
    "keras.metrics.BinaryAccuracy()": ("keras.metrics.BinaryAccuracy(threshold=0)", False),
    "keras.metrics.BinaryAccuracy(threshold=0.5)": ("keras.metrics.BinaryAccuracy(threshold=0)", False),
    '"accuracy"': ('keras.metrics.BinaryAccuracy(name="accuracy", threshold=0)', False),
    'keras.metrics.BinaryAccuracy(threshold=0), "auc"': (
        'keras.metrics.BinaryAccuracy(threshold=0), keras.metrics.AUC(name="auc", from_logits=True)',
        True,
    ),
    'keras.metrics.AUC(from_logits=True), "acc"': (
        'keras.metrics.AUC(from_logits=True), keras.metrics.BinaryAccuracy(name="acc", threshold=0)',
        False,
    ),
}


def _mended(tmp_path: Path, program: str, unsafe: bool) -> str:
    (tmp_path / "program.py").write_text(program)
    changed = repaired(tmp_path / "program.py", unsafe).changed
    return changed[0][1].decode() if changed else program


@pytest.mark.parametrize(("before", "after"), METRICS.items())
def test_keras_metrics_are_told(tmp_path: Path, before: str, after: tuple[str, bool]) -> None:
    program, expected = (KERAS + COMPILE.format(metrics) for metrics in (before, after[0]))
    assert _mended(tmp_path, program, unsafe=False) == (expected if after[1] else program)
    assert _mended(tmp_path, program, unsafe=True) == expected


def test_a_zero_that_some_versions_refuse_is_said(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(KERAS + COMPILE.format('"accuracy"'))
    (finding,) = repaired(tmp_path / "program.py").remaining
    assert finding.fix is not None and finding.fix.note == "Keras 3.0 to 3.4 take no threshold of 0"


def test_the_metrics_of_several_classes_are_told(tmp_path: Path) -> None:
    before = SEVERAL + COMPILE.format('"accuracy", "categorical_crossentropy"')
    told = 'keras.metrics.CategoricalCrossentropy(name="categorical_crossentropy", from_logits=True)'
    assert fixed(tmp_path, before) == SEVERAL + COMPILE.format(f'"accuracy", {told}')


def test_what_keras_then_measures_is_the_truth(tmp_path: Path) -> None:
    import numpy as np

    metrics = '"accuracy", "AUC", keras.metrics.BinaryCrossentropy()'
    logits: dict[str, object] = {}
    exec(_mended(tmp_path, KERAS + COMPILE.format(metrics), unsafe=True), logits)
    probabilities: dict[str, object] = {}
    exec(KERAS.replace("Dense(1)", 'Dense(1, activation="sigmoid")').replace("True", "False"), probabilities)
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(256, 4)), draw.integers(0, 2, (256, 1))
    model, reference = logits["model"], probabilities["model"]
    reference.set_weights(model.get_weights())  # type: ignore[attr-defined]
    exec(COMPILE.format(metrics), probabilities)
    got, truth = (m.evaluate(x, y, verbose=0, return_dict=True) for m in (model, reference))  # type: ignore[attr-defined]
    assert got.keys() == truth.keys()
    assert all(abs(got[name] - truth[name]) < 1e-3 for name in truth)


def test_jax_logits_are_told(tmp_path: Path) -> None:
    program = (
        "def loss(w, x, y):\n    z = x @ w\n    hits = jnp.mean((z > {}) == y)\n"
        "    return optax.sigmoid_binary_cross_entropy(z, y).mean(), hits\n\ngrads = jax.grad(loss, has_aux=True)\n"
    )
    assert fixed(tmp_path, JAX + program.format("0.5")) == JAX + program.format("0")


LEFT_ALONE = {
    "whole numbers, of which 0.5 says more": TORCH + STEP.format("predicted = out.long() > 0.5"),
    "whole numbers, by a type": TORCH + STEP.format("predicted = out.to(torch.int8) >= 0.5"),
    "numbers of a type unknown": TORCH + STEP.format("predicted = out.to(y.dtype) > 0.5"),
    "how large the logits are": TORCH + STEP.format("predicted = out[out > 0.5]"),
    "the larger of two": TORCH + STEP.format("predicted = torch.where(out > 0.5, out, 0.5)"),
    "a band": TORCH + STEP.format("predicted = (out > 0.5) | (out < -0.5)"),
    "logits that a squared error trains, too": TORCH
    + STEP.format("predicted = out > 0.5").replace("return ", "return F.mse_loss(out, y) + "),
    "a regression in one branch": TORCH
    + "def step(x, y, regression):\n    out = net(x)\n"
    + "    loss = F.mse_loss(out, y) if regression else criterion(out, y)\n    return loss, out > 0.5\n",
    "another threshold": TORCH + STEP.format("predicted = out > 0.7"),
    "a threshold by name": TORCH + "HALF = 0.5\n\n" + STEP.format("predicted = out > HALF"),
    "rounded to two decimals": TORCH + STEP.format("predicted = out.round(decimals=2)"),
    "rounded, of several classes": TORCH.replace("BCEWithLogitsLoss", "CrossEntropyLoss").replace("(4, 1)", "(4, 3)")
    + STEP.format("predicted = out.round()"),
    "sigmoid outputs read at 0, as before a logarithm": TORCH
    + "def score(x, scores):\n    p = net(x).sigmoid()\n    return torch.where(p > 0, scores, 0)\n",
    "several classes": TORCH.replace("BCEWithLogitsLoss", "CrossEntropyLoss").replace("Linear(4, 1)", "Linear(4, 3)")
    + STEP.format("predicted = out > 0.5"),
    "what another module makes may be probabilities": TORCH.replace(
        "import torch\n", "import helpers\nimport torch\n", 1
    )
    + "def step(x, y):\n    out = helpers.apply(net, x)\n    return criterion(out, y), out > 0.5\n",
    "a function that is handed probabilities, too": TORCH
    + "def hits(out, y):\n    return (out > 0.5) == y\n\n"
    + "def step(x, y):\n    z = net(x)\n    return criterion(z, y), hits(z, y), hits(z.sigmoid(), y)\n",
    "another head of the same shape": TORCH
    + "other = nn.Linear(4, 1)\n\ndef step(x, y):\n    return criterion(net(x), y), other(x) > 0.5\n",
    "a metric that no version reads logits with": KERAS + COMPILE.format("keras.metrics.Precision()"),
    "one that can't be told among others": KERAS + COMPILE.format('"accuracy", keras.metrics.Recall()'),
    "a metric made elsewhere": KERAS + "accuracy = keras.metrics.BinaryAccuracy()\n" + COMPILE.format("accuracy"),
    "metrics in a variable": KERAS + 'METRICS = ["accuracy"]\nmodel.compile("adam", loss, metrics=METRICS)\n',
    "a binary metric of several classes": SEVERAL + COMPILE.format("keras.metrics.BinaryAccuracy()"),
    "accuracy of units unknown": "from helpers import units\n\n"
    + KERAS.replace("Dense(1)", "Dense(units)")
    + COMPILE.format('"accuracy"'),
    "accuracy that is weighted, which the analysis doesn't judge": KERAS
    + 'model.compile("adam", loss, weighted_metrics=["accuracy"])\n',
    "one compile for models of logits and of probabilities": """import keras

def build(head, logits):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1), *head])
    model.compile(loss=keras.losses.BinaryCrossentropy(from_logits=logits), metrics=["accuracy"])
    return model

first, second = build([], True), build([keras.layers.Activation("sigmoid")], False)
""",
}


@pytest.mark.parametrize("program", LEFT_ALONE.values(), ids=LEFT_ALONE)
def test_what_is_left_alone(tmp_path: Path, program: str) -> None:
    assert _mended(tmp_path, program, unsafe=True) == program


HITS = {
    "def hits(out, y):\n    return (out > 0.5) == y\n": "`hits` is handed on (line 18)",
    "def hits(out, y):\n    out = out.squeeze()\n    return (out > 0.5) == y\n": "`hits` is handed on (line 19)",
    "hits = lambda out, y: (out > 0.5) == y\n": "a lambda (line 9)",
}


@pytest.mark.parametrize(("hits", "unseen"), HITS.items())
def test_a_caller_unknown_makes_it_unsafe(tmp_path: Path, hits: str, unseen: str) -> None:
    program = TORCH + hits + "\n" + STEP.format("predicted = hits(out, y)") + "\n\n__all__ = [hits]\n"
    (tmp_path / "program.py").write_text(program)
    (finding,) = repaired(tmp_path / "program.py").remaining
    assert finding.fix is not None and not finding.fix.safe
    assert finding.fix.note == f"can't see all that is compared: {unseen}"


def test_who_calls_the_function_that_makes_the_logits_is_no_matter(tmp_path: Path) -> None:
    program = TORCH + STEP.format("predicted = out.squeeze() > 0.5") + "\n__all__ = [step]\n"
    assert fixed(tmp_path, program) == program.replace("> 0.5", "> 0")
