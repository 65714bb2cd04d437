"""Calls: of the project's functions and classes, of catalogued operations and layers, of methods."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from finallayer import catalog
from finallayer.canonical import SPELLINGS_OF_LOSSES
from finallayer.catalog import CONSTRUCTS, Signature, bind_signature, keras, parse, standard
from finallayer.catalog.conventions import Meaning, convention, suggests
from finallayer.catalog.frameworks import ZOOS, is_classifier
from finallayer.catalog.names import canonical
from finallayer.expr import SAME_AXES, Node, Role, having, make
from finallayer.source import handlers, texts
from finallayer.source.followed import hand, is_fetch, may_be_imported, only_reads
from finallayer.source.interpreter import Interpreter
from finallayer.source.operations import logits_first, operation
from finallayer.source.parameters import fits
from finallayer.source.symbols import (
    construct_of,
    inherited_from,
    is_module,
    is_module_class,
    signature_behind,
    signature_of,
)
from finallayer.source.turned_over import open_flags_of
from finallayer.source.values import (
    ARGUMENTS,
    BUILT,
    CALLED_BY_FRAMEWORKS,
    EXACT,
    FIELDS,
    INNER,
    LAYERS,
    UNSETTLED,
    Bound,
    Built,
    Call,
    Class,
    Dict,
    External,
    Function,
    Instance,
    List,
    Missing,
    Partial,
    Site,
    Super,
    Union,
    Value,
    is_constant,
    opaque,
    tuple_in,
)


def invoke(run: Interpreter, callee: Value, call: Call) -> Value:
    """What calling ``callee`` gives."""
    calling = _CALLING.get(type(callee))
    if calling is not None:
        return calling(run, callee, call)
    if isinstance(callee, Node) and _hands_on(callee.attrs.get("name", ""), call.args):
        return _handed_on(callee.attrs["name"], call.args)
    if isinstance(callee, Node):
        name = str(callee.attrs.get("name", ""))
        _foreign(run, name, call)
        with run.reading_if(is_fetch(name)):
            return _given(name, _not_followed(run, call))
    return _not_followed(run, call)


def _not_followed(run: Interpreter, call: Call, *owner: Value) -> Node:
    """What a call gives that isn't understood."""
    if call.kwargs and not run.reading:
        hand(run, tuple(call.kwargs.values()))
    return run.opaque_at(call.site, *owner, *call.args)


def _given(name: str, value: Node) -> Node:
    """What something of this name has given when called: an object, where the name is a class's; what the name says."""
    said: dict[str, object] = {"object": True} if suggests(name, Meaning.OBJECT) else {}
    if suggests(name, Meaning.LOG_PROBABILITY):
        said["taken_for"] = Meaning.LOG_PROBABILITY.name.lower()
    return Node("opaque", (), {**value.attrs, **said}, None) if said else value


def _function(run: Interpreter, function: Function, call: Call) -> Value:
    given = run.call_function(function, call)
    if run.recorder.destinations and may_be_imported(function):
        hand(run, given)
    return given


def _bound(run: Interpreter, method: Bound, call: Call) -> Value:
    function, owner = method.function, method.owner
    if isinstance(function, str) and isinstance(owner, texts.Text):
        return texts.method(owner, function, call)
    if isinstance(function, str):
        return (
            _tensor_method(run, function, owner, call)
            if isinstance(owner, Node)
            else _method(run, owner, function, call)
        )
    return invoke(run, function, call.of(owner) if isinstance(function, (Function, Partial, Class)) else call)


def _foreign(run: Interpreter, name: str, call: Call) -> None:
    """A call of what isn't at hand: whatever its arguments say of each other."""
    for look in handlers.FOREIGN:
        look(run, name, call)


def _one_of(run: Interpreter, callee: Union, call: Call) -> Value:
    """A callable that may be one of several. Of losses of which nobody knows what chooses them, nothing is reported."""
    operations = {_operation_of(v) for v in callee.values}
    foreign = any(isinstance(v, (Built, External)) for v in callee.values)
    silent = foreign and len(operations) > 1 and (not callee.when or run.coupled > 0)
    run.silent += silent
    try:
        return run.each(callee, lambda one: invoke(run, one, call))
    finally:
        run.silent -= silent


def _operation_of(callee: Value) -> str | int:
    """What a catalogued callee does; any other is its own."""
    signature = signature_behind(callee)
    return signature.op if signature is not None else id(callee)


def _tensor_method(run: Interpreter, name: str, tensor: Node, call: Call) -> Value:
    signature = catalog.method(name)
    if signature is None and tensor.op == "opaque":
        _foreign(run, name, call)
    if signature is None or not fits(signature.params, [tensor, *call.args], call.kwargs):
        return _given(name, _not_followed(run, call, tensor))
    bound = bind_signature(signature.params, [tensor, *call.args], call.kwargs)
    if not call.complete:
        bound.pop("shape", None)
    return operate(run, signature, bound, None, call.site)


def _method(run: Interpreter, owner: Value, name: str, call: Call) -> Value:
    """What ``owner.name(...)`` gives."""
    if isinstance(owner, str):
        return texts.method(owner, name, call)
    if isinstance(owner, Instance) and isinstance(inner := owner.slots.get(INNER), (List, Dict)):
        owner = inner
    if isinstance(owner, List) and name in handlers.OF_LISTS:
        return handlers.OF_LISTS[name](run, owner, call)
    if isinstance(owner, Dict) and name in handlers.OF_DICTS:
        return handlers.OF_DICTS[name](run, owner, call)
    own = _of_base(owner, name) if isinstance(owner, Class) else None
    if own is not None:
        return _external(run, own, call)
    if isinstance(owner, (List, Dict)) or name not in handlers.OF_MODELS:
        return _not_followed(run, call, owner)
    return handlers.OF_MODELS[name](run, owner, call)


def _of_base(cls: Class, name: str) -> External | None:
    """What a class has of a framework's base class, called on the class: ``TrainState.create``."""
    names = (f"{base.name}.{name}" for base in cls.external_bases())
    return next((External(n) for n in names if signature_of(n) is not None), None)


def _partial(run: Interpreter, callee: Partial, call: Call) -> Value:
    if callee.how in ("apply", "apply_without_rng"):  # a pure function of haiku's or stax': the parameters come first
        call = call._replace(
            args=call.args[2 if callee.how == "apply" else 1 :],
            kwargs={k: v for k, v in call.kwargs.items() if k not in ("rng", "rngs", "params", "inputs")},
        )
    given = {**dict(callee.kwargs), **call.kwargs}
    how, has_aux = callee.how, given.pop("has_aux", False) if callee.how in ("grad", "value_and_grad") else False
    if how == "vmap":
        return _mapped(run, callee, call._replace(args=[*callee.args, *call.args], kwargs=given))
    value = invoke(run, callee.function, Call([*callee.args, *call.args], given, call.site, call.complete))
    if how in ("value_and_grad", "grad"):
        hand(run, value)
    if how == "value_and_grad":
        return (value, opaque("gradient"))
    if how == "grad":
        aux = value[1] if isinstance(value, tuple) and len(value) == 2 else opaque("aux")
        return (opaque("gradient"), aux) if has_aux is True else opaque("gradient")
    return value


def _mapped(run: Interpreter, callee: Partial, call: Call) -> Value:
    """A function called on each example by itself: inside there is an axis less than outside."""
    rows = [_row(a) for a in call.args]
    kwargs = {name: _row(a) for name, a in call.kwargs.items()}
    return _stacked(invoke(run, callee.function, call._replace(args=rows, kwargs=kwargs)))


def _row(value: Value) -> Value:
    """One row of what is mapped over, perhaps: what is mapped over isn't known for certain."""
    if not isinstance(value, Node) or not value.least_rank:
        return value
    return Node("index", (value,), {"rows": True, "least_rank": 0}, value.origin)


def _stacked(value: Value) -> Value:
    """What is given for each example, for all of them: its axes are others than they were inside."""
    if isinstance(value, tuple):
        return tuple(_stacked(v) for v in value)
    if isinstance(value, Node) and any("axis" in step.attrs for step in _unmoved(value)):
        return Node("reshape", (value,), {}, value.origin)
    return value


def _unmoved(node: Node) -> Iterator[Node]:
    """This value and those that it was made of, as long as every axis stayed where it was."""
    yield node
    while node.op in SAME_AXES and node.args:
        node = node.args[0]
        yield node


def instantiate(run: Interpreter, cls: Class, call: Call) -> Value:
    """An object of one of the project's classes."""
    instance = Instance(cls, call.site)
    run.instances.append(instance)
    run.write(instance.slots, ARGUMENTS, tuple(call.args))
    run.write(instance.slots, LAYERS, ())
    run.write(instance.slots, EXACT, True)
    lines = [tuple_in(c.slots, FIELDS) for c in reversed(cls.ancestry()) if isinstance(c, Class)]
    fields = [field for line in lines for field in line if isinstance(field, str)]
    init = cls.find("__init__")
    if isinstance(init, Function):
        run.call_function(init, call.of(instance))
    else:
        for name, value in [*zip(fields, call.args, strict=False), *call.kwargs.items()]:
            run.write(instance.slots, name, value)
        if not fields:
            inherit(run, instance, call)
        trains(run, cls, call)
    for hook in ("__post_init__", "setup"):
        function = cls.find(hook)
        if isinstance(function, Function) and len(function.node.args.args) == 1:
            run.call_function(function, Call([instance], {}, call.site))
    if run.over:
        open_flags_of(run, instance)
    return instance


def inherit(run: Interpreter, instance: Instance, call: Call) -> None:
    """What a foreign base class makes of the arguments of its ``__init__``: the object holds what it would build."""
    base = inherited_from(instance.cls)
    if base is not None:
        run.write(instance.slots, INNER, invoke(run, base, call))


_TRAINERS = ("trainer", "fine_tuner")
#: Methods in which a trainer's subclass hands the loss what it likes.
_OWN_STEPS = ("get_loss", "train_step", "train_step_single", "compute_loss")


def trains(run: Interpreter, cls: Class, call: Call) -> None:
    """A subclass of a library's training loop is made of what the library's own would be."""
    own = any(isinstance(cls.find(name), Function) for name in _OWN_STEPS)
    for base in cls.external_bases():
        signature = signature_of(base.name)
        if signature is not None and signature.op in _TRAINERS and not own:
            bound = bind_signature(signature.params, call.args, call.kwargs)
            handlers.CONSTRUCTS[signature.op](run, Built(base, signature, bound, call.site, call.kwargs))


def call_inherited(run: Interpreter, instance: Instance, call: Call) -> Value:
    """What calling an object gives by what its foreign base class does."""
    inner = instance.slots.get(INNER)
    if isinstance(inner, Built):
        return call_built(run, inner, call)
    outputs = _outputs(instance)
    return outputs if outputs is not None else run.opaque_at(call.site, instance, *call.args)


def call_instance(run: Interpreter, instance: Instance, call: Call) -> Value:
    """Calling an object: its ``__call__``, or the method that the framework's base class calls."""
    value = _call_instance(run, instance, call)
    if run.uses is not None:
        run.uses.gave(instance, value)
    return value


def _call_instance(run: Interpreter, instance: Instance, call: Call) -> Value:
    if UNSETTLED in instance.slots:
        return run.opaque_at(call.site, instance, *call.args)
    _build(run, instance, call.site)
    for name in CALLED_BY_FRAMEWORKS:
        method = instance.slots.get(name) or instance.cls.find(name)
        if not isinstance(method, Missing):
            own = [] if name in instance.slots else [instance]
            return invoke(run, method, call.of(*own))
    return call_inherited(run, instance, call)


def _build(run: Interpreter, instance: Instance, site: Site) -> None:
    """Keras calls ``build(input_shape)`` before a layer's first call."""
    build = instance.cls.find("build")
    if isinstance(build, Function) and BUILT not in instance.slots and is_module_class(instance.cls):
        run.write(instance.slots, BUILT, True)
        if len(build.node.args.args) == 2:
            run.call_function(build, Call([instance, opaque("input_shape")], {}, site))


def _outputs(instance: Instance) -> Value:
    """The outputs that a Keras model of a class without ``call`` was made with: (inputs, outputs)."""
    if not any(construct_of(base) == "model" for base in instance.cls.external_bases()):
        return None
    own = isinstance(instance.cls.find("__init__"), Function)
    given = () if own else tuple_in(instance.slots, ARGUMENTS)
    outputs = instance.slots.get("outputs", given[1] if len(given) > 1 else None)
    return outputs.items[0] if isinstance(outputs, List) and outputs.exact and len(outputs.items) == 1 else outputs


def apply_layers(run: Interpreter, layers: tuple[Value, ...], x: Value, site: Site) -> Value:
    """A value sent through layers one after the other."""
    for layer in layers:
        if isinstance(layer, Node):  # Keras: an Input among the layers states the shape; any other isn't known
            x = x if layer.attrs.get("fed") else run.opaque_at(site, x, layer)
            continue
        run.budget.step()  # the model may hold many, and be called often
        of_its_own = isinstance(layer, Built) and layer.signature.op != "sequential"  # whose layers have each their own
        at = layer.site if isinstance(layer, Built) and of_its_own else site
        x = invoke(run, layer, Call([x], {}, at)) if layer is not None else x
    return x


def call_built(run: Interpreter, built: Built, call: Call) -> Value:
    """Calling a catalogued layer, loss or model."""
    value = _call_built(run, built, call)
    if run.uses is not None:
        run.uses.gave(built, value)
    return value


def _call_built(run: Interpreter, built: Built, call: Call) -> Value:
    signature = built.signature
    if UNSETTLED in built.slots:
        return run.opaque_at(call.site, *call.args)
    own = next((built.slots[name] for name in CALLED_BY_FRAMEWORKS if name in built.slots), None)
    if own is not None:  # net.forward = another function
        return invoke(run, own, call)
    called = handlers.CALLED.get(signature.op)
    if called is not None:
        return called(run, built, call)
    if signature.call is None:
        return run.opaque_at(call.site, *call.args)
    bound = built.bound | bind_signature(signature.call, call.args, call.kwargs)
    if "activation" in built.slots:  # layer.activation = another one
        bound["activation"] = built.slots["activation"]
    if signature.op in _WORTH_NAMING or bound.get("activation") is not None:
        run.makers.setdefault(call.site.origin, {})[built.site.origin] = built.symbol.name
    made = operate(run, signature, bound, built.symbol, call.site)
    if isinstance(made, Node) and made.op == "affine":
        run.recorder.made_by(made, run.layer(built))
    return _labelled(made, built)


#: The operations of layers and losses that a finding may be about.
_WORTH_NAMING = having(Role.HEAD) | having(Role.LOSS) | SPELLINGS_OF_LOSSES


def _labelled(value: Value, built: Built) -> Value:
    """A Keras layer's output bears the layer's name, by which ``compile`` finds the loss meant for it."""
    name = built.keywords.get("name")
    if isinstance(name, str) and isinstance(value, Node) and built.symbol.framework == "keras":
        return Node(value.op, value.args, {**value.attrs, "layer": name}, value.origin)
    return value


def _external(run: Interpreter, symbol: External, call: Call) -> Value:
    builtin = handlers.BUILTINS.get(symbol.name.removeprefix("builtins."))
    if builtin is not None:
        return builtin(run, call)
    signature = signature_of(symbol.name)
    if signature is None:
        method = symbol.name.rpartition(".")[2]
        if call.args and isinstance(call.args[0], Instance) and method in ("__init__", *CALLED_BY_FRAMEWORKS):
            run_inherited = handlers.OF_MODELS[method]  # Base.forward(self, x), which is super().forward(x)
            return run_inherited(run, Super(call.args[0].cls, call.args[0]), call._replace(args=call.args[1:]))
        return _unknown(run, symbol, call)
    bound = bind_signature(signature.params, call.args, call.kwargs)
    if not call.complete and isinstance(layers := bound.get("layers"), tuple):
        bound["layers"] = List(layers, exact=False)
    if signature.attrs.get("either_order") and len(call.args) > 1:
        bound = logits_first(bound)
    construct = handlers.CONSTRUCTS.get(signature.op)
    if construct is not None:
        return construct(run, Built(symbol, signature, bound, call.site, call.kwargs))
    if signature.call is not None:
        return Built(symbol, signature, bound, call.site, call.kwargs)
    return operate(run, signature, bound, symbol, call.site)


def _unknown(run: Interpreter, symbol: External, call: Call) -> Value:
    """A foreign call that the catalogue doesn't know. What wraps a model gives the model back."""
    if _hands_on(symbol.name, call.args):
        return _handed_on(symbol.name, call.args)
    if symbol.name.startswith(ZOOS):
        return Built(symbol, Signature("zoo", (), (), {}), {}, call.site)
    if is_classifier(symbol.name):
        return Built(symbol, Signature("classifier", (), (), {}), {}, call.site, call.kwargs)
    _foreign(run, symbol.name, call)
    if canonical(symbol.name) in standard.FINFO and call.args:
        return make("opaque", name=str(run.opaque_at(call.site)), finfo=_floating_type(call.args[0]))
    operation = convention(symbol.name, Meaning.OPERATION)
    if operation is not None and call.args:
        x = next((arg for arg in call.args if not is_constant(arg)), call.args[0])  # softmax(None, z)
        return operate(run, parse(operation.says), {"x": x} | call.kwargs, symbol, call.site)
    with run.reading_if(only_reads(symbol.name)):
        return _given(symbol.name, run.opaque_at(call.site, *call.args, *call.kwargs.values()))


def _floating_type(dtype: Value) -> str | None:
    """The name of a floating type given as ``np.float32``, ``"float32"`` or ``float``; None where it depends."""
    name = dtype.name.rpartition(".")[2] if isinstance(dtype, External) else dtype
    return name if isinstance(name, str) else None


def _hands_on(name: str, args: list[Value]) -> bool:
    """Whether a foreign function's name says that it gives back the models that it is handed."""
    return any(is_module(a) for a in args) and (
        suggests(name, Meaning.HANDS_ON) or suggests(name, Meaning.HANDS_ON_FIRST)
    )


def _handed_on(name: str, args: list[Value]) -> Value:
    return args[0] if len(args) == 1 or suggests(name, Meaning.HANDS_ON_FIRST) else tuple(args)


def operate(
    run: Interpreter, signature: Signature, bound: dict[str, Value], symbol: External | None, site: Site
) -> Value:
    """What a catalogued name gives: a construct's doing, or the operation with its activation applied."""
    if signature.op in CONSTRUCTS and signature.op in handlers.CONSTRUCTS:
        return handlers.CONSTRUCTS[signature.op](run, Built(symbol or External(signature.op), signature, bound, site))
    made = operation(run, signature, bound, symbol, site)
    return activate(run, bound.get("activation", signature.attrs.get("activation")), made, site)


def activate(run: Interpreter, activation: Value, x: Value, site: Site) -> Value:
    """An activation applied: a function, a layer, a framework's own, or one named by a string."""
    match activation:
        case None | "linear":
            return x
        case str():
            name = keras.ACTIVATIONS.get(activation.lower())
            return invoke(run, External(name), Call([x], {}, site)) if name is not None else run.opaque_at(site, x)
        case Union():
            return run.each(activation, lambda a: activate(run, a, x, site))
    if callable_value(activation):
        return invoke(run, activation, Call([x], {}, site))
    return run.opaque_at(site, x, activation)


def callable_value(value: Value) -> bool:
    """Whether calling a value may be followed; anything else is data."""
    return isinstance(value, (Function, Bound, Built, Partial, External, Class, Instance))


#: What calling a value does, by its type: what isn't here is not understood when it is called.
_CALLING: dict[type, Callable[[Interpreter, Any, Call], Value]] = {
    Function: _function,
    Bound: _bound,
    Class: instantiate,
    Instance: call_instance,
    Built: call_built,
    External: _external,
    Partial: _partial,
    Union: _one_of,
}
