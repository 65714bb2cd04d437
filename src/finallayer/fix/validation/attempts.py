"""Names that a ``try`` may bind anew, where a fix changes what they are bound to: the analysis follows one way only."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from finallayer.findings import Edit
from finallayer.fix.flow.bindings import home
from finallayer.fix.text.syntax import Syntax
from finallayer.fix.validation.differences import Sink, Status
from finallayer.fix.validation.places import lines_of
from finallayer.fix.validation.programs import Programs
from finallayer.source.walking import walk


def attempted(programs: Programs, edits: Iterable[Edit]) -> Iterator[Sink]:
    """Every name that is bound in a ``try`` and elsewhere, by a statement that edits change, and read behind it."""
    for path in programs.edited:
        module = programs.modules.get(path)
        if module is None:
            continue
        lines = [lines_of(module.syntax, edit) for edit in edits if edit.path == path]
        for attempt in module.syntax.nodes:
            if isinstance(attempt, ast.Try) and any(map(_goes_on, attempt.handlers)):
                for name in _rebound(module.syntax, attempt, lines):
                    yield Sink(Status.UNKNOWN, path, attempt, f"which `{name}` there is after a `try`")


def _goes_on(handler: ast.ExceptHandler) -> bool:
    return not isinstance(handler.body[-1], (ast.Raise, ast.Return, ast.Continue, ast.Break))


def _rebound(syntax: Syntax, attempt: ast.Try, edited: list[tuple[int, int]]) -> set[str]:
    """The names that it and another statement bind, of which one is edited, and that are read behind it."""
    first, last = attempt.lineno, attempt.end_lineno or attempt.lineno
    found = set()
    for name in _stored(attempt):
        scope = home(syntax, name)
        same = [n for n in walk(scope) if isinstance(n, ast.Name) and n.id == name.id]
        stores = {syntax.statement(n) for n in same if not isinstance(n.ctx, ast.Load)}
        changed = any(a <= (s.end_lineno or 0) and s.lineno <= b for s in stores for a, b in edited)
        read = any(isinstance(n.ctx, ast.Load) and n.lineno > last for n in same)
        outside = any(not first <= s.lineno <= last for s in stores)
        if len(stores) > 1 and changed and read and (outside or _in_handlers(attempt, name.id)):
            found.add(name.id)
    return found


def _stored(node: ast.AST) -> list[ast.Name]:
    return [n for n in walk(node) if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)]


def _in_handlers(attempt: ast.Try, name: str) -> bool:
    return any(n.id == name for handler in attempt.handlers for n in _stored(handler))
