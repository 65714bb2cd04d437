"""A project's own function that takes a guarded log of its argument, and nothing else: each of its calls is a log."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from finallayer.expr import Node, Origin
from finallayer.findings import Edit
from finallayer.fix.flow.analysed import AnalysedModule
from finallayer.fix.flow.callers import is_plain, references
from finallayer.fix.flow.descent import descend
from finallayer.fix.flow.known_calls import known_call
from finallayer.fix.flow.outsiders import importers
from finallayer.fix.flow.place import IDLE, Place
from finallayer.fix.text.deletion import whole_line
from finallayer.source.imported import puts_names_together
from finallayer.source.plain import plain_text
from finallayer.source.values import Function


class LogHelper(NamedTuple):
    """``def log(x): return torch.log(x + 1e-8)``"""

    module: AnalysedModule
    function: ast.FunctionDef | ast.Lambda
    log: Origin

    @classmethod
    def around(cls, modules: Mapping[str, AnalysedModule], log: Node) -> LogHelper | None:
        """The function that does nothing but take a log; None where that is a part of something larger."""
        module = modules.get(log.origin.path) if log.origin is not None else None
        call = known_call(module, module.syntax.expression(log.origin), "log") if module is not None else None
        if module is None or log.origin is None or call is None or call.only_operand is None or not call.is_natural_log:
            return None
        function = module.syntax.scope(call.node)
        parameter = _parameter(module, function, call.node)
        if parameter is None or not isinstance(function, (ast.FunctionDef, ast.Lambda)):
            return None
        way = descend(module, call.only_operand, log.args[0], lambda here: _is_name(here, parameter))
        if way is None or not _is_name(way.made, parameter) or any(step.kind not in IDLE for step in way.steps):
            return None
        return cls(module, function, log.origin)

    def calls(self, modules: Mapping[str, AnalysedModule]) -> Iterator[tuple[AnalysedModule, ast.Call]]:
        """All calls of it that the program comes to."""
        for module in modules.values():
            for node in module.syntax.nodes:
                callees = module.values(node.func) if isinstance(node, ast.Call) else []
                if isinstance(node, ast.Call) and any(self._is(c) for c in callees):
                    yield module, node

    def place(
        self, module: AnalysedModule, call: ast.Call, arrived: Callable[[ast.expr], bool]
    ) -> tuple[Node, Place] | None:
        """What a call takes the log of, by the way down from its argument; None where it may be another call."""
        if any(not self._is(c) for c in module.values(call.func)) or len(call.args) != 1 or call.keywords:
            return None
        logs = module.values(call)
        handed = module.values(call.args[0])
        first = logs[0] if logs else None
        if not isinstance(first, Node) or not all(isinstance(v, Node) and v.origin == self.log for v in logs):
            return None
        if not handed or not isinstance(handed[0], Node):
            return None
        descent = descend(module, call.args[0], handed[0], arrived)
        return (first, Place(module, call, descent)) if descent is not None else None

    def removed(self, modules: Mapping[str, AnalysedModule], gone: list[ast.Call]) -> Edit | None:
        """The edit that takes it away, where nobody but its calls that are gone speaks of it."""
        if not isinstance(self.function, ast.FunctionDef) or self.function.decorator_list:
            return None
        name, called = self.function.name, {call.func for call in gone}
        spoken = [m.values(r) for m in modules.values() for r in references(m.syntax, name) if r not in called]
        if any(not values or any(map(self._is, values)) for values in spoken):
            return None
        texts = (plain_text(other) for other in importers(self.module.path))
        if any(t is None or name in t or "import *" in t or puts_names_together(t.encode()) for t in texts):
            return None
        return whole_line(self.module.syntax, self.function)

    def _is(self, callee: object) -> bool:
        return isinstance(callee, Function) and callee.node is self.function


def _parameter(module: AnalysedModule, function: ast.AST, log: ast.Call) -> str | None:
    """The only parameter of a function that gives a log, where it does nothing else."""
    match function:
        case ast.FunctionDef(body=[*docstring, ast.Return(value=given)], args=spec) if is_plain(module, function):
            if not all(isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant) for s in docstring):
                return None
        case ast.Lambda(body=given, args=spec):
            pass
        case _:
            return None
    alone = not (spec.posonlyargs or spec.kwonlyargs or spec.vararg or spec.kwarg)
    return spec.args[0].arg if given is log and alone and len(spec.args) == 1 else None


def _is_name(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name
