"""Workflow commands as GitHub reads them."""

from __future__ import annotations

from finallayer.findings import Finding
from finallayer.report import render

from .findings import ADVICE, ERROR, IN_CELL, ONE_LINE, SEVERAL_LINES, WARNING, WIDE, report


def command(finding: Finding) -> str:
    (line,) = render("github", report(finding))
    return line


def test_a_place_on_one_line_has_columns() -> None:
    title = f"{ERROR.code} {ERROR.name}"
    assert command(ONE_LINE) == (
        f"::error file=train.py,line=5,endLine=5,col=7,endColumn=15,title={title}::handed softmax outputs"
    )


def test_a_place_on_several_lines_has_none() -> None:
    title = f"{WARNING.code} {WARNING.name}"
    assert command(SEVERAL_LINES) == f"::warning file=train.py,line=2,endLine=4,title={title}::log of a softmax"


def test_what_would_end_a_property_or_the_line_is_escaped() -> None:
    line = command(WIDE)
    assert line.startswith("::notice file=a b%25.py,line=1,")
    assert line.endswith(f"title={ADVICE.code} {ADVICE.name}::works by luck: 100 %25,%0Ahere")


def test_in_a_notebook_the_place_is_in_the_message() -> None:
    title = f"{ERROR.code} {ERROR.name}"
    assert command(IN_CELL) == f"::error file=book.ipynb,title={title}::cell 2, line 1: twice"
