"""The graph of a model file as data, and the loss expression that each of its tensors holds.

A file of any format is a list of steps: an operation of its framework's, the tensors that it reads and gives, by name,
and its attributes. What an operation means stands in the catalogue; nothing here knows a format.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any, NamedTuple

from finallayer.catalog import Signature
from finallayer.catalog.applying import Applied, applied, constructed, params_of_call
from finallayer.expr import MOVES, Node, Origin, make
from finallayer.kinds import Kind
from finallayer.models.refusals import NotRead
from finallayer.recording import Recorder, Scene

Shape = tuple[int | str | None, ...]
#: More steps than the largest exported network has.
MOST_STEPS = 1_000_000
_REDUCTIONS = frozenset("sum mean max min logsumexp".split())
#: Operations whose result has another number of axes than what is known of their arguments says.
_RANKED = frozenset("reshape index gather concat sum mean max min matmul pool one_hot argmax topk".split())
#: A step that hands on what it is given, and is no operation of any framework's.
HANDS_ON = "identity"


class Step(NamedTuple):
    """One operation of a file's graph: a node or a layer."""

    name: str  # of the node or layer, as the file has it
    op: str  # the framework's operation
    inputs: tuple[str, ...]  # the tensors that it reads; an empty name is an input left out
    outputs: tuple[str, ...]
    attrs: Mapping[str, Any]
    named: bool = False  # whether its inputs stand among its attributes, by the names of its parameters


class Tensor(NamedTuple):
    """A tensor, by its name, that stands for an argument."""

    name: str


class Facts(NamedTuple):
    """What a file says of its tensors besides the steps."""

    shape: Callable[[str], Shape | None]  # sizes of a tensor's axes: numbers, names, None where they aren't known
    number: Callable[[str], Any]  # a constant's number or tuple of numbers; None where it is none
    is_parameter: Callable[[str], bool]  # whether a tensor is stored in the file: weights

    def rank(self, tensor: str) -> int | None:
        """How many axes a tensor has; None where that isn't known."""
        shape = self.shape(tensor)
        return None if shape is None else len(shape)

    def size(self, tensor: str, axis: int) -> int | None:
        """The size of one axis of a tensor; None where that isn't known, or is only named."""
        shape = self.shape(tensor)
        size = shape[axis] if shape else None
        return size if isinstance(size, int) else None


def in_order(steps: Sequence[Step], given: Iterable[str]) -> list[Step]:
    """The steps, each after those that it reads from; ``given``: the tensors that no step makes.

    Raises :class:`NotRead` where they go round in a circle, or two make the same tensor.
    """
    maker: dict[str, int] = {}
    for number, step in enumerate(steps):
        for output in filter(None, step.outputs):
            if maker.setdefault(output, number) != number:
                raise NotRead(f"tensor {output!r} is made twice, by {steps[maker[output]].name!r} and {step.name!r}")
    known = set(given)
    order = TopologicalSorter(dict.fromkeys(range(len(steps)), ()))
    for number, step in enumerate(steps):
        order.add(number, *(maker[i] for i in step.inputs if i in maker and i not in known))
    try:
        return [steps[number] for number in order.static_order()]
    except CycleError as circle:
        stuck = steps[circle.args[1][0]].name
        raise NotRead(f"the graph goes round in a circle: {stuck!r} reads what is made of its own result") from None


class Graph:
    """The steps of a file in order, with the expression that each tensor holds."""

    def __init__(self, path: str, steps: Sequence[Step], facts: Facts, framework: str, training: bool = False) -> None:
        """``training``: whether the graph is one that trains, so that a gradient is asked of its logs."""
        self.path, self.steps, self.framework = path, list(steps), framework
        self.recorder = Recorder()
        self.ends: dict[str, str] = {}  # the tensors that are outputs -> their names
        self.made_by: dict[str, Step] = {o: step for step in steps for o in step.outputs if o}
        self._facts = facts
        self._training = training
        self._nodes: dict[str, Node] = {}
        self._alike: dict[object, int] = {}  # how many steps that aren't understood do the same to the same
        self._origins: dict[int, str] = {}  # the number that an origin has for its line -> the step's name

    def of(self, tensor: str) -> Node:
        """The expression of a tensor; of one that no step has made, a leaf."""
        if tensor not in self._nodes:
            number, rank = self._facts.number(tensor), self._facts.rank(tensor)
            if isinstance(number, (bool, int, float)):
                leaf = make("const", value=number)
            elif self._facts.is_parameter(tensor):
                leaf = make("parameter", name=tensor, rank=rank)
            else:
                leaf = make("opaque", name=tensor, fed=True, rank=rank)
            self._nodes[tensor] = leaf
        return self._nodes[tensor]

    def bind(self, tensor: str, node: Node) -> None:
        """From here on a tensor holds this."""
        self._nodes[tensor] = node

    def place(self, number: int) -> str:
        """The name of the step whose number an origin has for its line."""
        return self._origins.get(number, "")

    def origin(self, step: Step) -> Origin:
        """Where a step stands: in the file, by its number from 1 on."""
        number = len(self._origins) + 1
        self._origins[number] = step.name
        return Origin(self.path, number)

    def run(self, signature: Callable[[Step], Signature | None], fitted: Callable[[Step, Applied], Applied]) -> None:
        """Give every tensor its expression. ``signature``: what an operation does; ``fitted``: what only the format
        knows of an operation that is applied."""
        for step in self.steps:
            origin = self.origin(step)
            folded = self._folded(step)
            made = folded or self._made(step, signature(step), fitted, origin)
            if folded is None and (made is None or made.kind is Kind.PARAMETER):
                made = None  # rows of a table that data picks are no weights: an embedding's
            unknown = self._unknown(step) if made is None or len(step.outputs) > 1 else []
            for number, output in enumerate(step.outputs):
                self.bind(output, made if made is not None and number == 0 else unknown[number])

    def _folded(self, step: Step) -> Node | None:
        """What is reckoned with parameters alone is a parameter."""
        given = [self.of(i) for i in step.inputs if i]
        if not given or not all(n.kind is Kind.PARAMETER or n.op == "const" for n in given):
            return None
        if all(n.op == "const" for n in given):
            return None
        return make("parameter", name=next(iter(step.outputs), ""), rank=self._rank(step.outputs, 0))

    def _rank(self, tensors: Sequence[str], number: int) -> int | None:
        """How many axes one of a step's tensors has."""
        return self._facts.rank(tensors[number]) if number < len(tensors) else None

    def _made(
        self,
        step: Step,
        signature: Signature | None,
        fitted: Callable[[Step, Applied], Applied],
        origin: Origin,
    ) -> Node | None:
        """What a step gives first; None where that isn't understood."""
        if step.op == HANDS_ON:
            return self.of(step.inputs[0])
        what = None if signature is None else self._applied(step, signature)
        if what is None:
            return None
        op, args, attrs = fitted(step, what)
        if op == "dropout":  # what is saved is run without
            op, attrs = "identity", {}
        scene = Scene(training=self._training or op != "log")
        return self.recorder.record(op, args, attrs, origin, self.framework, lambda: scene)

    def compiled(self, step: Step, signature: Signature, output: str) -> Node | None:
        """Record the loss or metric that the model is compiled with, of an output and the labels."""
        given = {"target": make("target", name="y_true"), "x": self.of(output)}
        args = [given.get(p.canonical) for p in params_of_call(signature) if not p.keyword_only]
        what = applied(signature, args[: len(given)], step.attrs, step.op, self._read)
        if what is None:
            return None
        attrs = {**what.attrs, **constructed(signature, step.attrs)}
        origin, scene = self.origin(step), Scene(compiled=True)
        return self.recorder.record(what.op, what.args, attrs, origin, self.framework, lambda: scene)

    def _applied(self, step: Step, signature: Signature) -> Applied | None:
        args: list[Any] = []
        if not step.named:
            rest = any(p.rest for p in signature.params)
            names = [""] * len(step.inputs) if rest else [p.canonical for p in signature.params]
            args = [self._argument(i, name) for i, name in zip(step.inputs, names, strict=False)]
        what = applied(signature, args, step.attrs, step.op, self._read)
        return None if what is None else self._shaped(step, what)

    def _argument(self, tensor: str, canonical: str) -> Any:
        """An input as its parameter is told: an axis, or a bound, as the number that it is."""
        if not tensor:
            return None
        number = self._facts.number(tensor) if canonical in ("axis", "low", "high", "value", "units") else None
        return number if number is not None else Tensor(tensor)

    def _read(self, value: Any) -> Node | None:
        return self.of(value.name) if isinstance(value, Tensor) else value if isinstance(value, Node) else None

    def _shaped(self, step: Step, what: Applied) -> Applied:
        """What shapes and parameters tell of an operation: a product with a parameter is a layer."""
        op, nodes, attrs = what
        if op in _REDUCTIONS and not _goes_along(attrs, self._rank(step.inputs, 0)):
            return Applied("identity", nodes, {})
        if op == "matmul" and [n.kind is Kind.PARAMETER for n in nodes] == [False, True]:
            op, attrs = "affine", {"axis": -1, "units": self._facts.size(step.inputs[1], -1), **attrs}
        rank = self._rank(step.outputs, 0)
        if op in _RANKED and rank is not None:
            attrs["rank"] = rank
        return Applied(op, nodes, attrs)

    def _unknown(self, step: Step) -> list[Node]:
        """The results of a step that isn't understood, told from those of any other, whatever either is called."""
        does = (step.op, *(hash(self.of(i)) for i in step.inputs if i))
        self._alike[does] = number = self._alike.get(does, 0) + 1
        return [
            make("opaque", name=f"{step.op}:{place}:0", of=(*does, number, place), rank=self._rank(step.outputs, place))
            for place in range(len(step.outputs))
        ]

    def ends_in(self, outputs: Mapping[str, str]) -> None:
        """Which tensors the model gives, by their names. Of a row each, the classes lie along the last axis."""
        self.ends = {tensor: name for name, tensor in outputs.items()}
        for name, tensor in outputs.items():
            node = self.of(tensor)
            if node.rank == 2:
                origin = self.origin(Step(f"output {name}", "", (tensor,), (), {}))
                self.recorder.record("output", [node], {"axis": -1}, origin, self.framework)

    def between(self, output: str, *ends: Node) -> list[Step]:
        """The steps that make a tensor of these values, in order: those that the values don't need themselves."""
        found: dict[int, Step] = {}
        waiting = [output]
        while waiting:
            tensor = waiting.pop()
            step = self.made_by.get(tensor)
            if step is None or id(step) in found or any(self._nodes.get(tensor) is end for end in ends):
                continue
            found[id(step)] = step
            read = step.inputs[:1] if self.of(tensor).op in MOVES else step.inputs  # a shape is no value
            waiting += [i for i in read if i and self.of(i).kind is not Kind.PARAMETER]
        return [step for step in self.steps if id(step) in found]

    def readers(self, tensor: str) -> list[Step]:
        """The steps that read a tensor."""
        return [step for step in self.steps if tensor in step.inputs]


def _goes_along(attrs: dict[str, Any], rank: int | None) -> bool:
    """Say of a reduction along which axis it goes; nothing where it goes along all. Whether it goes along any."""
    axes = attrs.pop("axis", None)
    axes = axes if isinstance(axes, tuple) else (axes,)
    if None not in axes and axes and (len(axes) != rank or len(axes) == 1):
        attrs["axis"] = axes[0] if len(axes) == 1 else axes
    return axes != ()
