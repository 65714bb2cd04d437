"""Who trains it: a model that is handed over together with its loss, to a training loop that isn't at hand."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from finallayer.catalog.conventions import Meaning, suggests
from finallayer.catalog.names import canonical
from finallayer.expr import Node, Role, having, make
from finallayer.source.calls import callable_value, invoke
from finallayer.source.constructs import handles
from finallayer.source.followed import hand
from finallayer.source.handlers import CALLED, CONSTRUCTS, FOREIGN
from finallayer.source.interpreter import Interpreter
from finallayer.source.keras_models import model_output
from finallayer.source.parts import Part, part_of, within
from finallayer.source.symbols import is_module, is_module_class, signature_behind, signature_of
from finallayer.source.values import (
    Built,
    Call,
    Class,
    Dict,
    External,
    Function,
    Instance,
    Site,
    Value,
    opaque,
)
from finallayer.source.walking import walk

_READERS = having(Role.READER) | having(Role.LOSS)


@handles(CONSTRUCTS, "trainer")
def _trainer(run: Interpreter, made: Built) -> Value:
    model, loss = made.bound.get("f"), made.bound.get("loss")
    if isinstance(loss, str):
        loss = External(loss)
    if isinstance(model, Class):  # skorch: module__hidden=32 is an argument of the model's
        own = {k.removeprefix("module__"): v for k, v in made.keywords.items() if k.startswith("module__")}
        model = invoke(run, model, Call([], own, made.site))
    if model is not None and not (made.signature.attrs.get("takes_log") and _operation(loss) == "nll"):
        _meet(run, model, loss, made.site)
    return made


def _operation(loss: Value) -> str:
    signature = signature_behind(loss)
    return signature.op if signature is not None else ""


def _meet(run: Interpreter, model: Value, loss: Value, site: Site) -> None:
    """A model's output meets its loss."""
    if isinstance(loss, External) and getattr(signature_of(loss.name), "call", None) is not None:
        loss = invoke(run, loss, Call([], {}, site))  # the class of a loss: the trainer makes one
    if not callable_value(loss):
        return
    output, target = model_output(run, model, site), opaque("y_true")
    signature = signature_behind(loss)
    params = () if signature is None else signature.call if signature.call is not None else signature.params
    names = {p.canonical: p.name for p in params}
    if names.keys() >= {"x", "target"}:  # in whichever order
        hand(run, invoke(run, loss, Call([], {names["x"]: output, names["target"]: target}, site)))
    else:
        hand(run, invoke(run, loss, Call([output, target], {}, site)))


def foreign_call(run: Interpreter, name: str, call: Call) -> None:
    """A foreign function that trains, as its name says, given one model and one loss: they are meant for each other."""
    if not suggests(name, Meaning.TRAINS) or any(suggests(n, Meaning.SECOND_MODEL) for n in _names(call)):
        return
    given = [*call.args, *call.kwargs.values()]
    everything = [inner for value in given for inner in within(value)]
    models = [value for value in everything if _is_model(value)]
    losses = [value for value in everything if part_of(value) is Part.LOSS]
    if len(models) != 1 or len(losses) != 1 or not all(any(v is g for g in given) for v in (*models, *losses)):
        return
    model = models[0]
    if isinstance(model, Class):
        model = invoke(run, model, Call([], {}, call.site))
    if part_of(model) is Part.MODEL:
        _meet(run, model, losses[0], call.site)


FOREIGN.append(foreign_call)


def fitted(run: Interpreter, name: str, call: Call) -> None:
    """A Lightning module that a trainer fits: its training step runs, in whichever file it is written.

    One of the file's own is run on each object that the file makes, as whatever nothing calls.
    """
    model = call.args[0] if call.args else call.kwargs.get("model")
    if name.rpartition(".")[2] != "fit" or not isinstance(model, Instance) or not _is_lightnings(model.cls):
        return
    step = model.cls.find("training_step")
    if isinstance(step, Function) and step.frame.module is not run.entry:
        given = [opaque("batch"), opaque("batch_idx")][: len(step.node.args.args) - 1]
        hand(run, run.call_function(step, Call([model, *given], {}, call.site)))


FOREIGN.append(fitted)


def _is_lightnings(cls: Class) -> bool:
    return any(canonical(base.name) == "pytorch_lightning.LightningModule" for base in cls.external_bases())


def _is_model(value: Value) -> bool:
    """Whether a value may be what is trained: also a layer, of which nobody knows what it is for."""
    if isinstance(value, Class):
        return is_module_class(value)
    reads = isinstance(value, Built) and value.signature.op in _READERS
    return part_of(value) is Part.MODEL or (is_module(value) and not reads and part_of(value) is not Part.LOSS)


def _names(call: Call) -> Iterator[str]:
    """The names by which a call hands something over."""
    if isinstance(call.site.node, ast.Call):
        for argument in (*call.site.node.args, *(k.value for k in call.site.node.keywords)):
            yield from (n.id for n in walk(argument) if isinstance(n, ast.Name))
    yield from call.kwargs


# transformers


@handles(CONSTRUCTS, "classifier")
def _classifier(_run: Interpreter, made: Built) -> Value:
    return made


@handles(CALLED, "classifier")
def _run_classifier(run: Interpreter, built: Built, call: Call) -> Value:
    """What a classifier of transformers' gives: its logits under a name, behind the loss where it was handed labels."""
    features = run.opaque_at(call.site, *call.args, *call.kwargs.values())
    scores = make("affine", features, origin=built.site.origin, units=_units(built))
    loss = opaque("loss", features)
    first = loss if "labels" in call.kwargs else scores
    given: dict[int | str, Value] = {0: first, 1: scores, "loss": loss, "logits": scores}
    given |= {name: opaque(name, features) for name in ("hidden_states", "attentions")}
    return Dict(given)


def _units(built: Built) -> int | None:
    units = built.keywords.get("num_labels")
    return units if type(units) is int else None


#: What a model is trained by that is of a problem of this type.
_OF_PROBLEM = {"multi_label_classification": "bce_logits", "single_label_classification": "xent_logits"}


@handles(CONSTRUCTS, "fine_tuner")
def _fine_tuner(run: Interpreter, made: Built) -> Value:
    """transformers' own loop: what the model gives meets a loss, and, as an array, what computes the metrics."""
    model = made.bound.get("f")
    if not (isinstance(model, Built) and model.signature.op == "classifier"):
        return made
    output = invoke(run, model, Call([opaque("inputs")], {}, made.site))
    scores = output.slots["logits"] if isinstance(output, Dict) else None
    labels = opaque("labels")
    if callable_value(made.bound.get("loss")):
        hand(run, invoke(run, made.bound["loss"], Call([output, labels], {}, made.site)))
    problem = model.keywords.get("problem_type")
    units = _units(model)
    loss = _OF_PROBLEM.get(problem if isinstance(problem, str) else "")
    if problem is None and units is not None and units > 1:
        loss = "xent_logits"
    if loss is None or not isinstance(scores, Node):
        return made
    run.record(loss, [scores, labels], {"name": model.symbol.name}, made.site, "torch")
    measure, prepare = made.bound.get("compute_metrics"), made.bound.get("preprocess_logits_for_metrics")
    if callable_value(measure):
        run.no_grad += 1
        predicted = invoke(run, prepare, Call([scores, labels], {}, made.site)) if callable_value(prepare) else scores
        if prepare is None or callable_value(prepare):
            given: dict[int | str, Value] = {0: predicted, 1: labels, "predictions": predicted, "label_ids": labels}
            invoke(run, measure, Call([Dict(given)], {}, made.site))
        run.no_grad -= 1
    return made
