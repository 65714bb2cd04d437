"""Pictures of a loss: its gradient, and its value, by margin; in the terminal and by matplotlib."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isfinite
from typing import Any

from finallayer.probing.measures import Curve

#: An eighth more of a cell each.
BARS = " ▁▂▃▄▅▆▇█"
NOT_A_NUMBER = "×"
#: Every so many points of the curve are a column.
STRIDE = 2


def drawn(curve: Curve) -> Iterator[str]:
    """The size of the gradient at the target by margin, a column for each nat, beside the truth."""
    margins = curve.margins[::STRIDE]
    top = max((g for g in (*curve.true_gradient, *curve.gradient) if isfinite(g)), default=1.0) or 1.0
    if curve.true_gradient:
        top = max(curve.true_gradient)
        yield f"  {'true gradient':<24}{_bars(curve.true_gradient[::STRIDE], top)}"
    yield f"  {'gradient at the target':<24}{_bars(curve.gradient[::STRIDE], top)}"
    marks = [" "] * len(margins)
    for at in range(0, len(margins), 8):
        text = f"{margins[at]:g}"
        marks[at : at + len(text)] = text
    yield f"  {'margin':<24}{''.join(marks)}"


def _bars(values: Sequence[float], top: float) -> str:
    return "".join(_bar(v / top) for v in values)


def _bar(share: float) -> str:
    if not isfinite(share):
        return NOT_A_NUMBER
    return BARS[min(len(BARS) - 1, round(share * (len(BARS) - 1)))]


def figure(curve: Curve, title: str) -> Any:
    """Two panels: the size of the gradient at the target, and the loss on a logarithmic scale, both by margin."""
    from matplotlib.figure import Figure

    made = Figure(figsize=(9, 3.4), layout="constrained")
    panels = made.subplots(1, 2)
    made.suptitle(title)
    for panel, got, truth, label in zip(
        panels,
        (curve.gradient, curve.loss),
        (curve.true_gradient, curve.true_loss),
        ("size of the gradient at the target", "loss"),
        strict=True,
    ):
        if truth:
            panel.plot(curve.margins, truth, color="#9aa2ab", linewidth=4, label="truth")
        panel.plot(curve.margins, got, color="#0b6e99", label="measured")
        panel.set_xlabel("margin (nats): the target leads | it trails")
        panel.set_ylabel(label)
        panel.axvline(0, color="#9aa2ab", linewidth=0.5)
    panels[1].set_yscale("symlog", linthresh=1e-8)
    panels[0].legend(frameon=False)
    return made
