"""How the pictures look: one drawing, three coats (a light file, a dark one, a page that follows the reader)."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finallayer.compare.heads import BASELINE, head_names


@dataclass(frozen=True)
class Stroke:
    """A head's line: its colour on light and on dark ground, and its dash, so that colour is never the only sign."""

    light: str
    dark: str
    dashes: tuple[float, ...]  # lengths on and off, in widths of the line; none: drawn through
    width: float = 1.8

    @property
    def linestyle(self) -> Any:
        """The dash as matplotlib takes it."""
        return (0, self.dashes) if self.dashes else "-"

    @property
    def css_dash(self) -> str:
        """The dash as ``stroke-dasharray`` takes it, in pixels."""
        return " ".join(f"{2 * part:.3g}" for part in self.dashes) or "none"


# (light, dark): each has 4.5:1 against its ground. Eight colours cannot all be told apart with every colour vision:
# what two of them have in common, the dash beside it sets apart.
COLOURS = (
    ("#0b6e99", "#5cc3ee"),  # blue
    ("#c8430a", "#ff8f57"),  # vermilion
    ("#9a3fa0", "#e08ee6"),  # purple
    ("#7a6a00", "#d9c64a"),  # olive
    ("#1f7a35", "#6fd38a"),  # green
    ("#4a5560", "#b3bcc6"),  # slate
    ("#8c1230", "#ff7f9a"),  # crimson
    ("#3a3fc4", "#9aa2ff"),  # indigo
)
DASHES = (
    (),
    (5, 1.4),
    (1, 1.2),
    (4, 1.4, 1, 1.4),
    (2.4, 1.2),
    (4, 1.2, 1, 1.2, 1, 1.2),
    (9, 1.6),
    (7, 1.2, 2, 1.2),
)
BASELINE_WIDTH = 3.2


def strokes(names: Iterable[str]) -> dict[str, Stroke]:
    """A line for each of these heads, the baseline's first: no two of up to 64 share both colour and dash."""
    ordered = sorted(names, key=lambda name: name != BASELINE)
    return {name: _stroke(index, name) for index, name in enumerate(ordered)}


def _stroke(index: int, name: str) -> Stroke:
    turn, place = divmod(index, len(COLOURS))  # each turn through the colours starts one dash further on
    light, dark = COLOURS[place]
    dashes = DASHES[(place + turn) % len(DASHES)]
    return Stroke(light, dark, dashes, BASELINE_WIDTH) if name == BASELINE else Stroke(light, dark, dashes)


#: head -> its line, in the order of legends and tables
STROKES = strokes(head_names())

# name -> (light, dark); no light colour occurs above, so that a page can swap each for its variable
GROUND: dict[str, tuple[str, str]] = {
    "surface": ("#ffffff", "#14181d"),
    "ink": ("#1b2127", "#e8ecf0"),
    "muted": ("#5a6672", "#9aa7b4"),
    "line": ("#d5dbe1", "#333c46"),
    "truth": ("#8793a0", "#6b7885"),
}


def color(name: str) -> str:
    """The light colour of a head or of the ground: what everything is drawn in."""
    return STROKES[name].light if name in STROKES else GROUND[name][0]


def variables(dark: bool) -> dict[str, str]:
    """CSS variable -> colour, of one theme."""
    heads = {f"--head-{name}": stroke.dark if dark else stroke.light for name, stroke in STROKES.items()}
    return {f"--{name}": pair[dark] for name, pair in GROUND.items()} | heads


@dataclass(frozen=True)
class Room:
    """Inches left free around axes: for tick labels, axis labels and titles."""

    left: float = 0.62
    right: float = 0.12
    bottom: float = 0.5
    top: float = 0.34


@contextmanager
def as_it_comes() -> Iterator[None]:
    """Inside, matplotlib draws by its own settings.

    One of its settings has LaTeX run, and it reads them in the working folder, too, which may be anybody's.
    """
    with chdir(Path(__file__).parent):
        import matplotlib as mpl
    with mpl.rc_context():
        mpl.rcdefaults()
        yield


def new_figure(
    size: tuple[float, float], rows: int = 1, columns: int = 1, room: Room | None = None, below: float = 0.0
) -> tuple[Any, list[Any]]:
    """A figure of rows of axes, each ``size`` inches with its room, over ``below`` inches for a legend.

    Places are computed, not fitted: a layout engine takes seconds for a page of pictures. No global state is touched.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(_RC):
        width, height = size[0] * columns, size[1] * rows + below
        room = room or Room()
        figure = Figure((width, height), facecolor=color("surface"))
        axes = [
            figure.add_axes(
                (
                    (size[0] * x + room.left) / width,
                    (below + size[1] * (rows - 1 - y) + room.bottom) / height,
                    (size[0] - room.left - room.right) / width,
                    (size[1] - room.bottom - room.top) / height,
                )
            )
            for y in range(rows)
            for x in range(columns)
        ]
        for ax in axes:
            _dress(ax)
    return figure, axes


def set_title(ax: Any, title: str) -> None:
    """A title that starts where the picture starts, so that long ones have room."""
    ax.text(0, 1.06, title, transform=ax.transAxes, weight="bold", size=9, color=color("ink"))


def as_png(figure: Any) -> bytes:
    """The light picture, at 150 dots an inch."""
    return _save(figure, format="png", dpi=150)


def as_svg(figure: Any) -> str:
    """A file of its own: text as outlines, so that it looks the same everywhere."""
    return _save(figure, format="svg", metadata=_UNDATED).decode()


def darkened(svg: str) -> str:
    """The same file for dark ground."""
    return _recolor(svg, variables(dark=True).__getitem__)


def as_inline_svg(figure: Any, description: str, key: str) -> str:
    """For a page: text as text, colours as the page's variables, described for those who do not see it."""
    svg = _save(figure, key, format="svg", metadata=_UNDATED).decode()
    svg = svg[svg.index("<svg") :]
    svg = _recolor(svg, lambda name: f"var({name})")
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.S)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(r'\s(width|height)="[\d.]+pt"', "", svg, count=2)
    return svg.replace("<svg", f'<svg role="img" aria-label="{_attribute(description)}"', 1)


_UNDATED = {"Date": None, "Creator": None}
_RC: Any = {
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "font.size": 9,
    "axes.linewidth": 0.8,
}


def _dress(ax: Any) -> None:
    ax.set_facecolor(color("surface"))
    for side, spine in ax.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(color("line"))
    ax.tick_params(colors=color("muted"), length=3, width=0.8)
    ax.grid(True, axis="y", color=color("line"), linewidth=0.6)
    ax.set_axisbelow(True)
    for label in (ax.xaxis.label, ax.yaxis.label):
        label.set_color(color("muted"))


def _save(figure: Any, key: str | None = None, **options: Any) -> bytes:
    import matplotlib as mpl

    # A salt makes ids a function of the content; a page holds many pictures, so each has its own.
    rc = _RC | {"svg.fonttype": "none" if key else "path", "svg.hashsalt": key or "finallayer"}
    buffer = io.BytesIO()
    with mpl.rc_context(rc):
        figure.savefig(buffer, facecolor=color("surface"), **options)
    return buffer.getvalue()


def _recolor(svg: str, replacement: Callable[[str], str]) -> str:
    for name, light in variables(dark=False).items():
        svg = svg.replace(light, replacement(name))
    return svg


def _attribute(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
