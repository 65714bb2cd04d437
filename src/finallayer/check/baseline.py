"""What was found before, so that only what is new is reported: a file of findings that is kept beside the code.

::

    {"version": 1, "findings": [
      {"path": "train.py", "rule": "FL101", "source": "loss = criterion(out, y)", "fingerprint": "3f..."}
    ]}

``path`` and ``source`` are for people; a finding is known by its fingerprint (:mod:`finallayer.report.fingerprints`).
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

from finallayer.check.check_error import CheckError
from finallayer.check.run import Outcome
from finallayer.disk import contents
from finallayer.report.fingerprints import fingerprints
from finallayer.report.places import plain

VERSION = 1
#: As much of a finding's first line is kept for people.
_MOST_SOURCE = 120


def read(file: Path) -> frozenset[str]:
    """The fingerprints in a file. Raises :class:`CheckError` where there is none, or it isn't a baseline."""
    try:
        kept = json.loads(contents(file))
    except OSError as error:
        raise CheckError(f"--baseline: {file} can't be read: {error.strerror or error}") from None
    except (ValueError, RecursionError):
        raise CheckError(f"--baseline: {file} isn't JSON") from None
    if not isinstance(kept, dict) or kept.get("version") != VERSION or not isinstance(kept.get("findings"), list):
        raise CheckError(f"--baseline: {file} isn't a baseline of version {VERSION}; write it with --write-baseline")
    entries = [f if isinstance(f, dict) else {} for f in kept["findings"]]
    known = [f["fingerprint"] for f in entries if isinstance(f.get("fingerprint"), str)]
    if len(known) < len(entries):
        raise CheckError(f"--baseline: {file} has a finding without a fingerprint; write it with --write-baseline")
    return frozenset(known)


def write(file: Path, outcome: Outcome) -> None:
    """Write the findings of a check, so that a later one reports none of them. Raises OSError."""
    entries = [
        {
            "path": plain(_path_from(file, f.origin.path)),
            "rule": f.rule.code,
            "source": plain(next(iter(outcome.sources.lines(f.origin)), "").strip()[:_MOST_SOURCE]),
            "fingerprint": fingerprint,
        }
        for f, fingerprint in zip(outcome.findings, _known_from(file, outcome), strict=True)
    ]
    text = json.dumps({"version": VERSION, "findings": entries}, indent=1) + "\n"
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with beside.open("x", encoding="utf-8") as new:  # a link of this name would lead elsewhere
            new.write(text)
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)


def without(file: Path, known: frozenset[str], outcome: Outcome) -> tuple[Outcome, int, int]:
    """The outcome without what is known; how many findings that leaves out, and how many known ones are no more."""
    found = _known_from(file, outcome)
    new = tuple(f for f, fingerprint in zip(outcome.findings, found, strict=True) if fingerprint not in known)
    return replace(outcome, findings=new), len(outcome.findings) - len(new), len(known.difference(found))


def _known_from(file: Path, outcome: Outcome) -> list[str]:
    """Fingerprints with paths from the baseline's folder on: wherever the check is started, they are the same."""
    return fingerprints(outcome.findings, outcome.sources.lines, lambda path: _path_from(file, path))


def _path_from(file: Path, path: str) -> str:
    return os.path.relpath(path, file.absolute().parent).replace(os.sep, "/")
