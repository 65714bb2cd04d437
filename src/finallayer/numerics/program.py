"""From a loss expression to a program on one row: what the logits are, and the operations in the order to run them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from finallayer.expr import GUARDS, LEAVES, LOSSES, MOVES, TRANSPARENT, Node, Role, having, make, target, through
from finallayer.expr import OPERATIONS as ROWS
from finallayer.kinds import LOG_KINDS, PROBABILITY_KINDS, Kind
from finallayer.numerics.forward_backward import COMPOSITES, OPERATIONS, composed

#: A program starts with these two values.
LOGITS, TARGET, FIRST_STEP = 0, 1, 2

#: More operations than any loss has above its logits: beyond, a front end went astray.
MOST_NODES = 100

#: Operations whose second argument is the target.
READS_TARGET = LOSSES | {"gather"}
#: Operations whose first argument is scores, whatever else is known of it.
READS_SCORES = frozenset(op for op, row in ROWS.items() if row.takes is Kind.LOGITS)
#: What gives logits when given logits, and can still spoil their gradient, or belongs to what protects it.
JUDGED_ON_LOGITS = (MOVES - {"gather", "stop_gradient"}) | GUARDS | {"shift"}
ARITHMETIC = having(Role.ARITHMETIC) & OPERATIONS.keys()
READS_ALL = ARITHMETIC | {"concat"}
CATEGORICAL = frozenset(op for op, row in ROWS.items() if row.over == "classes") | {"gather"}
BINARY = frozenset(op for op, row in ROWS.items() if row.over == "outcome")
ACROSS_CLASSES = frozenset({"sum", "max"})
#: What normalises scores: given something normalised already, the maths is wrong.
NORMALISING = frozenset(op for op in READS_SCORES if op in LOSSES or ROWS[op].gives in PROBABILITY_KINDS | LOG_KINDS)
#: Leaves whose numbers nobody knows: weights, masks. As a factor or a term they do not move the margin.
UNKNOWN_LEAVES = LEAVES - {"logits", "target", "const"}
#: How many arguments an operation reads, where that is not one.
ARGUMENTS = {"const": 0, **dict.fromkeys(ARITHMETIC, 2)}
LARGEST_INT = 2**1023  # larger ones are no floats


class UnevaluableError(ValueError):
    """The expression holds something that has no value on one row of logits; the message says what."""


class Step(NamedTuple):
    """One operation: its name, where its arguments stand, and its attributes."""

    op: str
    args: tuple[int, ...]
    attrs: tuple[tuple[str, float], ...]


class Program(NamedTuple):
    """The operations of an expression in order; names and origins are gone, so alike expressions are equal."""

    steps: tuple[Step, ...]
    categorical: bool  # one row of classes, else one binary logit
    nested: bool  # normalises what is normalised already


def compile_expression(expression: Node) -> Program:
    """The program of a loss expression, with respect to its logits.

    The logits are the last value of that kind on the way to the loss (or, where a softmax or sigmoid reads something
    unknown, that). An expression that stops short of a loss is completed to the negative log-likelihood of its target:
    log-probabilities are gathered, probabilities are gathered after a logarithm.

    Raises ``UnevaluableError`` where an operation has no value here, or there is more than one set of logits.
    """
    variable = _variable(expression)
    nodes = list(_walk(expression, variable))
    placing = _Placing(variable, _targets(nodes))
    placing.place(_completed(expression))
    return Program(tuple(placing.steps), _is_categorical(nodes), _is_nested(nodes))


def _walk(expression: Node, variable: Node) -> Iterator[Node]:
    """What is done to the logits: every node that has a say in the loss, but none under the logits."""
    seen: set[Node] = {variable}
    stack = [expression]
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            yield node
            stack.extend(_read(node))


def _completed(expression: Node) -> Node:
    if expression.kind in PROBABILITY_KINDS:
        expression = make("log", expression)
    return make("gather", expression, target())


def _is_categorical(nodes: list[Node]) -> bool:
    """Whether one row of classes is judged; by what is done across classes where no operation says so."""
    ops = {n.op for n in nodes}
    return bool(ops & CATEGORICAL) or (not ops & BINARY and bool(ops & ACROSS_CLASSES))


def _is_nested(nodes: list[Node]) -> bool:
    made = PROBABILITY_KINDS | LOG_KINDS
    return any(n.op in NORMALISING and n.args and n.args[0].kind in made for n in nodes)


def _targets(nodes: list[Node]) -> set[Node]:
    """What is a target by its place: the unknown factor of log-probabilities."""
    found: set[Node] = set()
    for node in nodes:
        if node.op == "mul" and len(node.args) == 2:
            for factor, other in (node.args, node.args[::-1]):
                if through(other, TRANSPARENT | {"neg", "scale"}).kind in LOG_KINDS:
                    found |= {n for n in factor.walk() if n.op == "opaque"}
    return found


def _variable(expression: Node) -> Node:
    """The logits: of all values of that kind next to the loss, the one that all others are made of."""
    logits, scores = _candidates(expression)
    found = logits or scores
    common = [c for c in found if all(c == other or c in set(other.walk()) for other in found)]
    if not common:
        raise UnevaluableError("several sets of logits" if found else "no logits")
    return common[0]


def _candidates(expression: Node) -> tuple[list[Node], list[Node]]:
    """The values of kind logits next to the loss, and those of unknown kind that a softmax or the like reads."""
    logits: list[Node] = []
    scores: list[Node] = []
    seen: set[Node] = set()
    stack = [expression]
    while stack:
        node = stack.pop()
        if node in seen or node.kind is Kind.TARGET:
            continue
        if len(seen) > MOST_NODES:
            raise UnevaluableError(f"more than {MOST_NODES} operations: no loss has as many")
        seen.add(node)
        if node.kind is Kind.LOGITS and node.op not in JUDGED_ON_LOGITS:
            logits.append(node)
            continue
        if node.op in READS_SCORES and node.args:
            read = through(node.args[0], JUDGED_ON_LOGITS)
            scores += [read] if read.kind is Kind.UNKNOWN else []
        if node.op in OPERATIONS or node.op in COMPOSITES:
            stack.extend(_read(node))
    return logits, scores


def _read(node: Node) -> tuple[Node, ...]:
    """The arguments whose numbers matter: a loss's target is the row's own, whatever it was made of."""
    return node.args if node.op in READS_ALL else node.args[:1]


def _numbers(node: Node) -> tuple[tuple[str, float], ...]:
    """The attributes that the operation computes with: it needs one of them."""
    names = node.operation.needs.split()
    known = tuple((name, float(node.attrs[name])) for name in names if _is_float(node.attrs.get(name)))
    if names and not known:
        raise UnevaluableError(f"{node.op} without a known {' or '.join(names)}")
    return known


def _is_float(value: object) -> bool:
    return isinstance(value, float) or (isinstance(value, int) and abs(value) < LARGEST_INT)


class _Placing:
    """Places each distinct node once, its arguments before it."""

    def __init__(self, variable: Node, targets: set[Node]) -> None:
        self.steps: list[Step] = []
        self.placed: dict[Node, int] = dict.fromkeys(targets, TARGET) | {variable: LOGITS}

    def place(self, node: Node) -> int:
        """Where the node's value will stand."""
        if node not in self.placed:
            self.placed[node] = self._place(node)
        return self.placed[node]

    def _place(self, node: Node) -> int:
        if node.kind is Kind.TARGET:
            return TARGET
        if node.op not in OPERATIONS and node.op not in COMPOSITES:
            raise UnevaluableError(f"{node.op} has no value on one row")
        if len(_read(node)) != ARGUMENTS.get(node.op, 1) and node.op != "concat":
            raise UnevaluableError(f"{node.op} of {len(node.args)} arguments")
        parts = composed(node)
        if parts is not node:
            return self.place(parts)
        args = self._arguments(node)
        if node.op in ARITHMETIC and len(args) == 1:
            return args[0]
        return self._step(Step(node.op, args, _numbers(node)))

    def _arguments(self, node: Node) -> tuple[int, ...]:
        """Where the arguments stand; unknown factors and terms are left out."""
        args = tuple(a for a in _read(node) if a in self.placed or a.op not in UNKNOWN_LEAVES)
        if node.op not in ARITHMETIC or not args or (node.op in ("sub", "div") and args[0] is not node.args[0]):
            args = _read(node)
        places = tuple(self.place(a) for a in args)
        return (*places, TARGET) if node.op in READS_TARGET else places

    def _step(self, step: Step) -> int:
        self.steps.append(step)
        return FIRST_STEP + len(self.steps) - 1
