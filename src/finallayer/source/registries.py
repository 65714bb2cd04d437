"""Registries of other libraries: tables of a project's classes and functions by their names."""

from __future__ import annotations

from finallayer.catalog import Signature
from finallayer.source.calls import callable_value, invoke
from finallayer.source.containers import get_item
from finallayer.source.handlers import BUILTINS, OF_MODELS
from finallayer.source.interpreter import Interpreter
from finallayer.source.values import (
    MISSING,
    TABLE,
    Bound,
    Built,
    Call,
    Class,
    Dict,
    External,
    Function,
    Partial,
    Value,
    is_constant,
)

#: What makes a registry: ``Registry("models")``.
_REGISTRIES = (
    "mmengine.Registry mmengine.registry.Registry mmcv.Registry mmcv.utils.Registry fvcore.common.registry.Registry "
    "detectron2.utils.registry.Registry iopath.common.registry.Registry catalyst.registry.Registry"
).split()
#: What builds an object of a registry's class from a dictionary that names it.
_BUILDERS = "mmengine.build_from_cfg mmengine.registry.build_from_cfg mmcv.build_from_cfg mmcv.utils.build_from_cfg"
#: Under which keys the dictionary names the class.
_NAMED_BY = ("type", "name")


def _registry(_run: Interpreter, call: Call) -> Value:
    made = Built(External("registry"), Signature("registry", (), (), {}), {}, call.site)
    made.slots[TABLE] = Dict({})
    return made


def _table(owner: Value) -> Dict | None:
    table = owner.slots.get(TABLE) if isinstance(owner, Built) else None
    return table if isinstance(table, Dict) else None


def _register(run: Interpreter, owner: Value, call: Call) -> Value:
    """``@MODELS.register_module()``, or torch's ``model.register_module(name, layer)``."""
    table = _table(owner)
    given = [*call.args, *call.kwargs.values()]
    if table is None:
        return OF_MODELS["add_module"](run, owner, call)
    entry = next((v for v in given if isinstance(v, (Class, Function))), None)
    name = next((v for v in given if isinstance(v, str)), None)
    if entry is None:
        return Partial(Bound("register_module", owner), () if name is None else (name,))
    run.write(table.slots, entry.name if name is None else name, entry)
    return entry


def _get(run: Interpreter, owner: Value, call: Call) -> Value:
    table = _table(owner)
    return run.opaque_at(call.site, *call.args) if table is None or not call.args else get_item(table, call.args[0])


def _build(run: Interpreter, owner: Value, call: Call) -> Value:
    """``MODELS.build(dict(type="Net", classes=3))``."""
    table, wanted = _table(owner), call.args[0] if call.args else call.kwargs.get("cfg")
    if table is None or not isinstance(wanted, Dict):
        return run.opaque_at(call.site, *call.args)
    given = {k: v for k, v in wanted.known.items() if isinstance(k, str)}
    kind = next((given.pop(key) for key in _NAMED_BY if key in given), None)
    made = kind if callable_value(kind) else table.slots.get(kind, MISSING) if is_constant(kind) else MISSING
    if made is MISSING:
        return run.opaque_at(call.site, wanted)
    return invoke(run, made, Call([], {**given, **call.kwargs}, call.site, complete=not wanted.rest))


def _build_from(run: Interpreter, call: Call) -> Value:
    registry = call.args[1] if len(call.args) > 1 else call.kwargs.get("registry")
    return _build(run, registry, Call(call.args[:1], {}, call.site))


BUILTINS |= dict.fromkeys(_REGISTRIES, _registry) | dict.fromkeys(_BUILDERS.split(), _build_from)
OF_MODELS |= {"register_module": _register, "register": _register, "get": _get, "build": _build}
