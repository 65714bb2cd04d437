"""The lines of heads: one for whatever head there is, and no two alike on any ground or for any eye."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re

import pytest

from finallayer.compare import heads, page, style
from finallayer.compare.heads import BASELINE, HEADS, head_names
from finallayer.compare.style import COLOURS, DASHES, GROUND, STROKES, Stroke, strokes

from .synthetic import TF_RAW, curve, results_of, runs

EVERY_LINE = [f"head-{number}" for number in range(len(COLOURS) * len(DASHES) - 1)] + [BASELINE]
#: a difference in OKLab that is seen at a glance between thin lines (black to white is 1)
TOLD_APART = 0.09


def oklab(colour: str) -> tuple[float, float, float]:
    """Lightness, green to red, blue to yellow: as far apart as they look. (Ottosson, "A perceptual color space".)"""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    long = math.cbrt(0.4122214708 * red + 0.5363325363 * green + 0.0514459929 * blue)
    middle = math.cbrt(0.2119034982 * red + 0.6806995451 * green + 0.1073969566 * blue)
    short = math.cbrt(0.0883024619 * red + 0.2817188376 * green + 0.6299787005 * blue)
    return (
        0.2104542553 * long + 0.7936177850 * middle - 0.0040720468 * short,
        1.9779984951 * long - 2.4285922050 * middle + 0.4505937099 * short,
        0.0259040371 * long + 0.7827717662 * middle - 0.8086757660 * short,
    )


def alike(one: Stroke, other: Stroke) -> set[str]:
    """Which of their signs a reader could not tell apart."""
    return {
        "light" if math.dist(oklab(one.light), oklab(other.light)) < TOLD_APART else "",
        "dark" if math.dist(oklab(one.dark), oklab(other.dark)) < TOLD_APART else "",
        "dash" if one.dashes == other.dashes or one.css_dash == other.css_dash else "",
    } - {""}


@pytest.mark.parametrize("pair", [*itertools.combinations(STROKES, 2)], ids=" ".join)
def test_no_two_heads_share_a_colour_or_a_dash(pair: tuple[str, str]) -> None:
    assert alike(*(STROKES[name] for name in pair)) == set()


def test_no_two_of_as_many_heads_as_there_are_lines_share_a_colour_and_a_dash() -> None:
    lines = strokes(EVERY_LINE)
    assert next(iter(lines)) == BASELINE and len(lines) == len(COLOURS) * len(DASHES)
    for one, other in itertools.combinations(lines.values(), 2):
        assert not {"dash", "light"} <= alike(one, other) and not {"dash", "dark"} <= alike(one, other)


def test_a_shade_that_only_a_program_tells_apart_is_seen_as_the_same() -> None:
    assert alike(Stroke("#7a6a00", "#d9c64a", ()), Stroke("#7a6a01", "#d9c64b", (1, 1))) == {"light", "dark"}


def test_every_head_has_a_line_and_a_name_that_is_no_colour_of_the_ground() -> None:
    assert list(STROKES) == sorted(head_names(), key=lambda name: name != BASELINE)
    assert all(re.fullmatch(r"[a-z][a-z0-9-]*", name) for name in head_names())  # they name variables of the page
    assert not set(head_names()) & set(GROUND)
    assert not {light for light, _ in COLOURS} & {light for light, _ in GROUND.values()}


def test_one_entry_makes_a_head_that_is_drawn_and_described(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever keeps a list of heads of their own fails here, not after training."""
    trial = dataclasses.replace(HEADS[0], name="trial", title="a trial", code="Dense(10) + Trial()")
    monkeypatch.setattr(heads, "HEADS", (*HEADS, trial))
    lines = strokes(heads.head_names())
    monkeypatch.setitem(style.STROKES, "trial", lines["trial"])
    monkeypatch.setattr(page, "HEADS", heads.HEADS)
    cells = runs(TF_RAW, "trial", [0.5, 0.6]) | runs(TF_RAW, "logits", [0.9, 0.9])
    html = page.make_page(results_of(cells, [curve(TF_RAW, "trial", 16.1), curve(TF_RAW, "logits", None)]))
    assert "Dense(10) + Trial()" in html and "var(--head-trial)" in html and lines["trial"].light in html
