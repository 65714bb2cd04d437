"""The words that several rules use: what a loss is called, what it was handed, where that was made."""

from __future__ import annotations

from finallayer.expr import Node
from finallayer.findings import Related
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


def called(loss: Node) -> str:
    """The name of a loss or metric as the user writes it, or what it is."""
    name = str(loss.attrs.get("name") or "").rpartition(".")[2]
    return f"`{name}`" if name else "the loss"


def on_logits(loss: Node) -> str:
    """The form of a loss on probabilities that takes logits instead."""
    form = loss.attrs.get("on_logits")
    return f"`{form}`" if form else "a loss on logits"


def rescue(loss: Node) -> str:
    """Where a loss is trained on the logits all the same: on a backend that finds them if nothing lies between."""
    backend = loss.attrs.get("rescued_by") if loss.args[0].op in ("softmax", "sigmoid") else None
    return f"except on {backend}, which goes back to the logits behind them" if backend else ""


def of_mixture(x: Node) -> str:
    """What a log is taken of, and what to use instead, where several heads are averaged; empty where one isn't."""
    made = maker(x)
    if made.op != "mixture":
        return ""
    name = "softmax" if made.kind is Kind.PROBS else "sigmoid"
    if len(made.args) == 1:
        return f"log of a mixture of {name} outputs: use logsumexp of the logs, of what is mixed and of its shares"
    return f"log of a mean of {name} outputs: use logsumexp of their log_{name}, minus the log of how many there are"


def made_here(x: Node) -> tuple[Related, ...]:
    """The softmax, sigmoid or layer that a value came from, where its place is known."""
    made = maker(x)
    applied = {"softmax": "softmax", "sigmoid": "sigmoid", "log_softmax": "log_softmax", "log_sigmoid": "log_sigmoid"}
    text = f"{applied[made.op]} applied here" if made.op in applied else f"{x.kind} made here"
    return (Related(made.origin, text),) if made.origin else ()
