"""SARIF 2.1.0: what the standard requires of the parts that are used, and what code scanning needs."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import jsonschema
import pytest

from finallayer.findings import Finding
from finallayer.report import Report, render

from .findings import EVERY, IN_CELL, ONE_LINE, RULES, SEVERAL_LINES, UNSAFE, WIDE, at, lines, report


def log(*findings: Finding, shown: Report | None = None) -> dict[str, Any]:
    found: dict[str, Any] = json.loads("\n".join(render("sarif", shown or report(*findings))))
    return found


def results(*findings: Finding) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = log(*findings)["runs"][0]["results"]
    return found


def _object(required: str, **properties: Any) -> dict[str, Any]:
    """An object that has what is required and nothing that the standard doesn't know."""
    return {"type": "object", "required": required.split(), "properties": properties, "additionalProperties": False}


def _list(items: Any, **more: Any) -> dict[str, Any]:
    return {"type": "array", "items": items, **more}


# The part of the standard that a report uses, section by section of
# https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
TEXT = {"type": "string"}
COUNT = {"type": "integer", "minimum": 1}
INDEX = {"type": "integer", "minimum": -1}
LEVEL = {"enum": ["none", "note", "warning", "error"]}
BAG = {"type": "object"}
MESSAGE = _object("text", text=TEXT, markdown=TEXT)  # 3.11, 3.12
ARTIFACT = _object("uri", uri={"type": "string", "pattern": r"^[A-Za-z0-9%/:._~!$&'()*+,;=@-]+$"})  # 3.4
REGION = _object("startLine", startLine=COUNT, startColumn=COUNT, endLine=COUNT, endColumn=COUNT)  # 3.30
LOGICAL = _object("", name=TEXT, kind=TEXT)  # 3.33
LOCATION = _object(  # 3.28
    "",
    id={"type": "integer", "minimum": 0},
    physicalLocation=_object("artifactLocation", artifactLocation=ARTIFACT, region=REGION),
    logicalLocations=_list(LOGICAL, uniqueItems=True),
    message=MESSAGE,
)
REPLACEMENT = _object("deletedRegion", deletedRegion=REGION, insertedContent=_object("", text=TEXT))  # 3.57
CHANGE = _object(
    "artifactLocation replacements", artifactLocation=ARTIFACT, replacements=_list(REPLACEMENT, minItems=1)
)
RESULT = _object(  # 3.27
    "message",
    ruleId=TEXT,
    ruleIndex=INDEX,
    level=LEVEL,
    message=MESSAGE,
    locations=_list(LOCATION),
    relatedLocations=_list(LOCATION, uniqueItems=True),
    partialFingerprints={"type": "object", "additionalProperties": TEXT},
    fixes=_list(_object("artifactChanges", description=MESSAGE, artifactChanges=_list(CHANGE, minItems=1))),
    properties=BAG,
)
RULE = _object(  # 3.49
    "id",
    id=TEXT,
    name=TEXT,
    shortDescription=MESSAGE,
    help=MESSAGE,
    defaultConfiguration=_object("", level=LEVEL),
    properties=BAG,
)
DRIVER = _object("name", name=TEXT, version=TEXT, rules=_list(RULE, uniqueItems=True))  # 3.19
NOTIFICATION = _object("message", message=MESSAGE, level=LEVEL, locations=_list(LOCATION, uniqueItems=True))  # 3.58
INVOCATION = _object(  # 3.20
    "executionSuccessful", executionSuccessful={"type": "boolean"}, toolExecutionNotifications=_list(NOTIFICATION)
)
RUN = _object(  # 3.14
    "tool",
    tool=_object("driver", driver=DRIVER),
    columnKind={"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
    results=_list(RESULT),
    invocations=_list(INVOCATION),
)
LOG = _object(
    "version runs",
    **{"$schema": {"type": "string", "format": "uri"}, "version": {"const": "2.1.0"}, "runs": _list(RUN)},
)


@pytest.mark.parametrize("findings", [(), EVERY, (ONE_LINE, ONE_LINE)], ids=["none", "every kind", "twice the same"])
def test_a_log_is_what_the_standard_allows(findings: tuple[Finding, ...]) -> None:
    jsonschema.validate(log(*findings), LOG)


def test_every_rule_is_described_and_results_point_at_theirs() -> None:
    run = log(*EVERY)["runs"][0]
    rules = run["tool"]["driver"]["rules"]
    assert [r["id"] for r in rules] == list(RULES)
    for result, finding in zip(run["results"], EVERY, strict=True):
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"] == finding.rule.code
    assert [r["level"] for r in run["results"]] == ["error", "warning", "note", "error", "error"]


def test_places_are_regions_of_relative_files() -> None:
    first, several, wide, _, lost = results(*EVERY)
    place = first["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "train.py"
    assert place["region"] == {"startLine": 5, "startColumn": 7, "endLine": 5, "endColumn": 15}
    assert several["locations"][0]["physicalLocation"]["region"]["endLine"] == 4
    assert wide["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "a%20b%25.py"
    assert lost["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "file:///elsewhere/gone.py"
    assert first["relatedLocations"][0]["message"]["text"] == "softmax applied here"


def test_in_a_notebook_the_place_is_a_cell_and_not_a_line_of_the_file() -> None:
    (result,) = results(IN_CELL)
    assert "region" not in result["locations"][0]["physicalLocation"]
    assert result["locations"][0]["logicalLocations"][0]["name"] == "cell 2, line 1"


def test_an_unsafe_fix_says_why() -> None:
    (fix,) = results(UNSAFE)[0]["fixes"]
    assert fix["description"]["text"] == "an unsafe fix: predict() returns it"


def test_what_has_no_fix_says_why() -> None:
    (found,) = results(replace(ONE_LINE, fix=None, unfixed="it is saved"))
    assert "fixes" not in found and found["properties"] == {"unfixed": "it is saved"}


def test_a_fix_replaces_a_region() -> None:
    (fix,) = results(ONE_LINE)[0]["fixes"]
    (change,) = fix["artifactChanges"]
    assert change["artifactLocation"]["uri"] == "model.py"
    assert change["replacements"] == [
        {
            "deletedRegion": {"startLine": 1, "startColumn": 8, "endLine": 1, "endColumn": 18},
            "insertedContent": {"text": "z"},
        }
    ]
    assert "fixes" not in results(SEVERAL_LINES)[0]


def test_a_fingerprint_stays_when_lines_are_added_above_and_tells_equal_lines_apart() -> None:
    def prints(*findings: Finding, source: str) -> list[str]:
        shown = Report(findings, lines=lambda origin: [source])
        return [r["partialFingerprints"]["finallayer/v1"] for r in log(shown=shown)["runs"][0]["results"]]

    moved = type(ONE_LINE)(ONE_LINE.rule, at("train.py", 9, 2, 10), "m", "e")
    assert prints(ONE_LINE, source="f(x)") == prints(moved, source="  f( x)")
    assert prints(ONE_LINE, source="f(x)") != prints(ONE_LINE, source="f(y)")
    both = prints(ONE_LINE, moved, source="f(x)")
    assert both[0] == prints(ONE_LINE, source="f(x)")[0] != both[1]
    assert lines(ONE_LINE.origin)


def test_of_more_findings_than_services_take_the_gravest_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("finallayer.report.sarif.MOST_RESULTS", 2)
    monkeypatch.setattr("finallayer.report.sarif.MOST_PLACES", 1)
    several = replace(ONE_LINE, related=ONE_LINE.related * 3)
    run = log(WIDE, SEVERAL_LINES, several, IN_CELL)["runs"][0]
    assert [r["ruleId"] for r in run["results"]] == [several.rule.code, IN_CELL.rule.code]
    assert len(run["results"][0]["relatedLocations"]) == 1
    (note,) = run["invocations"][0]["toolExecutionNotifications"]
    assert note["message"]["text"] == "2 findings of the least severity are left out"
