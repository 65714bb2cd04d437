"""From a loss expression to a program on one row: what the logits are, and the operations in the order to run them."""

from __future__ import annotations

from typing import Any, NamedTuple

from finallayer.expr import Node, make, target
from finallayer.kinds import LOG_KINDS, PROBABILITY_KINDS, Kind
from finallayer.numerics.operations import COMPOSITES, OPERATIONS

#: A program starts with these two values.
LOGITS, TARGET, FIRST_STEP = 0, 1, 2

#: More nodes than any loss has: beyond, a front end went astray.
MOST_NODES = 500

LOSSES = frozenset({"xent_logits", "xent_probs", "nll", "bce_logits", "bce_probs", "kl", "mse"})
CATEGORICAL = frozenset({"softmax", "log_softmax", "logsumexp", "xent_logits", "xent_probs", "nll", "kl", "gather"})
BINARY = frozenset({"sigmoid", "log_sigmoid", "softplus", "bce_logits", "bce_probs"})
ACROSS_CLASSES = frozenset({"sum", "max"})
#: What normalises scores: given something normalised already, the maths is wrong.
NORMALISING = frozenset({"softmax", "sigmoid", "xent_logits", "bce_logits"})
#: Leaves whose numbers nobody knows: weights, masks. As a factor or a term they do not move the margin.
UNKNOWN_LEAVES = frozenset({"opaque", "parameter"})
#: The attributes that change numbers.
NUMERIC_ATTRS = ("eps", "low", "high", "value", "by")


class UnevaluableError(ValueError):
    """The expression holds something that has no value on one row of logits; the message says what."""


class Step(NamedTuple):
    """One operation: its name, where its arguments stand, and its attributes."""

    op: str
    args: tuple[int, ...]
    attrs: tuple[tuple[str, Any], ...]


class Program(NamedTuple):
    """The operations of an expression in order; names and origins are gone, so alike expressions are equal."""

    steps: tuple[Step, ...]
    categorical: bool  # one row of classes, else one binary logit
    nested: bool  # normalises what is normalised already


def compile_expression(expression: Node) -> Program:
    """The program of a loss expression, with respect to its logits.

    The logits are the last value of that kind on the way to the loss (or, where a softmax or sigmoid reads
    something unknown, that). An expression that stops short of a loss is completed to the negative
    log-likelihood of its target: log-probabilities are gathered, probabilities are gathered after a
    logarithm.

    Raises ``UnevaluableError`` where an operation has no value here, or there is more than one set of logits.
    """
    nodes = list(expression.walk())
    if len(nodes) > MOST_NODES:
        raise UnevaluableError(f"{len(nodes)} nodes: more than a loss has")
    variable = _variable(expression)
    compiler = _Compiler(variable)
    compiler.place(_completed(expression))
    return Program(tuple(compiler.steps), _is_categorical(expression, variable), _is_nested(nodes))


def _is_categorical(expression: Node, variable: Node) -> bool:
    """Whether one row of classes is judged; by what is done across classes where no operation says so."""
    ops = {n.op for n in expression.walk()} - {n.op for n in variable.walk()}
    return bool(ops & CATEGORICAL) or (not ops & BINARY and bool(ops & ACROSS_CLASSES))


def _is_nested(nodes: list[Node]) -> bool:
    made = PROBABILITY_KINDS | LOG_KINDS
    return any(n.op in NORMALISING and n.args and n.args[0].kind in made for n in nodes)


def _completed(expression: Node) -> Node:
    if expression.kind in PROBABILITY_KINDS:
        expression = make("log", expression)
    return make("gather", expression, target())


def _variable(expression: Node) -> Node:
    """The logits: of all values of that kind next to the loss, the one that all others are made of."""
    logits, unknown = _candidates(expression)
    found = logits or unknown
    common = [c for c in found if all(c in set(other.walk()) for other in found)]
    if not common:
        raise UnevaluableError("several sets of logits" if found else "no logits")
    return common[0]


def _candidates(expression: Node) -> tuple[list[Node], list[Node]]:
    """The values of kind logits next to the loss, and the unknown values that something is normalised from."""
    logits: list[Node] = []
    unknown: list[Node] = []
    seen: set[int] = set()
    stack = [(expression, False)]
    while stack:
        node, normalised = stack.pop()
        if id(node) in seen or node.kind is Kind.TARGET:
            continue
        seen.add(id(node))
        if node.kind is Kind.LOGITS:
            logits.append(node)
        elif node.op not in OPERATIONS and node.op not in COMPOSITES:
            if normalised:
                unknown.append(node)
        else:
            read = node.args[:1] if node.op in LOSSES or node.op == "gather" else node.args
            reads_scores = node.op in NORMALISING or node.op in ("log_softmax", "log_sigmoid", "logsumexp", "exp")
            stack.extend((a, reads_scores or normalised) for a in read)
    return logits, unknown


class _Compiler:
    """Places each distinct node once, its arguments before it."""

    def __init__(self, variable: Node) -> None:
        self.steps: list[Step] = []
        self.placed: dict[Node, int] = {variable: LOGITS}

    def place(self, node: Node) -> int:
        if node not in self.placed:
            self.placed[node] = self._place(node)
        return self.placed[node]

    def _place(self, node: Node) -> int:
        if node.kind is Kind.TARGET:
            return TARGET
        compose = COMPOSITES.get(node.op)
        composed = compose(node) if compose else node
        if composed is not node:
            return self.place(composed)
        if node.op not in OPERATIONS:
            raise UnevaluableError(f"{node.op} has no value on one row")
        args = self._arguments(node)
        if node.op in ("add", "sub", "mul", "div") and len(args) == 1:
            return args[0]
        attrs = tuple((k, node.attrs[k]) for k in NUMERIC_ATTRS if k in node.attrs)
        self.steps.append(Step(node.op, args, attrs))
        return len(self.steps) + TARGET  # the one just placed

    def _arguments(self, node: Node) -> tuple[int, ...]:
        """Where the arguments stand: a loss's target is the row's own, unknown factors and terms are left out."""
        if node.op in LOSSES or node.op == "gather":
            return self.place(node.args[0]), TARGET
        known = [a for a in node.args if a in self.placed or a.op not in UNKNOWN_LEAVES]
        if node.op in ("add", "mul") or (node.op in ("sub", "div") and node.args[0] in known):
            return tuple(self.place(a) for a in known)
        return tuple(self.place(a) for a in node.args)
