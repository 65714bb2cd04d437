"""Keras: calls of ``predict`` whose probabilities are read ask a model with the softmax, made once before them.

It is made before the first of them, outside of loops and branches that don't make the model that it is of; anew where
the name of that is bound to another.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from finallayer.expr import Origin
from finallayer.findings import Edit
from finallayer.fix.flow.analysed import AnalysedModule
from finallayer.fix.flow.bindings import binds, home, path_of
from finallayer.fix.flow.own_models import made_with, runs_often
from finallayer.fix.text.syntax import Syntax
from finallayer.source.walking import walk

#: Statements before which the model may as well be made.
_AROUND = (ast.For, ast.While, ast.If, ast.With, ast.Try)
#: What may bind a name, each a node with a line.
_BINDING = (ast.Name, ast.Attribute, ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.ExceptHandler)
_INNER_SCOPES = (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass
class Group:
    """Calls of one model's ``predict`` that can ask one model of probabilities."""

    model: str  # as it is spelled
    anchor: ast.stmt | None  # the statement before which that is made; None where it must be made in the call
    calls: list[ast.Call] = field(default_factory=list)
    behind: ast.stmt | None = None  # that behind which an object makes it, once, where it makes its model


def groups_by_model(syntax: Syntax, calls: Sequence[ast.Call]) -> list[Group]:
    """Calls of ``predict`` by the model that they are of, in the order of the text."""
    groups: list[Group] = []
    for call in sorted(calls, key=lambda c: (c.lineno, c.col_offset)):
        if isinstance(call.func, ast.Attribute):
            model, anchor = call.func.value, _anchor(syntax, call, call.func.value)
            text = syntax.text(model)
            known = next((g for g in reversed(groups) if g.model == text and _serves(syntax, g, anchor, model)), None)
            if known is None:
                groups.append(known := Group(text, anchor, behind=made_with(syntax, model)))
            known.calls.append(call)
    return groups


def by_probability_models(syntax: Syntax, groups: Sequence[Group], texts: Mapping[str, str]) -> Iterator[Edit]:
    """The edits that have the calls ask models of probabilities; ``texts``: how each of these is made."""
    names: dict[str, str] = {}
    for group in groups:
        if group.anchor is not None or group.behind is not None:
            name = names.setdefault(group.model, syntax.fresh_name(_name(group.model), set(names.values())))
        if group.behind is not None:
            name = f"{group.model.partition('.')[0]}.{name}"
            yield syntax.insert_after(group.behind, f"{name} = {texts[group.model]}")
        elif group.anchor is not None:
            yield syntax.insert_before(group.anchor, f"{name} = {texts[group.model]}")
        for call in group.calls:
            assert isinstance(call.func, ast.Attribute)
            is_named = group.anchor is not None or group.behind is not None
            yield syntax.replace(call.func.value, name if is_named else texts[group.model])


def made_at_each_call(edits: Iterable[Edit], modules: Mapping[str, AnalysedModule]) -> Iterator[str]:
    """Where edits make a model of probabilities in a function that runs often, a phrase each: slow, and it piles up."""
    for edit in edits:
        module = modules.get(edit.path)
        if module is None or not edit.text.startswith("probability_") or "([" not in edit.text:
            continue
        place = Origin(edit.path, edit.line, edit.column, edit.end_line, edit.end_column, edit.cell)
        line = module.syntax.file.in_module(place).line if edit.cell is not None else edit.line
        functions = (n for n in module.syntax.nodes if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef)))
        around = [f for f in functions if f.lineno < line <= (f.end_lineno or 0)]
        inner = max(around, key=lambda f: f.lineno, default=None)
        if inner is not None and runs_often(inner, modules.values()):
            yield f"line {edit.line} makes a model of probabilities whenever `{inner.name}` is called"


def _name(model: str) -> str:
    last = model.rpartition(".")[2]
    return "probability_model" if last == "model" or not last.isidentifier() else f"probability_{last}"


def _anchor(syntax: Syntax, call: ast.Call, model: ast.expr) -> ast.stmt | None:
    """The statement before which the model of probabilities can be made: the outermost that doesn't bind its model."""
    for inner in syntax.around(call):
        if isinstance(inner, ast.stmt):
            break
        if isinstance(inner, _INNER_SCOPES) and (isinstance(inner, ast.Lambda) or _binds(inner, model)):
            return None
    statement = syntax.statement(call)
    if _binds(statement, model) and not isinstance(statement, ast.Assign):
        return None
    block = syntax.parent(statement)
    while isinstance(block, _AROUND) and not _binds(block, model) and not _is_bound_afar(syntax, model):
        statement, block = block, syntax.parent(block)
    return statement if _can_stand_before(syntax, statement) else None


def _can_stand_before(syntax: Syntax, statement: ast.stmt) -> bool:
    """Whether a line before a statement belongs to the same block: not so before an ``elif``."""
    block = syntax.parent(statement)
    return not (isinstance(statement, ast.If) and isinstance(block, ast.If) and block.orelse == [statement])


def _serves(syntax: Syntax, group: Group, anchor: ast.stmt | None, model: ast.expr) -> bool:
    """Whether the model of probabilities that a group has made is still that of a later call's model."""
    if anchor is None or group.anchor is None:
        return False
    if syntax.parent(anchor) is not syntax.parent(group.anchor):
        return _is_made_before(syntax, group.anchor, anchor, model)
    if _is_bound_afar(syntax, model):
        return anchor is group.anchor
    bound = (n for n in walk(syntax.scope(anchor)) if isinstance(n, _BINDING) and _binds(n, model))
    return not any(group.anchor.lineno <= n.lineno < model.lineno for n in bound)


def _is_made_before(syntax: Syntax, made: ast.stmt, anchor: ast.stmt, model: ast.expr) -> bool:
    """Whether a module makes it before the function is defined that asks for it, of a model that stays the same."""
    scope, top = syntax.scope(anchor), syntax.file.tree
    if (
        not isinstance(model, ast.Name)
        or scope is top
        or syntax.parent(made) is not top
        or _is_bound_afar(syntax, model)
    ):
        return False
    later = any(s.lineno >= made.lineno and _binds(s, model) for s in top.body)
    return home(syntax, model) is top and made.lineno < getattr(scope, "lineno", 0) and not later


def _binds(node: ast.AST, model: ast.expr) -> bool:
    """Whether a statement or comprehension may make a model another; of one that is no name, who knows."""
    path = path_of(model)
    return path is None or binds(node, path)


def _is_bound_afar(syntax: Syntax, model: ast.expr) -> bool:
    """Whether another function may make a model another whenever it is called."""
    if isinstance(model, ast.Attribute):
        return sum(isinstance(n, ast.Attribute) and n.attr == model.attr and _is_stored(n) for n in syntax.nodes) > 1
    names = {n.id for n in walk(model) if isinstance(n, ast.Name)}
    return any(isinstance(n, (ast.Global, ast.Nonlocal)) and names & set(n.names) for n in syntax.nodes)


def _is_stored(attribute: ast.Attribute) -> bool:
    return not isinstance(attribute.ctx, ast.Load)
