"""Flags that the program turns over, and numbers that it counts up: what it sets anew while it runs is no constant to
what runs any time later."""

from __future__ import annotations

import ast
from functools import lru_cache

from finallayer.source.interpreter import Interpreter
from finallayer.source.values import EXACT, Class, Instance, Module, opaque
from finallayer.source.walking import walk

#: Stands for the values that a number takes that is counted on.
COUNTED = object()
#: Methods that only run while an object is made.
_MAKING = frozenset({"__init__", "__post_init__", "setup", "build"})


def open_flags(run: Interpreter, module: Module) -> None:
    """After the program's end: what it has left in a flag is not what all who read it find there."""
    run.over = True
    for instance in run.instances:
        open_flags_of(run, instance)
    for name in _declared_global(module.tree) if "global" in module.file.text else ():
        if isinstance(module.frame.vars.get(name), bool):
            run.write(module.frame.vars, name, opaque(name))


@lru_cache(maxsize=64)
def _declared_global(tree: ast.Module) -> tuple[str, ...]:
    names = {name for node in walk(tree) if isinstance(node, ast.Global) for name in node.names}
    return tuple(sorted(names))


def open_flags_of(run: Interpreter, instance: Instance) -> None:
    """A value that nobody knows for each flag of an object that one of its methods turns over, or number that it counts
    on from."""
    if not any(isinstance(value, (bool, int, float)) for name, value in instance.slots.items() if name != EXACT):
        return
    for cls in instance.cls.ancestry():
        if not isinstance(cls, Class):
            continue
        for name, values in _turned_over(cls.node):
            value = instance.slots.get(name)
            counts = values is COUNTED and isinstance(value, (int, float))
            if counts or (isinstance(value, bool) and value is not values):
                run.write(instance.slots, name, opaque(f"{cls.name}.{name}"))


@lru_cache(maxsize=1024)  # a program is analysed again for each of its fixes
def _turned_over(cls: ast.ClassDef) -> tuple[tuple[str, object], ...]:
    """The attributes that a class's methods set to a constant or something else, once the object is made, or count on
    from what they are."""
    found: list[tuple[str, object]] = []
    for method in cls.body:
        if isinstance(method, ast.FunctionDef) and method.name not in _MAKING and method.args.args:
            own = method.args.args[0].arg
            for node in walk(method):
                match node:
                    case ast.Assign(targets=[ast.Attribute(value=ast.Name(id=name), attr=attr)], value=value) if (
                        name == own
                    ):
                        found.append((attr, value.value if isinstance(value, ast.Constant) else None))
                    case ast.AugAssign(target=ast.Attribute(value=ast.Name(id=name), attr=attr)) if name == own:
                        found.append((attr, COUNTED))
    return tuple(found)
