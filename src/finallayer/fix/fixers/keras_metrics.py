"""What becomes of the metrics that a Keras model is compiled with, once its output is logits."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from finallayer.catalog import Param
from finallayer.catalog.names import canonical
from finallayer.fix.fixers.dialect import CompiledOutput, Edits
from finallayer.fix.flow.analysed import AnalysedModule
from finallayer.fix.flow.known_calls import arguments
from finallayer.fix.flow.roles import is_accuracy
from finallayer.fix.text.edits import together
from finallayer.fix.text.keras_spelling import spell, with_argument
from finallayer.source.values import Built, External

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


def metrics_on_logits(module: AnalysedModule, call: ast.Call, head: str, output: CompiledOutput) -> Edits | None:
    """Accuracy stays, but for one unit; what Keras can read from logits is told to; anything else is in the way."""
    return together(
        metric_on_logits(module, item, head, output.units)
        if item is not None and not isinstance(item, (ast.List, ast.Tuple))
        else _all_accuracies(module, item, output)
        for item in _metrics(call, output.layer)
    )


def _all_accuracies(module: AnalysedModule, metrics: ast.expr | None, output: CompiledOutput) -> Edits | None:
    """No edits for metrics of several outputs of which those of one only ask which class is the greatest."""
    only = metrics is not None and all(map(is_accuracy, output.metrics)) and _is_known(module, metrics)
    return () if only else None


def metric_on_logits(module: AnalysedModule, item: ast.expr, head: str, units: int | None) -> Edits | None:
    """The edits by which one metric, spelled out, reads logits as it read probabilities; None where it can't.

    What Keras makes of ``"accuracy"`` depends on the number of units: of one, it is a threshold.
    """
    values = module.values(item)
    by_units = any(v in ("accuracy", "acc") for v in values if isinstance(v, str))
    if by_units and units is None and head == "sigmoid":
        return None
    one_unit = units == 1
    if values and all(_is_indifferent(v) for v in values) and not (one_unit and by_units):
        return ()
    names = {_metric_name(v, one_unit) for v in values}
    name = names.pop() if len(names) == 1 else None
    argument = _ON_LOGITS[head].get(name or "")
    if name is None or argument is None:
        return None
    if isinstance(item, ast.Constant):
        return _in_place_of_string(module, item, name, argument)
    built = module.layer(item)
    maker = module.maker(built) if built is not None else None
    stated = maker is None or any(k.arg == argument[0] for k in maker.keywords)
    if maker is None or stated or len(maker.args) > _POSITIONAL.get(name, 0):
        return None
    return with_argument(module.syntax, maker, *argument)


def _in_place_of_string(
    module: AnalysedModule, item: ast.Constant, name: str, argument: tuple[str, str]
) -> Edits | None:
    """``"accuracy"`` becomes a metric that is called the same."""
    spelled = spell(module.syntax, f"metrics.{name}", item)
    if spelled is None:
        return None
    text = f"{spelled.text}(name={module.syntax.text(item)}, {'='.join(argument)})"
    return (module.syntax.replace(item, text), *spelled.edits)


def _metric_name(metric: object, one_unit: bool) -> str | None:
    """The class of Keras' metric that a model is compiled with."""
    if isinstance(metric, str):
        return "BinaryAccuracy" if one_unit and metric in ("accuracy", "acc") else _METRICS.get(metric)
    return _of_keras(metric.symbol) if isinstance(metric, Built) else None


def _of_keras(metric: External) -> str | None:
    """What a metric of Keras' is called there; None for any other."""
    module, _, name = canonical(metric.name).rpartition(".")
    return name if module == "keras.metrics" else None


def given_to_compile(call: ast.Call) -> dict[str, ast.expr]:
    """What a call of ``compile`` is given, by the names of its parameters."""
    params = [Param(name, name) for name in ("optimizer", "loss", "metrics")]
    return {argument.meaning: argument.node for argument in arguments(params, call.args, call.keywords)}


def _metrics(call: ast.Call, layer: object) -> Iterator[ast.expr | None]:
    """What a call of ``compile`` is given to measure of a layer's output, one by one; None for what isn't spelled.

    What holds several stands for itself where it isn't told which of its metrics are of which output.
    """
    given = given_to_compile(call)
    several = isinstance(given.get("loss"), (ast.Dict, ast.List, ast.Tuple))
    for one in [given[name] for name in ("metrics", "weighted_metrics") if name in given]:
        match one:
            case ast.Constant(value=None):
                continue
            case ast.Dict(keys=keys, values=values):
                ours = [
                    v for k, v in zip(keys, values, strict=True) if isinstance(k, ast.Constant) and k.value == layer
                ]
                if layer is None or len(ours) != 1:  # the outputs have other names than their layers, perhaps
                    yield ast.Tuple(elts=values)
                else:
                    yield from _spelled_one_by_one(ours[0])
            case _ if several:
                yield one if isinstance(one, (ast.List, ast.Tuple)) else None
            case _:
                yield from _spelled_one_by_one(one)


def _is_known(module: AnalysedModule, metrics: ast.expr) -> bool:
    """Whether every metric of a list, or of lists in it, is one of Keras'."""
    if isinstance(metrics, (ast.List, ast.Tuple)):
        return all(_is_known(module, item) for item in metrics.elts)
    values = module.values(metrics.func if isinstance(metrics, ast.Call) else metrics)
    return bool(values) and all(isinstance(v, str) or (isinstance(v, External) and _of_keras(v)) for v in values)


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
    symbol = metric.symbol if isinstance(metric, Built) else metric
    return isinstance(symbol, External) and is_accuracy(_of_keras(symbol) or "")
