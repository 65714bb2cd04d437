"""The layers that a model holds, in the order in which it has come by them."""

from __future__ import annotations

from finallayer.expr import Node, is_given
from finallayer.source.interpreter import Interpreter
from finallayer.source.symbols import is_module
from finallayer.source.values import EXACT, INNER, LAYERS, Built, Instance, Missing, Union, Value, tuple_in


def holder(owner: Value) -> Instance | Built | None:
    """What keeps the layers of a model: itself, or the foreign class that it derives from."""
    if isinstance(owner, Instance) and isinstance(inner := owner.slots.get(INNER), Built) and LAYERS in inner.slots:
        return inner
    return owner if isinstance(owner, (Instance, Built)) and LAYERS in owner.slots else None


def layers_of(owner: Value) -> tuple[tuple[Value, ...], bool]:
    """The layers of a model, and whether it has these for certain, and no others."""
    held = holder(owner)
    return ((), False) if held is None else (tuple_in(held.slots, LAYERS), held.slots.get(EXACT) is True)


def add_layers(run: Interpreter, owner: Value, layers: tuple[Value, ...], at: int | None = None) -> None:
    """A model gets layers: behind all others, or before one of them."""
    held = holder(owner)
    if held is not None:
        known = tuple_in(held.slots, LAYERS)
        place = len(known) if at is None else at
        run.write(held.slots, LAYERS, (*known[:place], *layers, *known[place:]))


def register(run: Interpreter, owner: Instance, value: Value, before: Value | Missing) -> None:
    """torch: a module that becomes an attribute of a model is one of its layers, in the place of the one ``before``."""
    held = holder(owner)
    if held is None or (isinstance(held, Built) and held.symbol.framework != "torch"):
        return
    known = tuple_in(held.slots, LAYERS)
    at = next((i for i, layer in enumerate(known) if layer is before), None) if _may_be_module(before) else None
    if at is not None:
        run.write(held.slots, LAYERS, (*known[:at], value, *known[at + 1 :]))
    elif _may_be_module(value):
        run.write(held.slots, LAYERS, (*known, value))


def _may_be_module(value: Value | Missing) -> bool:
    if isinstance(value, Union):
        return any(map(_may_be_module, value.values))
    if isinstance(value, Node):
        return is_given(value)
    return not isinstance(value, Missing) and is_module(value)


def put_layer(run: Interpreter, owner: Built, index: Value, layer: Value) -> None:
    """``model[index] = layer``."""
    layers = list(tuple_in(owner.slots, LAYERS))
    if type(index) is int and -len(layers) <= index < len(layers):
        layers[index] = layer
        run.write(owner.slots, LAYERS, tuple(layers))
    else:
        forget_layers(run, owner)


def forget_layers(run: Interpreter, owner: Instance | Built) -> None:
    """Nobody knows any more which layers a model has."""
    run.write(owner.slots, LAYERS, ())
    run.write(owner.slots, EXACT, False)
