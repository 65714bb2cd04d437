"""Reading and writing attributes."""

from __future__ import annotations

import ast
from types import EllipsisType
from typing import assert_never

from finallayer import catalog
from finallayer.catalog import standard
from finallayer.catalog.conventions import Meaning, suggests
from finallayer.expr import Node, make
from finallayer.source.interpreter import Interpreter
from finallayer.source.layers import layers_of, register
from finallayer.source.symbols import is_module, is_module_class
from finallayer.source.texts import Text
from finallayer.source.values import (
    CALLED_BY_FRAMEWORKS,
    INNER,
    MISSING,
    UNSETTLED,
    Bound,
    Built,
    Call,
    Class,
    Dict,
    External,
    Frame,
    Function,
    Instance,
    Lazy,
    List,
    Missing,
    Partial,
    Site,
    Super,
    Union,
    Value,
    external,
    opaque,
    union,
)
from finallayer.source.walking import walk

#: Attributes of a tensor that hand the tensor on.
_SAME_NUMBERS = {
    "data": "stop_gradient",
    **dict.fromkeys(("T", "mT", "H", "mH"), "reshape"),
    "values": "index",
    **dict.fromkeys(("tensor", "real"), "identity"),
}


def get_attribute(run: Interpreter, owner: Value, name: str) -> Value:
    """``owner.name``."""
    if run.attributes and isinstance(owner, (External, Function, Node)):
        given = run.attributes.get((_identity(owner), name))
        if given is not None:
            return given
    match owner:
        case Text():
            return Bound(name, owner)
        case Node():
            return _of_node(owner, name)
        case External():
            return _of_external(owner, name)
        case Frame():
            return _of_module(run, owner, name)
        case Instance():
            return _of_instance(run, owner, name)
        case Class() | Function() if name == "__name__":
            return owner.name
        case Class():
            found = owner.find(name)
            if isinstance(found, Missing):
                return Bound(name, owner)
            return Bound(found, owner) if _is_decorated(found, "builtins.classmethod") else found
        case Super():
            found = owner.cls.find(name, after=owner.cls)
            if isinstance(found, Missing):  # the foreign class's own way of it, if its method is the one that is called
                return Bound(name, owner if name in CALLED_BY_FRAMEWORKS else owner.instance)
            return Bound(found, owner.instance)
        case Built():
            return owner.slots[name] if name in owner.slots else Bound(name, owner)
        case Union():
            return union([get_attribute(run, v, name) for v in owner.values], owner.when)
        case Dict() if name in owner.slots and not hasattr({}, name):
            return owner.slots[name]
        case List() | Dict() | Partial() | str():
            return Bound(name, owner)
        case int() | float() if catalog.method(name) is not None:  # what may be a number or a tensor is taken for one
            return Bound(name, make("const", value=owner))
        case int() | float() | complex() | bytes() | EllipsisType() | None:
            return opaque(f".{name}", owner)
        case Bound(function="__dict__") if name == "get":
            return Partial(External("builtins.getattr"), (owner.owner,))
        case tuple() | Function() | Bound() | Lazy():
            return opaque(f".{name}", owner)
    assert_never(owner)


def _of_node(owner: Node, name: str) -> Value:
    if catalog.method(name) is not None:
        return Bound(name, owner)
    if name in _SAME_NUMBERS and owner.op != "opaque":
        return make(_SAME_NUMBERS[name], owner, origin=owner.origin)
    limits = standard.FLOAT_LIMITS.get(owner.attrs.get("finfo", ""))
    if limits is not None and name in limits:
        return limits[name]
    return opaque(f"{owner.attrs.get('name', owner.op)}.{name}", owner)


def _of_external(owner: External, name: str) -> Value:
    dotted = f"{owner.name}.{name}"
    return standard.CONSTANTS[dotted] if dotted in standard.CONSTANTS else external(dotted)


def _of_module(run: Interpreter, module: Frame, name: str) -> Value:
    if name == "__dict__":
        return Bound(name, module)
    if name in module.vars:
        return run.resolve(module.vars[name], module)
    if module.module.path.endswith("__init__.py"):
        path = run.project.find(module.module.path, name, level=1)
        if path is not None:
            return run.resolve(Lazy(path, None), module)
    return opaque(f"{module.module.path}:{name}")


def _of_instance(run: Interpreter, owner: Instance, name: str) -> Value:
    if name in owner.slots:
        return owner.slots[name]
    found = owner.cls.find(name)
    if isinstance(found, (Function, Partial)):
        function = found.function if isinstance(found, Partial) else found
        if isinstance(function, Function) and _is_property(function):
            return run.call_function(function, Call([owner], {}, Site(function.node, function.frame)))
        return found if _is_decorated(function, "builtins.staticmethod") else Bound(found, owner)
    if not isinstance(found, Missing):
        return found
    if name == "training" and is_module_class(owner.cls):
        return True
    if name == "__class__":
        return owner.cls
    if name == "_modules" and layers_of(owner)[1] and INNER not in owner.slots:
        return Dict({k: v for k, v in owner.slots.items() if is_module(v)})
    return Bound(name, owner)


def _is_decorated(value: Value, name: str) -> bool:
    return isinstance(value, Function) and any(isinstance(d, External) and d.name == name for d in value.decorators)


_PROPERTIES = ("builtins.property", "functools.cached_property")


def _is_property(function: Function) -> bool:
    """Also through a project's own decorator that makes a property (lazy_property, define_scope)."""
    for decorator in function.decorators:
        if isinstance(decorator, External) and decorator.name in _PROPERTIES:
            return True
        own = decorator.function if isinstance(decorator, Partial) else decorator
        if isinstance(own, Function):
            return any(isinstance(n, ast.Name) and n.id == "property" for n in walk(own.node))
        if isinstance(own, (External, Node)) and suggests(_name_of(own), Meaning.PROPERTY):
            return True
    return False


def _name_of(value: External | Node) -> str:
    return value.name if isinstance(value, External) else str(value.attrs.get("name", ""))


def set_attribute(run: Interpreter, owner: Value, name: str, value: Value) -> None:
    """``owner.name = value``."""
    if run.uses is not None:
        run.uses.keeps(owner, name, value)
    if isinstance(owner, Instance):
        register(run, owner, value, owner.slots.get(name, MISSING))
    if isinstance(owner, Built) and name == "__class__":
        run.write(owner.slots, UNSETTLED, True)
    elif isinstance(owner, (Instance, Class, Built)):
        run.write(owner.slots, name, value)
    elif isinstance(owner, Frame):
        run.write(owner.vars, name, value)
    elif isinstance(owner, Dict):  # one that gives its items as attributes: a plain one has none to set
        run.write(owner.slots, name, value)
    elif isinstance(owner, (External, Function)) or (isinstance(owner, Node) and owner.op == "opaque"):
        run.write(run.attributes, (_identity(owner), name), value)
    elif isinstance(owner, Bound) and isinstance(owner.owner, Built) and isinstance(owner.function, str):
        run.write(owner.owner.slots, owner.function, value)  # model.heads.head = a new head


def _identity(owner: External | Function | Node) -> External | Node | int:
    return id(owner) if isinstance(owner, Function) else owner
