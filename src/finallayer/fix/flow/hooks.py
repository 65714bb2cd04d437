"""Callbacks of trainers that hand them the model itself: what those ask it for, nobody calls in the program's text."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from finallayer.catalog.names import canonical
from finallayer.fix.flow.analysed import AnalysedModule
from finallayer.fix.flow.owners import GIVING, MODEL_METHODS
from finallayer.fix.text.syntax import last_name
from finallayer.source.values import Class, External
from finallayer.source.walking import walk

#: Whose callbacks are handed the trainer or the model, as arguments of their methods.
_TRAINERS = frozenset(
    {"lightning", "pytorch_lightning", "transformers", "fastai", "skorch", "catalyst", "composer", "ignite"}
)
#: What a trainer, or a wrapped model, calls the model that it trains.
_THE_MODEL = frozenset({"model", "module", "lightning_module", "net", "network", "module_", "learn", "predict"})
#: How a method of a callback names the model among the arguments that it takes by name.
_BY_NAME = frozenset({"model", "pl_module"})


def in_hooks(module: AnalysedModule) -> Iterator[str]:
    """Where methods of such callbacks may ask the model for its output; a phrase each."""
    for cls in module.syntax.all_of(ast.ClassDef):
        if _is_callback(module, cls):
            for method in cls.body:
                if isinstance(method, ast.FunctionDef):
                    yield from (f"{what} of a callback ({module.syntax.where(n)})" for what, n in _asked(method))


def _is_callback(module: AnalysedModule, cls: ast.ClassDef) -> bool:
    values = [v for base in cls.bases for v in module.values(base)]
    above = [line for v in values for line in (v.ancestry() if isinstance(v, Class) else (v,))]
    names = [canonical(v.name) for v in above if isinstance(v, External)]
    return any(name.partition(".")[0] in _TRAINERS and "callback" in name.lower() for name in names)


def _asked(method: ast.FunctionDef) -> Iterator[tuple[str, ast.expr]]:
    """What a method calls, or asks the model for, of all that it is handed."""
    names = {a.arg for a in (*method.args.posonlyargs, *method.args.args[1:], *method.args.kwonlyargs)}
    others = method.args.kwarg.arg if method.args.kwarg is not None else None
    for node in walk(method):
        match node:
            case ast.Call(func=ast.Name(id=name) as func) if name in names:
                yield f"`{name}`", func
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=attribute) as func) if (
                name in names and _may_give_output(name, attribute)
            ):
                yield f"`{name}.{attribute}`", func
            case ast.Call(func=func, args=args) if any(_is_model(a, names) for a in args) and not _is_super(func):
                yield "the model, handed on,", node
            case ast.Attribute(attr=attribute, ctx=ast.Load()) if attribute in _THE_MODEL:
                yield f"`.{attribute}`", node
            case ast.Subscript(value=ast.Name(id=name)) if name == others:
                yield f"`{name}`", node


def _may_give_output(name: str, method: str) -> bool:
    return method in GIVING or (name in _BY_NAME and method not in MODEL_METHODS)


def _is_model(argument: ast.expr, names: set[str]) -> bool:
    return isinstance(argument, ast.Name) and argument.id in names & _BY_NAME


def _is_super(func: ast.expr) -> bool:
    """Whether a callback only calls what it inherits."""
    return (
        isinstance(func, ast.Attribute) and isinstance(func.value, ast.Call) and last_name(func.value.func) == "super"
    )
