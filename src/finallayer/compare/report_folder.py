"""The report folder: report.html, the figures as files, and a table for spreadsheets, from the results."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from finallayer.compare import figures
from finallayer.compare.folder import FIGURES, PAGE, TABLE
from finallayer.compare.grid import order
from finallayer.compare.page import make_page
from finallayer.compare.results import Results, write_atomically
from finallayer.compare.style import as_it_comes, as_png, as_svg, darkened
from finallayer.compare.verdict import most_telling


@as_it_comes()
def write_report(results: Results, folder: Path) -> Path:
    """Write the page and the figures; the page's path."""
    pictures = folder / FIGURES
    pictures.mkdir(exist_ok=True)
    for name, figure in _sheets(results).items():
        write_atomically(pictures / f"{name}.png", as_png(figure))
        svg = as_svg(figure)
        write_atomically(pictures / f"{name}.svg", svg)
        write_atomically(pictures / f"{name}-dark.svg", darkened(svg))
    write_atomically(folder / TABLE, as_csv(results))
    page = folder / PAGE
    write_atomically(page, make_page(results))
    return page


def as_csv(results: Results) -> str:
    """Every measurement of every epoch, a line each."""
    return table(
        [
            {**cell.as_dict(), **epoch}
            for cell, run in sorted(results.cells.items(), key=lambda item: order(item[0]))
            for epoch in run["epochs"]
        ]
    )


def table(lines: Sequence[Mapping[str, Any]]) -> str:
    """Lines for a spreadsheet, under the names that any of them has; nothing where there are none."""
    text = io.StringIO()
    if lines:
        writer = csv.DictWriter(text, list(dict.fromkeys(name for line in lines for name in line)))
        writer.writeheader()
        writer.writerows(lines)
    return text.getvalue()


def _sheets(results: Results) -> dict[str, Any]:
    """File name -> figure, of those that the results so far can fill."""
    summary = results.summarized()
    rows = summary.compared
    telling = most_telling(rows)
    panels = {
        "gradient-against-margin": figures.cliff_panels(results.gradients),
        "validation-accuracy": figures.epoch_panels(results.cells, "val_accuracy", "validation accuracy"),
        "silenced-samples": figures.epoch_panels(results.cells, "silenced", "silenced samples"),
        "story": figures.story(results.cells, results.gradients, telling) if telling else [],
        "doses": figures.dose_panels(summary),
    }
    sheets = {name: figures.sheet(group) for name, group in panels.items() if group}
    return sheets | ({"grid": figures.heat_map(rows)} if rows else {})
