"""What may be asked of a value's type: ``isinstance``, ``issubclass``, ``type``, ``callable``."""

from __future__ import annotations

from finallayer.catalog.frameworks import BY_ROOT
from finallayer.catalog.names import canonical
from finallayer.expr import Node
from finallayer.source.calls import callable_value
from finallayer.source.symbols import construct_of, is_module, is_module_class, signature_of
from finallayer.source.values import (
    INNER,
    Bound,
    Built,
    Class,
    Dict,
    External,
    Frame,
    Function,
    Instance,
    Lazy,
    List,
    Partial,
    Super,
    Union,
    Value,
    is_constant,
)

_PLAIN: dict[str, type] = {f"builtins.{t.__name__}": t for t in (str, int, float, bool, complex, bytes)}
_CONTAINERS: dict[str, type] = {"builtins.list": List, "builtins.dict": Dict, "builtins.tuple": tuple}
#: Families of a framework's layers, of which no layer of one is of another's class.
_APART = frozenset("softmax log_softmax sigmoid activation affine norm recurrent".split())
#: Values whose type is certain, and none of Python's own.
_OBJECTS = (Function, Class, Instance, Built, Bound, Partial, Frame)


def is_a(value: Value, wanted: Value) -> bool | None:
    """``isinstance(value, wanted)``; None where that depends."""
    if isinstance(value, Union):
        answers = {is_a(v, wanted) for v in value.values}
        return answers.pop() if len(answers) == 1 else None
    if isinstance(value, Node) and value.op != "opaque" and _all_containers(wanted):
        return False
    if isinstance(value, (Node, Lazy, Super)):
        return None
    answers = {_is_one(value, option) for option in (wanted if isinstance(wanted, tuple) else (wanted,))}
    return True if True in answers else None if None in answers else False


def _all_containers(wanted: Value) -> bool:
    options = wanted if isinstance(wanted, tuple) else (wanted,)
    return all(isinstance(option, External) and option.name in _CONTAINERS for option in options)


def _is_one(value: Value, wanted: Value) -> bool | None:
    match wanted:
        case Class():
            return isinstance(value, Instance) and wanted in value.cls.ancestry()
        case External(name="builtins.object"):
            return True
        case External(name="builtins.type" | "inspect.isclass"):
            return is_class(value)
        case External(name=name) if name in _PLAIN or name in _CONTAINERS:
            return _is_python(value, name)
        case External():
            return _is_foreign(value, wanted)
    return None


def _is_python(value: Value, name: str) -> bool | None:
    """Whether a value is of one of Python's own types."""
    if isinstance(value, External):  # a function or layer is none; another library's variable may be
        return False if signature_of(value.name) is not None else None
    if isinstance(value, Instance):
        inner = value.slots.get(INNER)
        return any(b.name == name for b in value.cls.external_bases()) or (
            name in _CONTAINERS and isinstance(inner, _CONTAINERS[name])
        )
    return isinstance(value, _PLAIN.get(name) or _CONTAINERS[name])


def _is_foreign(value: Value, wanted: External) -> bool | None:
    """Whether a value is of a framework's class, as far as its own class or the catalogue says."""
    name, is_base = canonical(wanted.name), construct_of(wanted) in ("module", "model")
    if isinstance(value, Instance):
        if any(canonical(b.name) == name for b in value.cls.external_bases()):
            return True
        return True if is_base and is_module_class(value.cls) and _alike(value.cls.external_bases(), wanted) else None
    if isinstance(value, Built):
        of_that = canonical(value.symbol.name) == name
        if _are_apart(value, wanted) and _alike([value.symbol], wanted):
            return False
        return True if of_that or (is_base and is_module(value) and _alike([value.symbol], wanted)) else None
    known = wanted.name.partition(".")[0] in BY_ROOT
    return False if known and (is_constant(value) or isinstance(value, (Function, Class))) else None


def _are_apart(layer: Built, wanted: External) -> bool:
    signature = signature_of(wanted.name)
    families = {layer.signature.op, signature.op if signature is not None else ""}
    return len(families) == 2 and families <= _APART


def _alike(symbols: list[External], other: External) -> bool:
    return any(s.framework == other.framework for s in symbols)


def is_class(value: Value) -> bool | None:
    """Whether a value is a class, and no object or function."""
    if isinstance(value, External):
        signature = signature_of(value.name)
        builds = signature is not None and (signature.call is not None or signature.op in ("sequential", "layers"))
        return True if builds or value.name in _PLAIN or value.name in _CONTAINERS else None
    return None if isinstance(value, (Node, Union, Lazy, Super)) else isinstance(value, Class)


def is_heir(value: Value, wanted: Value) -> bool | None:
    """``issubclass(value, wanted)``; None where that depends."""
    if isinstance(value, Class) and isinstance(wanted, Class):
        return wanted in value.ancestry()
    if isinstance(value, Class) and isinstance(wanted, External):
        return True if any(canonical(b.name) == canonical(wanted.name) for b in value.external_bases()) else None
    if isinstance(value, External) and isinstance(wanted, External):
        return True if canonical(value.name) == canonical(wanted.name) else None
    return None


def is_callable(value: Value) -> bool | None:
    """``callable(value)``; None where that depends."""
    if isinstance(value, External):
        return True if signature_of(value.name) is not None else None
    if isinstance(value, Instance):
        return True if is_module_class(value.cls) else None
    if callable_value(value):
        return True
    return False if is_constant(value) or isinstance(value, (tuple, List, Dict)) else None


def type_of(value: Value) -> Class | External | None:
    """``type(value)``; None where that depends."""
    if isinstance(value, Instance):
        return value.cls
    if isinstance(value, Built):
        return value.symbol
    return External(f"builtins.{type(value).__name__}") if is_constant(value) and value is not None else None


def are_same(left: Value, right: Value) -> bool | None:
    """Whether two classes are the same; None where that depends, or one is no class."""
    if isinstance(left, Class) or isinstance(right, Class):
        return left is right if is_class(left) and is_class(right) else None
    if isinstance(left, External) and isinstance(right, External):
        if canonical(left.name) == canonical(right.name):
            return True
        known = all(e.name in _PLAIN or signature_of(e.name) is not None for e in (left, right))
        return False if known and (left.name in _PLAIN or right.name in _PLAIN) else None
    return None
