"""What the playground's Python says of a program: as ``check`` and ``fix`` do, in the editor's lines."""

from __future__ import annotations

import json
from typing import Any

import playground
import pytest

TORCH = """\
import torch
import torch.nn.functional as F
from torch import nn

net = nn.Linear(20, 5)


def step(x, y):
    p = F.softmax(net(x), dim=1)
    loss = -torch.log(p + 1e-8)[torch.arange(len(y)), y].mean()
    return loss, p
"""

BINARY = """\
import torch


def f(w, x, y):
    p = torch.sigmoid(x @ w)
    return -(y * torch.log(p) + (1 - y) * torch.log(1 - p)).mean()
"""

CELLS = """\
# %%
import torch
from torch import nn
net = nn.Linear(4, 3)
# %%
%matplotlib inline
def step(x, y):
    return nn.CrossEntropyLoss()(torch.softmax(net(x), 1), y)"""


def look(text: str, name: str = "train.py") -> Any:
    return json.loads(playground.look(name, text))


def test_a_finding_comes_with_its_curve_and_the_program_mended() -> None:
    said = look(TORCH)
    (finding,) = said["findings"]
    assert (finding["rule"], finding["line"], finding["column"]) == ("FL203", 10, 13)
    curve = finding["curve"]
    size = dict(zip(curve["margins"], curve["gradient"], strict=True))
    assert size[2] == pytest.approx(dict(zip(curve["margins"], curve["truth"], strict=True))[2], rel=1e-6)
    assert size[40] < 1e-8
    assert finding["applied"] == {k: said["fixed"][k] for k in ("text", "diff")}
    assert "F.log_softmax(logits, dim=1)" in said["fixed"]["text"]
    assert look(said["fixed"]["text"]) == {"findings": [], "notes": [], "fixed": None}


def test_a_binary_loss_has_its_curve() -> None:
    first, *_ = look(BINARY)["findings"]
    assert first["curve"]["truth"][-1] == pytest.approx(1)


def test_a_notebooks_places_are_the_editors() -> None:
    (finding,) = look(CELLS, "book.ipynb")["findings"]
    assert finding["line"] == 8
    assert finding["applied"]["text"] == CELLS.replace("torch.softmax(net(x), 1)", "net(x)")


def test_a_program_that_cant_be_read_is_a_note() -> None:
    said = look("def f(:\n")
    assert said["findings"] == []
    assert len(said["notes"]) == 1


def test_a_file_that_isnt_what_its_name_says_is_told() -> None:
    assert "can't be read" in json.loads(playground.opened("a.ipynb", b"[1"))["error"]
    assert "can't be read" in json.loads(playground.opened("a.py", b"\xff"))["error"]
    assert json.loads(playground.opened("a.py", b"x = 1\n")) == {"text": "x = 1\n"}
