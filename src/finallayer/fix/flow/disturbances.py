"""What the analysis doesn't follow, and what makes a finding's numbers others than it took them for.

It follows ``p.clamp_(0)`` and ``p += 1`` for the name that is written there. An array that goes by two names, a view of
it, a part that is assigned, ``out=``: there the other name's numbers change, too. Nor does it see that a program puts
functions of its own in the place of a framework's, or what an unknown decorator does to a function.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from finallayer.catalog import method
from finallayer.catalog.frameworks import family
from finallayer.catalog.names import canonical
from finallayer.expr import GUARDS, MOVES, TRANSPARENT, Node, Origin, Role, having
from finallayer.findings import Sighting
from finallayer.fix.flow.analysed import AnalysedModule
from finallayer.fix.flow.bindings import changed_arrays, path_of
from finallayer.fix.flow.callers import is_plain
from finallayer.fix.flow.context import Context
from finallayer.fix.flow.known_calls import known_call
from finallayer.fix.text.syntax import Syntax, is_inside
from finallayer.source.symbols import signature_of
from finallayer.source.values import External

#: What lies between the logits and a finding, and is made of them alone.
_ON_THE_WAY = MOVES | GUARDS | having(Role.HEAD) | {"bernoulli", "one_minus", "exp", "log"}
_COPIES = frozenset({"clone", "copy", "deepcopy", "array", "tensor"})
#: NumPy's functions that change the array which they are handed first.
_CHANGE_FIRST = frozenset(
    "numpy.copyto numpy.put numpy.place numpy.putmask numpy.put_along_axis numpy.fill_diagonal "
    "numpy.random.shuffle".split()
)
_CALLED = frozenset({"forward", "__call__", "call"})
_TENSORS = frozenset({"Tensor", "Variable", "ndarray"})
_PATCHES = frozenset({"setattr", "patch"})


def is_disturbed(sighting: Sighting, context: Context) -> bool:
    """Whether the numbers of a finding may be others than the analysis took them for."""
    program = _program(context)
    if program.is_patched:
        return True
    reader = sighting.node
    found = context.module_at(reader.origin)
    place = found.syntax.expression(reader.origin) if found is not None else None
    numbers = {(n, n.origin) for n in _way(reader)}
    return any(
        any((n, n.origin) in numbers for v in module.values(array) for n in _shared(module, v))
        and not (place is not None and module is found and _runs_after(module.syntax, change, place, reader))
        and not _is_followed(module, change, array, numbers)
        for module, change, array in program.changes
    )


class _Program(NamedTuple):
    """What may disturb any number of a program."""

    is_patched: bool  # it puts functions of its own in the place of a framework's
    changes: tuple[tuple[AnalysedModule, ast.AST, ast.expr], ...]  # the places at which an array may be changed


def _program(context: Context) -> _Program:
    known = context.kept(_Program)
    if isinstance(known, _Program):
        return known
    modules = context.modules().values()
    is_patched = any(_puts_another(module, node) for module in modules for node in _replacing(module.syntax))
    changes = tuple((module, change, array) for module in modules for change, array in _changes(module))
    return context.keep(_Program, _Program(is_patched, changes))


def strangers(sighting: Sighting, context: Context) -> Iterator[str]:
    """Decorators that nobody knows, of functions through which a finding's numbers come; a phrase each."""
    home = context.module_at(sighting.node.origin)
    place = home.syntax.expression(sighting.node.origin) if home is not None else None
    seen = set(home.syntax.around(place)) if home is not None and place is not None else set()
    for node in _way(sighting.node):
        module = context.module_at(node.origin)
        made = module.syntax.expression(node.origin) if module is not None else None
        if module is None or made is None:
            continue
        for function in module.syntax.around(made):
            if isinstance(function, ast.FunctionDef) and function not in seen and not is_plain(module, function):
                seen.add(function)
                yield f"what decorates `{function.name}` ({module.syntax.where(function)})"


def _way(reader: Node) -> Iterator[Node]:
    """What a reader reads, down to the logits and what moves them."""
    node = reader.args[0] if reader.args else None
    if reader.op in _ON_THE_WAY:
        yield reader
    while node is not None:
        yield node
        node = node.args[0] if node.op in _ON_THE_WAY and node.args else None


@lru_cache(maxsize=64)
def _changing(syntax: Syntax) -> tuple[ast.AST, ...]:
    """What changes an array, or is a call, which may do so."""
    return tuple(n for n in syntax.nodes if isinstance(n, ast.Call) or changed_arrays(n))


def _changes(module: AnalysedModule) -> Iterator[tuple[ast.AST, ast.expr]]:
    """Every place at which an array may be changed, and the expression that names it."""
    for node in _changing(module.syntax):
        arrays = changed_arrays(node) or (_changed_by_numpy(module, node) if isinstance(node, ast.Call) else ())
        yield from ((node, array) for array in arrays)


def _changed_by_numpy(module: AnalysedModule, call: ast.Call) -> Sequence[ast.expr]:
    """``np.copyto(p, q)``; ``np.exp(p, p)``, where the result goes into the last argument."""
    names = [v.name for v in module.values(call.func) if isinstance(v, External)]
    if call.args and any(canonical(name) in _CHANGE_FIRST for name in names):
        return call.args[:1]
    if not names or family(names[0]) != "numpy":
        return ()
    known = known_call(module, call)
    return [a.node for a in known.arguments if not a.meaning] if known is not None else ()


def _shared(module: AnalysedModule, value: object) -> Iterator[Node]:
    """The nodes whose numbers lie where a value's do: what it is a view of, or a part."""
    left = [value]
    while left:
        node = left.pop()
        if isinstance(node, Node):
            yield node
            if node.op in TRANSPARENT and not _is_copy(module, node):
                left += node.args


def _is_copy(module: AnalysedModule, node: Node) -> bool:
    made = module.syntax.expression(node.origin)
    return isinstance(made, ast.Call) and (getattr(made.func, "attr", None) or getattr(made.func, "id", "")) in _COPIES


def _is_followed(
    module: AnalysedModule, change: ast.AST, array: ast.expr, numbers: set[tuple[Node, Origin | None]]
) -> bool:
    """Whether the interpreter makes a change, too: it is of a name, and nothing else goes by those numbers."""
    syntax = module.syntax
    is_method = isinstance(change, ast.Call) and isinstance(syntax.parent(change), ast.Expr)
    if path_of(array) is None or not (is_method or isinstance(change, ast.AugAssign)):
        return False
    if isinstance(change, ast.Call) and not (isinstance(change.func, ast.Attribute) and change.func.value is array):
        return False
    names = {
        (syntax.scope(n), path_of(n))
        for n in syntax.nodes
        if isinstance(n, (ast.Name, ast.Attribute))
        and path_of(n) is not None
        and any((held, held.origin) in numbers for v in module.values(n) for held in _shared(module, v))
    }
    return names <= {(syntax.scope(array), path_of(array))}


def _runs_after(syntax: Syntax, change: ast.AST, place: ast.expr, reader: Node) -> bool:
    """Whether a change certainly comes when all has been read: further down, on what this round of a loop made."""
    begins = getattr(change, "lineno", 0), getattr(change, "col_offset", 0)
    if syntax.scope(change) is not syntax.scope(place) or begins < (place.end_lineno, place.end_col_offset):
        return False
    loops = (n for n in syntax.around(change) if isinstance(n, (ast.For, ast.While)) and is_inside(n, place))
    loop, made = next(loops, None), reader.args[0].origin if reader.args else None
    return loop is None or (made is not None and loop.lineno <= made.line <= (loop.end_lineno or 0))


@lru_cache(maxsize=64)
def _replacing(syntax: Syntax) -> tuple[ast.AST, ...]:
    """Where a file may put something else in the place of a framework's function."""
    stored = (n for n in syntax.nodes if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store))
    named = (n for n in syntax.nodes if isinstance(n, ast.Call) and _has_text(n))
    return (*stored, *named)


def _has_text(call: ast.Call) -> bool:
    return any(isinstance(a, ast.Constant) and isinstance(a.value, str) for a in call.args[:2])


def _puts_another(module: AnalysedModule, node: ast.AST) -> bool:
    """``F.softmax = mine``, ``setattr(F, "softmax", mine)``, ``patch("torch.softmax", mine)``."""
    match node:
        case ast.Attribute(value=owner, attr=name):
            return _is_known(module, owner, name)
        case ast.Call(func=ast.Name(id=called) | ast.Attribute(attr=called), args=[ast.Constant(value=str(name)), *_]):
            return called in _PATCHES and signature_of(name) is not None
        case ast.Call(args=[owner, ast.Constant(value=str(name)), _, *_]):
            return _is_known(module, owner, name)
    return False


def _is_known(module: AnalysedModule, owner: ast.expr, name: str) -> bool:
    """Whether a member of a framework's module, or class, is one that the catalogue says the meaning of."""
    owners = [v.name for v in module.values(owner) if isinstance(v, External)]
    return any(
        signature_of(f"{o}.{name}") is not None
        or (name in _CALLED and signature_of(o) is not None)
        or (o.rpartition(".")[2] in _TENSORS and method(name) is not None)
        for o in owners
    )
