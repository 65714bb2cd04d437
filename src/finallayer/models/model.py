"""What a model file is to its reader: its outputs, what each of them gives, by which layers, and for which loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Protocol

from finallayer.expr import OPERATIONS, Keeps, Node, having, keeping, through
from finallayer.expr import Role as Of
from finallayer.kinds import LOG_KINDS, PROBABILITY_KINDS, Kind
from finallayer.models.refusals import NotDone
from finallayer.models.steps import Graph, Shape

#: The heads that may be appended, and what each makes of logits.
HEADS = {"softmax": Kind.PROBS, "sigmoid": Kind.SIGMOID_PROBS}
#: What the file's reader is told of a kind.
_TOLD = {
    Kind.PROBS: "probabilities",
    Kind.SIGMOID_PROBS: "sigmoid-probabilities",
    Kind.LOG_PROBS: "log-probabilities",
    Kind.LOG_SIGMOID: "log-probabilities",
    Kind.LOGITS: "logits",
}
#: What leaves every axis where it was.
_UNMOVED = keeping(Keeps.AXES) | {"add", "sub"}
_ACTIVE = frozenset({"activation", "norm"})
_CONDITIONAL = ("where", "select")
_FLOATING = ("float", "bfloat", "double", "complex")
#: Probabilities that are kept this far from 0 and 1 at the most are guarded; others are cut.
_GUARD = 1e-2
_ONWARD = frozenset(op for op, row in OPERATIONS.items() if Of.PLACE in row.role) | {"scale", "dropout", "pool", "mask"}
_NORMALISED = PROBABILITY_KINDS | LOG_KINDS
_OF_HEADS = having(Of.HEAD)


@dataclass(frozen=True)
class Output:
    """One output of a saved model.

    ``kind``: ``logits``, ``probabilities``, ``sigmoid-probabilities``, ``log-probabilities`` or ``unknown``.
    ``shape``: sizes, names of sizes, and None where nobody knows; None where not even their number is known.
    ``made_by``: the names of the nodes or layers that make it of its logits, or that make the logits.
    ``agrees``: whether the loss that the file was compiled with takes what this gives; None where there is none, or
    where it takes anything.
    """

    name: str
    shape: Shape | None
    dtype: str | None
    kind: str
    made_by: tuple[str, ...]
    loss: str | None = None
    metrics: tuple[str, ...] = ()
    agrees: bool | None = None
    notes: tuple[str, ...] = ()
    tensor: str = field(default="", repr=False)  # what the format calls it
    expression: Node | None = field(default=None, repr=False)

    @classmethod
    def unknown(cls, why: str) -> Output:
        """The output of a file that doesn't tell what it gives."""
        return cls("output", None, None, "unknown", (), notes=(why,))

    def fields(self) -> dict[str, Any]:
        """The output as JSON has it."""
        return {
            "name": self.name,
            "shape": None if self.shape is None else list(self.shape),
            "dtype": self.dtype,
            "kind": self.kind,
            "made_by": list(self.made_by),
            "loss": self.loss,
            "metrics": list(self.metrics),
            "agrees": self.agrees,
            "notes": list(self.notes),
        }


def output_of(graph: Graph, name: str, tensor: str, shape: Shape | None, dtype: str | None) -> Output:
    """What a graph tells of one of its outputs."""
    node = graph.of(tensor)
    kind = told(node)
    if (_is_whole(dtype) and not _is_code(graph, tensor)) or _is_picked(graph, tensor):
        kind = "unknown"
    return Output(name, shape, dtype, kind, made_by(graph, tensor), tensor=tensor, expression=node)


def _is_picked(graph: Graph, tensor: str) -> bool:
    """Whether a condition tells which of its probabilities an output has: all others are what they never were."""
    head = head_of(graph.of(tensor))
    steps = () if head is None or graph.of(tensor) is head else graph.between(tensor, head)
    return any(step.op.rpartition(".")[2].lower().startswith(_CONDITIONAL) for step in steps)


def _is_whole(dtype: str | None) -> bool:
    """Whether numbers are whole ones, or none at all."""
    return dtype is not None and not dtype.startswith(_FLOATING)


def _is_code(graph: Graph, tensor: str) -> bool:
    """Whether whole numbers stand for others."""
    return tensor in graph.made_by and "Quantize" in graph.made_by[tensor].op


class Edited(Protocol):
    """A model file's new content."""

    def write(self, file: BinaryIO) -> None:
        """Write all of it."""
        ...

    def compare(self, path: str) -> None:
        """Raise :class:`NotDone` where the file that was written differs from the old one in anything else."""
        ...

    def task(self, old: str, new: str, output: str) -> dict[str, Any] | str:
        """What a runtime is to do with both files to compare an output, or why none should."""
        ...


class Surgeon(Protocol):
    """Who can change a file of one format."""

    def strip(self, output: Output, head: Node) -> Edited:
        """Have an output give the logits that ``head`` is of. Raises :class:`NotDone`."""
        ...

    def append(self, output: Output, head: str) -> Edited:
        """Have an output give the softmax or sigmoid of what it gives. Raises :class:`NotDone`."""
        ...


@dataclass(frozen=True)
class Model:
    """A saved model: a file, or a folder, that was read as data."""

    path: str
    format: str
    outputs: tuple[Output, ...]
    graph: Graph | None = field(default=None, repr=False)
    surgeon: Surgeon | None = field(default=None, repr=False)
    frozen: str = ""  # why it can't be changed
    bound: str = ""  # why what it becomes has to lie in the same folder

    def output(self, name: str | None = None) -> Output:
        """The output of this name, or the only one. Raises :class:`NotDone`."""
        names = ", ".join(o.name for o in self.outputs)
        if name is None:
            if len(self.outputs) != 1:
                raise NotDone(f"it has {len(self.outputs)} outputs ({names}): name one")
            return self.outputs[0]
        found = [o for o in self.outputs if o.name == name]
        if len(found) != 1:
            raise NotDone(f"no output {name!r}; it has {names}")
        return found[0]

    def strip(self, output: str | None = None) -> Edited:
        """The file with an output that gives logits.

        ``output``: its name, where there are several. Raises :class:`NotDone`, with the reason, where that can't be.
        """
        chosen = self.output(output)
        if chosen.kind == "logits":
            raise NotDone(f"output {chosen.name!r} gives logits already")
        made = chosen.expression
        head = None if made is None or made.kind not in _NORMALISED else head_of(made)
        if head is None and made is not None and made.kind in _NORMALISED:
            raise NotDone(f"output {chosen.name!r}: more than one softmax or sigmoid makes it ({made.op})")
        if head is None:
            raise NotDone(f"output {chosen.name!r}: no softmax or sigmoid is known to make it")
        if head.args[0].kind in _NORMALISED:
            raise NotDone(f"output {chosen.name!r}: its {head.op} is applied to {head.args[0].kind}, not to logits")
        return self._changed(lambda surgeon: surgeon.strip(chosen, head))

    def append(self, head: str, output: str | None = None) -> Edited:
        """The file with an output that gives ``head`` (``softmax`` or ``sigmoid``) of what it gives now.

        Raises :class:`NotDone`, with the reason, where that can't be.
        """
        if head not in HEADS:
            raise NotDone(f"{head!r} can't be appended; what can: {', '.join(HEADS)}")
        chosen = self.output(output)
        if chosen.expression is not None and chosen.expression.kind in _NORMALISED:
            of = "gives" if chosen.kind != "unknown" else "is made of"
            raise NotDone(f"output {chosen.name!r} {of} {told_of(chosen.expression.kind)} already")
        return self._changed(lambda surgeon: surgeon.append(chosen, head))

    def _changed(self, change: Callable[[Surgeon], Edited]) -> Edited:
        if self.surgeon is None:
            raise NotDone(self.frozen)
        try:
            return change(self.surgeon)
        except (LookupError, TypeError, AttributeError, RecursionError) as error:  # no framework writes such a file
            raise NotDone(f"what it says of its layers is damaged ({type(error).__name__})") from None


def told_of(kind: Kind) -> str:
    """A kind as the file's reader is told of it."""
    return _TOLD.get(kind, "unknown")


def told(node: Node) -> str:
    """The kind of an output, for its reader: scores that an activation or a norm has changed are not called logits,
    and no more are probabilities that were cut, or taken from 1."""
    plain = _are_plain_scores(node) if node.kind is Kind.LOGITS else not _are_changed(node)
    return told_of(node.kind) if plain else "unknown"


def _are_changed(node: Node) -> bool:
    """Whether probabilities, or their logs, are no longer those of a softmax or sigmoid."""
    while node.args and node.op not in _OF_HEADS:
        if node.op == "one_minus" and node.kind is Kind.PROBS:
            return True
        if node.op == "clip" and node.kind in PROBABILITY_KINDS and not _is_guard(node):
            return True
        node = node.args[0]
    return False


def _is_guard(clip: Node) -> bool:
    low, high = clip.attrs.get("low"), clip.attrs.get("high")
    return (low is None or low <= _GUARD) and (high is None or high >= 1 - _GUARD)


def _are_plain_scores(node: Node) -> bool:
    """Whether a value is an affine map's, moved, scaled, pooled or added to another at most."""
    waiting, seen = [node], set()
    while waiting:
        x = waiting.pop()
        if id(x) in seen:
            continue
        seen.add(id(x))
        if x.op in _ACTIVE:
            return False
        if x.op in _ONWARD or x.op in ("add", "sub", "concat", "join"):
            waiting += [a for a in x.args if a.kind is not Kind.PARAMETER and a.op != "const"]
        elif x.op not in ("affine", "matmul", "logits"):
            return False
    return True


def head_of(node: Node) -> Node | None:
    """The softmax, sigmoid or log of one that made an output; None where none is known."""
    made = through(node, _ONWARD | {"clip", "add_eps"})
    return made if made.op in _OF_HEADS and made.kind in _NORMALISED else None


def bare_scores(node: Node) -> Node:
    """Scores without what moves them, or counts them in another format."""
    return through(node, _ONWARD - {"scale", "pool", "mask"})


def class_axis(node: Node) -> int:
    """The axis along which an output has its classes: that of the units of the layer that made it, else the last."""
    while node.args and node.op != "affine" and node.op in _UNMOVED:
        node = next((a for a in node.args if a.kind is not Kind.PARAMETER), node.args[0])
    axis = node.attrs.get("axis", -1) if node.op == "affine" else -1
    return axis if isinstance(axis, int) else -1


def made_by(graph: Graph, tensor: str) -> tuple[str, ...]:
    """The names of the steps that make an output of its logits; of logits, those from the layer on; else the last."""
    node = graph.of(tensor)
    head = head_of(node)
    if head is not None:
        steps = graph.between(tensor, *head.args)
    elif told(node) == "logits":
        layers = [n for n in _layers(node) if n.args]
        steps = graph.between(tensor, *(a for layer in layers for a in layer.args))
    else:
        steps = [graph.made_by[tensor]] if tensor in graph.made_by else []
    return tuple(dict.fromkeys(step.name for step in steps if step.name))


def _layers(node: Node) -> Sequence[Node]:
    """The affine maps at the end of a value's ways."""
    waiting, found, seen = [node], [], set()
    while waiting:
        x = waiting.pop()
        if id(x) in seen:
            continue
        seen.add(id(x))
        if x.op in ("affine", "matmul"):
            found.append(x)
        else:
            waiting += x.args
    return found
