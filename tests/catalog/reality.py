"""Compares a catalogue line with the signature of the object that it names."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from finallayer.catalog import Param, parse

#: spellings that only earlier versions know, or that PyTorch takes from NumPy without saying so; they stand
#: keyword-only behind the stated ones
ALIASES = frozenset(
    "nb_filter output_dim input output reduction_indices keep_dims dim squeeze_dims concat_dim dimension targets "
    "newshape self filter value inputs axis keepdims a_min a_max y_pred "
    "out where initial kind axes order casting subok copy device force sparse_grad generator".split()
)

#: the methods that a layer, a loss or a metric is called by
CALLED_BY = ("forward", "call", "update_state", "__call__")


class Real(NamedTuple):
    """What a real signature accepts: its positional parameters in order, all names, and its defaults."""

    positional: tuple[str, ...]
    names: frozenset[str]
    rest: str | None = None
    defaults: dict[str, Any] = {}  # noqa: RUF012
    open_ended: bool = False  # takes **kwargs


def resolve(dotted: str) -> Any:
    """The object of a dotted name, or None where there is none."""
    top, *parts = dotted.split(".")
    found: Any = importlib.import_module(top)
    for n, part in enumerate(parts):
        if not hasattr(found, part):
            try:
                importlib.import_module(".".join([top, *parts[: n + 1]]))
            except ImportError:
                return None
        found = getattr(found, part, None)
    return found


def real(function: Callable[..., Any]) -> Real | None:
    """The signature of a function or of a class's constructor, without ``self``; None where it says nothing."""
    if not inspect.isclass(function):
        return _signature(function)
    for constructor in (function.__init__, function.__new__):
        found = _signature(constructor)
        if found is not None and not (len(found.positional) <= 1 and found.rest and found.open_ended):
            return without_self(found)
    return None


def called(cls: type) -> Real | None:
    """The signature by which an instance of a class is called."""
    for name in CALLED_BY:
        method = next((vars(c)[name] for c in cls.__mro__ if name in vars(c)), None)
        found = _signature(method) if inspect.isfunction(method) else None
        if found is not None and len(found.positional) > 1:
            return without_self(found)
    return None


def without_self(signature: Real) -> Real:
    return signature._replace(positional=signature.positional[1:])


def _signature(function: Callable[..., Any]) -> Real | None:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    positional = tuple(p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD))
    rest = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), None)
    defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters)
    return Real(positional, frozenset(p.name for p in parameters), rest, defaults, open_ended)


def disagreements(line: str, references: Sequence[Real], calls: Sequence[Real] = ()) -> list[str]:
    """What a line says that no reference (a version, an overload) bears out; empty where one agrees with it."""
    signature = parse(line)
    wrong = _against(signature.params, references)
    if signature.call is not None and calls:
        wrong += [f"call: {w}" for w in _against(signature.call, calls)]
    return wrong


def _against(params: Sequence[Param], references: Sequence[Real]) -> list[str]:
    if not params:
        return []
    if not references:
        return ["no signature to compare with"]
    return min((list(_wrong(params, r, references)) for r in references), key=len)


def _wrong(params: Sequence[Param], reference: Real, references: Sequence[Real]) -> Iterable[str]:
    for position, param in enumerate(params):
        if param.rest:
            if reference.rest != param.name:
                yield f"*{param.name}: takes {reference.rest}"
        elif param.keyword_only:
            if param.name not in ALIASES and not any(param.name in r.names for r in references):
                yield f"{param.name}: unknown"
        elif reference.positional[position : position + 1] != (param.name,):
            yield f"{param.name}: not parameter {position} of {reference.positional}"
        stated, true = param.default, reference.defaults.get(param.name)
        if isinstance(stated, (bool, int, float, str)) and true is not None and stated != true:
            yield f"{param.name}: default is {true!r}, not {stated!r}"
