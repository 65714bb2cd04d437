"""The recorder: turns the operations that a front end meets into loss expressions, and keeps what a rule may judge.

A front end hands over one operation after another: its name, arguments and attributes, where it stands and whose it is.
Whatever isn't about the front end's own language happens here: the canonical form, what a log turns out to be for, what
a formula says of a value (a binary cross-entropy of its probability, a contrastive loss of its normaliser), and which
loss is handed what a metric reads.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from finallayer import canonical
from finallayer.canonical import bare, bernoulli_logs, build, naive_normaliser, quotient_logs
from finallayer.destinations import Destinations
from finallayer.expr import LOSSES, MOVES, ON_LOGITS, PICKS, Node, Origin, Role, declaring, having
from finallayer.findings import Sighting
from finallayer.formulas import COMPLETING, Term, handed, is_another, likelihoods, opposites, summed, terms, weighed
from finallayer.kinds import LOG_KINDS, Kind
from finallayer.purposes import TELLING, purposes, summed_along

#: What is kept for the rules to judge.
JUDGED = (
    having(Role.HEAD) | having(Role.LOSS) | having(Role.READER) | having(Role.FORMULA) | {"neg", "sum", "max", "mean"}
)
#: Of these, what is judged only where it goes along one axis, which may be that of the classes.
_ALONG = frozenset({"sum", "max"})
#: What may be recorded besides ``expr.OPERATIONS``: it is always another operation, or two.
SPELLINGS = canonical.SPELLINGS | {"xlogy"}
#: What a formula may end in that states the logs of another.
_STATING = frozenset({"add", "sub", "log", "div"})
#: What says which loss on logits is handed the value that it reads.
_READERS = declaring("loss")
#: What leaves a value the same to a loss and to a metric; another head of the same shape is another value.
_SAME_VALUE = MOVES - PICKS


class Scene(NamedTuple):
    """What a front end knows of the place where an operation runs."""

    training: bool = True  # False where no gradient is asked for
    caller: Origin | None = None  # the call that brought the program here
    compiled: bool = False  # where a model meets what it is compiled with
    by_hand: bool = False  # in a function whose gradient is written by hand
    asked: bool = True  # False in a program that only compares values
    functions: tuple[Hashable, ...] = ()  # which of the program's own run


class Supposed(Protocol):
    """Which of several alternatives an operation's arguments are."""

    def is_instead_of(self, other: Any) -> bool:
        """Whether the same alternative is handed to either of two operations, never to both in one run."""
        ...


class Recorder:
    """Everything that one program does, as loss expressions, in the order in which it does it."""

    def __init__(self, follows: bool = False) -> None:
        """``follows``: the front end tells ``destinations`` of every value that goes where nobody follows it."""
        self._follows = follows
        self._seen: list[Sighting] = []
        self._supposed: dict[int, Supposed] = {}  # the sightings of one alternative of several
        self._known: set[Node] = set()  # the losses that formulas amounted to
        self._negatives: dict[int, tuple[Node, Node]] = {}  # what they are made into, by its identity
        self._at: dict[int, list[int]] = {}  # which sightings stand at an origin, by its identity
        self.destinations = Destinations()
        self._made_by: dict[int, tuple[Node, Hashable]] = {}  # which layer has given a value, by the value's identity

    def record(
        self,
        op: str,
        args: Sequence[Node],
        attrs: dict[str, Any] | None = None,
        origin: Origin | None = None,
        framework: str = "",
        scene: Callable[[], Scene] = Scene,
        silent: bool = False,
        supposed: Supposed | None = None,
    ) -> Node:
        """The canonical node of an operation (of ``expr.OPERATIONS``, or a spelling of one) on these arguments.

        ``framework``: whose operation it is, empty where it's plain Python. ``scene``: asked only where it matters.
        ``silent``: nothing is written down, as the program may never do this. Nor is it without an ``origin``.
        ``supposed``: which of several alternatives the arguments are.
        """
        attrs = attrs or {}
        if op == "xlogy" and len(args) == 2:
            log = self.record("log", args[1:], attrs, origin, framework, scene, silent)
            if bare(args[0]) == bare(args[1]):
                self.note(log, "no_loss")  # an entropy, whose terms are 0 where p is
            op, args = "mul", (args[0], log)
        if op in TELLING:
            for log, purpose in purposes(op, args, attrs):
                self.note(log, purpose)
            for log, axis in summed_along(op, args, attrs):
                self.note(log, "summed_along", axis)
        made = build(op, tuple(args), attrs, origin)
        if self.destinations:
            self.destinations.follow(op, args, made)
        for arg in args:
            if made is arg:  # `1 * loss` is the loss, which is written down already
                return made
        total = self._completed(made) if made.op in COMPLETING else ()
        if made.op == "nll" and made.attrs.get("reduction") == "none" and made.args[0].kind is Kind.PROBS:
            self._negatives[id(made)] = made, made
        if self._negatives:
            self._reconsider(op, args, made)
        if not silent:
            logs = (*bernoulli_logs(made), *quotient_logs(made)) if made.op in _STATING else ()
            if self._follows and (logs or (made.op == "log" and made.kind in LOG_KINDS)):
                self.destinations.begin(made, (*logs, made) if made.op == "log" else logs, scene().functions)
            for stated in (*logs, *self._said(made, total), made):
                if _is_judged(stated) and stated.origin is not None:
                    known = self._at.setdefault(id(stated.origin), [])
                    whose = next((self._seen[i].framework for i in known if self._seen[i].framework), framework)
                    known.append(len(self._seen))
                    if supposed is not None:
                        self._supposed[len(self._seen)] = supposed
                    self._seen.append(Sighting(stated, whose, *scene()[:-1]))
        return made

    def _completed(self, made: Node) -> list[Term]:
        """The products that a value is the sum of, and what they say of the logs and losses among them."""
        total = terms(made)
        if "log" in [term.about.op for term in total]:
            for log, purpose in (*likelihoods(total), *opposites(total), *weighed(total)):
                self.note(log, purpose)
        for loss in summed(total):
            self.note(loss, "summed")
        return total

    def _said(self, made: Node, total: Sequence[Term]) -> Iterator[Node]:
        """What else an operation amounts to: the normaliser and the losses that its formula states."""
        normaliser = naive_normaliser(made) if made.op == "log" else None
        if normaliser is not None:
            yield normaliser
        if total:
            yield from self._handed(made, total)

    def made_by(self, made: Node, layer: Hashable) -> None:
        """A value is what a layer has given, the same layer of the program's wherever the key is the same."""
        self._made_by[id(made)] = made, layer

    def sightings(self) -> list[Sighting]:
        """Every operation that a rule may judge, in the order met.

        Metrics and thresholds say which loss on logits is handed the very value that they read, or what the same layer
        gives elsewhere: that makes it logits. What is compared with 1, too, is checked to be a probability: no
        threshold decides anything.
        """
        trained = {id(_value(s.node)): s.node.op for s in self._seen if s.node.op in ON_LOGITS}
        layers = self._trained_layers()

        def loss(reader: Node) -> str | None:
            value = _value(reader)
            return trained.get(id(value)) or layers.get(self._layer(value))

        losses = ((s, loss(s.node) if s.node.op in _READERS else None) for s in self._seen)
        seen = [s if trains is None else _with(s, "loss", trains) for s, trains in losses]
        ranges = {id(_value(s.node)) for s in self._seen if s.node.op == "threshold" and s.node.attrs.get("value") == 1}
        for number, supposed in self._supposed.items():
            others = (n for n, other in self._supposed.items() if supposed.is_instead_of(other))
            seen[number] = seen[number]._replace(supposed=True, instead=tuple(self._seen[n].node for n in others))
        seen = [
            s if s.node.op != "log" else s._replace(asked=s.asked and not self.destinations.only_read(s.node))
            for s in seen
        ]
        return [s for s in seen if s.node.op != "threshold" or id(_value(s.node)) not in ranges]

    def _layer(self, value: Node) -> Hashable:
        """The layer that has given a value; None where none is known."""
        return self._made_by[id(value)][1] if id(value) in self._made_by else None

    def _trained_layers(self) -> dict[Hashable, str]:
        """The layers whose output one loss on logits is handed, certainly, and no other loss."""
        met: dict[Hashable, set[str]] = {}
        for number, sighting in enumerate(self._seen):
            layer = self._layer(_value(sighting.node)) if sighting.node.op in LOSSES else None
            if layer is not None:
                met.setdefault(layer, set()).add("supposed" if number in self._supposed else sighting.node.op)
        return {layer: op for layer, ops in met.items() for op in ops & ON_LOGITS if len(ops) == 1}

    def _handed(self, made: Node, total: Sequence[Term]) -> Iterator[Node]:
        """The losses that a sum amounts to, each once, however far the sum goes on."""
        for loss in handed(total, made.origin):
            if loss not in self._known:
                self._known.add(loss)
                if loss.op == "nll":
                    self._negatives[id(made)] = made, loss
                yield loss

    def _reconsider(self, op: str, args: Sequence[Node], made: Node) -> None:
        """Follow the negative of a picked probability: what is done with it may show that it is no loss."""
        for _, loss in [self._negatives[id(arg)] for arg in args if id(arg) in self._negatives]:
            if is_another(op, args, made, loss.args[0]):
                self.note(loss, "no_loss")
            else:
                self._negatives[id(made)] = made, loss

    def note(self, log: Node, purpose: str, value: object = True) -> None:
        """Say of a log that was written down, on whichever way, what it is for, as what is now done with it shows."""
        for i in self._at.get(id(log.origin), ()):
            seen = self._seen[i].node
            if seen.op == log.op and (seen.args == log.args or i in self._supposed):
                self._seen[i] = _with(self._seen[i], purpose, value)


def _is_judged(node: Node) -> bool:
    return node.op in JUDGED and (node.op not in _ALONG or type(node.attrs.get("axis")) is int)


def _with(sighting: Sighting, attribute: str, value: object) -> Sighting:
    node = sighting.node
    return sighting._replace(node=Node(node.op, node.args, {**node.attrs, attribute: value}, node.origin))


def _value(reader: Node) -> Node:
    """What a loss or a metric reads, without what only moves it, or puts the same of several batches together."""
    node = reader.args[0] if reader.args else reader
    while node.args and (node.op in _SAME_VALUE or (node.op == "concat" and len(node.args) == 1)):
        node = node.args[0]
    return node
