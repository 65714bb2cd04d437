"""Which statement a name got its value from, where the syntax alone makes that certain."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from finallayer.catalog.conventions import Meaning, suggests
from finallayer.fix.text.syntax import Scope, Syntax, last_name
from finallayer.source.walking import children, walk

Path = str  #: a name, or an attribute of one: ``p``, ``self.p``
_LOOPS = (ast.For, ast.AsyncFor, ast.While)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
#: Methods that are called as if they changed a tensor, whose numbers stay.
_KEEPING_NUMBERS = frozenset({"requires_grad_", "detach_", "share_memory_"})
#: Functions that show every name of a scope, or run text that may read any.
_SHOWING = frozenset({"locals", "vars", "dir", "eval", "exec"})
_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")


def path_of(node: ast.AST) -> Path | None:
    """The path that a name or an attribute of a name spells; None for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return f"{node.value.id}.{node.attr}"
    return None


def binds(node: ast.AST, path: Path) -> bool:
    """Whether a path, or the object that it starts from, may get another value somewhere in a statement."""
    return _written(node).binds(path)


def binds_itself(node: ast.AST, path: Path) -> bool:
    """Whether a statement binds the attribute itself, and not only the object that it belongs to."""
    return path in _written(node).attributes


def _binds_here(node: ast.AST, path: Path) -> bool:
    if isinstance(node, ast.Attribute):
        return not isinstance(node.ctx, ast.Load) and path_of(node) == path
    return any(name in (path, path.partition(".")[0]) for name in _bound_here(node))


class _Written(NamedTuple):
    """The paths that a statement binds, and those whose arrays it may change in place."""

    attributes: frozenset[Path | None]
    names: frozenset[str]
    arrays: frozenset[Path | None]

    def binds(self, path: Path) -> bool:
        return path in self.attributes or path in self.names or path.partition(".")[0] in self.names


@lru_cache(maxsize=8192)  # the same statements are asked about every path that is looked for
def _written(node: ast.AST) -> _Written:
    nodes = list(_same_scope(node))
    return _Written(
        frozenset(path_of(n) for n in nodes if isinstance(n, ast.Attribute) and not isinstance(n.ctx, ast.Load)),
        frozenset(name for n in nodes for name in _bound_here(n)),
        frozenset(path_of(_viewed(array)) for n in nodes for array in changed_arrays(n)),
    )


def _bound_here(node: ast.AST) -> Sequence[str]:
    """The names that a syntax node itself binds."""
    match node:
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
            return (name,)
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return (name,)
        case ast.Global(names=names) | ast.Nonlocal(names=names):
            return names
        case ast.alias(name=name, asname=asname):
            return (asname or name.partition(".")[0],)
        case (
            ast.ExceptHandler(name=str() as name) | ast.MatchAs(name=str() as name) | ast.MatchStar(name=str() as name)
        ):
            return (name,)
    return ()


def alters(node: ast.AST, path: Path) -> bool:
    """Whether a path may get another value somewhere in a statement, or its value other numbers."""
    written = _written(node)
    return written.binds(path) or path in written.arrays


def changes_in_place(node: ast.AST, path: Path) -> bool:
    """``p[0] = 1``, ``p += 1``, ``p.clamp_(0, 1)``: another name of the same array shows the change, too."""
    return any(path_of(_viewed(array)) == path for array in changed_arrays(node))


def changed_arrays(node: ast.AST) -> Sequence[ast.expr]:
    """The arrays, or parts of some, that a syntax node itself may change, as they are written there."""
    match node:
        case ast.Subscript(value=owner, ctx=ast.Store() | ast.Del()) | ast.AugAssign(target=owner):
            return (owner,)
        case ast.keyword(arg="out", value=value):
            return value.elts if isinstance(value, (ast.Tuple, ast.List)) else (value,)
        case ast.Call(func=func, args=args, keywords=given):  # p.relu_(), torch.relu_(p), F.relu(p, inplace=True)
            named = suggests(last_name(func), Meaning.IN_PLACE) and last_name(func) not in _KEEPING_NUMBERS
            told = any(k.arg == "inplace" and getattr(k.value, "value", True) for k in given)
            owners = [func.value] if isinstance(func, ast.Attribute) and named else []
            return owners + args[:1] if named or told else ()
    return ()


def _viewed(node: ast.expr) -> ast.expr:
    """The array that an expression is a part of: ``p`` of ``p[:, 0]`` and ``p.data``."""
    while isinstance(node, ast.Subscript) or (isinstance(node, ast.Attribute) and node.attr in ("data", "T")):
        node = node.value
    return node


def changes_after(syntax: Syntax, place: ast.expr, array: ast.expr) -> bool:
    """Whether a function changes an array, which an expression names or is a part of, in place after a place."""
    path, scope = path_of(_viewed(array)), syntax.scope(place)
    body = scope.body if not isinstance(scope, ast.Lambda) and path is not None else []
    later = (s for s in body if (s.end_lineno or s.lineno) > place.lineno)
    return any(
        changes_in_place(n, path or "") and getattr(n, "lineno", 0) > place.lineno
        for s in later
        for n in _same_scope(s)
    )


def _same_scope(node: ast.AST) -> Iterator[ast.AST]:
    """A node and what is below it, without the insides of functions and classes that it defines."""
    yield node
    if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
        return
    for child in children(node):
        yield from _same_scope(child)


def reaching(syntax: Syntax, use: ast.AST, path: Path) -> ast.AST | None:
    """The statement, or the parameters, that last altered a path before a use on every way there; None if unsure."""
    if path.partition(".")[0] in syntax.declared:
        return None
    node: ast.AST = syntax.statement(use)
    scope = syntax.scope(use)
    if isinstance(scope, ast.Lambda) or (binds(node, path) and not _is_plain(node)):
        return None
    while node is not scope:
        parent = syntax.parent(node)
        if parent is None:
            return None
        for sibling in reversed(_before(parent, node)):
            if alters(sibling, path):
                return _innermost(sibling, path)
        if isinstance(parent, (*_LOOPS, ast.Try)) and alters(parent, path):
            return None  # it may come from the round before, or from where the exception was raised
        if parent is not scope and not isinstance(parent, ast.stmt) and binds(parent, path):
            return None
        if isinstance(parent, (ast.With, ast.AsyncWith)) and any(binds(item, path) for item in parent.items):
            return parent
        node = parent
    return _from_outside(syntax, scope, path)


def _innermost(statement: ast.AST, path: Path) -> ast.AST:
    """The statement itself, or the last in the body of a ``with``, which always runs, that alters the path."""
    while isinstance(statement, (ast.With, ast.AsyncWith)):
        inner = [s for s in statement.body if alters(s, path)]
        if not inner:
            return statement
        statement = inner[-1]
    return statement


def _is_plain(node: ast.AST) -> bool:
    """Whether a statement reads everything before it binds anything."""
    inner = any(isinstance(n, (ast.NamedExpr, ast.comprehension)) for n in walk(node))
    return isinstance(node, (ast.Assign, ast.AugAssign, ast.AnnAssign)) and not inner


def _before(parent: ast.AST, node: ast.AST) -> list[ast.AST]:
    """The nodes of the same block that run before a node."""
    for name in _BLOCKS:
        block = getattr(parent, name, None)
        if isinstance(block, list) and node in block:
            return block[: block.index(node)] if name != "handlers" and name != "cases" else []
    return []


def _from_outside(syntax: Syntax, scope: Scope, path: Path) -> ast.AST | None:
    """Where a path comes from that nothing before a use in its function binds."""
    if isinstance(scope, ast.Module):
        return None
    root = path.partition(".")[0]
    if root == path and root in parameters(scope):
        return scope.args  # bound later, perhaps, but by no round of a loop around the use
    if any(binds(statement, path) for statement in _body(scope)):
        return None  # bound later in the function: by a round of a loop that we don't follow
    if root in parameters(scope):
        return only_binding(syntax, path)
    if any(root in parameters(f) or any(binds(s, path) for s in _body(f)) for f in _functions_around(syntax, scope)):
        return None
    return only_binding(syntax, path)


def only_binding(syntax: Syntax, path: Path) -> ast.AST | None:
    """The one statement of the file that binds a module's name, or an attribute by that name, if there is just one."""
    root, _, attribute = path.partition(".")
    if attribute:
        stores = [
            n
            for n in syntax.nodes
            if isinstance(n, ast.Attribute) and n.attr == attribute and not isinstance(n.ctx, ast.Load)
        ]
        if len(stores) != 1 or path_of(stores[0]) is None:
            return None
        return syntax.statement(stores[0])
    statements = [s for s in syntax.file.tree.body if binds(s, root)]
    bound = [n for s in statements for n in _same_scope(s) if _binds_here(n, root)]
    return _innermost(statements[0], root) if len(bound) == 1 else None


def _body(scope: Scope) -> list[ast.stmt]:
    return [] if isinstance(scope, ast.Lambda) else scope.body


def parameters(scope: Scope) -> set[str]:
    """The names of a function's parameters."""
    if isinstance(scope, ast.Module):
        return set()
    spec = scope.args
    return {a.arg for a in (*spec.posonlyargs, *spec.args, *spec.kwonlyargs, spec.vararg, spec.kwarg) if a is not None}


@lru_cache(maxsize=1024)  # a file's names all ask
def _own_names(scope: Scope) -> frozenset[str]:
    """The names that a function binds besides its parameters."""
    return frozenset(name for s in _body(scope) for n in _same_scope(s) for name in _bound_here(n))


def home(syntax: Syntax, name: ast.Name) -> Scope:
    """The function that a name belongs to, its own or one around it; the module where none binds it."""
    scopes = [n for n in syntax.around(name) if isinstance(n, _FUNCTIONS)]
    for scope in scopes:
        if name.id in parameters(scope) or name.id in _own_names(scope):
            return scope
    return syntax.file.tree


def _functions_around(syntax: Syntax, scope: Scope) -> Iterator[Scope]:
    for node in syntax.around(scope):
        if isinstance(node, _FUNCTIONS):
            yield node


def unchanged(syntax: Syntax, expression: ast.expr, there: ast.AST, here: ast.AST) -> bool:
    """Whether a name or attribute has the same value at two places, one of them where it is written."""
    path = path_of(expression)
    if path is None:
        return False
    first, second = reaching(syntax, there, path), reaching(syntax, here, path)
    return first is not None and first is second and not _is_bound_from_afar(syntax, there, here, path)


def _begins(node: ast.AST) -> tuple[int, int]:
    return getattr(node, "lineno", 0), getattr(node, "col_offset", 0)


def _is_bound_from_afar(syntax: Syntax, there: ast.AST, here: ast.AST, path: Path) -> bool:
    """Whether an attribute may get another value between two places: in a function called there, or by another name.

    What ``__init__`` binds, and what the function itself binds before the first place, is bound by then.
    """
    attribute, first = path.partition(".")[2], syntax.statement(there)
    stores = (n for n in syntax.nodes if isinstance(n, ast.Attribute) and n.attr == attribute)
    written = [syntax.statement(n) for n in stores if attribute and not isinstance(n.ctx, ast.Load)]
    scope = syntax.scope(first)
    elsewhere = [s for s in written if syntax.scope(s) is not scope]
    between = [s for s in written if s not in elsewhere and _begins(first) < _begins(s) <= _begins(here)]
    return bool(between) or any(getattr(syntax.scope(s), "name", "") != "__init__" for s in elsewhere)


def readers(scope: ast.AST, name: str) -> list[ast.Name]:
    """Everywhere that a name is read in a scope, inner functions included."""
    return list(_read_in(scope).get(name, ()))


@lru_cache(maxsize=1024)
def _read_in(scope: ast.AST) -> dict[str, list[ast.Name]]:
    found: dict[str, list[ast.Name]] = {}
    for node in walk(scope):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            found.setdefault(node.id, []).append(node)
    return found


def are_shown(scope: ast.AST) -> bool:
    """Whether a function shows all its names to somebody, as ``locals()`` does: none may come or go unseen."""
    return any(readers(scope, name) for name in _SHOWING)
