"""The head of an exported program taken out, or put in, by its JSON alone; weights are copied byte for byte.

A node that makes probabilities becomes a ``clone`` of the logits.
"""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, BinaryIO

from finallayer.expr import Node
from finallayer.models.archive import Archive
from finallayer.models.exported_program import Program, format_of, user_output
from finallayer.models.model import Edited, Output, class_axis
from finallayer.models.refusals import NotDone
from finallayer.models.steps import Graph

#: torch aligns what it stores in an archive, so that it can be mapped into memory.
_ALIGNED = 64
_CLONE = "torch.ops.aten.clone.default"
#: By the dialect that the program is in: as it was traced, or of the core operators alone.
_SOFTMAX = {True: ("torch.ops.aten.softmax.int", ()), False: ("torch.ops.aten._softmax.default", ("half_to_float",))}
_SIGMOID = "torch.ops.aten.sigmoid.default"
#: What may stand between a head and an output, and takes logits as well.
_STAYING = tuple(f"torch.ops.aten.{name}." for name in "clone alias dropout to _to_copy detach contiguous".split())


@dataclass
class ExportedEdited:
    """A ``.pt2`` file's new content."""

    archive: Archive
    member: str
    content: dict[str, Any]

    def write(self, file: BinaryIO) -> None:
        """Write all of it."""
        self.archive.rewrite(file, self.member, json.dumps(self.content).encode(), _ALIGNED)

    def compare(self, path: str) -> None:
        """Raise :class:`NotDone` where a written file differs from the old one in anything but the graph."""
        written = Archive(path)
        self.archive.compare(written, self.member)
        if written.json_of(self.member) != self.content:
            raise NotDone(f"the new archive's {self.member} would differ: please report this")

    def task(self, _old: str, _new: str, _output: str) -> dict[str, Any] | str:
        """Why nothing runs it."""
        return "torch.export.load may unpickle what a file holds, so nothing was run"


class ExportedSurgeon:
    """Changes one ``.pt2`` file."""

    def __init__(self, archive: Archive, member: str, content: dict[str, Any], graph: Graph) -> None:
        self._archive, self._member, self._content, self._graph = archive, member, content, graph

    def strip(self, output: Output, head: Node) -> Edited:
        """Have an output give the logits that ``head`` is of. Raises :class:`NotDone`."""
        tensor, after = output.tensor, []
        while self._graph.of(tensor) is not head:
            step = self._graph.made_by[tensor]
            if not step.op.startswith(_STAYING):
                raise NotDone(f"{step.name!r} ({step.op}) stands between {output.name!r} and its {head.op}")
            after.append(tensor)
            tensor = step.inputs[0]
        chain = self._graph.between(tensor, head.args[0])
        logits = next((i for s in chain for i in s.inputs if self._graph.of(i) is head.args[0]), None)
        if logits is None:
            raise NotDone(f"no tensor of the file holds the logits of {output.name!r}")
        edit, program = self._begun()
        if format_of(program.values.get(logits)) != format_of(program.values.get(tensor)):
            raise NotDone(f"its {head.op} changes the format of the numbers, too")
        readers = [s for s in self._graph.readers(tensor) if not set(s.outputs) & set(after)]
        ends = [user_output(spec) for spec in program.outputs]
        behind = [s for t in after[1:] for s in self._graph.readers(t) if not set(s.outputs) & set(after)]
        if after and (readers or behind or {tensor, *after[1:]} & set(ends)):
            raise NotDone(f"more than {output.name!r} is made of what its {head.op} gives")
        arguments = [_argument("self", {"as_tensor": {"name": logits}})]
        if readers or ends.count(tensor) > 1:
            self._have_given(program, output, self._added(program, tensor, _CLONE, arguments))
        else:
            _becomes(_making(program, tensor), _CLONE, arguments)
        return edit

    def append(self, output: Output, head: str) -> Edited:
        """Have an output give the softmax or sigmoid of what it gives. Raises :class:`NotDone`."""
        if not (output.dtype or "float").startswith(("float", "bfloat")):
            raise NotDone(f"output {output.name!r} holds no floating-point numbers ({output.dtype})")
        edit, program = self._begun()
        target, arguments = _SIGMOID, [_argument("self", {"as_tensor": {"name": output.tensor}})]
        if head == "softmax":
            axis = -1 if output.expression is None else class_axis(output.expression)
            target, flags = _SOFTMAX["TRAINING" in (self._content.get("verifiers") or ())]
            arguments += [_argument("dim", {"as_int": axis}), *(_argument(name, {"as_bool": False}) for name in flags)]
        step = self._graph.made_by.get(output.tensor)
        ends = [user_output(spec) for spec in program.outputs]
        alone = not self._graph.readers(output.tensor) and ends.count(output.tensor) == 1
        if step is not None and step.op == _CLONE and alone:
            arguments[0] = _argument("self", {"as_tensor": {"name": step.inputs[0]}})
            _becomes(_making(program, output.tensor), target, arguments)
        else:
            self._have_given(program, output, self._added(program, output.tensor, target, arguments))
        return edit

    def _begun(self) -> tuple[ExportedEdited, Program]:
        content = deepcopy(self._content)
        return ExportedEdited(self._archive, self._member, content), Program.of(content)

    @staticmethod
    def _added(program: Program, like: str, target: str, arguments: list[dict[str, Any]]) -> str:
        """A new node at the end; gives its tensor, which is like another."""
        name, number = "head", 0
        while name in program.values:
            number += 1
            name = f"head_{number}"
        node: dict[str, Any] = {"target": target, "inputs": arguments, "outputs": [{"as_tensor": {"name": name}}]}
        program.nodes.append(node | {"metadata": {}, "is_hop_single_tensor_return": None, "name": name})
        program.values[name] = deepcopy(program.values[like])
        return name

    @staticmethod
    def _have_given(program: Program, output: Output, tensor: str) -> None:
        """Have the program give another tensor for an output."""
        number = list(program.named_outputs()).index(output.name)
        places = [i for i, spec in enumerate(program.outputs) if user_output(spec) is not None]
        program.outputs[places[number]] = {"user_output": {"arg": {"as_tensor": {"name": tensor}}}}
        program.graph["outputs"][places[number]] = {"as_tensor": {"name": tensor}}


def _argument(name: str, arg: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "arg": arg, "kind": 1}


def _making(program: Program, tensor: str) -> dict[str, Any]:
    made = {"as_tensor": {"name": tensor}}
    return next(node for node in program.nodes if made in (node.get("outputs") or ()))


def _becomes(node: dict[str, Any], target: str, arguments: list[dict[str, Any]]) -> None:
    node["target"], node["inputs"] = target, arguments
