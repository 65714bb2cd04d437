"""What becomes of the metrics that a Keras model is compiled with, once its output is logits."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from finallayer.catalog import Param
from finallayer.catalog.keras import METRICS_ON_LOGITS
from finallayer.catalog.names import canonical
from finallayer.fix.fixers.dialect import CompiledOutput, Edits
from finallayer.fix.flow.analysed import AnalysedModule, made_alike
from finallayer.fix.flow.greatest import asks_for_greatest
from finallayer.fix.flow.keras_version import is_older_than_3
from finallayer.fix.flow.known_calls import arguments
from finallayer.fix.flow.roles import is_accuracy
from finallayer.fix.flow.written import written
from finallayer.fix.text.edits import together
from finallayer.fix.text.keras_spelling import spell, with_argument
from finallayer.fix.text.syntax import Syntax, last_name
from finallayer.source.values import Built, External

#: How many of a metric's arguments may be given by position without reaching the one that is added.
_POSITIONAL = {"BinaryAccuracy": 2, "AUC": 1, "BinaryCrossentropy": 2, "CategoricalCrossentropy": 2,
               "SparseCategoricalCrossentropy": 2}  # fmt: skip
#: What a program asks a metric for, or does with it, without handing it anything.
ASKING = ("result", "reset_state", "reset_states", "name")
#: String -> the metric that it names.
_METRICS = {
    "binary_accuracy": "BinaryAccuracy",
    "auc": "AUC",
    "AUC": "AUC",
    "binary_crossentropy": "BinaryCrossentropy",
    "categorical_crossentropy": "CategoricalCrossentropy",
    "sparse_categorical_crossentropy": "SparseCategoricalCrossentropy",
}


def takes_new_keras(edits: Edits, modules: Mapping[str, AnalysedModule]) -> str:
    """Why edits are unsafe that write what one Keras reads otherwise than another; empty where they don't."""
    moved = any(edit.text == "0" or "threshold=0" in edit.text for edit in edits)
    older = moved and is_older_than_3(modules.values())
    called = any('name="AUC"' in edit.text for edit in edits)
    notes = ["Keras 3.0 to 3.4 take no threshold of 0"] * (moved and not older)
    return "; ".join([*notes, *["Keras 2 calls the metric `AUC` `auc`"] * called])


def metrics_on_logits(module: AnalysedModule, call: ast.Call, head: str, output: CompiledOutput) -> Edits | None:
    """Accuracy stays, but for one unit; what Keras can read from logits is told to; anything else is in the way."""
    return together(
        metric_on_logits(module, item, head, output.units)
        if item is not None and not isinstance(item, (ast.List, ast.Tuple))
        else _all_accuracies(module, item, output)
        for item in _metrics(module.syntax, call, output.layer)
    )


def _all_accuracies(module: AnalysedModule, metrics: ast.expr | None, output: CompiledOutput) -> Edits | None:
    """No edits for metrics of several outputs of which those of one only ask which class is the greatest.

    Before Keras 3, every output had all that isn't in a list of its own.
    """
    if metrics is None or not _is_known(module, metrics) or not all(map(is_accuracy, output.metrics)):
        return None
    several = metrics.elts if isinstance(metrics, (ast.List, ast.Tuple)) else []
    shared = [v for m in several if not isinstance(m, (ast.List, ast.Tuple)) for v in module.values(m)]
    return () if all(map(_is_indifferent, shared)) else None


def metric_on_logits(module: AnalysedModule, item: ast.expr, head: str, units: int | None) -> Edits | None:
    """The edits by which one metric, spelled out, reads logits as it read probabilities; None where it can't.

    What Keras makes of ``"accuracy"`` depends on the number of units: of one, it is a threshold.
    """
    values = module.values(item)
    by_units = any(v in ("accuracy", "acc") for v in values if isinstance(v, str))
    if by_units and units is None and head == "sigmoid":
        return None
    one_unit = units == 1
    indifferent = (_is_indifferent(v) or asks_for_greatest(module, v) for v in values)
    if values and all(indifferent) and not (one_unit and by_units):
        return ()
    names = {_metric_name(v, one_unit) for v in values}
    name = names.pop() if len(names) == 1 else None
    argument = METRICS_ON_LOGITS[head].get(name or "")
    if name is None or argument is None:
        return None
    if not any(isinstance(v, Built) for v in values):
        return _in_place_of_name(module, item, name, argument)
    built = module.layer(item)
    if built is None or _is_used_besides(module, built, item):
        return None
    return told(module, built, name, argument)


def _is_used_besides(module: AnalysedModule, built: Built, item: ast.expr) -> bool:
    """Whether a metric that has a name is handed something at another place, too."""
    others = (n for n in module.syntax.loads() if n is not item and any(made_alike(v, built) for v in module.values(n)))
    return any(getattr(module.syntax.parent(other), "attr", None) not in ASKING for other in others)


def object_on_logits(module: AnalysedModule, built: Built, trained_by: str | None) -> tuple[str, Edits | None] | None:
    """The head that a metric stands for which is made once and handed logits, and the edits by which it reads them.

    ``trained_by``: that of the loss which trains the logits, where one is known to.
    """
    name = _of_keras(built.symbol) or ""
    head = next((h for h, metrics in METRICS_ON_LOGITS.items() if name in metrics), None)
    if head is None or trained_by not in (head, None):
        return None
    argument = METRICS_ON_LOGITS[head][name]
    if argument[0] == "threshold" and trained_by is None:
        return None
    return head, told(module, built, name, argument)


def told(module: AnalysedModule, built: Built, name: str, argument: tuple[str, object]) -> Edits | None:
    """The edits that give a metric's maker an argument, where it says nothing else than the default."""
    maker = module.maker(built)
    if maker is None or len(maker.args) > _POSITIONAL.get(name, 0):
        return None
    stated = [getattr(k.value, "value", None) for k in maker.keywords if k.arg == argument[0]]
    default = 0.5 if argument[0] == "threshold" else False
    return with_argument(module.syntax, maker, argument[0], repr(argument[1])) if stated in ([], [default]) else None


def _in_place_of_name(module: AnalysedModule, item: ast.expr, name: str, argument: tuple[str, object]) -> Edits | None:
    """``"accuracy"``, or the function ``binary_accuracy``, becomes a metric that is called the same."""
    spelled = spell(module.syntax, f"metrics.{name}", item)
    called = module.syntax.text(item) if isinstance(item, ast.Constant) else f'"{last_name(item)}"'
    if spelled is None or called == '""':
        return None
    text = f"{spelled.text}(name={called}, {argument[0]}={argument[1]!r})"
    return (module.syntax.replace(item, text), *spelled.edits)


def _metric_name(metric: object, one_unit: bool) -> str | None:
    """The class of Keras' metric that a model is compiled with."""
    if isinstance(metric, str):
        return "BinaryAccuracy" if one_unit and metric in ("accuracy", "acc") else _METRICS.get(metric)
    if isinstance(metric, External):
        return _METRICS.get(_of_keras(metric) or "")
    return _of_keras(metric.symbol) if isinstance(metric, Built) else None


def _of_keras(metric: External) -> str | None:
    """What a metric of Keras' is called there; None for any other."""
    module, _, name = canonical(metric.name).rpartition(".")
    return name if module in ("keras.metrics", "keras.losses") else None


def given_to_compile(call: ast.Call) -> dict[str, ast.expr]:
    """What a call of ``compile`` is given, by the names of its parameters."""
    params = [Param(name, name) for name in ("optimizer", "loss", "metrics")]
    return {argument.meaning: argument.node for argument in arguments(params, call.args, call.keywords)}


def _metrics(syntax: Syntax, call: ast.Call, layer: object) -> Iterator[ast.expr | None]:
    """What a call of ``compile`` is given to measure of a layer's output, one by one; None for what isn't spelled.

    What holds several stands for itself where it isn't told which of its metrics are of which output.
    """
    given = given_to_compile(call)
    several = isinstance(given.get("loss"), (ast.Dict, ast.List, ast.Tuple))
    for one in [given[name] for name in ("metrics", "weighted_metrics") if name in given]:
        match (written(syntax, one) or one) if isinstance(one, ast.Name) else one:
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
            case one if several:
                yield one if isinstance(one, (ast.List, ast.Tuple)) else None
            case one:
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
    name = _of_keras(symbol) or "" if isinstance(symbol, External) else ""
    return is_accuracy(name) or (isinstance(metric, Built) and _counts_greatest(name, metric))


def _counts_greatest(name: str, metric: Built) -> bool:
    """Whether a metric of overlaps takes the greatest output itself, not a class that it is told."""
    sparse = metric.keywords.get("sparse_y_pred", name in ("IoU", "MeanIoU"))
    return name in ("IoU", "MeanIoU", "OneHotIoU", "OneHotMeanIoU") and sparse is False
