"""ONNX' protobuf messages: parsed, and looked through for what no model needs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING

from finallayer import disk
from finallayer.models.needed import needed
from finallayer.models.parsing import MOST_MESSAGE, parsed_into
from finallayer.models.refusals import NotRead
from finallayer.models.steps import MOST_STEPS

if TYPE_CHECKING:
    import onnx


def parsed(path: str) -> onnx.ModelProto:
    """A file's content as a message. Raises :class:`NotRead`."""
    onnx = needed("onnx", "an ONNX file")
    return parsed_into(onnx.ModelProto(), disk.contents(path, MOST_MESSAGE), "no ONNX file, or a damaged one")


def checked(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The same message, if it is a model that names no weights outside its folder; else raises :class:`NotRead`."""
    if not proto.ir_version or not proto.HasField("graph") or not proto.graph.output:
        raise NotRead("no ONNX model: it has no graph with outputs")
    if len(proto.graph.node) > MOST_STEPS:
        raise NotRead(f"too many nodes ({len(proto.graph.node):,}; the most is {MOST_STEPS:,})")
    for tensor in tensors(proto.graph):
        place = _place(tensor)
        if place is not None and _leads_out(place):
            raise NotRead(f"the weights {tensor.name!r} lie outside its folder, in {place!r}")
    return proto


def tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Every tensor that a graph, and the graphs in it, store."""
    waiting = [graph]
    while waiting:
        inner = waiting.pop()
        yield from inner.initializer
        for sparse in inner.sparse_initializer:
            yield from (sparse.values, sparse.indices)
        for node in inner.node:
            for attribute in node.attribute:
                yield from (attribute.t, *attribute.tensors)
                waiting += [attribute.g, *attribute.graphs]


def _place(tensor: onnx.TensorProto) -> str | None:
    """The file that a tensor's numbers lie in; None where they lie in the model's own."""
    if tensor.data_location != tensor.EXTERNAL:
        return None
    return next((entry.value for entry in tensor.external_data if entry.key == "location"), "")


def _leads_out(place: str) -> bool:
    whole = PurePosixPath(place).is_absolute() or PureWindowsPath(place).drive or PureWindowsPath(place).root
    return bool(not place or whole or ".." in PureWindowsPath(place).parts or "\0" in place)


def has_weights_elsewhere(proto: onnx.ModelProto) -> bool:
    """Whether some of its weights lie in other files."""
    return any(_place(tensor) is not None for tensor in tensors(proto.graph))


def captured(node: onnx.NodeProto) -> Iterator[str]:
    """The tensors that the graphs in a node read from around it."""
    waiting = [g for a in node.attribute for g in (a.g, *a.graphs)]
    while waiting:
        graph = waiting.pop()
        for inner in graph.node:
            yield from filter(None, inner.input)
            waiting += [g for a in inner.attribute for g in (a.g, *a.graphs)]
        yield from (o.name for o in graph.output if o.name)
