"""report.html: one file that needs no network, made from the results and the pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from finallayer.compare import figures, phrases
from finallayer.compare.backends import BY_NAME
from finallayer.compare.grid import Cell, order
from finallayer.compare.heads import BASELINE, HEADS, Head
from finallayer.compare.results import Results
from finallayer.compare.statistics import Row
from finallayer.compare.style import STROKES, as_inline_svg, variables
from finallayer.compare.verdict import most_telling


def make_page(results: Results) -> str:
    """The whole page."""
    summary = results.summarized()
    rows = summary.compared
    names = [head for head in STROKES if any(row.head == head for row in rows)]
    telling = most_telling(rows)
    environment = templates()
    environment.filters |= {
        "percent": phrases.percent,
        "points": phrases.signed_points,
        "number": phrases.number,
        "clock": phrases.clock,
        "setting": phrases.setting_name,
        "head": phrases.head_name,
    }
    environment.globals["interval"] = phrases.interval
    return environment.get_template("report.html.j2").render(
        results=results.as_dict(),
        rows=rows,
        heads=names,
        strokes=STROKES,
        line_names={name: phrases.head_name(name) for name in STROKES},
        head_table=_heads_shown(rows),
        baseline=BASELINE,
        telling=telling,
        story=[] if telling is None else drawn(figures.story(results.cells, results.gradients, telling)),
        cliffs=drawn(figures.cliff_panels(results.gradients)),
        accuracy=drawn(figures.epoch_panels(results.cells, "val_accuracy", "validation accuracy")),
        silenced=drawn(figures.epoch_panels(results.cells, "silenced", "silenced samples")),
        doses=drawn(figures.dose_panels(summary)),
        grid=_grid(rows, names),
        safe_margins=_safe_margins(results, names),
        missing=_missing(results),
        backends=BY_NAME,
    )


def templates() -> Environment:
    """The pages' templates, with the colours that their style is made of."""
    environment = Environment(
        loader=PackageLoader("finallayer.compare", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"light": variables(dark=False), "dark": variables(dark=True)}
    return environment


def drawn(panels: Sequence[figures.Panel]) -> list[dict[str, Any]]:
    """Panels as a page holds them."""
    return [
        {"svg": Markup(as_inline_svg(panel.alone(), panel.description, panel.key)), "title": panel.title}
        for panel in panels
    ]


def _grid(rows: Sequence[Row], names: Sequence[str]) -> list[dict[str, Any]]:
    """The heat map as a table: a row a setting, a place a head (None where the framework has no such head)."""
    by_place = {(row.setting, row.head): row for row in rows}
    return [
        {
            "setting": setting,
            "places": [
                None if row is None else {"row": row, "heat": f"{figures.heat(row):.2f}"}
                for row in (by_place.get((setting, name)) for name in names)
            ],
        }
        for setting in dict.fromkeys(row.setting for row in rows)
    ]


def _safe_margins(results: Results, names: Sequence[str]) -> list[dict[str, Any]]:
    """A row a backend and precision, a place a head: up to which margin its gradient is right."""
    places: dict[tuple[str, str], dict[str, str]] = {}
    for curve in figures.compared(results.gradients["curves"]):
        program = places.setdefault((curve["backend"], curve["precision"]), {})
        program[curve["head"]] = phrases.edge(curve["safe_margin"], curve["overflows_from"])
    return [
        {"backend": backend, "precision": precision, "places": [by_head.get(name) for name in names]}
        for (backend, precision), by_head in places.items()
    ]


def _missing(results: Results) -> list[dict[str, Any]]:
    """What did not run, one line a reason and backend."""
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell, reason in sorted(results.missing.items(), key=lambda item: order(item[0])):
        groups.setdefault((cell.backend, reason), []).append(cell)
    return [
        {"backend": BY_NAME[backend].title, "reason": reason, "cells": cells}
        for (backend, reason), cells in groups.items()
    ]


def _heads_shown(rows: Sequence[Row]) -> list[Head]:
    shown = {(BY_NAME[row.setting.backend].framework, row.head) for row in rows}
    return [head for head in HEADS if (head.framework, head.name) in shown]
