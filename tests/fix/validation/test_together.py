"""Fixes of one file that are looked at together: what that says of each, and when it says nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from finallayer.findings import Edit
from finallayer.fix.flow.context import Context
from finallayer.fix.validation import validate as validation
from finallayer.fix.validation.regions import are_independent, names_given
from finallayer.fix.validation.validate import Verdict, foresee
from finallayer.source.reading import read
from tests.fix.workbench import fixed

LOGS = """
import torch
import torch.nn.functional as F

def first(z, y):
    return -(y * torch.log(F.softmax(z, dim=1))).sum()

def second(h, y):
    p = F.softmax(h, dim=1)
    return -(y * torch.log(p)).sum(), p
"""


def at(line: int, start: int, end: int, text: str) -> tuple[Edit, ...]:
    return (Edit("program.py", line, start, line, end, text),)


def looked_at(folder: Path, program: str, *fixes: tuple[Edit, ...]) -> list[Verdict | None]:
    """What is kept of each fix after they were looked at together."""
    path = folder / "program.py"
    path.write_text(program)
    context = Context()
    context.adopt(read(str(path)))
    here = [tuple(replace(e, path=str(path)) for e in fix) for fix in fixes]
    foresee(here, context)
    known = [context.kept((fix, (context.program(),))) for fix in here]
    return [getattr(seen, "verdict", None) for seen in known]


def span(program: str, line: int, what: str, text: str) -> tuple[Edit, ...]:
    start = program.split("\n")[line - 1].index(what)
    return at(line, start, start + len(what), text)


FIRST = span(LOGS, 6, "torch.log(F.softmax(z, dim=1))", "F.log_softmax(z, dim=1)")
SECOND = span(LOGS, 10, "torch.log(p)", "F.log_softmax(h, dim=1)")


def test_each_of_two_logs_is_right(tmp_path: Path) -> None:
    assert looked_at(tmp_path, LOGS, FIRST, SECOND) == [Verdict(), Verdict()]


def test_one_that_is_wrong_says_nothing_of_the_other(tmp_path: Path) -> None:
    wrong = span(LOGS, 10, "torch.log(p)", "F.log_softmax(h, dim=0)")
    assert looked_at(tmp_path, LOGS, FIRST, wrong) == [None, None]


def test_two_that_are_only_right_together_are_not_kept(tmp_path: Path) -> None:
    program = LOGS.replace("sum(), p", "sum()")
    half = span(program, 9, "F.softmax(h, dim=1)", "h")
    other = span(program, 10, "torch.log(p)", "F.log_softmax(p, dim=1)")
    assert looked_at(tmp_path, program, half, other) == [None, None]


def test_one_that_reads_what_only_the_other_names_is_not_kept(tmp_path: Path) -> None:
    named = (*at(9, 4, 4, "scores = h\n    "), *span(LOGS, 9, "F.softmax(h", "F.softmax(scores"))
    reads = span(LOGS, 10, "torch.log(p)", "F.log_softmax(scores, dim=1)")
    assert looked_at(tmp_path, LOGS, named, reads) == [None, None]
    assert not are_independent([named, reads], {})


def test_what_a_text_only_names() -> None:
    assert names_given("logits = net(x)\n    ") == {"logits"}
    assert names_given("import torch.nn as nn\n") == {"nn"}
    assert not names_given("logits = net(x)\nprint(logits)\n")
    assert not names_given("self.logits = net(x)\n")
    assert not names_given("F.")


def test_what_was_seen_together_is_made_without_another_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    see = validation._see

    def noted(context: Context, edits: tuple[Edit, ...]) -> validation._Seen:
        seen.append(len(edits))
        return see(context, edits)

    monkeypatch.setattr(validation, "_see", noted)
    assert fixed(tmp_path, LOGS).count("F.log_softmax") == 2
    assert len(seen) == 1
