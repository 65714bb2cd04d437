"""An entry of the cache that somebody made up is read, or counts as absent: no output fails of it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from finallayer.check.record import pack, unpack
from finallayer.report import FORMATS, Report, render
from finallayer.rules import all_rules

from .attacks import UNSTABLE, command

ODD: list[Any] = [None, -1, 10**30, "x\n::error::forged\x1b", "\ud800", [], {}]


def parts(of: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to each part of what JSON can hold."""
    for key in of if isinstance(of, dict) else range(len(of)) if isinstance(of, list) else ():
        yield (*way, key)
        yield from parts(of[key], (*way, key))


@pytest.fixture
def record(tmp_path: Path) -> Any:
    """A finding, with its fix, as the cache keeps it."""
    (tmp_path / "a.py").write_text(UNSTABLE)
    assert command(tmp_path, "check", ".").code == 1
    (entry,) = (tmp_path / ".finallayer_cache").glob("*/*.json")
    (record,) = json.loads(entry.read_text())["findings"]
    assert record["fix"]["edits"] and pack(unpack(record, all_rules())) == record
    return record


def test_whatever_stands_in_place_of_a_part_is_refused_or_shown(record: Any) -> None:
    for *way, last in parts(record):
        for odd in ODD:
            changed = json.loads(json.dumps(record))
            holder = changed
            for key in way:
                holder = holder[key]
            holder[last] = odd
            try:
                finding = unpack(changed, all_rules())
            except (KeyError, TypeError, ValueError, AttributeError):  # what the cache takes for absence
                continue
            for name in FORMATS if odd in ("\ud800", None) else ("text", "json", "github"):  # SARIF takes its time
                shown = "\n".join(render(name, Report((finding,))))
                assert "\x1b" not in shown and "\n::error::forged" not in shown
            for edit in finding.fix.edits if finding.fix else ():
                os.path.realpath(edit.path.replace("\0", ""))
