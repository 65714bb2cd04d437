"""Fixes of one file stand alone: one that doesn't hold is left out, and the others are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from finallayer.expr import Origin
from finallayer.findings import Edit, Finding, Fix
from finallayer.fix.flow.foreseen import Foreseen
from finallayer.fix.repair import repair
from finallayer.rules import all_rules

RULE = next(iter(all_rules().values()))
WRONG = "# wrong"


def fixes(path: str, text: str, into: Mapping[str, str]) -> list[Finding]:
    """A finding, with its fix, for every comment of a text that is to become another."""
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        for old, new in into.items():
            if old in line:
                at = line.index(old)
                fix = Fix(True, (Edit(path, number, at, number, at + len(old), new),))
                found.append(Finding(RULE, Origin(path, number, at, number, at + len(old)), "", "", fix=fix))
    return found


@pytest.mark.parametrize("wrong", [0, 1, 2])
def test_a_fix_that_finds_more_blocks_no_other(tmp_path: Path, wrong: int) -> None:
    file = tmp_path / "program.py"
    file.write_text("a = 1  # one\nb = 2  # two\nc = 3  # three\n")
    into = {"# one": "# 1", "# two": "# 2", "# three": "# 3"}
    into[list(into)[wrong]] = WRONG

    def check(paths: Sequence[str], now: Mapping[str, bytes], _foreseen: Foreseen) -> tuple[Finding, ...]:
        (path,) = paths
        text = now[path].decode()
        more = [f for f in fixes(path, text, {WRONG: ""}) for _ in range(2)]  # what was wrong is found twice over
        return (*fixes(path, text, into), *more)

    result = repair([str(file)], check)
    ((_, new),) = result.changed
    kept = [new for new in into.values() if new != WRONG]
    assert all(text in new.decode() for text in kept)
    assert WRONG not in new.decode()
    assert result.fixed == 2 and len(result.remaining) == 1


def test_fixes_that_only_hold_one_by_one_are_not_made_together(tmp_path: Path) -> None:
    file = tmp_path / "program.py"
    file.write_text("a = 1  # one\nb = 2  # two\n")
    into = {"# one": "# 1", "# two": "# 2"}

    def check(paths: Sequence[str], now: Mapping[str, bytes], _foreseen: Foreseen) -> tuple[Finding, ...]:
        (path,) = paths
        text = now[path].decode()
        both = "# 1" in text and "# 2" in text
        return (*fixes(path, text, into), *fixes(path, text, {"# 1": "#", "# 2": "#"} if both else {}))

    ((_, new),) = repair([str(file)], check).changed
    assert new.decode() == "a = 1  # 1\nb = 2  # two\n"
