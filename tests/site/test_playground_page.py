"""The playground in a real browser, with Python and finallayer in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

LOAD = 60_000  # ms: a loaded machine, and all of Python

CELLS = [
    {"cell_type": "markdown", "source": "# A notebook"},
    {
        "cell_type": "code",
        "source": "import torch\nfrom torch import nn\nnet = nn.Linear(4, 3)",
        "outputs": [],
        "metadata": {},
    },
    {
        "cell_type": "code",
        "source": "def step(x, y):\n    return nn.CrossEntropyLoss()(torch.softmax(net(x), 1), y)",
        "outputs": [],
        "metadata": {},
    },
]


@pytest.fixture(scope="module")
def page(browser: Any, address: str) -> Iterator[Any]:
    context = browser.new_context(
        viewport={"width": 1500, "height": 900}, permissions=["clipboard-read", "clipboard-write"]
    )
    page = context.new_page()
    page.goto(f"{address}/playground.html")
    page.wait_for_selector(".fl-finding", timeout=LOAD)
    yield page
    context.close()


RIGHT = """\
import torch
import torch.nn.functional as F

w = torch.zeros(3, 3)


def f(x, y):
    return F.cross_entropy(x @ w, y)
"""


def put(page: Any, text: str, name: str = "train.py") -> None:
    """Open a program by the address, as a shared one is."""
    page.evaluate("address => { location.hash = address; }", f"name={name}&text={quote(text, safe='')}")


def settled(page: Any, said: str) -> None:
    page.locator("#fl-status", has_text=said).wait_for(timeout=LOAD)


def test_the_articles_program_has_its_finding_with_curve_and_fix(page: Any) -> None:
    page.get_by_label("Example").select_option("Keras: softmax as the last layer")
    finding = page.locator(".fl-finding").first
    assert "FL301 softmax-head" in finding.inner_text()
    assert finding.locator("svg[role=img]").count() == 1
    assert "from_logits=True" in finding.locator(".fl-diff").inner_text()
    finding.get_by_role("button", name="Make this fix").click()
    settled(page, "No findings.")
    assert "from_logits=True" in page.locator(".cm-content").inner_text()


def test_what_is_typed_is_looked_at(page: Any) -> None:
    put(page, RIGHT)
    settled(page, "No findings.")
    page.locator(".cm-content").click()
    page.keyboard.press("Control+End")
    page.keyboard.insert_text("\ndef g(x, y):\n    return F.cross_entropy(torch.softmax(x @ w, 1), y)\n")
    settled(page, "Found 1 error.")
    assert page.locator(".cm-lintRange-error").count() == 1


def test_a_shared_address_brings_the_program_back(page: Any, browser: Any) -> None:
    text = '# αβγ & "quotes" + %\nimport torch\n'
    put(page, text)
    settled(page, "No findings.")
    page.get_by_role("button", name="Share").click()
    shared = page.evaluate("location.href")
    other = browser.new_context().new_page()
    other.goto(shared)
    assert 'αβγ & "quotes" + %' in other.locator(".cm-content").inner_text()
    other.context.close()


def test_a_notebook_is_shown_by_its_cells_and_found_in(page: Any, tmp_path: Path) -> None:
    path = tmp_path / "book.ipynb"
    path.write_text(json.dumps({"cells": CELLS, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    page.get_by_label("Open a file").set_input_files(path)
    settled(page, "book.ipynb: Found 1 error.")
    assert "line 7" in page.locator(".fl-finding h3").inner_text()
    page.get_by_role("button", name="Make this fix").click()
    settled(page, "No findings.")
    assert "softmax" not in page.locator(".cm-content").inner_text()


def test_what_is_no_program_is_told_in_a_line(page: Any, tmp_path: Path) -> None:
    put(page, "def f(:\n")
    page.locator(".fl-notes", has_text="line 1").wait_for(timeout=LOAD)
    broken = tmp_path / "broken.ipynb"
    broken.write_text("[1")
    page.get_by_label("Open a file").set_input_files(broken)
    settled(page, "broken.ipynb can't be read")


def test_names_and_text_are_never_taken_for_html(page: Any) -> None:
    put(page, "import torch\n", "<img src=x onerror=alert(1)>.py")
    settled(page, "<img src=x onerror=alert(1)>.py: No findings.")
    assert page.locator("#fl-status img").count() == 0
