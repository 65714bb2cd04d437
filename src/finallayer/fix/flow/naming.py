"""Naming the logits: the argument of a softmax gets a name of its own, so that the loss can read it too."""

from __future__ import annotations

import ast
import re
from typing import NamedTuple

from finallayer.catalog.conventions import words
from finallayer.findings import Edit
from finallayer.fix.flow.bindings import are_shown, changes_after, path_of, reaching, readers, unchanged
from finallayer.fix.flow.context import Context
from finallayer.fix.flow.descent import Descent
from finallayer.fix.text.syntax import Syntax

#: Names that say "probabilities": what bears one shouldn't hold logits. Nothing else hangs on it.
_SAYS_PROBABILITIES = re.compile(
    r"\b(?:p|ps|prob|probs|proba|probas|probability|probabilities|softmax|sigmoid|softmaxed)(?: (?:hat|t|\d+))*$"
)


class Named(NamedTuple):
    """How the logits are written at the place that is to read them, and the edits that make it so."""

    text: str
    edits: tuple[Edit, ...] = ()


def name_logits(
    context: Context, syntax: Syntax, descent: Descent, definition: ast.Assign, logits: ast.expr, use: ast.expr
) -> Named | None:
    """The logits as ``use``, from which the descent started, can read them.

    ``definition`` is the statement on the way down that makes probabilities of ``logits``.
    """
    if unchanged(syntax, logits, definition, use):
        return Named(syntax.text(logits))
    target = definition.targets[0]
    read = next(s.outer for s in descent.steps if s.statement is definition)
    if not _is_paired(syntax, descent, target, use) or changes_after(syntax, logits, logits):
        return None
    if are_shown(syntax.scope(target)):
        return None
    name = context.logits_name(syntax, target)
    value = standing_alone(syntax.text(logits))
    if isinstance(target, ast.Attribute) and isinstance(read, ast.Attribute):
        written, text = f"{syntax.text(target.value)}.{name}", f"{syntax.text(read.value)}.{name}"
    elif isinstance(target, ast.Name):
        written = text = name
    else:
        return None
    if is_unread(syntax, target, use) and _is_whole(definition, logits):
        return Named(text, (syntax.replace(definition, f"{written} = {value}"),))
    naming = syntax.insert_before(definition, f"{written} = {value}")
    return Named(text, (naming, syntax.replace_bracketed(logits, written)))


def _is_paired(syntax: Syntax, descent: Descent, target: ast.expr, use: ast.expr) -> bool:
    """Whether no other statement gives the probabilities' name a value before the use: one that renames its logits."""
    path = path_of(target)
    return path is not None and reaching(syntax, use, path) in {s.statement for s in descent.steps}


def standing_alone(text: str) -> str:
    """An expression that stood in brackets, as the right side of an assignment."""
    try:
        ast.parse(f"x = {text}")
    except SyntaxError:
        return f"({text})"
    return text


def _is_whole(definition: ast.Assign, logits: ast.expr) -> bool:
    """Whether a definition does nothing besides the softmax."""
    value = definition.value
    if not isinstance(value, ast.Call):
        return False
    given = value.func.value if isinstance(value.func, ast.Attribute) else None
    return logits in value.args or logits is given or any(k.value is logits for k in value.keywords)


def is_unread(syntax: Syntax, target: ast.expr, use: ast.expr) -> bool:
    """Whether a function's own name is read by the use only. (A module's names may be read from anywhere.)"""
    scope = syntax.scope(target)
    if path_of(target) is None or not isinstance(target, ast.Name) or isinstance(scope, ast.Module):
        return False
    inside = set(ast.walk(use))
    return all(reader in inside for reader in readers(scope, target.id))


def says_probabilities(name: str) -> bool:
    """Whether a name would lie of logits: ``probs``, ``y_prob``, ``p``."""
    return _SAYS_PROBABILITIES.search(words(name).lower()) is not None
