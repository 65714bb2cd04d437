"""From an operation of TensorFlow's, its inputs and attributes, to one of the recorder's and what it applies to."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from finallayer.catalog import tensorflow_graph as operations
from finallayer.catalog.applying import Applied, applied
from finallayer.expr import Node
from finallayer.kinds import Kind
from finallayer.live.tensorflow.holdings import Tensors, constant

#: Parameters of which the number is told, where it is known.
_NUMBERS = frozenset({"value", "low", "high"})
#: Operations whose result has another number of axes than what is known of their arguments says.
_RANKED = frozenset("reshape index gather concat sum mean max min matmul affine pool one_hot argmax topk".split())


class Fitting:
    """What the tables say of operations, with what only shapes and constants tell."""

    def __init__(self, tensors: Tensors) -> None:
        self._tensors = tensors
        self._summed: dict[int, tuple[Node, float]] = {}  # sums, and how many numbers go into each one of theirs

    def applied(self, name: str, inputs: list[Any], attrs: Mapping[str, Any], result: Any) -> Applied | None:
        """What an operation applies; None where that isn't known."""
        if name in operations.PICKS:
            return self._picked(name, inputs, attrs)
        signature = operations.signature(name)
        if signature is None:
            return None
        if name == "ConcatV2":
            inputs, attrs = inputs[:-1], {"axis": constant(inputs[-1])}
        several = any(p.rest for p in signature.params)
        names = [""] * len(inputs) if several else [p.canonical for p in signature.params]
        args = [self._argument(t, canonical) for t, canonical in zip(inputs, names, strict=False)]
        what = applied(signature, args, attrs, operations.function(name), self._tensors.of)
        return None if what is None else self._mean(what) or self._fitted(what, name, inputs, result)

    def made(self, made: Node, name: str, inputs: list[Any], result: Any) -> None:
        """An operation has become this node."""
        shapes = [t.shape for t in (*inputs[:1], result)]
        if name == "Sum" and all(s.is_fully_defined() for s in shapes):
            whole, left = (prod(s.as_list()) for s in shapes)
            self._summed[id(made)] = made, whole / max(left, 1)

    def _argument(self, tensor: Any, canonical: str) -> Any:
        """An input as its parameter is told: an axis, or a bound, as the number that it is."""
        if canonical == "axis":
            return constant(tensor)
        if canonical in _NUMBERS:
            node = self._tensors.node(tensor)
            return node.attrs["value"] if node.op == "const" else tensor
        return tensor

    def _mean(self, what: Applied) -> Applied | None:
        """A sum, divided by how many numbers it is the sum of."""
        if what.op != "div" or id(what.args[0]) not in self._summed or what.args[1].op != "const":
            return None
        total, size = self._summed[id(what.args[0])]
        return Applied("mean", list(total.args[:1]), dict(total.attrs)) if what.args[1].attrs["value"] == size else None

    def _fitted(self, what: Applied, name: str, inputs: list[Any], result: Any) -> Applied | None:
        op, nodes, attrs = what
        if name in operations.REDUCTIONS and not _along(attrs, inputs[0].shape.rank):
            return Applied("identity", nodes, {})
        if op == "matmul" and [n.kind is Kind.PARAMETER for n in nodes] == [False, True]:
            op, attrs = "affine", {"axis": -1, "units": result.shape[-1]}
        if op == "one_hot":
            units = constant(inputs[1])
            attrs["units"] = units if type(units) is int else None
        if name in ("Slice", "StridedSlice") and inputs[1].shape.num_elements() == 1:
            attrs["rows"] = True
        if op in _RANKED:
            attrs["rank"] = result.shape.rank
        return Applied(op, nodes, attrs)

    def _picked(self, name: str, inputs: list[Any], attrs: Mapping[str, Any]) -> Applied:
        """An entry of each row, where indices say which; else a part."""
        params, indices = inputs[:2]
        rank, nodes = params.shape.rank or 0, [self._tensors.node(t) for t in (params, indices)]
        if name == "GatherNd":
            single, axis = rank > 1 and indices.shape.rank == 2 and indices.shape[-1] == rank, rank - 1
        else:
            single, axis = bool(attrs.get("batch_dims")) and indices.shape.rank == rank - 1, constant(inputs[2])
        return Applied("gather", nodes, {"axis": axis, "rank": rank - 1}) if single else Applied("index", nodes[:1], {})


def _along(attrs: dict[str, Any], rank: int | None) -> bool:
    """Say of a reduction along which axis it goes; nothing where it goes along all. Whether it goes along any."""
    axes = attrs.pop("axis", None)
    axes = axes if isinstance(axes, tuple) else (axes,)
    if None not in axes and axes and (len(axes) != rank or len(axes) == 1):
        attrs["axis"] = axes[0] if len(axes) == 1 else axes
    return axes != ()
