"""What a finding of a metric or threshold advises is what makes it right."""

from __future__ import annotations

import pytest

from finallayer.findings import Sighting
from finallayer.rules import all_rules
from finallayer.source import Project, sightings
from finallayer.source.reading import read

TORCH = """import torch
net, criterion = torch.nn.Linear(3, {units}), torch.nn.{loss}()
def step(x, y):
    z = net(x)
    return criterion(z, y), {reads}
"""
KERAS = """import keras
model = keras.Sequential([keras.layers.Dense({units})])
model.compile("sgd", keras.losses.{loss}(from_logits=True), metrics=[keras.metrics.{reads}()])
"""


@pytest.mark.parametrize(
    ("program", "loss", "units", "reads", "advice"),
    [
        (TORCH, "BCEWithLogitsLoss", 1, "z > 0.5", "use a threshold of 0, or apply sigmoid"),
        (TORCH, "BCEWithLogitsLoss", 1, "z > 0.3", "use a threshold of -0.847, or apply sigmoid"),
        (TORCH, "CrossEntropyLoss", 3, "z > 0.5", "use softmax first"),
        (KERAS, "BinaryCrossentropy", 1, "AUC", "use from_logits=True"),
        (KERAS, "CategoricalCrossentropy", 3, "AUC", "use softmax first"),
        (KERAS, "CategoricalCrossentropy", 3, "Precision", "use softmax first"),
        (KERAS, "CategoricalCrossentropy", 3, "CategoricalCrossentropy", "use from_logits=True"),
    ],
)
def test_what_is_advised_is_right(program: str, loss: str, units: int, reads: str, advice: str) -> None:
    text = program.format(loss=loss, units=units, reads=reads)
    seen: list[Sighting] = sightings(read("example.py", text.encode()), Project())
    rule = all_rules()["FL108"]
    (match,) = [m for s in seen if s.node.op in ("metric", "threshold") for m in rule.judge(s)]
    assert match.message.endswith(advice)
