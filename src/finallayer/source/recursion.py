"""Functions that call themselves, of which an analysis sees two rounds: whether the others may be missed."""

from __future__ import annotations

import ast
import re
from functools import lru_cache

from finallayer.catalog.frameworks import FRAMEWORKS, WITHOUT_GRADIENTS
from finallayer.source.symbols import is_module_class
from finallayer.source.values import External, Frame, Function
from finallayer.source.walking import walk

#: What a last layer, or a loss, is called, whoever wrote it.
_WORD = re.compile(r"softmax|sigmoid|cross_?entropy|logits?$|^nll|nll_loss|(?:^|_)loss$|criterion", re.I)
#: What a hand-written one is made of. On counts and sizes it says nothing: decision trees take logs, too.
_FORMULA = frozenset({"log", "log1p", "exp", "expm1", "logsumexp"})
#: The families of what differentiates.
_TRAINED = frozenset(row.family for row in FRAMEWORKS if row.family) - WITHOUT_GRADIENTS


def is_missed(function: Function) -> bool:
    """Whether a loss may be handed what it does after some rounds: a model's layers, or a softmax or log of its own."""
    if function.owner is not None and is_module_class(function.owner):
        return True
    words, formulas = _names(function.node)
    return bool(words) or any(_is_of_tensors(call, function.frame) for call in formulas)


@lru_cache(maxsize=1024)
def _names(node: ast.AST) -> tuple[tuple[str, ...], tuple[ast.Call, ...]]:
    """The names in a function that tell of a last layer or loss, and the logs and exponentials that it takes."""
    parts = [*walk(node)]
    named = [n.attr if isinstance(n, ast.Attribute) else getattr(n, "id", "") for n in parts]
    formulas = [n for n in parts if isinstance(n, ast.Call) and getattr(n.func, "attr", "") in _FORMULA]
    return tuple(filter(_WORD.search, named)), tuple(formulas)


def _is_of_tensors(call: ast.Call, frame: Frame) -> bool:
    """Whether a log is a framework's, or a tensor's method: none of ``math`` or NumPy, which trains nothing."""
    root = call.func
    while isinstance(root, ast.Attribute):
        root = root.value
    scope: Frame | None = frame
    while scope is not None and isinstance(root, ast.Name) and root.id not in scope.vars:
        scope = scope.parent
    found = scope.vars.get(root.id) if scope is not None and isinstance(root, ast.Name) else None
    if not isinstance(found, External):
        return not call.args
    return found.framework in _TRAINED
