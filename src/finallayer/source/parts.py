"""The module's own model and loss, for parameters that bear their names and are used as they are.

A name alone is no evidence: what the function does with the parameter has to agree, the module has to bind the name
once, and to hold no second model (or loss) that could be meant as well.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from enum import Enum

from finallayer.canonical import SPELLINGS_OF_LOSSES
from finallayer.expr import LOSSES
from finallayer.source.containers import sequence
from finallayer.source.symbols import is_module, signature_of
from finallayer.source.values import (
    LAYERS,
    Built,
    Dict,
    External,
    Function,
    Instance,
    List,
    Module,
    Partial,
    Value,
    tuple_in,
)
from finallayer.source.walking import walk


class Part(Enum):
    """What a value is in a training program."""

    MODEL = "called with a batch"
    LOSS = "called with a prediction and a target"
    STATE = "an object that keeps a model's apply function"


_LOSSES = LOSSES | SPELLINGS_OF_LOSSES
#: Layers that may be a whole model, and what builds one.
_MODELS = frozenset({"sequential", "model", "application", "zoo", "classifier", "segmenter", "affine"})


def part_of(value: Value) -> Part | None:
    """What a value is in a training program; None for everything else."""
    if isinstance(value, Built):
        op = value.signature.op
        return Part.LOSS if op in _LOSSES else Part.STATE if op == "state" else Part.MODEL if op in _MODELS else None
    if isinstance(value, External):
        signature = signature_of(value.name)
        return Part.LOSS if signature is not None and signature.op in _LOSSES else None
    if isinstance(value, Instance) and is_module(value):
        return Part.LOSS if _takes_two(value) else Part.MODEL
    return None


def _takes_two(value: Instance) -> bool:
    """Whether an object is called with two arguments at least, as a loss is."""
    method = value.cls.find("forward")
    if not isinstance(method, Function):
        method = value.cls.find("call")
    if not isinstance(method, Function):
        method = value.cls.find("__call__")
    if not isinstance(method, Function):
        return False
    spec = method.node.args
    return len(spec.posonlyargs) + len(spec.args) - len(method.defaults) > 2


def bound_by_name(module: Module, function: Function, stored: ast.AST | None = None) -> dict[str, Value]:
    """The values of the module's own that a function's parameters stand for.

    ``stored``: the class, where the function is its ``__init__``, which keeps its arguments for the methods.
    """
    spec = function.node.args
    names = [a.arg for a in (*spec.posonlyargs, *spec.args, *spec.kwonlyargs)]
    found: dict[str, Value] = {}
    for name in names:
        value = module.frame.vars.get(name)
        part = part_of(value)
        if part is None or value is None or not _is_bound_once(module, name):
            continue
        body = function.node if stored is None else stored
        if _is_used(body, name, part, stored is not None) or _is_passed_on(module, body, name, part):
            rivals = [other for other in _parts(module, part) if other is not value and not _holds(value, other)]
            if not rivals:
                found[name] = value
    return found


def uses_as_model(function: Function, name: str) -> bool:
    """Whether a function calls what one of its parameters holds, as a model is called."""
    return _is_used(function.node, name, Part.MODEL, stored=False)


def _parts(module: Module, part: Part) -> Iterator[Value]:
    """Every such value that the module's names hold, also in lists and dictionaries."""
    for name, value in module.frame.vars.items():
        if name.isidentifier():
            yield from (v for v in within(value) if part_of(v) is part and not _is_imported(v))


def _is_imported(value: Value) -> bool:
    """A loss's function that goes by its own name is no loss of the module's choice."""
    return isinstance(value, External)


def within(value: Value) -> tuple[Value, ...]:
    """A value, or those that a container of several holds."""
    if isinstance(value, Dict):
        return tuple(value.slots.values())
    if isinstance(value, (List, tuple)):
        return sequence(value) or (value.items if isinstance(value, List) else ())
    return (value,)


def _holds(model: Value, layer: Value) -> bool:
    """Whether a model is made of a layer."""
    if not isinstance(model, (Built, Instance)):
        return False
    inner = (*tuple_in(model.slots, LAYERS), *model.slots.values())
    return any(layer is part or (part is not model and part in inner and _holds(part, layer)) for part in inner)


def _is_bound_once(module: Module, name: str) -> bool:
    """Whether a module's name has one value from its first line to its last: ``net = net.to(device)`` leaves it one."""
    stores = 0
    for statement in _statements(module.tree.body):
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            stores += statement.name == name
            if any(isinstance(n, ast.Global) and name in n.names for n in walk(statement)):
                return False
            continue
        if _keeps(statement, name):
            continue
        stores += sum(
            isinstance(n, ast.Name) and n.id == name and not isinstance(n.ctx, ast.Load) for n in _shallow(statement)
        )
    return stores == 1


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements of a module, those in its branches and loops included, not those in its functions."""
    for statement in body:
        yield statement
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            continue
        for name in ("body", "orelse", "finalbody"):
            yield from _statements(getattr(statement, name, []))
        for handler in (*getattr(statement, "handlers", ()), *getattr(statement, "cases", ())):
            yield from _statements(handler.body)


def _shallow(statement: ast.stmt) -> Iterator[ast.AST]:
    """A statement's own expressions, without the statements within it."""
    waiting: list[ast.AST] = [statement]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += (
            n for n in ast.iter_child_nodes(node) if not isinstance(n, (ast.stmt, ast.ExceptHandler, ast.match_case))
        )


def _keeps(statement: ast.stmt, name: str) -> bool:
    """``net = net.method(...)``: what a method of the object gives under the object's own name."""
    match statement:
        case ast.Assign(targets=[ast.Name(id=to)], value=ast.Call(func=ast.Attribute(value=ast.Name(id=of)))):
            return to == of == name
    return False


def _is_used(body: ast.AST, name: str, part: Part, stored: bool) -> bool:
    """Whether what bears a name is called as such a value is."""
    kept = _kept_as(body, name) if stored else ()
    for node in walk(body):
        match node:
            case ast.Call(func=func, args=args, keywords=keywords):
                if _reaches(func, name, kept, part) and len(args) + len(keywords) >= (2 if part is Part.LOSS else 1):
                    return True
    return False


def _reaches(func: ast.expr, name: str, kept: tuple[str, ...], part: Part) -> bool:
    match func:
        case ast.Name(id=called):
            return called == name and part is not Part.STATE
        case ast.Call(args=[ast.Name(id=called), *_]):  # vmap(model)(x)
            return called == name and part is Part.MODEL
        case ast.Attribute(value=ast.Name(id="self"), attr=attr) if attr in kept:
            return part is not Part.STATE
        case ast.Attribute(value=ast.Name(id=owner), attr=attr) if owner == name:
            return attr == "apply_fn" if part is Part.STATE else attr in ("forward", "call", "apply")
        case ast.Attribute(value=ast.Attribute(value=ast.Name(id="self"), attr=owner), attr=attr) if owner in kept:
            return attr == "apply_fn" if part is Part.STATE else attr in ("forward", "call", "apply")
    return False


def _kept_as(cls: ast.AST, name: str) -> tuple[str, ...]:
    """The attributes in which an object keeps an argument."""
    kept = []
    for node in walk(cls):
        if isinstance(node, ast.Assign):
            for to, value in _pairs(node):
                if isinstance(to, ast.Attribute) and isinstance(value, ast.Name) and value.id == name:
                    kept.append(to.attr)
    return tuple(kept)


def _pairs(node: ast.Assign) -> Iterator[tuple[ast.expr, ast.expr]]:
    for place in node.targets:
        if isinstance(place, ast.Tuple) and isinstance(node.value, ast.Tuple):
            yield from zip(place.elts, node.value.elts, strict=False)
        else:
            yield place, node.value


def _is_passed_on(module: Module, body: ast.AST, name: str, part: Part) -> bool:
    """Whether a function hands the value on by this name, and one of the module's takes it by this name and uses it."""
    passes = any(
        isinstance(node, ast.Call) and any(isinstance(a, ast.Name) and a.id == name for a in _arguments(node))
        for node in walk(body)
    )
    return passes and any(
        name in {a.arg for a in walk(own.node.args) if isinstance(a, ast.arg)}
        and _is_used(own.node, name, part, stored=False)
        for own in _functions(module)
    )


def _arguments(call: ast.Call) -> list[ast.expr]:
    return [*call.args, *(k.value for k in call.keywords)]


def _functions(module: Module) -> Iterator[Function]:
    for value in module.frame.vars.values():
        function = value.function if isinstance(value, Partial) else value
        if isinstance(function, Function) and function.frame.module is module:
            yield function
