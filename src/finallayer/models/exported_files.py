"""``.pt2`` files, torch.export's archives, read as data: of the archive only the graph's JSON.

``torch.export.load`` may unpickle what it finds in one, so it is never called, and nothing here runs one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from finallayer.catalog import Signature
from finallayer.catalog.applying import Applied
from finallayer.catalog.aten import operator
from finallayer.models.archive import Archive
from finallayer.models.exported_program import GRAPH, Program, format_of, plain, sizes_of, stored_in, tensors_of
from finallayer.models.exported_surgery import ExportedSurgeon
from finallayer.models.model import Model, output_of
from finallayer.models.refusals import NotRead
from finallayer.models.steps import Facts, Graph, Step, Tensor, in_order


def read(path: str) -> Model:
    """The model in a ``.pt2`` file. Raises :class:`NotRead`."""
    archive = Archive(path)
    members = [name for name in archive.names if name.endswith(f"/{GRAPH}") or name == GRAPH]
    if len(members) != 1:
        raise NotRead(f"no .pt2 file: expected one member {GRAPH}, found {len(members)}")
    content = archive.json_of(members[0])
    program = Program.of(content)
    stored = {name for spec in program.inputs for name in stored_in(spec)}
    facts = Facts(lambda t: sizes_of(program.values.get(t)), lambda _: None, stored.__contains__)
    graph = Graph(path, in_order(list(_steps(program)), stored), facts, "torch")
    graph.run(_signature, lambda step, what: _fitted(facts, step, what))
    graph.ends_in(program.named_outputs())
    outputs = tuple(
        output_of(graph, name, tensor, sizes_of(program.values.get(tensor)), format_of(program.values.get(tensor)))
        for name, tensor in program.named_outputs().items()
    )
    return Model(path, "pt2", outputs, graph, ExportedSurgeon(archive, members[0], content, graph))


def _steps(program: Program) -> Iterator[Step]:
    for number, node in enumerate(program.nodes):
        inputs: list[str] = []
        attrs: dict[str, Any] = {}
        given = node.get("inputs")
        for one in given if isinstance(given, list) else ():
            name, arg = (one.get("name"), one.get("arg")) if isinstance(one, dict) else (None, None)
            found = tensors_of(arg)
            inputs += found
            tensors = tuple(map(Tensor, found))
            single = isinstance(arg, dict) and "as_tensor" in arg
            attrs[str(name)] = (tensors[0] if single else tensors) if tensors else plain(arg)
        made = node.get("outputs")
        outputs = tuple(t for one in (made if isinstance(made, list) else ()) for t in tensors_of(one))
        name = node.get("name") or (outputs[0] if outputs else str(number))
        yield Step(str(name), str(node.get("target")), tuple(inputs), outputs, attrs, named=True)


def _signature(step: Step) -> Signature | None:
    library, _, name = step.op.removeprefix("torch.ops.").partition(".")
    return operator(name.partition(".")[0]) if library == "aten" else None


def _fitted(facts: Facts, step: Step, what: Applied) -> Applied:
    """What shapes tell: axes count from the last, a layer's weights say how many units it has."""
    op, attrs = what.op, dict(what.attrs)
    rank = facts.rank(step.outputs[0]) if step.outputs else None
    axis = attrs.get("axis")
    if op in ("softmax", "log_softmax") and rank and type(axis) is int and 0 <= axis < rank:
        attrs["axis"] = axis - rank
    weights = step.attrs.get("weight", step.attrs.get("mat2"))
    if op == "affine" and isinstance(weights, Tensor):
        units = facts.size(weights.name, 0 if "weight" in step.attrs else -1)
        attrs |= {"units": units, "axis": 1 if "conv" in step.op else -1}
        attrs |= {} if rank is None else {"rank": rank}
    return what._replace(attrs=attrs)
