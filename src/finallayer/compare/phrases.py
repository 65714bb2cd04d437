"""How numbers and settings are put into words, the same in the terminal, the verdict and the report."""

from __future__ import annotations

from finallayer.compare.backends import BY_NAME
from finallayer.compare.grid import Setting
from finallayer.compare.heads import BASELINE, STATUS_QUO
from finallayer.report.places import plain

NOT_FINITE = "inf or nan"


def setting_name(setting: Setting) -> str:
    """``Keras on JAX, float32, raw``."""
    return f"{BY_NAME[setting.backend].title}, {setting.precision}, {setting.inputs}"


def head_name(head: str) -> str:
    """A head in a legend."""
    return {BASELINE: "logits (softmax in the loss)", STATUS_QUO: "softmax (in the model)"}.get(head, head)


def percent(share: float) -> str:
    """``0.4561`` as ``45.6``."""
    return f"{100 * share:.1f}".replace("-", "−")


def signed_points(share: float) -> str:
    """A difference of shares in points, with a real minus and no sign on zero."""
    points = f"{100 * share:+.1f}"
    return "0.0" if points in ("-0.0", "+0.0") else points.replace("-", "−")


def interval(low: float | None, high: float | None) -> str:
    """A difference's interval in points, ``−12.0 to 3.4``; nothing where there is none."""
    return "" if low is None or high is None else f"{signed_points(low)} to {signed_points(high)}"


def number(value: float | None, digits: int = 1) -> str:
    """A measurement that may not be finite."""
    return NOT_FINITE if value is None else f"{value:.{digits}f}"


def edge(safe_margin: float | None, overflows_from: float | None = None) -> str:
    """A safe margin: None is a gradient that is right everywhere, 0 one that is wrong from the start; and from where it
    overflows once the loss is scaled, where that was seen.
    """
    words = "any margin" if safe_margin is None else "none" if safe_margin == 0 else f"{safe_margin:.2f}"
    return words if overflows_from is None else f"{words}; scaled, it overflows from {overflows_from:.2f}"


def printable(text: str) -> str:
    """What the user's program, or a name of the user's, says: on one line, with what a terminal obeys, or no encoding
    holds, escaped.
    """
    return plain(text).encode(errors="backslashreplace").decode()


def clock(seconds: float) -> str:
    """Hours, minutes and seconds, as short as they come."""
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
