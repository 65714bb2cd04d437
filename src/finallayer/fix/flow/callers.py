"""Who may call a function: the calls that the analysis saw, and what shows that there may be others."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from finallayer.fix.flow.analysed import AnalysedModule
from finallayer.fix.flow.bindings import reaching, readers
from finallayer.fix.text.syntax import Syntax
from finallayer.source.symbols import TRANSFORMS, construct_of
from finallayer.source.values import External, Value

#: Decorators that leave a function's parameters what they are: the library's, besides those that the catalogue knows.
_PLAIN_DECORATORS = frozenset(
    "builtins.staticmethod builtins.classmethod builtins.property numba.jit numba.njit".split()
)
_PLAIN_CONSTRUCTS = frozenset({"transform", "same", "no_grad"})


def references(syntax: Syntax, name: str) -> Iterator[ast.expr]:
    """Every expression of a file that may mean a function by its name."""
    yield from (n for n in syntax.loads() if n.id == name)
    yield from (n for n in syntax.all_of(ast.Attribute) if n.attr == name and isinstance(n.ctx, ast.Load))


def is_plain(module: AnalysedModule, function: ast.FunctionDef) -> bool:
    """Whether nothing that decorates a function hands it other arguments than its callers do."""
    decorators = (d.func if isinstance(d, ast.Call) else d for d in function.decorator_list)
    return all((known := module.values(d)) and all(map(_is_plain_decorator, known)) for d in decorators)


def _is_plain_decorator(decorator: Value) -> bool:
    if not isinstance(decorator, External) or decorator.name == "tensorflow.custom_gradient":
        return False
    return decorator.name in _PLAIN_DECORATORS or construct_of(decorator) in _PLAIN_CONSTRUCTS


def parameter_behind(syntax: Syntax, read: ast.expr) -> ast.FunctionDef | None:
    """The function whose parameter a name still is."""
    function = syntax.scope(read)
    if not isinstance(read, ast.Name) or not isinstance(function, ast.FunctionDef):
        return None
    return function if isinstance(reaching(syntax, read, read.id), ast.arguments) else None


def reads_of_default(syntax: Syntax, default: ast.expr) -> list[ast.Name]:
    """Where a function reads the parameter that has an expression for its default: ``lambda q=p: q.sum()``."""
    spec = syntax.parent(default)
    function = syntax.parent(spec) if isinstance(spec, ast.arguments) else None
    if not isinstance(spec, ast.arguments) or function is None:
        return []
    given = [*spec.posonlyargs, *spec.args]
    defaults = [
        *zip(reversed(given), reversed(spec.defaults), strict=False),
        *zip(spec.kwonlyargs, spec.kw_defaults, strict=True),
    ]
    names = [parameter.arg for parameter, value in defaults if value is default]
    return [read for name in names for read in readers(function, name)]


def unknown_callers(
    function: ast.FunctionDef, home: AnalysedModule, modules: Iterable[AnalysedModule]
) -> Iterator[str]:
    """What may call a function of a file with other arguments than the analysis saw, a phrase each."""
    if not is_plain(home, function):
        yield f"what decorates `{function.name}` ({home.syntax.where(function)})"
    for module in modules:
        for reference in references(module.syntax, function.name):
            call = module.syntax.parent(reference)
            if not module.evaluated(reference):
                yield f"`{function.name}` in code that nothing runs ({module.syntax.where(reference)})"
            elif not module.uses.evaluated(module.path, reference):
                continue  # another program runs it, and is asked itself
            elif not isinstance(call, ast.Call) or (call.func is not reference and not transforms(module, call)):
                yield f"`{function.name}` is handed on ({module.syntax.where(reference)})"


def transforms(module: AnalysedModule, call: ast.Call) -> bool:
    """Whether a call gives a function back that the interpreter knows to call the one it was given."""
    callees = module.values(call.func)
    return bool(callees) and all(construct_of(c) in TRANSFORMS for c in callees)
