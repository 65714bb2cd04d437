"""The part of a program that a fix changes and that nothing outside notices: what stands there amounts to the same.

Where each of several fixes keeps to such a region of its own, what they come to together says what each comes to alone:
none changes what another reads.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import combinations
from textwrap import dedent
from typing import NamedTuple

from finallayer.expr import Origin
from finallayer.findings import Edit
from finallayer.fix.validation.differences import Differences, Status
from finallayer.fix.validation.programs import Programs
from finallayer.source.walking import walk

_WORD = re.compile(r"[^\W\d]\w*")

Edits = tuple[Edit, ...]


class Region(NamedTuple):
    """An expression of the old program, or a place between statements, by where it begins and ends."""

    path: str
    start: tuple[int, int]
    end: tuple[int, int]

    def meets(self, other: Region) -> bool:
        """Whether two have anything in common."""
        return self.path == other.path and self.start < other.end and other.start < self.end


def region(edit: Edit, programs: Programs, differences: Differences) -> Region | None:
    """The smallest expression around an edit that stands for the same in both programs, if there is one.

    What is only added, and gives names that the file doesn't use, is a region by itself.
    """
    module = programs.modules.get(edit.path)
    if module is None:
        return None
    at = Origin(edit.path, edit.line, edit.column, edit.end_line, edit.end_column, edit.cell)
    at = module.syntax.file.in_module(at) if edit.cell is not None else at
    span = Region(edit.path, (at.line, at.column), (at.end_line, at.end_column))
    if span.start == span.end and (names := names_given(edit.text)) and names.isdisjoint(module.syntax.names):
        return span
    for node in reversed(module.syntax.nodes):  # the inner ones come last
        if isinstance(node, ast.expr) and node.lineno <= at.line and at.end_line <= (node.end_lineno or 0):
            place = module.syntax.file.origin(node)
            found = Region(edit.path, (place.line, place.column), (place.end_line, place.end_column))
            around = found.start <= span.start and span.end <= found.end
            if around and differences.status(edit.path, node) is Status.SAME:
                return None if any(isinstance(n, ast.NamedExpr) for n in walk(node)) else found
    return None


def are_independent(fixes: Iterable[Edits], regions: dict[Edit, Region]) -> bool:
    """Whether no two fixes share a region, but for an edit that both make, or a name that only one of them gives."""
    known = [(fix, _words(fix), _given(fix)) for fix in fixes]
    for (one, words, gives), (other, other_words, other_gives) in combinations(known, 2):
        if words & (other_gives - gives) or other_words & (gives - other_gives):
            return False
        if any(regions[a].meets(regions[b]) for a in one for b in other if a != b):
            return False
    return True


@cache
def names_given(text: str) -> frozenset[str]:
    """The names that statements give, where that is all that they do; empty where they do anything else."""
    try:
        statements = ast.parse(dedent(text)).body
    except SyntaxError:
        return frozenset()
    names = [list(_bound(s)) for s in statements]
    return frozenset(n for several in names for n in several) if all(names) else frozenset()


def _bound(statement: ast.stmt) -> Iterator[str]:
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)]):
            yield name
        case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
            yield from ((alias.asname or alias.name).partition(".")[0] for alias in aliases)


def _given(fix: Edits) -> set[str]:
    return {name for edit in fix for name in names_given(edit.text)}


def _words(fix: Edits) -> set[str]:
    return {word for edit in fix for word in _WORD.findall(edit.text)}
