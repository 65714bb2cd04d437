"""Keras' callbacks: what they ask the model that is trained for, and which of them keep it for others."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from finallayer.catalog.names import canonical
from finallayer.fix.flow.analysed import AnalysedModule
from finallayer.fix.flow.bindings import reaching
from finallayer.fix.flow.owners import GIVING, MODEL_METHODS, Owners
from finallayer.fix.text.syntax import Syntax, is_inside
from finallayer.source.values import External

#: Those that only look at losses and metrics, or at weights.
_LOOKING = frozenset(
    (
        "Callback EarlyStopping ReduceLROnPlateau LearningRateScheduler CSVLogger ProgbarLogger History TerminateOnNaN "
        "RemoteMonitor BackupAndRestore SwapEMAWeights LambdaCallback TensorBoard BaseLogger"
    ).split()
)
_ADDING = frozenset({"append", "extend", "insert"})


def in_callbacks(module: AnalysedModule, owners: Owners) -> Iterator[str]:
    """Where callbacks ask the model that is trained for what may be its output, or keep it; a phrase each."""
    others = _of_others(module, owners)
    for node in module.syntax.nodes:
        match node:
            case ast.Call() if (name := _keeping(module, node)) is not None:
                if not any(is_inside(callbacks, node) for callbacks in others):
                    yield f"`{name}` is handed the model ({module.syntax.where(node)})"
            case ast.Attribute(value=ast.Name(id="self"), attr="model", ctx=ast.Load()):
                asked = module.syntax.parent(node)
                harmless = isinstance(asked, ast.Attribute) and asked.attr in MODEL_METHODS - GIVING
                if not harmless and _is_in_callback(module, node):
                    yield f"`self.model` of a callback ({module.syntax.where(node)})"


def _of_others(module: AnalysedModule, owners: Owners) -> list[ast.expr]:
    """The callbacks that only other models are trained with; none where what some model gets isn't written out."""
    ours: list[ast.expr] = []
    others: list[ast.expr] = []
    for node in module.syntax.nodes:
        if isinstance(node, ast.keyword) and node.arg == "callbacks":
            call = module.syntax.parent(node)
            written = _written(module.syntax, node.value)
            if written is None or not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
                return []
            models = module.values(call.func.value)
            is_ours = not models or any(map(owners.include, models))
            (ours if is_ours else others).extend(written)
    return [callbacks for callbacks in others if callbacks not in ours]


def _written(syntax: Syntax, callbacks: ast.expr) -> list[ast.expr] | None:
    """The expressions that callbacks are made by; None where the text leaves that open."""
    match callbacks:
        case ast.List(elts=items) | ast.Tuple(elts=items):
            parts = [_written(syntax, item) for item in items]
            return None if None in parts else [e for part in parts for e in part or ()]
        case ast.Name(id=name):
            statement = reaching(syntax, callbacks, name)
            if isinstance(statement, ast.Assign) and len(statement.targets) == 1 and not _grows(syntax, name):
                return _written(syntax, statement.value) if isinstance(statement.targets[0], ast.Name) else None
            return None
        case ast.Constant() | ast.Call():
            return [callbacks]
    return None


def _grows(syntax: Syntax, name: str) -> bool:
    """Whether anything is added to a list by that name."""
    adding = (n for n in syntax.nodes if isinstance(n, ast.Attribute) and n.attr in _ADDING)
    return any(isinstance(n.value, ast.Name) and n.value.id == name for n in adding)


def _keeping(module: AnalysedModule, call: ast.Call) -> str | None:
    """The callback that a call makes, where that may keep the model that is trained, or ask it for its output."""
    names = [canonical(v.name) for v in module.values(call.func) if isinstance(v, External)]
    name = next((n for n in names if ".callbacks." in n or n.endswith("Callback")), None)
    weights_only = any(k.arg == "save_weights_only" and getattr(k.value, "value", None) is True for k in call.keywords)
    if name is None or name.removeprefix("keras.callbacks.") in _LOOKING or weights_only:
        return None
    return name.rpartition(".")[2]


def _is_in_callback(module: AnalysedModule, node: ast.expr) -> bool:
    cls = next((n for n in module.syntax.around(node) if isinstance(n, ast.ClassDef)), None)
    values = (v for base in (cls.bases if cls is not None else ()) for v in module.values(base))
    return any(isinstance(v, External) and canonical(v.name).startswith("keras.callbacks.") for v in values)
