"""ONNX files, read as data: the protobuf is parsed, nothing of it runs, and weights in other files stay."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from math import isinf
from typing import TYPE_CHECKING, Any

from finallayer.catalog import Signature, parse
from finallayer.catalog.applying import Applied
from finallayer.catalog.onnx import CLASSIFIERS, OF_CLASSIFIERS, POST_TRANSFORMS, signature
from finallayer.kinds import PROBABILITY_KINDS
from finallayer.models.model import Model, Output, head_of, output_of
from finallayer.models.needed import needed
from finallayer.models.onnx_messages import captured, checked, has_weights_elsewhere, parsed
from finallayer.models.onnx_surgery import ALONG_ONE_AXIS, OnnxSurgeon
from finallayer.models.parsing import FEW, as_written
from finallayer.models.steps import Facts, Graph, Shape, Step, in_order

if TYPE_CHECKING:
    import onnx

#: What is called otherwise elsewhere.
_DTYPES = {"FLOAT": "float32", "DOUBLE": "float64"}
_OWN_DOMAINS = ("", "ai.onnx")
#: What operators that train, and only they, are called.
_TRAINING = frozenset({"SoftmaxCrossEntropyLoss", "NegativeLogLikelihoodLoss"})
_QUANTISED = frozenset({"QuantizeLinear", "com.microsoft.QuantizeLinear", "com.microsoft.QLinearSoftmax"})


def read(path: str) -> Model:
    """The model in an ONNX file.

    Raises :class:`NotRead` where it is none, is damaged, or names weights outside its folder; OSError where the file
    can't be read.
    """
    return _Reading(path, checked(parsed(path))).model()


class _Reading:
    """One file's graph, on its way to a model."""

    def __init__(self, path: str, proto: onnx.ModelProto) -> None:
        self.path, self.proto = path, proto
        self.stored = {t.name: t for t in proto.graph.initializer}
        self.constants = {
            node.output[0]: node for node in proto.graph.node if node.op_type == "Constant" and len(node.output) == 1
        }
        self.opset = next((o.version for o in proto.opset_import if o.domain in _OWN_DOMAINS), 1)
        self.types = {v.name: v.type for v in (*proto.graph.value_info, *proto.graph.input, *proto.graph.output)}
        self.own = {(f.domain, f.name) for f in proto.functions}
        self.facts = Facts(self.shape, self.number, lambda name: name in self.stored or name in self.constants)

    def model(self) -> Model:
        nodes = [node for node in self.proto.graph.node if node.output and node.output[0] not in self.constants]
        given = [*self.stored, *self.constants, *(i.name for i in self.proto.graph.input)]
        steps = in_order([step for number, node in enumerate(nodes) for step in self._steps(number, node)], given)
        training = any(step.op in _TRAINING for step in steps)
        graph = Graph(self.path, steps, self.facts, "onnx", training)
        graph.run(self._signature, self._fitted)
        graph.ends_in({value.name: value.name for value in self.proto.graph.output})
        outputs = tuple(self._output(graph, value) for value in self.proto.graph.output)
        bound = "its weights lie beside it, in other files" if has_weights_elsewhere(self.proto) else ""
        return Model(self.path, "onnx", outputs, graph, OnnxSurgeon(self.proto, graph, self.opset), bound=bound)

    def _steps(self, number: int, node: onnx.NodeProto) -> Iterator[Step]:
        """The steps that a node is: one, but for a classifier as scikit-learn's exporter writes it."""
        domain = "" if node.domain in _OWN_DOMAINS else f"{node.domain}."
        op, name = f"{domain}{node.op_type}", node.name or f"{node.op_type} {number}"
        if (node.domain, node.op_type) in self.own:
            op = f"function {op}"  # the file's own, whatever it is called
        attrs = {a.name: _attribute(a) for a in node.attribute}
        inputs = (*node.input, *captured(node))
        if op in CLASSIFIERS and len(node.output) == 2:
            scores = f"{name}/scores of the classes"
            head = POST_TRANSFORMS.get(str(attrs.get("post_transform", "NONE")), "unknown")
            if len(attrs.get("intercepts") or ()) == 1:
                head = "unknown"  # of two classes, one has scores: what is made of the other's is the runtime's own
            yield Step(name, "Gemm", inputs, (scores,), {})
            yield Step(name, f"{OF_CLASSIFIERS}{head}", (scores,), (node.output[1],), {})
            yield Step(name, f"{OF_CLASSIFIERS}label", (scores,), (node.output[0],), {})
        else:
            yield Step(name, op, inputs, tuple(node.output), attrs)

    def _signature(self, step: Step) -> Signature | None:
        if step.op == "ai.onnx.ml.Normalizer":
            return parse("identity(x)" if step.attrs.get("norm") == "L1" else "norm(x)")
        return _OF_CLASSIFIERS.get(step.op) or signature(step.op)

    def _fitted(self, step: Step, what: Applied) -> Applied:
        op, nodes, attrs = what
        if step.op == "ai.onnx.ml.Normalizer" and nodes[0].kind not in PROBABILITY_KINDS:
            return Applied("norm", nodes, {})
        if step.op in ("Softmax", "LogSoftmax", "com.microsoft.QLinearSoftmax"):
            return what._replace(attrs=self._axis(step, attrs))
        if step.op in ("Gemm", "com.microsoft.FusedGemm"):
            weights = step.inputs[1] if len(step.inputs) > 1 else ""
            of_two_axes = self.facts.rank(weights) == 2
            units = self.facts.size(weights, 0 if step.attrs.get("transB") else -1) if of_two_axes else None
            return what._replace(attrs={"axis": -1, "units": units, "rank": 2})
        if step.op.endswith("Conv") and len(step.inputs) > 1:
            rank = self.facts.rank(step.inputs[1])
            attrs = {"axis": 1, "units": self.facts.size(step.inputs[1], 0)}
            return what._replace(attrs=attrs | ({"rank": rank} if rank else {}))
        if op in ("maximum", "minimum"):
            bounds = [n for n in nodes if n.op == "const" and isinf(n.attrs["value"])]
            others = [n for n in nodes if n not in bounds]
            return Applied("identity", others, {}) if bounds and len(others) == 1 else what  # as JAX writes a maximum
        if op == "clip":
            attrs = {k: step.attrs.get({"low": "min", "high": "max"}[k], attrs.get(k)) for k in ("low", "high")}
            return what._replace(attrs=attrs)
        return what

    def _axis(self, step: Step, attrs: dict[str, Any]) -> dict[str, Any]:
        """The axis that a softmax goes along, counted from the last; none where it goes along several."""
        shape = self.shape(step.inputs[0]) or self.shape(step.outputs[0])
        axis = step.attrs.get("axis", -1 if self.opset >= ALONG_ONE_AXIS else 1)
        kept = {k: v for k, v in attrs.items() if k != "axis"}
        if not isinstance(axis, int):
            return kept
        if shape is None:
            return kept | ({"axis": axis} if self.opset >= ALONG_ONE_AXIS or axis == -1 else {})
        if not -len(shape) <= axis < len(shape):
            return kept
        axis %= len(shape)
        if self.opset < ALONG_ONE_AXIS and any(size != 1 for size in shape[axis + 1 :]):
            return kept  # it takes all axes from this one on for one
        return kept | {"axis": axis - len(shape)}

    def _output(self, graph: Graph, value: onnx.ValueInfoProto) -> Output:
        output = output_of(graph, value.name, value.name, self.shape(value.name), self._dtype(value.name))
        return replace(output, notes=tuple(self._lost(graph, value.name)))

    def _lost(self, graph: Graph, tensor: str) -> Iterator[str]:
        """What is lost of probabilities in few bits."""
        head = head_of(graph.of(tensor))
        if head is None or head.kind not in PROBABILITY_KINDS:
            return
        steps = graph.between(tensor, *head.args)
        quantised = next((s for s in steps if s.op in _QUANTISED), None)
        if quantised is not None:
            scale = self.number(quantised.inputs[3 if "QLinear" in quantised.op else 1])
            if isinstance(scale, float):
                yield f"its probabilities are multiples of {scale:.3g}: smaller ones are 0, or all the same"
        elif self._dtype(tensor) == "float16":
            yield "its probabilities below 6e-8 are 0, and below 6e-5 they lose digits (float16)"

    def shape(self, name: str) -> Shape | None:
        """The sizes of a tensor's axes, where the file says so."""
        if name in self.stored:
            return tuple(self.stored[name].dims)
        if name in self.constants:
            value = next((a for a in self.constants[name].attribute), None)
            return tuple(value.t.dims) if value is not None and value.HasField("t") else ()
        kind = self.types.get(name)
        if kind is None or not kind.HasField("tensor_type") or not kind.tensor_type.HasField("shape"):
            return None
        return tuple(
            d.dim_value if d.HasField("dim_value") else d.dim_param or None for d in kind.tensor_type.shape.dim
        )

    def number(self, name: str) -> Any:
        """The number that a stored tensor is, or a tuple of a few; None where it is none."""
        if name in self.constants:
            attribute = next(iter(self.constants[name].attribute), None)
            value = None if attribute is None else _attribute(attribute)
            return _numbers(value) if attribute is not None and attribute.HasField("t") else value
        return _numbers(self.stored.get(name))

    def _dtype(self, name: str) -> str | None:
        onnx = needed("onnx", "an ONNX file")
        kind = self.types.get(name)
        if kind is None or not kind.HasField("tensor_type"):
            return None
        number = kind.tensor_type.elem_type
        if number not in onnx.TensorProto.DataType.values():
            return None
        name = onnx.TensorProto.DataType.Name(number)
        return _DTYPES.get(name, name.lower())


_OF_CLASSIFIERS = {
    f"{OF_CLASSIFIERS}softmax": parse("softmax(x) | axis=-1"),
    f"{OF_CLASSIFIERS}sigmoid": parse("sigmoid(x)"),
    f"{OF_CLASSIFIERS}identity": parse("identity(x)"),
    f"{OF_CLASSIFIERS}label": parse("argmax(x) | axis=-1"),
}


def _attribute(attribute: onnx.AttributeProto) -> Any:
    """An attribute's value: a number, a text, a tuple of them, or a tensor."""
    kind = attribute.type
    if kind == attribute.FLOAT:
        return float(attribute.f)
    if kind == attribute.INT:
        return int(attribute.i)
    if kind == attribute.STRING:
        return attribute.s.decode(errors="replace")
    if kind == attribute.TENSOR:
        return attribute.t
    if kind in (attribute.FLOATS, attribute.INTS):
        return tuple(attribute.floats or attribute.ints)
    return None


def _numbers(tensor: onnx.TensorProto | None) -> Any:
    from math import prod

    if tensor is None or tensor.data_location == tensor.EXTERNAL or not 0 < prod(tensor.dims) <= FEW:
        return None
    from onnx import numpy_helper

    with suppress(Exception):  # whatever numbers of a strange type, or of another length than it says, may bring about
        values = numpy_helper.to_array(tensor)
        if values.dtype.kind not in "fiub":
            return None
        found = tuple(map(as_written, values.reshape(-1).tolist()))
        return found if tensor.dims else found[0]
    return None
