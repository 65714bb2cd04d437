"""The layer that nobody applies any more once an expression is gone."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from finallayer.findings import Edit
from finallayer.fix.text.deletion import whole_line
from finallayer.fix.text.syntax import Syntax, last_name
from finallayer.source.walking import walk


def idle_layer(syntax: Syntax, func: ast.expr) -> tuple[Edit, ...]:
    """``self.softmax = nn.Softmax(dim=1)`` goes where its only use does."""
    same: list[ast.Attribute | ast.Name] = [
        n
        for n in _where_it_is_read(syntax, func)
        if (isinstance(n, ast.Attribute) and isinstance(func, ast.Attribute) and n.attr == func.attr)
        or (isinstance(n, ast.Name) and isinstance(func, ast.Name) and n.id == func.id)
    ]
    stores = [n for n in same if isinstance(n.ctx, ast.Store)]
    if len(stores) != 1 or len(same) != 2:
        return ()
    statement = syntax.parent(stores[0])
    if not isinstance(statement, ast.Assign) or not isinstance(statement.value, ast.Call):
        return ()
    edit = whole_line(syntax, statement)
    return (edit,) if edit else ()


def _where_it_is_read(syntax: Syntax, func: ast.expr) -> Iterable[ast.AST]:
    """The class of an object's attribute, where whoever else has one by its name makes it for itself."""
    around = (n for n in syntax.around(func) if isinstance(n, ast.ClassDef))
    own = next(around, None) if isinstance(func, ast.Attribute) else None
    if own is None or not isinstance(func, ast.Attribute):
        return syntax.nodes
    others = [n for n in syntax.nodes if isinstance(n, ast.ClassDef) and n is not own]
    named = [[n for n in walk(c) if isinstance(n, ast.Attribute) and n.attr == func.attr] for c in (own, *others)]
    alone = all(not reads or any(isinstance(n.ctx, ast.Store) for n in reads) for reads in named)
    whole = sum(isinstance(n, ast.Attribute) and n.attr == func.attr for n in syntax.nodes)
    related = any(last_name(base) in {c.name for c in (own, *others)} for c in (own, *others) for base in c.bases)
    return walk(own) if alone and not related and whole == sum(map(len, named)) else syntax.nodes
