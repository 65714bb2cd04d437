"""Binding arguments to parameters: of the project's functions, and of catalogued signatures."""

from __future__ import annotations

from finallayer.catalog import Param
from finallayer.source.limits import tuple_of
from finallayer.source.values import MISSING, Call, Dict, Frame, Function, Missing, Value, opaque


def bind_parameters(function: Function, frame: Frame, call: Call) -> None:
    """Write a call's arguments into the function's new frame; what the call leaves open takes its default."""
    spec = function.node.args
    names = [a.arg for a in (*spec.posonlyargs, *spec.args)]
    left = dict(call.kwargs)
    values: dict[str, Value] = dict(zip(names, call.args, strict=False))
    first_default = len(names) - len(function.defaults)
    for i, name in enumerate(names):
        if name in values:
            continue
        has_default = i >= first_default and call.complete
        default = function.defaults[i - first_default] if has_default else MISSING
        values[name] = _given(function, left, name, default)
    for arg, stated in zip(spec.kwonlyargs, function.kw_defaults, strict=False):
        values[arg.arg] = _given(function, left, arg.arg, stated if call.complete else MISSING)
    if spec.vararg:
        rest = tuple(call.args[len(names) :])
        values[spec.vararg.arg] = tuple_of(rest) if call.complete else opaque(f"*{spec.vararg.arg}")
    if spec.kwarg:
        values[spec.kwarg.arg] = Dict(left) if call.complete else opaque(f"**{spec.kwarg.arg}")
    frame.vars.update(values)


def _given(function: Function, kwargs: dict[str, Value], name: str, default: Value | Missing) -> Value:
    if name in kwargs:
        return kwargs.pop(name)
    if not isinstance(default, Missing):
        return default
    return opaque(f"{name}@{function.name}:{getattr(function.node, 'lineno', 0)}")


def fits(params: tuple[Param, ...], args: list[Value], kwargs: dict[str, Value]) -> bool:
    """Whether a call could be one of this signature: no argument too many, no keyword that it doesn't know."""
    room = len(args) <= sum(not p.keyword_only for p in params) or any(p.rest for p in params)
    return room and kwargs.keys() <= {p.name for p in params}
