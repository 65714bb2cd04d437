"""Modules and names that a program asks for by a text: ``import_module``, ``globals()[...]``, ``eval``."""

from __future__ import annotations

import ast
from typing import TypeVar

from finallayer.source.handlers import BUILTINS
from finallayer.source.interpreter import Interpreter
from finallayer.source.statements import imported
from finallayer.source.values import Bound, Call, External, Frame, Lazy, Site, Value, opaque
from finallayer.source.walking import walk

T = TypeVar("T", bound=ast.AST)

#: A longer text is no name, and no expression that stands for one.
_LONGEST = 200


def _asked(run: Interpreter, dotted: str, site: Site) -> Value:
    """The module by that name."""
    return run.resolve(imported(run, dotted, site.frame), site.frame)


def _import_module(run: Interpreter, call: Call) -> Value:
    name = call.args[0] if call.args else call.kwargs.get("name")
    if not isinstance(name, str) or not name:
        return run.opaque_at(call.site, *call.args)
    inside = name.lstrip(".")
    level = len(name) - len(inside)
    if not level:
        return _asked(run, name, call.site)
    package = call.kwargs.get("package", call.args[1] if len(call.args) > 1 else None)
    if isinstance(package, str):
        around = package.split(".")[: len(package.split(".")) - level + 1]
        return _asked(run, ".".join([*around, inside]), call.site)
    path = run.project.find(call.site.frame.module.path, inside, level)
    return run.opaque_at(call.site) if path is None else run.resolve(Lazy(path, None), call.site.frame)


def _dunder_import(run: Interpreter, call: Call) -> Value:
    name = call.args[0] if call.args else None
    if not isinstance(name, str):
        return run.opaque_at(call.site, *call.args)
    from_list = call.kwargs.get("fromlist", call.args[3] if len(call.args) > 3 else None)
    return _asked(run, name if from_list else name.partition(".")[0], call.site)


def names_of(module: Frame | External) -> Value:
    """The dictionary of a module's names."""
    return Bound("__dict__", module) if isinstance(module, Frame) else External(f"{module.name}.__dict__")


def _globals(_run: Interpreter, call: Call) -> Value:
    return names_of(call.site.frame.module.frame)


def _vars(run: Interpreter, call: Call) -> Value:
    owner = call.args[0] if call.args else call.site.frame
    return names_of(owner) if isinstance(owner, (Frame, External)) else run.opaque_at(call.site, *call.args)


def _eval(run: Interpreter, call: Call) -> Value:
    """An expression that is known: its value, every part of it where the text is evaluated."""
    text = call.args[0] if call.args else None
    if not isinstance(text, str) or len(text) > _LONGEST or len(call.args) > 1:
        return run.opaque_at(call.site, *call.args)
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError):
        return opaque("eval", text)
    return run.evaluate(standing_at(node, call.site.node), call.site.frame)


def standing_at(tree: T, place: ast.AST) -> T:
    """Syntax that stands in a text, every part of it at the place of the text."""
    for node in walk(tree):
        ast.copy_location(node, place)
    return tree


BUILTINS |= {
    "importlib.import_module": _import_module,
    "__import__": _dunder_import,
    "globals": _globals,
    "locals": _vars,
    "vars": _vars,
    "eval": _eval,
}
