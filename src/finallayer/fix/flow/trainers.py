"""Frameworks' trainers, which run a model's own steps and read nothing else of it."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from finallayer.catalog.names import canonical
from finallayer.fix.flow.analysed import AnalysedModule
from finallayer.source.values import External

_TRAINERS = frozenset({"pytorch_lightning.Trainer", "lightning.Trainer"})
#: What calls the model's own steps. (``predict`` gives its output.)
_RUNNING = frozenset({"fit", "validate", "test"})


def runs_own_steps(module: AnalysedModule, call: ast.Call) -> bool:
    """``trainer.fit(model)`` of Lightning: the losses and metrics are those of the model's class, which is at hand."""
    match call.func:
        case ast.Attribute(attr=name, value=ast.Call() as trainer) if name in _RUNNING:
            return _makes_trainer(module, trainer)
        case ast.Attribute(attr=name, value=ast.Name(id=trainer_name)) if name in _RUNNING:
            made = list(_bound_to(module, trainer_name))
            return bool(made) and all(value is not None and _makes_trainer(module, value) for value in made)
    return False


def _bound_to(module: AnalysedModule, name: str) -> Iterator[ast.expr | None]:
    """Whatever a file binds to a name; None for what isn't a plain assignment."""
    for node in module.syntax.nodes:
        if isinstance(node, ast.Name) and node.id == name and not isinstance(node.ctx, ast.Load):
            statement = module.syntax.parent(node)
            yield statement.value if isinstance(statement, ast.Assign) and node in statement.targets else None
        elif (isinstance(node, ast.arg) and node.arg == name) or (isinstance(node, ast.alias) and node.asname == name):
            yield None


def _makes_trainer(module: AnalysedModule, value: ast.expr) -> bool:
    callees = module.values(value.func) if isinstance(value, ast.Call) else []
    return bool(callees) and all(isinstance(c, External) and canonical(c.name) in _TRAINERS for c in callees)
