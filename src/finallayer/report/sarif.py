"""Findings as SARIF 2.1.0, the format of code scanning services.

Specification: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from finallayer import __version__
from finallayer.expr import Origin
from finallayer.findings import Fix, Note, Severity
from finallayer.report import Report
from finallayer.report.explanation import explanation
from finallayer.report.fingerprints import fingerprints
from finallayer.report.places import in_its_cell, plain_json, replaced, shown_uri
from finallayer.rules.base import Rule

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

#: No service takes more (https://docs.github.com/en/code-security/reference/code-scanning/sarif-support#validating-your-sarif-file).
MOST_RESULTS = 25_000
MOST_PLACES = 1_000

_LEVEL = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.ADVICE: "note"}


def render(report: Report) -> Iterator[str]:
    """One log of one run."""
    from finallayer.rules import all_rules

    report = _gravest(report)
    rules = list(all_rules().values())
    index = {rule.code: i for i, rule in enumerate(rules)}
    driver = {"name": "finallayer", "version": __version__, "rules": [_rule(r) for r in rules]}
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": list(_results(report, index)),
        "invocations": [_invocation(report)],
    }
    yield from plain_json(json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2)).split("\n")


def _gravest(report: Report) -> Report:
    """The report with as many findings as a service takes, and a note where that leaves some out."""
    if len(report.findings) <= MOST_RESULTS:
        return report
    found = report.findings
    kept = sorted(sorted(range(len(found)), key=lambda i: -found[i].severity)[:MOST_RESULTS])
    left_out = f"{len(found) - MOST_RESULTS:,} findings of the least severity are left out"
    note = Note(found[0].origin.path, None, left_out)
    return replace(report, findings=[found[i] for i in kept], notes=(*report.notes, note))


def _invocation(report: Report) -> dict[str, Any]:
    """What was not looked at, besides the findings."""
    notes = [{"level": "warning", "message": {"text": n.text}, "locations": [_noted(n)]} for n in report.notes]
    complete = not (report.unread or report.in_part)
    return {"executionSuccessful": complete, "toolExecutionNotifications": notes}


def _noted(note: Note) -> dict[str, Any]:
    region = {} if note.line is None else {"region": {"startLine": note.line}}
    return {"physicalLocation": {"artifactLocation": {"uri": shown_uri(note.path)}, **region}}


def _rule(rule: Rule) -> dict[str, Any]:
    text = explanation(rule)
    return {
        "id": rule.code,
        "name": rule.name,
        "shortDescription": {"text": rule.summary},
        "help": {"text": text, "markdown": text},
        "defaultConfiguration": {"level": _LEVEL[rule.severity]},
        "properties": {"tags": ["numerics", "classification"], "problem.severity": _problem_severity(rule)},
    }


def _problem_severity(rule: Rule) -> str:
    """What GitHub's code scanning sorts by."""
    return {"note": "recommendation"}.get(_LEVEL[rule.severity], _LEVEL[rule.severity])


def _results(report: Report, index: dict[str, int]) -> Iterator[dict[str, Any]]:
    known = fingerprints(report.findings, report.lines, shown_uri)
    for finding, fingerprint in zip(report.findings, known, strict=True):
        result: dict[str, Any] = {
            "ruleId": finding.rule.code,
            "ruleIndex": index[finding.rule.code],
            "level": _LEVEL[finding.severity],
            "message": {"text": finding.message},
            "locations": [_location(finding.origin)],
            "partialFingerprints": {"finallayer/v1": fingerprint},
        }
        if finding.related:
            result["relatedLocations"] = [
                {"id": i, **_location(r.origin), "message": {"text": r.message}}
                for i, r in enumerate(finding.related[:MOST_PLACES])
            ]
        if finding.fix and finding.fix.edits and all(e.cell is None for e in finding.fix.edits):
            result["fixes"] = [_fix(finding.fix)]
        if finding.unfixed:
            result["properties"] = {"unfixed": finding.unfixed}
        yield result


def _location(origin: Origin) -> dict[str, Any]:
    """A place; in a notebook, where a line of a cell is not a line of the file, a logical one."""
    artifact = {"artifactLocation": {"uri": shown_uri(origin.path)}}
    if origin.cell is not None:
        return {
            "physicalLocation": artifact,
            "logicalLocations": [{"name": in_its_cell(origin), "kind": "element"}],
        }
    return {"physicalLocation": artifact | ({"region": _region(origin)} if origin.line else {})}


def _region(place: Origin) -> dict[str, int]:
    return {
        "startLine": place.line,
        "startColumn": place.column + 1,
        "endLine": max(place.line, place.end_line),
        "endColumn": place.end_column + 1,
    }


def _fix(fix: Fix) -> dict[str, Any]:
    changes: dict[str, list[dict[str, Any]]] = {}
    for edit in fix.edits:
        replacement = {"deletedRegion": _region(replaced(edit)), "insertedContent": {"text": edit.text}}
        changes.setdefault(shown_uri(edit.path), []).append(replacement)
    return {
        "description": {"text": "a safe fix" if fix.safe else f"an unsafe fix: {fix.note}"},
        "artifactChanges": [{"artifactLocation": {"uri": u}, "replacements": r} for u, r in changes.items()],
    }
