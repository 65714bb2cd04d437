"""TensorFlow's graph: what is written into a call of ``run`` that is made again and again adds to it each time."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from finallayer.fix.flow.analysed import AnalysedModule
from finallayer.fix.validation.differences import Sink, Status
from finallayer.fix.validation.programs import Programs
from finallayer.source.values import External
from finallayer.source.walking import walk

_RUNNING = frozenset({"run", "eval", "partial_run"})
_LOOPS = (ast.For, ast.While, ast.AsyncFor, ast.comprehension, ast.ListComp, ast.GeneratorExp)


def built_at_every_run(programs: Programs) -> Iterator[Sink]:
    """Operations of TensorFlow that the edited program makes whenever it runs a session, and the old one didn't."""
    for path in programs.edited:
        before, after = programs.modules.get(path), programs.module_after(path)
        if before is not None and after is not None and "tensorflow" in before.syntax.file.text:
            known = {ast.dump(call) for call in _made_while_running(before)}
            for call in _made_while_running(after):
                if ast.dump(call) not in known:
                    yield Sink(Status.UNKNOWN, path, call, "how many operations a graph gets from this session's runs")


def _made_while_running(module: AnalysedModule) -> Iterator[ast.Call]:
    """The operations that are made for a session's ``run``, or a tensor's ``eval``, where that may be called often."""
    for node in module.syntax.nodes:
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr not in _RUNNING:
            continue
        once = isinstance(module.syntax.scope(node), ast.Module)
        if once and not any(isinstance(n, _LOOPS) for n in module.syntax.around(node)):
            continue
        for inner in (n for given in (node.func.value, *node.args, *node.keywords) for n in walk(given)):
            if isinstance(inner, ast.Call) and any(map(_is_operation, module.values(inner.func))):
                yield inner


def _is_operation(callee: object) -> bool:
    return isinstance(callee, External) and callee.name.startswith("tensorflow.") and ".keras." not in callee.name
