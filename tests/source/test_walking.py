"""Going through a tree meets the nodes that ``ast.walk`` meets, in its order."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from finallayer.source.walking import walk

SOURCES = Path(__file__).parents[2] / "src" / "finallayer" / "source"


@pytest.mark.parametrize("path", sorted(SOURCES.glob("*.py"))[:12], ids=lambda path: path.name)
def test_the_nodes_of_ast_walk_in_its_order(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert [id(node) for node in walk(tree)] == [id(node) for node in ast.walk(tree)]
