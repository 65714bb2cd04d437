"""What a model was compiled with, once an output gives logits, or probabilities again: its loss and its metrics.

``fit`` goes on with what is written here. What can't be told whether its output is logits is refused: a loss that takes
anything would train something else, and say nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import exp, log
from typing import Any

from finallayer.catalog import keras, lookup
from finallayer.models.keras_config import Described, called, camel_case, described, is_object
from finallayer.models.model import Output
from finallayer.models.refusals import NotDone

#: A head -> the losses that go with it.
_LOSSES = {"softmax": "xent", "sigmoid": "bce"}
#: What of a prediction a metric may read, and find in logits as well.
_INDIFFERENT = frozenset({"any", "labels"})
#: As far from 0 as a logit may lie whose probability is a number.
_FARTHEST = 700


def recompile(compiled: dict[str, Any], output: Output, names: Sequence[str], head: str, on_logits: bool) -> None:
    """Have loss and metrics of an output take logits, or probabilities; raises :class:`NotDone` where one can't.

    ``names``: of all outputs. ``head``: what was taken out, or put in.
    """
    if compiled.get("loss") is not None:
        compiled["loss"] = _for_output(compiled["loss"], output, names, lambda loss: _loss(loss, head, on_logits))
    for which in ("metrics", "weighted_metrics"):
        if compiled.get(which) is not None:
            compiled[which] = _for_output(
                compiled[which], output, names, lambda m: _metrics(m, output, head, on_logits)
            )


def _for_output(given: Any, output: Output, names: Sequence[str], change: Callable[[Any], Any]) -> Any:
    """What is given for each output, with that of one changed."""
    if isinstance(given, dict) and not is_object(given):
        return {k: change(v) if k == output.name else v for k, v in given.items()}
    if isinstance(given, list) and len(names) > 1:
        if len(given) != len(names):
            raise NotDone("which of the compiled losses and metrics are of which output can't be told")
        at = list(names).index(output.name)
        return [change(v) if number == at else v for number, v in enumerate(given)]
    if len(names) > 1:
        raise NotDone(f"the model is compiled with one loss, or metric, for all its outputs ({', '.join(names)})")
    return change(given)


def _loss(loss: Any, head: str, on_logits: bool) -> Any:
    if loss is None:
        return None
    if isinstance(loss, list) and len(loss) == 1:
        return [_loss(loss[0], head, on_logits)]
    known = described(loss, keras.LOSSES)
    signature = None if known is None else lookup(known.name)
    if known is None or signature is None:
        raise NotDone(f"it is compiled with {called(loss, 'loss')}: whether that takes logits isn't known")
    if signature.op != _LOSSES.get(head):
        what = "logits" if on_logits else f"{head} outputs"
        raise NotDone(f"it is compiled with {known}, which can't be told to take {what}: compile it anew first")
    if bool(known.config.get("from_logits")) is on_logits:
        return loss
    return _told(loss, known, "losses", {"from_logits": on_logits})


def _metrics(metrics: Any, output: Output, head: str, on_logits: bool) -> Any:
    if isinstance(metrics, list):
        return [_metrics(m, output, head, on_logits) for m in metrics]
    return None if metrics is None else _metric(metrics, output, head, on_logits)


def _metric(metric: Any, output: Output, head: str, on_logits: bool) -> Any:
    """A metric that reads the same of logits as it did of probabilities, or the other way round."""
    known = described(metric, keras.METRICS)
    if isinstance(metric, str) and metric in keras.METRICS_BY_UNITS:
        units = output.shape[-1] if output.shape else None
        if units is None and head == "sigmoid":
            raise NotDone(f"which metric {metric!r} is depends on the number of units, which isn't known")
        if units != 1 or not on_logits:
            return metric  # the greatest logit is that of the greatest probability
        known = Described("keras.metrics.BinaryAccuracy", {})
    signature = None if known is None else lookup(known.name)
    if known is None or signature is None:
        raise NotDone(f"it is compiled with {called(metric, 'metric')}: what that reads isn't known")
    reads = signature.attrs.get("reads")
    if reads in _INDIFFERENT and signature.op == "metric" and not _asks_for_numbers(known.name):
        return metric
    name = camel_case(known.name.rpartition(".")[2])
    if name not in keras.METRICS_ON_LOGITS[head]:
        raise NotDone(f"it is compiled with the metric {known}, which can't read logits: compile it anew first")
    argument, _ = keras.METRICS_ON_LOGITS[head][name]
    stated = known.config.get(argument, 0.5 if argument == "threshold" else False)
    value = _moved(stated, on_logits) if argument == "threshold" else on_logits
    if stated == value:
        return metric
    calls_itself = {"name": metric} if isinstance(metric, str) else {}
    return _told(metric, known, "metrics", {argument: value, **calls_itself})


def _asks_for_numbers(name: str) -> bool:
    """Whether a metric compares the numbers themselves with the labels, as an error does."""
    last = name.rpartition(".")[2]
    return last.endswith(("Error", "Hinge")) or (last.startswith("Mean") and not last.endswith("IoU"))


def _moved(threshold: Any, on_logits: bool) -> float:
    """A threshold on probabilities as one on logits, or back."""
    if not isinstance(threshold, (int, float)) or not abs(threshold) <= _FARTHEST:
        raise NotDone(f"a metric's threshold is no number from {-_FARTHEST} to {_FARTHEST}")
    if not on_logits:
        return threshold if threshold == 0.5 else 1 / (1 + exp(-threshold))
    if not 0 < threshold < 1:
        raise NotDone(f"a metric's threshold of {threshold} is none of a probability")
    return log(threshold / (1 - threshold))


def _told(given: Any, known: Described, kind: str, told: Mapping[str, Any]) -> dict[str, Any]:
    """A loss or metric as an object that is told something."""
    if is_object(given) and given["class_name"] != "function":
        return {**given, "config": {**given["config"], **told}}
    function = known.name.rpartition(".")[2]
    name = camel_case(function)
    if lookup(f"keras.{kind}.{name}") is None:
        raise NotDone(f"it is compiled with {known}, which can't be told to take logits: compile it anew first")
    config = {"name": function} | dict(told)
    return {"module": f"keras.{kind}", "class_name": name, "config": config, "registered_name": None}
