"""The JSON contract that other programs rely on."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from finallayer.findings import Finding
from finallayer.report import render, tally

from .findings import EVERY, IN_CELL, ONE_LINE, SEVERAL_LINES, UNSAFE, report


def objects(*findings: Finding) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads("\n".join(render("json", report(*findings))))
    return found


def test_nothing_is_an_empty_array() -> None:
    assert objects() == []


def test_every_field_of_the_contract() -> None:
    rule = ONE_LINE.rule
    (found,) = objects(ONE_LINE)
    assert found == {
        "path": "train.py",
        "line": 5,
        "column": 7,
        "end_line": 5,
        "end_column": 15,
        "cell": None,
        "rule": rule.code,
        "name": rule.name,
        "severity": "error",
        "message": "handed softmax outputs",
        "expression": "xent_logits(softmax(z), y)",
        "safe_margin": None,
        "fix": {
            "safe": True,
            "note": "the softmax goes",
            "edits": [
                {"path": "model.py", "line": 1, "column": 8, "end_line": 1, "end_column": 18, "cell": None, "text": "z"}
            ],
        },
        "unfixed": None,
        "related": [
            {
                "path": "model.py",
                "line": 1,
                "column": 8,
                "end_line": 1,
                "end_column": 18,
                "cell": None,
                "message": "softmax applied here",
            }
        ],
    }


def test_an_unsafe_fix_carries_its_note() -> None:
    (found,) = objects(UNSAFE)
    assert (found["fix"]["safe"], found["fix"]["note"]) == (False, "predict() returns it")


def test_what_has_no_fix_says_why() -> None:
    (found,) = objects(replace(ONE_LINE, fix=None, unfixed="it is saved"))
    assert (found["fix"], found["unfixed"]) == (None, "it is saved")


def test_a_margin_without_limit_is_null() -> None:
    assert objects(SEVERAL_LINES)[0]["safe_margin"] == {"float32": 88.7, "float64": None}


def test_in_a_notebook_lines_are_within_the_cell() -> None:
    (found,) = objects(IN_CELL)
    assert (found["cell"], found["line"], found["related"][0]["cell"]) == (3, 1, 3)


def test_one_object_each_in_order() -> None:
    assert [f["message"] for f in objects(*EVERY)] == [f.message for f in EVERY]


def test_statistics_count_each_rule_most_frequent_first() -> None:
    counted = json.loads("\n".join(tally.as_json([SEVERAL_LINES, *EVERY])))
    assert [(c["rule"], c["count"]) for c in counted][:2] == [(ONE_LINE.rule.code, 3), (SEVERAL_LINES.rule.code, 2)]
    lines = list(tally.as_text([SEVERAL_LINES, *EVERY]))
    assert lines[0] == f"3  {ONE_LINE.rule.code}  error    {ONE_LINE.rule.name}"
    assert len(lines) == len(counted) == 3
    assert list(tally.as_text([])) == []
