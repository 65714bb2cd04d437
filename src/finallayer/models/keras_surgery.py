"""The head of a ``.keras`` model taken out, or put in, by its ``config.json`` alone.

The weights and the optimizer's state are copied byte for byte, and what the model was compiled with changes along, so
that ``fit`` goes on.
"""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, BinaryIO

from finallayer.expr import Node
from finallayer.models import keras_recompiled
from finallayer.models.archive import Archive
from finallayer.models.keras_config import CONFIG, class_of, is_network, not_only_numbers
from finallayer.models.keras_graph import KerasGraph, may_have_activation, name_of
from finallayer.models.model import HEADS, Edited, Output
from finallayer.models.refusals import NotDone
from finallayer.models.steps import HANDS_ON, Graph, Step

_HEADS = {kind: head for head, kind in HEADS.items()}
#: What may stand between a head and an output, and takes logits as well.
_STAYING = frozenset({HANDS_ON, "keras.layers.Dropout", "keras.layers.Identity"})
#: Layers and operations that are a head, and nothing else.
_ALONE = frozenset({"keras.layers.Softmax", "keras.ops.softmax", "keras.ops.sigmoid", "keras.ops.log_softmax"})


@dataclass
class KerasEdited:
    """A ``.keras`` file's new content."""

    archive: Archive
    config: dict[str, Any]
    head: str = ""
    axis: int | None = None  # of a softmax
    strips: bool = True  # whether it is the old file that has the head
    number: int = 0  # of the output

    def task(self, old: str, new: str, output: str) -> dict[str, Any] | str:
        """What Keras is to do with both files to compare an output, or why it shouldn't."""
        foreign = next(not_only_numbers(self.config), None)
        if foreign is not None:
            return f"{foreign} may run code or read files, so nothing was run"
        return {
            "runtime": "keras",
            "with_head": old if self.strips else new,
            "without": new if self.strips else old,
            "output": output,
            "strips": self.strips,
            "number": self.number,
            "head": self.head,
            "how": {} if self.axis is None else {"axis": self.axis},
        }

    def write(self, file: BinaryIO) -> None:
        """Write all of it."""
        self.archive.rewrite(file, CONFIG, json.dumps(self.config).encode())

    def compare(self, path: str) -> None:
        """Raise :class:`NotDone` where a written file differs from the old one in anything but the configuration."""
        written = Archive(path)
        self.archive.compare(written, CONFIG)
        if written.json_of(CONFIG) != self.config:
            raise NotDone(f"the new archive's {CONFIG} would differ: please report this")


class KerasSurgeon:
    """Changes one ``.keras`` file."""

    def __init__(self, archive: Archive, config: dict[str, Any], graph: Graph) -> None:
        self._archive, self._config, self._graph = archive, config, graph

    def strip(self, output: Output, head: Node) -> Edited:
        """Have an output give the logits that ``head`` is of. Raises :class:`NotDone`."""
        tensor, step = output.tensor, self._graph.made_by[output.tensor]
        while self._graph.of(tensor) is not head or step.op == HANDS_ON:
            if step.op not in _STAYING:
                raise NotDone(f"{step.name!r} ({step.op}) stands between {output.name!r} and its head")
            self._must_be_alone(tensor, output)
            tensor = step.inputs[0]
            step = self._graph.made_by[tensor]
        self._must_be_alone(tensor, output)
        if self._graph.of(step.inputs[0]) is not head.args[0]:
            raise NotDone(f"{output.name!r} is made of its logits by several layers: {', '.join(output.made_by)}")
        edit, layers = self._begun(output)
        edit.head, edit.axis = head.op, head.attrs.get("axis")
        layer = layers.layers[tensor]
        self._must_be_called_once(layers, layer, step)
        _must_be_free(layer)
        if len(step.inputs) > 1:
            raise NotDone(f"{step.name!r} is given a mask, which goes with its {head.op}")
        if class_of(layer) in _ALONE:
            _become_activation(layer, layers.dtypes.get(step.inputs[0]))
        elif layer["config"].get("activation") is None:
            raise NotDone(f"{step.name!r} ({step.op}) can't be changed")
        layer["config"]["activation"] = "linear"
        self._recompile(edit, output, _HEADS.get(head.kind, ""), on_logits=True)
        return edit

    def append(self, output: Output, head: str) -> Edited:
        """Have an output give the softmax or sigmoid of what it gives. Raises :class:`NotDone`."""
        edit, layers = self._begun(output)
        edit.head, edit.strips = head, False
        tensor = output.tensor
        while (step := self._graph.made_by.get(tensor)) is not None and step.op == HANDS_ON and not step.name:
            tensor = step.inputs[0]
        layer = layers.layers.get(tensor)
        if step is None or layer is None:
            raise NotDone(f"output {output.name!r} is an input, or one of several results of a layer")
        if head == "softmax" and step.attrs.get("data_format") == "channels_first":
            raise NotDone(f"{step.name!r} has its channels first, and Keras' softmax goes along the last axis")
        calls = [t for t, other in layers.layers.items() if other is layer]
        free = may_have_activation(layer) and layer["config"].get("activation", "missing") in (None, "linear")
        alone = len(calls) == 1 and not self._readers(tensor, output)
        if free and alone:
            _must_be_free(layer)
            layer["config"]["activation"] = head
        else:
            self._put_in(edit.config, output, head, layers.dtypes.get(tensor))
        self._recompile(edit, output, head, on_logits=False)
        return edit

    def _begun(self, output: Output) -> tuple[KerasEdited, KerasGraph]:
        config = deepcopy(self._config)
        layers = KerasGraph(config)
        return KerasEdited(self._archive, config, number=list(layers.outputs).index(output.name)), layers

    def _readers(self, tensor: str, output: Output) -> list[Step]:
        """Who reads a tensor besides an output, which may have it handed on."""
        way, at = {output.tensor}, output.tensor
        while at != tensor and at in self._graph.made_by:
            at = self._graph.made_by[at].inputs[0]
            way.add(at)
        return [s for s in self._graph.readers(tensor) if not way.intersection(s.outputs)]

    def _must_be_alone(self, tensor: str, output: Output) -> None:
        others = self._readers(tensor, output)
        if others:
            name = next((s.name for s in others if s.name), "another layer")
            raise NotDone(f"{name!r} reads what {output.name!r} gives, too")
        if tensor != output.tensor and tensor in self._graph.ends:
            raise NotDone(f"another output gives what {output.name!r} gives")

    @staticmethod
    def _must_be_called_once(layers: KerasGraph, layer: dict[str, Any], step: Step) -> None:
        if sum(other is layer for other in layers.layers.values()) > 1:
            raise NotDone(f"{step.name!r} is called several times, and would change everywhere")

    @staticmethod
    def _put_in(config: dict[str, Any], output: Output, head: str, dtype: str | None) -> None:
        """A new layer at the end, which takes the name that the output goes by; the layer before takes another."""
        if not is_network(config):
            raise NotDone("the model is no Sequential or functional one")
        inner = config["config"]
        names = {layer.get("name") or layer["config"].get("name") for layer in inner["layers"]}
        if config["class_name"] == "Sequential":
            before = inner["layers"][-1]
        else:
            history = output.tensor.rsplit(":", 2)
            before = next(layer for layer in inner["layers"] if layer["name"] == history[0])
        old = before.get("name") or before["config"]["name"]
        new = f"{old}_logits"
        while new in names:
            new += "_"
        made: dict[str, Any] = {
            "module": "keras.layers",
            "class_name": "Activation",
            "config": {"name": old, "trainable": True, "dtype": dtype or "float32", "activation": head},
            "registered_name": None,
        }
        if config["class_name"] != "Sequential":
            _renamed(inner, old, new)
            place: list[Any] = [new, int(history[1]), int(history[2])]
            tensor = {"shape": list(output.shape or ()), "dtype": dtype or "float32", "keras_history": place}
            called = {"args": [{"class_name": "__keras_tensor__", "config": tensor}], "kwargs": {}}
            made |= {"name": old, "inbound_nodes": [called]}
            inner["output_layers"] = _replaced(inner["output_layers"], place, [old, 0, 0])
            before["name"] = new
        before["config"]["name"] = new
        inner["layers"].append(made)

    def _recompile(self, edit: KerasEdited, output: Output, head: str, on_logits: bool) -> None:
        compiled = edit.config.get("compile_config")
        if isinstance(compiled, dict):
            names = list(self._graph.ends.values())
            keras_recompiled.recompile(compiled, output, names, head, on_logits)


def _must_be_free(layer: dict[str, Any]) -> None:
    """Raise :class:`NotDone` where training would be by other numbers: what a layer gives is a part of the loss."""
    if layer["config"].get("activity_regularizer") is not None:
        raise NotDone(f"the loss has a term for what {name_of(layer)!r} gives (activity_regularizer)")


def _become_activation(layer: dict[str, Any], dtype: str | None) -> None:
    """A layer or operation that is a head becomes an activation of the same name, at the same place."""
    kept = {k: v for k, v in layer["config"].items() if k in ("name", "trainable", "dtype")}
    if "dtype" not in kept and dtype is not None:
        kept["dtype"] = dtype
    layer.update(module="keras.layers", class_name="Activation", config=kept, registered_name=None)
    for call in layer.get("inbound_nodes") or ():
        if isinstance(call, dict):
            call["kwargs"] = {}
            call["args"] = call.get("args", [])[:1]


def _renamed(inner: dict[str, Any], old: str, new: str) -> None:
    """Give a layer another name wherever a call, or an output, speaks of it."""
    for layer in inner["layers"]:
        if "inbound_nodes" in layer:
            layer["inbound_nodes"] = _mapped(layer["inbound_nodes"], old, new)
    inner["output_layers"] = _mapped(inner["output_layers"], old, new)


def _mapped(structure: Any, old: str, new: str) -> Any:
    if isinstance(structure, dict):
        return {k: _mapped(v, old, new) for k, v in structure.items()}
    if isinstance(structure, list):
        if len(structure) >= 3 and structure[0] == old and all(type(n) is int for n in structure[1:3]):
            return [new, *structure[1:]]
        return [_mapped(v, old, new) for v in structure]
    return structure


def _replaced(structure: Any, place: list[Any], other: list[Any]) -> Any:
    if structure == place:
        return other
    if isinstance(structure, dict):
        return {k: _replaced(v, place, other) for k, v in structure.items()}
    return [_replaced(v, place, other) for v in structure] if isinstance(structure, list) else structure
