"""SavedModels, TensorFlow's folders, read as data: the graph in ``saved_model.pb``, with its functions put in place."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

from finallayer import disk
from finallayer.catalog import Signature, tensorflow_graph
from finallayer.catalog.applying import Applied
from finallayer.models.model import Model, output_of
from finallayer.models.parsing import FEW, MOST_MESSAGE, as_written, parsed_into
from finallayer.models.refusals import NotRead
from finallayer.models.savedmodel_messages import saved_model
from finallayer.models.steps import HANDS_ON, MOST_STEPS, Facts, Graph, Shape, Step, in_order

#: The file in the folder that holds the graph.
GRAPH = "saved_model.pb"
#: Deeper than functions call each other.
_DEEPEST = 60
#: The signatures that are looked for, in this order; else the first.
_SIGNATURES = ("serving_default", "predict")
_CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
_VARIABLES = frozenset({"VarHandleOp", "VariableV2", "Variable"})
_DTYPES = {1: "float32", 2: "float64", 3: "int32", 4: "uint8", 6: "int8", 7: "string", 9: "int64", 10: "bool"}
_DTYPES |= {14: "bfloat16", 19: "float16"}
#: The format of a constant's bytes, and the field that holds its numbers where they aren't written as bytes.
_NUMBERS = {1: ("f", "float_val"), 2: ("d", "double_val"), 3: ("i", "int_val"), 9: ("q", "int64_val")}
_FROZEN = "a SavedModel is only read: change the model that it was exported from, and export it again"


def read(path: str) -> Model:
    """The model in a SavedModel's folder. Raises :class:`NotRead`."""
    message = saved_model()
    proto = parsed_into(message(), disk.contents(Path(path) / GRAPH, MOST_MESSAGE), f"{GRAPH} is damaged")
    for graph in proto.meta_graphs:
        signatures = {s.key: s.value for s in graph.signatures if s.value.outputs}
        name = next((s for s in (*_SIGNATURES, *signatures) if s in signatures), None)
        if name is not None:
            return _Reading(path, graph.graph, signatures[name]).model()
    raise NotRead(f"{GRAPH} has no signature that tells of outputs")


class _Reading:
    """One graph on its way to a model."""

    def __init__(self, path: str, graph: Any, signature: Any) -> None:
        self._path, self._graph, self._signature = path, graph, signature
        self._functions = {f.signature.name: f for f in graph.library.function}
        self._steps: list[Step] = []
        self._shapes: dict[str, Shape] = {}
        self._numbers: dict[str, Any] = {}
        self._variables: set[str] = set()

    def model(self) -> Model:
        """The model."""
        self._body(self._graph.node, "", 0)
        facts = Facts(self._shapes.get, self._numbers.get, self._variables.__contains__)
        graph = Graph(self._path, in_order(self._steps, ()), facts, "tensorflow")
        graph.run(_signature, _fitted)
        graph.ends_in({info.key: _whole(info.value.name) for info in self._signature.outputs})
        outputs = tuple(
            output_of(graph, info.key, _whole(info.value.name), _sizes(info.value.shape), _DTYPES.get(info.value.dtype))
            for info in self._signature.outputs
        )
        return Model(self._path, "savedmodel", outputs, graph, frozen=_FROZEN)

    def _body(self, nodes: Any, scope: str, deep: int) -> None:
        """The steps of a graph, or of a function that is called; ``scope``: what its tensors' names begin with."""
        if deep > _DEEPEST:
            raise NotRead(f"functions call each other more than {_DEEPEST} deep")
        if len(self._steps) + len(nodes) > MOST_STEPS:
            raise NotRead(f"too many nodes (the most is {MOST_STEPS:,})")
        given: dict[str, dict[str, None]] = {node.name: {} for node in nodes}
        for node in nodes:
            for name in node.input:
                made = given.get(name.lstrip("^").partition(":")[0])
                if made is not None and not name.startswith("^"):
                    made[f"{scope}{_whole(name)}"] = None
        for node in nodes:
            inputs = tuple(f"{scope}{_whole(name)}" for name in node.input if not name.startswith("^"))
            self._node(node, inputs, [*dict.fromkeys([f"{scope}{node.name}:0", *given[node.name]])], scope, deep)

    def _node(self, node: Any, inputs: tuple[str, ...], outputs: list[str], scope: str, deep: int) -> None:
        attrs = {a.key: a.value for a in node.attr}
        called = attrs["f"].func.name if "f" in attrs else ""
        if node.op in _CALLS and called in self._functions:
            self._call(self._functions[called], f"{scope}{node.name}", inputs, deep)
            return
        if node.op in _VARIABLES:
            self._variables.add(outputs[0])
        if node.op == "Const" and "value" in attrs:
            self._constant(outputs[0], attrs["value"].tensor)
        if node.op in ("Const", "Placeholder", *_VARIABLES):
            return
        op = HANDS_ON if node.op == "ReadVariableOp" else node.op
        self._steps.append(Step(_shown(f"{scope}{node.name}"), op, inputs, tuple(outputs), _plain(attrs)))
        shapes = attrs["_output_shapes"].list.shape if "_output_shapes" in attrs else ()
        for output, shape in zip(outputs, shapes, strict=False):
            self._shape_of(output, shape)

    def _call(self, function: Any, name: str, inputs: tuple[str, ...], deep: int) -> None:
        """The steps of a function that a node calls, between what it is given and what the node gives."""
        scope = f"{name}/"
        for argument, tensor in zip(function.signature.inputs, inputs, strict=False):
            self._steps.append(Step("", HANDS_ON, (tensor,), (f"{scope}{argument.name}:0",), {}))
        self._body(function.node, scope, deep + 1)
        returned = {r.key: r.value for r in function.ret}
        for number, argument in enumerate(function.signature.outputs):
            tensor = f"{scope}{_whole(returned.get(argument.name, ''))}"
            self._steps.append(Step("", HANDS_ON, (tensor,), (f"{name}:{number}",), {}))

    def _constant(self, name: str, tensor: Any) -> None:
        sizes = tuple(d.size for d in tensor.shape.dim)
        self._shapes[name] = sizes
        self._variables.add(name)
        if tensor.dtype not in _NUMBERS or not 0 < prod(sizes) <= FEW:
            return
        code, where = _NUMBERS[tensor.dtype]
        size = struct.calcsize(code)
        content = tensor.content[: len(tensor.content) // size * size]
        found = [v for (v,) in struct.iter_unpack(f"<{code}", content)] if content else list(getattr(tensor, where))
        if len(found) == 1:
            found *= prod(sizes)  # one number stands for all
        values = tuple(map(as_written, found))
        if len(values) == prod(sizes):
            self._numbers[name] = values if sizes else values[0]

    def _shape_of(self, tensor: str, shape: Any) -> None:
        sizes = _sizes(shape)
        if sizes is not None:
            self._shapes.setdefault(tensor, sizes)


def _sizes(shape: Any) -> Shape | None:
    return None if shape.unknown_rank else tuple(d.size if d.size >= 0 else None for d in shape.dim)


def _whole(name: str) -> str:
    """A tensor's name with its number: ``node:0`` of ``node``, and of ``node:output:0`` in a function."""
    node, _, rest = name.partition(":")
    place, _, number = rest.rpartition(":")
    if not rest:
        return f"{node}:0"
    return f"{node}:{number}" if number == "0" or place in ("", "output") else f"{node}:{place}:{number}"


def _shown(name: str) -> str:
    """A node's name without those of the calls that lead to it."""
    parts = name.split("/")
    calls = [i for i, part in enumerate(parts) if "PartitionedCall" in part]
    return "/".join(parts[calls[-1] + 1 :]) if calls and calls[-1] + 1 < len(parts) else name


def _plain(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes that are numbers, truths or texts."""
    found: dict[str, Any] = {}
    for name, value in attrs.items():
        for kind in ("i", "f", "b"):
            if getattr(value, kind):
                found[name] = getattr(value, kind)
        if value.s:
            found[name] = value.s.decode(errors="replace")
    return found


def _signature(step: Step) -> Signature | None:
    return tensorflow_graph.signature(step.op)


def _fitted(step: Step, what: Applied) -> Applied:
    """A convolution, or a product with weights, is a layer."""
    if what.op == "matmul" and step.op.startswith(("Conv", "DepthwiseConv")):
        axis = 1 if str(step.attrs.get("data_format", "")).startswith("NC") else -1
        return Applied("affine", what.args, {"axis": axis})
    return what
