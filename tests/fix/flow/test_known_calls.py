"""What a call is known to do: by what its callee certainly is, never by a name."""

from __future__ import annotations

import ast

import pytest

from finallayer.fix.flow.analysed import AnalysedModule
from finallayer.fix.flow.known_calls import KnownCall, calls_method, known_call, operation_of, sides
from finallayer.fix.text.syntax import Syntax
from finallayer.source import Project, Uses, sightings
from finallayer.source.reading import read
from finallayer.source.values import External

HEAD = """import numpy as np
import tensorflow as tf
import torch
import torch.nn.functional as F
from torch import nn
import helpers

def softmax(z):
    return z * 2

net = nn.Linear(4, 3)
layer = nn.Softmax(dim=1)
fast = helpers.fast
x = torch.rand(2, 4)
z = net(x)
shape = (1, 2)
options = {}
"""


def last_expression(text: str) -> tuple[AnalysedModule, ast.expr]:
    file = read("example.py", (HEAD + text + "\n").encode())
    uses = Uses()
    sightings(file, Project(), uses)
    statement = file.tree.body[-1]
    assert isinstance(statement, ast.Expr)
    return AnalysedModule(Syntax(file), uses), statement.value


def known(text: str, *ops: str) -> KnownCall | None:
    return known_call(*last_expression(text), *ops)


def given(call: KnownCall | None) -> dict[str, str]:
    assert call is not None
    return {argument.meaning: ast.unparse(argument.node) for argument in call.arguments}


@pytest.mark.parametrize(
    ("text", "op", "calls", "arguments"),
    [
        ("F.softmax(z, dim=1)", "softmax", "function", {"x": "z", "axis": "1"}),
        (
            "F.softmax(z, 1, dtype=torch.float64)",
            "softmax",
            "function",
            {"x": "z", "axis": "1", "dtype": "torch.float64"},
        ),
        ("z.softmax(1)", "softmax", "method", {"x": "z", "axis": "1"}),
        ("layer(z)", "softmax", "layer", {"x": "z"}),
        ("tf.nn.softmax(logits=z, name='p')", "softmax", "function", {"x": "z", "name": "'p'"}),
        ("np.sum(x, 1, float)", "sum", "function", {"x": "x", "axis": "1", "": "float"}),
        ("z.view(*shape)", "reshape", "method", {"x": "z", "*": "*shape"}),
        ("F.softmax(z, **options)", "softmax", "function", {"x": "z", "**": "options"}),
        ("(torch.softmax if x.any() else F.softmax)(z, 1)", None, "", {}),
    ],
)
def test_a_frameworks_call_is_known(text: str, op: str | None, calls: str, arguments: dict[str, str]) -> None:
    call = known(text)
    assert (call and call.op, call and call.calls) == (op, calls or None)
    assert not arguments or given(call) == arguments


@pytest.mark.parametrize(
    "text",
    [
        "softmax(z)",
        "helpers.softmax(z)",
        "nn.Softmax(dim=1)",
        "fast(z)",
        "z.exp_()",
        "torch.sigmoid_(z)",
        "z + 1",
        "net",
    ],
)
def test_what_is_not_certain_is_not_known(text: str) -> None:
    assert known(text) is None


def test_an_operation_that_is_told_more_has_another_operand_only() -> None:
    plain, typed = known("torch.exp(z)"), known("np.exp(z, dtype=float)")
    assert plain is not None and isinstance(plain.only_operand, ast.Name)
    assert typed is not None and typed.operand is not None and typed.only_operand is None
    assert known("torch.exp(z)", "log") is None
    logs = [known(f"{name}(z)") for name in ("torch.log", "torch.log1p", "torch.log2", "np.log10")]
    assert [log is not None and log.is_natural_log for log in logs] == [True, True, False, False]


def test_both_sides_of_an_operation() -> None:
    written = {text: sides(*last_expression(text), ast.Div, "div") for text in ("z / x", "torch.div(z, x)", "z * x")}
    assert [found and tuple(map(ast.unparse, found)) for found in written.values()] == [("z", "x"), ("z", "x"), None]
    assert sides(*last_expression("torch.div(z, x, rounding_mode='floor')"), ast.Div, "div") is None


def test_a_method_is_an_objects_own_or_a_frameworks() -> None:
    own = "class Net(nn.Module):\n    def predict(self, x):\n        return x\n\n{}.predict(x)"
    for text, theirs in ((own.format("Net()"), False), (own.format("net"), True), ("helpers.predict(x)", False)):
        module, call = last_expression(text)
        assert isinstance(call, ast.Call) and calls_method(module, call, "predict") == theirs


def test_the_operation_of_a_function() -> None:
    assert operation_of(External("torch.nn.functional.softmax")) == operation_of("softmax") == "softmax"
    assert operation_of(External("helpers.softmax")) is operation_of("my_softmax") is operation_of(None) is None
