"""How often each rule was met, instead of where."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence

from finallayer.findings import Finding


def as_text(findings: Sequence[Finding]) -> Iterator[str]:
    """A line a rule, most frequent first: count, code, severity, name."""
    counts = _counts(findings)
    width = max((len(str(n)) for _, n in counts), default=0)
    for code, number in counts:
        rule = next(f.rule for f in findings if f.rule.code == code)
        yield f"{number:>{width}}  {rule.code}  {rule.severity!s:7}  {rule.name}"


def as_json(findings: Sequence[Finding]) -> Iterator[str]:
    """An array of objects: rule, name, severity, count."""
    rules = {f.rule.code: f.rule for f in findings}
    counted = [
        {"rule": code, "name": rules[code].name, "severity": str(rules[code].severity), "count": number}
        for code, number in _counts(findings)
    ]
    yield from json.dumps(counted, indent=2).split("\n")


def _counts(findings: Sequence[Finding]) -> list[tuple[str, int]]:
    return sorted(Counter(f.rule.code for f in findings).items(), key=lambda item: (-item[1], item[0]))


#: The output formats that statistics come in.
FORMATS = {"text": as_text, "json": as_json}
