"""The report folder: report.html and the figures as files, from the results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from finallayer.compare import figures
from finallayer.compare.page import make_page
from finallayer.compare.results import Results, write_atomically
from finallayer.compare.statistics import summarize
from finallayer.compare.style import as_png, as_svg, darkened
from finallayer.compare.verdict import most_telling

PAGE = "report.html"
FIGURES = "figures"


def write_report(results: Results, folder: Path) -> Path:
    """Write the page and the figures; the page's path."""
    pictures = folder / FIGURES
    pictures.mkdir(exist_ok=True)
    for name, figure in _sheets(results).items():
        write_atomically(pictures / f"{name}.png", as_png(figure))
        svg = as_svg(figure)
        write_atomically(pictures / f"{name}.svg", svg)
        write_atomically(pictures / f"{name}-dark.svg", darkened(svg))
    page = folder / PAGE
    write_atomically(page, make_page(results))
    return page


def _sheets(results: Results) -> dict[str, Any]:
    """File name -> figure, of those that the results so far can fill."""
    rows = summarize(results.cells)
    telling = most_telling(rows)
    panels = {
        "gradient-against-margin": figures.cliff_panels(results.gradients),
        "validation-accuracy": figures.epoch_panels(results.cells, "val_accuracy", "validation accuracy"),
        "silenced-samples": figures.epoch_panels(results.cells, "silenced", "silenced samples"),
        "story": figures.story(results.cells, results.gradients, telling) if telling else [],
    }
    sheets = {name: figures.sheet(group) for name, group in panels.items() if group}
    return sheets | ({"grid": figures.heat_map(rows)} if rows else {})
