"""The PyTorch table agrees with the installed PyTorch: functions, layers, losses and tensor methods."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from finallayer.catalog import numpy, standard, tensorflow, torch

from .reality import Real, called, disagreements, real, resolve

#: built-in types that state no signature
UNSTATED = {f"torch.{t}Tensor" for t in ("Float", "Double", "Long", "cuda.Float", "cuda.Long", "")}
UNSTATED |= {"torch.autograd.Variable"}


@pytest.fixture(scope="module")
def stubs() -> dict[str, list[Real]]:
    """The overloads of PyTorch's built-in functions, by name, from the type stubs that it ships."""
    home = Path(pytest.importorskip("torch").__file__).parent / "_C"
    found: dict[str, list[Real]] = defaultdict(list)
    for file, prefix in (("_VariableFunctions.pyi", "torch"), ("_nn.pyi", "torch.nn.functional")):
        for node in ast.walk(ast.parse((home / file).read_text())):
            if isinstance(node, ast.FunctionDef):
                found[f"{prefix}.{node.name}"].append(_of(node))
    for cls in ast.parse((home / "__init__.pyi").read_text()).body:
        if isinstance(cls, ast.ClassDef) and cls.name == "TensorBase":
            for node in cls.body:
                if isinstance(node, ast.FunctionDef):
                    found[f"Tensor.{node.name}"].append(_of(node))
    return found


def _of(node: ast.FunctionDef) -> Real:
    positional = tuple(a.arg for a in (*node.args.posonlyargs, *node.args.args))
    names = frozenset((*positional, *(a.arg for a in node.args.kwonlyargs)))
    return Real(positional, names, node.args.vararg.arg if node.args.vararg else None)


def _references(name: str, found: Any, stubs: dict[str, list[Real]]) -> list[Real]:
    overrides = resolve("torch.overrides").get_testing_overrides()
    stated = [real(overrides[found])] if getattr(found, "__hash__", None) and found in overrides else []
    functional = name.replace("torch.nn.functional.", "torch.")
    return [r for r in (real(found), *stated, *stubs.get(name, ()), *stubs.get(functional, ())) if r]


def test_every_line_agrees(stubs):
    wrong = {}
    for name, line in torch.NAMES.items():
        if name in torch.AROUND or name in UNSTATED:
            continue
        found = resolve(name)
        if found is None:
            wrong[name] = ["does not exist"]
            continue
        calls = [called(found)] if isinstance(found, type) else []
        wrong[name] = disagreements(line, _references(name, found, stubs), [c for c in calls if c])
    assert [f"{n}: {w}" for n, w in wrong.items() if w] == []


def test_every_tensor_method_agrees(stubs):
    wrong = {}
    others = {*numpy.METHODS, *tensorflow.METHODS}
    for name, line in torch.METHODS.items():
        found = getattr(resolve("torch.Tensor"), name, None)
        if found is None:
            wrong[name] = ["does not exist"] if name not in others else []
        elif callable(found):
            wrong[name] = disagreements(line, _references(f"Tensor.{name}", found, stubs))
    assert [f"{n}: {w}" for n, w in wrong.items() if w] == []


def test_constants_are_pytorchs():
    stated = {n: v for n, v in standard.CONSTANTS.items() if n.startswith("torch.")}
    assert stated
    assert {n: resolve(n) for n in stated} == stated


def test_limits_of_bfloat16_are_pytorchs():
    torch = pytest.importorskip("torch")
    limits = standard.FLOAT_LIMITS["bfloat16"]
    assert limits == {k: getattr(torch.finfo(torch.bfloat16), k) for k in limits}
