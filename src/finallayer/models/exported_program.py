"""How torch.export writes a program down: the nodes, tensors and outputs in an archive's JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from finallayer.models.refusals import NotRead
from finallayer.models.steps import Shape

#: How the member's name ends that holds the graph.
GRAPH = "models/model.json"
#: torch's numbers for the formats of numbers, as its schema has them.
_FORMATS = {1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 6: "float16", 7: "float32", 8: "float64"}
_FORMATS |= {12: "bool", 13: "bfloat16"}
_STORED = ("parameter", "buffer", "tensor_constant")
_PLAIN = ("as_int", "as_float", "as_bool", "as_string", "as_ints", "as_floats", "as_bools")
_SYMBOL = re.compile(r"Symbol\('(\w+)'")


class Program(NamedTuple):
    """The parts of an exported program that are read; each is what the file has, to be changed there."""

    graph: dict[str, Any]
    nodes: list[dict[str, Any]]
    values: dict[str, Any]  # what is known of each tensor
    inputs: list[Any]
    outputs: list[Any]
    calls: list[Any]

    @classmethod
    def of(cls, content: Any) -> Program:
        """Raises :class:`NotRead` where something else stands in the file."""
        try:
            module = content["graph_module"]
            graph, specs = module["graph"], module["signature"]
            found = cls(
                graph,
                graph["nodes"],
                graph["tensor_values"],
                specs["input_specs"],
                specs["output_specs"],
                module["module_call_graph"],
            )
            as_expected = [type(part) for part in found] == [dict, list, dict, list, list, list]
            if as_expected and all(isinstance(node, dict) for node in found.nodes):
                return found
        except (KeyError, TypeError):
            pass
        raise NotRead(f"{GRAPH} holds no exported program (expected graph_module, graph, nodes)")

    def named_outputs(self) -> dict[str, str]:
        """The outputs by name, as tensors: by its key where the program gives a dictionary, else by its place."""
        found = [t for spec in self.outputs if (t := user_output(spec)) is not None]
        keys = self._keys()
        if len(keys) != len(found):
            keys = ["output"] if len(found) == 1 else [f"output {number}" for number in range(len(found))]
        return dict(zip(keys, found, strict=True))

    def _keys(self) -> list[str]:
        """The keys of the dictionary that the program gives."""
        try:
            spec = json.loads(self.calls[0]["signature"]["out_spec"])[1]
            if spec["type"] == "builtins.dict" and all(not child["children_spec"] for child in spec["children_spec"]):
                return [str(key) for key in json.loads(spec["context"])]
        except (ValueError, KeyError, TypeError, IndexError, RecursionError):
            pass
        return []


def user_output(spec: Any) -> str | None:
    """The tensor that the program gives to whoever calls it; None for what it changes, or gives no tensor."""
    arg = spec.get("user_output", {}) if isinstance(spec, dict) else {}
    return next(iter(tensors_of(arg.get("arg") if isinstance(arg, dict) else None)), None)


def stored_in(spec: Any) -> Iterator[str]:
    """The tensor that an input is, where it is stored in the file."""
    for kind in _STORED:
        given = spec.get(kind) if isinstance(spec, dict) else None
        arg = given.get("arg") if isinstance(given, dict) else None
        if isinstance(arg, dict) and isinstance(arg.get("name"), str):
            yield arg["name"]


def tensors_of(arg: Any) -> list[str]:
    """The tensors that an argument names."""
    if not isinstance(arg, dict):
        return []
    one, several = arg.get("as_tensor"), arg.get("as_tensors")
    found = [one] if isinstance(one, dict) else several if isinstance(several, list) else []
    return [t["name"] for t in found if isinstance(t, dict) and isinstance(t.get("name"), str)]


def plain(arg: Any) -> Any:
    """The number, text or list that an argument is; None for anything else."""
    given = next((arg[k] for k in _PLAIN if k in arg), None) if isinstance(arg, dict) else None
    return tuple(given) if isinstance(given, list) else given


def sizes_of(value: Any) -> Shape | None:
    """The sizes of a tensor's axes, where the file says so."""
    sizes = value.get("sizes") if isinstance(value, dict) else None
    return tuple(map(_size, sizes)) if isinstance(sizes, list) else None


def _size(size: Any) -> int | str | None:
    if not isinstance(size, dict):
        return None
    if type(size.get("as_int")) is int:
        return int(size["as_int"])
    expression = size.get("as_expr")
    text = str(expression.get("expr_str")) if isinstance(expression, dict) else ""
    symbol = _SYMBOL.match(text)
    return symbol.group(1) if symbol else None


def format_of(value: Any) -> str | None:
    """The format of a tensor's numbers, where the file says so."""
    number = value.get("dtype") if isinstance(value, dict) else None
    return _FORMATS.get(number) if type(number) is int else None
