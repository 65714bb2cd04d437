"""Which line of the catalogue a function, method or operator of torch's has."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import torch

from finallayer.catalog import Signature, aten, lookup
from finallayer.catalog.applying import is_applicable


class Known(NamedTuple):
    """What a function of torch's does."""

    name: str  # as the catalogue spells it
    signature: Signature
    in_place: bool  # it gives its first argument back, changed
    pure: bool  # it changes none of its arguments


#: Where functions live that the catalogue knows as their public names.
_PUBLIC = {
    "torch._C._nn": "torch.nn.functional.",
    "torch._C._special": "torch.special.",
    "torch._C._linalg": "torch.linalg.",
    "torch.nn.functional": "torch.nn.functional.",
    "torch": "torch.",
    "torch.functional": "torch.",
}
_PREFIXES = ("special_", "linalg_")
_RENAMED = {"torch.nn.functional.log_sigmoid": "torch.nn.functional.logsigmoid"}
#: What changes its first argument though it isn't spelled so.
_IN_PLACE = frozenset("__iadd__ __isub__ __imul__ __itruediv__ __idiv__ __ipow__".split())
#: What has running statistics, which it changes though it doesn't say so.
_HAS_STATE = frozenset({"batch_norm", "instance_norm"})


@cache
def function(func: Callable[..., Any]) -> Known | None:
    """What a function or method does, as a mode is handed it; None where the catalogue doesn't know."""
    name = getattr(func, "__name__", "")
    owner = getattr(func, "__objclass__", None)
    if name == "__get__":  # a property's
        name = str(getattr(getattr(func, "__self__", None), "__name__", ""))
        return _known(name, aten.tensor_property(name))
    if owner is not None or str(getattr(func, "__qualname__", "")).startswith(("Tensor.", "TensorBase.")):
        return _known(name, aten.tensor_method(name))
    module = _PUBLIC.get(getattr(func, "__module__", None) or "torch")
    if module is None:
        return None
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    dotted = _RENAMED.get(module + name, module + name)
    return _known(name, lookup(dotted), dotted)


@cache
def operator(func: Any) -> Known | None:
    """The same of an operator of ATen's, as dispatched."""
    namespace, _, name = func._schema.name.partition("::")
    if namespace not in ("aten", "prims"):
        return None
    return _known(name, aten.operator(name))


@cache
def named_operator(name: str) -> Known | None:
    """The same of an operator by its name, as the autograd graph has it."""
    return _known(name, aten.operator(name)) or _known(f"_{name}", aten.operator(f"_{name}"))


def _known(name: str, signature: Signature | None, dotted: str = "") -> Known | None:
    if signature is None or not is_applicable(signature):
        return None
    in_place = name != aten.out_of_place(name) or name in _IN_PLACE
    pure = not in_place and name not in _HAS_STATE
    return Known(dotted or f"torch.Tensor.{name}", signature, in_place, pure)


def module_line(module: torch.nn.Module) -> tuple[str, Signature] | None:
    """The catalogue's line of a layer or loss of torch's own, by its public name."""
    return _class_line(type(module))  # type: ignore[arg-type]


def is_native(module: torch.nn.Module) -> bool:
    """Whether a module is torch's own, so that none of the user's code runs in it but the modules that it holds."""
    return _is_torchs(type(module))  # type: ignore[arg-type]


@cache
def _is_torchs(cls: type) -> bool:
    return cls.__module__.startswith("torch.nn.modules.")


@cache
def _class_line(cls: type) -> tuple[str, Signature] | None:
    name = f"torch.nn.{cls.__name__}"
    signature = lookup(name) if cls.__module__.startswith("torch.nn.modules.") else None
    return None if signature is None else (name, signature)
