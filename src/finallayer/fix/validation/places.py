"""Places: of edits, and of calls that don't read all of a tensor (``values, indices = topk(p)``), or no number."""

from __future__ import annotations

import ast

from finallayer.expr import Node, Origin
from finallayer.findings import Edit
from finallayer.fix.flow.roles import is_numberless, only_places_are_read
from finallayer.fix.text.syntax import Syntax
from finallayer.fix.validation.programs import Programs


def lines_of(syntax: Syntax, edit: Edit) -> tuple[int, int]:
    """The first and the last line of the module that an edit touches."""
    at = Origin(edit.path, edit.line, edit.column, edit.end_line, edit.end_column, edit.cell)
    place = syntax.file.in_module(at) if edit.cell is not None else at
    return place.line, place.end_line


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
