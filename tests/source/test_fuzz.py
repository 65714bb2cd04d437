"""Mutated programs: whatever a file holds, the analysis ends, raises nothing, and points into the file."""

from __future__ import annotations

import importlib
import pkgutil
import random
import re
from collections.abc import Callable, Iterator

import pytest

from finallayer import rules
from finallayer.check.judge import analyse
from finallayer.rules.examples import bad_examples
from finallayer.source import Project

#: Mutated programs a test, and mutations in each at most: two seconds a test.
MUTANTS, MOST_MUTATIONS = 400, 4
#: A name, a number, one sign, or the white space between: joined, they are the program again.
TOKEN = re.compile(r"\w+|\s+|.", re.DOTALL)
NAMES = [f"{rules.__name__}.{module.name}" for module in pkgutil.iter_modules(rules.__path__)]
MODULES = [importlib.import_module(name) for name in NAMES]
PROGRAMS = [
    program
    for module in MODULES
    if hasattr(module, "RULE")
    for program in (*(bad.before for bad in bad_examples(module.RULE)), *module.GOOD)
]

Tokens = list[str]
Mutation = Callable[[Tokens, random.Random], Tokens]


def deleted(tokens: Tokens, draw: random.Random) -> Tokens:
    at = draw.randrange(len(tokens))
    return tokens[:at] + tokens[at + 1 :]


def doubled(tokens: Tokens, draw: random.Random) -> Tokens:
    at = draw.randrange(len(tokens))
    return [*tokens[: at + 1], *tokens[at:]]


def swapped(tokens: Tokens, draw: random.Random) -> Tokens:
    a, b = sorted(draw.sample(range(len(tokens)), 2))
    return [*tokens[:a], tokens[b], *tokens[a + 1 : b], tokens[a], *tokens[b + 1 :]]


def renamed(tokens: Tokens, draw: random.Random) -> Tokens:
    """A name replaced by another of the program's: it stays Python, but something else is called or returned."""
    at, other = draw.sample([i for i, token in enumerate(tokens) if token.isidentifier()], 2)
    return [*tokens[:at], tokens[other], *tokens[at + 1 :]]


def mutants(mutation: Mutation, seed: int) -> Iterator[str]:
    draw = random.Random(seed)
    for _ in range(MUTANTS):
        tokens = TOKEN.findall(draw.choice(PROGRAMS))
        for _ in range(draw.randint(1, MOST_MUTATIONS)):
            tokens = mutation(tokens, draw)
        yield "".join(tokens)


def findings(program: str) -> int:
    """How many findings a program has, each of which has to stand inside it."""
    analysis = analyse("program.py", Project(), program.encode())
    assert not any("could not be analysed" in note for note in analysis.notes), f"{analysis.notes}\n{program}"
    lines = program.split("\n")
    for finding in analysis.findings:
        for place in (finding.origin, *(related.origin for related in finding.related)):
            assert place.path == "program.py"
            assert 1 <= place.line <= place.end_line <= len(lines)
            assert 0 <= place.column <= len(lines[place.line - 1])
            assert 0 < place.end_column <= len(lines[place.end_line - 1])
    return len(analysis.findings)


@pytest.mark.parametrize("mutation", [deleted, doubled, swapped, renamed])
def test_no_mutant_is_too_much(mutation: Mutation) -> None:
    found = sum(findings(program) for program in mutants(mutation, seed=0))
    assert found > 0, "the mutants aren't even close to programs"
