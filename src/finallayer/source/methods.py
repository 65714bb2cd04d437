"""Methods of objects that aren't tensors: of lists and dictionaries, of models, of what frameworks built."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import TypeVar

from finallayer.catalog.frameworks import is_stateless
from finallayer.expr import Node, make
from finallayer.source.asking import keyed
from finallayer.source.attributes import get_attribute, set_attribute
from finallayer.source.calls import call_built, call_inherited, inherit, invoke, trains
from finallayer.source.containers import forget_length, get_item, item_by_key, sequence
from finallayer.source.followed import hand
from finallayer.source.handlers import OF_DICTS, OF_LISTS, OF_MODELS, DictMethod, ListMethod, Method
from finallayer.source.interpreter import Interpreter
from finallayer.source.keras_models import compile_model, model_output, units_of
from finallayer.source.layers import add_layers, holder, layers_of
from finallayer.source.limits import MOST_CANDIDATES, list_of
from finallayer.source.symbols import is_module
from finallayer.source.tensors import to_node
from finallayer.source.values import (
    EXACT,
    ITEMS,
    LAYERS,
    REST,
    Bound,
    Built,
    Call,
    Class,
    Dict,
    Instance,
    List,
    Partial,
    Site,
    Super,
    Value,
    is_constant,
    opaque,
    tuple_in,
    union,
)

#: Methods that give the object itself back.
_FLUENT = (
    "to cuda cpu eval train double half float bfloat16 type requires_grad_ share_memory_ module unwrap to_empty "
    "to_static bind apply_gradients replace"
)


M = TypeVar("M", ListMethod, DictMethod, Method)


def _method(table: dict[str, M], *names: str) -> Callable[[M], M]:
    def register(method: M) -> M:
        table.update(dict.fromkeys(names, method))
        return method

    return register


# Lists and dictionaries


@_method(OF_LISTS, "append")
def _append(run: Interpreter, owner: List, call: Call) -> Value:
    grows_once = owner.within[: len(run.repeating)] == tuple(run.repeating)
    _grow(run, owner, (*owner.items, *call.args), exact=owner.exact and grows_once)
    return None


def _grow(run: Interpreter, owner: List, items: tuple[Value, ...], exact: bool) -> None:
    hand(run, items)
    grown = list_of(items, exact)
    run.write(owner.slots, ITEMS, grown.items)
    if grown.exact is not owner.exact:
        run.write(owner.slots, EXACT, grown.exact)


@_method(OF_LISTS, "extend")
def _extend(run: Interpreter, owner: List, call: Call) -> Value:
    more = sequence(call.args[0]) if call.args else ()
    _grow(run, owner, (*owner.items, *(more or ())), exact=owner.exact and more is not None)
    return None


@_method(OF_LISTS, "insert")
def _insert(run: Interpreter, owner: List, call: Call) -> Value:
    if len(call.args) == 2 and type(call.args[0]) is int:
        at = call.args[0]
        _grow(run, owner, (*owner.items[:at], call.args[1], *owner.items[at:]), owner.exact)
    return None


@_method(OF_LISTS, "pop")
def _pop(run: Interpreter, owner: List, call: Call) -> Value:
    at = call.args[0] if call.args and type(call.args[0]) is int else -1
    if not owner.exact or not owner.items or not -len(owner.items) <= at < len(owner.items):
        return get_item(owner, at)
    items = list(owner.items)
    last = items.pop(at)
    run.write(owner.slots, ITEMS, tuple(items))
    return last


@_method(OF_DICTS, "setdefault")
def _setdefault(run: Interpreter, owner: Dict, call: Call) -> Value:
    value = _get(run, owner, call)
    hand(run, value)
    if call.args and is_constant(call.args[0]) and call.args[0] not in owner.slots:
        run.write(owner.slots, call.args[0], value)
    return value


@_method(OF_DICTS, "pop")
def _taken(run: Interpreter, owner: Dict, call: Call) -> Value:
    value = _get(run, owner, call)
    if call.args and is_constant(call.args[0]) and call.args[0] in owner.slots:
        run.trail.remove(owner.slots, call.args[0])
    return value


@_method(OF_DICTS, "get")
def _get(run: Interpreter, owner: Dict, call: Call) -> Value:
    key = call.args[0] if call.args else None
    found = get_item(owner, key)
    if not is_constant(key) and isinstance(call.site.node, ast.Call) and call.site.node.args:
        found = item_by_key(owner, key, keyed(run, owner, call.site.node.args[0], call.site.frame))
    if is_constant(found) and not is_constant(key):  # the key may be missing: nothing is decided by this number
        return opaque("item", owner, key)
    missing = isinstance(key, str) and key not in owner.slots and REST not in owner.slots
    return (call.args[1] if len(call.args) > 1 else found) if missing else found


@_method(OF_DICTS, "items")
def _items(_run: Interpreter, owner: Dict, _call: Call) -> Value:
    pairs = tuple(owner.known.items())
    return List((*pairs, (opaque("key"), union(list(owner.rest)))), False) if owner.rest else pairs


@_method(OF_DICTS, "values")
def _values(_run: Interpreter, owner: Dict, _call: Call) -> Value:
    known = tuple(owner.known.values())
    return List((*known, *owner.rest), False) if owner.rest else known


@_method(OF_DICTS, "keys")
def _keys(_run: Interpreter, owner: Dict, _call: Call) -> Value:
    known = tuple(owner.known)
    return List((*known, opaque("key")), False) if owner.rest else known


@_method(OF_DICTS, "copy")
def _copied(_run: Interpreter, owner: Dict, _call: Call) -> Value:
    return owner.copy()


@_method(OF_DICTS, "update")
def _update(run: Interpreter, owner: Dict, call: Call) -> Value:
    given = call.args[0] if call.args else Dict({})
    hand(run, (given, *call.kwargs.values()))
    if isinstance(given, Dict):
        for key, value in given.known.items():
            run.write(owner.slots, key, value)
    more = given.rest if isinstance(given, Dict) else (opaque("item", given),)
    if more:
        run.write(owner.slots, REST, (*owner.rest, *more))
    for name, value in call.kwargs.items():
        run.write(owner.slots, name, value)
    return None


# TensorFlow's arrays of tensors: each call that writes gives another array


def _entries(owner: Value) -> tuple[Value, ...] | None:
    return tuple_in(owner.slots, ITEMS) if isinstance(owner, Built) and owner.signature.op == "array" else None


@_method(OF_MODELS, "write", "unstack", "scatter")
def _written(run: Interpreter, owner: Value, call: Call) -> Value:
    entries = _entries(owner)
    if entries is None or not isinstance(owner, Built) or not call.args:
        return run.opaque_at(call.site, owner, *call.args)
    another = Built(owner.symbol, owner.signature, owner.bound, owner.site, owner.keywords)
    another.slots[ITEMS] = (*entries, call.args[-1])[-MOST_CANDIDATES:]
    return another


@_method(OF_MODELS, "stack", "concat", "read", "gather")
def _gathered(run: Interpreter, owner: Value, call: Call) -> Value:
    """The entries that were written, one above the other, or one of them: their numbers, in any case."""
    entries = _entries(owner)
    if not entries:
        return run.opaque_at(call.site, owner, *call.args)
    return run.record("concat", [to_node(entry) for entry in entries], {}, call.site)


# Models


@_method(OF_MODELS, *_FLUENT.split())
def _itself(_run: Interpreter, owner: Value, _call: Call) -> Value:
    return owner


@_method(OF_MODELS, "forward", "__call__", "call")
def _called(run: Interpreter, owner: Value, call: Call) -> Value:
    if isinstance(owner, Super):
        return (
            call_inherited(run, owner.instance, call)
            if isinstance(owner.instance, Instance)
            else run.opaque_at(call.site, *call.args)
        )
    return run.opaque_at(call.site, *call.args) if isinstance(owner, Class) else invoke(run, owner, call)


@_method(OF_MODELS, "update_state")
def _updated(run: Interpreter, owner: Value, call: Call) -> Value:
    return call_built(run, owner, call) if isinstance(owner, Built) else run.opaque_at(call.site, *call.args)


@_method(OF_MODELS, "apply")
def _applied(run: Interpreter, owner: Value, call: Call) -> Value:
    """flax and haiku: ``apply(variables, x)`` calls the model; torch: ``apply(initialise)`` gives it back."""
    if isinstance(owner, Partial) and owner.how.startswith("pure"):
        return invoke(run, owner.function, call._replace(args=call.args[1 if owner.how == "pure_without_rng" else 2 :]))
    if isinstance(owner, Partial):
        return run.opaque_at(call.site, *call.args)
    made_of = owner.cls.external_bases() if isinstance(owner, Instance) else []
    made_of += [owner.symbol] if isinstance(owner, Built) else []
    return _flax_apply(run, owner, call) if any(is_stateless(symbol.name) for symbol in made_of) else owner


_NOT_THE_MODELS = frozenset({"rngs", "mutable", "method", "variables", "capture_intermediates"})


def _flax_apply(run: Interpreter, owner: Value, call: Call) -> Value:
    given = {k: v for k, v in call.kwargs.items() if k not in _NOT_THE_MODELS}
    rest = call.args[0 if "variables" in call.kwargs else 1 :]
    method = call.kwargs.get("method")
    if isinstance(method, str):
        method = get_attribute(run, owner, method)
    if isinstance(method, Bound):
        method = method.function
    inner = Call(rest, given, call.site)
    value = invoke(run, method, inner.of(owner)) if method else invoke(run, owner, inner)
    return (value, opaque("variables")) if call.kwargs.get("mutable") not in (None, False) else value


@_method(OF_MODELS, "stateless_call")
def _stateless(run: Interpreter, owner: Value, call: Call) -> Value:
    """Keras on JAX: the output for given variables, and the variables that the call changed."""
    state = ("trainable_variables", "non_trainable_variables", "return_losses")
    given = {k: v for k, v in call.kwargs.items() if k not in state}
    named = sum(name in call.kwargs for name in state[:2])
    output = invoke(run, owner, Call(call.args[2 - named :], given, call.site))
    losses = (opaque("losses"),) if call.kwargs.get("return_losses") else ()
    return (output, opaque("variables"), *losses)


@_method(OF_MODELS, "compile")
def _compile(run: Interpreter, owner: Value, call: Call) -> Value:
    return compile_model(run, owner, call)


@_method(OF_MODELS, "predict", "predict_on_batch")
def _predict(run: Interpreter, owner: Value, call: Call) -> Value:
    """Keras: the model's output, as an array; a node of its own, so that it can be told where it came from."""
    is_network = isinstance(owner, Built) and owner.signature.op == "application"
    if not (is_module(owner) or is_network):
        return make("stop_gradient", run.opaque_at(call.site, owner, *call.args), origin=call.site.origin)
    return _as_array(run, model_output(run, owner, call.site), call.site)


@_method(OF_MODELS, "predict_classes")
def _predict_classes(run: Interpreter, owner: Value, call: Call) -> Value:
    """Keras before 2.6: the argmax of what it predicts, if that has more than one unit; else a threshold."""
    output = _predict(run, owner, call)
    units = units_of(output)
    if isinstance(output, Node) and isinstance(units, int):
        if units > 1:
            return run.record("argmax", [output], {"axis": -1}, call.site, "keras")
        return run.record("threshold", [output], {"value": 0.5, "above": True}, call.site, "keras")
    return run.opaque_at(call.site, output)


def _as_array(run: Interpreter, output: Value, site: Site) -> Value:
    if isinstance(output, Node):
        return make("stop_gradient", output, origin=site.origin)
    if isinstance(output, Dict):
        return Dict({name: _as_array(run, one, site) for name, one in output.known.items()})
    items = sequence(output) if isinstance(output, (List, tuple)) else None
    return output if items is None else List(tuple(_as_array(run, one, site) for one in items))


@_method(OF_MODELS, "__init__")
def _made_of(run: Interpreter, owner: Value, call: Call) -> Value:
    """``super().__init__(...)`` in an object's own ``__init__``, past which no class of the project has one."""
    owner = owner.instance if isinstance(owner, Super) else owner
    if isinstance(owner, Instance):
        inherit(run, owner, call)
        trains(run, owner.cls, call)
    outputs = call.kwargs.get("outputs", call.args[1] if len(call.args) > 1 else None)
    if isinstance(owner, Instance) and outputs is not None:
        run.write(owner.slots, "outputs", outputs)
    return None


@_method(OF_MODELS, "pop")
def _drop_layer(run: Interpreter, owner: Value, call: Call) -> Value:
    """Keras: takes the last layer off."""
    held = holder(owner)
    layers = () if held is None else tuple_in(held.slots, LAYERS)
    at = call.args[0] if call.args else -1
    if held is None or type(at) is not int or not -len(layers) <= at < len(layers):
        return run.opaque_at(call.site, owner, *call.args)
    left = list(layers)
    taken = left.pop(at)
    run.write(held.slots, LAYERS, tuple(left))
    return taken


@_method(OF_MODELS, "add_module", "append", "add")
def _add_layer(run: Interpreter, owner: Value, call: Call) -> Value:
    layer = call.args[-1] if call.args else call.kwargs.get("layer", call.kwargs.get("module"))
    name = call.kwargs.get("name", call.args[0] if len(call.args) > 1 else None)
    if isinstance(owner, Instance) and isinstance(name, str):
        set_attribute(run, owner, name, layer)
    elif isinstance(owner, Built) and isinstance(name, str) and LAYERS not in owner.slots:
        run.write(owner.slots, name, layer)
    elif isinstance(owner, (Instance, Built)):
        add_layers(run, owner, (layer,))
    return owner


@_method(OF_MODELS, "extend")
def _add_all_layers(run: Interpreter, owner: Value, call: Call) -> Value:
    more = sequence(call.args[0]) if call.args else None
    if more is not None:
        add_layers(run, owner, more)
    else:
        forget_length(run, owner)
    return owner


@_method(OF_MODELS, "insert")
def _insert_layer(run: Interpreter, owner: Value, call: Call) -> Value:
    if len(call.args) == 2 and type(call.args[0]) is int:
        add_layers(run, owner, (call.args[1],), at=call.args[0])
    return owner


@_method(OF_MODELS, "children")
def _children(run: Interpreter, owner: Value, call: Call) -> Value:
    """torch: the layers that a model holds itself."""
    layers, exact = layers_of(owner)
    return List(layers, exact) if layers else run.opaque_at(call.site, owner)


@_method(OF_MODELS, "named_children")
def _named_children(run: Interpreter, owner: Value, call: Call) -> Value:
    layers, exact = layers_of(owner)
    pairs = tuple((opaque("name"), layer) for layer in layers)
    return List(pairs, exact) if layers else run.opaque_at(call.site, owner)


@_method(OF_MODELS, "param", "variable", "add_weight", "add_variable", "create_parameter", "get_parameter")
def _parameter(run: Interpreter, _owner: Value, call: Call) -> Value:
    return make("parameter", name=str(run.opaque_at(call.site)), origin=call.site.origin)
