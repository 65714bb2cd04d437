"""The head of an ONNX graph taken out, or put in: every other node, and every weight, stays as it was.

A node that makes probabilities becomes an ``Identity`` of the logits that gives the same tensor, so that no name
changes that anybody binds by; runtimes drop it. What nobody reads any more goes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from finallayer.catalog.onnx import OF_CLASSIFIERS
from finallayer.expr import Node
from finallayer.models.model import Edited, Output, class_axis
from finallayer.models.onnx_messages import captured, parsed
from finallayer.models.refusals import NotDone
from finallayer.models.steps import Graph, Step

if TYPE_CHECKING:
    import onnx

_OPERATORS = {"softmax": "Softmax", "sigmoid": "Sigmoid"}
#: What may stand between a head and an output, and be left there: it takes logits as well.
_STAYING = frozenset({"Identity", "Cast", "Dropout", "ai.onnx.ml.ZipMap"})
#: What stands there for the sake of probabilities alone: numbers in eight bits, from 0 to 1; and a sum made 1.
_FOR_PROBABILITIES = frozenset({"QuantizeLinear", "DequantizeLinear", "ai.onnx.ml.Normalizer"})
#: The domains of operators that onnxruntime brings along.
_KNOWN_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
_FLOATS = frozenset({"float16", "bfloat16", "float32", "double", "float64"})
#: The versions of ONNX's operators from which on a softmax goes along one axis, and one may be counted from the last.
ALONG_ONE_AXIS = 13
NEGATIVE_AXES = 11


class _Way(NamedTuple):
    """How an output is made of its logits."""

    logits: str  # the tensor
    head: list[Step]  # the steps from there to the probabilities
    after: list[Step]  # the steps from there to the output

    @property
    def probabilities(self) -> str:
        """The tensor that the head gives."""
        return self.head[-1].outputs[0]


@dataclass
class OnnxEdited:
    """An ONNX file's new content, and the nodes that are its head, in the one that has it."""

    old: onnx.ModelProto
    new: onnx.ModelProto
    touched: set[str] = field(default_factory=set)  # the tensors whose makers have changed, come or gone
    rewired: dict[str, dict[str, str]] = field(default_factory=dict)  # the first output of a node -> inputs, renamed
    strips: bool = True  # whether it is the old file that has the head
    logits: str = ""  # what the tail reads
    tail: tuple[str, ...] = ()  # the tensors that make the probabilities of the logits, in the file that has the head
    head: str = ""  # the operator of a head that is only a part of its node

    def write(self, file: BinaryIO) -> None:
        """Write all of it."""
        file.write(self.new.SerializeToString(deterministic=True))

    def task(self, old: str, new: str, output: str) -> dict[str, Any] | str:
        """What onnxruntime is to do with both files to compare an output, or why it shouldn't."""
        nodes = (self.old if self.strips else self.new).graph.node
        foreign = {node.domain for node in nodes} - _KNOWN_DOMAINS
        if foreign:
            return f"it has operators of {', '.join(sorted(foreign))}"
        return {
            "runtime": "onnx",
            "with_head": old if self.strips else new,
            "without": new if self.strips else old,
            "output": output,
            "strips": self.strips,
            "tail": self.tail,
            "logits": self.logits,
            "head": self.head,
            "dtype": self._type_of(self.logits),
            "quantised": any("QuantizeLinear" in node.op_type for node in nodes if set(node.output) & set(self.tail)),
        }

    def _type_of(self, tensor: str) -> int:
        graph = (self.old if self.strips else self.new).graph
        known = {v.name: v.type.tensor_type.elem_type for v in (*graph.value_info, *graph.input, *graph.output)}
        return int(known.get(tensor, 0))

    def compare(self, path: str) -> None:
        """Raise :class:`NotDone` where a written file differs from the old one in anything but what was changed."""
        written = parsed(path)
        for name in {f.name for m in (self.old, written) for f, _ in m.ListFields()} - {"graph"}:
            if getattr(self.old, name) != getattr(written, name):
                raise NotDone(f"the new file's {name} would differ: please report this")
        fields = {f.name for m in (self.old, written) for f, _ in m.graph.ListFields()} - {"node", "value_info"}
        for name in fields:
            if getattr(self.old.graph, name) != getattr(written.graph, name):
                raise NotDone(f"the new graph's {name} would differ: please report this")
        if _untouched(self.old, self.touched, self.rewired) != _untouched(written, self.touched, {}):
            raise NotDone("other nodes of the new graph would differ: please report this")


def _untouched(model: onnx.ModelProto, touched: set[str], rewired: dict[str, dict[str, str]]) -> list[bytes]:
    """The nodes that an edit doesn't touch, as bytes, with its names for tensors."""
    found = []
    for node in model.graph.node:
        if not touched.intersection(node.output):
            names = rewired.get(node.output[0]) if node.output else None
            if names is not None:
                old, node = node, type(node)()
                node.CopyFrom(old)
                node.input[:] = [names.get(name, name) for name in old.input]
            found.append(node.SerializeToString(deterministic=True))
    return found


class OnnxSurgeon:
    """Changes one ONNX file."""

    def __init__(self, proto: onnx.ModelProto, graph: Graph, opset: int) -> None:
        self._proto, self._graph, self._opset = proto, graph, opset

    def strip(self, output: Output, head: Node) -> Edited:
        """Have an output give the logits that ``head`` is of. Raises :class:`NotDone`."""
        _must_hold_floats(output)
        way = self._way(output, head)
        if any("QLinear" in step.op for step in way.head):
            raise NotDone(
                f"{way.head[-1].name!r} computes its {way.head[-1].op} in eight bits: strip it before quantising"
            )
        edit, nodes = self._begun()
        edit.logits = way.logits
        edit.tail = tuple(s.outputs[0] for s in (*way.head, *way.after))
        if way.head[-1].op.startswith(OF_CLASSIFIERS):
            if [s for s in self._graph.readers(way.probabilities) if s not in way.after[:1]]:
                raise NotDone(f"more than {output.name!r} is made of {way.probabilities!r}, which its node gives")
            classifier = nodes.making(way.probabilities)
            _set(classifier, "post_transform", "NONE")
            edit.touched.update(classifier.output)
            edit.head = _OPERATORS[way.head[-1].op.removeprefix(OF_CLASSIFIERS)]
        else:
            self._without_head(edit, nodes, way)
        for step in way.after:
            if step.op not in _STAYING:
                _become_identity(nodes.making(step.outputs[0]), step.inputs[0])
                edit.touched.add(step.outputs[0])
        return edit

    def append(self, output: Output, head: str) -> Edited:
        """Have an output give the softmax or sigmoid of what it gives. Raises :class:`NotDone`."""
        _must_hold_floats(output)
        if head == "softmax" and output.shape == ():
            raise NotDone(f"output {output.name!r} is one number, and has no axis for classes")
        tensor = output.tensor
        shown = [s for s in (self._graph.made_by.get(tensor),) if s is not None and s.op == "ai.onnx.ml.ZipMap"]
        for step in shown:
            tensor = step.inputs[0]
        if tensor not in self._graph.made_by:
            raise NotDone(f"output {output.name!r} is an input, or stored in the file: no node makes it")
        if not shown and not _holds_a_tensor(self._proto, output):
            raise NotDone(f"output {output.name!r} is no tensor")
        if shown and tensor in self._graph.ends:
            raise NotDone(f"another output gives the tensor {tensor!r} itself")
        edit, nodes = self._begun()
        spare = self._spare(tensor, shown)
        if spare is None:
            made = self._put_in(edit, nodes, tensor, head)
        else:
            made = nodes.making(spare)
            made.op_type = _OPERATORS[head]
        if head == "softmax":
            _set(made, "axis", self._class_axis(tensor if spare is None else made.input[0]))
        edit.logits = made.input[0]
        edit.touched.add(made.output[0])
        edit.strips, edit.tail = False, (made.output[0], *self._after(made.output[0], output.tensor))
        return edit

    def _begun(self) -> tuple[OnnxEdited, _Nodes]:
        new = type(self._proto)()
        new.CopyFrom(self._proto)
        return OnnxEdited(self._proto, new), _Nodes(new.graph)

    def _way(self, output: Output, head: Node) -> _Way:
        """How an output is made of its logits. Raises :class:`NotDone` where that isn't simple enough."""
        after: list[Step] = []
        tensor = output.tensor
        while self._graph.of(tensor) is not head:
            after.insert(0, self._graph.made_by[tensor])
            tensor = after[0].inputs[0]
        for made in [t for step in after for t in step.inputs[:1]]:
            others = [s for s in self._graph.readers(made) if s not in after]
            if made in self._graph.ends or (others and made != after[0].inputs[0]):
                raise NotDone(f"more than {output.name!r} is made of {made!r}, which stands behind its {head.op}")
        for step in after:
            if step.op not in _STAYING | _FOR_PROBABILITIES:
                raise NotDone(f"{step.name!r} ({step.op}) stands between {output.name!r} and its {head.op}")
        chain = self._graph.between(tensor, head.args[0])
        logits = [i for step in chain for i in step.inputs if i and self._graph.of(i) is head.args[0]]
        if not logits:
            raise NotDone(f"no tensor of the file holds the logits of {output.name!r}")
        return _Way(logits[0], chain, after)

    def _without_head(self, edit: OnnxEdited, nodes: _Nodes, way: _Way) -> None:
        """The last node of a head becomes the identity; its other readers go on reading what it gave."""
        tensor, last = way.probabilities, nodes.making(way.probabilities)
        edit.touched.add(tensor)
        others = [s for s in self._graph.readers(tensor) if s not in way.after[:1]]
        if others:
            fresh = nodes.fresh(f"{tensor}_probabilities")
            last.output[list(last.output).index(tensor)] = fresh
            edit.touched.add(fresh)
            for step in others:
                self._rewire(edit, nodes, step, {tensor: fresh})
            identity = nodes.insert_after(last, nodes.fresh_name(f"{last.name}_logits"), tensor)
            _become_identity(identity, way.logits)
            return
        _become_identity(last, way.logits)
        for step in reversed(way.head[:-1]):
            if not any(nodes.read(o) for o in step.outputs):
                nodes.remove(step.outputs[0])
                edit.touched.update(step.outputs)

    def _put_in(self, edit: OnnxEdited, nodes: _Nodes, tensor: str, head: str) -> onnx.NodeProto:
        """A new node that gives the tensor, of what gave it before under another name."""
        fresh, maker = nodes.fresh(f"{tensor}_logits"), nodes.making(tensor)
        maker.output[list(maker.output).index(tensor)] = fresh
        edit.touched.update((*maker.output, tensor))
        for step in self._graph.readers(tensor):
            if step.op != "ai.onnx.ml.ZipMap":
                self._rewire(edit, nodes, step, {tensor: fresh})
        nodes.tell_alike(fresh, tensor)
        made = nodes.insert_after(maker, nodes.fresh_name(f"{tensor}_{head}"), tensor)
        made.op_type = _OPERATORS[head]
        made.input.append(fresh)
        return made

    def _spare(self, tensor: str, readers: list[Step]) -> str | None:
        """The tensor of an identity before an output that nothing but ``readers`` reads."""
        while tensor in self._graph.made_by:
            step = self._graph.made_by[tensor]
            others = [s for s in self._graph.readers(tensor) if s not in readers]
            if others or step.op not in _STAYING or (readers and tensor in self._graph.ends):
                return None
            if step.op == "Identity":
                return tensor
            readers, tensor = [step], step.inputs[0]
        return None

    def _after(self, tensor: str, output: str) -> list[str]:
        """The tensors that are made between one and an output."""
        found: list[str] = []
        while output != tensor:
            found.insert(0, output)
            output = self._graph.made_by[output].inputs[0]
        return found

    @staticmethod
    def _rewire(edit: OnnxEdited, nodes: _Nodes, step: Step, names: dict[str, str]) -> None:
        node = nodes.making(step.outputs[0])
        if not names.keys() & set(node.input):
            raise NotDone(f"a graph within {step.name!r} reads the tensor {next(iter(names))!r}")
        node.input[:] = [names.get(name, name) for name in node.input]
        edit.rewired[node.output[0]] = names

    def _class_axis(self, tensor: str) -> int:
        """The axis of the classes, as this file's version of ONNX may have it. Raises :class:`NotDone`."""
        node = self._graph.of(tensor)
        axis, rank = class_axis(node), node.rank
        if axis >= 0 and self._opset < ALONG_ONE_AXIS:
            raise NotDone(f"operators of version {self._opset} have no softmax along axis {axis} alone")
        if self._opset >= NEGATIVE_AXES or axis >= 0:
            return axis
        if rank is None:
            raise NotDone(f"how many axes {tensor!r} has isn't known, as operators of version {self._opset} are told")
        return rank - 1


class _Nodes:
    """The nodes of a graph that is being changed, by the tensors that they make."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._graph = graph
        self._names = {t for node in graph.node for t in (*node.input, *node.output)}
        self._names |= {v.name for v in (*graph.input, *graph.initializer)}

    def making(self, tensor: str) -> onnx.NodeProto:
        """The node that makes a tensor."""
        return next(node for node in self._graph.node if tensor in node.output)

    def read(self, tensor: str) -> bool:
        """Whether anything reads a tensor, or it is an output."""
        inside = any(tensor in _all_inputs(node) for node in self._graph.node)
        return inside or any(o.name == tensor for o in self._graph.output)

    def remove(self, tensor: str) -> None:
        """Take out the node that makes a tensor."""
        self._graph.node.remove(self.making(tensor))

    def insert_after(self, before: onnx.NodeProto, name: str, output: str) -> onnx.NodeProto:
        """A new node, which reads nothing yet."""
        number = next(i for i, node in enumerate(self._graph.node) if node is before or node == before)
        made = type(before)(name=name, output=[output])
        self._graph.node.insert(number + 1, made)
        return self._graph.node[number + 1]

    def tell_alike(self, fresh: str, tensor: str) -> None:
        """Say of a new tensor what the file says of another: its shape and type."""
        told = [v for v in (*self._graph.output, *self._graph.value_info) if v.name == tensor]
        for value in told[:1]:
            self._graph.value_info.add().CopyFrom(value)
            self._graph.value_info[-1].name = fresh

    def fresh(self, name: str) -> str:
        """A name that no tensor has."""
        while name in self._names:
            name += "_"
        self._names.add(name)
        return name

    def fresh_name(self, name: str) -> str:
        """A name that no node has."""
        taken = {node.name for node in self._graph.node}
        while name in taken:
            name += "_"
        return name


def _holds_a_tensor(proto: onnx.ModelProto, output: Output) -> bool:
    kinds = [value.type.WhichOneof("value") for value in proto.graph.output if value.name == output.tensor]
    return set(kinds) <= {None, "tensor_type"}


def _must_hold_floats(output: Output) -> None:
    if output.dtype is not None and output.dtype not in _FLOATS:
        raise NotDone(f"output {output.name!r} holds no floating-point numbers ({output.dtype})")


def _all_inputs(node: onnx.NodeProto) -> Iterator[str]:
    yield from node.input
    yield from captured(node)


def _become_identity(node: onnx.NodeProto, tensor: str) -> None:
    node.op_type, node.domain = "Identity", ""
    node.input[:] = [tensor]
    del node.attribute[:]


def _set(node: onnx.NodeProto, name: str, value: int | str) -> None:
    kept = [a for a in node.attribute if a.name != name]
    del node.attribute[:]
    node.attribute.extend(kept)
    attribute = node.attribute.add(name=name)
    if isinstance(value, int):
        attribute.type, attribute.i = attribute.INT, value
    else:
        attribute.type, attribute.s = attribute.STRING, value.encode()
