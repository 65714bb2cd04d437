"""What the catalogue says of external names."""

from __future__ import annotations

from functools import cache

from finallayer.catalog import CONSTRUCTS, Signature, lookup
from finallayer.catalog.names import canonical
from finallayer.source.values import Built, Class, External, Instance, Value

#: Constructs that take a function and give one back.
TRANSFORMS = frozenset({"transform", "vmap", "value_and_grad", "grad", "pure"})


@cache
def signature_of(name: str) -> Signature | None:
    """The signature behind a dotted name as the user spelled it."""
    return lookup(canonical(name))


def signature_behind(value: Value) -> Signature | None:
    """The signature of a value: of what built it, or of the external name that it is; None for any other."""
    if isinstance(value, Built):
        return value.signature
    return signature_of(value.name) if isinstance(value, External) else None


def construct_of(value: Value) -> str:
    """Which construct an external name is; empty where it is none."""
    if not isinstance(value, External):
        return ""
    signature = signature_of(value.name)
    return signature.op if signature is not None and signature.op in CONSTRUCTS else ""


def is_module(value: Value) -> bool:
    """Whether a value is a model or layer: of a project's class, or built by a framework."""
    if isinstance(value, Instance):
        return is_module_class(value.cls)
    return isinstance(value, Built) and value.signature.call is not None


def is_module_class(cls: Class) -> bool:
    """Whether a project's class derives from a framework's model or layer, or its base class for them."""
    if any(construct_of(base) in ("module", "model") for base in cls.external_bases()):
        return True
    base = inherited_from(cls)
    signature = None if base is None else signature_of(base.name)
    return signature is not None and signature.call is not None


#: Python's containers, which classes are derived from as well.
_CONTAINERS = frozenset({"builtins.dict", "builtins.list", "collections.OrderedDict"})


def inherited_from(cls: Class) -> External | None:
    """The foreign class that does for a project's class what it would do itself: a layer, a loss, several layers."""
    for base in cls.external_bases():
        signature = signature_of(base.name)
        of_layers = signature is not None and (signature.call is not None or signature.op in ("sequential", "layers"))
        if (of_layers and construct_of(base) not in ("module", "model")) or base.name in _CONTAINERS:
            return base
    return None
