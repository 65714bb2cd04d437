"""Findings as one JSON array: the format that other programs rely on."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

from finallayer.findings import Finding, Fix
from finallayer.report import Report
from finallayer.report.places import fields, plain_json, replaced


def render(report: Report) -> Iterator[str]:
    """The array, an object a line. A safe margin of ``null`` is one without a limit.

    ``unfixed``: why there is no fix, or why it was not made.
    """
    objects = [plain_json(json.dumps(as_object(f), ensure_ascii=False, allow_nan=False)) for f in report.findings]
    yield "[" if objects else "[]"
    for i, text in enumerate(objects, start=1):
        yield f"  {text}{',' if i < len(objects) else ''}"
    if objects:
        yield "]"


def as_object(finding: Finding) -> dict[str, Any]:
    """A finding as the array has it."""
    margin = finding.safe_margin
    return {
        **fields(finding.origin),
        "rule": finding.rule.code,
        "name": finding.rule.name,
        "severity": str(finding.severity),
        "message": finding.message,
        "expression": finding.expression,
        "safe_margin": margin and {dtype: m if math.isfinite(m) else None for dtype, m in margin.items()},
        "fix": finding.fix and _fix(finding.fix),
        "unfixed": finding.unfixed or None,
        "related": [{**fields(r.origin), "message": r.message} for r in finding.related],
    }


def _fix(fix: Fix) -> dict[str, Any]:
    return {"safe": fix.safe, "note": fix.note, "edits": [{**fields(replaced(e)), "text": e.text} for e in fix.edits]}
