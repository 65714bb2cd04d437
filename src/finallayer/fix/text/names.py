"""Names that would lie of logits."""

from __future__ import annotations

import re

from finallayer.catalog.conventions import words

#: Names that say "probabilities": what bears one shouldn't hold logits. Nothing else hangs on it.
_SAYS_PROBABILITIES = re.compile(
    r"\b(?:p|ps|prob|probs|proba|probas|probability|probabilities|softmax|sigmoid|softmaxed)"
    r"(?: (?:hat|t|out|output|outputs|real|fake|true|flat|\d+))*$"
)

_WORD = re.compile(
    r"(?<![A-Za-z])(?:p|ps|prob|probs|proba|probas|probability|probabilities|softmax|sigmoid|softmaxed)(?![A-Za-z])"
)


def says_probabilities(name: str) -> bool:
    """Whether a name would lie of logits: ``probs``, ``y_prob``, ``p``, ``p_real``."""
    return _SAYS_PROBABILITIES.search(words(name).lower()) is not None


def names_head(name: str) -> bool:
    """Whether a name is that of the softmax or sigmoid itself: ``stable_softmax``."""
    return words(name).lower().rpartition(" ")[2] in ("softmax", "sigmoid")


def for_logits(name: str) -> str:
    """A name for logits in place of one that says probabilities: ``action_logits`` for ``action_probs``."""
    return _WORD.sub("logits", name) if "_" in name.strip("_") and _WORD.search(name) else "logits"
