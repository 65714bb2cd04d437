"""Going through a tree meets the nodes that ``ast.walk`` meets, in its order; and what a loop does with names."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from finallayer.source.walking import Names, children, names_in, names_in_body, walk

SOURCES = Path(__file__).parents[2] / "src" / "finallayer" / "source"


@pytest.mark.parametrize("path", sorted(SOURCES.glob("*.py"))[:12], ids=lambda path: path.name)
def test_the_nodes_of_ast_walk_in_its_order(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert [id(node) for node in walk(tree)] == [id(node) for node in ast.walk(tree)]
    assert all([*map(id, children(n))] == [*map(id, ast.iter_child_nodes(n))] for n in ast.walk(tree))


def test_the_names_of_a_loop_are_those_of_everything_in_it() -> None:
    program = """
for i in range(n):
    for j, (k, _) in enumerate(rows):
        while (m := step(j)) < last - 1:
            def inner(own):
                kept = [t for t in own]
        if j + 1 == width and 0 < depth:
            pass
    else:
        after = i != first
"""
    loop = ast.parse(program).body[0]
    assert isinstance(loop, ast.For)
    stored = {"i", "j", "k", "_", "m", "kept", "t", "after"}
    assert names_in(loop) == Names(frozenset(stored), frozenset({"j", "last", "width", "depth", "i", "first"}))
    inner = loop.body[0]
    assert names_in(inner) == Names(frozenset(stored - {"i"}), frozenset({"j", "last", "width", "depth", "i", "first"}))
    assert names_in_body(inner) == Names(frozenset({"m", "kept", "t"}), frozenset({"j", "last", "width", "depth"}))
