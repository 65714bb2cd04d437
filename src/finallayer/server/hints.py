"""Inlay hints: what kind of value a loss is handed, written behind it."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from finallayer.expr import LOSSES, Node, Origin
from finallayer.kinds import Kind
from finallayer.source import Project, Uses, interpret
from finallayer.source.files import SourceFile
from finallayer.source.values import distinct

#: The kinds that a loss may be handed as its prediction.
_SHOWN = frozenset(Kind) - {Kind.UNKNOWN, Kind.TARGET}


def hints(file: SourceFile, project: Project) -> Iterator[tuple[Origin, str]]:
    """Each argument of a loss's call whose kind is known, and that kind."""
    uses = Uses()
    interpret(file, project, uses)
    values = uses.values.get(file.path, {})
    for call in ast.walk(file.tree):
        if isinstance(call, ast.Call) and any(_is_loss(seen.value) for seen in values.get(call, ())):
            for argument in call.args:
                kinds = {v.kind for v in distinct(s.value for s in values.get(argument, ())) if isinstance(v, Node)}
                if len(kinds) == 1 and kinds <= _SHOWN:
                    yield file.origin(argument), str(kinds.pop())


def _is_loss(value: object) -> bool:
    """Whether a value is a loss, or made of one by a reduction alone."""
    while isinstance(value, Node):
        if value.op in LOSSES:
            return True
        if len(value.args) != 1:
            return False
        value = value.args[0]
    return False
