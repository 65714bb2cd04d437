"""Fixes of heads in Keras, and of TensorFlow's losses on Keras models: ``from_logits=True``."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import ClassVar

from finallayer.expr import Node
from finallayer.fix.heads import Dialect, Edits, Output, drop_head, is_legible, take_logits
from finallayer.fix.imports import Imports, Spelled
from finallayer.fix.readers import Place, is_accuracy
from finallayer.fix.registry import Context, Proposal, mends
from finallayer.fix.removal import Program, Removal
from finallayer.fix.syntax import Syntax
from finallayer.rules.base import Edit, Match, Sighting
from finallayer.source.values import Built, External

#: A loss's function (and the string that names it) -> its class.
_CLASSES = {
    "categorical_crossentropy": "CategoricalCrossentropy",
    "sparse_categorical_crossentropy": "SparseCategoricalCrossentropy",
    "binary_crossentropy": "BinaryCrossentropy",
}
#: Modules from which a file may know Keras.
_KERAS = ("keras", "tensorflow.keras", "tf_keras", "keras_core")


def spell(syntax: Syntax, name: str, at: ast.AST) -> Spelled | None:
    """``losses.SparseCategoricalCrossentropy`` as the file's imports reach it; with an import where none does."""
    imports = Imports(syntax)
    for root in _KERAS:
        known = imports.known(f"{root}.{name}", at)
        if known is not None:
            return known
    used = next((r for r in _KERAS for n in imports.names.values() if n == r or n.startswith(f"{r}.")), None)
    return imports.imported_by_name(f"{used}.{name}") if used else None


def with_argument(syntax: Syntax, call: ast.Call, name: str, value: str) -> Edits | None:
    """The edits that give a call a keyword argument, or change the one that it has."""
    if any(k.arg is None for k in call.keywords) or any(isinstance(a, ast.Starred) for a in call.args):
        return None
    for keyword in call.keywords:
        if keyword.arg == name:
            return (syntax.replace(keyword.value, value),)
    given: list[ast.AST] = [*call.args, *call.keywords]
    file = syntax.file
    if given:
        last = max((file.origin(g) for g in given), key=lambda o: (o.end_line, o.end_column))  # type: ignore[arg-type]
        place = (last.end_line, last.end_column)
        return (syntax.put(place, place, f", {name}={value}"),)
    at = file.origin(call)
    place = (at.end_line, at.end_column - 1)
    return (syntax.put(place, place, f"{name}={value}"),)


class Keras(Dialect):
    frameworks: ClassVar[frozenset[str]] = frozenset({"keras", "tensorflow"})

    def on_logits(self, program: Program, loss: Node) -> Edits | None:
        place = program.syntax.expression(loss.origin)
        if place is None:
            return None
        named = loss_values(program, place)
        if isinstance(named, ast.Call):
            if self._states_it_by_position(program, named):
                return None
            return with_argument(program.syntax, named, "from_logits", "True")
        if named is None:
            return None
        spelled = spell(program.syntax, f"losses.{named}", place)
        if spelled is None:
            return None
        return (program.syntax.replace(place, f"{spelled.text}(from_logits=True)"), *spelled.edits)

    def _states_it_by_position(self, program: Program, call: ast.Call) -> bool:
        """Whether from_logits, a class' first parameter and a function's third, may be among the positional ones."""
        is_class = any(
            isinstance(v, External) and v.name[v.name.rfind(".") + 1].isupper() for v in _symbols(program, call)
        )
        return len(call.args) > (0 if is_class else 2)

    def restored(self, program: Program, place: Place, removal: Removal, made: Node) -> Edits | None:
        """``tf.nn.softmax(...)`` where TensorFlow is imported, else ``keras.ops.softmax(...)``."""
        if made.attrs.get("axis", -1) not in (-1, None):
            return None
        tensorflow = Imports(program.syntax).known(f"tensorflow.nn.{made.op}", place.node)
        spelled = tensorflow or spell(program.syntax, f"ops.{made.op}", place.node)
        if spelled is None:
            return None
        text = f"{spelled.text}({program.syntax.text(place.node)})"
        return (program.syntax.replace(place.node, text), *spelled.edits)

    def predicting(self, program: Program, calls: list[Place], removal: Removal, made: Node) -> Edits | None:
        """``probability_model = keras.Sequential([model, keras.layers.Softmax()])``, and its ``predict``."""
        several = any(not isinstance(v, Node) for call in calls for v in program.values(call.node))
        if made.attrs.get("axis", -1) not in (-1, None) or several:
            return None
        at = calls[0].node
        ways = [spell(program.syntax, name, at) for name in ("Sequential", "models.Sequential")]
        sequential = min((w for w in ways if w is not None), key=lambda w: len(w.edits), default=None)
        layer = spell(program.syntax, "layers.Softmax" if made.op == "softmax" else "layers.Activation", at)
        if sequential is None or layer is None:
            return None
        head = f"{layer.text}()" if made.op == "softmax" else f'{layer.text}("sigmoid")'
        edits: list[Edit] = [*sequential.edits, *layer.edits]
        for model, group in _by_model(program, calls).items():
            if model in ("self", "cls") or not all(is_legible(program, c) for c in group):
                return None
            whole = f"{sequential.text}([{model}, {head}])"
            anchor = _anchor(program.syntax, group)
            name = program.syntax.fresh_name(_probability_name(model), set())
            if anchor is not None:
                edits.append(program.syntax.insert_before(anchor, f"{name} = {whole}"))
            for call in group:
                assert isinstance(call.func, ast.Attribute)
                edits.append(program.syntax.replace(call.func.value, name if anchor is not None else whole))
        return tuple(edits)

    def compiled(self, program: Program, call: ast.Call, head: str, output: Output) -> Edits | None:
        """Accuracy stays, but for one unit; what Keras can read from logits is told to; anything else is in the way."""
        edits: list[Edit] = []
        for item in _metrics(call, output.layer):
            if item is None:
                return None
            moved: Edits | None
            if isinstance(item, (ast.List, ast.Tuple)):
                moved = () if all(map(is_accuracy, output.metrics)) and _is_known(program, item) else None
            else:
                moved = self._metric_on_logits(program, item, head, output.one_unit)
            if moved is None:
                return None
            edits += moved
        return tuple(edits)

    def _metric_on_logits(self, program: Program, item: ast.expr, head: str, one_unit: bool) -> Edits | None:
        values = program.values(item)
        if values and all(_is_indifferent(v) for v in values) and not (one_unit and all(_is_string(v) for v in values)):
            return ()
        names = {_metric_name(v, one_unit) for v in values}
        name = names.pop() if len(names) == 1 else None
        argument = _ON_LOGITS[head].get(name or "")
        if name is None or argument is None:
            return None
        if isinstance(item, ast.Constant):
            return self._in_place_of_string(program, item, name, argument)
        built = program.layer(item)
        maker = program.maker(built) if built is not None else None
        stated = maker is None or any(k.arg == argument[0] for k in maker.keywords)
        if maker is None or stated or len(maker.args) > _POSITIONAL.get(name, 0):
            return None
        return with_argument(program.syntax, maker, *argument)

    def _in_place_of_string(
        self, program: Program, item: ast.Constant, name: str, argument: tuple[str, str]
    ) -> Edits | None:
        """``"accuracy"`` becomes a metric that is called the same."""
        spelled = spell(program.syntax, f"metrics.{name}", item)
        if spelled is None:
            return None
        text = f"{spelled.text}(name={program.syntax.text(item)}, {'='.join(argument)})"
        return (program.syntax.replace(item, text), *spelled.edits)


#: A head -> the metrics that Keras can read from its logits, and the argument that says so. (AUC applies a sigmoid.)
_ON_LOGITS: dict[str, dict[str, tuple[str, str]]] = {
    "sigmoid": {
        "BinaryAccuracy": ("threshold", "0"),
        "AUC": ("from_logits", "True"),
        "BinaryCrossentropy": ("from_logits", "True"),
    },
    "softmax": {
        "CategoricalCrossentropy": ("from_logits", "True"),
        "SparseCategoricalCrossentropy": ("from_logits", "True"),
    },
}
#: How many of a metric's arguments may be given by position without reaching the one that is added.
_POSITIONAL = {"BinaryAccuracy": 2, "AUC": 1, "BinaryCrossentropy": 2, "CategoricalCrossentropy": 2,
               "SparseCategoricalCrossentropy": 2}  # fmt: skip
#: String -> the metric that it names.
_METRICS = {
    "binary_accuracy": "BinaryAccuracy",
    "auc": "AUC",
    "AUC": "AUC",
    "binary_crossentropy": "BinaryCrossentropy",
    "categorical_crossentropy": "CategoricalCrossentropy",
    "sparse_categorical_crossentropy": "SparseCategoricalCrossentropy",
}


def _metric_name(metric: object, one_unit: bool) -> str | None:
    """The class of a metric that a model is compiled with."""
    if isinstance(metric, str):
        return "BinaryAccuracy" if one_unit and metric in ("accuracy", "acc") else _METRICS.get(metric)
    return metric.symbol.name.rpartition(".")[2] if isinstance(metric, Built) else None


def _is_string(value: object) -> bool:
    return isinstance(value, str)


def _metrics(call: ast.Call, layer: object) -> Iterator[ast.expr | None]:
    """What a call of ``compile`` is given to measure of a layer's output, one by one; None for what isn't spelled.

    A list stands for itself where it isn't told which of its metrics are of which output.
    """
    given = [k.value for k in call.keywords if k.arg in ("metrics", "weighted_metrics")]
    given += call.args[2:3]
    losses = [k.value for k in call.keywords if k.arg == "loss"] + call.args[1:2]
    several = any(isinstance(loss, (ast.Dict, ast.List, ast.Tuple)) for loss in losses)
    for one in given:
        match one:
            case ast.Constant(value=None):
                continue
            case ast.Dict(keys=keys, values=values) if all(isinstance(k, ast.Constant) for k in keys):
                for key, value in zip(keys, values, strict=True):
                    if isinstance(key, ast.Constant) and key.value == layer:
                        yield from _spelled_one_by_one(value)
            case _ if several:
                yield one if isinstance(one, (ast.List, ast.Tuple)) else None
            case _:
                yield from _spelled_one_by_one(one)


def _is_known(program: Program, metrics: ast.expr) -> bool:
    """Whether every metric of a list, or of lists in it, is one of Keras'."""
    if isinstance(metrics, (ast.List, ast.Tuple)):
        return all(_is_known(program, item) for item in metrics.elts)
    values = program.values(metrics.func if isinstance(metrics, ast.Call) else metrics)
    return bool(values) and all(
        isinstance(v, str) or (isinstance(v, External) and v.name.startswith("keras.metrics.")) for v in values
    )


def _spelled_one_by_one(given: ast.expr) -> Iterator[ast.expr | None]:
    if isinstance(given, (ast.List, ast.Tuple)):
        nested = any(isinstance(i, (ast.List, ast.Tuple, ast.Starred)) for i in given.elts)
        yield from [None] if nested else given.elts
    else:
        yield given if isinstance(given, (ast.Constant, ast.Call)) else None


def _is_indifferent(metric: object) -> bool:
    """Whether a metric reads the same from logits as from a softmax (or from several sigmoids)."""
    if isinstance(metric, str):
        return metric in ("accuracy", "acc") or is_accuracy(metric)
    name = metric.symbol.name if isinstance(metric, Built) else metric.name if isinstance(metric, External) else ""
    return is_accuracy(name)


def loss_values(program: Program, place: ast.expr) -> ast.Call | str | None:
    """The call that makes or is a loss, or the class that stands for the string or function at a place."""
    values = program.values(place)
    named = {v if isinstance(v, str) else v.name for v in values if isinstance(v, (str, External))}
    if len(named) == 1 and all(isinstance(v, (str, External)) for v in values):
        last = named.pop().rpartition(".")[2]
        return _CLASSES.get(last, last if last in _CLASSES.values() else None)
    built = program.layer(place)
    if built is not None:
        return program.maker(built)
    if not isinstance(place, ast.Call):
        return None
    built = program.layer(place.func)
    if built is not None:
        return program.maker(built)
    return place if any("crossentropy" in s.name for s in _symbols(program, place)) else None


def _symbols(program: Program, call: ast.Call) -> list[External]:
    return [v for v in program.values(call.func) if isinstance(v, External)]


def _by_model(program: Program, calls: list[Place]) -> dict[str, list[ast.Call]]:
    """Calls of ``predict`` by the model that they are of, as it is spelled, in the order of the text."""
    found: dict[str, list[ast.Call]] = {}
    for place in sorted(calls, key=lambda c: (c.node.lineno, c.node.col_offset)):
        if isinstance(place.node, ast.Call) and isinstance(place.node.func, ast.Attribute):
            found.setdefault(program.syntax.text(place.node.func.value), []).append(place.node)
    return found


def _probability_name(model: str) -> str:
    last = model.rpartition(".")[2]
    return "probability_model" if last == "model" or not last.isidentifier() else f"probability_{last}"


def _anchor(syntax: Syntax, calls: list[ast.Call]) -> ast.stmt | None:
    """The statement before which the model of probabilities is made: the first use, where all are in its block."""
    statements = [syntax.statement(c) for c in calls]
    block = syntax.parent(statements[0])
    same = all(syntax.parent(s) is block for s in statements)
    plain = isinstance(block, (ast.Module, ast.FunctionDef))
    return statements[0] if same and plain else None


@mends("FL101", "FL104", "FL301", "FL302")
def keras_head(sighting: Sighting, match: Match, context: Context) -> Iterator[Proposal]:
    """The softmax layer or activation goes, and the loss gets ``from_logits=True``."""
    if sighting.framework in Keras.frameworks:
        yield from drop_head(sighting, context, Keras())


@mends("FL102")
def keras_loss_on_logits(sighting: Sighting, match: Match, context: Context) -> Iterator[Proposal]:
    """A loss that is handed logits gets ``from_logits=True``."""
    if sighting.framework in Keras.frameworks:
        yield from take_logits(sighting, context, Keras())
