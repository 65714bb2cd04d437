"""The text for reading: the place, the message, and marks exactly under what is meant."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from finallayer.findings import Finding
from finallayer.report import Report, render
from finallayer.report.text import WIDEST

from .findings import EVERY, IN_CELL, LEFT, LOST, ONE_LINE, SEVERAL_LINES, UNSAFE, WIDE, at, report


def text(shown: Report) -> str:
    return "\n".join(render("text", shown))


def test_a_finding_with_its_source_and_the_softmax_it_came_from() -> None:
    assert (
        text(report(ONE_LINE))
        == f"""\
train.py:5:7: {ONE_LINE.rule.code} [*] handed softmax outputs ({ONE_LINE.rule.name})
  |
5 | err = f(gé(x))  # 損失
  |       ^^^^^^^^
  model.py:1:8: softmax applied here
  |
1 | return softmax(z)
  |        ----------

Found 1 error in 1 of 7 files.
[*] 1 fixable with `finallayer fix`."""
    )


def test_of_several_lines_the_first_is_shown_and_tabs_stay_tabs() -> None:
    shown = text(report(SEVERAL_LINES))
    assert "2 | \treturn loss(\n  | \t       ^^^^^ ...\n" in shown


def test_marks_stand_under_wide_characters() -> None:
    # Each of 損 and 失 takes two columns of a terminal.
    assert "1 | 損 = f(損失, x)\n  |      ^^^^^^^^^^\n" in text(report(WIDE))


def test_in_a_notebook_the_cell_is_named() -> None:
    shown = text(report(IN_CELL))
    assert shown.startswith("book.ipynb:cell 2:1:8: ")
    assert "  book.ipynb:cell 2:1:10: here" in shown


def test_without_the_source_the_message_stands_alone() -> None:
    assert text(report(LOST)).startswith(f"/elsewhere/gone.py:7:1: {LOST.rule.code} no source to show")


@pytest.mark.parametrize("column", [0, 100, 990])
def test_of_a_long_line_only_the_part_around_the_place_is_shown(column: int) -> None:
    source = f"{'a' * column}NEEDLE{'b' * (1000 - column)}"
    finding = type(ONE_LINE)(ONE_LINE.rule, at("long.py", 1, column, column + 6), "m", "e")
    excerpt = text(Report((finding,), lines=lambda origin: [source])).split("\n")
    _, shown, marks = excerpt[1:4]
    assert len(shown) <= WIDEST + len("1 | ......")
    assert shown[marks.index("^") : marks.rindex("^") + 1] == "NEEDLE"


@pytest.mark.parametrize(
    ("findings", "summary"),
    [
        ((), "No findings in 7 files."),
        ((ONE_LINE,), "Found 1 error in 1 of 7 files."),
        ((ONE_LINE, ONE_LINE), "Found 2 errors in 1 of 7 files."),
        (EVERY, "Found 3 errors, 1 warning, 1 advice in 4 of 7 files."),
    ],
)
def test_a_line_sums_up(findings: tuple[Finding, ...], summary: str) -> None:
    assert summary in text(report(*findings)).split("\n")[-2:]


def test_what_can_be_fixed_is_marked_and_counted() -> None:
    assert f"{ONE_LINE.rule.code} [*] handed" in text(report(ONE_LINE))
    assert text(report(ONE_LINE, ONE_LINE)).endswith("\n[*] 2 fixable with `finallayer fix`.")
    assert text(report(SEVERAL_LINES)).endswith("of 7 files.")
    both = text(report(ONE_LINE, UNSAFE, SEVERAL_LINES))
    assert both.endswith("\n[*] 1 fixable with `finallayer fix`; [?] 1 more with `--unsafe-fixes`.")


def test_of_an_unsafe_fix_the_note_is_shown() -> None:
    shown = text(report(UNSAFE))
    assert f"{UNSAFE.rule.code} [?] handed" in shown
    assert "\n  unsafe fix: predict() returns it\n" in shown
    assert shown.endswith("\n[?] 1 fixable with `finallayer fix --unsafe-fixes`.")


def test_why_there_is_no_fix_is_shown_where_it_is_asked_for() -> None:
    assert "nobody knows how" not in text(report(LEFT))
    assert "\n  no fix: nobody knows how\n" in text(replace(report(LEFT), reasons=True))


def test_nothing_is_said_to_be_fine_that_could_not_be_read() -> None:
    assert text(replace(report(), unread=1)) == "Nothing found in 6 files; 1 file could not be read."
    assert text(replace(report(), unread=7)) == ""
    assert "of 7 files; 2 files could not be read." in text(replace(report(ONE_LINE), unread=2))


def test_colour_adds_nothing_but_colour() -> None:
    coloured = text(report(*EVERY, colour=True))
    assert coloured != text(report(*EVERY))
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == text(report(*EVERY))
