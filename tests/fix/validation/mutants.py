"""Faulty fixers: what they would write instead of a fix that is right."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from finallayer.findings import Edit

#: What a fixer writes -> what a faulty one writes: another function, axis, sign, flag, limit or loss.
WRONG_WORDS = {
    "the softmax of which the log is meant": (r"log_softmax|LogSoftmax", "softmax"),
    "the sigmoid of which the log is meant": (r"log_?sigmoid|LogSigmoid", "sigmoid"),
    "the log of what is meant": (r"(?<![\w.])(\w[\w.]*\.)(soft(?:max))\(", r"\1log_\2("),
    "another axis": (r"(dim|axis)=(-1|1)", r"\1=0"),
    "the wrong sign": (r"\(-(?=\w)", "("),
    "a sign too many": (r"(log_?sigmoid)\((?=\w)", r"\1(-"),
    "probabilities that aren't said to be logits": (r",? ?from_logits=True", ""),
    "logits that are said to be probabilities": (r"from_logits=True", "from_logits=False"),
    "the limit of probabilities": (r"threshold=0(?!\.)", "threshold=0.5"),
    "the loss on probabilities": (r"BCEWithLogitsLoss", "BCELoss"),
    "the function on probabilities": (r"binary_cross_entropy_with_logits", "binary_cross_entropy"),
    "another loss on logits": (r"BCEWithLogitsLoss|CrossEntropyLoss", "MultiMarginLoss"),
    "another loss by its name": (r"BinaryCrossentropy", "CategoricalCrossentropy"),
    "a sigmoid for a softmax": (r"\.softmax\((?:dim|axis)=-?\d\)", ".sigmoid()"),
    "a softmax for a sigmoid": (r"\.sigmoid\(\)", ".softmax(dim=1)"),
    "a softmax layer for a sigmoid": (r'Activation\("sigmoid"\)', "Softmax()"),
    "a sigmoid layer for a softmax": (r"layers\.Softmax\(\)", 'layers.Activation("sigmoid")'),
    "the maximum, not the sum": (r"logsumexp", "amax"),
    "another variable": (r"(?<=[(= ])logits(?=[,)\[])", "y"),
}


class Mutant(NamedTuple):
    """What a faulty fixer writes, and what is wrong with it."""

    fault: str
    edits: tuple[Edit, ...]


def mutants(edits: tuple[Edit, ...]) -> Iterator[Mutant]:
    """Every faulty version of a fix: one wrong word, one edit left out, one made a line too far."""
    for fault, (right, wrong) in WRONG_WORDS.items():
        for i, edit in enumerate(edits):
            text = re.sub(right, wrong, edit.text)
            if text != edit.text:
                yield Mutant(fault, _with(edits, i, (edit_with(edit, text),)))
    for i, edit in enumerate(edits):
        if len(edits) > 1:
            yield Mutant(f"without {edit.text!r} in line {edit.line}", _with(edits, i, ()))


def edit_with(edit: Edit, text: str) -> Edit:
    return Edit(edit.path, edit.line, edit.column, edit.end_line, edit.end_column, text, edit.cell)


def _with(edits: tuple[Edit, ...], at: int, others: tuple[Edit, ...]) -> tuple[Edit, ...]:
    return (*edits[:at], *others, *edits[at + 1 :])
