"""Fixers are found by walking their folder, and the one that changes least is tried first."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from finallayer.findings import Match, Sighting
from finallayer.fix import registry
from finallayer.fix.fixers.logs import log_softmax
from finallayer.fix.flow.context import Context
from finallayer.fix.registry import Proposal, Reach, cannot_see, fixers, mends

from .workbench import RULES, fixed

#: The fixers of a log, that which changes most last.
OF_LOGS = ["log_softmax", "log_of_logits_at_hand", "log_of_formula", "log_of_parameter", "log_of_output"]


def test_the_fixer_that_changes_least_is_tried_first() -> None:
    assert [fixer.__name__ for fixer in fixers("FL201")] == OF_LOGS


def test_a_fixer_is_registered_where_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    fixers("FL201")  # by which all are found
    monkeypatch.setattr(registry, "_FIXERS", {code: list(found) for code, found in registry._FIXERS.items()})

    @mends("FL201", "FL107", reach=Reach.CALLERS)
    def another(sighting: Sighting, match: Match, context: Context) -> Iterator[Proposal]:
        yield from ()

    assert fixers("FL107") == [another]
    assert [fixer.__name__ for fixer in fixers("FL201")] == [*OF_LOGS[:-1], "another", OF_LOGS[-1]]


def test_of_two_ways_that_a_fixer_knows_the_safe_one_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def twice(sighting: Sighting, match: Match, context: Context) -> Iterator[Proposal]:
        for proposal in log_softmax(sighting, match, context):
            assert isinstance(proposal, Proposal)
            yield proposal._replace(note="who knows")
            yield proposal

    fixers("FL201")
    monkeypatch.setattr(registry, "_FIXERS", {"FL201": [(Reach.PLACE, twice)]})
    program = "import torch\n\n\ndef loss(z, y):\n    return -(y * torch.log({}(z, dim=1))).sum()\n"
    mended = program.format("torch.softmax").replace(
        "torch.log(torch.softmax(z, dim=1))", "torch.log_softmax(z, dim=1)"
    )
    assert fixed(tmp_path, program.format("torch.softmax")) == mended


def test_every_fixer_mends_rules_that_exist() -> None:
    fixers("FL201")
    assert registry._FIXERS.keys() <= RULES.keys()


def test_a_note_makes_a_fix_unsafe() -> None:
    assert cannot_see("is read", []) == ""
    assert cannot_see("is read", ["line 1", "line 2"]) == "can't see all that is read: line 1; line 2"
    said = cannot_see("is read", ["`p` is kept (line 1)", "a call (f) of it", "`p` is kept (line 2)", "`q` (line 1)"])
    assert said == "can't see all that is read: `p` is kept (lines 1, 2); a call (f) of it; `q` (line 1)"
    said = cannot_see("is read", ["`p` (cell 0, line 1)", "`p` (cell 2, line 1)", "`p` (cell 2, line 1)"])
    assert said == "can't see all that is read: `p` (cell 0, line 1; cell 2, line 1)"
