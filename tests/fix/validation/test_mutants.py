"""Fixers that are broken on purpose: whatever one writes that isn't right, the edited program shows it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from finallayer.check import run
from finallayer.check.config import Config
from finallayer.findings import Edit, Sighting
from finallayer.fix import proposals
from finallayer.fix.flow.context import Context
from finallayer.fix.validation.validate import Verdict, validate
from finallayer.rules.base import Rule
from finallayer.rules.examples import bad_examples

from ..workbench import RULES
from .mutants import mutants

MARKS = re.compile(r"  # FL\d{3}(?: FL\d{3})*$", re.MULTILINE)
#: The rule, the example and the fault of what isn't wrong all the same.
RIGHT_ALL_THE_SAME = {
    ("FL101", 2, "without '' in line 10"),  # a line stays that nobody reads
    ("FL202", 3, "without '' in line 7"),
    ("FL204", 4, "without '' in line 5"),
    ("FL204", 4, "without '' in line 6"),
    ("FL204", 1, "the log of what is meant"),  # only the greatest is asked for
    ("FL103", 3, "the wrong sign"),  # of an axis
    ("FL205", 3, "without 'tf.log_sigmoid(-logits)' in line 8"),  # another finding's, which stays
    ("FL205", 3, "without 'tf.log_sigmoid(logits)' in line 8"),
    *(("FL201", 5, f"without 'log_p' in line {line}") for line in range(7, 11)),
}
Proposed = tuple[str, Sighting, tuple[Edit, ...], Context]


def proposed(program: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[Proposed]:
    """What the fixers propose for a program, of which nothing is said against."""
    found: list[Proposed] = []

    def noted(code: str, sighting: Sighting, edits: tuple[Edit, ...], context: Context) -> Verdict:
        verdict = validate(code, sighting, edits, context)
        if verdict == Verdict():
            found.append((code, sighting, edits, context))
        return verdict

    monkeypatch.setattr(proposals, "validate", noted)
    file = folder / "program.py"
    file.write_text(program)
    run.check([file], Config(folder, frozenset(RULES)), RULES, use_cache=False, jobs=1, fixes=True)
    return found


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_a_faulty_fixer_loses_its_fix(tmp_path: Path, rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    passed = []
    for number, example in enumerate(bad_examples(rule)):
        if example.after is None:
            continue
        for code, sighting, edits, context in proposed(MARKS.sub("", example.before), tmp_path, monkeypatch):
            for mutant in mutants(edits):
                if (rule.code, number, mutant.fault) not in RIGHT_ALL_THE_SAME:
                    verdict = validate(code, sighting, mutant.edits, context)
                    if not verdict.refused:
                        passed.append((number, mutant.fault, [e.text for e in mutant.edits], verdict.note))
    assert passed == []


def test_faults_are_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []
    for rule in RULES.values():
        for example in bad_examples(rule):
            if example.after is not None:
                fixes = proposed(MARKS.sub("", example.before), tmp_path, monkeypatch)
                tried += [m.fault for *_, edits, _ in fixes for m in mutants(edits)]
    assert len(tried) > 300 and len(set(tried)) > 80
