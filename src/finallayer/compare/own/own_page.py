"""report.html of a trial: one file that needs no network, made from the outcome."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from statistics import fmean
from typing import Any

from finallayer.compare import phrases
from finallayer.compare.figures import Panel, draw_band
from finallayer.compare.folder import PAGE
from finallayer.compare.heads import BASELINE, STATUS_QUO
from finallayer.compare.own.answer import METRIC, TRAINED, along, final, is_share, named, shown
from finallayer.compare.own.arms import ARMS, AS_IS, FIXED
from finallayer.compare.own.measured import Outcome
from finallayer.compare.page import drawn, templates
from finallayer.compare.results import write_atomically
from finallayer.compare.style import STROKES, as_it_comes

#: The head whose line an arm has.
LINES = {AS_IS: STATUS_QUO, FIXED: BASELINE}
#: What is drawn beside the metric that answers.
DRAWN = (TRAINED, "silenced", "collapsed", "margin_p50", "true_loss")
#: A longer diff is the reader's to make.
MOST_LINES = 400
#: arm -> seed -> the values in order
Curves = Mapping[str, Mapping[int, Sequence[float | None]]]


@as_it_comes()
def write_page(outcome: Outcome, folder: Path) -> Path:
    """Write the page; its path."""
    page = folder / PAGE
    write_atomically(page, make_page(outcome))
    return page


def make_page(outcome: Outcome) -> str:
    """The whole page."""
    environment = templates()
    environment.filters |= {
        "percent": phrases.percent,
        "points": phrases.signed_points,
        "clock": phrases.clock,
        "named": named,
        "shown": shown,
        "kind": _kind_of_line,
        "signed": _signed,
    }
    environment.globals |= {"interval": phrases.interval, "is_share": is_share}
    return environment.get_template("own/own_report.html.j2").render(
        results=outcome.as_dict(),
        titles=titles(outcome),
        arms=ARMS,
        lines=LINES,
        strokes=STROKES,
        line_names={line: titles(outcome)[arm] for arm, line in LINES.items()},
        pictures=drawn(list(_panels(outcome))),
        runs=_runs(outcome),
        diff=outcome.settings["diff"][:MOST_LINES],
        cut=len(outcome.settings["diff"]) > MOST_LINES,
        versions=_versions(outcome),
        audits=_audits(outcome),
    )


def titles(outcome: Outcome) -> dict[str, str]:
    """What the arms are called."""
    return {AS_IS: "as it is", FIXED: outcome.settings["against"] or "fixed"}


def curves(outcome: Outcome, name: str) -> Curves:
    """A quantity along the training, of every run that has it."""
    found: dict[str, dict[int, list[float | None]]] = {}
    for arm in ARMS:
        for seed, cell in outcome.of(arm).items():
            values = along(cell, name)
            if any(value is not None for value in values):
                found.setdefault(arm, {})[seed] = values
    return found


def _panels(outcome: Outcome) -> Iterator[Panel]:
    names = dict.fromkeys([name for name in (outcome.verdict["metric"],) if name] + list(DRAWN))
    for name in names:
        found = curves(outcome, name)
        if len(found) == len(ARMS) and any(_points(one) > 1 for by_seed in found.values() for one in by_seed.values()):
            yield _panel(outcome, name, found)


def _points(values: Sequence[float | None]) -> int:
    return sum(value is not None for value in values)


def _panel(outcome: Outcome, name: str, found: Curves) -> Panel:
    last = "; ".join(f"{titles(outcome)[arm]} {shown(name, _last(found[arm]))}" for arm in ARMS)
    return Panel(
        f"own-{name}",
        named(name),
        f"{named(name)} along the training. At the end: {last}.",
        tuple(LINES.values()),
        lambda ax: _draw(ax, outcome, name, found),
    )


def _draw(ax: Any, outcome: Outcome, name: str, found: Curves) -> None:
    """Mean over seeds, in a band from the lowest to the highest."""
    share = is_share(name, [v for by_seed in found.values() for values in by_seed.values() for v in values])
    for arm in ARMS:
        at = [[v for v in values if v is not None] for values in zip_longest(*found[arm].values())]
        places = [number for number, values in enumerate(at, start=1) if values]
        draw_band(ax, LINES[arm], places, [values for values in at if values], 100 if share else 1)
    if share:
        ax.set_ylim(-3, 103)
    ax.set_xlabel("occurrence in the output" if name == METRIC else _along(outcome))
    ax.set_ylabel("%" if share else "" if name == METRIC else "nats" if name in DRAWN else "")
    ax.xaxis.get_major_locator().set_params(integer=True)


def _along(outcome: Outcome) -> str:
    """What the parts of the training are."""
    return "epoch" if all(cell["of"] == "epoch" for cell in outcome.cells.values()) else "part of the training"


def _last(by_seed: Mapping[int, Sequence[float | None]]) -> float:
    return fmean(next(v for v in reversed(one) if v is not None) for one in by_seed.values())


def _runs(outcome: Outcome) -> list[dict[str, Any]]:
    """A row a seed: of each arm what it came to, or why it didn't."""
    metric = outcome.verdict["metric"]
    rows = []
    for seed in range(outcome.settings["seeds"]):
        places = []
        for arm in ARMS:
            cell = outcome.of(arm).get(seed)
            places.append(
                {"reason": outcome.missing.get((arm, seed), "")}
                if cell is None
                else {"value": _value(cell, metric), "seconds": cell["seconds"]}
            )
        rows.append({"seed": seed, "places": places})
    return rows


def _value(cell: Mapping[str, Any], metric: str | None) -> str:
    value = final(cell, metric) if metric else None
    return "" if metric is None or value is None else shown(metric, value)


def _versions(outcome: Outcome) -> dict[str, str]:
    return {name: v for cell in outcome.cells.values() for name, v in (cell["versions"] or {}).items()}


def _audits(outcome: Outcome) -> dict[str, Mapping[str, Any]]:
    """Arm -> what an audit said of its first loss, where there was one."""
    found: dict[str, Mapping[str, Any]] = {}
    for arm in ARMS:
        for cell in outcome.of(arm).values():
            if cell["audit"]:
                found.setdefault(arm, cell["audit"])
    return found


def _signed(value: float) -> str:
    """A difference that is no share, with a real minus."""
    return f"{value:+.4g}".replace("-", "−")


def _kind_of_line(line: str) -> str:
    """How a line of a diff is shown."""
    return next((kind for start, kind in _KINDS.items() if line.startswith(start)), "")


_KINDS = {"+++": "file", "---": "file", "@@": "where", "+": "new", "-": "old"}
