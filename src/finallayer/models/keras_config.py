"""How Keras writes a model down: classes, activations, tensors, losses and metrics in ``config.json``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeGuard

from finallayer.catalog import keras, lookup

#: The member of a ``.keras`` archive that describes the model.
CONFIG = "config.json"
#: Deeper than any argument of a layer is nested.
_DEEPEST = 20
#: How Keras writes values down that aren't JSON's.
_VALUES = frozenset("__keras_tensor__ __slice__ __tuple__ __numpy__ __tensor__ __ellipsis__ __complex__".split())
#: Classes of Keras' own that only compute, beside those of the catalogue.
_ARITHMETIC = frozenset(
    "Sequential Functional Model DTypePolicy DTypePolicyMap FloatDTypePolicy QuantizedDTypePolicy "
    "QuantizedFloat8DTypePolicy InputSpec Add Average Maximum Minimum Multiply Subtract Dot Embedding "
    "ReversibleEmbedding RNN LSTM GRU SimpleRNN LSTMCell GRUCell SimpleRNNCell StackedRNNCells Bidirectional "
    "ConvLSTM1D ConvLSTM2D ConvLSTM3D DepthwiseConv1D MultiHeadAttention GroupQueryAttention Attention "
    "AdditiveAttention Discretization CategoryEncoding CenterCrop AdaptiveAveragePooling1D AdaptiveAveragePooling2D "
    "AdaptiveAveragePooling3D AdaptiveMaxPooling1D AdaptiveMaxPooling2D AdaptiveMaxPooling3D".split()
)
#: Modules of Keras' all of whose classes only compute.
_PLAIN_MODULES = re.compile(
    r"keras\.(ops|src\.ops\.(nn|numpy|core|math|linalg|image)|initializers|regularizers|constraints|dtype_policies"
    r"|losses|metrics|optimizers(\.schedules)?|src\.(backend\.\w+\.)?optimizers\.\w+)"
)
#: Where Keras says that its layers and networks are.
_OF_LAYERS = re.compile(r"keras(\.layers|\.src\.models\.(functional|sequential|model))?")
_CLASS = re.compile(r"[A-Z]\w*")
#: Classes of Keras' own whose configuration is a graph of layers.
_NETWORKS = frozenset({"Sequential", "Functional", "Model"})


class Described(NamedTuple):
    """A loss or metric of Keras' own: its catalogued name, and what it was constructed with."""

    name: str
    config: Mapping[str, Any]

    def __str__(self) -> str:
        last, told = self.name.rpartition(".")[2], self.config.get("from_logits")
        return last if told is None else f"{last}(from_logits={told})"


class Compiled(NamedTuple):
    """What a model was compiled with."""

    loss: Any = None
    metrics: tuple[Any, ...] = ()  # metrics, weighted metrics

    @classmethod
    def of(cls, config: Any) -> Compiled:
        """What ``compile_config`` says; nothing where a model wasn't compiled."""
        if not isinstance(config, dict):
            return cls()
        return cls(config.get("loss"), tuple(config.get(k) for k in ("metrics", "weighted_metrics")))

    def metrics_of(self, name: str, number: int, names: Sequence[str]) -> Iterator[Any]:
        """The metrics of one output."""
        for given in self.metrics:
            shared = isinstance(given, list) and (len(names) == 1 or len(given) != len(names))
            found = given if shared else of_output(given, name, number, names)
            yield from found if isinstance(found, list) else [] if found is None else [found]


def settings_of(layer: Mapping[str, Any]) -> dict[str, Any]:
    """What a layer was constructed with."""
    settings = layer.get("config")
    return settings if isinstance(settings, dict) else {}


def is_object(value: Any) -> TypeGuard[dict[str, Any]]:
    """Whether a value is how Keras writes an object down."""
    return isinstance(value, dict) and "class_name" in value and "config" in value


def of_output(given: Any, name: str, number: int, names: Sequence[str]) -> Any:
    """What one output has of what may be told for each, or for the only one."""
    if isinstance(given, dict) and not is_object(given):
        return given.get(name)
    if isinstance(given, list):
        return given[number] if len(given) == len(names) else None
    return given


def class_of(thing: Mapping[str, Any]) -> str:
    """The catalogued name of a layer's or loss's class; what isn't Keras' own is ``unknown``, whatever it is called."""
    name, module, registered = (thing.get(k) for k in ("class_name", "module", "registered_name"))
    if not isinstance(name, str) or ">" in name or (isinstance(registered, str) and ">" in registered):
        return f"unknown {name}"
    module = module if isinstance(module, str) else "keras.layers" if module is None else ""
    if not (module + ".").startswith(("keras.", "tensorflow.keras.", "tf_keras.")):
        return f"unknown {name}"
    if ".ops." in module:
        return f"keras.ops.{snake_case(name)}"
    kind = next((k for k in ("losses", "metrics", "activations") if f".{k}" in module), "layers")
    return f"keras.{kind}.{name}"


def is_network(thing: Mapping[str, Any]) -> bool:
    """Whether a layer is a network of Keras' own, made of layers."""
    name, config = class_of(thing).rpartition(".")[2], thing.get("config")
    return name in _NETWORKS and isinstance(config, dict) and isinstance(config.get("layers"), list)


def activation_of(settings: Mapping[str, Any]) -> str | None:
    """The catalogued name of a layer's activation; None where it has none, ``unknown`` where nobody knows it.

    It may be a layer, such as Softmax.
    """
    given = settings.get("activation")
    if is_object(given):
        if given["class_name"] == "function" and given.get("module") == "builtins":
            given = given["config"]
        else:
            return class_of(given)
    if given is None or given == "linear":
        return None
    return keras.ACTIVATIONS.get(given, f"unknown {given}") if isinstance(given, str) else "unknown"


def described(given: Any, names: Mapping[str, str]) -> Described | None:
    """A loss or metric, as a string, a function or an object; ``names``: what strings mean. None where it isn't Keras'
    own."""
    if is_object(given):
        if given["class_name"] != "function":
            of_class = Described(class_of(given), settings_of(given))
            return of_class if lookup(of_class.name) is not None else None
        given = given["config"]
    name = names.get(given) if isinstance(given, str) else None
    if name is None:
        return None
    signature = lookup(name)
    told = signature is not None and any(p.canonical == "from_logits" for p in signature.params)
    return Described(name, {"from_logits": False} if told else {})


def called(given: Any, kind: str) -> str:
    """What a loss or metric is called that the catalogue doesn't have; ``kind``: loss, or metric."""
    if is_object(given) and str(given.get("module")).startswith(f"keras.{kind}") and given["class_name"] != "function":
        return str(given["class_name"])
    if is_object(given) and given.get("module") == "builtins":
        given = given["config"]
    return given if isinstance(given, str) and given.isidentifier() else f"a {kind} of its own"


def tensors_in(structure: Any, deep: int = 0) -> Iterator[tuple[str, Any, Any]]:
    """Every tensor in the arguments of a call, as ``layer:call:number``, with its shape and dtype where it says so."""
    if deep > _DEEPEST:
        return
    if isinstance(structure, dict):
        if structure.get("class_name") == "__keras_tensor__" and isinstance(structure.get("config"), dict):
            history = structure["config"].get("keras_history")
            if _is_history(history):
                yield ":".join(map(str, history)), structure["config"].get("shape"), structure["config"].get("dtype")
            return
        for value in structure.values():
            yield from tensors_in(value, deep + 1)
    elif _is_history(structure) or (isinstance(structure, list) and len(structure) == 4 and _is_history(structure[:3])):
        yield ":".join(map(str, structure[:3])), None, None
    elif isinstance(structure, list):
        for value in structure:
            yield from tensors_in(value, deep + 1)


def _is_history(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and [type(v) for v in value] == [str, int, int]


def snake_case(name: str) -> str:
    """An operation's function by its class: ``log_softmax`` of ``LogSoftmax``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def camel_case(name: str) -> str:
    """A loss's or metric's class by its function: ``BinaryCrossentropy`` of ``binary_crossentropy``."""
    return name if name[:1].isupper() else "".join(part.capitalize() for part in name.split("_"))


def not_only_numbers(structure: Any) -> Iterator[str]:
    """What in a configuration is more than arithmetic of Keras' own: loading it might run or read anything.

    Keras has layers of its own that unpickle, load another model, or read the file that their vocabulary names.
    """
    waiting = [structure]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            waiting += part.values()
            if part.get("class_name") is not None and not _is_arithmetic(part):
                yield f"{part['class_name']}"
        elif isinstance(part, list):
            waiting += part


def _is_arithmetic(thing: Mapping[str, Any]) -> bool:
    name, module, registered = (str(thing.get(k)) for k in ("class_name", "module", "registered_name"))
    if name in _VALUES:
        return True
    if ">" in registered:
        return False
    if name == "function":
        return module == "builtins" and isinstance(thing.get("config"), str)
    if _OF_LAYERS.fullmatch(module) is not None:
        return name in _ARITHMETIC or (lookup(f"keras.layers.{name}") is not None and name != "Lambda")
    return _PLAIN_MODULES.fullmatch(module) is not None and _CLASS.fullmatch(name) is not None
