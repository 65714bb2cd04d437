"""``.keras`` files, read as data: of the archive only ``config.json``. No Keras, no weights, nothing deserialised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from finallayer.catalog import keras, lookup
from finallayer.kinds import Kind
from finallayer.models.archive import Archive
from finallayer.models.keras_config import CONFIG, Compiled, called, described, is_network, of_output
from finallayer.models.keras_graph import KerasGraph
from finallayer.models.keras_surgery import KerasSurgeon
from finallayer.models.model import Model, Output, output_of
from finallayer.models.refusals import NotRead
from finallayer.models.steps import Graph, Shape, Step, in_order


def read(path: str) -> Model:
    """The model in a ``.keras`` file. Raises :class:`NotRead`."""
    archive = Archive(path)
    if CONFIG not in archive.names:
        raise NotRead(f"no model: the archive has no {CONFIG}, as .keras has, and no models/model.json, as .pt2 has")
    config = archive.json_of(CONFIG)
    if not isinstance(config, dict) or not isinstance(config.get("config"), dict):
        raise NotRead(f"{CONFIG} describes no model: expected an object with class_name and config")
    if not is_network(config):
        name = str(config.get("class_name"))
        note = f"a class of its own ({name}): what it computes isn't in the file"
        return Model(path, "keras", (Output.unknown(note),), frozen=note)
    layers = KerasGraph(config)
    graph = Graph(path, in_order(layers.steps, ()), layers.facts(), "keras")
    graph.run(lambda step: lookup(step.op), layers.fitted)
    graph.ends_in(layers.outputs)
    compiled, names = Compiled.of(config.get("compile_config")), list(layers.outputs)
    outputs = tuple(_output(graph, layers, compiled, number, names) for number in range(len(names)))
    return Model(path, "keras", outputs, graph, KerasSurgeon(archive, config, graph))


def _output(graph: Graph, layers: KerasGraph, compiled: Compiled, number: int, names: Sequence[str]) -> Output:
    """One output, with what it was compiled for."""
    name = names[number]
    tensor = layers.outputs[name]
    output = output_of(graph, name, tensor, layers.shape(tensor), layers.dtype(tensor))
    loss = of_output(compiled.loss, name, number, names)
    known, metrics = described(loss, keras.LOSSES), list(compiled.metrics_of(name, number, names))
    agrees = None if known is None else _agreement(graph, tensor, known.name, known.config, name)
    for metric in metrics:
        _record_metric(graph, tensor, metric, output.shape)
    loss_told = None if loss is None else str(known or called(loss, "loss"))
    another = loss_told is not None and known is None and not loss_told.endswith("of its own")
    if output.kind == "logits" and (another or (known is not None and _is_of_any_numbers(known.name))):
        output = replace(output, kind="unknown")
    return replace(output, loss=loss_told, metrics=tuple(map(_metric_told, metrics)), agrees=agrees)


def _agreement(graph: Graph, tensor: str, name: str, config: Mapping[str, Any], output: str) -> bool | None:
    """Whether a loss takes what an output gives; None where it takes anything, or nobody knows what it is given."""
    signature = lookup(name)
    if signature is None:
        return None
    made = graph.compiled(Step(f"the loss of {output}", name, (tensor,), (), config), signature, tensor)
    if made is None or not made.args:
        return None
    takes, given = made.operation.takes, made.args[0].kind
    return None if Kind.UNKNOWN in (takes, given) else takes is given


def _is_of_any_numbers(loss: str) -> bool:
    """Whether a loss trains numbers that need be no logits: a regression's."""
    signature = lookup(loss)
    return signature is not None and signature.op in ("mse", "mae")


def _metric_told(metric: Any) -> str:
    return str(described(metric, keras.METRICS) or called(metric, "metric"))


def _record_metric(graph: Graph, tensor: str, metric: Any, shape: Shape | None) -> None:
    config: Mapping[str, Any] = {}
    by_units = keras.METRICS_BY_UNITS.get(metric) if isinstance(metric, str) else None
    if by_units is not None:
        if not shape or shape[-1] is None:
            return
        name = by_units[shape[-1] != 1]
    else:
        known = described(metric, keras.METRICS)
        name, config = ("", {}) if known is None else known
    signature = lookup(name)
    if signature is not None:
        step = Step(f"the metric {name.rpartition('.')[2]}", name, (tensor,), (), config)
        graph.compiled(step, signature, tensor)
