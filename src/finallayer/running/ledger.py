"""What a program's training shows, epoch by epoch: what is counted at its losses, and what its framework logs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import numpy as np

from finallayer.running.samples import Samples
from finallayer.watch.quantities import EDGES, QUANTILES, Limits, quantile

#: Where a program has no epochs that we know of, its steps are divided into no more parts than this.
MOST_WINDOWS = 20


@dataclass
class Counts:
    """Sums over samples."""

    samples: int = 0
    right: int = 0
    silenced: int = 0
    collapsed: int = 0
    nonfinite: int = 0
    loss: float = 0.0
    largest_margin: float = -float("inf")
    histogram: Any = field(default_factory=lambda: np.zeros(len(EDGES) + 1))

    def add(self, seen: Samples, limits: Limits) -> None:
        """Count samples; of those that aren't finite no margin and no loss."""
        finite = np.isfinite(seen.odds) & np.isfinite(seen.losses)
        self.samples += len(finite)
        self.right += int((seen.right & finite).sum())
        self.nonfinite += int((~finite).sum())
        odds, margins = seen.odds[finite], seen.margins[finite]
        idle = seen.taught_nothing
        if idle is None:
            self.silenced += int((odds > max(limits.silenced, 0.0)).sum())
            self.collapsed += int((odds < -limits.collapsed).sum())
        else:
            self.silenced += int((idle & finite & ~seen.right).sum())
            self.collapsed += int((idle & finite & seen.right).sum())
        self.loss += float(seen.losses[finite].sum())
        self.largest_margin = max(self.largest_margin, float(margins.max(initial=-np.inf)))
        self.histogram += np.bincount(np.searchsorted(EDGES, margins), minlength=len(EDGES) + 1)

    def merge(self, other: Counts) -> None:
        """Take in another's."""
        for name in ("samples", "right", "silenced", "collapsed", "nonfinite", "loss", "histogram"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.largest_margin = max(self.largest_margin, other.largest_margin)

    def values(self) -> dict[str, float | None]:
        """The quantities by name, shares in 0..1, margins and losses in nats; none where nothing was counted."""
        if not self.samples:
            return {}
        finite, counts = self.samples - self.nonfinite, self.histogram.tolist()
        return {
            "train_accuracy": self.right / self.samples,
            "silenced": self.silenced / self.samples,
            "collapsed": self.collapsed / self.samples,
            "nonfinite": self.nonfinite / self.samples,
            **{name: known(min(quantile(counts, q), self.largest_margin)) for name, q in QUANTILES.items()},
            "largest_margin": known(self.largest_margin),
            "true_loss": self.loss / finite if finite else None,
        }


@dataclass
class Part:
    """An epoch, or another part of the training: what was counted at its steps, beside them, and what was logged."""

    steps: int = 0
    counts: Counts = field(default_factory=Counts)
    held_out: Counts = field(default_factory=Counts)  # where the loss is called without a gradient
    logged: dict[str, float] = field(default_factory=dict)

    def merge(self, later: Part) -> None:
        """Take in the part that follows."""
        self.steps += later.steps
        self.counts.merge(later.counts)
        self.held_out.merge(later.held_out)
        self.logged |= later.logged

    def as_dict(self) -> dict[str, Any]:
        """The part as JSON has it."""
        held = self.held_out
        aside = {"held_out_accuracy": held.right / held.samples} if held.samples else {}
        return {"steps": self.steps, "samples": self.counts.samples, **self.counts.values(), **aside} | (
            {"logged": self.logged} if self.logged else {}
        )


class Ledger:
    """The parts so far: the program's epochs, where it has them, and windows of as many steps each, where it hasn't.

    ``trainer``: the framework whose own loop is at work, and measures by itself; others look away meanwhile.
    """

    def __init__(self) -> None:
        self.limits = Limits()
        self.audit: dict[str, Any] | None = None
        self.trainer: str | None = None
        self.notes: dict[str, None] = {}
        self._epochs = [Part()]
        self._windows = [Part()]
        self._length = 1  # of a window, in steps

    @property
    def began(self) -> bool:
        """Whether a step was taken."""
        return bool(self._windows[0].steps)

    @property
    def in_epoch(self) -> bool:
        """Whether a step was taken in this epoch."""
        return bool(self._epochs[-1].steps)

    def step(self, seen: Samples | None, steps: int = 1) -> None:
        """A step, or several, with their samples where they are known."""
        if self._windows[-1].steps >= self._length:
            self._windows.append(Part())
            self._halve()
        for part in (self._epochs[-1], self._windows[-1]):
            part.steps += steps
            if seen is not None:
                part.counts.add(seen, self.limits)

    def held_out(self, seen: Samples) -> None:
        """Samples of which no gradient is asked, as of a validation."""
        for part in (self._epochs[-1], self._windows[-1]):
            part.held_out.add(seen, self.limits)

    def log(self, values: Mapping[str, Any]) -> None:
        """What a framework logs: numbers by name, the last of each in an epoch."""
        numbers = {name: n for name, value in values.items() if (n := number(value)) is not None}
        for part in (self._epochs[-1], self._windows[-1]):
            part.logged |= numbers

    def end_epoch(self) -> None:
        """What follows belongs to the next epoch."""
        self._epochs.append(Part())

    def note(self, text: str) -> None:
        """Say once what isn't measured."""
        self.notes[text] = None

    def rows(self) -> tuple[str, list[dict[str, Any]]]:
        """What the parts are, ``epoch`` or ``window``, and each one's measurements."""
        epochs = [part for part in self._epochs if part.steps or part.logged]
        windows = self._windows
        if len(windows) > 1 and 2 * windows[-1].steps < self._length:  # too few to stand for themselves
            windows[-2].merge(windows.pop())
        of, parts = ("epoch", epochs) if len(epochs) > 1 or not self.began else ("window", windows)
        parts = [part for part in parts if part.steps or part.logged]
        return of, [{"epoch": n, **part.as_dict()} for n, part in enumerate(parts, start=1)]

    def _halve(self) -> None:
        """Half as many windows, twice as long, where there are too many."""
        if len(self._windows) <= MOST_WINDOWS:
            return
        *full, new = self._windows
        for first, second in zip(full[::2], full[1::2], strict=True):
            first.merge(second)
        self._windows = [*full[::2], new]
        self._length *= 2


def number(value: Any) -> float | None:
    """A finite number out of what a framework logs; None of what is none."""
    try:
        found = float(value)
    except (TypeError, ValueError, RuntimeError):
        return None
    return known(found)


def known(value: float) -> float | None:
    """A number as JSON has it."""
    return value if isfinite(value) else None
