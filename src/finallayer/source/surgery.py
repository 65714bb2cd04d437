"""Surgery: what is done to the inside of a model whose layers nobody knows, such as a pretrained one.

A new head that is put where users put heads is understood (``model.fc = ...``, ``model.classifier[6] = ...``). After
anything else, what the model gives isn't known any more.
"""

from __future__ import annotations

import ast

from finallayer.expr import Node
from finallayer.source.attributes import set_attribute
from finallayer.source.handlers import FOREIGN, OF_MODELS
from finallayer.source.interpreter import Interpreter
from finallayer.source.layers import put_layer
from finallayer.source.values import LAYERS, UNSETTLED, Bound, Built, Call, Frame, Function, Instance, Value, opaque
from finallayer.source.walking import walk

#: Models of which only the head is known, by what the catalogue calls them.
_UNSEEN = frozenset({"zoo", "classifier", "application", "segmenter", "model"})
#: What is stored in a layer without another layer coming of it: its numbers, and what is done to them.
_HARMLESS = frozenset(
    "weight bias data grad weights kernel running_mean running_var requires_grad trainable training inplace p eps "
    "momentum name config".split()
)
#: Methods of a part of a model that change what the model gives.
_CHANGES = frozenset("add_module append extend insert pop register_module".split())
_HOOK = "register_forward_hook"


def unsettle(run: Interpreter, place: ast.expr, frame: Frame, stored: Value = None) -> None:
    """Something is stored in a place that isn't understood: if within such a model, it gives nobody knows what.

    But for numbers, such as a convolution's stride: no layer comes of them. A flag may ask for one.
    """
    if _is_of_numbers(stored):
        return
    while (outer := _outer(place)) is not None:
        if isinstance(place, ast.Attribute) and place.attr in _HARMLESS:
            return
        place = outer
        if isinstance(place, ast.Call):
            continue
        value = run.evaluate(place, frame)
        if isinstance(value, Built) and (value.signature.op in _UNSEEN or LAYERS in value.slots):
            run.write(value.slots, UNSETTLED, True)
            return


def put_module(run: Interpreter, place: ast.expr, name: str, layer: Value, frame: Frame) -> None:
    """torch: ``model._modules[name] = layer``, which is ``setattr(model, name, layer)``."""
    model = run.evaluate(place, frame)
    if isinstance(model, Built) and LAYERS in model.slots:
        put_layer(run, model, int(name) if name.isdecimal() else name, layer)
    elif isinstance(model, (Built, Instance)):
        set_attribute(run, model, name, layer)
    else:
        unsettle(run, place, frame)


def leave_out(run: Interpreter, place: ast.Subscript, owner: Value, frame: Frame) -> None:
    """``del model._modules[name]``, or an item of an ``owner`` that isn't understood."""
    match place.value:
        case ast.Attribute(value=model, attr="_modules") if isinstance(
            whole := run.evaluate(model, frame), (Built, Instance)
        ):
            run.write(whole.slots, UNSETTLED, True)
        case _ if isinstance(owner, (Node, Bound)):
            unsettle(run, place, frame)


def _is_of_numbers(value: Value) -> bool:
    return all(map(_is_of_numbers, value)) if isinstance(value, tuple) else type(value) in (int, float)


def _outer(place: ast.expr) -> ast.expr | None:
    match place:
        case ast.Attribute(value=outer) | ast.Subscript(value=outer) | ast.Call(func=ast.Attribute(value=outer)):
            return outer
    return None


def _changed(run: Interpreter, _name: str, call: Call) -> None:
    """A method of a part of the model that changes it: ``model.classifier.add_module("7", nn.Softmax(1))``."""
    match call.site.node:
        case ast.Call(func=ast.Attribute(attr=attr) as method) if attr in _CHANGES or (
            attr == _HOOK and call.args and _gives_another(call.args[0])
        ):
            unsettle(run, method, call.site.frame)


def _gives_another(hook: Value) -> bool:
    """Whether a forward hook may replace the output: one that returns nothing leaves it as it is."""
    function = hook.function if isinstance(hook, Bound) else hook
    if not isinstance(function, Function):
        return True
    returned = [n.value for n in walk(function.node) if isinstance(n, ast.Return)]
    return isinstance(function.node, ast.Lambda) or any(value is not None for value in returned)


def _hooked(run: Interpreter, owner: Value, call: Call) -> Value:
    """``model.register_forward_hook(hook)``, whatever model it is."""
    if isinstance(owner, (Built, Instance)) and call.args and _gives_another(call.args[0]):
        run.write(owner.slots, UNSETTLED, True)
    return opaque("hook")


FOREIGN.append(_changed)
OF_MODELS[_HOOK] = _hooked
