"""Who takes a program's gradients: a framework, or the program itself; or nobody does."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import lru_cache

from finallayer.catalog.conventions import Meaning, suggests
from finallayer.catalog.names import canonical
from finallayer.source.values import External, Function
from finallayer.source.walking import walk

#: What a program that has a framework take its gradients speaks of, as names, attributes, arguments or modules.
_WORDS = frozenset(
    "requires_grad requires_grad_ autograd optim optimizer optimizers Variable Parameter grad GradientTape "
    "value_and_grad manual_backward minimize".split()
)


def has_own_gradient(function: Function) -> bool:
    """Whether a method belongs to an operation whose backward is written beside it."""
    ancestry = function.owner.ancestry() if function.owner is not None else ()
    return any(isinstance(base, External) and canonical(base.name) == "torch.autograd.Function" for base in ancestry)


@lru_cache(maxsize=256)
def differentiates_itself(tree: ast.Module) -> bool:
    """Whether a file has a backward pass of its own, and asks no framework for one."""
    own = (n.name for n in walk(tree) if isinstance(n, ast.FunctionDef))
    return any(suggests(name, Meaning.BACKWARD) for name in own) and not asks_for_gradients(tree)


@lru_cache(maxsize=256)
def asks_for_gradients(tree: ast.Module) -> bool:
    """Whether a file may ask a framework for gradients: it speaks of them, or calls a ``backward`` that is given
    nothing, as a tensor's is."""
    return any(name in _WORDS for node in walk(tree) for name in _names(node)) or any(
        isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute) and n.func.attr == "backward" and not n.args
        for n in walk(tree)
    )


def _names(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.keyword(arg=str(name)):
            yield name
        case ast.Import(names=names):
            yield from (part for alias in names for part in alias.name.split("."))
        case ast.ImportFrom(module=module, names=names):
            yield from (module or "").split(".")
            yield from (alias.name for alias in names)


#: By these, besides, a framework's own training loop is asked to train.
_LOOPS = frozenset("fit fit_generator train_on_batch compile train step update".split())


#: Modules that a program imports that is run by a test runner.
_RUNNERS = frozenset({"pytest", "unittest", "absltest"})


@lru_cache(maxsize=256)
def only_tests(tree: ast.Module) -> bool:
    """Whether a file is a test runner's, and nothing in it is differentiated or trained: it compares values."""
    runs = any(not _RUNNERS.isdisjoint(_names(n)) for n in tree.body if isinstance(n, (ast.Import, ast.ImportFrom)))
    tested = any(_is_case(n) or (runs and _is_test(n)) for n in tree.body)
    return tested and not asks_for_gradients(tree) and all(_LOOPS.isdisjoint(_names(n)) for n in walk(tree))


def _is_case(node: ast.stmt) -> bool:
    """A class that unittest runs."""
    bases = node.bases if isinstance(node, ast.ClassDef) else []
    return any(isinstance(b, (ast.Name, ast.Attribute)) and _last(b).endswith("TestCase") for b in bases)


def _is_test(node: ast.stmt) -> bool:
    """A function or class that pytest runs."""
    match node:
        case ast.FunctionDef(name=name):
            return name.startswith("test_")
        case ast.ClassDef(name=name, body=body):
            return name.startswith("Test") and any(map(_is_test, body))
    return False


def _last(base: ast.Name | ast.Attribute) -> str:
    return base.id if isinstance(base, ast.Name) else base.attr
