"""Every example program of every rule, through the source front end: what must be reported is, and nothing else."""

from __future__ import annotations

import importlib
import pkgutil
import re
from types import ModuleType

import pytest
from _pytest.mark.structures import ParameterSet

import finallayer.rules
from finallayer.findings import Severity
from finallayer.report.explanation import explanation
from finallayer.rules import all_rules, rules_by_operation
from finallayer.rules.examples import Example, bad_examples
from finallayer.source import Project, sightings
from finallayer.source.reading import read

MODULES = [
    module
    for info in pkgutil.iter_modules(finallayer.rules.__path__)
    if hasattr(module := importlib.import_module(f"finallayer.rules.{info.name}"), "RULE")
]


def good() -> list[ParameterSet]:
    return [
        pytest.param(program, id=f"{module.RULE.code}-{number}")
        for module in MODULES
        for number, program in enumerate(module.GOOD)
    ]


def bad() -> list[ParameterSet]:
    return [
        pytest.param(example, id=f"{module.RULE.code}-{number}")
        for module in MODULES
        for number, example in enumerate(bad_examples(module.RULE))
    ]


def reported(program: str) -> set[tuple[int, str]]:
    """Line and code of every finding in a program."""
    seen = sightings(read("example.py", program.encode()), Project())
    return {
        (sighting.node.origin.line if sighting.node.origin else 0, rule.code)
        for sighting in seen
        for rule in rules_by_operation().get(sighting.node.op, ())
        for _ in rule.judge(sighting)
    }


def marked(program: str) -> set[tuple[int, str]]:
    """Line and code of every finding that the program's own comments announce."""
    return {
        (number, code)
        for number, line in enumerate(program.splitlines(), 1)
        for code in re.findall(r"FL\d{3}", line.partition("#")[2])
    }


@pytest.mark.parametrize("example", bad())
def test_a_bad_program_is_reported_where_it_says_so(example: Example) -> None:
    assert reported(example.before) == marked(example.before)


@pytest.mark.parametrize("program", good())
def test_a_look_alike_is_not_reported(program: str) -> None:
    assert marked(program) == set()
    assert reported(program) == set()


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.RULE.code)
def test_a_rule_announces_its_own_code_in_its_bad_programs_and_has_several_of_each(module: ModuleType) -> None:
    assert all(module.RULE.code in {c for _, c in marked(example.before)} for example in bad_examples(module.RULE))
    assert len(module.BAD) >= 3 and len(module.GOOD) >= 2


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.RULE.code)
def test_a_rule_is_documented_under_the_same_headings(module: ModuleType) -> None:
    headings = re.findall(r"^## (.+)$", explanation(module.RULE), re.MULTILINE)
    assert headings == ["What it does", "Why is this bad", "Example", "Use instead", "Fix safety", "References"]
    assert (module.__doc__ or "").count("](https://") >= 2


def test_each_rule_has_a_code_and_a_name_of_its_own_and_the_severity_that_the_code_says() -> None:
    rules = [module.RULE for module in MODULES]
    assert list(all_rules().values()) == sorted(rules, key=lambda r: r.code)
    assert len({r.code for r in rules}) == len({r.name for r in rules}) == len(rules)
    severities = {"1": Severity.ERROR, "2": Severity.WARNING, "3": Severity.ADVICE}
    assert all(re.fullmatch(r"FL\d{3}", r.code) and r.severity is severities[r.code[2]] for r in rules)
