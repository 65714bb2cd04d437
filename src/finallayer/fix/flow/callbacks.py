"""Keras' callbacks: what they ask the model that is trained for, and which of them keep it for others."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from finallayer.catalog.names import canonical
from finallayer.fix.flow.analysed import AnalysedModule, alternatives
from finallayer.fix.flow.bindings import reaching
from finallayer.fix.flow.owners import GIVING, MODEL_METHODS, Owners
from finallayer.fix.flow.trained_with import LOOKING, LOOKING_ELSEWHERE, trained_with
from finallayer.fix.text.syntax import Syntax, is_inside, last_name
from finallayer.source.values import Class, External
from finallayer.source.walking import walk

#: Where methods of Keras' models take their callbacks by position.
_PLACES = {"fit": 5, "fit_generator": 4}
#: Those that keep the model that is trained.
CHECKPOINTS = frozenset({"ModelCheckpoint", "BackupAndRestore"})
_ADDING = frozenset({"append", "extend", "insert"})


def in_callbacks(module: AnalysedModule, owners: Owners) -> Iterator[str]:
    """Where callbacks ask the model that is trained for what may be its output, or keep it; a phrase each."""
    others = _of_others(module, owners)
    yield from _unknown(module, owners)
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


def _unknown(module: AnalysedModule, owners: Owners) -> Iterator[str]:
    """The callbacks that the model is trained with of which it isn't known what they ask it for."""
    for callbacks in _handed(module, owners):
        for callback in trained_with(module, callbacks, owners.modules):
            if callback.made is None:
                yield f"what is among the callbacks (line {callbacks.lineno})"
            elif not _is_understood(callback.module, callback.made):
                called = callback.module.syntax.text(callback.made.func)
                yield f"`{called}` is handed the model (line {callback.made.lineno})"


def _handed(module: AnalysedModule, owners: Owners) -> Iterator[ast.expr]:
    """The callbacks that models are trained with which may be ours."""
    for node in module.syntax.nodes:
        match node:
            case ast.Call(func=func):
                models = module.values(func.value) if isinstance(func, ast.Attribute) else []
                if not models or any(map(owners.include, models)):
                    yield from _callbacks(node)
            case ast.Dict(keys=keys, values=values):  # model.fit(x, y, **options)
                yield from (v for k, v in zip(keys, values, strict=True) if getattr(k, "value", None) == "callbacks")


def _callbacks(call: ast.Call) -> list[ast.expr]:
    """The callbacks that a call trains a model with."""
    place = _PLACES.get(call.func.attr, len(call.args)) if isinstance(call.func, ast.Attribute) else len(call.args)
    return [*(k.value for k in call.keywords if k.arg == "callbacks"), *call.args[place : place + 1]]


def only_look(module: AnalysedModule, call: ast.Call, modules: Mapping[str, AnalysedModule]) -> bool:
    """Whether all callbacks of a call of Keras' own ``fit`` are written out, and none keeps the model."""
    if not isinstance(call.func, ast.Attribute) or call.func.attr not in _PLACES or not says_all(call):
        return False
    found = [c for each in _callbacks(call) for c in trained_with(module, each, modules)]
    return all(
        c.made is not None
        and last_name(c.made.func) not in CHECKPOINTS
        and _is_understood(c.module, c.made)
        and _keeping(c.module, c.made) is None
        for c in found
    )


def says_all(call: ast.Call) -> bool:
    """Whether a call is handed nothing by ``*`` or ``**``."""
    return not any(isinstance(a, ast.Starred) for a in call.args) and all(k.arg is not None for k in call.keywords)


def _is_understood(module: AnalysedModule, made: ast.Call) -> bool:
    """Whether a callback is one of Keras', or the project's own that asks the model by ``self.model`` or not at all."""
    callees = [c for v in module.values(made.func) for c in alternatives(v)]
    if not callees:
        return False
    for callee in callees:
        if isinstance(callee, External):
            known = callee.name in LOOKING_ELSEWHERE or canonical(callee.name).startswith("keras.callbacks.")
            if not known and _keeping(module, made) is None:
                return False
        elif not isinstance(callee, Class) or not _only_looks(callee) or any(map(_hides_model, _own_classes(callee))):
            return False
    return True


def _own_classes(cls: Class) -> list[Class]:
    return [line for line in cls.ancestry() if isinstance(line, Class)]


def _only_looks(cls: Class) -> bool:
    """Whether all that a class inherits is known, and comes from callbacks that look at losses and weights only."""
    bases = [base for line in _own_classes(cls) for base in line.bases]
    names = [canonical(b.name) if isinstance(b, External) else "" for b in bases if not isinstance(b, Class)]
    return all(name.removeprefix("keras.callbacks.") in LOOKING or name == "builtins.object" for name in names)


def _hides_model(cls: Class) -> bool:
    """Whether a callback may come to the model by another way than ``self.model``."""
    for node in walk(cls.node):
        match node:
            case ast.FunctionDef(name="set_model") | ast.Attribute(attr="_model" | "__dict__"):
                return True
            case ast.Call(func=ast.Name(id="getattr" | "vars"), args=[ast.Name(id="self"), *_]):
                return True
    return False


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
    looking = name is None or name in LOOKING_ELSEWHERE or name.removeprefix("keras.callbacks.") in LOOKING
    if name is None or looking or weights_only:
        return None
    return name.rpartition(".")[2]


def _is_in_callback(module: AnalysedModule, node: ast.expr) -> bool:
    cls = next((n for n in module.syntax.around(node) if isinstance(n, ast.ClassDef)), None)
    values = [v for base in (cls.bases if cls is not None else ()) for v in module.values(base)]
    above = [line for v in values for line in (v.ancestry() if isinstance(v, Class) else (v,))]
    return any(isinstance(v, External) and canonical(v.name).startswith("keras.callbacks.") for v in above)
