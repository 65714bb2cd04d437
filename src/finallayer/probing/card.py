"""The card of a loss: what was measured of it, as text, JSON and pictures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from math import isfinite
from pathlib import Path
from typing import Any

from finallayer.probing.measures import Behaviour, Curve
from finallayer.probing.picture import drawn, figure

#: A floor below this is none.
NO_FLOOR = 1e-6


@dataclass(frozen=True, eq=False, repr=False)
class Probe:
    """What was measured of a loss, on the CPU. Margins are in nats, losses in the loss's own unit."""

    name: str  # of the loss
    framework: str  # with its version
    classes: int
    dtype: str
    takes: str  # logits; probabilities, log-probabilities, sigmoid-probabilities: it was measured behind that head
    called: str  # the way in which it is called
    reference: str | None  # the known loss that it is, against which it is judged; None: itself, in float64
    safe_margin: float | None  # the largest by which the target may trail, and the gradient is within 1 % of the truth
    silent_from: float | None  # from where the gradient of a target that trails is exactly 0; None: nowhere
    confident_margin: float | None  # the largest by which it may lead, and loss and gradient are
    collapsed_from: float | None  # from where the gradient of a target that leads is exactly 0
    offset_error: dict[float, float]  # common offset of the logits -> relative error of loss or gradient
    ulps: dict[str, float]  # loss, gradient -> worst error on random rows, in units in the last place
    floor: float  # the lowest loss that a confident, right prediction reaches
    behaviours: tuple[Behaviour, ...]  # on masked classes, ties, ignored labels
    curve: Curve
    differences: bool  # the framework has no gradients: what is judged is the loss's change over a quarter of a nat

    @property
    def worst_ulp(self) -> float | None:
        """The worst error on random rows, of loss or gradient, in units in the last place; None where no truth is known
        as exactly."""
        return max(self.ulps.values(), default=None)

    def __str__(self) -> str:
        return "\n".join(self._text())

    __repr__ = __str__

    def _text(self) -> Iterator[str]:
        yield f"{self.name} ({self.framework}, {self.dtype}, {self.classes} class{'es' * (self.classes > 1)})"
        for title, said in self._lines():
            yield f"  {title:<24}{said}"
        yield ""
        yield from drawn(self.curve)

    def _lines(self) -> Iterator[tuple[str, str]]:
        yield "called as", self.called
        if self.takes != "logits":
            yield "takes", f"{self.takes}, not logits: measured behind the framework's own {_HEADS[self.takes]}"
        yield "is", self.reference or "no loss that is known here: judged by its own float64"
        if self.differences:
            yield "gradient", "none: what is judged is how the loss changes over a quarter of a nat"
        yield "safe margin", _end(self.safe_margin, self.silent_from)
        yield "confident margin", _end(self.confident_margin, self.collapsed_from)
        if self.offset_error:
            yield "offset error", ", ".join(f"{e:.1e} at {offset:.0e}" for offset, e in self.offset_error.items())
        if self.ulps:
            yield "worst error", ", ".join(f"{what} {error:.3g} ulp" for what, error in self.ulps.items())
        yield "floor", f"{self.floor:.4g}" if abs(self.floor) > NO_FLOOR else "0"
        for one in self.behaviours:
            yield one.case, _behaves(one)

    def as_dict(self) -> dict[str, Any]:
        """Everything measured, with only numbers that JSON has: what isn't finite is None, beside ``unlimited``."""
        margins = {"safe_margin": self.safe_margin, "confident_margin": self.confident_margin}
        return {
            **{name: getattr(self, name) for name in ("name", "framework", "classes", "dtype", "takes", "called")},
            "reference": self.reference,
            **{name: _finite(margin) for name, margin in margins.items()},
            "unlimited": [name for name, margin in margins.items() if margin is not None and not isfinite(margin)],
            "silent_from": self.silent_from,
            "collapsed_from": self.collapsed_from,
            "offset_error": {f"{offset:g}": _finite(error) for offset, error in self.offset_error.items()},
            "worst_ulp": _finite(self.worst_ulp),
            "ulps": {what: _finite(error) for what, error in self.ulps.items()},
            "floor": _finite(self.floor),
            "behaviours": [
                {"case": b.case, "verdict": b.verdict, "loss": _finite(b.loss), "true_loss": _finite(b.true_loss)}
                for b in self.behaviours
            ],
            "curve": {name: [_finite(v) for v in values] for name, values in self.curve._asdict().items()},
            "gradient_by_differences": self.differences,
        }

    def to_json(self) -> str:
        """The card as one object of JSON."""
        return json.dumps(self.as_dict(), indent=2, ensure_ascii=False, allow_nan=False)

    def plot(self, path: str | Path | None = None) -> Any:
        """Gradient and loss by margin, beside the truth, as a matplotlib figure; saved where a path is given (.png,
        .svg).

        Raises ``ImportError`` without matplotlib.
        """
        made = figure(self.curve, f"{self.name}, {self.dtype}")
        if path is not None:
            made.savefig(path)
        return made

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return f"<pre>{escape(str(self))}</pre>"


_HEADS = {"probabilities": "softmax", "log-probabilities": "log_softmax", "sigmoid-probabilities": "sigmoid"}


def _end(margin: float | None, zero: float | None) -> str:
    silent = f"; the gradient is exactly 0 from {zero:.1f}" if zero is not None else ""
    if margin is None:
        return f"not known{silent}"
    return (f"{margin:.1f}" if isfinite(margin) else "no limit") + silent


def _behaves(one: Behaviour) -> str:
    if one.verdict not in ("wrong", "counted", "finite") or one.loss is None:
        return one.verdict
    return f"{one.verdict}: loss {one.loss:.4g}" + (f", not {one.true_loss:.4g}" if one.true_loss is not None else "")


def _finite(number: float | None) -> float | None:
    """A number as JSON has it."""
    return number if number is not None and isfinite(number) else None
