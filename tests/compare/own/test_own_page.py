"""The page of a trial: all of it from the outcome, and nothing of the user's is taken for markup."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from finallayer.compare.own.own_page import make_page

from .trials import cell, epoch, logged, trial


class Tags(HTMLParser):
    """The tags that are open, checked as they close, and the text."""

    VOID = frozenset({"meta", "br", "line", "path", "use", "image"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(page: str) -> str:
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    return " ".join(tags.text.split())


def test_the_page_tells_the_verdict_the_diff_the_curves_and_every_number() -> None:
    made = trial(logged([0.41, 0.46, 0.43], silenced=0.4), logged([0.91, 0.93, 0.92]))
    page = make_page(made)
    text = read(page)
    assert made.verdict["answer"].replace(" %", "\u00a0%") in page or made.verdict["answer"] in text
    assert '<span class="old">-net = &lt;Softmax&gt;</span>' in page
    assert '<span class="new">+net = Linear</span>' in page
    assert page.count("<svg role") == 4  # train_accuracy, silenced, margin_p50, true_loss; val_accuracy is one point
    assert "As it is, 40.0 % of the training samples were silenced" in text.replace("\u00a0", " ")
    assert "its safe margin in float32 is 16.1" in text and "+48.7+" in text


def test_what_is_missing_comes_first_and_markup_is_text() -> None:
    made = trial([cell(epoch(1), notes=["<b>odd"])], [cell(epoch(1))], script="<i>.py", against="b&c.py")
    made.missing = {("fixed", 1): "ValueError: <script>alert(1)</script>"}
    page = make_page(made)
    assert "<script>" not in page and "<i>" not in page.split("<body>")[1].split("<i aria")[0]
    text = read(page)
    assert "fixed" in text and "ValueError: <script>alert(1)</script>" in text and "against b&c.py" in text
    assert text.index("What is missing") < text.index("Findings")


@pytest.mark.parametrize("cells", [[], [cell()], [cell(epoch(1, train_accuracy=None, true_loss=None))]])
def test_a_trial_that_measured_nothing_has_a_page(cells: list[dict[str, object]]) -> None:
    read(make_page(trial(cells, cells)))
