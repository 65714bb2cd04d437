"""What the catalogue's constructs do: names that build or transform a program instead of computing a tensor.

Each is registered for the construct's own call (``CONSTRUCTS``) or for a call of the object that it built (``CALLED``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from finallayer.catalog import Signature, keras, torch
from finallayer.catalog.conventions import Meaning, suggests
from finallayer.expr import Node, make
from finallayer.source.calls import activate, apply_layers, callable_value, invoke
from finallayer.source.containers import element, sequence
from finallayer.source.handlers import CALLED, CONSTRUCTS, Called, Construct
from finallayer.source.interpreter import Interpreter
from finallayer.source.keras_models import regression
from finallayer.source.symbols import signature_of
from finallayer.source.tensors import to_node
from finallayer.source.values import (
    EXACT,
    ITEMS,
    LAYERS,
    Built,
    Call,
    Dict,
    External,
    List,
    Partial,
    Site,
    Value,
    opaque,
    tuple_in,
    union,
)

T = TypeVar("T", Construct, Called)


def handles(table: dict[str, T], *names: str) -> Callable[[T], T]:
    def register(function: T) -> T:
        table.update(dict.fromkeys(names, function))
        return function

    return register


@handles(CONSTRUCTS, "model", "module", "application", "no_grad", "rows", "loader", "recurrent")
def _built(_run: Interpreter, made: Built) -> Value:
    return made


# Models out of layers


@handles(CONSTRUCTS, "sequential")
def _sequential(_run: Interpreter, made: Built) -> Value:
    layers, exact = _layers(made.bound.get("layers"))
    made.slots |= {LAYERS: layers, EXACT: exact}
    return made


def _layers(given: Value) -> tuple[tuple[Value, ...], bool]:
    """The layers of a model given one by one, as a list, or as a dictionary of names."""
    if given is None:
        return (), True
    if isinstance(given, tuple) and len(given) == 1 and isinstance(given[0], (List, Dict)):
        given = given[0]
    if isinstance(given, Dict):
        return tuple(given.slots.values()), True
    if isinstance(given, List):
        return given.items, given.exact
    items = sequence(given)
    return (items, True) if items is not None else ((given,), False)


@handles(CALLED, "sequential")
def _run_sequential(run: Interpreter, built: Built, call: Call) -> Value:
    if not call.args:
        return run.opaque_at(call.site)
    x = call.args[0] if built.slots[EXACT] else opaque("layers", *call.args)
    layers = tuple_in(built.slots, LAYERS)
    return apply_layers(run, layers if built.slots[EXACT] else layers[-1:], x, call.site)


@handles(CONSTRUCTS, "layers")
def _layer_list(_run: Interpreter, made: Built) -> Value:
    given = made.bound.get("layers")
    if isinstance(given, (List, Dict)):
        return given
    items = sequence(given) if given is not None else ()
    return List(items if items is not None else (), exact=items is not None)


@handles(CALLED, "model")
def _run_model(run: Interpreter, built: Built, call: Call) -> Value:
    outputs = built.bound.get("outputs")
    if isinstance(outputs, List) and outputs.exact:
        return outputs.items[0] if len(outputs.items) == 1 else outputs
    return outputs if outputs is not None else run.opaque_at(call.site, *call.args)


@handles(CALLED, "application")
def _run_application(run: Interpreter, built: Built, call: Call) -> Value:
    head = built.bound.get("include_top", True)
    features = run.opaque_at(built.site, *call.args)
    if head is not True:
        return features
    scores = make("affine", features, origin=built.site.origin, units=built.bound.get("units"), rank=2)
    return activate(run, built.bound.get("activation", "softmax"), scores, built.site)


@handles(CONSTRUCTS, "segmenter")
def _segmenter(_run: Interpreter, made: Built) -> Value:
    return made


@handles(CALLED, "segmenter")
def _run_segmenter(run: Interpreter, built: Built, call: Call) -> Value:
    """A network that gives a score for each pixel, with the activation that its maker was asked for."""
    features = run.opaque_at(built.site, *call.args)
    scores = make("affine", features, origin=built.site.origin, units=built.bound.get("units"), rank=4)
    name = built.bound.get("activation")
    if isinstance(name, str) and name in torch.OF_SEGMENTERS:
        layer = invoke(run, External(torch.OF_SEGMENTERS[name]), Call([], {}, built.site))
        return invoke(run, layer, Call([scores], {}, built.site))
    return scores if name is None or name == "identity" else activate(run, name, scores, built.site)


@handles(CALLED, "recurrent")
def _run_recurrent(run: Interpreter, built: Built, call: Call) -> Value:
    """What is given for each step, and the last state (of an LSTM two of them), all with as many axes as the input."""
    x = call.args[0] if call.args else None
    parts = [run.opaque_at(call.site, x, part) for part in ("steps", "state", "memory")]
    steps, state, memory = (_as_many_axes(part, x) for part in parts)
    return (steps, (state, memory) if built.signature.attrs.get("value") == 2 else state)


def _as_many_axes(made: Node, x: Value) -> Node:
    axes = {"rank": x.rank} if isinstance(x, Node) and x.rank is not None else {}
    return Node("opaque", (), {**made.attrs, **axes}, None)


@handles(CALLED, "zoo")
def _run_zoo(run: Interpreter, built: Built, call: Call) -> Value:
    features = run.opaque_at(call.site, *call.args)
    head = next((layer for name, layer in built.slots.items() if suggests(name, Meaning.HEAD)), None)
    if head is not None:
        return invoke(run, head, Call([features], {}, call.site)) if callable_value(head) else features
    return make("affine", features, origin=built.site.origin)


@handles(CONSTRUCTS, "input")
def _input(run: Interpreter, made: Built) -> Value:
    shape = sequence(made.bound.get("shape"))
    name = str(run.opaque_at(made.site))
    if shape is None:
        return make("opaque", name=name, fed=True)
    return make("opaque", name=name, fed=True, rank=len(shape) + int(made.signature.attrs.get("batch_axes", 0)))


@handles(CONSTRUCTS, "serial")
def _serial(_run: Interpreter, made: Built) -> Value:
    """A stax model is a pair (init, apply); so are its layers, or constants that stand for such a pair."""
    pairs, exact = _layers(made.bound.get("layers"))
    built = Built(made.symbol, Signature("sequential", (), (), {}), {}, made.site)
    built.slots |= {LAYERS: tuple(_applied(pair, made.site) for pair in pairs), EXACT: exact}
    return (opaque("init"), Partial(built, how="apply_without_rng"))


def _applied(pair: Value, site: Site) -> Value:
    """The layer of a pair (init, apply), or of a name that stands for one (Relu, Softmax)."""
    if isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[1], Partial):
        return pair[1].function
    if not isinstance(pair, External):
        return pair
    signature = signature_of(pair.name)
    return pair if signature is None or signature.call is None else Built(pair, signature, {}, site)


@handles(CONSTRUCTS, "state")
def _state(_run: Interpreter, made: Built) -> Value:
    """flax: a state keeps what it is made with."""
    made.slots |= made.keywords
    return made


@handles(CONSTRUCTS, "fit_loss")
def _fit_loss(run: Interpreter, made: Built) -> Value:
    return regression(run, made.bound.get("x"), made.bound.get("loss"), made.site)


# Functions of functions


@handles(CONSTRUCTS, "same")
def _same(_run: Interpreter, made: Built) -> Value:
    return made.bound.get("x", made.symbol)


@handles(CONSTRUCTS, "transform", "vmap", "value_and_grad", "grad", "pure")
def _transform(_run: Interpreter, made: Built) -> Value:
    aux = (("has_aux", made.bound["has_aux"]),) if "has_aux" in made.bound else ()
    if "f" not in made.bound:
        return Partial(made.symbol, (), aux)
    how = made.signature.op
    if how == "pure":
        how = "pure" if made.signature.attrs.get("rng", True) else "pure_without_rng"
        if isinstance(made.bound["f"], Partial) and made.bound["f"].how.startswith("pure"):
            return Partial(made.bound["f"].function, how=how)
    return Partial(made.bound["f"], (), aux, how)


@handles(CONSTRUCTS, "call")
def _call(run: Interpreter, made: Built) -> Value:
    operands = made.bound.get("operands", ())
    args: list[Value] = list(operands) if isinstance(operands, tuple) else [operands]
    return invoke(run, made.bound.get("f"), Call(args, {}, made.site))


@handles(CONSTRUCTS, "scan")
def _scan(run: Interpreter, made: Built) -> Value:
    """One turn of the loop stands for all."""
    row = element(made.bound.get("y", opaque("xs")))
    return invoke(run, made.bound.get("f"), Call([made.bound.get("x"), row], {}, made.site))


@handles(CONSTRUCTS, "mapped")
def _mapped(run: Interpreter, made: Built) -> Value:
    each = Partial(made.bound.get("f"), how="vmap")
    return invoke(run, each, Call([made.bound.get("x", opaque("rows"))], {}, made.site))


@handles(CONSTRUCTS, "arg_scope")
def _arg_scope(_run: Interpreter, made: Built) -> Value:
    return made


@handles(CONSTRUCTS, "while_loop")
def _while_loop(run: Interpreter, made: Built) -> Value:
    """One turn of the loop stands for all; it gives the variables, one alone by itself."""
    variables = sequence(made.bound.get("operands"))
    if variables is None or not callable_value(made.bound.get("f")):
        return run.opaque_at(made.site, *made.bound.values())
    return invoke(run, made.bound["f"], Call(list(variables), {}, made.site))


@handles(CONSTRUCTS, "array")
def _array(_run: Interpreter, made: Built) -> Value:
    made.slots[ITEMS] = ()
    return made


@handles(CONSTRUCTS, "partial")
def _partial(_run: Interpreter, made: Built) -> Value:
    given = {k: v for k, v in made.keywords.items() if k != "func"}
    return Partial(made.bound.get("f"), tuple_in(made.bound, "operands"), tuple(given.items()))


@handles(CONSTRUCTS, "cond")
def _cond(run: Interpreter, made: Built) -> Value:
    operands = list(tuple_in(made.bound, "operands"))
    ways = [made.bound[k] for k in ("x", "y") if k in made.bound]
    tensors = [to_node(w) if isinstance(w, (int, float)) else w for w in ways]
    return union([w if not callable_value(w) else invoke(run, w, Call(operands, {}, made.site)) for w in tensors])


# Tensors


@handles(CONSTRUCTS, "distribution_of")
def _distribution(run: Interpreter, made: Built) -> Value:
    """A distribution, by whichever of the two it is given."""
    given = {name: made.bound[name] for name in ("x", "y") if made.bound.get(name) is not None}
    if len(given) != 1:
        return run.opaque_at(made.site, *made.bound.values())
    ((name, value),) = given.items()
    attrs = {**made.signature.attrs, "from_logits": name == "y", "name": made.symbol.name}
    return run.record("distribution", [to_node(value)], attrs, made.site, made.symbol.framework)


@handles(CONSTRUCTS, "draw")
def _draw(run: Interpreter, made: Built) -> Value:
    x = made.bound.get("x")
    if isinstance(x, Node) and x.op == "distribution":
        return run.record("sample", [x], {}, made.site)
    return run.opaque_at(made.site, *made.bound.values())


@handles(CONSTRUCTS, "vjp")
def _vjp(run: Interpreter, made: Built) -> Value:
    return (_call(run, made), opaque("pullback"))


@handles(CONSTRUCTS, "einsum")
def _einsum(run: Interpreter, made: Built) -> Value:
    return run.record("matmul", [to_node(v) for v in tuple_in(made.bound, "operands")], {}, made.site)


@handles(CONSTRUCTS, "applier")
def _applier(run: Interpreter, made: Built) -> Value:
    if "x" in made.bound:
        return activate(run, made.bound.get("activation"), made.bound["x"], made.site)
    if made.signature.call is not None:
        return made
    name = made.bound.get("activation")
    return External(keras.ACTIVATIONS[name]) if isinstance(name, str) and name in keras.ACTIVATIONS else name


@handles(CALLED, "applier")
def _run_applier(run: Interpreter, built: Built, call: Call) -> Value:
    x = call.args[0] if call.args else call.kwargs.get("inputs")
    return activate(run, built.bound.get("activation"), x, call.site)
