"""Catalogued operations: the node that an operation gives, with the attributes that its call states."""

from __future__ import annotations

from typing import TypeGuard

from finallayer.canonical import SPELLINGS_OF_LOSSES
from finallayer.catalog import ATTRIBUTES, OF_THE_CALL, Signature
from finallayer.expr import ATTRIBUTES as TYPES
from finallayer.expr import LEAVES, SEVERAL, TRANSPARENT, UNREAD, Node, declaring, through
from finallayer.kinds import LOG_KINDS, PROBABILITY_KINDS, Kind
from finallayer.source.containers import index_attributes, sequence
from finallayer.source.interpreter import Interpreter
from finallayer.source.tensors import to_node
from finallayer.source.values import (
    Attributes,
    Constant,
    External,
    List,
    Site,
    Union,
    Value,
    is_constant,
)

#: Operations whose nodes say which loss, metric or layer of which framework they are.
_NAMED = (declaring("name") - LEAVES) | SPELLINGS_OF_LOSSES


def operation(
    run: Interpreter, signature: Signature, bound: dict[str, Value], symbol: External | None, site: Site
) -> Value:
    """The node that a catalogued operation gives."""
    op = signature.op
    x = bound.get("x")
    if isinstance(x, Union) and not all(isinstance(v, Node) for v in x.values):
        return run.each(x, lambda v: operation(run, signature, {**bound, "x": v}, symbol, site))
    if op in ("identity", "reshape", "cast") and x is not None and not isinstance(x, (Node, List, tuple)):
        return x
    number = signature.attrs.get("value") if op == "const" else None
    if isinstance(number, float):  # keras.config.epsilon() is no tensor
        return number
    if op == "opaque" or (x is None and op not in LEAVES | {"one_hot"}):
        made = run.opaque_at(site, *bound.values())
        axes = _ranks(signature, bound) if op == "opaque" else {}
        return Node("opaque", (), {**made.attrs, **axes}, None) if axes else made
    of_two = symbol is None or symbol.framework == "torch"
    if op in _EXTREMES and of_two and _is_tensor(bound.get("axis")):  # torch.max(x, y): element by element
        return run.record(_EXTREMES[op], [to_node(x), to_node(bound["axis"])], {}, site)
    attrs = attributes(signature, bound)
    if op in _NAMED and symbol is not None:
        attrs["name"] = symbol.name
    return run.record(op, _tensors(op, bound), attrs, site, symbol.framework if symbol else "")


_EXTREMES = {"max": "maximum", "min": "minimum"}


def _is_tensor(value: Value) -> bool:
    """Whether a value is a tensor for certain; an axis may be a number that isn't known."""
    return isinstance(value, float) or (isinstance(value, Node) and through(value, TRANSPARENT).op != "opaque")


_PREDICTIONS = PROBABILITY_KINDS | LOG_KINDS | {Kind.LOGITS}


def logits_first(bound: dict[str, Value]) -> dict[str, Value]:
    """Before TensorFlow 1.0 the logits came first: where only the target looks like a prediction, swap them."""
    x, target = bound.get("x"), bound.get("target")
    if isinstance(x, Node) and isinstance(target, Node) and target.kind in _PREDICTIONS and x.kind not in _PREDICTIONS:
        return {**bound, "x": target, "target": x}
    return bound


#: Attributes of a call that its node carries.
_CARRIED = ATTRIBUTES - OF_THE_CALL


def _is_plain(value: Value) -> TypeGuard[Constant | tuple[Constant, ...]]:
    return all(map(is_constant, value)) if isinstance(value, tuple) else is_constant(value)


def attributes(signature: Signature, bound: dict[str, Value]) -> Attributes:
    """The attributes that a call gives its operation."""
    attrs: Attributes = {name: value for name, value in signature.attrs.items() if name not in OF_THE_CALL}
    for name, value in bound.items():
        if name not in _CARRIED:
            continue
        plain = value.items if isinstance(value, List) and value.exact else value
        attrs[name] = plain if _is_plain(plain) and type(plain) in TYPES[name] else UNREAD
    begin = bound.get("begin")
    if signature.op == "index" and isinstance(begin, Node):  # tf.slice(p, action, [1])
        attrs |= index_attributes(begin)
    attrs.update(_ranks(signature, bound))
    if signature.op == "affine":
        attrs.update(_axis_of_units(signature, bound))
    return attrs


def _axis_of_units(signature: Signature, bound: dict[str, Value]) -> Attributes:
    """The axis of a convolution's channels, where it is told: they come last, unless they are to come first."""
    told = bound.get("data_format")
    rank = signature.attrs.get("rank")
    if told is None or told in _CHANNELS_LAST:
        return {}
    return {"axis": 1 - rank if told in _CHANNELS_FIRST and isinstance(rank, int) else UNREAD}


_CHANNELS_LAST = ("channels_last", "NWC", "NHWC", "NDHWC")
_CHANNELS_FIRST = ("channels_first", "NCW", "NCHW", "NCDHW")


#: How many axes more than its argument a value has, by what its signature says.
_MORE_AXES: dict[object, int] = {"same": 0, "more": 1}


def _ranks(signature: Signature, bound: dict[str, Value]) -> Attributes:
    """How many axes a call leaves, as far as the way it moves them tells."""
    if "rank" in signature.attrs:
        return {"rank": signature.attrs["rank"]}
    if signature.op in ("reshape", "opaque") and bound.get("shape"):
        axes = _axes(bound["shape"])
        return {} if axes is None else {"rank": axes + int(signature.attrs.get("batch_axes", 0))}
    rank, least = _axes_of_all(bound.get("x"))
    if "start_dim" in bound:
        return _flattened(bound["start_dim"], bound.get("end_dim"), rank)
    more = _MORE_AXES.get(signature.attrs.get("axes"))
    if signature.op in ("mean", "sum") and not bound.get("keepdims"):
        reduced = _axes_of(bound.get("axis"))
        more = -len(reduced) or None
        least = max([least, *(a + 1 if a >= 0 else -a for a in reduced)])
    if more is None:
        return {}
    return {"rank": rank + more} if rank is not None else {"least_rank": least + more} if least + more > 0 else {}


def _axes_of_all(x: Value) -> tuple[int | None, int]:
    """How many axes a tensor has, and how many at the least; several tensors have as many, each of them."""
    if isinstance(x, Node):
        return x.rank, x.least_rank
    found = [_axes_of_all(item) for item in (x.items if isinstance(x, List) else x if isinstance(x, tuple) else ())]
    ranks = {rank for rank, _ in found}
    return ranks.pop() if len(ranks) == 1 else None, max((least for _, least in found), default=0)


def _flattened(first: Value, last: Value, rank: int | None) -> Attributes:
    """The axes from the first to the last are one then."""
    if type(first) is not int or type(last) is not int:
        return {}
    if first >= 0 and last == -1:
        return {"rank": first + 1}
    return {} if rank is None else {"rank": rank - (last % rank - first % rank)}


def _axes_of(axis: Value) -> list[int]:
    """The axes that a reduction is told; none where nobody knows."""
    axes = sequence(axis) if isinstance(axis, (tuple, List)) else (axis,)
    stated = [a for a in axes or () if type(a) is int]
    return stated if axes is not None and len(stated) == len(axes) else []


def _axes(shape: Value) -> int | None:
    """How many axes a new shape has: (-1, 784), [-1, 784], or ((-1, 784),) where it was given in one argument."""
    lengths = sequence(shape)
    if lengths is None or len(lengths) != 1:
        return None if lengths is None else len(lengths)
    return 1 if isinstance(lengths[0], int) else _axes(lengths[0])


def _tensors(op: str, bound: dict[str, Value]) -> list[Node]:
    found: list[Node] = []
    for name in ("x", "y", "target", "condition"):
        value = bound.get(name)
        if name == "x" and op in SEVERAL and isinstance(value, (List, tuple)):
            items = value.items if isinstance(value, List) else value
            found += [to_node(v) for v in items]
        elif value is not None:
            found.append(to_node(value))
    return found
