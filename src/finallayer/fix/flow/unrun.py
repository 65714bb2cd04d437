"""Code that nothing runs beside code that does: the other branch of a function, whose names stand for the same."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

from finallayer.fix.flow.analysed import AnalysedModule
from finallayer.fix.flow.bindings import home, reaching, readers
from finallayer.fix.flow.head import Output
from finallayer.fix.flow.owners import GIVING
from finallayer.fix.flow.roles import is_numberless
from finallayer.fix.text.imports import Imports
from finallayer.source.symbols import signature_of
from finallayer.source.values import Value

#: Builtins that show or convert what they are handed.
_SHOWING = frozenset({"print", "float", "str", "repr", "format"})

#: What gives a model itself again, and what asks it for its weights or its layers' names.
_GIVING_ITSELF = frozenset("to cuda cpu half float double eval train requires_grad_".split())
_OF_WEIGHTS = frozenset(
    "parameters named_parameters state_dict load_state_dict zero_grad summary count_params get_weights set_weights "
    "load_weights trainable_weights trainable_variables name training".split()
)


def stands_for(module: AnalysedModule, name: ast.Name, output: Output) -> bool:
    """Whether a name certainly stands for a head's output as it is: it does where it is read in code that runs."""
    syntax = module.syntax
    binding, scope = reaching(syntax, name, name.id), home(syntax, name)
    if binding is None:
        return False
    alike = [n for n in syntax.loads() if n.id == name.id and n is not name and module.values(n)]
    values = [
        value
        for other in alike
        if home(syntax, other) is scope and reaching(syntax, other, name.id) is binding
        for value in module.values(other)
    ]
    ways = [output.ways(value) for value in values]
    return bool(ways) and all(way and not any(map(output.is_derived, way)) for way in ways)


def needs_probabilities(module: AnalysedModule, name: ast.Name) -> bool:
    """Whether code that nothing runs computes something of a name, and hands on nothing that may still be it."""
    inner, around = module.syntax.user(name)
    if isinstance(around, ast.Call) and inner is not around.func:
        return isinstance(around.func, ast.Name) and around.func.id in _SHOWING
    return isinstance(around, (ast.BinOp, ast.Compare, ast.UnaryOp, ast.FormattedValue))


def asks_nothing(module: AnalysedModule, node: ast.expr, depth: int = 4) -> bool:
    """Whether code that nothing runs makes or calls a model, and asks it for its parts, or its output for the shape."""
    syntax = module.syntax
    _, around = syntax.user(node)
    match around:
        case ast.Call(func=func) if func is node:
            return asks_nothing(module, around, depth)
        case ast.Attribute(attr=attr, ctx=ast.Load()):
            called = syntax.parent(around)
            if attr in GIVING and isinstance(called, ast.Call) and called.func is around:
                return asks_nothing(module, called, depth)
            if attr in _GIVING_ITSELF and isinstance(called, ast.Call) and called.func is around:
                return asks_nothing(module, called, depth)
            return attr in _OF_WEIGHTS or is_numberless(module, around)
        case ast.Expr():
            return not syntax.is_displayed(around)
        case ast.Assign(targets=[ast.Name(id=name)]) if depth and not isinstance(syntax.scope(around), ast.Module):
            reading = readers(syntax.scope(around), name)
            return (
                name not in syntax.declared
                and bool(reading)
                and all(asks_nothing(module, n, depth - 1) for n in reading)
            )
    return False


def asks_for_another(module: AnalysedModule, model: ast.Name, is_ours: Callable[[Value], bool]) -> bool:
    """``self.embed`` of a model, which is something else than the output wherever the program comes to it."""
    around = module.syntax.parent(model)
    if not isinstance(around, ast.Attribute) or module.values(model) or not isinstance(around.ctx, ast.Load):
        return False
    alike = (n for n in module.syntax.nodes if isinstance(n, ast.Attribute) and n.attr == around.attr)
    values = [v for n in alike if ast.dump(n.value) == ast.dump(model) for v in module.values(n)]
    return bool(values) and not any(map(is_ours, values))


def unrun_logs(module: AnalysedModule, output: Output) -> Iterator[tuple[ast.Call, ast.Name]]:
    """The logs that code which nothing runs takes of a head's output, each with the name that stands for that."""
    imports = Imports(module.syntax)
    for node in module.syntax.nodes:
        match node:
            case ast.Call(func=func, args=[ast.Name() as name], keywords=[]) if not module.evaluated(node):
                signature = signature_of(imports.dotted(func) or "")
                is_log = signature is not None and signature.op == "log" and "base" not in signature.attrs
                if is_log and stands_for(module, name, output):
                    yield node, name
