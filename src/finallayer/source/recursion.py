"""Functions that call themselves, of which an analysis sees two rounds: whether the others may be missed."""

from __future__ import annotations

import ast
import re
from functools import lru_cache

from finallayer.catalog.frameworks import WITHOUT_GRADIENTS
from finallayer.catalog.names import canonical
from finallayer.source.symbols import is_module_class
from finallayer.source.values import External, Frame, Function
from finallayer.source.walking import walk

#: What a last layer, or a loss, is called, whoever wrote it.
_WORD = re.compile(r"softmax|sigmoid|cross_?entropy|logits?$|^nll|nll_loss|(?:^|_)loss$|criterion", re.I)
#: What a hand-written one is made of. On counts and sizes it says nothing: decision trees take logs, too.
_FORMULA = frozenset({"log", "log1p", "exp", "expm1", "logsumexp"})
#: Whose logs nothing is trained by.
_ON_NUMBERS = frozenset({"math", *WITHOUT_GRADIENTS})


def is_missed(function: Function) -> bool:
    """Whether a loss may be handed what it does after some rounds: a model's layers, or a softmax or log of its own."""
    if function.owner is not None and is_module_class(function.owner):
        return True
    words, formulas = _names(function.node)
    return bool(words) or any(_is_of_tensors(base, function.frame) for base in formulas)


@lru_cache(maxsize=1024)
def _names(node: ast.AST) -> tuple[tuple[str, ...], tuple[ast.expr, ...]]:
    """The names in a function that tell of a last layer or loss, and what it takes logs and exponentials with."""
    parts = [*walk(node)]
    named = [n.attr if isinstance(n, ast.Attribute) else getattr(n, "id", "") for n in parts]
    formulas = [n.value for n in parts if isinstance(n, ast.Attribute) and n.attr in _FORMULA]
    return tuple(filter(_WORD.search, named)), tuple(formulas)


def _is_of_tensors(base: ast.expr, frame: Frame) -> bool:
    """Whether a log is a framework's, or a tensor's method: none of ``math`` or NumPy, which trains nothing."""
    if not isinstance(base, ast.Name):
        return True
    scope: Frame | None = frame
    while scope is not None and base.id not in scope.vars:
        scope = scope.parent
    found = scope.vars[base.id] if scope is not None else None
    return not isinstance(found, External) or canonical(found.name).partition(".")[0] not in _ON_NUMBERS
