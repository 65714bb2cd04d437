"""The pictures of the report, drawn from results alone."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from finallayer.compare.backends import BY_NAME
from finallayer.compare.grid import PRECISIONS, Cell, Setting, order
from finallayer.compare.heads import BASELINE, STATUS_QUO, is_dose, written
from finallayer.compare.phrases import NOT_FINITE, edge, head_name, percent, setting_name
from finallayer.compare.statistics import Row, Summary
from finallayer.compare.style import STROKES, Room, color, new_figure, set_title

PANEL = (4.0, 2.9)  # inches
SHEET_PANEL = (3.6, 2.7)
SHEET_COLUMNS = 4
Runs = Mapping[Cell, Mapping[str, Any]]
Curves = Sequence[Mapping[str, Any]]
Series = Mapping[str, Sequence[Sequence[float]]]  # head -> epoch -> the measurement of each seed
Draw = Callable[[Any], None]


@dataclass(frozen=True)
class Panel:
    """One small picture: what it is called, what it says to those who do not see it, and how to draw it on axes."""

    key: str
    title: str
    description: str
    heads: tuple[str, ...]
    draw: Draw

    def alone(self) -> Any:
        """The panel as a figure of its own."""
        figure, (ax,) = new_figure(PANEL)
        self.draw(ax)
        set_title(ax, self.title)
        return figure


def sheet(panels: Sequence[Panel], columns: int = SHEET_COLUMNS) -> Any:
    """Panels side by side in one figure, with one legend."""
    columns = min(columns, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure, axes = new_figure(SHEET_PANEL, rows, columns, below=0.4)
    for ax, panel in itertools.zip_longest(axes, panels):
        if panel is None:
            ax.remove()
        else:
            panel.draw(ax)
            set_title(ax, panel.title)
    heads = [head for head in STROKES if any(head in panel.heads for panel in panels)]
    handles = [axes[0].plot([], [], **_line(head), label=head_name(head))[0] for head in heads]
    legend = figure.legend(handles=handles, loc="lower center", ncols=len(heads), frameon=False, fontsize=9)
    for text in legend.get_texts():
        text.set_color(color("ink"))
    return figure


def cliff_panels(gradients: Mapping[str, Any]) -> list[Panel]:
    """Gradient against margin, a panel a backend and precision."""
    programs: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for curve in compared(gradients["curves"]):
        programs.setdefault((curve["backend"], curve["precision"]), []).append(curve)
    return [
        cliff_panel(gradients, curves, f"{BY_NAME[backend].title}, {precision}")
        for (backend, precision), curves in programs.items()
    ]


def cliff_panel(gradients: Mapping[str, Any], curves: Curves, title: str) -> Panel:
    edges = "; ".join(f"{curve['head']} {edge(curve['safe_margin'], curve['overflows_from'])}" for curve in curves)
    return Panel(
        "gradient-" + "-".join(str(curves[0][part]) for part in ("backend", "precision")),
        title,
        f"Size of the gradient at the target against the margin, {title}. Right up to: {edges}.",
        tuple(curve["head"] for curve in curves),
        lambda ax: draw_cliff(ax, gradients, curves),
    )


def epoch_panels(runs: Runs, measure: str, label: str) -> list[Panel]:
    """A measurement in percent against the epoch, a panel a setting."""
    settings = dict.fromkeys(cell.setting for cell in sorted(runs, key=order))
    return [epoch_panel(series_of(runs, s, measure), measure, label, s, setting_name(s)) for s in settings]


def epoch_panel(series: Series, measure: str, label: str, setting: Setting, title: str) -> Panel:
    last = "; ".join(f"{head} {percent(fmean(values[-1]))} %" for head, values in series.items())
    return Panel(
        f"{measure.replace('_', '-')}-{setting.backend}-{setting.precision}-{setting.inputs}",
        title,
        f"{label} against epoch, {setting_name(setting)}. After the last epoch: {last}.",
        tuple(series),
        lambda ax: draw_epochs(ax, series, f"{label}, %"),
    )


def dose_panels(summary: Summary) -> list[Panel]:
    """The status quo's accuracy and silenced samples against Keras' epsilon, beside logits; none if not run."""
    series = summary.dose_response
    if not series:
        return []
    setting = series[0][1].setting
    logits = next((row for row in summary.rows if (row.setting, row.head) == (setting, BASELINE)), None)
    said = "; ".join(
        f"{written(epsilon)}: accuracy {percent(row.val_accuracy)} %, silenced {percent(row.silenced)} %"
        for epsilon, row in series
    )
    return [
        Panel(
            "doses",
            setting_name(setting),
            f"The softmax head after the last epoch, by Keras' epsilon. {said}.",
            (STATUS_QUO, BASELINE),
            lambda ax: draw_doses(ax, series, logits),
        )
    ]


def story(runs: Runs, gradients: Mapping[str, Any], row: Row) -> list[Panel]:
    """One setting's story in three panels: the gradient ends, samples fall silent, accuracy stays behind."""
    setting, heads = row.setting, (row.head, BASELINE)
    curves = [
        curve
        for curve in gradients["curves"]
        if (curve["backend"], curve["precision"]) == (setting.backend, setting.precision) and curve["head"] in heads
    ]
    panels = [cliff_panel(gradients, curves, "Gradient against margin")] if curves else []
    for measure, label, title in (
        ("silenced", "silenced samples", "Samples that fell silent"),
        ("val_accuracy", "validation accuracy", "Validation accuracy"),
    ):
        series = {head: values for head, values in series_of(runs, setting, measure).items() if head in heads}
        panels.append(epoch_panel(series, measure, label, setting, title))
    return [
        replace(panel, key=f"story-{panel.key}", title=f"{number}  {panel.title}")
        for number, panel in enumerate(panels, start=1)
    ]


def heat_map(rows: Sequence[Row]) -> Any:
    """A figure of the validation accuracy of every head in every setting: the further below logits, the darker."""
    settings = list(dict.fromkeys(row.setting for row in rows))
    heads = [head for head in STROKES if any(row.head == head for row in rows)]
    room = Room(left=2.9, right=0.6, bottom=0.1, top=0.8)
    figure, (ax,) = new_figure((3.5 + 1.05 * len(heads), 0.9 + 0.32 * len(settings)), room=room)
    ax.grid(False)
    for row in rows:
        x, y = heads.index(row.head), settings.index(row.setting)
        depth = heat(row)
        ax.add_patch(_tile(x, y, color(STATUS_QUO), depth))
        weight = "bold" if row.head == BASELINE else "normal"
        ax.text(x, y, percent(row.val_accuracy), ha="center", va="center", color=color("ink"), weight=weight, size=8.5)
    ax.set_xlim(-0.5, len(heads) - 0.5)
    ax.set_ylim(len(settings) - 0.5, -0.5)
    ax.set_xticks(range(len(heads)), heads, rotation=20, ha="left")
    ax.set_yticks(range(len(settings)), [setting_name(setting) for setting in settings], size=8)
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)
    return figure


def heat(row: Row) -> float:
    """How dark a cell of the heat map is, 0 to 0.85; the square root shows small losses too."""
    lost = min(1.0, max(0.0, row.gain.mean)) if row.gain else 0.0
    return 0.85 * math.sqrt(lost)


def draw_cliff(ax: Any, gradients: Mapping[str, Any], curves: Iterable[Mapping[str, Any]]) -> None:
    margins = gradients["margins"]
    ax.plot(margins, gradients["reference"], color=color("truth"), linewidth=7, solid_capstyle="butt")
    for curve in _baseline_first(curves, key=lambda curve: curve["head"]):
        ax.plot(margins, [math.nan if g is None else g for g in curve["gradient"]], **_line(curve["head"]))
        _mark_ends(ax, margins, curve)
    ax.set_xlim(margins[0], margins[-1])
    ax.set_ylim(-0.03, 1.08)
    ax.set_xlabel("margin: top rival's logit minus target's")
    ax.set_ylabel("gradient at the target")


def _mark_ends(ax: Any, margins: Sequence[float], curve: Mapping[str, Any]) -> None:
    """Where a curve isn't finite, and from where on it is 0, in words beside it."""
    size, tint = curve["gradient"], color(curve["head"])
    gaps = [margin for margin, g in zip(margins, size, strict=True) if g is None]
    if gaps:
        ax.axvspan(gaps[0], gaps[-1], color=tint, alpha=0.12, linewidth=0)
        ax.annotate(NOT_FINITE, (gaps[0] - 0.5, 0.62), color=tint, size=9, ha="right")
    last = max((i for i, g in enumerate(size) if g != 0), default=None)
    if last is not None and last + 1 < len(size):
        safe = curve["safe_margin"]
        end = safe if safe is not None and abs(safe - margins[last]) <= margins[1] - margins[0] else margins[last]
        ax.annotate(f"0 past {end:.1f}", (end + 1, 0.08), color=tint, size=9)


def draw_doses(ax: Any, series: Sequence[tuple[float, Row]], logits: Row | None) -> None:
    """Accuracy (drawn through) and silenced samples (dashed) against the epsilon, which shrinks to the right."""
    places = range(len(series))
    tint = color(STATUS_QUO)
    accuracy, silenced = ([100 * getattr(row, name) for _, row in series] for name in ("val_accuracy", "silenced"))
    ax.plot(places, accuracy, color=tint, marker="o", linewidth=1.8)
    ax.plot(places, silenced, color=tint, marker="s", linewidth=1.4, linestyle=(0, (4, 2)))
    for words, values, offset in (("accuracy", accuracy, 7), ("silenced", silenced, -14)):
        ax.annotate(words, (places[1], values[1]), (0, offset), textcoords="offset points", color=tint, ha="center")
    if logits is not None:
        ax.axhline(100 * logits.val_accuracy, **_line(BASELINE))
    ax.set_ylim(-3, 103)
    ax.set_xticks(places, [written(epsilon) for epsilon, _ in series])
    ax.set_xlabel("epsilon that Keras clips at")
    ax.set_ylabel("%")


def draw_epochs(ax: Any, series: Series, label: str) -> None:
    """Mean over seeds, in a band from the lowest to the highest."""
    for head in _baseline_first(series, key=lambda head: head):
        draw_band(ax, head, range(1, len(series[head]) + 1), series[head], 100)
    ax.set_ylim(-3, 103)
    ax.set_xlabel("epoch")
    ax.set_ylabel(label)
    ax.xaxis.get_major_locator().set_params(integer=True)


def draw_band(ax: Any, head: str, places: Sequence[int], values: Sequence[Sequence[float]], scale: float) -> None:
    """The mean of the values at each place by a head's line, in a band from the lowest to the highest."""
    lows, highs = ([scale * end(v) for v in values] for end in (min, max))
    ax.fill_between(places, lows, highs, color=color(head), alpha=0.13, linewidth=0)
    ax.plot(places, [scale * fmean(v) for v in values], **_line(head), marker="o", markersize=3)


def series_of(runs: Runs, setting: Setting, measure: str) -> Series:
    series: dict[str, list[list[float]]] = {}
    for cell, run in sorted(runs.items(), key=lambda item: order(item[0])):
        if cell.setting != setting:
            continue
        rows = series.setdefault(cell.head, [[] for _ in run["epochs"]])
        for values, epoch in zip(rows, run["epochs"], strict=True):
            values.append(epoch[measure])
    return {head: series[head] for head in STROKES if head in series}


def compared(curves: Curves) -> list[Mapping[str, Any]]:
    """The curves of the heads that are compared, in the order of the tables."""
    return sorted((curve for curve in curves if not is_dose(curve["head"])), key=place)


def place(curve: Mapping[str, Any]) -> tuple[int, int]:
    """Where a curve stands among others: as its backend and precision do in their tables."""
    return list(BY_NAME).index(curve["backend"]), list(PRECISIONS).index(curve["precision"])


def _line(head: str) -> dict[str, Any]:
    stroke = STROKES[head]
    return {"color": stroke.light, "linestyle": stroke.linestyle, "linewidth": stroke.width}


def _baseline_first(items: Iterable[Any], key: Any) -> list[Any]:
    """The thick baseline below, the thin others on top."""
    return sorted(items, key=lambda item: key(item) != BASELINE)


def _tile(x: int, y: int, face: str, alpha: float) -> Any:
    from matplotlib.patches import FancyBboxPatch

    return FancyBboxPatch(
        (x - 0.46, y - 0.42),
        0.92,
        0.84,
        boxstyle="round,pad=0,rounding_size=0.08",
        facecolor=face,
        alpha=alpha,
        linewidth=0,
    )
