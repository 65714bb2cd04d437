"""The layers of a Keras model, as its configuration has them, as steps of a graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from finallayer.catalog import lookup
from finallayer.catalog.applying import Applied, constructed
from finallayer.expr import OPERATIONS
from finallayer.models.keras_config import CONFIG, activation_of, class_of, is_network, settings_of, tensors_in
from finallayer.models.refusals import NotRead
from finallayer.models.steps import HANDS_ON, MOST_STEPS, Facts, Shape, Step

#: Deeper than anybody nests a model in a model.
_DEEPEST = 50
#: Operations that give as many numbers as they are given, each in its place.
_KEEPING = frozenset("softmax log_softmax sigmoid log_sigmoid activation dropout norm identity".split())


class KerasGraph:
    """The steps of a network, the layers that they are of, and its outputs: names -> tensors.

    A tensor is ``layer:call:number``, in a model within a model behind that one's. Raises :class:`NotRead`.
    """

    def __init__(self, network: Mapping[str, Any]) -> None:
        self.steps: list[Step] = []
        self.layers: dict[str, dict[str, Any]] = {}  # the layer that made a tensor last, as the file has it
        self.dtypes: dict[str, str] = {}
        self._shapes: dict[str, Shape] = {}
        self._numbers: dict[str, Any] = {}
        self._handed: dict[str, str] = {}  # tensors that are others
        self.outputs = self._network(network, "", "", None, 0)

    def facts(self) -> Facts:
        """What is known of the tensors besides."""
        return Facts(self.shape, self._numbers.get, lambda _: False)

    def shape(self, tensor: str) -> Shape | None:
        """The sizes of a tensor's axes; None where they aren't known."""
        seen: set[str] = set()
        while tensor not in self._shapes and tensor in self._handed and tensor not in seen:
            seen.add(tensor)
            tensor = self._handed[tensor]
        return self._shapes.get(tensor)

    def dtype(self, tensor: str) -> str | None:
        """In which format a tensor's numbers are; None where nobody says."""
        settings = settings_of(self.layers.get(tensor, {}))
        policy = None if "output_mode" in settings else settings.get("dtype")  # which may be whole numbers
        if isinstance(policy, dict):
            policy = settings_of(policy).get("name")
        if not isinstance(policy, str):
            return self.dtypes.get(tensor)
        return policy.removeprefix("mixed_")

    def _hand_on(self, tensor: str, made: str) -> None:
        self._handed[made] = tensor
        self.steps.append(Step("", HANDS_ON, (tensor,), (made,), {}))

    def _network(
        self, network: Mapping[str, Any], scope: str, called: str, given: Sequence[str] | None, deep: int
    ) -> dict[str, str]:
        """The steps of a network; gives its outputs, by their names, as tensors.

        ``scope``: what its tensors' names begin with; ``called``: its layers' names. ``given``: what it is called with.
        """
        if deep > _DEEPEST:
            raise NotRead(f"models are nested more than {_DEEPEST} deep")
        config = network["config"]
        layers = config.get("layers")
        if not isinstance(layers, list) or not all(isinstance(one, dict) for one in layers):
            raise NotRead(f"{CONFIG}: the layers of {config.get('name')!r} are no list of objects")
        if network["class_name"] == "Sequential":
            return self._sequential(layers, scope, called, given, deep)
        return self._functional(config, layers, scope, called, given, deep)

    def _sequential(
        self, layers: Sequence[dict[str, Any]], scope: str, called: str, given: Sequence[str] | None, deep: int
    ) -> dict[str, str]:
        tensor, name = f"{scope}input", "output"
        if given:
            self._hand_on(given[0], tensor)
        for number, layer in enumerate(layers):
            if class_of(layer) == "keras.layers.InputLayer":
                self._shape_of(tensor, settings_of(layer).get("batch_shape"))
                continue
            name = name_of(layer)
            made = f"{scope}{number}:{name}"
            built = layer.get("build_config")
            self._shape_of(tensor, built.get("input_shape") if isinstance(built, dict) else None)
            self._layer(layer, f"{called}{name}", [tensor], made, deep)
            tensor = made
        return {name: tensor}

    def _functional(
        self,
        config: Mapping[str, Any],
        layers: Sequence[dict[str, Any]],
        scope: str,
        called: str,
        given: Sequence[str] | None,
        deep: int,
    ) -> dict[str, str]:
        inputs = [t for t, *_ in tensors_in(config.get("input_layers"))]
        for inner, outer in zip(inputs, given or (), strict=False):
            self._hand_on(outer, f"{scope}{inner}")
        for layer in layers:
            name, calls = name_of(layer), layer.get("inbound_nodes")
            if class_of(layer) == "keras.layers.InputLayer":
                self._shape_of(f"{scope}{name}:0:0", settings_of(layer).get("batch_shape"))
                continue
            first = 1 if is_network(layer) and layer["class_name"] != "Sequential" else 0  # its own making counts
            for number, call in enumerate(calls if isinstance(calls, list) else (), first):
                found = list(tensors_in(call))
                for tensor, shape, dtype in found:
                    self._shape_of(f"{scope}{tensor}", shape)
                    if isinstance(dtype, str):
                        self.dtypes[f"{scope}{tensor}"] = dtype
                operands = self._operands(call, scope) if "keras.ops" in class_of(layer) else []
                operands = operands or [f"{scope}{t}" for t, *_ in found]
                self._layer(layer, f"{called}{name}", operands, f"{scope}{name}:{number}:0", deep)
        return self._named(config.get("output_layers"), scope)

    def _operands(self, call: Any, scope: str) -> list[str]:
        """What an operation is called with, numbers included."""
        args = call.get("args") if isinstance(call, dict) else None
        operands = []
        for arg in args if isinstance(args, list) else ():
            found = list(tensors_in(arg))
            if found:
                operands += [f"{scope}{t}" for t, *_ in found]
            elif isinstance(arg, (bool, int, float)):
                name = f"{scope}number {arg!r}"
                self._numbers[name] = arg
                operands.append(name)
        return operands

    @staticmethod
    def _named(outputs: Any, scope: str) -> dict[str, str]:
        if isinstance(outputs, dict):
            named = {str(k): [t for t, *_ in tensors_in(v)] for k, v in outputs.items()}
            return {k: f"{scope}{found[0]}" for k, found in named.items() if found}
        found = [t for t, *_ in tensors_in(outputs)]
        names = [t.rpartition(":")[0].rpartition(":")[0] for t in found]
        whole = [name if names.count(name) == 1 else f"{name}:{t}" for name, t in zip(names, found, strict=True)]
        return {name: f"{scope}{t}" for name, t in zip(whole, found, strict=True)}

    def _layer(self, layer: dict[str, Any], name: str, given: Sequence[str], made: str, deep: int) -> None:
        """The steps of one layer that is called once."""
        if len(self.steps) > MOST_STEPS:
            raise NotRead(f"too many layers (the most is {MOST_STEPS:,})")
        self.layers[made] = layer
        settings, op = settings_of(layer), class_of(layer)
        if op == "keras.layers.TimeDistributed" and isinstance(settings.get("layer"), dict):
            self._layer(settings["layer"], name, given, made, deep)
            self._handed.pop(made, None)  # a model in it doesn't know of the steps
            return
        if is_network(layer):
            outputs = self._network(layer, f"{made}/", f"{name}/", given, deep + 1)
            by_name = isinstance(settings.get("output_layers"), dict)  # in the order of their keys
            for number, tensor in enumerate(outputs[key] for key in (sorted(outputs) if by_name else outputs)):
                whole = made if number == 0 else f"{made.rpartition(':')[0]}:{number}"
                self._hand_on(tensor, whole)
            return
        activation = activation_of(settings) if may_have_activation(layer) else None
        told = settings.get("activation")
        attrs = settings_of(told) if isinstance(told, dict) else {}
        if op == "keras.layers.Activation":
            self.steps.append(Step(name, activation or HANDS_ON, tuple(given), (made,), attrs))
            return
        before = f"{made} before its activation" if activation else made
        self.steps.append(Step(name, op, tuple(given), (before,), settings))
        if activation:
            self.steps.append(Step(name, activation, (before,), (made,), attrs))

    def _shape_of(self, tensor: str, shape: Any) -> None:
        if isinstance(shape, (list, tuple)) and shape and all(n is None or type(n) is int for n in shape):
            self._shapes.setdefault(tensor, tuple(shape))

    def fitted(self, step: Step, what: Applied) -> Applied:
        """What the layer's configuration tells of an operation; its shape comes to be known."""
        signature = lookup(step.op)
        attrs = dict(what.attrs)
        if signature is not None and signature.call is not None:
            attrs |= constructed(signature, step.attrs)
        if step.attrs.get("data_format") == "channels_first" and what.op == "affine":
            attrs["axis"] = 1
        shape = self.shape(step.inputs[0])
        if shape is not None and what.op in ("affine", "softmax"):
            attrs["rank"] = len(shape)
        self._infer(step, what.op, attrs, shape)
        return what._replace(attrs={k: v for k, v in attrs.items() if k in OPERATIONS[what.op].declares})

    def _infer(self, step: Step, op: str, attrs: Mapping[str, Any], shape: Shape | None) -> None:
        """The shape that a step gives, where that takes no arithmetic of windows."""
        made = step.outputs[0]
        if shape is None or made in self._shapes:
            return
        name = step.op.rpartition(".")[2]
        if op in _KEEPING:
            self._shapes[made] = shape
        elif name == "Dense" and type(attrs.get("units")) is int:
            self._shapes[made] = (*shape[:-1], attrs["units"])
        elif name == "Flatten":
            sizes = shape[1:]
            whole = prod(s for s in sizes if isinstance(s, int))
            self._shapes[made] = (*shape[:1], whole if all(isinstance(s, int) for s in sizes) else None)
        elif name.startswith("Global") and not step.attrs.get("keepdims"):
            self._shapes[made] = (shape[0], shape[1 if step.attrs.get("data_format") == "channels_first" else -1])
        elif name == "Reshape" and isinstance(step.attrs.get("target_shape"), list):
            sizes = tuple(s if type(s) is int and s >= 0 else None for s in step.attrs["target_shape"])
            self._shapes[made] = (shape[0], *sizes)


def may_have_activation(layer: Mapping[str, Any]) -> bool:
    """Whether a layer applies its activation to what it gives: a recurrent one applies it to what it goes on with."""
    signature = lookup(class_of(layer))
    return signature is not None and (signature.op == "affine" or class_of(layer) == "keras.layers.Activation")


def name_of(layer: Mapping[str, Any]) -> str:
    """What a layer is called. Raises :class:`NotRead`."""
    name = layer.get("name") or settings_of(layer).get("name")
    if not isinstance(name, str):
        raise NotRead(f"{CONFIG}: a layer has no name")
    return name
