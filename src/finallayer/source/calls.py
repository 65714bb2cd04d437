"""Calls: of the project's functions and classes, of catalogued operations and layers, of methods."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from finallayer import catalog
from finallayer.catalog import ATTRIBUTES, CONSTRUCTS, Signature, keras, parse, standard
from finallayer.catalog.names import canonical
from finallayer.expr import Node, make
from finallayer.kinds import LOG_KINDS, PROBABILITY_KINDS, Kind
from finallayer.source import handlers
from finallayer.source.containers import sequence
from finallayer.source.parameters import bind_signature, fits
from finallayer.source.symbols import construct_of, is_module, signature_of
from finallayer.source.tensors import tensor_operation, to_node
from finallayer.source.values import (
    ARGUMENTS,
    FIELDS,
    LAYERS,
    Bound,
    Built,
    Class,
    Dict,
    External,
    Function,
    Instance,
    List,
    Partial,
    Site,
    Union,
    Value,
    is_constant,
    opaque,
    union,
)

if TYPE_CHECKING:
    from finallayer.source.interpreter import Interpreter

#: An attribute whose value isn't known.
UNKNOWN_VALUE = "?"
#: Operations on a list of tensors.
SEVERAL = frozenset({"concat", "join"})
#: Operations whose nodes say which loss or metric of which framework they are.
NAMED = frozenset("xent_logits xent_probs nll bce_logits bce_probs kl kl_probs mse mae metric activation".split())


def call(
    run: Interpreter,
    callee: Value,
    args: list[Value],
    kwargs: dict[str, Value],
    site: Site,
    complete: bool = True,
) -> Value:
    """What ``callee(*args, **kwargs)`` gives."""
    match callee:
        case Function():
            return run.call_function(callee, args, kwargs, site, complete)
        case Bound(function=Function() | Partial() | Class() as function, owner=owner):
            return call(run, function, [owner, *args], kwargs, site, complete)
        case Bound(function=str() as name, owner=Node() as tensor):
            return _tensor_method(run, name, tensor, args, kwargs, site)
        case Bound(function=str() as name, owner=owner):
            return _method(run, owner, name, args, kwargs, site)
        case Bound(function=function):
            return call(run, function, args, kwargs, site, complete)
        case Class():
            return instantiate(run, callee, args, kwargs, site, complete)
        case Instance():
            return call_instance(run, callee, args, kwargs, site, complete)
        case Built():
            return call_built(run, callee, args, kwargs, site)
        case External():
            return _external(run, callee, args, kwargs, site, complete)
        case Partial():
            return _partial(run, callee, args, kwargs, site, complete)
        case Union():
            return _one_of(run, callee, args, kwargs, site, complete)
    if isinstance(callee, Node) and any(is_module(a) for a in args) and HANDS_ON.search(callee.attrs.get("name", "")):
        return args[0] if len(args) == 1 else tuple(args)
    return _wrapped(run, args, site) or run.opaque_at(site, *args)


def _wrapped(run: Interpreter, args: list[Value], site: Site) -> Value | None:
    """A foreign layer that is handed a tensor and a model applies the model: (x, model), as wrappers of layers do."""
    if len(args) == 2 and isinstance(args[0], Node) and is_module(args[1]):
        return call(run, args[1], [args[0]], {}, site)
    return None


def _one_of(
    run: Interpreter,
    callee: Union,
    args: list[Value],
    kwargs: dict[str, Value],
    site: Site,
    complete: bool,
) -> Value:
    """A callee that may be one of several. Losses of different kinds are looked at, but nothing is reported."""
    operations = {v.signature.op if isinstance(v, Built) else id(v) for v in callee.values}
    silent = len(operations) > 1 and any(isinstance(v, (Built, External)) for v in callee.values)
    run.silent += silent
    try:
        return union([call(run, v, args, kwargs, site, complete) for v in callee.values])
    finally:
        run.silent -= silent


def _tensor_method(
    run: Interpreter, name: str, tensor: Node, args: list[Value], kwargs: dict[str, Value], site: Site
) -> Value:
    signature = catalog.method(name)
    if signature is None or not fits(signature.params, [tensor, *args], kwargs):
        return run.opaque_at(site, tensor, *args)
    bound = bind_signature(signature.params, [tensor, *args], kwargs)
    return operate(run, signature, bound, None, site)


def _method(
    run: Interpreter, owner: Value, name: str, args: list[Value], kwargs: dict[str, Value], site: Site
) -> Value:
    """What ``owner.name(*args, **kwargs)`` gives."""
    if isinstance(owner, str):
        return _of_text(owner, name, args)
    table = handlers.OF_MODELS
    if isinstance(owner, (List, Dict)):
        table = handlers.OF_LISTS if isinstance(owner, List) else handlers.OF_DICTS
    method = table.get(name)
    if method is None:
        return run.opaque_at(site, owner, *args)
    return method(run, owner, args, kwargs, site)


def _of_text(owner: str, name: str, args: list[Value]) -> Value:
    if name in ("lower", "upper", "strip", "title", "capitalize") and not args:
        return getattr(owner, name)()
    if name == "format" and all(isinstance(a, (str, int)) for a in args):
        try:
            return owner.format(*args)
        except (IndexError, KeyError, ValueError):
            pass
    if name in ("startswith", "endswith") and len(args) == 1 and isinstance(args[0], str):
        return getattr(owner, name)(args[0])
    return opaque(f"text.{name}", owner, *args)


def _partial(
    run: Interpreter,
    callee: Partial,
    args: list[Value],
    kwargs: dict[str, Value],
    site: Site,
    complete: bool,
) -> Value:
    if callee.how in ("apply", "apply_without_rng"):  # a pure function of haiku's or stax': the parameters come first
        args = args[2 if callee.how == "apply" else 1 :]
        kwargs = {k: v for k, v in kwargs.items() if k not in ("rng", "rngs", "params", "inputs")}
    given = {**dict(callee.kwargs), **kwargs}
    how, has_aux = callee.how, given.pop("has_aux", False) if callee.how in ("grad", "value_and_grad") else False
    value = call(run, callee.function, [*callee.args, *args], given, site, complete)
    if how == "value_and_grad":
        return (value, opaque("gradient"))
    if how == "grad":
        aux = value[1] if isinstance(value, tuple) and len(value) == 2 else opaque("aux")
        return (opaque("gradient"), aux) if has_aux is True else opaque("gradient")
    return value


def instantiate(
    run: Interpreter,
    cls: Class,
    args: list[Value],
    kwargs: dict[str, Value],
    site: Site,
    complete: bool = True,
) -> Value:
    """An object of one of the project's classes."""
    instance = Instance(cls)
    run.instances.append(instance)
    run.write(instance.slots, ARGUMENTS, tuple(args))
    fields = [f for c in reversed(cls.ancestry()) if isinstance(c, Class) for f in c.slots.get(FIELDS, ())]
    init = cls.find("__init__")
    if isinstance(init, Function):
        run.call_function(init, [instance, *args], kwargs, site, complete)
    else:
        for name, value in [*zip(fields, args, strict=False), *kwargs.items()]:
            run.write(instance.slots, name, value)
        if not fields and any(construct == "sequential" for construct in _base_constructs(cls)):
            run.write(instance.slots, LAYERS, tuple(args))
    for hook in ("__post_init__", "setup"):
        function = cls.find(hook)
        if isinstance(function, Function) and len(function.node.args.args) == 1:
            run.call_function(function, [instance], {}, site)
    return instance


def _base_constructs(cls: Class) -> list[str]:
    return [construct_of(base) for base in cls.external_bases()]


#: Methods that calling an object runs, in the order in which frameworks look for them.
_CALLED = ("__call__", "forward", "call")


def call_instance(
    run: Interpreter,
    instance: Instance,
    args: list[Value],
    kwargs: dict[str, Value],
    site: Site,
    complete: bool = True,
) -> Value:
    """Calling an object: its ``__call__``, or the method that the framework's base class calls."""
    value = _call_instance(run, instance, args, kwargs, site, complete)
    if run.uses is not None:
        run.uses.gave(instance, value)
    return value


def _call_instance(
    run: Interpreter, instance: Instance, args: list[Value], kwargs: dict[str, Value], site: Site, complete: bool
) -> Value:
    for name in _CALLED:
        method = instance.slots.get(name) or instance.cls.find(name)
        if method is not None:
            own = [] if name in instance.slots else [instance]
            return call(run, method, [*own, *args], kwargs, site, complete)
    layers = instance.slots.get(LAYERS)
    if layers and args:
        return apply_layers(run, layers, args[0], site)
    return run.opaque_at(site, instance, *args)


def apply_layers(run: Interpreter, layers: tuple[Value, ...], x: Value, site: Site) -> Value:
    """A value sent through layers one after the other."""
    for layer in layers:
        if isinstance(layer, Node):  # Keras: an Input among the layers states the shape
            continue
        x = call(run, layer, [x], {}, getattr(layer, "site", None) or site) if layer is not None else x
    return x


def call_built(run: Interpreter, built: Built, args: list[Value], kwargs: dict[str, Value], site: Site) -> Value:
    """Calling a catalogued layer, loss or model."""
    value = _call_built(run, built, args, kwargs, site)
    if run.uses is not None:
        run.uses.gave(built, value)
    return value


def _call_built(run: Interpreter, built: Built, args: list[Value], kwargs: dict[str, Value], site: Site) -> Value:
    signature = built.signature
    called = handlers.CALLED.get(signature.op)
    if called is not None:
        return called(run, built, args, kwargs, site)
    if signature.call is None:
        return run.opaque_at(site, *args)
    bound = {k: v for k, v in built.bound.items() if k != "**"} | bind_signature(signature.call, args, kwargs)
    return _labelled(operate(run, signature, bound, built.symbol, site), built)


def _labelled(value: Value, built: Built) -> Value:
    """A Keras layer's output bears the layer's name, by which ``compile`` finds the loss meant for it."""
    name = built.bound.get("**", {}).get("name")
    if isinstance(name, str) and isinstance(value, Node) and built.symbol.framework == "keras":
        return Node(value.op, value.args, {**value.attrs, "layer": name}, value.origin)
    return value


def _external(
    run: Interpreter,
    symbol: External,
    args: list[Value],
    kwargs: dict[str, Value],
    site: Site,
    complete: bool,
) -> Value:
    builtin = handlers.BUILTINS.get(symbol.name.removeprefix("builtins."))
    if builtin is not None:
        value = builtin(run, args, kwargs, site)
        if value is not NotImplemented:
            return value
    signature = signature_of(symbol.name)
    if signature is None:
        return _unknown(run, symbol, args, kwargs, site)
    bound = bind_signature(signature.params, args, kwargs)
    bound["**"] = kwargs
    construct = handlers.CONSTRUCTS.get(signature.op)
    if construct is not None:
        return construct(run, symbol, signature, bound, site)
    if signature.call is not None:
        return Built(symbol, signature, bound, site)
    del bound["**"]
    return operate(run, signature, bound, symbol, site)


def _unknown(run: Interpreter, symbol: External, args: list[Value], kwargs: dict[str, Value], site: Site) -> Value:
    """A foreign call that the catalogue doesn't know. What wraps a model gives the model back."""
    last = symbol.name.rpartition(".")[2]
    if any(is_module(a) for a in args) and HANDS_ON.search(symbol.name):
        return args[0] if len(args) == 1 else tuple(args)
    if symbol.name.startswith(MODEL_ZOOS):
        return Built(symbol, Signature("zoo", (), (), {}), {}, site)
    if symbol.name.endswith("TrainState.create"):
        state = Built(symbol, Signature("state", (), None, {}), {}, site)
        state.slots.update(kwargs)
        return state
    if canonical(symbol.name) in standard.FINFO and args:
        return make("opaque", name=str(run.opaque_at(site)), finfo=_floating_type(args[0]))
    if last in SELF_EXPLAINING and args and not symbol.name.startswith("builtins."):
        return operate(run, parse(SELF_EXPLAINING[last]), {"x": args[0]} | kwargs, symbol, site)
    return run.opaque_at(site, *args, *kwargs.values())


def _floating_type(dtype: Value) -> str | None:
    """The name of a floating type given as ``np.float32``, ``"float32"`` or ``float``; None where it depends."""
    name = dtype.name.rpartition(".")[2] if isinstance(dtype, External) else dtype
    return name if isinstance(name, str) else None


#: Functions that aren't at hand and give back the models that they are handed: accelerator.prepare, to_device ...
HANDS_ON = re.compile(r"(?:^|\.)(?:prepare\w*|setup\w*|wrap\w*|initialize|to_device|to_gpu|cuda|parallelize\w*)$")
#: Where pretrained classifiers come from. They give logits, by a head that users replace.
MODEL_ZOOS = ("torchvision.models.", "timm.create_model", "pretrainedmodels.", "efficientnet_pytorch.EfficientNet")
#: Functions of modules that aren't at hand, by the one name that leaves no doubt.
SELF_EXPLAINING = {"softmax": "softmax(x, axis)", "log_softmax": "log_softmax(x, axis)", "sigmoid": "sigmoid(x)"}


def operate(
    run: Interpreter, signature: Signature, bound: dict[str, Value], symbol: External | None, site: Site
) -> Value:
    """The node that a catalogued operation gives, with its activation applied."""
    op = signature.op
    if op in CONSTRUCTS and op in handlers.CONSTRUCTS:
        return handlers.CONSTRUCTS[op](run, symbol or External(op), signature, bound, site)
    if signature.attrs.get("either_order"):
        bound = _logits_first(bound)
    x = bound.get("x")
    if isinstance(x, Union) and not all(isinstance(v, Node) for v in x.values):
        return union([operate(run, signature, {**bound, "x": v}, symbol, site) for v in x.values])
    if op in ("identity", "reshape", "cast") and x is not None and not isinstance(x, (Node, List, tuple)):
        return x
    if op == "opaque" or (x is None and op not in ("parameter", "const", "numbers", "target", "one_hot")):
        return run.opaque_at(site, *bound.values())
    attrs = attributes(signature, bound)
    if op in ("xent", "bce"):
        if attrs.get("from_logits", False) not in (True, False):
            return run.opaque_at(site, *bound.values())
        op = _by_from_logits(op, attrs)
    if op in NAMED and symbol is not None:
        attrs["name"] = symbol.name
    made = tensor_operation(run, op, _tensors(op, bound), attrs, site, symbol.framework if symbol else "")
    return activate(run, bound.get("activation"), made, site)


def activate(run: Interpreter, activation: Value, x: Value, site: Site) -> Value:
    """An activation applied: a function, a layer, a framework's own, or one named by a string."""
    match activation:
        case None | "linear":
            return x
        case str():
            name = keras.ACTIVATIONS.get(activation.lower())
            return call(run, External(name), [x], {}, site) if name is not None else run.opaque_at(site, x)
        case Union():
            return union([activate(run, a, x, site) for a in activation.values])
    return call(run, activation, [x], {}, site) if callable_value(activation) else run.opaque_at(site, x, activation)


def callable_value(value: Value) -> bool:
    """Whether calling a value may be followed; anything else is data."""
    return isinstance(value, (Function, Bound, Built, Partial, External, Class, Instance))


_PREDICTIONS = PROBABILITY_KINDS | LOG_KINDS | {Kind.LOGITS}


def _logits_first(bound: dict[str, Value]) -> dict[str, Value]:
    """Before TensorFlow 1.0 the logits came first: where only the target looks like a prediction, swap them."""
    x, target = bound.get("x"), bound.get("target")
    if isinstance(x, Node) and isinstance(target, Node) and target.kind in _PREDICTIONS and x.kind not in _PREDICTIONS:
        return {**bound, "x": target, "target": x}
    return bound


def _by_from_logits(op: str, attrs: dict[str, Any]) -> str:
    """The loss on logits, or the one on probabilities with the framework's clip."""
    if not attrs.get("from_logits", False):
        return f"{op}_probs"
    attrs.pop("eps", None)
    return f"{op}_logits"


def attributes(signature: Signature, bound: dict[str, Value]) -> dict[str, Any]:
    """The attributes that a call gives its operation."""
    attrs: dict[str, Any] = dict(signature.attrs)
    for name in ATTRIBUTES & bound.keys():
        value = bound[name]
        plain = value.items if isinstance(value, List) and value.exact else value
        known = is_constant(plain) or (isinstance(plain, tuple) and all(is_constant(v) for v in plain))
        attrs[name] = plain if known else UNKNOWN_VALUE
    for name in ("shape", "dtype", "either_order"):
        attrs.pop(name, None)
    axes = _axes(bound.get("shape")) if signature.op == "reshape" else None
    if axes is not None:
        attrs["rank"] = axes + int(signature.attrs.get("batch_axes", 0))
    return attrs


def _axes(shape: Value) -> int | None:
    """How many axes a new shape has: (-1, 784), [-1, 784], or ((-1, 784),) where it was given in one argument."""
    lengths = sequence(shape)
    if lengths is None or len(lengths) != 1:
        return None if lengths is None else len(lengths)
    return 1 if isinstance(lengths[0], int) else _axes(lengths[0])


def _tensors(op: str, bound: dict[str, Value]) -> list[Node]:
    found: list[Node] = []
    for name in ("x", "y", "target"):
        value = bound.get(name)
        if name == "x" and op in SEVERAL and isinstance(value, (List, tuple)) and not hasattr(value, "_fields"):
            items = value.items if isinstance(value, List) else value
            found += [to_node(v) for v in items]
        elif value is not None:
            found.append(to_node(value))
    return found
