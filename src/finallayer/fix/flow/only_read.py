"""Functions that are handed an output and only read it: what they read can be made probabilities where they are called.

``show(x_hat)`` becomes ``show(torch.sigmoid(x_hat))``: it is handed other images, too, or belongs to everybody.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from finallayer.fix.flow.analysed import AnalysedModule, alternatives
from finallayer.fix.flow.callers import parameter_behind
from finallayer.fix.flow.head import Output
from finallayer.fix.flow.known_calls import runs
from finallayer.fix.flow.reaching import expressions
from finallayer.fix.flow.roles import Role, Roles, runs_project_code
from finallayer.fix.text.syntax import Syntax
from finallayer.source.values import Value
from finallayer.source.walking import walk

Definition = ast.FunctionDef


@dataclass
class _Handed:
    """A function that is handed the output, and what it does with it."""

    readings: list[tuple[AnalysedModule, ast.expr]] = field(default_factory=list)
    hands_on: list[list[Value]] = field(default_factory=list)  # whom it calls with it


def only_reading(output: Output, roles: Roles, modules: Mapping[str, AnalysedModule]) -> frozenset[Definition]:
    """The functions that are handed the output, train nothing with it, and give or keep none of it."""
    handed: dict[Definition, _Handed] = {}
    touching = [
        (module, node)
        for module in modules.values()
        for node in expressions(module.uses, module.path, output.head)
        if any(map(output.touches, module.values(node)))
    ]
    for module, node in touching:
        if (function := parameter_behind(module.syntax, node)) is not None:
            handed.setdefault(function, _Handed())
    for module, node in touching:
        for function in functions_around(module.syntax, node, handed):
            handed[function].readings.append((module, node))
    found = {f for f, has in handed.items() if all(_only_reads(m, n, roles, has) for m, n in has.readings)}
    while True:
        kept = {f for f in found if all(_run_by(callees, found) for callees in handed[f].hands_on)}
        if kept == found:
            return frozenset(found)
        found = kept


def is_read_again_and_again(syntax: Syntax, node: ast.AST, functions: Iterable[ast.AST]) -> bool:
    """Whether an expression stands in a loop of one of some functions: ``reward[j]`` for each j."""
    loops = (ast.For, ast.While, ast.comprehension, ast.ListComp, ast.GeneratorExp)
    for function in functions_around(syntax, node, functions):
        return any(isinstance(n, loops) for n in syntax.around(node) if n in set(walk(function)))
    return False


def functions_around(syntax: Syntax, node: ast.AST, functions: Iterable[ast.AST]) -> list[Definition]:
    """Those of some functions that a node is in the body of."""
    known = set(functions)
    return [n for n in syntax.around(node) if n in known and isinstance(n, ast.FunctionDef)] if known else []


def _run_by(callees: Iterable[Value], functions: Iterable[ast.AST]) -> bool:
    """Whether a call runs these functions, and no other code of the project's."""
    ours = [c for c in callees if runs_project_code(c)]
    return bool(ours) and all(any(runs(c, f) for f in functions) for c in ours)


def _only_reads(module: AnalysedModule, node: ast.expr, roles: Roles, has: _Handed) -> bool:
    role, (inner, around) = roles.of(module, node), module.syntax.user(node)
    if isinstance(around, (ast.Return, ast.Yield, ast.YieldFrom, ast.Lambda)) or role in _DOING_MORE:
        return False
    if role is Role.FLOWS and isinstance(around, ast.Call) and inner is not around.func:
        has.hands_on.append([c for v in module.values(around.func) for c in alternatives(v)])
    return True


#: What is no mere reading: training, keeping for later, and writing into what is handed over.
_DOING_MORE = (Role.LOSS, Role.STORED, Role.AGAIN, Role.CHANGES)
