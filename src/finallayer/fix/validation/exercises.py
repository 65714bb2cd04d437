"""Exercises and tests: what is to be written may bind or read what a fix changes; what is expected stays as it is."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator

from finallayer.expr import Origin
from finallayer.findings import Edit
from finallayer.fix.flow.analysed import AnalysedModule
from finallayer.fix.text.syntax import last_name
from finallayer.fix.validation.differences import Differences, Sink, Status
from finallayer.fix.validation.places import lines_of
from finallayer.fix.validation.programs import Programs
from finallayer.source.walking import walk

#: A comment that stands for code: ``# your code here``.
_TO_DO = re.compile(r"#.*\b(?:your (?:code|solution|answer)|(?:insert|add|write|fill in)\b.*\bcode)\b", re.IGNORECASE)


def unfinished(programs: Programs, differences: Differences, edits: Iterable[Edit]) -> Iterator[Sink]:
    """Every statement of a module that isn't written to its end, and that is edited or comes to another value."""
    for path, module in programs.modules.items():
        exercises = [s for s in module.syntax.file.tree.body if _is_unfinished(module, s)]
        edited = [lines_of(module.syntax, edit) for edit in edits if edit.path == path] if exercises else []
        for exercise in exercises:
            changed = any(exercise.lineno <= last and first <= (exercise.end_lineno or 0) for first, last in edited)
            if changed or any(
                isinstance(n, ast.expr) and differences.status(path, n) >= Status.UNKNOWN for n in walk(exercise)
            ):
                yield Sink(Status.UNKNOWN, path, exercise, "what is to be written in an exercise")


def what_is_expected(module: AnalysedModule, loss: Origin) -> str:
    """Why a loss is to stay as it is, where a test computes what it expects: the last digit counts there."""
    tests = (n for n in module.syntax.nodes if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef)))
    around = (n for n in tests if n.lineno <= loss.line and loss.end_line <= (n.end_lineno or 0) and _expects(n))
    return next((f"`{n.name}` compares it with what it tests" for n in around), "")


def _expects(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a function is a test: it calls ``assertEqual`` or the like, or is called one and asserts something."""
    nodes = list(walk(function))
    calls = (n for n in nodes if isinstance(n, ast.Call))
    asserts = any(isinstance(n, ast.Assert) for n in nodes) and function.name.startswith("test")
    return asserts or any(last_name(call.func).startswith(("assert_", "assertEqual", "assertAl")) for call in calls)


def _is_unfinished(module: AnalysedModule, statement: ast.stmt) -> bool:
    return any(map(_TO_DO.search, module.syntax.file.lines[statement.lineno - 1 : statement.end_lineno]))
