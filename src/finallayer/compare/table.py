"""The final table in the terminal; it fits 80 columns."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

from finallayer.compare.heads import BASELINE
from finallayer.compare.phrases import interval, number, percent, setting_name, signed_points
from finallayer.compare.statistics import Row

# title, width
COLUMNS = (
    ("validation accuracy", 10),
    ("against logits", 7),
    ("95 % interval", 15),
    ("silenced", 8),
    ("not finite", 7),
    ("largest margin", 7),
)
HEAD_WIDTH = 17
GAP = 1
WIDTH = HEAD_WIDTH + sum(width + GAP for _, width in COLUMNS)


def summary_table(rows: Sequence[Row]) -> Group:
    """Every setting and head after the last epoch, means over seeds; a block a setting."""
    blocks: list[Table | Text] = [_block((), header=True), Text("─" * WIDTH, style="dim")]
    for setting in dict.fromkeys(row.setting for row in rows):
        blocks.append(Text(setting_name(setting), style="bold"))
        blocks.append(_block([row for row in rows if row.setting == setting]))
    return Group(*blocks)


def _block(rows: Sequence[Row], header: bool = False) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), show_header=header)
    table.add_column("", width=HEAD_WIDTH, no_wrap=True)
    for title, width in COLUMNS:
        table.add_column(title, width=width, justify="right", vertical="bottom")
    for row in rows:
        table.add_row(f"  {row.head}", *_figures(row), style="cyan" if row.head == BASELINE else "")
    return table


def _figures(row: Row) -> list[Text | str]:
    return [
        f"{percent(row.val_accuracy)} %",
        *_difference(row),
        _share(row.silenced),
        _share(row.nonfinite),
        number(row.largest_margin),
    ]


def _difference(row: Row) -> tuple[Text, Text]:
    """This head's accuracy minus the logits head's, in points, and its interval; red where it is lower for certain."""
    if row.gain is None:
        return Text(""), Text("")
    mean, low, high = row.gain.lost
    style = ("bold red" if mean < 0 else "bold green") if row.certain else "dim"
    return Text(signed_points(mean), style=style), Text(interval(low, high), style=style)


def _share(share: float) -> Text:
    return Text(f"{percent(share)} %", style="red" if share > 0 else "dim")
