"""Findings as plain lists and dicts, and back: what a worker process hands over and what the cache keeps."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any

from finallayer.expr import Origin
from finallayer.findings import Edit, Finding, Fix, Related
from finallayer.rules.base import Rule

Record = dict[str, Any]


def pack(finding: Finding) -> Record:
    """A finding as what JSON can hold."""
    fix = finding.fix
    return {
        "rule": finding.rule.code,
        "origin": list(finding.origin),
        "message": finding.message,
        "expression": finding.expression,
        "safe_margin": None if finding.safe_margin is None else {k: _packed(v) for k, v in finding.safe_margin.items()},
        "related": [[list(r.origin), r.message] for r in finding.related],
        "fix": fix and {"safe": fix.safe, "note": fix.note, "edits": [_edit_fields(e) for e in fix.edits]},
        "unfixed": finding.unfixed,
    }


def unpack(record: Record, rules: Mapping[str, Rule]) -> Finding:
    """The finding that was packed. Raises KeyError, TypeError or ValueError on anything else."""
    margin, fix = record["safe_margin"], record["fix"]
    return Finding(
        rule=rules[record["rule"]],
        origin=_origin(record["origin"]),
        message=_text(record["message"]),
        expression=_text(record["expression"]),
        safe_margin=None if margin is None else {k: math.inf if v is None else float(v) for k, v in margin.items()},
        related=tuple(Related(_origin(o), _text(m)) for o, m in record["related"]),
        fix=None if fix is None else Fix(bool(fix["safe"]), tuple(map(_edit, fix["edits"])), _text(fix["note"])),
        unfixed=_text(record["unfixed"]),
    )


def _packed(margin: float) -> float | None:
    return margin if math.isfinite(margin) else None


def _edit_fields(edit: Edit) -> list[Any]:
    return [edit.path, edit.line, edit.column, edit.end_line, edit.end_column, edit.text, edit.cell]


def _edit(fields: list[Any]) -> Edit:
    path, line, column, end_line, end_column, text, cell = fields
    _origin([path, line, column, end_line, end_column, cell])
    return Edit(path, line, column, end_line, end_column, _text(text), cell)


def _origin(fields: list[Any]) -> Origin:
    origin = Origin(*fields)
    os.fsencode(_text(origin.path))  # half of a character is in no path
    if not all(type(n) is int for n in origin[1:5]) or not all(n is None or type(n) is int for n in origin[5:]):
        raise ValueError(f"not a place: {fields!r}")
    return origin


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"not text: {value!r}")
    return value
