"""A Code Quality report as GitLab reads it."""

from __future__ import annotations

import json
from typing import Any

from finallayer.findings import Finding
from finallayer.report import render

from .findings import EVERY, IN_CELL, ONE_LINE, SEVERAL_LINES, WIDE, report


def issues(*findings: Finding) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads("\n".join(render("gitlab", report(*findings))))
    return found


def test_an_issue_has_what_gitlab_requires() -> None:
    (issue,) = issues(ONE_LINE)
    assert issue["check_name"] == ONE_LINE.rule.code
    assert issue["description"] == f"{ONE_LINE.rule.code} handed softmax outputs ({ONE_LINE.rule.name})"
    assert issue["location"] == {"path": "train.py", "lines": {"begin": 5, "end": 5}}


def test_severities_are_gitlabs() -> None:
    assert [i["severity"] for i in issues(ONE_LINE, SEVERAL_LINES, WIDE)] == ["major", "minor", "info"]


def test_several_lines_are_from_the_first_to_the_last() -> None:
    assert issues(SEVERAL_LINES)[0]["location"]["lines"] == {"begin": 2, "end": 4}


def test_in_a_notebook_the_place_is_in_the_description() -> None:
    (issue,) = issues(IN_CELL)
    assert "cell 2, line 1: twice" in issue["description"]
    assert issue["location"]["lines"]["begin"] == 1


def test_no_two_issues_are_the_same_to_gitlab() -> None:
    found = [i["fingerprint"] for i in issues(*EVERY, ONE_LINE, ONE_LINE)]
    assert len(set(found)) == len(found)


def test_nothing_found_is_an_empty_array() -> None:
    assert issues() == []
