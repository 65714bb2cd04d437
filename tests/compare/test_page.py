"""The report: one file that loads nothing, whole for a browser, a keyboard and a screen reader."""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from finallayer.compare.grid import Setting
from finallayer.compare.page import make_page
from finallayer.compare.report_folder import write_report
from finallayer.compare.results import Results
from finallayer.compare.style import GROUND, STROKES

from .synthetic import results_of, runs, silenced_and_rescued

VOID = {"meta", "br", "line", "link", "img", "input", "hr"}


class Reader(HTMLParser):
    """Reads a page as a browser does, and keeps what tests ask about."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.starts: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.starts.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.starts.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.starts if name == tag]


@pytest.fixture(scope="module")
def results() -> Results:
    return results_of(*silenced_and_rescued())


@pytest.fixture(scope="module")
def page(results: Results) -> str:
    return make_page(results)


@pytest.fixture(scope="module")
def read(page: str) -> Reader:
    return Reader(page)


def test_every_tag_is_closed_and_every_id_is_unique(read: Reader) -> None:
    assert read.open == []
    ids = Counter(attributes["id"] for _, attributes in read.starts if attributes.get("id"))
    assert [name for name, count in ids.items() if count > 1] == []
    targets = {attributes["href"][1:] for attributes in read.all("a") if (attributes["href"] or "").startswith("#")}  # type: ignore[index]
    assert targets <= set(ids) and len(targets) >= 6


def test_nothing_is_loaded(page: str, read: Reader) -> None:
    assert read.all("script") == read.all("link") == read.all("img") == read.all("iframe") == []
    assert "@import" not in page and not re.search(r"url\((?!#)", page)
    namespaces = {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert set(re.findall(r"https?://[^\"'\s<]+", page)) <= namespaces


def test_pictures_are_described_and_tables_have_heads(read: Reader) -> None:
    pictures = [svg for svg in read.all("svg") if svg.get("role") == "img"]
    assert len(pictures) == 3 + 2 + 3 + 3  # the story, the gradients, and two measures in three settings
    assert all(len(svg["aria-label"] or "") > 40 for svg in pictures)
    assert all(svg.get("aria-hidden") == "true" for svg in read.all("svg") if svg not in pictures)
    assert all(head.get("scope") in ("row", "col") for head in read.all("th"))
    scrolled = [div for div in read.all("div") if div.get("class") == "scroll"]
    assert len(scrolled) == len(read.all("table")) == 4
    assert all(div["tabindex"] == "0" and div["role"] == "region" and div["aria-label"] for div in scrolled)
    assert read.all("html")[0]["lang"] == "en" and any(meta.get("name") == "viewport" for meta in read.all("meta"))


def test_the_page_says_what_was_measured(page: str, results: Results) -> None:
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))
    assert results.verdict["answer"] in text
    for said in (
        "47.7 %",
        "94.7 %",
        "−47.0",
        "40.0",
        "16.12",
        "any margin",
        "3.15.1",
        "80 training and 1000 valid",
    ):
        assert said in text, said


def test_colours_follow_the_reader(page: str) -> None:
    style, body = page.split("</style>")
    assert "prefers-color-scheme: dark" in style
    for light, dark in [(stroke.light, stroke.dark) for stroke in STROKES.values()] + list(GROUND.values()):
        assert light in style and dark in style
        assert light not in body


def luminance(color: str) -> float:
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("dark", [False, True])
def test_contrast_is_enough(dark: bool) -> None:
    """WCAG 2.1: 4.5 for text, 3 for what a picture is made of."""
    ground = {name: pair[dark] for name, pair in GROUND.items()}
    assert contrast(ground["ink"], ground["surface"]) >= 7
    assert contrast(ground["muted"], ground["surface"]) >= 4.5
    assert contrast(ground["truth"], ground["surface"]) >= 3
    for name, stroke in STROKES.items():
        assert contrast(stroke.dark if dark else stroke.light, ground["surface"]) >= 4.5, name


def test_names_from_outside_are_escaped(tmp_path: Path) -> None:
    results = results_of(*silenced_and_rescued())
    results.data["name"] = "<script>alert(1)</script>"
    page = make_page(results)
    assert "<script>" not in page and "&lt;script&gt;" in page


def test_figures_are_files_too(results: Results, tmp_path: Path) -> None:
    page = write_report(results, tmp_path)
    assert page == tmp_path / "report.html"
    names = {"gradient-against-margin", "validation-accuracy", "silenced-samples", "story", "grid"}
    files = {path.name for path in (tmp_path / "figures").iterdir()}
    assert files == {f"{name}{end}" for name in names for end in (".png", ".svg", "-dark.svg")}
    for name in names:
        assert (tmp_path / "figures" / f"{name}.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
        light = (tmp_path / "figures" / f"{name}.svg").read_text()
        dark = (tmp_path / "figures" / f"{name}-dark.svg").read_text()
        for svg in (light, dark):
            ElementTree.fromstring(svg)
        assert GROUND["surface"][0] in light and GROUND["surface"][1] in dark
        assert GROUND["surface"][0] not in dark


def test_a_report_of_nothing_says_so(tmp_path: Path) -> None:
    results = results_of({}, [])
    page = write_report(results, tmp_path).read_text()
    assert "Nothing to compare yet." in page
    Reader(page)


def test_a_measurement_that_is_not_finite_is_shown_as_such() -> None:
    setting = Setting("torch", "mixed_float16", "raw")
    cells = {
        **runs(setting, "log-of-softmax", [0.1, 0.1], nonfinite=1.0, largest_margin=None, true_loss=None, loss=None),
        **runs(setting, "logits", [0.9, 0.9]),
    }
    assert "inf or nan" in make_page(results_of(cells, []))
