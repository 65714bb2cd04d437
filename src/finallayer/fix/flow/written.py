"""Where a value is written that an expression only names: there it is changed, if nobody else reads it there."""

from __future__ import annotations

import ast

from finallayer.fix.flow.bindings import home, path_of, reaching
from finallayer.fix.text.syntax import Syntax


def written(syntax: Syntax, place: ast.expr) -> ast.expr | None:
    """The expression to change where a value is to be another: the place itself, or what its name was bound to.

    None where the name, or the dictionary that the value is taken from, would be left saying what isn't so any more.
    """
    match place:
        case ast.Name(id=name):
            return _named(syntax, place, name)
        case ast.Subscript(value=ast.Name() as owner, slice=ast.Constant(value=key)):
            table = _bound(syntax, owner, owner.id)
            others = [n for n in _loads(syntax, owner) if n is not owner]
            apart = all(_key(syntax, n) not in (None, key) for n in others)
            return item(table, key) if isinstance(table, ast.Dict) and apart else None
        case ast.Attribute(value=ast.Name(id="self"), attr=name):
            bound = _bound(syntax, place, f"self.{name}")
            read = [n for n in syntax.nodes if isinstance(n, ast.Attribute) and n.attr == name]
            return bound if sum(isinstance(n.ctx, ast.Load) for n in read) == 1 else None
        case ast.Subscript():
            return None
    return place


def item(table: ast.expr | None, key: object) -> ast.expr | None:
    """What a dictionary that is written out has for a key."""
    if not isinstance(table, ast.Dict):
        return None
    found = [v for k, v in zip(table.keys, table.values, strict=True) if isinstance(k, ast.Constant) and k.value == key]
    return found[0] if len(found) == 1 and None not in table.keys else None


def _named(syntax: Syntax, place: ast.Name, name: str) -> ast.expr | None:
    statement = reaching(syntax, place, name)
    loads = _loads(syntax, place)
    if isinstance(statement, (ast.Import, ast.ImportFrom)) or (
        len(loads) > 1
        and not (_are_for_one_model(syntax, loads) and all(_is_bound_so(syntax, n, place) for n in loads))
    ):
        return place
    return _bound(syntax, place, name)


def _are_for_one_model(syntax: Syntax, loads: list[ast.Name]) -> bool:
    """``model.compile(loss=loss)``, time and again: whether nothing else reads a name."""
    told = [syntax.parent(n) for n in loads]
    calls = [syntax.parent(k) for k in told if isinstance(k, ast.keyword)]
    asked = [c.func for c in calls if isinstance(c, ast.Call)]
    models = [f.value for f in asked if isinstance(f, ast.Attribute) and f.attr == "compile"]
    return len(models) == len(loads) and len({ast.dump(model) for model in models}) == 1


def _is_bound_so(syntax: Syntax, one: ast.Name, other: ast.Name) -> bool:
    """Whether a name means the same at two places."""
    return _bound(syntax, one, one.id) is _bound(syntax, other, other.id)


def _bound(syntax: Syntax, use: ast.expr, path: str) -> ast.expr | None:
    """What a path was bound to, last before its use."""
    match reaching(syntax, use, path):
        case ast.Assign(targets=[target], value=value) if path_of(target) == path:
            return value
    return None


def _loads(syntax: Syntax, name: ast.Name) -> list[ast.Name]:
    """Everywhere that a name is read, or bound to something else."""
    scope = home(syntax, name)
    return [n for n in syntax.loads() if n.id == name.id and home(syntax, n) is scope]


def _key(syntax: Syntax, name: ast.Name) -> object:
    """The key by which an item is taken from a dictionary that a name stands for; None where that isn't all."""
    match syntax.parent(name):
        case ast.Subscript(value=value, slice=ast.Constant(value=key), ctx=ast.Load()) if value is name:
            return key
    return None
