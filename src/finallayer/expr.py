"""The loss expression: a small immutable DAG of canonical operations, each node with its origin.

Front ends build it with :func:`make`, rules judge it, numerics evaluates it, fixes rewrite it. An operation is one
line of :data:`OPERATIONS`, which says what kind of value it gives. Equality and hash are structural and ignore the
origin: ``exp(z)`` of line 3 equals ``exp(z)`` of line 4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from finallayer.kinds import EXP_OF, LOG_OF, PROBABILITY_KINDS, Kind, join

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


class Node:
    """One operation of a loss expression. Immutable; made by :func:`make`."""

    __slots__ = ("_hash", "args", "attrs", "kind", "op", "origin", "rank")

    op: str
    args: tuple[Node, ...]
    attrs: dict[str, Any]
    origin: Origin | None
    kind: Kind
    rank: int | None
    _hash: int

    def __init__(self, op: str, args: tuple[Node, ...], attrs: dict[str, Any], origin: Origin | None) -> None:
        self.op = op
        self.args = args
        self.attrs = attrs
        self.origin = origin
        gives = OPERATIONS.get(op, unknown)
        self.kind = gives(self) if callable(gives) else gives
        self.rank = rank_of(self)
        self._hash = hash((op, tuple([a._hash for a in args]), _frozen(attrs) if attrs else None))

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

    def text(self, levels: int) -> str:
        """The expression in words, so many operations deep; what lies deeper is an ellipsis."""
        if self.op in LEAVES:
            return str(self.attrs.get("name", self.op))
        if levels == 0:
            return "..."
        shown = [a.text(levels - 1) for a in self.args[:MOST_TERMS]] + ["..."] * (len(self.args) > MOST_TERMS)
        shown += [f"{k}={v}" for k, v in self.attrs.items() if k in SHOWN_ATTRS and v is not None]
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


def through(node: Node, ops: frozenset[str]) -> Node:
    """The first node at or under ``node`` (by first arguments) whose operation is not in ``ops``."""
    while node.op in ops and node.args:
        node = node.args[0]
    return node


# What kind an operation gives: a kind, or a function of the node. An operation that isn't here gives UNKNOWN.


def unknown(node: Node) -> Kind:
    return Kind.UNKNOWN


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


LEAVES = frozenset({"logits", "target", "parameter", "const", "numbers", "opaque"})

OPERATIONS: dict[str, Kind | Callable[[Node], Kind]] = {
    # leaves
    "logits": Kind.LOGITS,
    "target": Kind.TARGET,
    "one_hot": Kind.TARGET,
    "parameter": Kind.PARAMETER,
    "bernoulli": Kind.SIGMOID_PROBS,  # what a formula uses as the probability of one of two outcomes
    "const": Kind.UNKNOWN,  # attrs: value
    "numbers": Kind.UNKNOWN,  # constants, whichever: arange, linspace
    "opaque": Kind.UNKNOWN,
    # layers
    "affine": Kind.LOGITS,  # attrs: units
    "matmul": product,
    "activation": scores,  # relu, tanh, gelu ... (attrs: name)
    "norm": scores,
    "dropout": scores,
    "pool": scores,  # pooling and interpolation: scores stay scores
    # the final layer's own
    "softmax": Kind.PROBS,  # attrs: axis, naive (hand-written without subtracting the maximum)
    "log_softmax": Kind.LOG_PROBS,  # attrs: axis
    "sigmoid": Kind.SIGMOID_PROBS,
    "log_sigmoid": Kind.LOG_SIGMOID,
    "softplus": Kind.UNKNOWN,
    "logsumexp": Kind.UNKNOWN,  # attrs: axis, naive
    # element by element
    "log": log_of,
    "log1p": unknown,
    "exp": exp_of,
    "neg": scores,
    "one_minus": probabilities,
    "clip": first,  # attrs: low, high
    "add_eps": first,  # attrs: eps
    "scale": scores,  # by a constant: temperature
    "shift": scores,  # minus its own maximum
    "add": linear,
    "sub": linear,
    "mul": unknown,
    "div": unknown,
    "pow": unknown,
    "cosine": unknown,  # a cosine similarity: within [-1, 1], so its exp can't overflow
    "length": unknown,  # of a vector: its Euclidean norm
    "sqrt": unknown,
    "abs": unknown,
    "mask": scores,  # masked_fill: the value of masked entries is not judged
    # shape, type and place
    "reshape": first,
    "index": first,
    "gather": first,  # picks the target's entry
    "cast": first,
    "identity": first,
    "stop_gradient": first,
    "concat": joined,
    "join": joined,
    "sum": unknown,
    "cumsum": unknown,
    "mean": scores,
    "max": unknown,
    "min": unknown,
    # losses: args are (prediction, target)
    "xent_logits": unknown,
    "xent_probs": unknown,  # attrs: eps (the framework's clip)
    "nll": unknown,
    "bce_logits": unknown,
    "bce_probs": unknown,  # attrs: eps
    "kl": unknown,  # takes log-probabilities
    "kl_probs": unknown,  # takes probabilities (attrs: eps)
    "mse": unknown,
    "mae": unknown,  # L1, smooth L1, Huber
    "hinge": unknown,  # margin losses: take scores
    # readers
    "argmax": unknown,
    "topk": unknown,  # also sort: gives (values, indices)
    "compare": unknown,  # > < == between tensors (in_top_k, eq): a threshold's general case
    "distribution": unknown,  # over the classes, to be sampled from
    "sample": unknown,  # draws from a distribution over the classes
    "threshold": unknown,  # attrs: value
    "metric": unknown,  # attrs: name, reads
}

#: Operations that keep the numbers: what comes out is what went in, elsewhere or reshaped.
TRANSPARENT = frozenset({"reshape", "index", "gather", "cast", "identity", "stop_gradient", "concat", "join"})
#: Attributes worth printing.
SHOWN_ATTRS = frozenset({"axis", "eps", "low", "high", "value", "units", "from_logits"})

_SAME_RANK = frozenset(
    (
        "softmax log_softmax sigmoid log_sigmoid log log1p exp neg one_minus clip add_eps scale cast identity "
        "stop_gradient affine activation norm softplus"
    ).split()
)


def rank_of(node: Node) -> int | None:
    """How many axes the node has, where that is certain."""
    stated: int | None = node.attrs.get("rank")
    if stated is not None:
        return stated
    if node.op in _SAME_RANK and node.args:
        return node.args[0].rank
    if node.op in ("add", "sub", "mul", "div", "join"):
        ranks = {a.rank for a in node.args if a.kind is not Kind.PARAMETER and a.op != "const"}
        return ranks.pop() if len(ranks) == 1 else None
    return None
