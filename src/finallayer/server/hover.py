"""What is known of the value under the cursor: its kind, its expression, where it was made; of a loss, its margin."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from finallayer.check.why import Told, Why
from finallayer.expr import Origin
from finallayer.findings import Finding
from finallayer.report.places import plain, shown


def hover(why: Why, place: Origin, findings: Sequence[Finding]) -> tuple[Origin, str] | None:
    """The smallest expression of the line that the place lies in, and Markdown on its values; None where there is none.

    ``place``: a line and a column of the module; ``findings``: those of the file, at places of the module.
    """
    told = [t for t in why.told if _covers(t.origin, place) and t.values]
    if not told:
        return None
    smallest = min(told, key=lambda t: (t.origin.end_line - t.origin.line, t.origin.end_column - t.origin.column))
    judged = [f for f in findings if _covers(f.origin, place)]
    return smallest.origin, "\n\n".join([*_values(smallest), *map(_verdict, judged)])


def _values(told: Told) -> Iterator[str]:
    for value in told.values:
        yield f"`{plain(told.text)}`: {plain(value.what)}"
        for made in value.made:
            yield f"- {plain(made.message)}: {shown(made.origin)}"
    if told.more:
        yield f"and {told.more} more"


def _verdict(finding: Finding) -> str:
    """The rule, what it says, and the margin up to which the gradient is right."""
    text = f"**{finding.rule.code}** {plain(finding.message)}"
    margins = finding.safe_margin or {}
    if margins:
        text += "\n\nsafe margin: " + ", ".join(f"{m:.4g} ({dtype})" for dtype, m in margins.items())
    return text


def _covers(origin: Origin, place: Origin) -> bool:
    start, end = (origin.line, origin.column), (max(origin.line, origin.end_line), origin.end_column)
    return start <= (place.line, place.column) < end
