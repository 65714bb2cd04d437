"""Calls that give values and their places, of which only the places are read: ``values, indices = topk(p)``."""

from __future__ import annotations

import ast

from finallayer.expr import Node, Origin
from finallayer.fix.flow.roles import only_places_are_read
from finallayer.fix.validation.programs import Programs


def places_read(programs: Programs) -> frozenset[Origin]:
    """Where such calls stand, which is the same in both programs."""
    found: set[Origin] = set()
    for path, module in programs.modules.items():
        for node in programs.old.values.get(path, ()):
            if isinstance(node, ast.Call) and only_places_are_read(module.syntax, node):
                found |= {v.origin for v in module.values(node) if isinstance(v, Node) and v.origin is not None}
    return frozenset(found)
