"""A project's own metrics that only ask which output is the greatest: of logits it is the same one."""

from __future__ import annotations

import ast

from finallayer.catalog.names import canonical
from finallayer.fix.flow.analysed import AnalysedModule
from finallayer.fix.flow.bindings import are_shown, reaching, readers
from finallayer.fix.flow.callers import is_plain
from finallayer.fix.flow.known_calls import known_call
from finallayer.source.values import Function, Value


def asks_for_greatest(module: AnalysedModule, metric: Value) -> bool:
    """Whether a function of a file, which Keras hands targets and outputs, only takes the argmax of the outputs."""
    function = metric.node if isinstance(metric, Function) else None
    if not isinstance(function, ast.FunctionDef) or not isinstance(metric, Function):
        return False
    if metric.frame.module.path != module.path or not is_plain(module, function) or are_shown(function):
        return False
    given = [*function.args.posonlyargs, *function.args.args]
    if len(given) < 2 or function.args.vararg or function.args.kwarg:
        return False
    origins = {read: reaching(module.syntax, read, given[1].arg) for read in readers(function, given[1].arg)}
    handed = [read for read, origin in origins.items() if isinstance(origin, ast.arguments)]
    return None not in origins.values() and bool(handed) and all(_is_of_argmax(module, read) for read in handed)


def _is_of_argmax(module: AnalysedModule, read: ast.expr) -> bool:
    """``argmax(read, axis=-1)``"""
    known = known_call(module, module.syntax.user(read)[1], "argmax")
    if known is None or known.operand is not read:
        return False
    axis = known.argument("axis")
    by_default = axis is None and canonical(known.name) == "keras.backend.argmax"
    return by_default or (axis is not None and ast.unparse(axis) == "-1")
