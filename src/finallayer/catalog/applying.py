"""A catalogued call on values that are known: from its signature and arguments to an operation and its attributes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from finallayer.canonical import SPELLINGS_OF_LOSSES
from finallayer.catalog import ATTRIBUTES, CONSTRUCTS, OF_THE_CALL, Param, Signature, bind_signature
from finallayer.expr import ATTRIBUTES as TYPES
from finallayer.expr import LEAVES, SEVERAL, UNREAD, Node, declaring, make

_NAMED = (declaring("name") - LEAVES) | SPELLINGS_OF_LOSSES
_CARRIED = ATTRIBUTES - OF_THE_CALL
_ORDER = ("x", "y", "target", "condition")
#: The larger or smaller of two tensors is spelled as that of one along an axis.
_EXTREMES = {"max": "maximum", "min": "minimum"}
#: From a tensor of the framework's to its node, None for what isn't one.
Read = Callable[[Any], Node | None]


class Applied(NamedTuple):
    """An operation, what it is applied to, and how."""

    op: str
    args: list[Node]
    attrs: dict[str, Any]


def is_applicable(signature: Signature) -> bool:
    """Whether a signature is an operation's on tensors, as a running program knows it."""
    return signature.op not in CONSTRUCTS and signature.op != "opaque"


def params_of_call(signature: Signature) -> tuple[Param, ...]:
    """The parameters of a call on tensors: for layers and losses, of what was constructed."""
    return signature.params if signature.call is None else signature.call


def applied(
    signature: Signature, args: Sequence[Any], kwargs: Mapping[str, Any], name: str, read: Read
) -> Applied | None:
    """What a call of a signature applies; None where its arguments don't fit."""
    given = bind_signature(params_of_call(signature), args, kwargs)
    op = signature.op
    operands: list[Node] = []
    for which in _ORDER:
        if which in given:
            nodes = _tensors(given[which], read, several=which == "x" and op in SEVERAL)
            if nodes is None or (not nodes and which == "x" and op not in LEAVES):
                return None
            operands += nodes
        elif which == "x" and op not in LEAVES:
            return None
    if op in _EXTREMES and (along := read(given.get("axis"))) is not None:
        return Applied(_EXTREMES[op], [*operands, along], {})
    attrs = (
        {k: v for k, v in signature.attrs.items() if k not in OF_THE_CALL and k != "rank"} if signature.attrs else {}
    )
    attrs |= _carried(given)
    if op in _NAMED:
        attrs["name"] = name
    return Applied(op, operands, attrs)


def constructed(signature: Signature, config: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes that a layer, loss or metric has by what it was constructed with."""
    return _carried(bind_signature(signature.params, (), config))


def _carried(given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that are attributes of the node."""
    return {k: _plain(k, v) for k, v in given.items() if v is not None and k in _CARRIED}


def _tensors(value: Any, read: Read, several: bool) -> list[Node] | None:
    """The nodes of an argument: of all items where it takes several tensors; None where it is no tensor."""
    if several and isinstance(value, (list, tuple)):
        nodes = [read(v) for v in value]
        return None if None in nodes else [n for n in nodes if n is not None]
    node = read(value)
    if node is not None:
        return [node]
    if value is None:
        return []
    return [make("const", value=value)] if isinstance(value, (bool, int, float)) else None


def _plain(name: str, value: Any) -> Any:
    """An attribute's value as a node carries it."""
    if isinstance(value, (list, tuple)):
        value = value[0] if len(value) == 1 else tuple(value)
    return value if type(value) in TYPES[name] else UNREAD
