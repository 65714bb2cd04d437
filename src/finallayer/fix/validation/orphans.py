"""Parameters that nothing reads any more after a fix: a caller that says ``activation="sigmoid"`` isn't heard."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from finallayer.fix.flow.analysed import AnalysedModule
from finallayer.fix.flow.bindings import parameters, readers
from finallayer.fix.validation.differences import Sink, Status
from finallayer.fix.validation.programs import Programs


def orphaned(programs: Programs) -> Iterator[Sink]:
    """Every parameter that a function had a use for, and has none in the edited program; numbers, as guards, aside."""
    for path in programs.edited:
        before, after = programs.modules.get(path), programs.module_after(path)
        functions = _functions(after) if after is not None else {}
        for place, old in _functions(before).items() if before is not None else ():
            new = functions.get(place)
            for name in sorted(parameters(old) & parameters(new)) if new is not None else ():
                reads = readers(old, name) if new is not None and not readers(new, name) else []
                if before is not None and reads and not _says_nothing(before, old, reads):
                    yield Sink(Status.UNKNOWN, path, old, f"what `{name}` says to `{old.name}`")


def _functions(module: AnalysedModule) -> dict[tuple[int, int], ast.FunctionDef]:
    found = (n for n in module.syntax.nodes if isinstance(n, ast.FunctionDef))
    return {(n.lineno, n.col_offset): n for n in found}


def _says_nothing(module: AnalysedModule, function: ast.FunctionDef, reads: list[ast.Name]) -> bool:
    """Whether a parameter is a method's own object, or always a number."""
    own = [a.arg for a in (*function.args.posonlyargs, *function.args.args)][:1]
    if isinstance(module.syntax.parent(function), ast.ClassDef) and reads[0].id in own:
        return True
    values = [v for n in reads for v in module.values(n)]
    return bool(values) and all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values)
