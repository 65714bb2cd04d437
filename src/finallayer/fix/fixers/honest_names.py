"""A function's own name that says "probabilities" doesn't stay on logits, nor does a comment above what went."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from finallayer.expr import Node, Origin
from finallayer.findings import Edit
from finallayer.fix.flow.analysed import AnalysedModule
from finallayer.fix.flow.bindings import are_shown, binds, home, reaching
from finallayer.fix.flow.outsiders import importers
from finallayer.fix.flow.readers import Readers
from finallayer.fix.text.deletion import whole_line
from finallayer.fix.text.honest_comments import with_honest_comments
from finallayer.fix.text.names import for_logits, says_probabilities
from finallayer.fix.text.syntax import Scope, Syntax
from finallayer.source.values import Built

#: What a comment says that is about the softmax or sigmoid below it.
_ABOUT_PROBABILITIES = re.compile(r"\b(?:softmax|sigmoid|prob\w*|p\()", re.IGNORECASE | re.ASCII)

#: What lists or shows a module's variables by their names.
_SHARING = frozenset("__all__ globals locals vars eval exec getattr get_ipython".split())


def with_honest_words(module: AnalysedModule, made: Node, edits: tuple[Edit, ...]) -> tuple[Edit, ...]:
    """The edits that take a softmax away, and those of the names and comments that would lie of the logits."""
    place = module.syntax.expression(made.origin)
    return with_honest_comments(module.syntax, place, with_honest_names(module, made, edits))


def with_honest_names(module: AnalysedModule, made: Node, edits: tuple[Edit, ...]) -> tuple[Edit, ...]:
    """The edits that take a softmax away, and those that rename what it was assigned to, where that would lie."""
    assigned = _assignment(module.syntax, module.syntax.expression(made.origin))
    values = module.values(assigned.value) if assigned is not None else []
    if assigned is None or any(isinstance(v, Built) for v in values):  # the layer keeps its name
        return edits
    return _with_other_name(module.syntax, assigned, edits)


def with_honest_outputs(module: AnalysedModule, readers: Readers, edits: tuple[Edit, ...]) -> tuple[Edit, ...]:
    """The edits of a fix, and those that rename what a model's output was assigned to: ``probs = net(x)``."""
    syntax = module.syntax
    for assigned in (n for n in syntax.nodes if isinstance(n, ast.Assign) and _named_by(n) is not None):
        if any(_covers(syntax, e, assigned.value) or _is_at(syntax, e, assigned.targets[0]) for e in edits):
            continue  # it gets the softmax back there, or has another name already
        values = module.values(assigned.value)
        named = bool(values) and all(readers.is_output(v) for v in values)
        if named and not any(_gives_back(syntax, e, assigned.value) for e in edits):
            edits = _with_other_name(syntax, assigned, edits, by_words=True)
    return edits


def _with_other_name(
    syntax: Syntax, assigned: ast.Assign, edits: tuple[Edit, ...], by_words: bool = False
) -> tuple[Edit, ...]:
    """The edits, and those that give an assignment's name another that is true of logits, where it can be changed.

    ``by_words``: what else the name says is kept.
    """
    target = _named_by(assigned)
    if target is None:
        return edits
    wanted = for_logits(target.id) if by_words else "logits"
    other = _other_name(syntax, assigned, target, edits, wanted)
    renamed = list(_renamed(syntax, target, other, edits)) if other is not None else []
    return tuple(e for e in renamed if e is not None) if renamed and None not in renamed else edits


def _named_by(assigned: ast.Assign) -> ast.Name | None:
    """The one name that an assignment gives, where it says "probabilities"."""
    match assigned.targets:
        case [ast.Name(id=name) as target] if says_probabilities(name):
            return target
    return None


def _assignment(syntax: Syntax, place: ast.expr | None) -> ast.Assign | None:
    """The statement that gives a name to what a call makes, or what a layer does that it makes."""
    node = syntax.parent(place) if place is not None else None
    if isinstance(node, ast.Call) and node.func is place:
        node = syntax.parent(node)
    return node if isinstance(node, ast.Assign) else None


def _other_name(
    syntax: Syntax, assigned: ast.Assign, target: ast.Name, edits: tuple[Edit, ...], wanted: str
) -> str | None:
    """A name for the logits: the one that they have, where ``p = z`` would be left; None where it can't be changed."""
    scope = syntax.scope(assigned)
    if isinstance(scope, ast.Lambda) or are_shown(scope) or (isinstance(scope, ast.Module) and _is_shared(syntax)):
        return None
    if home(syntax, target) is not scope or target.id in syntax.declared | syntax.parameters(scope):
        return None
    stores = [n for n in _names(syntax, target) if not isinstance(n.ctx, ast.Load)]
    loads = [n for n in _names(syntax, target) if isinstance(n.ctx, ast.Load)]
    in_loop = any(isinstance(n, (ast.For, ast.While)) for n in syntax.around(assigned))
    if len(stores) != 1 or (in_loop and any(reaching(syntax, n, target.id) is not assigned for n in loads)):
        return None
    left = next((e.text for e in edits if _is_at(syntax, e, assigned.value)), None)
    if left is not None and left.isidentifier():
        if in_loop:
            stays = all(_is_same(syntax, left, assigned, n) for n in loads)
        else:
            after = scope.body[scope.body.index(assigned) + 1 :] if assigned in scope.body else [assigned]
            stays = not any(binds(s, left) for s in after)
        return left if stays and whole_line(syntax, assigned) else None
    written = {word for e in edits if _is_within(syntax, e, scope) for word in re.findall(r"\w+", e.text)}
    return wanted if wanted not in syntax.names_used(scope) | written and not _is_global(syntax, wanted) else None


def _is_shared(syntax: Syntax) -> bool:
    """Whether others may know a module's variables by their names: who imports it, or what lists or shows them."""
    return bool(syntax.names & _SHARING) or any(importers(syntax.file.path))


def _is_within(syntax: Syntax, edit: Edit, scope: Scope) -> bool:
    place = Origin(edit.path, edit.line, edit.column, edit.end_line, edit.end_column, edit.cell)
    if isinstance(scope, ast.Module):
        return edit.path == syntax.file.path
    return scope.lineno <= syntax.file.in_module(place).line <= (scope.end_lineno or scope.lineno)


def _is_same(syntax: Syntax, name: str, first: ast.AST, second: ast.AST) -> bool:
    """Whether a name has the same value at two places of a round."""
    given = reaching(syntax, first, name)
    return given is not None and given is reaching(syntax, second, name)


def _renamed(syntax: Syntax, target: ast.Name, other: str, edits: tuple[Edit, ...]) -> Iterator[Edit | None]:
    """The edits with the other name; None where one of them writes the assignment itself anew."""
    assigned = syntax.statement(target)
    assert isinstance(assigned, ast.Assign)
    is_left = any(_is_at(syntax, e, assigned.value) and e.text == other for e in edits)
    nodes = [n for n in _names(syntax, target) if not is_left or n is not target]
    line = _without_line(syntax, assigned) if is_left else None
    for edit in edits:
        if line is not None and _holds(line, edit):
            continue
        within = [n for n in nodes if _covers(syntax, edit, n)]
        if target in within and not _is_at(syntax, edit, target):
            yield None
        nodes = [n for n in nodes if n not in within]
        text = _variable(target.id).sub(other, edit.text) if within else edit.text
        yield Edit(edit.path, edit.line, edit.column, edit.end_line, edit.end_column, text, edit.cell)
    yield from (syntax.replace(n, other) for n in nodes)
    if is_left:
        yield line


def _variable(name: str) -> re.Pattern[str]:
    """A variable in a text, which is no attribute and no argument's name."""
    return re.compile(rf"(?<![\w.]){re.escape(name)}(?!\w|\s*=(?!=))")


def _without_line(syntax: Syntax, statement: ast.Assign) -> Edit | None:
    """The edit that takes a statement's line away, and a comment above it that is about it alone."""
    edit, lines, at = whole_line(syntax, statement), syntax.file.lines, statement.lineno
    above = lines[at - 2] if at > 1 else ""
    told = above.lstrip().startswith("#") and _ABOUT_PROBABILITIES.search(above) is not None
    alone = at > 2 and not lines[at - 3].lstrip().startswith("#")
    if edit is None or not (told and alone):
        return edit
    return syntax.put((at - 1, 0), (syntax.file.origin(statement).end_line + 1, 0))


def _names(syntax: Syntax, target: ast.Name) -> list[ast.Name]:
    scope = home(syntax, target)
    same = (n for n in syntax.nodes if isinstance(n, ast.Name) and n.id == target.id)
    return [n for n in same if home(syntax, n) is scope]


def _is_global(syntax: Syntax, name: str) -> bool:
    return any(binds(s, name) for s in syntax.file.tree.body)


def _holds(edit: Edit, other: Edit) -> bool:
    """Whether what one edit replaces holds what another one does."""
    (start, end), (first, last) = _span(edit), _span(other)
    return (edit.path, edit.cell) == (other.path, other.cell) and start <= first and last <= end


def _gives_back(syntax: Syntax, edit: Edit, value: ast.expr) -> bool:
    """Whether an edit within an expression puts the head into it again."""
    inside = _holds(syntax.replace(value, ""), edit)
    return inside and re.search("softmax|sigmoid", edit.text, re.IGNORECASE) is not None


def _is_at(syntax: Syntax, edit: Edit, node: ast.expr) -> bool:
    whole = syntax.replace(node, "")
    return (edit.path, edit.cell, *_span(edit)) == (whole.path, whole.cell, *_span(whole))


def _covers(syntax: Syntax, edit: Edit, node: ast.expr) -> bool:
    inner = syntax.replace(node, "")
    same = (edit.path, edit.cell) == (inner.path, inner.cell)
    (start, end), (first, last) = _span(edit), _span(inner)
    return same and start <= first and last <= end


def _span(edit: Edit) -> tuple[tuple[int, int], tuple[int, int]]:
    return (edit.line, edit.column), (edit.end_line, edit.end_column)
