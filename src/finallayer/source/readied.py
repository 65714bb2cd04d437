"""What an object has to have been through before a method can work: another method that makes what it calls.

``fit`` makes the model, ``predict`` calls it. Run by itself on a new object, ``predict`` would call None.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import lru_cache

from finallayer.source.interpreter import Interpreter
from finallayer.source.values import Call, Class, Function, Instance, Missing, Site, Value
from finallayer.source.walking import walk


def make_ready(run: Interpreter, function: Function, instance: Instance) -> None:
    """Run, in silence, the one method that sets what this method calls and the object has not got yet."""
    makers: dict[str, list[Value]] = {}
    for cls in (cls for cls in instance.cls.ancestry() if isinstance(cls, Class)):
        for name, methods in _setters(cls.node).items():
            if instance.slots.get(name) is None and isinstance(instance.cls.find(name), Missing):
                makers.setdefault(name, []).extend([cls.slots[method] for method in methods if method in cls.slots])
    called = _called(function.node) if makers else frozenset()
    for name in sorted(called & makers.keys()):
        maker, *others = makers[name] or (None,)
        if not others and isinstance(maker, Function) and maker.node is not function.node:
            _in_silence(run, maker, instance)


def _in_silence(run: Interpreter, maker: Function, instance: Instance) -> None:
    known = maker.node in run.visited
    run.silent += 1
    try:
        run.call_function(maker, Call([instance], {}, Site(maker.node, maker.frame)))
    finally:
        run.silent -= 1
        if not known:  # it has its own turn
            run.visited.pop(maker.node, None)


@lru_cache(maxsize=1024)  # a program is analysed again for each of its fixes
def _called(method: ast.AST) -> frozenset[str]:
    """The attributes of its object that a method calls."""
    own, calls = _own_name(method), (node.func for node in walk(method) if isinstance(node, ast.Call))
    attributes = (f for f in calls if isinstance(f, ast.Attribute) and isinstance(f.value, ast.Name))
    return frozenset(f.attr for f in attributes if isinstance(f.value, ast.Name) and f.value.id == own)


@lru_cache(maxsize=1024)
def _setters(cls: ast.ClassDef) -> dict[str, list[str]]:
    """For each attribute the methods that set it to what something gives, once the object is made."""
    made: dict[str, dict[str, None]] = {}
    for method in cls.body:
        if isinstance(method, ast.FunctionDef) and method.name != "__init__":
            for attr in _made_in(method):
                made.setdefault(attr, {})[method.name] = None
    return {attr: [*methods] for attr, methods in made.items()}


def _made_in(method: ast.FunctionDef) -> Iterator[str]:
    own = _own_name(method)
    for node in walk(method):
        match node:
            case ast.Assign(targets=[ast.Attribute(value=ast.Name(id=name), attr=attr)], value=ast.Call()) if (
                name == own
            ):
                yield attr


def _own_name(method: ast.AST) -> str | None:
    """What a method calls its object."""
    match method:
        case (
            ast.FunctionDef(args=ast.arguments(args=[own, *_]))
            | ast.AsyncFunctionDef(args=ast.arguments(args=[own, *_]))
        ):
            return own.arg
    return None
