"""A model that an object keeps: where another can be made of it, once, that is there whenever it is."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from finallayer.fix.flow.analysed import AnalysedModule
from finallayer.fix.text.syntax import Syntax, last_name
from finallayer.source.walking import walk

_LOOPS = (ast.For, ast.While, ast.AsyncFor, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def made_with(syntax: Syntax, model: ast.expr) -> ast.stmt | None:
    """The last statement of those that make ``self.model``, which a method reads; None where that isn't so plain.

    The object's class has no ancestors, which might keep count of what it holds, and makes its model in one place.
    """
    owner = model.value if isinstance(model, ast.Attribute) else None
    if not isinstance(model, ast.Attribute) or not isinstance(owner, ast.Name):
        return None
    same = [n for n in syntax.nodes if isinstance(n, ast.Attribute) and n.attr == model.attr]
    stores = [n for n in same if not isinstance(n.ctx, ast.Load)]
    made = syntax.statement(stores[0]) if len(stores) == 1 else None
    if not isinstance(made, ast.Assign) or made.targets != stores or ast.unparse(stores[0].value) != owner.id:
        return None
    cls, method = _class_of(syntax, made), _method(syntax, made)
    if cls is None or cls.bases or cls.decorator_list or cls is not _class_of(syntax, model):
        return None
    if not _is_own(_method(syntax, model), owner.id) or not _is_own(method, owner.id):
        return None
    block: list[ast.stmt] = method.body if method is not None and made in method.body else [made]
    last = max(i for i, s in enumerate(block) if any(n in walk(s) for n in same))
    between = block[block.index(made) : last + 1]
    calls = (n for s in between[1:] for n in walk(s) if isinstance(n, ast.Call))
    if any(isinstance(c.func, ast.Attribute) and ast.unparse(c.func.value) == owner.id for c in calls):
        return None  # a method that may already read the other
    return None if any(isinstance(s, ast.Return) for s in between) else between[-1]


def _class_of(syntax: Syntax, node: ast.AST) -> ast.ClassDef | None:
    return next((n for n in syntax.around(node) if isinstance(n, ast.ClassDef)), None)


def _method(syntax: Syntax, node: ast.AST) -> ast.FunctionDef | None:
    scope = syntax.scope(node)
    is_method = isinstance(scope, ast.FunctionDef) and isinstance(syntax.parent(scope), ast.ClassDef)
    return scope if isinstance(scope, ast.FunctionDef) and is_method else None


def _is_own(method: ast.FunctionDef | None, name: str) -> bool:
    """Whether a name is that of the object whose method it is."""
    return method is not None and [a.arg for a in method.args.args[:1]] == [name] and not method.decorator_list


def runs_often(function: ast.AST, modules: Iterable[AnalysedModule]) -> bool:
    """Whether a function may be called again and again: in a loop, by one that is, or as a method nobody calls here."""
    known = list(modules)
    waiting, seen = [function], set[ast.AST]()
    while waiting:
        asked = waiting.pop()
        if asked in seen or not isinstance(asked, _FUNCTIONS):
            continue
        seen.add(asked)
        calls = [(module.syntax, call) for module in known for call in _calls(module.syntax, asked.name)]
        if any(isinstance(n, _LOOPS) for syntax, call in calls for n in syntax.around(call)):
            return True
        is_method = asked.args.args[:1] and asked.args.args[0].arg in ("self", "cls")
        if is_method and not calls:
            return True
        waiting += [n for syntax, call in calls for n in syntax.around(call) if isinstance(n, _FUNCTIONS)][:9]
    return False


def _calls(syntax: Syntax, name: str) -> Iterator[ast.Call]:
    return (n for n in syntax.nodes if isinstance(n, ast.Call) and last_name(n.func) == name)
