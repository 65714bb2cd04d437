"""The words that several rules use: what a loss is called, what it was handed, where that was made."""

from __future__ import annotations

from finallayer.expr import Node
from finallayer.findings import Related, Sighting
from finallayer.kinds import Kind
from finallayer.rules.route import maker

#: What a loss was handed, in the field's terms.
OUTPUTS = {
    Kind.LOGITS: "logits",
    Kind.PROBS: "softmax outputs",
    Kind.LOG_PROBS: "log-softmax outputs",
    Kind.SIGMOID_PROBS: "sigmoid outputs",
    Kind.LOG_SIGMOID: "log-sigmoid outputs",
}

#: Said where Keras' TensorFlow backend trains on the logits all the same.
RESCUE = "except on Keras' TensorFlow backend in float32, which goes back to the logits behind them"

_ON_LOGITS = {"BCELoss": "BCEWithLogitsLoss", "binary_cross_entropy": "binary_cross_entropy_with_logits"}


def called(loss: Node) -> str:
    """The name of a loss or metric as the user writes it, or what it is."""
    name = str(loss.attrs.get("name") or "").rpartition(".")[2]
    return f"`{name}`" if name else "the loss"


def on_logits(sighting: Sighting) -> str:
    """The form of a loss on probabilities that takes logits instead."""
    name = str(sighting.node.attrs.get("name") or "").rpartition(".")[2]
    form = _ON_LOGITS.get(name)
    return f"`{form}`" if form else "`from_logits=True`" if is_keras(sighting) else "a loss on logits"


def is_keras(sighting: Sighting) -> bool:
    return sighting.framework == "keras"


def is_rescued(sighting: Sighting) -> bool:
    """Whether Keras' TensorFlow backend finds the logits behind what its loss was handed: nothing lies between."""
    return is_keras(sighting) and sighting.node.args[0].op in ("softmax", "sigmoid")


def made_here(x: Node) -> tuple[Related, ...]:
    """The softmax, sigmoid or layer that a value came from, where its place is known."""
    made = maker(x)
    applied = {"softmax": "softmax", "sigmoid": "sigmoid", "log_softmax": "log_softmax", "log_sigmoid": "log_sigmoid"}
    text = f"{applied[made.op]} applied here" if made.op in applied else f"{x.kind} made here"
    return (Related(made.origin, text),) if made.origin else ()
