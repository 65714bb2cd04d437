"""What holds for every test.

Hypothesis draws the same examples in each run, so a failure is one that can be repeated. And whatever a test makes, it
makes of operations and attributes that the tables declare, unless it is marked ``undeclared``. A test that imports a
framework is skipped where there is none: the checker's own run on every Python, most frameworks on few.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Generator, Iterator
from typing import Any

import pytest
from hypothesis import settings

from finallayer.expr import Node, Origin, undeclared

# A command that a test starts finds the bytecode that another has left: to compile it takes longer than it runs.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# The tests' own processes leave none: a program that a test writes anew within a second would be taken for the old one.
sys.dont_write_bytecode = True

# What a process has loaded (frameworks, above all) stays: to look for garbage among it again and again costs time only.
gc.set_threshold(200_000, 20, 100)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With ``-n`` alone each worker has whole files, so that what a file starts is started once, and steals when it
    has none left."""
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log) if config.getoption("dist") == "load" else None


def pytest_collection_finish() -> None:
    gc.freeze()  # all that was collected and loaded so far


settings.register_profile("deterministic", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("deterministic")

#: What nodes were made of since the last test began that no table declares.
found: set[str] = set()
unwatched = Node.__init__


def watched(node: Node, op: str, args: tuple[Node, ...], attrs: dict[str, Any], origin: Origin | None) -> None:
    unwatched(node, op, args, attrs, origin)
    found.update(undeclared(node))


Node.__init__ = watched  # type: ignore[method-assign, assignment]


@pytest.fixture(autouse=True)
def _only_declared_operations(request: pytest.FixtureRequest) -> Iterator[None]:
    found.clear()
    yield
    if request.node.get_closest_marker("undeclared") is None:
        assert found == set(), "expr.OPERATIONS doesn't provide for what this test has made"


#: What is not to be had for every Python on the day it appears, and so may be missing.
FRAMEWORKS = {"torch", "tensorflow", "keras", "jax", "flax", "haiku", "equinox", "optax", "scipy", "sklearn"}
FRAMEWORKS |= {"accelerate", "lightning", "tensorboard", "transformers", "onnx", "onnxruntime", "onnxscript"}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None, Any, Any]:
    return (yield from _skipped_without_its_framework())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, Any, Any]:
    return (yield from _skipped_without_its_framework())


def _skipped_without_its_framework() -> Generator[None, Any, Any]:
    try:
        return (yield)
    except ModuleNotFoundError as missing:
        if missing.name in FRAMEWORKS:
            pytest.skip(f"{missing.name} is not installed")
        raise
