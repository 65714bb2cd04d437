"""Python's builtins, where what they give matters for following layers and losses."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from finallayer.source.attributes import get_attribute, set_attribute
from finallayer.source.calls import call
from finallayer.source.containers import MOST_UNROLLED, element, sequence
from finallayer.source.handlers import BUILTINS, Builtin
from finallayer.source.values import (
    Built,
    Class,
    Dict,
    External,
    Function,
    Instance,
    List,
    Site,
    Super,
    Value,
    is_constant,
    opaque,
)

if TYPE_CHECKING:
    from finallayer.source.interpreter import Interpreter


def _builtin(name: str) -> Callable[[Builtin], Builtin]:
    def register(function: Builtin) -> Builtin:
        BUILTINS[name] = function
        return function

    return register


for _name in (
    "sum max min abs pow round float print property staticmethod classmethod int str bool object type set frozenset "
    "open input id any all iter next repr hash format sorted filter divmod callable vars dir bytes complex "
    "Exception ValueError NotImplementedError RuntimeError TypeError KeyError ImportError AssertionError eval exec"
).split():
    BUILTINS[_name] = lambda run, args, kwargs, site: NotImplemented


@_builtin("super")
def _super(run: Interpreter, args: list[Value], kwargs: dict[str, Value], site: Site) -> Value:
    if len(args) == 2 and isinstance(args[0], Class):
        return Super(args[0], args[1])
    frame, function = site.frame, site.frame.function
    if function is None or function.owner is None or not function.node.args.args:
        return opaque("super")
    return Super(function.owner, frame.vars.get(function.node.args.args[0].arg))


@_builtin("getattr")
def _getattr(run: Interpreter, args: list[Value], kwargs: dict[str, Value], site: Site) -> Value:
    if len(args) >= 2 and isinstance(args[1], str):
        return get_attribute(run, args[0], args[1])
    return opaque("getattr", *args)


@_builtin("setattr")
def _setattr(run: Interpreter, args: list[Value], kwargs: dict[str, Value], site: Site) -> Value:
    if len(args) == 3 and isinstance(args[1], str):
        set_attribute(run, args[0], args[1], args[2])
    return None


@_builtin("hasattr")
def _hasattr(run: Interpreter, args: list[Value], kwargs: dict[str, Value], site: Site) -> Value:
    if len(args) == 2 and isinstance(args[0], Instance) and isinstance(args[1], str):
        return True if args[1] in args[0].slots or args[0].cls.find(args[1]) is not None else opaque("hasattr", *args)
    return opaque("hasattr", *args)


@_builtin("isinstance")
def _isinstance(run: Interpreter, args: list[Value], kwargs: dict[str, Value], site: Site) -> Value:
    if len(args) != 2:
        return opaque("isinstance", *args)
    value, wanted = args
    names = {w.name for w in (wanted if isinstance(wanted, tuple) else (wanted,)) if isinstance(w, External)}
    kinds = {"builtins.str": str, "builtins.int": int, "builtins.float": float, "builtins.bool": bool}
    if is_constant(value) and names <= kinds.keys() and names:
        return any(isinstance(value, kinds[n]) for n in names)
    containers = {"builtins.list": List, "builtins.dict": Dict, "builtins.tuple": tuple}
    if names and names <= containers.keys() and isinstance(value, (List, Dict, Built, Instance, Function, str)):
        return any(isinstance(value, containers[n]) for n in names)
    if isinstance(value, Instance) and isinstance(wanted, Class):
        return wanted in value.cls.ancestry()
    if isinstance(value, Built) and isinstance(wanted, External):
        return True if value.symbol.name == wanted.name else opaque("isinstance", *args)
    return opaque("isinstance", *args)


@_builtin("len")
def _len(run: Interpreter, args: list[Value], kwargs: dict[str, Value], site: Site) -> Value:
    items = sequence(args[0]) if args else None
    return len(items) if items is not None else opaque("len", *args)


@_builtin("range")
def _range(run: Interpreter, args: list[Value], kwargs: dict[str, Value], site: Site) -> Value:
    if args and all(type(a) is int for a in args) and not (len(args) == 3 and args[2] == 0):
        numbers = range(*args[:3])
        return tuple(numbers) if len(numbers) <= MOST_UNROLLED else opaque("range", *args)
    return opaque("range", *args)


@_builtin("enumerate")
def _enumerate(run: Interpreter, args: list[Value], kwargs: dict[str, Value], site: Site) -> Value:
    items = sequence(args[0]) if args else None
    if items is not None:
        return tuple(enumerate(items))
    return List(((opaque("index"), element(args[0]) if args else opaque("each")),), exact=False)


@_builtin("zip")
def _zip(run: Interpreter, args: list[Value], kwargs: dict[str, Value], site: Site) -> Value:
    columns = [sequence(a) for a in args]
    if columns and all(c is not None for c in columns):
        return tuple(zip(*(c for c in columns if c is not None), strict=False))
    return List((tuple(element(a) for a in args),), exact=False)


@_builtin("list")
def _list(run: Interpreter, args: list[Value], kwargs: dict[str, Value], site: Site) -> Value:
    if not args:
        return List(())
    items = sequence(args[0])
    if items is not None:
        return List(items)
    return List(args[0].items if isinstance(args[0], List) else (element(args[0]),), exact=False)


@_builtin("tuple")
def _tuple(run: Interpreter, args: list[Value], kwargs: dict[str, Value], site: Site) -> Value:
    items = sequence(args[0]) if args else ()
    return items if items is not None else _list(run, args, kwargs, site)


@_builtin("reversed")
def _reversed(run: Interpreter, args: list[Value], kwargs: dict[str, Value], site: Site) -> Value:
    items = sequence(args[0]) if args else None
    return items[::-1] if items is not None else _list(run, args, kwargs, site)


@_builtin("map")
def _map(run: Interpreter, args: list[Value], kwargs: dict[str, Value], site: Site) -> Value:
    columns = [sequence(a) for a in args[1:]]
    if not columns or any(c is None or len(c) > MOST_UNROLLED for c in columns):
        return opaque("map", *args)
    return tuple(call(run, args[0], list(row), {}, site) for row in zip(*(c for c in columns if c), strict=False))


@_builtin("collections.OrderedDict")
@_builtin("dict")
def _dict(run: Interpreter, args: list[Value], kwargs: dict[str, Value], site: Site) -> Value:
    made = Dict(dict(args[0].slots) if args and isinstance(args[0], Dict) else {})
    pairs = sequence(args[0]) if args and not isinstance(args[0], Dict) else ()
    for pair in pairs or ():
        if isinstance(pair, tuple) and len(pair) == 2 and is_constant(pair[0]):
            made.slots[pair[0]] = pair[1]
    made.slots.update(kwargs)
    return made
