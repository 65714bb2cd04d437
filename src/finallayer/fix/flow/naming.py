"""Naming the logits: the argument of a softmax gets a name of its own, so that the loss can read it too."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import NamedTuple, TypeGuard

from finallayer.catalog.conventions import words
from finallayer.findings import Edit
from finallayer.fix.flow.bindings import alters, are_shown, changes_after, path_of, reaching, unchanged
from finallayer.fix.flow.context import Context
from finallayer.fix.flow.descent import Descent
from finallayer.fix.flow.unread import unread
from finallayer.fix.text.deletion import false_comments, whole_line
from finallayer.fix.text.syntax import Syntax, last_name
from finallayer.source.walking import walk

#: What says, or shows, which attributes an object has.
_LISTING = frozenset({"__slots__", "__dict__", "__setattr__"})


class Named(NamedTuple):
    """How the logits are written at the place that is to read them, and the edits that make it so.

    ``replaced``: the statement that made probabilities of them, where it only names them now.
    """

    text: str
    edits: tuple[Edit, ...] = ()
    replaced: ast.Assign | None = None


def name_logits(
    context: Context, syntax: Syntax, descent: Descent, logits: ast.expr, use: ast.expr, gone: Sequence[ast.expr]
) -> Named | None:
    """The logits as ``use``, from which the descent started, can read them.

    ``gone``: the expressions, that one among them, that won't read the probabilities any more.
    """
    definition = descent.definition
    if definition is None:
        return Named(syntax.text(logits))
    if unchanged(syntax, logits, definition, use):
        return Named(syntax.text(logits))
    target = definition.targets[0]
    read = next(s.outer for s in descent.steps if s.statement is definition)
    if not _is_paired(syntax, descent, target, use) or changes_after(syntax, logits, logits):
        return None
    if are_shown(syntax.scope(target)):
        return None
    is_local = syntax.scope(use) is syntax.scope(definition) and isinstance(definition.value, ast.Call)
    name = context.logits_name(syntax, target, definition.value if is_local else target)
    value = standing_alone(syntax.moved(logits, definition, f"{name} = "))
    if is_local:
        written = text = name
    elif isinstance(target, ast.Attribute) and isinstance(read, ast.Attribute):
        if _are_listed(syntax):
            return None
        written, text = f"{syntax.text(target.value)}.{name}", f"{syntax.text(read.value)}.{name}"
    elif isinstance(target, ast.Name):
        written = text = name
    else:
        return None
    going = unread(syntax, gone, ())
    if definition in going:
        renaming = _renaming(syntax, descent, logits, use)
        if renaming and all(s in going and syntax.is_alone(s) for s in renaming):
            return Named(syntax.text(logits), tuple(whole_line(syntax, s) or syntax.remove(s) for s in renaming))
        naming = syntax.replace(definition, f"{written} = {value}")
        return Named(text, (naming, *false_comments(syntax, definition)), definition)
    theirs = _by_same_name(syntax, definition, logits)
    if theirs:
        return Named(text, tuple(syntax.replace(name, written) for name in theirs))
    naming = syntax.insert_before(definition, f"{written} = {value}")
    return Named(text, (naming, syntax.replace_joined(logits, written)))


def _renaming(syntax: Syntax, descent: Descent, logits: ast.expr, use: ast.expr) -> list[ast.Assign]:
    """The statements on the way, ``p = softmax(p)``, without which a name stands for the logits; none if others change
    it."""
    name, statement = path_of(logits), syntax.statement(use)
    found = [s.statement for s in descent.steps if s.statement is not None]
    block = getattr(syntax.parent(found[-1]), "body", [])
    if name is None or statement not in block or any(s not in block or path_of(s.targets[0]) != name for s in found):
        return []
    between = block[block.index(found[-1]) : block.index(statement)]
    return found if all(s in found for s in between if alters(s, name)) else []


def _by_same_name(syntax: Syntax, definition: ast.Assign, logits: ast.expr) -> list[ast.Name]:
    """The name in ``y = net(x)``, or ``h, y = net(x)``, before ``y = sigmoid(y)``, and wherever it is read till then:
    by it nothing else reads those logits."""
    name, block = path_of(logits), getattr(syntax.parent(definition), "body", [])
    before = reaching(syntax, logits, name) if isinstance(logits, ast.Name) and name else None
    if name is None or path_of(definition.targets[0]) != name or definition not in block or before not in block:
        return []
    part = block[block.index(before) : block.index(definition) + 1]
    target = before.targets[0] if isinstance(before, ast.Assign) and len(before.targets) == 1 else None
    made = [n for n in (target.elts if isinstance(target, (ast.Tuple, ast.List)) else [target]) if _is_name(n, name)]
    read = [n for s in part[1:] for n in walk(s) if _is_name(n, name) and n is not definition.targets[0]]
    cells = {syntax.file.in_cell(syntax.file.origin(s)).cell for s in part}
    scopes = {syntax.scope(n) for n in read}
    together = len(made) == 1 and len(cells) == 1 and scopes == {syntax.scope(definition)}
    return [*made, *read] if together else []


def _is_name(node: ast.AST | None, name: str) -> TypeGuard[ast.Name]:
    return isinstance(node, ast.Name) and node.id == name


def _is_paired(syntax: Syntax, descent: Descent, target: ast.expr, use: ast.expr) -> bool:
    """Whether no other statement gives the probabilities' name a value before the use: one that renames its logits."""
    path = path_of(target)
    return path is not None and reaching(syntax, use, path) in {s.statement for s in descent.steps}


def _are_listed(syntax: Syntax) -> bool:
    """Whether a file says which attributes an object may have, or asks an object which it has."""
    return any(
        (isinstance(n, (ast.Name, ast.Attribute)) and last_name(n) in _LISTING)
        or (isinstance(n, ast.FunctionDef) and n.name in _LISTING)
        or (isinstance(n, ast.Call) and last_name(n.func) == "vars" and not _are_options(n.args))
        for n in syntax.nodes
    )


def _are_options(asked: Sequence[ast.expr]) -> bool:
    """``vars(parser.parse_args())``, whose name is customary."""
    return bool(asked) and isinstance(asked[0], ast.Name) and words(asked[0].id).lower() in ("args", "opt", "opts")


def standing_alone(text: str) -> str:
    """An expression that stood in brackets, as the right side of an assignment."""
    try:
        ast.parse(f"x = {text}")
    except SyntaxError:
        return f"({text})"
    return text
