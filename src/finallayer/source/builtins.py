"""Python's builtins, where what they give matters for following layers and losses."""

from __future__ import annotations

from collections.abc import Callable

from finallayer.source.attributes import get_attribute, set_attribute
from finallayer.source.batches import is_loader
from finallayer.source.budget import MOST_UNROLLED
from finallayer.source.calls import invoke
from finallayer.source.containers import MOST_NUMBERS, PLACE, element, sequence
from finallayer.source.followed import hand
from finallayer.source.handlers import BUILTINS, Builtin
from finallayer.source.interpreter import Interpreter
from finallayer.source.symbols import signature_of
from finallayer.source.types import is_a, is_callable, is_class, is_heir, type_of
from finallayer.source.values import (
    MISSING,
    REST,
    Call,
    Class,
    Dict,
    External,
    Frame,
    Instance,
    List,
    Super,
    Value,
    is_constant,
    opaque,
)


def _builtin(name: str) -> Callable[[Builtin], Builtin]:
    def register(function: Builtin) -> Builtin:
        BUILTINS[name] = function
        return function

    return register


@_builtin("super")
def _super(_run: Interpreter, call: Call) -> Value:
    if len(call.args) == 2 and isinstance(call.args[0], Class):
        return Super(call.args[0], call.args[1])
    frame, function = call.site.frame, call.site.frame.function
    if function is None or function.owner is None or not function.node.args.args:
        return opaque("super")
    return Super(function.owner, frame.vars.get(function.node.args.args[0].arg))


@_builtin("getattr")
def _getattr(run: Interpreter, call: Call) -> Value:
    if len(call.args) == 3 and isinstance(call.args[0], Frame) and call.args[1] not in call.args[0].vars:
        return call.args[2]
    if len(call.args) >= 2 and isinstance(call.args[1], str):
        return get_attribute(run, call.args[0], call.args[1])
    return opaque("getattr", *call.args)


@_builtin("setattr")
def _setattr(run: Interpreter, call: Call) -> Value:
    if len(call.args) == 3 and isinstance(call.args[1], str):
        set_attribute(run, call.args[0], call.args[1], call.args[2])
        hand(run, call.args[2])
    return None


@_builtin("hasattr")
def _hasattr(_run: Interpreter, call: Call) -> Value:
    match call.args:
        case [Instance() as owner, str() as name] if name in owner.slots or owner.cls.find(name) is not MISSING:
            return True
        case [External() as owner, str() as name] if signature_of(f"{owner.name}.{name}") is not None:
            return True
        case [Frame() as owner, str() as name] if name in owner.vars:
            return True
    return opaque("hasattr", *call.args)


def _asking(name: str, ask: Callable[..., bool | None], arguments: int) -> Builtin:
    """A question about a value's type, which has an answer, or one that depends."""

    def answer(_run: Interpreter, call: Call) -> Value:
        found = ask(*call.args) if len(call.args) == arguments else None
        return opaque(name, *call.args) if found is None else found

    return answer


BUILTINS |= {
    "isinstance": _asking("isinstance", is_a, 2),
    "issubclass": _asking("issubclass", is_heir, 2),
    "inspect.isclass": _asking("isclass", is_class, 1),
    "callable": _asking("callable", is_callable, 1),
}


@_builtin("type")
def _type(run: Interpreter, call: Call) -> Value:
    found = type_of(*call.args) if len(call.args) == 1 else None
    return run.opaque_at(call.site, *call.args) if found is None else found


@_builtin("len")
def _len(_run: Interpreter, call: Call) -> Value:
    items = sequence(call.args[0]) if call.args else None
    return len(items) if items is not None else opaque("len", *call.args)


@_builtin("range")
def _range(_run: Interpreter, call: Call) -> Value:
    ends = [a for a in call.args[:3] if type(a) is int]
    if ends and len(ends) == len(call.args) and ends[2:] != [0]:
        numbers = range(*ends)
        return tuple(numbers) if len(numbers) <= MOST_NUMBERS else opaque("range", *call.args)
    return opaque("range", *call.args)


@_builtin("enumerate")
def _enumerate(_run: Interpreter, call: Call) -> Value:
    items = sequence(call.args[0]) if call.args else None
    if items is not None:
        return tuple(enumerate(items))
    return List(((opaque(PLACE), element(call.args[0]) if call.args else opaque("each")),), exact=False)


@_builtin("tqdm.tqdm")
@_builtin("tqdm.auto.tqdm")
@_builtin("tqdm.notebook.tqdm")
@_builtin("iter")
def _iterated(run: Interpreter, call: Call) -> Value:
    """What goes over a loader, or counts its batches, goes over the same batches."""
    over = call.args[0] if call.args else None
    counted = isinstance(over, List) and not over.exact
    return over if is_loader(over) or counted else run.opaque_at(call.site, *call.args, *call.kwargs.values())


@_builtin("next")
def _next(run: Interpreter, call: Call) -> Value:
    over = call.args[0] if call.args else None
    return element(over) if is_loader(over) else run.opaque_at(call.site, *call.args, *call.kwargs.values())


@_builtin("zip")
def _zip(_run: Interpreter, call: Call) -> Value:
    columns = [sequence(a) for a in call.args]
    if columns and all(c is not None for c in columns):
        return tuple(zip(*(c for c in columns if c is not None), strict=False))
    return List((tuple(element(a) for a in call.args),), exact=False)


@_builtin("random.choice")
def _choice(_run: Interpreter, call: Call) -> Value:
    return element(call.args[0]) if call.args else opaque("choice")


@_builtin("list")
def _list(_run: Interpreter, call: Call) -> Value:
    if not call.args:
        return List(())
    items = sequence(call.args[0])
    if items is not None:
        return List(items)
    return List(call.args[0].items if isinstance(call.args[0], List) else (element(call.args[0]),), exact=False)


@_builtin("tuple")
def _tuple(run: Interpreter, call: Call) -> Value:
    items = sequence(call.args[0]) if call.args else ()
    return items if items is not None else _list(run, call)


@_builtin("reversed")
def _reversed(run: Interpreter, call: Call) -> Value:
    items = sequence(call.args[0]) if call.args else None
    return items[::-1] if items is not None else _list(run, call)


@_builtin("map")
def _map(run: Interpreter, call: Call) -> Value:
    columns = [c for c in map(sequence, call.args[1:]) if c is not None and len(c) <= MOST_UNROLLED]
    if not columns or len(columns) < len(call.args) - 1:
        row = [element(a) for a in call.args[1:]]
        return List((invoke(run, call.args[0], Call(row, {}, call.site)),) if row else (), exact=False)
    return tuple(invoke(run, call.args[0], Call(list(row), {}, call.site)) for row in zip(*columns, strict=False))


@_builtin("argparse.Namespace")
@_builtin("types.SimpleNamespace")
@_builtin("easydict.EasyDict")
@_builtin("munch.Munch")
@_builtin("addict.Dict")
@_builtin("box.Box")
@_builtin("ml_collections.ConfigDict")
@_builtin("ml_collections.config_dict.ConfigDict")
@_builtin("collections.OrderedDict")
@_builtin("dict")
def _dict(_run: Interpreter, call: Call) -> Value:
    made = call.args[0].copy() if call.args and isinstance(call.args[0], Dict) else Dict({})
    pairs = sequence(call.args[0]) if call.args and not isinstance(call.args[0], Dict) else ()
    for pair in pairs or ():
        if isinstance(pair, tuple) and len(pair) == 2 and is_constant(pair[0]):
            made.slots[pair[0]] = pair[1]
    if pairs is None:
        made.slots[REST] = (opaque("item", call.args[0]),)
    made.slots.update(call.kwargs.items())
    return made
