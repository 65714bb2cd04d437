"""Functions that call themselves, of which an analysis sees two rounds: whether the others may be missed."""

from __future__ import annotations

import ast
import re
from functools import lru_cache

from finallayer.source.symbols import is_module_class
from finallayer.source.values import Function
from finallayer.source.walking import walk

#: What a last layer, or a loss, is written with.
_WORD = re.compile(r"softmax|sigmoid|entropy|logit|nll|loss|^log|^exp", re.I)


def is_missed(function: Function) -> bool:
    """Whether a loss may be handed what it does after some rounds: a model's layers, or a softmax or log of its own."""
    return (function.owner is not None and is_module_class(function.owner)) or _computes(function.node)


@lru_cache(maxsize=1024)
def _computes(node: ast.AST) -> bool:
    named = (n.attr if isinstance(n, ast.Attribute) else getattr(n, "id", "") for n in walk(node))
    return any(map(_WORD.search, named))
