"""JUnit XML as CI services read it."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

from finallayer.findings import Finding
from finallayer.report import render

from .findings import EVERY, IN_CELL, ONE_LINE, SEVERAL_LINES, report


def document(*findings: Finding) -> ElementTree.Element:
    return ElementTree.fromstring("\n".join(render("junit", report(*findings))).encode())


def test_a_file_is_a_suite_and_a_finding_a_failed_test() -> None:
    root = document(ONE_LINE, SEVERAL_LINES)
    (suite,) = root
    assert suite.attrib == {"name": "train.py", "tests": "2", "failures": "2", "errors": "0"}
    assert [case.get("name") for case in suite] == [
        f"{ONE_LINE.rule.code} at train.py:5:7",
        f"{SEVERAL_LINES.rule.code} at train.py:2:9",
    ]
    assert [case.find("failure") is not None for case in suite] == [True, True]


def test_a_failure_says_what_and_where_and_names_the_places_that_belong_to_it() -> None:
    failure = document(ONE_LINE).find(".//failure")
    assert failure is not None
    assert failure.get("type") == "error"
    assert failure.get("message") == f"{ONE_LINE.rule.code} handed softmax outputs"
    assert (failure.text or "").splitlines()[1:] == ["model.py:1:8: softmax applied here"]


def test_the_counts_are_those_of_all_suites() -> None:
    root = document(*EVERY)
    assert root.get("tests") == root.get("failures") == str(len(EVERY)) == str(len(root.findall(".//testcase")))


def test_a_notebooks_place_is_in_its_cell() -> None:
    case = document(IN_CELL).find(".//testcase")
    assert case is not None and case.get("name") == f"{IN_CELL.rule.code} at book.ipynb:cell 2:1:8"


def test_nothing_found_is_a_test_that_passed() -> None:
    (case,) = document().findall(".//testcase")
    assert len(case) == 0


def test_what_xml_can_not_hold_is_written_otherwise() -> None:
    odd = replace(ONE_LINE, message="a \x00 b \x1b[31m <c> & \ufffe \ud800 ]]>")
    failure = document(odd).find(".//failure")
    assert failure is not None and "<c> &" in (failure.get("message") or "")
