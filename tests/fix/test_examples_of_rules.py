"""What becomes of every rule's bad examples: its file says it, and ``finallayer explain`` promises nothing else."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path

import pytest

from finallayer.report.explanation import FIXES, NEXT, explanation
from finallayer.rules.base import Rule
from finallayer.rules.examples import Example, bad_examples, read

from .workbench import RULES, repaired

EXAMPLES = [
    pytest.param(rule, example, id=f"{rule.code}-{number}")
    for rule in RULES.values()
    for number, example in enumerate(bad_examples(rule))
]
#: The marks of what is reported: comments that a user's program doesn't have.
MARKS = re.compile(r"  # FL\d{3}(?: FL\d{3})*$", re.MULTILINE)


@pytest.mark.parametrize(("rule", "example"), EXAMPLES)
def test_a_bad_example_becomes_what_its_rule_says(tmp_path: Path, rule: Rule, example: Example) -> None:
    before = MARKS.sub("", example.before)
    file = tmp_path / "program.py"
    file.write_text(before)
    safe, every = repaired(file), repaired(file, unsafe=True)
    after = [new.decode() for _, new in every.changed]
    assert after == ([MARKS.sub("", example.after)] if example.after is not None else [])
    assert bool(safe.changed) == (bool(after) and not example.unsafe)
    assert {f.fix.note for f in safe.remaining if f.fix is not None} == ({example.unsafe} - {""})
    left = any(f.rule is rule for f in every.remaining)
    assert bool(example.unfixed) == (left or not after)


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_an_explanation_promises_only_fixes_that_exist(rule: Rule) -> None:
    examples = bad_examples(rule)
    prose = inspect.getdoc(sys.modules[rule.judge.__module__]) or ""
    promise = prose.partition(FIXES)[2].partition(NEXT)[0]
    fixed = [e for e in examples if e.after is not None]
    assert bool(promise) == bool(fixed)
    assert not promise or promise.strip().startswith("Safe")
    assert not promise or any(not e.unsafe for e in fixed)
    changed = "\n".join(line for e in fixed for line in _changed_lines(e))
    assert [code for code in re.findall(r"`([^`]+)`", promise) if code not in changed] == []


def _changed_lines(example: Example) -> set[str]:
    """The lines that a fix takes out or puts in."""
    return set(example.before.splitlines()) ^ set((example.after or "").splitlines())


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_an_explanation_says_what_stays_unfixed(rule: Rule) -> None:
    text = explanation(rule)
    examples = bad_examples(rule)
    assert all(example.unfixed in text and example.unsafe in text for example in examples)
    assert ("There is no fix: " in text) == all(example.after is None for example in examples)


def test_an_example_is_read_as_a_diff() -> None:
    text = "\n! one stays\n? a version\na = 1\n\n-b = f(a)  # FL101\n+b = a\nc = 2\n"
    before, after = "\na = 1\n\nb = f(a)  # FL101\nc = 2\n", "\na = 1\n\nb = a\nc = 2\n"
    assert read(text) == Example(before, after, "one stays", "a version")
    assert read("a = 1\n") == Example("a = 1\n")
