"""All that one loss object computes: who changes the object changes it for each of its calls."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from finallayer.expr import Node
from finallayer.fix.flow.analysed import AnalysedModule, alternatives, made_alike
from finallayer.fix.flow.context import Context
from finallayer.fix.flow.roles import runs_project_code
from finallayer.fix.text.syntax import last_name
from finallayer.source.values import Built


class Criterion:
    """A loss, and those that the same object computes; only itself, where a function does."""

    def __init__(self, loss: Node, context: Context) -> None:
        self.losses, self.unseen = [loss], list[str]()
        module = context.module_at(loss.origin)
        call = module.syntax.expression(loss.origin) if module is not None else None
        built = module.layers(call.func) if module is not None and isinstance(call, ast.Call) else []
        self._context = context
        if built:
            self._collect(built)

    def _collect(self, built: list[Built]) -> None:
        modules = self._context.modules().values()
        calls = {
            module.syntax.file.origin(node)
            for module in modules
            for node in module.syntax.nodes
            if isinstance(node, ast.Call) and _may_be_one(module, node.func, built)
        }
        found = {s.node.origin: s.node for s in self._context.sightings() if s.node.origin in calls and s.node.args}
        self.losses = list(found.values())
        if set(found) != calls:
            self.unseen.append("a call of it that is no loss")
        for module in modules:
            self.unseen += _handed_on(module, built)


def _may_be_one(module: AnalysedModule, node: ast.AST, built: list[Built]) -> bool:
    """Whether an expression stands, perhaps among others, for one of these loss objects."""
    return any(made_alike(v, one) for value in module.values(node) for v in alternatives(value) for one in built)


def _handed_on(module: AnalysedModule, built: list[Built]) -> Iterator[str]:
    """Where a loss object goes that it may be called unseen; a phrase each."""
    names = set[str]()
    for node in module.syntax.nodes:
        if not isinstance(node, ast.expr) or not _may_be_one(module, node, built):
            continue
        names.add(last_name(node))
        inner, around = module.syntax.user(node)
        if isinstance(around, ast.Call) and (around.func is inner or _follows(module, around)):
            continue
        if not isinstance(around, (ast.Assign, ast.AnnAssign, ast.Expr)):
            yield f"`{module.syntax.text(node)}` is handed on ({module.syntax.where(node)})"
    for node in module.syntax.nodes:
        read = isinstance(node, (ast.Name, ast.Attribute)) and isinstance(node.ctx, ast.Load)
        if isinstance(node, ast.expr) and read and last_name(node) in names - {""} and not module.evaluated(node):
            yield f"`{module.syntax.text(node)}` in code that nothing runs ({module.syntax.where(node)})"


def _follows(module: AnalysedModule, call: ast.Call) -> bool:
    callees = module.values(call.func)
    return bool(callees) and all(map(runs_project_code, callees))
