"""Keras models meeting their losses and metrics: ``compile``, ``fit`` on what was compiled, and ``output``."""

from __future__ import annotations

import ast
from functools import lru_cache

from finallayer.catalog import keras, tensorflow
from finallayer.expr import LOSSES, OPERATIONS, SAME_AXES, Node, make
from finallayer.kinds import Kind
from finallayer.source.calls import call_built, call_instance, invoke, operate
from finallayer.source.containers import sequence
from finallayer.source.followed import hand
from finallayer.source.interpreter import Interpreter
from finallayer.source.symbols import signature_behind, signature_of
from finallayer.source.tensors import to_node
from finallayer.source.values import (
    INNER,
    LAYERS,
    MISSING,
    Built,
    Call,
    Class,
    Dict,
    External,
    Function,
    Instance,
    List,
    Missing,
    Site,
    Union,
    Value,
    opaque,
    tuple_in,
)
from finallayer.source.walking import walk


def compile_model(run: Interpreter, model: Value, call: Call) -> Value:
    """``model.compile(optimizer, loss, metrics)``: each output meets its loss and its metrics."""
    loss = call.kwargs.get("loss", call.args[1] if len(call.args) > 1 else None)
    metrics = call.kwargs.get("metrics", call.args[2] if len(call.args) > 2 else None)
    if loss is None and metrics is None:
        return None
    outputs = outputs_of(run, model, call.site)
    spelled, measured = (_argument(call.site.node, *at) for at in (("loss", 1), ("metrics", 2)))
    only_measured = _is_only_measured(call.site)
    is_asked_for = not trains_itself(model, call.site.frame.module.tree) and not _is_only_asked(call.site)
    run.compiling += 1
    try:
        for i, (name, output) in enumerate(outputs):
            one = _for_output(loss, i, name, len(outputs))
            if one is not None and is_asked_for:
                run.no_grad += only_measured
                hand(run, apply_loss(run, one, output, Site(_item(spelled, i, name), call.site.frame)))
                run.no_grad -= only_measured
            for metric in (
                () if measures_itself(model) else _metrics(_for_output(metrics, i, name, len(outputs), spread=False))
            ):
                _apply_metric(run, metric, output, Site(measured, call.site.frame))
    finally:
        run.compiling -= 1
    return None


#: Methods of Keras' models in which a project's class may hand its metrics something else than the output.
_MEASURING = ("train_step", "test_step", "compute_metrics")


def measures_itself(model: Value) -> bool:
    """Whether a model's class is the project's, and says itself what its metrics are handed."""
    own = (model.cls.find(name) for name in _MEASURING) if isinstance(model, Instance) else ()
    return any(isinstance(method, Function) for method in own)


#: By these, a class's own ``train_step`` reads the loss that the model was compiled with.
_COMPILED_LOSS = frozenset(
    {"compiled_loss", "compute_loss", "loss", "loss_fn", "_compile_loss", "train_step", "test_step"}
)


def trains_itself(model: Value, tree: ast.Module) -> bool:
    """Whether a model's class is the project's, and trains without the loss that it is compiled with; which isn't asked
    for otherwise, either: by its own way of testing, or since the file tests nothing."""
    own = [model.cls.find(name) for name in ("train_step", "test_step")] if isinstance(model, Instance) else []
    steps = [method for method in own if isinstance(method, Function)]
    read = (n for method in steps for n in walk(method.node) if isinstance(n, ast.Attribute))
    trains = bool(steps) and steps[0] is own[0] and (len(steps) == len(own) or not _tests(tree))
    return trains and not any(n.attr in _COMPILED_LOSS for n in read)


@lru_cache(maxsize=64)
def _tests(tree: ast.Module) -> bool:
    """Whether a file has models evaluated, alone or while they are trained."""
    asked = {n.attr if isinstance(n, ast.Attribute) else getattr(n, "arg", None) for n in walk(tree)}
    return not asked.isdisjoint({"evaluate", "test_on_batch", "validation_data", "validation_split"})


#: What an object does with a model that it neither fits nor measures: it finds the weights by other means.
_ASKS, _SETS = frozenset({"predict", "predict_on_batch"}), "set_weights"
_FITS = frozenset("fit fit_generator train_on_batch evaluate evaluate_generator test_on_batch".split())


def _is_only_asked(site: Site) -> bool:
    """Whether ``self.model.compile()`` is there because Keras once wanted it: the object sets the model's weights and
    asks it for predictions, and never fits it."""
    function, node = site.frame.function, site.node
    owner = function.owner if function is not None else None
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Attribute(value=ast.Name(), attr=held))) if owner is not None:
            used = frozenset[str]().union(*(_asked_of(c.node, held) for c in owner.ancestry() if isinstance(c, Class)))
            return _SETS in used and bool(used & _ASKS) and not used & _FITS
    return False


@lru_cache(maxsize=1024)  # a class compiles its models again for each object
def _asked_of(cls: ast.ClassDef, held: str) -> frozenset[str]:
    """What a class asks of an attribute by that name, whichever object's."""
    asked = (n for n in walk(cls) if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Attribute))
    return frozenset(n.attr for n in asked if isinstance(n.value, ast.Attribute) and n.value.attr == held)


#: What doesn't train a model that is called so, nor hands it to anybody who might.
_MEASURES = frozenset({"evaluate", "evaluate_generator", "test_on_batch"})
_LEAVES_ALONE = _ASKS | {"compile", "load_weights", "set_weights", "summary", "predict_generator"}


def _is_only_measured(site: Site) -> bool:
    """Whether ``model.compile()`` is there so that a model can be measured: whoever holds it there, by that name, does
    nothing else with it."""
    function, node = site.frame.function, site.node
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name(id=held))):
            seen = list(walk(function.node)) if function is not None else []
            if not any(_binds(n, held) for n in seen):
                seen = list(walk(site.frame.module.tree))
            uses = [n.attr for n in seen if isinstance(n, ast.Attribute) and _is_read(n.value, held)]
            others = len(uses) < sum(_is_read(n, held) for n in seen)
            return not others and not _MEASURES.isdisjoint(uses) and set(uses) <= _MEASURES | _LEAVES_ALONE
    return False


def _binds(node: ast.AST, name: str) -> bool:
    if isinstance(node, ast.Name):
        return node.id == name and isinstance(node.ctx, ast.Store)
    return isinstance(node, ast.arg) and node.arg == name


def _is_read(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load)


def outputs_of(run: Interpreter, model: Value, site: Site) -> list[tuple[str | None, Value]]:
    """A model's outputs, each with the name of its layer where that is known."""
    value = model_output(run, model, site)
    if isinstance(value, Dict):
        return [(k if isinstance(k, str) else None, v) for k, v in value.slots.items()]
    if isinstance(value, (List, tuple)):
        return [(_layer_name(v), v) for v in sequence(value) or ()]
    return [(_layer_name(value), value)]


def model_output(run: Interpreter, model: Value, site: Site) -> Value:
    """What a model gives for an input."""
    x = make("opaque", name="input", rank=_input_rank(model))
    if isinstance(model, Instance):
        return call_instance(run, model, Call([x], {}, site))
    if isinstance(model, Built):
        return call_built(run, model, Call([x], {}, site))
    return opaque("output", model)


def symbolic_output(run: Interpreter, model: Value, name: str, site: Site) -> Value | Missing:
    """``model.output`` of a Keras model, or the only one of its ``outputs``: what a loss that is written out reads."""
    held = model.slots.get(INNER, model) if isinstance(model, Instance) else model
    if name not in _SYMBOLIC or not isinstance(held, Built) or held.symbol.framework != "keras":
        return MISSING
    if held.signature.op not in _MODELS or name in held.slots:
        return MISSING
    output = model_output(run, model, site)
    return output if name == "output" else List((output,)) if isinstance(output, Node) else output


_SYMBOLIC, _MODELS = ("output", "outputs"), ("model", "sequential", "application")


def _input_rank(model: Value) -> int | None:
    """The rank of a Sequential model's input, where its first layer states the shape."""
    layers = tuple_in(model.slots, LAYERS) if isinstance(model, Built) else ()
    first = layers[0] if layers else None
    if isinstance(first, Node):
        return first.rank
    if not isinstance(first, Built):
        return None
    shape = sequence(first.keywords.get("input_shape", first.bound.get("shape")))
    return len(shape) + 1 if shape else 2 if "input_dim" in first.keywords else None


def _layer_name(value: Value) -> str | None:
    name = value.attrs.get("layer") if isinstance(value, Node) else None
    return name if isinstance(name, str) else None


def _argument(node: ast.AST, name: str, position: int) -> ast.AST:
    """The syntax of one argument of a call, so that a finding stands there; the call itself where it isn't spelled."""
    if isinstance(node, ast.Call):
        for keyword in node.keywords:
            if keyword.arg == name:
                return keyword.value
        if len(node.args) > position:
            return node.args[position]
    return node


def _item(node: ast.AST, index: int, name: str | None) -> ast.AST:
    """The syntax of the loss for one output, where a dictionary or list of them is spelled."""
    match node:
        case ast.Dict(keys=keys, values=values):
            named = [v for k, v in zip(keys, values, strict=True) if isinstance(k, ast.Constant) and k.value == name]
            return named[0] if len(named) == 1 and name is not None else node
        case ast.List(elts=items) | ast.Tuple(elts=items) if len(items) > index:
            return items[index] if not any(isinstance(i, ast.Starred) for i in items) else node
    return node


def _for_output(given: Value, index: int, name: str | None, outputs: int, spread: bool = True) -> Value:
    """The loss (or metrics) meant for one output of a model."""
    if isinstance(given, Dict):
        if name in given.slots:
            return given.slots[name]
        return next(iter(given.slots.values())) if name is None and len(given.slots) == outputs == 1 else None
    items = sequence(given) if isinstance(given, (List, tuple)) else None
    if items is not None and (spread or outputs > 1) and len(items) == outputs:
        return items[index]
    return given


def apply_loss(run: Interpreter, loss: Value, output: Value, site: Site) -> Value:
    """The loss that a string, class, object or function names, of an output and the labels."""
    target = make("target", name="y_true")
    if isinstance(loss, Union):
        return run.each(loss, lambda one: apply_loss(run, one, output, site)) if loss.when else opaque("loss")
    if isinstance(loss, str):
        name = keras.LOSSES.get(loss)
        return _by_name(run, name, output, target, site) if name else opaque("loss")
    if isinstance(loss, External):
        signature = signature_of(loss.name)
        if signature is not None and signature.call is not None:  # the class itself: Keras makes one
            loss = invoke(run, loss, Call([], {}, site))
    return invoke(run, loss, Call([target, output], {}, site))


def _by_name(run: Interpreter, name: str, output: Value, target: Value, site: Site) -> Value:
    return invoke(run, External(name), Call([target, output], {}, site))


def _metrics(given: Value) -> tuple[Value, ...]:
    items = sequence(given) if isinstance(given, (List, tuple)) else None
    return items if items is not None else (given,) if given is not None else ()


def _apply_metric(run: Interpreter, metric: Value, output: Value, site: Site) -> None:
    if isinstance(metric, str):
        by_units = keras.METRICS_BY_UNITS.get(metric)
        name = by_units[units_of(output) != 1] if by_units else keras.METRICS.get(metric)
        if name is not None:
            apply_loss(run, External(name), output, site)
    elif isinstance(metric, (Built, External)) and not _is_of_any_numbers(metric):
        apply_loss(run, metric, output, site)


#: Pooling leaves Keras' channels where they are; Reshape and Flatten don't.
_KEEPING_UNITS = SAME_AXES | {"pool"}
_OF_ANY_NUMBERS = frozenset(op for op in LOSSES if OPERATIONS[op].takes is Kind.UNKNOWN)


def _is_of_any_numbers(loss: Built | External) -> bool:
    """Whether a loss that serves as a metric, by which nothing is trained, means the same of any numbers."""
    signature = signature_behind(loss)
    return signature is not None and signature.op in _OF_ANY_NUMBERS


def units_of(output: Value) -> object:
    """How many units an output has on its last axis, where its last layer says so."""
    node = to_node(output)
    while "units" not in node.attrs and node.op in _KEEPING_UNITS and node.args:
        node = node.args[0]
    return node.attrs.get("units")


def regression(run: Interpreter, output: Value, loss: Value, site: Site) -> Value:
    """``tflearn.regression``: a network's output meets a loss named by a string."""
    name = tensorflow.LOSSES.get(loss) if isinstance(loss, str) else None
    signature = signature_of(name) if name else None
    if name and signature is not None:
        operate(run, signature, {"x": output, "target": opaque("y_true")}, External(name), site)
    return output
