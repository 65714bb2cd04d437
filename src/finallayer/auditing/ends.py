"""What a loss expression does at its ends: where it is at its least, and where a confident sample stops teaching."""

from __future__ import annotations

from functools import lru_cache
from math import isfinite

from finallayer.expr import Node, make, once, target
from finallayer.kinds import Kind
from finallayer.numerics.evaluate import evaluate
from finallayer.numerics.program import UnevaluableError

#: A lead beyond which no loss changes any more in any format.
BEYOND = 1e4

#: Leads at which a loss whose floor is at certainty is no lower.
LESS_CERTAIN = (0.0, 3.0, 12.0)
#: How exactly the end is found, in nats.
RESOLUTION = 0.01
#: A row of this many classes stands for any longer one.
MOST_CLASSES = 1000


def floor(loss: Node, classes: int) -> float | None:
    """The value of a loss on a row that is classified rightly and with certainty; None where it has none on one row,
    or is lower on a row that is less certain, as a smoothed loss is."""
    if classes > MOST_CLASSES:
        return None
    label = 1 if classes == 1 else 0
    try:
        value, *others = (
            float(evaluate(picking(loss), [lead] + [0.0] * (classes - 1), label, "exact").loss)
            for lead in (BEYOND, *LESS_CERTAIN)
        )
    except (UnevaluableError, RecursionError, ArithmeticError, ValueError):  # of values: rows of different lengths
        return None
    return value if isfinite(value) and not any(other < value for other in others) else None


def picking(loss: Node) -> Node:
    """The loss with every entry that an index picks of a row as the target's."""

    @once
    def picked(node: Node) -> Node:
        if not node.args or node.kind is Kind.LOGITS:
            return node
        args = tuple(map(picked, node.args))
        if node.op == "index" and node.attrs.get("each"):
            return make("gather", args[0], target())
        same = all(a is b for a, b in zip(args, node.args, strict=True))
        return node if same else Node(node.op, args, node.attrs, None)

    return picked(loss)


@lru_cache(maxsize=256)
def collapse(loss: Node, dtype: str, classes: int) -> float | None:
    """By how much a target has to lead for its gradient to be exactly 0; None where that never happens, or can't be
    told."""
    classes = min(classes, MOST_CLASSES)

    def is_lost(lead: float) -> bool:
        row, label = ([lead] + [0.0] * (classes - 1), 0) if classes > 1 else ([lead], 1)
        return float(evaluate(loss, row, label, dtype).grad[0]) == 0

    try:
        if not is_lost(BEYOND if dtype != "float16" else 6e4) or is_lost(0.0):
            return None
        low, high = 0.0, BEYOND
        while high - low > RESOLUTION:
            middle = (low + high) / 2
            low, high = (low, middle) if is_lost(middle) else (middle, high)
    except (UnevaluableError, RecursionError, ArithmeticError, ValueError):
        return None
    return high
