"""What holds for every test.

Hypothesis draws the same examples in each run, so a failure is one that can be repeated. And whatever a test makes, it
makes of operations and attributes that the tables declare, unless it is marked ``undeclared``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings

from finallayer.expr import Node, Origin, undeclared

settings.register_profile("deterministic", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("deterministic")

#: What nodes were made of since the last test began that no table declares.
found: set[str] = set()
unwatched = Node.__init__


def watched(node: Node, op: str, args: tuple[Node, ...], attrs: dict[str, Any], origin: Origin | None) -> None:
    unwatched(node, op, args, attrs, origin)
    found.update(undeclared(node))


Node.__init__ = watched  # type: ignore[method-assign]


@pytest.fixture(autouse=True)
def _only_declared_operations(request: pytest.FixtureRequest) -> Iterator[None]:
    found.clear()
    yield
    if request.node.get_closest_marker("undeclared") is None:
        assert found == set(), "expr.OPERATIONS doesn't provide for what this test has made"
