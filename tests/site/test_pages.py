"""The site's pages in a real browser: nothing missing, nothing from elsewhere, for everybody to use."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

AXE = Path(__file__).parents[2] / "docs" / "browser" / "node_modules" / "axe-core" / "axe.min.js"
PAGES = ("index", "why", "playground", "rules/FL203", "guides/check", "rules/index", "losses", "reference")
#: How a page is looked at: the width of its window, its colours, and how many of the pages (the others are alike).
LOOKS = {"light": (1400, "light", 8), "dark": (1400, "dark", 4), "narrow": (400, "light", 8)}
#: What axe-core calls a fault that keeps somebody from using a page.
GRAVE = ("critical", "serious")


class Visit:
    """A page, and what went wrong while it was open."""

    def __init__(self, page: Any, address: str, pages: tuple[str, ...]) -> None:
        self.page, self.address, self.pages = page, address, pages
        self.wrong: list[str] = []
        self.foreign: list[str] = []
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("console", lambda said: self.wrong.extend([said.text] * (said.type == "error")))
        page.on("response", lambda r: self.wrong.extend([f"{r.status} {r.url}"] * (r.status >= 400)))
        page.on("request", lambda r: self.foreign.extend([r.url] * (not r.url.startswith((address, "data:", "blob:")))))

    def open(self, name: str) -> Any:
        self.page.goto(f"{self.address}/{name}")
        return self.page


@pytest.fixture(params=LOOKS)
def visit(request: pytest.FixtureRequest, browser: Any, address: str) -> Iterator[Visit]:
    width, colours, pages = LOOKS[request.param]
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=colours)
    yield Visit(context.new_page(), address, PAGES[:pages])
    context.close()


def test_every_page_is_whole_and_anybody_can_use_it(visit: Visit) -> None:
    grave, wide = [], []
    for name in visit.pages:
        page = visit.open(f"{name}.html")
        if name == "why":
            page.wait_for_selector(".fl-pictures svg")
        wide += [name] * page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
        page.add_script_tag(path=str(AXE))
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
        grave += [(name, v["id"], [n["html"] for n in v["nodes"]][:3]) for v in found if v["impact"] in GRAVE]
    assert not grave, json.dumps(grave, indent=1)
    assert not wide
    assert not visit.wrong
    assert not visit.foreign


def test_the_first_screen_says_what_it_is_and_how_to_start(visit: Visit) -> None:
    page = visit.open("index.html")
    assert page.get_by_role("heading", level=1).inner_text().startswith("Should softmax still be the final layer?")
    below = page.locator("pre", has_text="pip install finallayer").bounding_box()
    assert below is not None
    assert below["y"] < 900


def test_the_figures_move_by_keyboard(visit: Visit) -> None:
    page = visit.open("why.html")
    forms = page.locator("[data-figure=forms]")
    forms.get_by_label("Written as").select_option("-log(clip(softmax(z), c, 1 - c))[y]")
    margin = forms.get_by_role("slider", name="margin", exact=True)
    before = forms.locator(".fl-told").inner_text()
    assert "The gradient is right up to a margin of 16.12" in before
    margin.focus()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    assert (
        "At a margin of 18 the loss is 16.12 (truth 18) and its gradient at the target 0 (truth −1)"
        in forms.locator(".fl-told").inner_text()
    )
    blocks = page.locator("[data-figure=blocks]")
    blocks.get_by_role("slider").fill("200")
    assert "NaN" in blocks.inner_text()
