"""Functions of modules that aren't at hand: what they compute is known from their names alone."""

from __future__ import annotations

import ast

from finallayer.expr import Role, having
from finallayer.findings import Sighting
from finallayer.fix.flow.context import Context
from finallayer.source.symbols import signature_of
from finallayer.source.values import External

_HEADS = having(Role.HEAD)


def known_by_name_only(sighting: Sighting, context: Context) -> str:
    """Why a fix is unsafe of a softmax or sigmoid that only its name says to be one; empty where there is none."""
    for node in sighting.node.walk():
        module = context.module_at(node.origin) if node.op in _HEADS else None
        call = module.syntax.expression(node.origin) if module is not None else None
        if module is not None and isinstance(call, ast.Call):
            callees = [v for v in module.values(call.func) if isinstance(v, External)]
            if any(signature_of(c.name) is None for c in callees):
                return f"that `{module.syntax.text(call.func)}` is a {node.op}, only its name says"
    return ""
