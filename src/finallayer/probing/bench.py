"""A loss on the bench: what it gives on rows of a given margin, kept, beside what it ought to give."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from finallayer.numerics.formats import Format
from finallayer.numerics.safe_margin import TOLERANCE
from finallayer.probing.calling import Called
from finallayer.probing.frameworks.framework import Array
from finallayer.probing.frameworks.numpy import width
from finallayer.probing.truths import Given, Truth

#: As many rows are handed to a loss that gives a value for each.
MOST_ROWS = 64


class Row(NamedTuple):
    """Logits, all numbers of the format, and which of them is the label's; a binary row's label 1 is `not class 0`."""

    logits: tuple[float, ...]
    label: int


class Outcome(NamedTuple):
    """What a loss gave on one row."""

    loss: float
    gradient: Array


class Bench:
    """A loss in one format. Rows are measured once."""

    def __init__(self, called: Called, form: Format, classes: int, differences: bool) -> None:
        self.called, self.form, self.classes, self.differences = called, form, classes, differences
        self.binary = classes == 1 or (called.truth is not None and called.truth.binary)
        self._measured: dict[tuple[Row, str], Outcome] = {}
        self._truths: dict[Row, Given | None] = {}

    def trailing(self, margin: float) -> list[Row]:
        """Rows whose target trails by a margin: one class, or each outcome, is that far on the wrong side."""
        m = self.form.round(margin)
        if self.classes == 1:
            return [Row((-m,), 0), Row((m,), 1)]
        rest = (0.0,) * (self.classes - 2)
        return [Row((m, -m if self.binary else 0.0, *rest), 1)]

    def leading(self, margin: float) -> list[Row]:
        """Rows whose target leads by a margin."""
        m = self.form.round(margin)
        if self.classes == 1:
            return [Row((m,), 0), Row((-m,), 1)]
        return [Row((m, *(-m if self.binary else 0.0,) * (self.classes - 1)), 0)]

    def prepare(self, rows: Iterable[Row]) -> None:
        """Measure many rows at once, where the loss gives a value for each."""
        wanted = [r for r in dict.fromkeys(rows) if (r, self.form.name) not in self._measured]
        if not self.called.by_rows or self.differences:  # a change of the sum is that of all rows
            return
        for start in range(0, len(wanted), MOST_ROWS):
            part = wanted[start : start + MOST_ROWS]
            padded = part + part[-1:] * (MOST_ROWS - len(part))  # of one shape, which is compiled once
            got = self.called.run(_logits(padded), np.array([r.label for r in padded]), self.form.name)
            losses = got.value.reshape(MOST_ROWS, -1).sum(axis=1)
            for row, loss, gradient in zip(part, losses, got.gradient, strict=False):
                self._measured[row, self.form.name] = Outcome(float(loss), gradient)

    def measured(self, row: Row, dtype: str | None = None) -> Outcome:
        """What the loss gives on a row."""
        key = row, dtype or self.form.name
        if key not in self._measured:
            got = self.called.run(_logits([row]), np.array([row.label]), key[1])
            self._measured[key] = Outcome(float(got.value.sum()), got.gradient[0])
        return self._measured[key]

    def truth(self, row: Row) -> Given | None:
        """What it ought to give: by the known loss that it is, else by itself in float64; None where that is asked."""
        if row not in self._truths:
            self._truths[row] = self._truth(row)
        return self._truths[row]

    def _truth(self, row: Row) -> Given | None:
        known = self.called.truth
        if known is None:
            if self.form.name == "float64":
                return None
            own = self.measured(row, "float64")
            return Given(own.loss, own.gradient.tolist())
        given = known.at(np.array(row.logits), row.label)
        if self.differences:
            changes = self._changes(known, row)
            return Given(given.loss, changes.tolist())
        return given

    def _changes(self, known: Truth, row: Row) -> Array:
        """By how much the known loss changes, as that of a framework without gradients was measured to."""
        moved = width(self.form.name) * np.eye(self.classes)
        up, down = (known.losses(np.array(row.logits) + step, row.label) for step in (moved, -moved))
        with np.errstate(invalid="ignore"):
            return (up - down) / (2 * width(self.form.name))

    @property
    def tolerance(self) -> float:
        """One percent, or four of the format's spacings where that is more."""
        return max(TOLERANCE, 4 * self.form.eps)

    def gradient_is_right(self, row: Row) -> bool:
        """Whether the gradient is right, by its largest element; what is below the format's numbers can't be wrong."""
        truth = self.truth(row)
        if truth is None:
            return True
        got = self.measured(row)
        allowed = self.tolerance * max(self.form.tiny, *np.abs(truth.gradient))
        if self.differences:  # of two rounded losses
            allowed += self.form.eps * abs(got.loss) / width(self.form.name)
        return bool((np.abs(got.gradient - np.array(truth.gradient, dtype=np.float64)) <= allowed).all())

    @property
    def loss_is_known(self) -> bool:
        """Whether the loss's value is a known one's, not only its gradient."""
        return self.called.truth is None or self.called.truth.shift is not None

    def loss_is_right(self, row: Row) -> bool:
        """Whether the loss is."""
        truth = self.truth(row)
        if truth is None or not self.loss_is_known:
            return True
        return bool(abs(self.measured(row).loss - truth.loss) <= self.tolerance * max(self.form.tiny, abs(truth.loss)))

    def is_silent(self, row: Row) -> bool:
        """Whether the gradient at the target is exactly 0."""
        return not self.measured(row).gradient[min(row.label, self.classes - 1)]


def _logits(rows: Sequence[Row]) -> Array:
    return np.array([r.logits for r in rows], dtype=np.float64)
