"""The loss expression: a small immutable DAG of canonical operations, each node with its origin.

Front ends build it with :func:`make`, rules judge it, numerics evaluates it, fixes rewrite it. An operation is one row
of :data:`OPERATIONS`, which says all that there is to know of it. Equality and hash are structural and ignore the
origin: ``exp(z)`` of line 3 equals ``exp(z)`` of line 4.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from enum import Flag, auto
from types import NoneType
from typing import Any, Literal, NamedTuple, TypeVar

from finallayer.kinds import EXP_OF, LOG_OF, PROBABILITY_KINDS, Kind, join

T = TypeVar("T")

#: How much of an expression is printed.
MOST_LEVELS, MOST_TERMS = 7, 3


class Origin(NamedTuple):
    """Where a node comes from: a range of source (lines from 1, columns from 0 in characters) or a named place."""

    path: str
    line: int = 0
    column: int = 0
    end_line: int = 0
    end_column: int = 0
    cell: int | None = None  # notebooks: index among all cells; lines are counted within the cell
    code_cell: int | None = None  # the same cell as its reader counts: the code cells that aren't empty, from 1


class Node:
    """One operation of a loss expression. Immutable; made by :func:`make`."""

    __slots__ = ("_hash", "args", "attrs", "kind", "least_rank", "op", "origin", "rank")

    op: str
    args: tuple[Node, ...]
    attrs: dict[str, Any]
    origin: Origin | None
    kind: Kind
    rank: int | None
    least_rank: int
    _hash: int

    def __init__(self, op: str, args: tuple[Node, ...], attrs: dict[str, Any], origin: Origin | None) -> None:
        self.op = op
        self.args = args
        self.attrs = attrs
        self.origin = origin
        gives = OPERATIONS.get(op, UNDECLARED).gives
        self.kind = gives(self) if callable(gives) else gives
        if args:
            self.rank, self.least_rank = _axes_of(self)
            self._hash = hash((op, tuple([a._hash for a in args]), _frozen(attrs) if attrs else None))
        else:
            self.rank = rank = attrs.get("rank")
            self.least_rank = max(rank or 0, attrs.get("least_rank", 0))
            self._hash = hash((op, (), _frozen(attrs) if attrs else None))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        """Structural, by the 64-bit hash of the whole DAG: comparing shared parts again and again would never end."""
        return self is other or (
            isinstance(other, Node)
            and self._hash == other._hash
            and self.op == other.op
            and len(self.args) == len(other.args)
        )

    def __str__(self) -> str:
        return self.text(MOST_LEVELS)

    __repr__ = __str__

    @property
    def operation(self) -> Operation:
        """All that there is to know of the node's operation."""
        return OPERATIONS.get(self.op, UNDECLARED)

    def text(self, levels: int) -> str:
        """The expression in words, so many operations deep; what lies deeper is an ellipsis."""
        if self.op in LEAVES:
            return str(self.attrs.get("name", self.op))
        if levels == 0:
            return "..."
        shown = [a.text(levels - 1) for a in self.args[:MOST_TERMS]] + ["..."] * (len(self.args) > MOST_TERMS)
        shown += [f"{k}={self.attrs[k]}" for k in SHOWN_ATTRS if self.attrs.get(k) is not None]
        return f"{self.op}({', '.join(shown)})"

    def walk(self) -> Iterator[Node]:
        """Every node of the DAG once, this one first."""
        seen: set[int] = set()
        stack = [self]
        while stack:
            node = stack.pop()
            if id(node) not in seen:
                seen.add(id(node))
                yield node
                stack.extend(reversed(node.args))


def _frozen(attrs: dict[str, Any]) -> object:
    """The attributes, in any order, as what can be hashed."""
    try:
        if len(attrs) == 1:
            ((k, v),) = attrs.items()
            return hash((k, type(v), v))
        return hash(frozenset([(k, type(v), v) for k, v in attrs.items()]))
    except TypeError:
        return tuple(sorted([(k, repr(v)) for k, v in attrs.items()]))


def make(op: str, *args: Node, origin: Origin | None = None, **attrs: Any) -> Node:
    """The node ``op(*args, **attrs)``, its kind inferred."""
    return Node(op, args, attrs, origin)


def logits(name: str = "z", origin: Origin | None = None, **attrs: Any) -> Node:
    """The leaf that every loss expression starts from."""
    return make("logits", name=name, origin=origin, **attrs)


def target(name: str = "y", origin: Origin | None = None) -> Node:
    """The leaf that holds class indices or a target distribution."""
    return make("target", name=name, origin=origin)


#: The name of what a comparison gives where nobody knows the answer.
COMPARED = "compare"


def is_comparison(node: Node) -> bool:
    """Whether a value says of each number on which side of another it is."""
    return node.op in ("compare", "threshold") or (node.op == "opaque" and node.attrs.get("name") == COMPARED)


#: How a value goes that a call has given which isn't understood: by the line and column of the call.
_GIVEN = re.compile(r":\d+:\d+$")


def is_given(node: Node) -> bool:
    """Whether a value is what a call has given that isn't understood."""
    return node.op == "opaque" and _GIVEN.search(str(node.attrs.get("name"))) is not None


def through(node: Node, ops: frozenset[str]) -> Node:
    """The first node at or under ``node`` (by first arguments) whose operation is not in ``ops``."""
    while node.op in ops and node.args:
        node = node.args[0]
    return node


def once(answer: Callable[[Node], T]) -> Callable[[Node], T]:
    """A question that each node is asked once, however many ways lead to it: each ``if`` of a program doubles them."""
    known: dict[int, tuple[Node, T]] = {}  # by identity, which lasts while the node is kept

    def asked(node: Node) -> T:
        if id(node) not in known:
            known[id(node)] = node, answer(node)
        return known[id(node)][1]

    return asked


# What kind an operation gives: a kind, or a function of the node.


def first(node: Node) -> Kind:
    return node.args[0].kind if node.args else Kind.UNKNOWN


def scores(node: Node) -> Kind:
    """Logits stay unnormalised scores; what a softmax or sigmoid made loses its meaning."""
    return Kind.LOGITS if first(node) is Kind.LOGITS else Kind.UNKNOWN


def log_of(node: Node) -> Kind:
    return LOG_OF.get(first(node), Kind.UNKNOWN)


def exp_of(node: Node) -> Kind:
    return EXP_OF.get(first(node), Kind.UNKNOWN)


def probabilities(node: Node) -> Kind:
    return first(node) if first(node) in PROBABILITY_KINDS else Kind.UNKNOWN


def joined(node: Node) -> Kind:
    return join(a.kind for a in node.args)


def mixed(node: Node) -> Kind:
    """Several probabilities, added up: not one of them, as ``joined`` would be."""
    return joined(node)


def linear(node: Node) -> Kind:
    """Sum of terms: logits when every term is logits or a parameter, and one is logits."""
    kinds = {a.kind for a in node.args}
    if kinds == {Kind.PARAMETER}:
        return Kind.PARAMETER
    return Kind.LOGITS if Kind.LOGITS in kinds and kinds <= {Kind.LOGITS, Kind.PARAMETER} else Kind.UNKNOWN


def product(node: Node) -> Kind:
    """A contraction: with a parameter it is an affine map, whatever goes in."""
    kinds = [a.kind for a in node.args]
    if all(k is Kind.PARAMETER for k in kinds):
        return Kind.UNKNOWN
    return Kind.LOGITS if Kind.PARAMETER in kinds else Kind.UNKNOWN


# What else there is to know of an operation.


class Role(Flag):
    """What an operation is to a loss. Every operation has one of the first ten, and may have more."""

    LEAF = auto()  # data, weights, numbers
    LAYER = auto()
    HEAD = auto()  # the final layer's own: softmax, sigmoid, their logs and normalisers
    ELEMENTWISE = auto()
    ARITHMETIC = auto()  # of two numbers
    PLACE = auto()  # shape, type and place
    REDUCTION = auto()
    LOSS = auto()  # of a prediction and a target
    READER = auto()  # what looks at a prediction besides the loss
    STATED = auto()  # what a formula says its argument is
    CONSTANT = auto()  # a leaf whose numbers the program spells out
    FORMULA = auto()  # what shows a loss that is written by hand
    GUARD = auto()  # keeps a probability from 0
    PICK = auto()  # some entries of all
    SEVERAL = auto()  # of any number of values
    MASK = auto()  # tells which entries or samples count
    DRAW = auto()  # gives something else each time


class Keeps(Flag):
    """What an operation leaves of its (first) argument as it was."""

    NOTHING = 0
    NUMBERS = 1  # they are the same, elsewhere, in another shape, or among others
    RANK = 2  # as many axes
    AXES = 4 | 2  # every axis where it was, and as long
    ORDER = 8  # of two entries the larger is still no smaller


class Operation(NamedTuple):
    """A row of :data:`OPERATIONS`."""

    gives: Kind | Callable[[Node], Kind]
    role: Role
    keeps: Keeps
    attrs: str = ""  # the names of the attributes that it may carry, besides those of any operation
    takes: Kind = Kind.UNKNOWN  # what its first argument should be; UNKNOWN: anything
    over: Literal["classes", "outcome", ""] = ""  # a row of classes, or one outcome that is or isn't
    needs: str = ""  # the attributes of which it needs one to be computed

    @property
    def declares(self) -> frozenset[str]:
        """The attributes that a node of this operation may carry."""
        return frozenset(self.attrs.split()) | ANY_MAY_CARRY


ANY_MAY_CARRY = frozenset({"rank", "least_rank", "layer"})
#: The value of an attribute that the program states, but nobody can read.
UNREAD = "?"
_Axis = (int, tuple, NoneType)
_Number = (int, float, NoneType)
#: attribute -> the types that its value may have
ATTRIBUTES: dict[str, tuple[type, ...]] = {
    "name": (str,),  # of a leaf, or of the framework's function
    "layer": (str,),  # the name that the program gave the layer
    "rank": (int, NoneType),  # how many axes it has, where that is stated
    "least_rank": (int,),  # how many it has at least
    "axis": _Axis,
    "keepdims": (bool, int, NoneType),
    "units": (int, NoneType),
    "value": (bool, *_Number),  # of a constant; of a threshold, a mask or a power
    "low": _Number,
    "high": _Number,
    "eps": _Number,
    "by": (*_Number, str),  # the factor; of a gather: what picks (outcome, one_hot)
    "base": (int,),  # of a logarithm
    "at": (str,),  # what an index is called
    "least": _Number,  # of an index: what the entries are at the least, which a mask of their sizes picks
    "rows": (bool,),  # of an index: whether it is along the first axis
    "picked_along": (int,),  # of one entry of each row: along which axis it was picked
    "each": (bool,),  # of an index: one entry of each row
    "taken_for": (str,),  # what its name is taken to mean (catalog.conventions): epsilon, log_probability
    "above": (bool,),  # whether a threshold asks for more
    "from_logits": (bool, int),
    "log_target": (bool, int),  # whether a divergence takes the log of its target
    "binary": (bool,),  # of a distribution: of an outcome that is or isn't, not of one class of several
    "reduction": (str, NoneType),
    "on_logits": (str,),  # how this loss or metric is made to take logits
    "rescued_by": (str,),  # which backend finds the logits behind the probabilities that this loss is handed
    "reads": (str,),  # what a metric makes of its prediction: probs, logs, labels, any
    "loss": (str,),  # the loss that is handed what this reads
    "naive": (bool,),  # written by hand, without subtracting the maximum
    "whole": (bool,),  # over all axes
    "fed": (bool,),  # data that the program is fed with
    "blends": (bool,),  # of a pooling or interpolation: its numbers are means of those that went in
    "squeezes": (bool,),  # of a reshape: no axis is left out but those of length one
    "batched": (bool,),  # a batch of examples, each of whose parts has an axis for them
    "of": (tuple,),  # what tells an opaque value from others of its name
    "object": (bool,),  # what calling a class gives, which isn't None
    "finfo": (str,),  # the floating type whose limits a value has as attributes
    "no_loss": (bool,),  # what a log is for: no classifier's loss
    "summed_along": (int,),  # along which axis it is weighted and summed
    "self_weighted": (bool,),  # weighed by its own probability, with which its gradient vanishes
    "of_picked": (bool,),  # also of the entries that somebody picked, weighed by something else
    "summed": (bool,),  # of a loss of each sample: it is added up, weighed or not
    "of_classes": (bool,),  # the likelihood of a class: weighed by its labels, or picked by them
    "of_opposite": (bool,),  # beside the log of the other outcome's probability
    "of_outcome": (bool,),  # the likelihood of an outcome, beside that of its opposite
}

_PURPOSES = "no_loss self_weighted of_picked summed_along of_classes of_outcome of_opposite"
_OF_LOSSES = "name axis eps from_logits reduction on_logits rescued_by"
_OF_DRAWS = "name from_logits binary"
_ANY, _MONOTONE = Keeps.NOTHING, Keeps.AXES | Keeps.ORDER
_AS_IT_IS = Keeps.NUMBERS | _MONOTONE

#: All that there is to know of an operation. A new one is a row here, a line of the catalogue for each framework that
#: has it, and, for a loss that holds it to be computed, a row of ``numerics.forward_backward.OPERATIONS``.
OPERATIONS: dict[str, Operation] = {
    # leaves
    "logits": Operation(Kind.LOGITS, Role.LEAF, _ANY, "name"),
    "target": Operation(Kind.TARGET, Role.LEAF, _ANY, "name"),
    "parameter": Operation(Kind.PARAMETER, Role.LEAF, _ANY, "name"),
    "const": Operation(Kind.UNKNOWN, Role.LEAF | Role.CONSTANT, _ANY, "value", needs="value"),
    "numbers": Operation(Kind.UNKNOWN, Role.LEAF | Role.CONSTANT, _ANY, "low high of"),  # arange, or spelled out
    "opaque": Operation(Kind.UNKNOWN, Role.LEAF, _ANY, "name of fed batched object finfo taken_for"),
    # what a formula uses as the probability of one of two outcomes
    "bernoulli": Operation(Kind.SIGMOID_PROBS, Role.STATED, _MONOTONE),
    # what several softmaxes, or sigmoids, add up to
    "mixture": Operation(mixed, Role.REDUCTION | Role.SEVERAL, _ANY),
    # layers
    "affine": Operation(Kind.LOGITS, Role.LAYER, Keeps.RANK, "units axis"),
    "matmul": Operation(product, Role.LAYER, _ANY),
    "activation": Operation(scores, Role.LAYER, Keeps.AXES, "name"),  # relu, tanh, gelu ...
    "norm": Operation(scores, Role.LAYER, Keeps.AXES, "name axis"),
    "dropout": Operation(scores, Role.LAYER | Role.DRAW, Keeps.AXES),
    "pool": Operation(scores, Role.LAYER, _ANY, "keepdims blends"),  # pooling and interpolation: scores stay scores
    # the final layer's own
    "softmax": Operation(Kind.PROBS, Role.HEAD, _MONOTONE, "axis naive whole no_loss", Kind.LOGITS, "classes"),
    # exp(z) over its sum, with weights or a mask in that: no framework's softmax
    "weighted_softmax": Operation(Kind.UNKNOWN, Role.HEAD, _ANY, "axis naive", Kind.LOGITS, "classes"),
    "log_softmax": Operation(Kind.LOG_PROBS, Role.HEAD, _MONOTONE, "axis naive", Kind.LOGITS, "classes"),
    "logsumexp": Operation(Kind.UNKNOWN, Role.HEAD, _ANY, "axis keepdims naive", Kind.LOGITS, "classes"),
    "sigmoid": Operation(Kind.SIGMOID_PROBS, Role.HEAD, _MONOTONE, "naive", Kind.LOGITS, "outcome"),
    "log_sigmoid": Operation(Kind.LOG_SIGMOID, Role.HEAD, _MONOTONE, "", Kind.LOGITS, "outcome"),
    "softplus": Operation(Kind.UNKNOWN, Role.HEAD, _MONOTONE, "naive", Kind.LOGITS, "outcome"),
    # element by element
    "log": Operation(log_of, Role.ELEMENTWISE | Role.FORMULA, _MONOTONE, f"base {_PURPOSES}"),
    "log1p": Operation(Kind.UNKNOWN, Role.ELEMENTWISE, _MONOTONE),
    "exp": Operation(exp_of, Role.ELEMENTWISE, _MONOTONE, "", Kind.LOGITS),
    "neg": Operation(scores, Role.ELEMENTWISE, Keeps.AXES),
    "one_minus": Operation(probabilities, Role.ELEMENTWISE, Keeps.AXES),
    "clip": Operation(first, Role.ELEMENTWISE | Role.GUARD, _MONOTONE, "low high", needs="low high"),
    "add_eps": Operation(first, Role.ELEMENTWISE | Role.GUARD, _MONOTONE, "eps", needs="eps"),
    "scale": Operation(scores, Role.ELEMENTWISE, Keeps.AXES, "by", needs="by"),  # by a constant: temperature
    "shift": Operation(scores, Role.ELEMENTWISE, _MONOTONE, "axis"),  # minus its own maximum
    "sqrt": Operation(Kind.UNKNOWN, Role.ELEMENTWISE, _MONOTONE),
    "abs": Operation(Kind.UNKNOWN, Role.ELEMENTWISE, Keeps.AXES),
    # masked_fill, padding: by what isn't judged
    "mask": Operation(scores, Role.ELEMENTWISE | Role.MASK, _ANY, "value"),
    "one_hot": Operation(Kind.TARGET, Role.ELEMENTWISE | Role.MASK, _ANY, "units axis value"),
    # of two
    "add": Operation(linear, Role.ARITHMETIC, _ANY),
    "sub": Operation(linear, Role.ARITHMETIC, _ANY),
    "mul": Operation(Kind.UNKNOWN, Role.ARITHMETIC, _ANY),
    "div": Operation(Kind.UNKNOWN, Role.ARITHMETIC, _ANY),
    "pow": Operation(Kind.UNKNOWN, Role.ARITHMETIC, _ANY, "value"),
    "maximum": Operation(Kind.UNKNOWN, Role.ARITHMETIC, _ANY),
    "minimum": Operation(Kind.UNKNOWN, Role.ARITHMETIC, _ANY),
    # shape, type and place
    "reshape": Operation(first, Role.PLACE, Keeps.NUMBERS, "axis keepdims squeezes"),
    "index": Operation(first, Role.PLACE | Role.PICK, Keeps.NUMBERS, "axis at rows each picked_along least"),
    "gather": Operation(first, Role.PLACE | Role.PICK, Keeps.NUMBERS, "axis by picked_along"),  # the target's entry
    "cast": Operation(first, Role.PLACE, _AS_IT_IS),
    "identity": Operation(first, Role.PLACE, _AS_IT_IS),
    "stop_gradient": Operation(first, Role.PLACE, _AS_IT_IS),
    "concat": Operation(joined, Role.PLACE | Role.SEVERAL, Keeps.NUMBERS, "axis"),
    "join": Operation(joined, Role.PLACE | Role.SEVERAL, Keeps.NUMBERS),  # one of them, nobody knows which
    # reductions
    "sum": Operation(Kind.UNKNOWN, Role.REDUCTION, _ANY, "axis keepdims"),
    "cumsum": Operation(Kind.UNKNOWN, Role.REDUCTION, Keeps.AXES, "axis"),
    "mean": Operation(scores, Role.REDUCTION, _ANY, "axis keepdims"),
    "max": Operation(Kind.UNKNOWN, Role.REDUCTION, _ANY, "axis keepdims"),
    "min": Operation(Kind.UNKNOWN, Role.REDUCTION, _ANY, "axis keepdims"),
    "length": Operation(Kind.UNKNOWN, Role.REDUCTION, _ANY, "axis keepdims"),  # of a vector: its Euclidean norm
    # a cosine similarity lies within [-1, 1], so its exp can't overflow
    "cosine": Operation(Kind.UNKNOWN, Role.REDUCTION, _ANY, "axis eps"),
    # losses; eps: the framework's clip
    "xent_logits": Operation(Kind.UNKNOWN, Role.LOSS, _ANY, _OF_LOSSES, Kind.LOGITS, "classes"),
    "xent_probs": Operation(Kind.UNKNOWN, Role.LOSS, _ANY, _OF_LOSSES, Kind.PROBS, "classes"),
    "nll": Operation(Kind.UNKNOWN, Role.LOSS, _ANY, f"{_OF_LOSSES} no_loss summed", Kind.LOG_PROBS, "classes"),
    "bce_logits": Operation(Kind.UNKNOWN, Role.LOSS, _ANY, _OF_LOSSES, Kind.LOGITS, "outcome"),
    "bce_probs": Operation(Kind.UNKNOWN, Role.LOSS, _ANY, _OF_LOSSES, Kind.SIGMOID_PROBS, "outcome"),
    "kl": Operation(Kind.UNKNOWN, Role.LOSS, _ANY, f"{_OF_LOSSES} log_target", Kind.LOG_PROBS, "classes"),
    "kl_probs": Operation(Kind.UNKNOWN, Role.LOSS, _ANY, _OF_LOSSES, Kind.PROBS, "classes"),
    "mse": Operation(Kind.UNKNOWN, Role.LOSS, _ANY, _OF_LOSSES),
    "mae": Operation(Kind.UNKNOWN, Role.LOSS, _ANY, _OF_LOSSES),  # L1, smooth L1, Huber
    "hinge": Operation(Kind.UNKNOWN, Role.LOSS, _ANY, _OF_LOSSES),  # margin losses: take scores
    # readers
    "argmax": Operation(Kind.UNKNOWN, Role.READER, _ANY, "axis keepdims"),
    "topk": Operation(Kind.UNKNOWN, Role.READER, _ANY, "axis"),  # also sort: gives (values, indices)
    # > < == between tensors (in_top_k, eq): a threshold's general case
    "compare": Operation(Kind.UNKNOWN, Role.READER | Role.MASK, _ANY),
    "threshold": Operation(Kind.UNKNOWN, Role.READER | Role.MASK, _ANY, "value above loss"),
    # over the classes, or of an outcome, to be sampled from; and what draws from one
    "distribution": Operation(Kind.UNKNOWN, Role.READER, _ANY, _OF_DRAWS),
    "sample": Operation(Kind.UNKNOWN, Role.READER | Role.DRAW, _ANY, f"{_OF_DRAWS} axis eps"),
    "output": Operation(Kind.UNKNOWN, Role.READER, _ANY, "axis"),  # what a saved model gives to whoever runs it
    "metric": Operation(Kind.UNKNOWN, Role.READER, _ANY, "name reads value from_logits on_logits axis units loss"),
}

#: The row of an operation that nobody has declared: a front end's mistake, which tests report.
UNDECLARED = Operation(Kind.UNKNOWN, Role.LEAF, _ANY)


def having(role: Role) -> frozenset[str]:
    """The operations that have a role."""
    return frozenset(op for op, row in OPERATIONS.items() if role in row.role)


def keeping(kept: Keeps) -> frozenset[str]:
    """The operations that keep all of this."""
    return frozenset(op for op, row in OPERATIONS.items() if kept in row.keeps)


def declaring(attribute: str) -> frozenset[str]:
    """The operations that may carry an attribute."""
    return frozenset(op for op, row in OPERATIONS.items() if attribute in row.declares)


LEAVES = having(Role.LEAF)
#: What comes out is what went in, elsewhere or reshaped, perhaps among others.
TRANSPARENT = keeping(Keeps.NUMBERS)
#: The same, of one value alone.
MOVES = TRANSPARENT - having(Role.SEVERAL)
#: The same, every number where it was.
UNMOVED = keeping(Keeps.NUMBERS | Keeps.AXES)
SAME_RANK, SAME_AXES = keeping(Keeps.RANK), keeping(Keeps.AXES)
SEVERAL, PICKS, GUARDS, LOSSES = map(having, (Role.SEVERAL, Role.PICK, Role.GUARD, Role.LOSS))
#: Losses that apply the softmax or sigmoid themselves.
ON_LOGITS = frozenset(op for op in LOSSES if OPERATIONS[op].takes is Kind.LOGITS)
#: What gives a probability (or whatever it is) when given one.
HANDS_ON = frozenset(op for op, row in OPERATIONS.items() if row.gives in (first, joined, probabilities))
_BROADCASTS = having(Role.ARITHMETIC) | {"join"}
#: What has all the axes that any of its arguments has.
_EVERY_AXIS = having(Role.ARITHMETIC)
#: Attributes that say what a value turned out to be for.
PURPOSES = frozenset(_PURPOSES.split()) | {"summed"}
#: Attributes worth printing.
SHOWN_ATTRS = ("axis", "eps", "low", "high", "value", "units", "from_logits")


def undeclared(node: Node) -> list[str]:
    """What the tables don't provide for in one node: its operation, an attribute, or the type of one's value."""
    row = OPERATIONS.get(node.op)
    if row is None:
        return [f"no operation {node.op}"]
    wrong = [f"{node.op} may not carry {name}" for name in sorted(node.attrs.keys() - row.declares)]
    stated = {name: value for name, value in node.attrs.items() if name in row.declares and value != UNREAD}
    return wrong + [
        f"{node.op}: {name} is {value!r}" for name, value in stated.items() if type(value) not in ATTRIBUTES[name]
    ]


def _axes_of(node: Node) -> tuple[int | None, int]:
    """How many axes a node has that has arguments, where that is certain, and how many at the least."""
    op, args, attrs = node.op, node.args, node.attrs
    rank: int | None = attrs.get("rank")
    if rank is not None:
        return rank, int(rank)
    if op in SAME_RANK:
        rank = args[0].rank
    elif op in _BROADCASTS:
        ranks = {a.rank for a in args if a.kind is not Kind.PARAMETER and a.op != "const"}
        rank = ranks.pop() if len(ranks) == 1 else None
    least: int = max(rank or 0, attrs.get("least_rank", 0))
    if op in SAME_RANK:
        return rank, max(least, args[0].least_rank)
    return rank, max(least, *[a.least_rank for a in args]) if op in _EVERY_AXIS else least
