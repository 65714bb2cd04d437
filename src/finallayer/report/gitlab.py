"""Findings as a Code Quality report, which GitLab shows in a merge request.

Format: https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from finallayer.findings import Finding, Severity
from finallayer.report import Report
from finallayer.report.fingerprints import fingerprints
from finallayer.report.places import in_its_cell, plain, plain_json, shown_path, shown_uri

_SEVERITY = {Severity.ERROR: "major", Severity.WARNING: "minor", Severity.ADVICE: "info"}


def render(report: Report) -> Iterator[str]:
    """One array of objects."""
    known = fingerprints(report.findings, report.lines, shown_uri)
    found = [_issue(f, fingerprint) for f, fingerprint in zip(report.findings, known, strict=True)]
    yield from plain_json(json.dumps(found, indent=2)).split("\n")


def _issue(finding: Finding, fingerprint: str) -> dict[str, Any]:
    origin, rule = finding.origin, finding.rule
    path = plain(shown_path(origin.path))
    if origin.cell is None:
        text, lines = finding.message, {"begin": max(origin.line, 1), "end": max(origin.line, origin.end_line, 1)}
    else:  # a line within a cell is not a line of the file
        text, lines = f"{in_its_cell(origin)}: {finding.message}", {"begin": 1, "end": 1}
    return {
        "description": f"{rule.code} {text} ({rule.name})",
        "check_name": rule.code,
        "fingerprint": fingerprint,
        "severity": _SEVERITY[finding.severity],
        "location": {"path": path, "lines": lines},
    }
