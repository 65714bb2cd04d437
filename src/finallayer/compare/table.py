"""The final table in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from finallayer.compare.backends import BY_NAME
from finallayer.compare.heads import BASELINE
from finallayer.compare.statistics import Difference, Row


def summary_table(rows: Sequence[Row]) -> Table:
    """Every setting and head after the last epoch, means over seeds."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("backend", no_wrap=True)
    table.add_column("precision", no_wrap=True)
    table.add_column("inputs")
    table.add_column("head", no_wrap=True)
    table.add_column("val. acc. %", justify="right")
    table.add_column("vs logits (95 %)", justify="right", no_wrap=True)
    table.add_column("silenced %", justify="right")
    table.add_column("not finite %", justify="right")
    table.add_column("largest margin", justify="right")
    before = None
    for row in rows:
        setting = row.setting
        new = setting != before
        if new and before is not None:
            table.add_section() if setting.backend != before.backend else None
        labels = (BY_NAME[setting.backend].title, setting.precision, setting.inputs) if new else ("", "", "")
        table.add_row(
            *labels,
            row.head,
            f"{100 * row.val_accuracy:.1f}",
            difference_text(row.gain),
            share_text(row.silenced),
            share_text(row.nonfinite),
            "inf or nan" if row.largest_margin is None else f"{row.largest_margin:.1f}",
            style="bold" if row.head == BASELINE else "",
        )
        before = setting
    return table


def difference_text(gain: Difference | None) -> Text:
    """This head's accuracy minus the logits head's, in points; red where it is lower for certain."""
    if gain is None:
        return Text("")
    points = f"{-100 * gain.mean:+.1f}"
    if gain.half_width is None:
        return Text(points)
    style = ("red" if gain.mean > 0 else "green") if gain.significant else "dim"
    return Text(f"{points} ± {100 * gain.half_width:.1f}", style=style)


def share_text(share: float) -> Text:
    return Text(f"{100 * share:.1f}", style="red" if share > 0 else "dim")
