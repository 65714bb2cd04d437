"""Fixes of heads in JAX: Flax, Haiku and plain functions before optax' losses, which all take logits."""

from __future__ import annotations

from typing import ClassVar

from finallayer.expr import Node
from finallayer.fix.fixers.dialect import Dialect, Edits
from finallayer.fix.fixers.removal import Removal
from finallayer.fix.flow.analysed import AnalysedModule
from finallayer.fix.flow.readers import Reader
from finallayer.fix.text.imports import Imports


class Jax(Dialect):
    frameworks: ClassVar[frozenset[str]] = frozenset({"jax"})

    def on_logits(self, _module: AnalysedModule, _loss: Node) -> Edits | None:
        return None  # optax has no loss on probabilities

    def restored(self, reader: Reader, removal: Removal, made: Node) -> Edits | None:
        """The user's own call of softmax, around what reads probabilities."""
        call, syntax = removal.call, reader.module.syntax
        if made.origin is None or syntax.file.path != made.origin.path:
            return None  # the user's spelling is of another file
        if call is None or call.operand is None or Imports(syntax).dotted(call.node.func) is None:
            return None  # what it is called may mean something else at the reader
        whole, inner = syntax.text(call.node), syntax.text(call.operand)
        start = whole.find(inner, len(syntax.text(call.node.func)))
        text = whole[:start] + syntax.text(reader.node) + whole[start + len(inner) :]
        return (syntax.replace(reader.node, text),)
