"""Abstract values: which there are, and what becomes of several that meet."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import get_args

import pytest

from finallayer.check.judge import analyse
from finallayer.expr import Node, make
from finallayer.source import Project, values
from finallayer.source.containers import sequence, truth
from finallayer.source.values import Bound, Class, External, Lazy, List, Partial, Super, Union, Value, opaque, union

CLASS = Class(ast.ClassDef("Net", [], [], [], []), [])
#: One value of each class that holds others or a name, and another of it.
PAIRS: dict[str, tuple[Value, Value]] = {
    "external": (External("torch.softmax"), External("torch.nn.functional.softmax")),
    "bound": (Bound("forward", External("a")), Bound("forward", External("b"))),
    "partial": (Partial(External("a"), (1,)), Partial(External("b"), (2,))),
    "super": (Super(CLASS, opaque("a")), Super(CLASS, opaque("b"))),
    "lazy": (Lazy(Path("a.py"), "f"), Lazy(Path("b.py"), "f")),
}


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_of_two_values_neither_is_lost(pair: tuple[Value, Value]) -> None:
    one, other = pair
    met = union([one, other])
    assert isinstance(met, Union)
    assert met.values == pair
    again = union([met, one])
    assert isinstance(again, Union)
    assert again.values == pair


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_no_value_passes_for_a_tuple_of_the_program(pair: tuple[Value, Value]) -> None:
    assert not isinstance(pair[0], tuple)
    assert sequence(pair[0]) is None


def test_every_class_of_values_is_a_value_and_none_is_a_tuple() -> None:
    named = {name.strip() for name in get_args(values.Value) or str(values.Value).split("|")}
    own = {n for n, c in vars(values).items() if inspect.isclass(c) and c.__module__ == values.__name__}
    helpers = {"Call", "MadeOf", "Missing", "Module", "Rest", "Site"}  # not what an expression may stand for
    own -= {n for n in own if issubclass(getattr(values, n), Node)}
    assert own - helpers == named - {"Constant", "tuple[Value, ...]", "Node"}
    assert not any(issubclass(getattr(values, name), tuple) for name in own - helpers)


def test_tuples_meet_item_by_item_where_they_are_as_long() -> None:
    z = make("logits", name="z")
    assert union([(z, 1), (z, 2)]) == (z, union([1, 2])) or isinstance(union([(z, 1), (z, 2)]), tuple)
    assert isinstance(union([(1, 2), (1, 2, 3)]), Union)
    joined = union([(External("a"), z), (External("b"), z)])
    assert isinstance(joined, tuple)
    assert isinstance(joined[0], Union) and joined[1] is z


def test_nodes_meet_in_one_node() -> None:
    x, y = make("logits", name="x"), make("logits", name="y")
    met = union([x, y])
    assert isinstance(met, Node) and met.op == "join"
    assert union([x, x]) is x


@pytest.mark.parametrize(
    ("value", "decided"),
    [(External("torch.softmax"), True), (External("flags.FLAG"), None), ((), False), (List((), exact=False), None)],
)
def test_truth(value: Value, decided: bool | None) -> None:
    assert truth(value) is decided


TORCH = "import torch\nimport torch.nn.functional as F\nfrom torch import nn\nfc = nn.Linear(8, 3)\n"
#: Programs in which a callable is one of two, and the rules that have a finding in them.
ONE_OF_TWO = {
    "functions": ("softmax = torch.softmax if a else F.softmax\nF.cross_entropy(softmax(fc(x), 1), y)\n", {"FL101"}),
    "functions by branches": (
        "if a:\n    softmax = torch.softmax\nelse:\n    softmax = F.softmax\nF.cross_entropy(softmax(fc(x), 1), y)\n",
        {"FL101"},
    ),
    "lambdas": (
        "softmax = (lambda z: torch.softmax(z, 1)) if a else (lambda z: F.softmax(z, 1))\n"
        "F.cross_entropy(softmax(fc(x)), y)\n",
        {"FL101"},
    ),
    "methods": (
        "class Net:\n    def head(self, z):\n        return F.softmax(z, 1)\n    def other(self, z):\n"
        "        return torch.softmax(z, 1)\n    def step(self, x, y):\n"
        "        head = self.head if a else self.other\n        return F.cross_entropy(head(fc(x)), y)\n"
        "Net().step(x, y)\n",
        {"FL101"},
    ),
    "partials": (
        "from functools import partial\nsoftmax = partial(F.softmax, dim=1) if a else partial(torch.softmax, dim=-1)\n"
        "F.cross_entropy(softmax(fc(x)), y)\n",
        {"FL101"},
    ),
    "losses of one kind": (
        "loss = F.cross_entropy if a else nn.CrossEntropyLoss()\nloss(F.softmax(fc(x), 1), y)\n",
        {"FL101"},
    ),
    "losses of two kinds": (
        "loss = F.cross_entropy if a else F.nll_loss\nloss(F.softmax(fc(x), 1), y)\n",
        {"FL101", "FL103"},
    ),
    "a softmax or none": ("head = F.softmax if a else torch.clone\nF.cross_entropy(head(fc(x)), y)\n", {"FL101"}),
}


@pytest.mark.parametrize(("program", "rules"), ONE_OF_TWO.values(), ids=ONE_OF_TWO)
def test_a_callable_that_is_one_of_two_is_followed(tmp_path: Path, program: str, rules: set[str]) -> None:
    path = tmp_path / "program.py"
    path.write_text(TORCH + program)
    assert {f.rule.code for f in analyse(str(path), Project()).findings} == rules


def test_a_function_of_one_of_two_modules_is_followed(tmp_path: Path) -> None:
    for name, axis in (("one", 1), ("other", -1)):
        (tmp_path / f"{name}.py").write_text(f"import torch\ndef head(z):\n    return torch.softmax(z, {axis})\n")
    program = "if a:\n    from one import head\nelse:\n    from other import head\nF.cross_entropy(head(fc(x)), y)\n"
    path = tmp_path / "program.py"
    path.write_text(TORCH + program)
    assert {f.rule.code for f in analyse(str(path), Project()).findings} == {"FL101"}
