"""The kinds: what a tensor on its way from a classifier's final layer to its loss holds."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum


class Kind(Enum):
    """What the numbers of a tensor mean. A value of unknown kind is never reported."""

    LOGITS = "logits"
    PROBS = "probabilities"
    LOG_PROBS = "log-probabilities"
    SIGMOID_PROBS = "sigmoid probabilities"
    LOG_SIGMOID = "log-sigmoid"
    TARGET = "target"
    PARAMETER = "parameter"
    UNKNOWN = "unknown"

    def __str__(self) -> str:
        return self.value


#: Kinds that a softmax or a sigmoid has made: the final layer's non-linearity lies behind them.
PROBABILITY_KINDS = frozenset({Kind.PROBS, Kind.SIGMOID_PROBS})
LOG_KINDS = frozenset({Kind.LOG_PROBS, Kind.LOG_SIGMOID})

#: log of a kind, and back.
LOG_OF = {Kind.PROBS: Kind.LOG_PROBS, Kind.SIGMOID_PROBS: Kind.LOG_SIGMOID}
EXP_OF = {log: probs for probs, log in LOG_OF.items()}


def join(kinds: Iterable[Kind]) -> Kind:
    """The kind of a value that comes by one of several ways: theirs where they agree, else unknown."""
    distinct = set(kinds)
    return distinct.pop() if len(distinct) == 1 else Kind.UNKNOWN
