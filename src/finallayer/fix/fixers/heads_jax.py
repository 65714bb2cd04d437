"""Fixes of heads in JAX: Flax, Haiku and plain functions before optax' losses, which all take logits."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import ClassVar

from finallayer.expr import Node
from finallayer.findings import Match, Sighting
from finallayer.fix.fixers.head_removal import Dialect, Edits, drop_head
from finallayer.fix.fixers.removal import Removal, argument_of, imported_names
from finallayer.fix.flow.analysed import Program
from finallayer.fix.flow.context import Context
from finallayer.fix.flow.readers import Place
from finallayer.fix.registry import Proposal, Reach, mends


class Jax(Dialect):
    frameworks: ClassVar[frozenset[str]] = frozenset({"jax"})

    def on_logits(self, program: Program, loss: Node) -> Edits | None:
        return None  # optax has no loss on probabilities

    def restored(self, program: Program, place: Place, removal: Removal, made: Node) -> Edits | None:
        """The user's own call of softmax, around what reads probabilities."""
        call = removal.call
        if made.origin is None or place.path != made.origin.path:
            return None  # the user's spelling is of another file
        x = argument_of(call, program.syntax) if call is not None else None
        if call is None or x is None or not _is_global(program, call.func):
            return None
        whole, inner = program.syntax.text(call), program.syntax.text(x)
        start = whole.find(inner, len(program.syntax.text(call.func)))
        text = whole[:start] + program.syntax.text(place.node) + whole[start + len(inner) :]
        return (program.syntax.replace(place.node, text),)


def _is_global(program: Program, func: ast.expr) -> bool:
    """Whether a function's name means the same everywhere in the file: it is reached through an import."""
    while isinstance(func, ast.Attribute):
        func = func.value
    return isinstance(func, ast.Name) and func.id in imported_names(program.syntax)


@mends("FL101", "FL104", reach=Reach.MODEL)
def jax_head(sighting: Sighting, match: Match, context: Context) -> Iterator[Proposal]:
    """The softmax before ``optax.softmax_cross_entropy`` goes."""
    if sighting.framework in Jax.frameworks:
        yield from drop_head(sighting, context, Jax())
