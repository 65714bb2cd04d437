"""What stays the same of a finding while the file around it changes: how services, and baselines, know it again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from hashlib import blake2b

from finallayer.expr import Origin
from finallayer.findings import Finding


def fingerprints(
    findings: Sequence[Finding], lines: Callable[[Origin], Sequence[str]], named: Callable[[str], str]
) -> list[str]:
    """A fingerprint of each finding: of its rule, its file as ``named``, and its source without the spaces.

    Lines that are added above change nothing. Of several that are alike, each has its own: the first, the second.
    """
    alike: Counter[tuple[str, ...]] = Counter()
    found = []
    for finding in findings:
        identity = (finding.rule.code, named(finding.origin.path), source_of(finding, lines))
        alike[identity] += 1
        found.append(_digest((*identity, str(alike[identity]))))
    return found


def source_of(finding: Finding, lines: Callable[[Origin], Sequence[str]]) -> str:
    """The source that a finding stands in, without the spaces."""
    return "".join("".join(line.split()) for line in lines(finding.origin))


def _digest(parts: tuple[str, ...]) -> str:
    return blake2b("\0".join(parts).encode(errors="surrogateescape"), digest_size=16).hexdigest()
