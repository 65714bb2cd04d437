"""The conventions: each row's own names are its tests, as names and in a program that hangs on what they mean."""

from __future__ import annotations

from pathlib import Path

import pytest

import finallayer
from finallayer.catalog.conventions import CONVENTIONS, Convention, Meaning, convention, suggests, taken_for
from finallayer.check.judge import analyse
from finallayer.source import Project

TORCH = """\
import torch
import torch.nn.functional as F
from torch import nn
net = nn.Sequential(nn.Linear(8, 3), nn.Softmax(dim=1))
"""
#: A program with a name in it, and the rule that has a finding in it (of this severity) where the name is meant, or
#: only where it isn't.
PROGRAMS: dict[Meaning, tuple[str, str, bool]] = {
    Meaning.EPSILON: (
        TORCH + "def f(x, y, {name}):\n    return -(y * torch.log(net(x) + {name})).sum()\n",
        "FL203",
        True,
    ),
    Meaning.LOG_PROBABILITY: (
        TORCH + "def f({name}):\n    e = torch.exp({name})\n    return e / e.sum(dim=1, keepdim=True)\n",
        "FL204",
        False,
    ),
    Meaning.HEAD: (
        TORCH + "from torchvision import models\nm = models.resnet18()\nm.{name} = net\n"
        "def f(x, y):\n    return F.cross_entropy(m(x), y)\n",
        "FL101",
        True,
    ),
    Meaning.OPERATION: (
        TORCH
        + "from elsewhere import {name}\ndef f(x, y):\n    return F.cross_entropy({name}(nn.Linear(3, 3)(x)), y)\n",
        "FL101 FL303 FL104 FL106",
        True,
    ),
    Meaning.OBJECT: (
        TORCH + "import elsewhere\nloss = elsewhere.{name}()\n"
        "criterion = loss if loss is not None else nn.CrossEntropyLoss()\n"
        "def f(x, y):\n    return criterion(net(x), y)\n",
        "FL101",
        False,
    ),
    Meaning.HANDS_ON: (
        TORCH + "from elsewhere import {name}\nnet, optimizer = {name}(net, torch.optim.Adam(net.parameters()))\n"
        "def f(x, y):\n    return F.cross_entropy(net(x), y)\n",
        "FL101",
        True,
    ),
    Meaning.HANDS_ON_FIRST: (
        TORCH + "from elsewhere import {name}\nnet = {name}(net, 0)\n"
        "def f(x, y):\n    return F.cross_entropy(net(x), y)\n",
        "FL101",
        True,
    ),
    Meaning.TRAINS: (
        TORCH + "from elsewhere import {name}\n{name}(net, nn.CrossEntropyLoss())\n",
        "FL101",
        True,
    ),
    Meaning.SECOND_MODEL: (
        TORCH + "from elsewhere import load, train\n{name} = load()\ntrain(net, {name}, nn.CrossEntropyLoss())\n",
        "FL101",
        False,
    ),
    Meaning.PROPERTY: (
        TORCH + "from elsewhere import {name}\nclass Model:\n    @{name}\n    def output(self):\n"
        "        return net(self.x)\n    def loss(self, y):\n        return F.cross_entropy(self.output, y)\n",
        "FL101",
        True,
    ),
    Meaning.USE: (
        TORCH + "z = nn.Linear(8, 3)\ndef f(x, y, {name}):\n    out = net(x) if {name} else z(x)\n"
        "    return F.cross_entropy(out, y)\n",
        "FL101",
        False,
    ),
    Meaning.BACKWARD: (
        TORCH + "def f(x, y):\n    return -(y * torch.log(net(x))).sum()\ndef {name}(p, y):\n    return p - y\n",
        "FL201/warning",
        False,
    ),
    Meaning.IN_PLACE: (
        TORCH + "def f(x, y):\n    p = net(x)\n    p.{name}(1e-7)\n    return -(y * torch.log(p)).sum()\n",
        "FL202",
        True,
    ),
}


NAMES = [
    (row, name, meant)
    for row in CONVENTIONS
    for meant in (True, False)
    for name in (row.meant if meant else row.look_alikes)
]
IN_PROGRAMS = [(row, last, meant) for row, name, meant in NAMES if (last := name.rpartition(".")[2]).isidentifier()]


def called(case: object) -> str:
    return case.meaning.name if isinstance(case, Convention) else str(case)


def test_a_name_is_taken_for_what_its_row_says() -> None:
    assert [case for case in NAMES if (convention(case[1], case[0].meaning) is case[0]) is not case[2]] == []


@pytest.mark.parametrize(("row", "name", "meant"), IN_PROGRAMS, ids=called)
def test_a_name_decides_what_is_found(tmp_path: Path, row: Convention, name: str, meant: bool) -> None:
    template, rules, when_meant = PROGRAMS[row.meaning]
    path = tmp_path / "program.py"
    path.write_text(template.format(name=name))
    analysis = analyse(str(path), Project())
    assert not analysis.notes
    told = {word for f in analysis.findings for word in (f.rule.code, f"{f.rule.code}/{f.severity}")}
    found = told & set(rules.split())
    assert bool(found) is (meant is when_meant), analysis.findings


@pytest.mark.parametrize("row", CONVENTIONS, ids=lambda row: row.meaning.name)
def test_a_row_has_look_alikes_in_both_directions(row: Convention) -> None:
    assert len(row.meant) >= 1 and len(row.look_alikes) >= 1
    assert all(convention(name, row.meaning) is not row for name in row.look_alikes)


@pytest.mark.parametrize("meaning", Meaning)
def test_every_meaning_is_asked_for_and_has_a_program(meaning: Meaning) -> None:
    texts = [p.read_text() for p in Path(finallayer.__file__).parent.rglob("*.py") if p.name != "conventions.py"]
    assert any(f"Meaning.{meaning.name}" in text or f'"{meaning.name.lower()}"' in text for text in texts)
    assert meaning in PROGRAMS


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("x@epsilon:12", None),  # an argument of a function called so
        ("eps@step:12", "epsilon"),
        ("/home/eps/actions.py:3:4", None),  # a place
        ("args.eps.shape", None),
        ("", None),
    ],
)
def test_only_a_values_own_name_counts(name: str, meaning: str | None) -> None:
    assert taken_for(name) == meaning


def test_a_name_is_taken_for_one_thing() -> None:
    of_values = (Meaning.EPSILON, Meaning.LOG_PROBABILITY)
    for row, name, meant in NAMES:
        if meant and row.meaning in of_values:
            assert [m for m in of_values if suggests(name, m)] == [row.meaning], name
            assert taken_for(name) == row.meaning.name.lower()
