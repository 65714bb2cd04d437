"""Signatures of every framework's operations, layers and losses, as data.

A table maps a dotted name to one line::

    "torch.softmax":            "softmax(input: x, dim: axis)"
    "torch.nn.CrossEntropyLoss": "xent_logits(weight, size_average, ignore_index)(input: x, target)"

The operation is one of ``expr.OPERATIONS`` or a *construct* that the source front end knows (:data:`CONSTRUCTS`). The
parameters stand in positional order: the framework's name, then, after a colon, the canonical name where it differs; a
default after ``=``; ``*layers`` takes the rest. A second pair of brackets holds the parameters of the call: the
first pair then belongs to the constructor. ``| eps=1e-7`` adds attributes that the operation always has.

Canonical names: ``x y target`` are tensors (``x`` what is judged); ``axis eps units low high value from_logits
activation rank shape`` are attributes; any other parameter is only there to keep the positions right.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from typing import Any, NamedTuple

#: Catalogued names that build or transform a program; the source front end knows what each means.
CONSTRUCTS = frozenset(
    {
        "sequential",  # (*layers) or (layers): a model that applies its layers in order; takes .add
        "model",  # (inputs, outputs): a functional Keras model
        "input",  # (shape): the leaf a functional model starts from
        "module",  # a base class of user models (nn.Module, keras.Model, keras.Layer, LightningModule, linen.Module)
        "same",  # (x): hands its argument on, whatever it is (DataParallel, torch.compile, jit, checkpoint)
        "transform",  # (f): a function that gives back f's own result when called (jit, vmap, pmap, partial-like)
        "value_and_grad",  # (f): when called, gives (f(...), opaque)
        "grad",  # (f): when called, evaluates f and gives opaque
        "partial",  # (f, *args): functools.partial
        "applier",  # (name): an activation looked up by name: keras.activations.get, Activation
        "xent",  # cross-entropy whose from_logits says which: xent_logits or xent_probs
        "bce",  # the same for the binary one
        "no_grad",  # a context manager or decorator under which no gradient is asked for
    }
)


class Param(NamedTuple):
    """A parameter: the framework's name, the canonical one, its default, and whether it takes all the rest."""

    name: str
    canonical: str
    default: Any = None
    rest: bool = False


class Signature(NamedTuple):
    """What a catalogued name means: the operation, its parameters, and those of the call for layers and losses."""

    op: str
    params: tuple[Param, ...]
    call: tuple[Param, ...] | None
    attrs: dict[str, Any]


_LINE = re.compile(r"(\w+)\(([^()]*)\)(?:\(([^()]*)\))?(?:\s*\|\s*(.*))?$")


def parse(line: str) -> Signature:
    """Read one line of a table. Raises ValueError where it isn't one."""
    got = _LINE.match(line.strip())
    if got is None:
        raise ValueError(f"not a signature: {line!r}")
    op, params, call, attrs = got.groups()
    fixed = dict(_split_default(a) for a in _commas(attrs)) if attrs else {}
    return Signature(op, _params(params), None if call is None else _params(call), fixed)


def _commas(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _split_default(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    return name.strip(), ast.literal_eval(value.strip()) if value else None


def _params(text: str) -> tuple[Param, ...]:
    params = []
    for part in _commas(text):
        names, default = _split_default(part)
        rest = names.startswith("*")
        name, _, canonical = names.lstrip("*").partition(":")
        params.append(Param(name.strip(), (canonical or name).strip(), default, rest))
    return tuple(params)


@cache
def _tables() -> tuple[dict[str, str], dict[str, str]]:
    from finallayer.catalog import jax, keras, numpy, tensorflow, torch

    names: dict[str, str] = {}
    methods: dict[str, str] = {}
    for table in (numpy, jax, tensorflow, keras, torch):
        names |= table.NAMES
        methods |= table.METHODS
    return names, methods


@cache
def lookup(name: str) -> Signature | None:
    """The signature of a dotted name, spelled the canonical way; None where the catalogue doesn't know it."""
    line = _tables()[0].get(name)
    return None if line is None else parse(line)


@cache
def method(name: str) -> Signature | None:
    """The signature of a tensor's method; its first parameter is the tensor itself."""
    line = _tables()[1].get(name)
    return None if line is None else parse(line)
