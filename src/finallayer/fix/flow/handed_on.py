"""Functions that may run at other times than where the program is seen to call them: callbacks, hooks, generators."""

from __future__ import annotations

import ast
from collections.abc import Mapping

from finallayer.fix.flow.analysed import AnalysedModule, alternatives
from finallayer.fix.flow.callers import is_plain, references
from finallayer.fix.flow.roles import HARMLESS_CALLS, runs_project_code
from finallayer.fix.text.syntax import Syntax
from finallayer.source.symbols import is_module_class
from finallayer.source.values import Built, Class, External, Instance, Value
from finallayer.source.walking import walk

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda

#: Bases whose methods call none of what derives from them, unless somebody asks.
_QUIET = frozenset("builtins.object abc.ABC typing.Generic typing.Protocol".split())


class HandedOn:
    """Which of a program's functions somebody gets hold of who may call them whenever it pleases."""

    def __init__(self, modules: Mapping[str, AnalysedModule]) -> None:
        self._modules = modules
        self._known: dict[ast.AST, bool] = {}

    def may_run_later(self, module: AnalysedModule, function: Definition) -> bool:
        """Whether a function may run at another time than where it is called."""
        if function not in self._known:
            self._known[function] = False  # where it calls itself
            self._known[function] = self._is_handed_on(module, function)
        return self._known[function]

    def _is_handed_on(self, module: AnalysedModule, function: Definition) -> bool:
        around = module.syntax.parent(function)
        match function:
            case ast.Lambda() if isinstance(around, ast.Call) and around.func is function:
                return False
            case ast.Lambda() if isinstance(around, ast.Assign) and isinstance(around.targets[0], ast.Name):
                name = around.targets[0].id
            case ast.FunctionDef(name=name) if is_plain(module, function):
                if isinstance(around, ast.ClassDef) and self._is_given_away(around):
                    return True
            case _:
                return True
        return _yields(module.syntax, function) or any(self._hands_on(m, name) for m in self._modules.values())

    def _hands_on(self, module: AnalysedModule, name: str) -> bool:
        """Whether a file does anything else with a function of this name than to call it there and then."""
        for reference in references(module.syntax, name):
            call, caller = module.syntax.parent(reference), module.syntax.scope(reference)
            if not isinstance(call, ast.Call) or call.func is not reference:
                return True
            if not isinstance(caller, ast.Module) and self.may_run_later(module, caller):
                return True
        aliases = (a for n in module.syntax.nodes if isinstance(n, ast.ImportFrom) for a in n.names)
        return any(a.name == name and a.asname not in (None, name) for a in aliases)

    def _is_given_away(self, cls: ast.ClassDef) -> bool:
        """Whether objects of a class, or the class, get to where it isn't known what is asked of them."""
        if cls not in self._known:
            self._known[cls] = bool(cls.decorator_list) or any(self._gives_away(m, cls) for m in self._modules.values())
        return self._known[cls]

    def _gives_away(self, module: AnalysedModule, cls: ast.ClassDef) -> bool:
        for node in list(module.uses.values.get(module.path, ())):
            if any(_is_of(v, cls) for v in module.values(node)):
                if any(map(_is_called_back, module.values(node))):
                    return True
                inner, around = module.syntax.user(node)
                if isinstance(around, ast.Call) and inner is not around.func and not _is_followed(module, around):
                    return True
                if isinstance(around, (ast.List, ast.Tuple, ast.Dict, ast.Set)) and not _is_taken_apart(module, around):
                    return True
        return False


def _is_taken_apart(module: AnalysedModule, display: ast.expr) -> bool:
    """``net, other = Net(), Other()``"""
    match display, module.syntax.parent(display):
        case ((ast.Tuple(elts=items) | ast.List(elts=items)), ast.Assign(targets=[ast.Tuple(elts=names)])):
            return len(items) == len(names) and all(isinstance(n, ast.Name) for n in names)
    return False


def _is_of(value: Value, cls: ast.ClassDef) -> bool:
    of = value.cls if isinstance(value, Instance) else value
    return isinstance(of, Class) and any(isinstance(c, Class) and c.node is cls for c in of.ancestry())


def _is_called_back(value: Value) -> bool:
    """Whether what a class derives from may call its methods, as a framework's callbacks are called."""
    cls = value.cls if isinstance(value, Instance) else value
    if not isinstance(cls, Class) or is_module_class(cls):
        return False
    return any(isinstance(base, External) and base.name not in _QUIET for base in cls.ancestry())


def _is_followed(module: AnalysedModule, call: ast.Call) -> bool:
    callees = [c for v in module.values(call.func) for c in alternatives(v)]
    return bool(callees) and all(
        runs_project_code(c) or isinstance(c, Built) or (isinstance(c, External) and c.name in HARMLESS_CALLS)
        for c in callees
    )


def _yields(syntax: Syntax, function: Definition) -> bool:
    """Whether what a function does waits until somebody asks for it."""
    inner = (n for n in walk(function) if isinstance(n, (ast.Yield, ast.YieldFrom)))
    return any(syntax.scope(n) is function for n in inner)
