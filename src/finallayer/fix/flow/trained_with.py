"""The callbacks that Keras trains a model with: where each of them is made, as far as the text says it."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from finallayer.catalog.names import canonical
from finallayer.fix.flow.analysed import AnalysedModule, alternatives
from finallayer.fix.flow.bindings import home
from finallayer.source.values import Bound, External, Function, Value
from finallayer.source.walking import walk

#: Keras' own callbacks that only look at losses and metrics, or at weights.
LOOKING = frozenset(
    (
        "Callback EarlyStopping ReduceLROnPlateau LearningRateScheduler CSVLogger ProgbarLogger History TerminateOnNaN "
        "RemoteMonitor BackupAndRestore SwapEMAWeights LambdaCallback TensorBoard BaseLogger"
    ).split()
)

#: Callbacks of other libraries that look at losses and metrics only, and stop the training or draw them.
LOOKING_ELSEWHERE = frozenset(
    (
        "optuna.integration.KerasPruningCallback optuna.integration.TFKerasPruningCallback "
        "optuna_integration.KerasPruningCallback optuna_integration.TFKerasPruningCallback "
        "optuna_integration.keras.KerasPruningCallback optuna_integration.tfkeras.TFKerasPruningCallback "
        "livelossplot.PlotLossesKeras livelossplot.PlotLossesKerasTF livelossplot.keras.PlotLossesCallback "
        "livelossplot.tf_keras.PlotLossesCallback tqdm.keras.TqdmCallback"
    ).split()
)

#: Lists and functions followed, one into the other, before the question is given up.
_DEEPEST = 6


class Callback(NamedTuple):
    """The call that makes a callback; none where the text leaves open which it is."""

    module: AnalysedModule
    made: ast.Call | None


def trained_with(
    module: AnalysedModule, callbacks: ast.expr, modules: Mapping[str, AnalysedModule], depth: int = 0
) -> Iterator[Callback]:
    """What an expression for callbacks, or for one of them, comes to."""
    unknown = Callback(module, None)

    def each(parts: Iterable[ast.expr], within: AnalysedModule = module) -> Iterator[Callback]:
        return (found for part in parts for found in trained_with(within, part, modules, depth + 1))

    if depth > _DEEPEST:
        yield unknown
        return
    match callbacks:
        case ast.Constant(value=None):
            return
        case ast.List(elts=items) | ast.Tuple(elts=items):
            yield from each(items)
        case ast.Starred(value=value):
            yield from each([value])
        case ast.IfExp(body=body, orelse=orelse):
            yield from each([body, orelse])
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            yield from each([left, right])
        case ast.BoolOp(values=values):
            yield from each(values)
        case ast.Name() | ast.Attribute():
            bound = _bound(module, callbacks, modules)
            yield from (c for within, part in bound for c in each([part], within)) if bound else [unknown]
        case ast.Call(func=ast.Name(id="list"), args=items):
            yield from each(items)
        case ast.Call():
            if not any(isinstance(f, Function) for f in _functions(module, callbacks)):
                yield Callback(module, callbacks)
                return
            returned = _returned(module, callbacks, modules)
            yield from (c for within, part in returned for c in each([part], within)) if returned else [unknown]
        case _:
            yield unknown


def are_shown_by(module: AnalysedModule, call: ast.Call, modules: Mapping[str, AnalysedModule]) -> bool:
    """Whether a call is ``callback.set_model(model)`` of one of Keras' own that only looks, and that nobody asks."""
    if not isinstance(call.func, ast.Attribute) or call.func.attr != "set_model":
        return False
    shown = call.func.value
    if not isinstance(shown, (ast.Name, ast.Attribute)):
        return False
    around = [module.syntax.parent(n) for n in _same(module, shown)]
    asked = any(isinstance(a, ast.Attribute) and a.attr in ("model", "_model") for a in around)
    return not asked and all(map(_only_looks, trained_with(module, shown, modules)))


def _only_looks(callback: Callback) -> bool:
    classes = callback.module.values(callback.made.func) if callback.made is not None else []
    names = [canonical(c.name) if isinstance(c, External) else "" for v in classes for c in alternatives(v)]
    return bool(names) and all(
        name.startswith("keras.callbacks.") and name.removeprefix("keras.callbacks.") in LOOKING for name in names
    )


_Parts = list[tuple[AnalysedModule, ast.expr]]  #: expressions, each with the file that it stands in


def _bound(
    module: AnalysedModule, callbacks: ast.Name | ast.Attribute, modules: Mapping[str, AnalysedModule]
) -> _Parts | None:
    """All that a file binds to a name or attribute, or adds to it; None where that is more than can be followed."""
    found: _Parts = []
    for node in _same(module, callbacks):
        around = module.syntax.parent(node)
        if not isinstance(node.ctx, ast.Load):
            parts = _assigned(module, node, modules)
            if not parts:
                return None
            found += parts
        elif isinstance(around, ast.Attribute) and around.attr in ("append", "extend", "insert"):
            call = module.syntax.parent(around)
            if not isinstance(call, ast.Call) or not call.args:
                return None
            found.append((module, call.args[-1]))
    return found


def _assigned(
    module: AnalysedModule, target: ast.Name | ast.Attribute, modules: Mapping[str, AnalysedModule]
) -> _Parts:
    """What an assignment gives to a target, also to one of several: ``board, folder = make()``; empty if unknown."""
    around = module.syntax.parent(target)
    if isinstance(around, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
        return [(module, around.value)] if around.value is not None else []
    statement = module.syntax.parent(around) if isinstance(around, (ast.Tuple, ast.List)) else None
    if not isinstance(statement, ast.Assign) or not isinstance(around, (ast.Tuple, ast.List)):
        return []
    value = statement.value
    together = _returned(module, value, modules) if isinstance(value, ast.Call) else [(module, value)]
    place, length = around.elts.index(target), len(around.elts)
    items = [
        (within, part.elts[place])
        for within, part in together
        if isinstance(part, (ast.Tuple, ast.List)) and len(part.elts) == length
    ]
    starred = any(isinstance(e, ast.Starred) for e in around.elts) or any(isinstance(i, ast.Starred) for _, i in items)
    return items if len(items) == len(together) and not starred else []


def _functions(module: AnalysedModule, call: ast.Call) -> list[Value]:
    callees = [c for v in module.values(call.func) for c in alternatives(v)]
    return [f.function if isinstance(f, Bound) else f for f in callees]


def _returned(module: AnalysedModule, call: ast.Call, modules: Mapping[str, AnalysedModule]) -> _Parts:
    """What the project's functions give that a call may run; empty where one of them is unknown."""
    found: _Parts = []
    for function in _functions(module, call):
        within = modules.get(function.frame.module.path) if isinstance(function, Function) else None
        given = _given(function.node) if isinstance(function, Function) else []
        if within is None or not given:
            return []
        found += [(within, part) for part in given]
    return found


def _same(module: AnalysedModule, callbacks: ast.Name | ast.Attribute) -> Iterator[ast.Name | ast.Attribute]:
    """The nodes by which a file says the same name, or the same attribute of whatever object."""
    if isinstance(callbacks, ast.Attribute):
        yield from (n for n in module.syntax.nodes if isinstance(n, ast.Attribute) and n.attr == callbacks.attr)
        return
    scope = home(module.syntax, callbacks)
    names = (n for n in module.syntax.nodes if isinstance(n, ast.Name) and n.id == callbacks.id)
    yield from (n for n in names if home(module.syntax, n) is scope)


def _given(function: ast.AST) -> list[ast.expr]:
    """What a function returns."""
    if isinstance(function, ast.Lambda):
        return [function.body]
    return [n.value for n in walk(function) if isinstance(n, ast.Return) and n.value is not None]
