"""Fixes of heads in Keras, and of TensorFlow's losses on Keras models: ``from_logits=True``."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import ClassVar

from finallayer.catalog import keras
from finallayer.catalog.names import canonical
from finallayer.expr import Node
from finallayer.fix.fixers.dialect import CompiledOutput, Dialect, Edits
from finallayer.fix.fixers.keras_metrics import metrics_on_logits
from finallayer.fix.fixers.probability_models import by_probability_models, groups_by_model
from finallayer.fix.fixers.removal import Removal
from finallayer.fix.flow.analysed import AnalysedModule
from finallayer.fix.flow.known_calls import KnownCall, known_call
from finallayer.fix.flow.readers import Reader
from finallayer.fix.flow.written import item, written
from finallayer.fix.text.deletion import drop_item
from finallayer.fix.text.imports import Imports
from finallayer.fix.text.keras_spelling import spell, with_argument
from finallayer.fix.text.syntax import Syntax, is_written_out
from finallayer.source.values import Built, Dict, External, Function, Instance, List

#: A loss's function (and the string that names it) -> its class.
_CLASSES = {
    "categorical_crossentropy": "CategoricalCrossentropy",
    "sparse_categorical_crossentropy": "SparseCategoricalCrossentropy",
    "binary_crossentropy": "BinaryCrossentropy",
}


#: Methods of Keras' models by which a project's class gives something else than its output for a prediction.
_PREDICTING = ("predict_step", "make_predict_function")
_TENSORFLOW = ("tensorflow", "tensorflow.compat.v1", "tensorflow.compat.v2")
#: What ``log_loss`` calls its arguments, and ``sigmoid_cross_entropy`` the same.
_OF_LOG_LOSS = {"labels": "multi_class_labels", "predictions": "logits"}


class Keras(Dialect):
    frameworks: ClassVar[frozenset[str]] = frozenset({"keras", "tensorflow"})

    def on_logits(self, module: AnalysedModule, loss: Node) -> Edits | None:
        place = module.syntax.expression(loss.origin)
        if place is None:
            return None
        named = _named_loss(module, place, loss)
        if isinstance(named, ast.Call):
            if (known := known_call(module, named, "bce_probs")) is not None:
                return _sigmoid_cross_entropy(module.syntax, known)
            if self._states_it_by_position(module, named):
                return None
            return with_argument(module.syntax, named, "from_logits", "True")
        if named is None or (place := _place_of_name(module, place, loss)) is None:
            return None
        spelled = spell(module.syntax, f"losses.{named}", place)
        if spelled is None:
            return None
        return (module.syntax.replace(place, f"{spelled.text}(from_logits=True)"), *spelled.edits)

    def _states_it_by_position(self, module: AnalysedModule, call: ast.Call) -> bool:
        """Whether from_logits, a class' first parameter and a function's third, may be among the positional ones."""
        return len(call.args) > (2 if known_call(module, call) else 0)

    def of_one_class(self, module: AnalysedModule, loss: Node) -> Edits | None:
        place = module.syntax.expression(loss.origin)
        named = _named_loss(module, place, loss) if place is not None else None
        if place is None or named is None or (isinstance(named, ast.Call) and (named.args or named.keywords)):
            return None
        at = named if isinstance(named, ast.Call) else _place_of_name(module, place, loss)
        spelled = spell(module.syntax, "losses.CategoricalCrossentropy", at) if at is not None else None
        if at is None or spelled is None:
            return None
        return (module.syntax.replace(at, f"{spelled.text}(from_logits=True)"), *spelled.edits)

    def restored(self, reader: Reader, _removal: Removal, made: Node) -> Edits | None:
        """``tf.nn.softmax(...)`` where TensorFlow is imported, else Keras' own, as all its versions call it."""
        if made.attrs.get("axis", -1) not in (-1, None):
            return None
        syntax = reader.module.syntax
        imports = Imports(syntax)
        tensorflow = (imports.known(f"{root}.nn.{made.op}", reader.node) for root in _TENSORFLOW)
        module = "ops" if "ops" in syntax.names else "activations"
        spelled = next(filter(None, tensorflow), None) or spell(syntax, f"{module}.{made.op}", reader.node)
        if spelled is None:
            return None
        text = f"{spelled.text}({syntax.text(reader.node)})"
        return (syntax.replace(reader.node, text), *spelled.edits)

    def predicting(self, calls: Sequence[Reader], made: Node) -> Edits | None:
        """``probability_model = keras.Sequential([model, keras.layers.Softmax()])``, and its ``predict``."""
        module, at = calls[0].module, calls[0].node
        several = any(not isinstance(v, Node) for call in calls for v in module.values(call.node))
        several |= any(_takes_several(module, call.node) for call in calls)
        if made.attrs.get("axis", -1) not in (-1, None) or several or any(map(_predicts_itself, calls)):
            return None
        ways = [spell(module.syntax, name, at) for name in ("Sequential", "models.Sequential")]
        sequential = min((w for w in ways if w is not None), key=lambda w: len(w.edits), default=None)
        layer = spell(module.syntax, "layers.Softmax" if made.op == "softmax" else "layers.Activation", at)
        if sequential is None or layer is None:
            return None
        head = f"{layer.text}()" if made.op == "softmax" else f'{layer.text}("sigmoid")'
        groups = groups_by_model(module.syntax, [c.node for c in calls if isinstance(c.node, ast.Call)])
        if any(g.model in ("self", "cls") or not all(map(module.syntax.is_legible, g.calls)) for g in groups):
            return None
        texts = {g.model: f"{sequential.text}([{g.model}, {head}])" for g in groups}
        return (*sequential.edits, *layer.edits, *by_probability_models(module.syntax, groups, texts))

    def compiled(self, module: AnalysedModule, call: ast.Call, head: str, output: CompiledOutput) -> Edits | None:
        return metrics_on_logits(module, call, head, output)


def _takes_several(module: AnalysedModule, predict: ast.expr) -> bool:
    """Whether a model that is asked to predict takes several inputs, which a sequence of layers doesn't."""
    model = predict.func.value if isinstance(predict, ast.Call) and isinstance(predict.func, ast.Attribute) else None
    built = [v for v in module.values(model) if isinstance(v, Built)] if model is not None else []
    inputs = (given for b in built for name, given in b.bound.items() if name == "inputs")
    return any(isinstance(given, List) and len(given.items) > 1 for given in inputs)


def _predicts_itself(call: Reader) -> bool:
    """Whether a call of ``predict`` isn't written with its model, or the model's class says what it predicts."""
    func = getattr(call.node, "func", None)
    models = call.module.values(func.value) if isinstance(func, ast.Attribute) else []
    own = [v.cls.find(method) for v in models if isinstance(v, Instance) for method in _PREDICTING]
    return not isinstance(func, ast.Attribute) or any(isinstance(method, Function) for method in own)


def _named_loss(module: AnalysedModule, place: ast.expr, loss: Node) -> ast.Call | str | None:
    """The call that makes or is a loss, or the class that stands for the string or function at a place."""
    built = module.layer(place) or (module.layer(place.func) if isinstance(place, ast.Call) else None)
    if built is not None:
        return module.maker(built)
    if isinstance(place, ast.Call):
        return place if known_call(module, place, "xent", "bce", "bce_probs") else None
    classes = {_class_of(_of_output(value, loss)) for value in module.values(place)}
    return classes.pop() if len(classes) == 1 else None


def _sigmoid_cross_entropy(syntax: Syntax, log_loss: KnownCall) -> Edits | None:
    """TensorFlow 1's ``tf.losses.log_loss(y, p)`` becomes ``tf.losses.sigmoid_cross_entropy(y, z)``."""
    call, func = log_loss.node, log_loss.node.func
    if not isinstance(func, ast.Attribute) or func.attr != "log_loss" or len(call.args) > 3 or not is_written_out(call):
        return None
    edits = [syntax.replace(func, f"{syntax.text(func.value)}.sigmoid_cross_entropy")]
    given = [*call.args, *call.keywords]
    for keyword in call.keywords:
        name, start = keyword.arg or "", (keyword.lineno, syntax.file.origin(keyword).column)  # type: ignore[arg-type]
        if name in _OF_LOG_LOSS:
            edits.append(syntax.put(start, (start[0], start[1] + len(name)), _OF_LOG_LOSS[name]))
    dropped = [drop_item(syntax, given, given.index(k)) for k in call.keywords if k.arg == "epsilon"]
    return (*edits, *(d for d in dropped if d is not None)) if None not in dropped else None


def _of_output(value: object, loss: Node) -> object:
    """The loss for one output of a model, where a dictionary of them has a name."""
    return value.slots.get(loss.args[0].attrs.get("layer")) if isinstance(value, Dict) else value


def _place_of_name(module: AnalysedModule, place: ast.expr, loss: Node) -> ast.expr | None:
    """The expression that says which loss it is, at its place or where that is written."""
    at = written(module.syntax, place)
    if any(isinstance(v, Dict) for v in module.values(place)):
        return item(at, loss.args[0].attrs.get("layer"))
    return at


def _class_of(loss: object) -> str | None:
    """The class of Keras' that a string, a function or the class itself names as a loss."""
    name = keras.LOSSES.get(loss) if isinstance(loss, str) else loss.name if isinstance(loss, External) else None
    module, _, last = canonical(name or "").rpartition(".")
    if module not in ("keras.losses", "keras.metrics"):
        return None
    return _CLASSES.get(last, last if last in _CLASSES.values() else None)
