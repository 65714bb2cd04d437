"""Calls that don't read all of a tensor: its places alone (``values, indices = topk(p)``), or no number of it."""

from __future__ import annotations

import ast

from finallayer.expr import Node, Origin
from finallayer.fix.flow.roles import is_numberless, only_places_are_read
from finallayer.fix.validation.programs import Programs


def places_read(programs: Programs) -> frozenset[Origin]:
    """Where such calls stand, which is the same in both programs."""
    found: set[Origin] = set()
    for path, module in programs.modules.items():
        for node in programs.old.values.get(path, ()):
            if isinstance(node, ast.Call) and only_places_are_read(module.syntax, node):
                found |= {v.origin for v in module.values(node) if isinstance(v, Node) and v.origin is not None}
    return frozenset(found)


def numberless(programs: Programs) -> frozenset[str]:
    """The names of the opaque values that calls give which read no number: ``tf.zeros_like(p)``."""
    return frozenset(
        f"{path}:{node.lineno}:{node.col_offset}"
        for path, module in programs.modules.items()
        for node in programs.old.values.get(path, ())
        if isinstance(node, ast.Call) and is_numberless(module, node)
    )
