"""Which node of the loss expression each tensor of TensorFlow's holds: by its number, which no other tensor has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.eager import record as tapes
from tensorflow.python.framework import tensor_util

from finallayer.catalog import tensorflow_graph as operations
from finallayer.expr import Node, make
from finallayer.live.trained import data, frozen


class Tensors:
    """The tensors that are known, and what each of them holds."""

    def __init__(self) -> None:
        self._entries: dict[int, tuple[Node, bool]] = {}  # what it holds, and whether a tape could see it made
        self.sizes: set[int] = set()  # those that only say how many there are of something
        self.frozen: set[int] = set()  # the handles of variables that no tape watches by itself
        self._leaves = 0

    def holds(self, tensor: Any) -> bool:
        """Whether it is known what a tensor holds."""
        return tensor._id in self._entries

    def named(self, tensor: Any, name: str) -> None:
        """A tensor is an argument of the loss's, by this name."""
        if isinstance(tensor, tf.Variable):
            return
        self.bind(tensor, data(name, tensor.shape.rank))

    def bind(self, tensor: Any, node: Node) -> None:
        """From here on a tensor holds this."""
        self._entries[tensor._id] = node, tapes.could_possibly_record()

    def node(self, tensor: Any) -> Node:
        """What a tensor, or a variable, holds."""
        tensor = getattr(tensor, "handle", tensor)
        if tensor._id not in self._entries:
            self.bind(tensor, self._leaf(tensor))
        node, was_taped = self._entries[tensor._id]
        if node.args and not was_taped and tapes.could_possibly_record():
            node = make("stop_gradient", node)
            self.bind(tensor, node)
        return node

    def of(self, value: Any) -> Node | None:
        """What a value holds; None for what is no tensor."""
        return self.node(value) if hasattr(value, "_id") else None

    def _leaf(self, tensor: Any) -> Node:
        """What a tensor is that was there before, or comes into a graph from outside."""
        graph = None if is_eager(tensor) else tensor.graph
        for outer, inner in getattr(graph, "captures", ()):
            if inner is tensor:
                return self.node(outer)
        self._leaves += 1
        if tensor.dtype == tf.resource:
            parameter = make("parameter", name=f"parameter {self._leaves}")
            return frozen(parameter) if tensor._id in self.frozen else parameter
        number = as_number(tensor)
        if number is not None:
            return make("const", value=number)
        return data(f"data {self._leaves}", tensor.shape.rank)

    def bind_size(self, name: str, inputs: Sequence[Any], outputs: Sequence[Any]) -> bool:
        """Bind the result of what is reckoned with sizes and numbers alone, if this is."""
        asked = inputs[:1] if name in operations.PARTS else inputs
        if not inputs or not all(map(self._is_size, asked)):
            return False
        for tensor in outputs:
            self.sizes.add(tensor._id)
            self.bind(tensor, self._leaf(tensor))
        return True

    def _is_size(self, tensor: Any) -> bool:
        if tensor._id in self.sizes:
            return True
        known = self._entries.get(tensor._id)
        return as_number(tensor) is not None if known is None else known[0].op == "const"


def is_eager(tensor: Any) -> bool:
    """Whether a tensor's numbers are at hand."""
    return hasattr(tensor, "numpy")


def constant(tensor: Any) -> Any:
    """The numbers of a tensor that is the same in each run of its graph: one, or a tuple; None where it isn't."""
    value = tensor.numpy() if is_eager(tensor) else tensor_util.constant_value(tensor)
    if value is None:
        return None
    return value.item() if np.ndim(value) == 0 else tuple(np.ravel(value).tolist())


def as_number(tensor: Any) -> bool | int | float | None:
    """The one number that a tensor is; None where it is more, or not known."""
    if tensor.shape.rank != 0 or not (tensor.dtype.is_floating or tensor.dtype.is_integer or tensor.dtype.is_bool):
        return None
    value = constant(tensor)
    if type(value) is float and tensor.dtype != tf.float64:
        return float(f"{value:.7g}")  # as the program has written it: 1e-08, not what 32 bits make of it
    return value if isinstance(value, (bool, int, float)) else None
