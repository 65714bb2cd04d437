"""What each kind of statement does to the abstract state. A handler says whether control goes on behind it."""

from __future__ import annotations

import ast
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar, cast, overload

from finallayer.catalog.conventions import Meaning, suggests
from finallayer.expr import Node
from finallayer.source.assignment import assign, scope_of
from finallayer.source.attributes import get_attribute
from finallayer.source.calls import invoke
from finallayer.source.containers import element, forget_length, sequence, truth
from finallayer.source.decorators import decorated
from finallayer.source.expressions import binary
from finallayer.source.interpreter import STATEMENTS, Interpreter, Statement
from finallayer.source.values import (
    FIELDS,
    STARRED,
    Bound,
    Built,
    Call,
    Class,
    External,
    Frame,
    Function,
    Lazy,
    Partial,
    Site,
    Value,
    is_constant,
    opaque,
    tuple_in,
)

N = TypeVar("N", bound=ast.stmt)
O = TypeVar("O", bound=ast.stmt)  # noqa: E741
P = TypeVar("P", bound=ast.stmt)
Handler = Callable[[Interpreter, N, Frame], bool]


@overload
def runs(one: type[N], /) -> Callable[[Handler[N]], Handler[N]]: ...
@overload
def runs(one: type[N], other: type[O], /) -> Callable[[Handler[N | O]], Handler[N | O]]: ...
@overload
def runs(one: type[N], other: type[O], third: type[P], /) -> Callable[[Handler[N | O | P]], Handler[N | O | P]]: ...
def runs(*types: type[ast.stmt]) -> Callable[[Handler[N]], Handler[N]]:
    """Registers what handles these kinds of statements."""

    def register(handler: Handler[N]) -> Handler[N]:
        STATEMENTS.update(dict.fromkeys(types, cast(Statement, handler)))
        return handler

    return register


@runs(ast.Expr)
def _expression(run: Interpreter, node: ast.Expr, frame: Frame) -> bool:
    value = run.evaluate(node.value, frame)
    if isinstance(value, Node) and _changes_in_place(node.value):
        assert isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Attribute)
        assign(run, node.value.func.value, value, frame)
    return True


def _changes_in_place(node: ast.expr) -> bool:
    """``x.clamp_(...)``: a tensor method whose name ends in an underscore, on a name or attribute."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and suggests(node.func.attr, Meaning.IN_PLACE)
        and isinstance(node.func.value, (ast.Name, ast.Attribute))
    )


@runs(ast.Assign)
def _assign(run: Interpreter, node: ast.Assign, frame: Frame) -> bool:
    value = run.evaluate(node.value, frame)
    for place in node.targets:
        assign(run, place, value, frame)
    return True


@runs(ast.AnnAssign)
def _annotated(run: Interpreter, node: ast.AnnAssign, frame: Frame) -> bool:
    if node.value is not None:
        assign(run, node.target, run.evaluate(node.value, frame), frame)
    return True


@runs(ast.AugAssign)
def _augmented(run: Interpreter, node: ast.AugAssign, frame: Frame) -> bool:
    left = run.evaluate(node.target, frame)
    right = run.evaluate(node.value, frame)
    assign(run, node.target, binary(run, type(node.op), left, right, Site(node, frame)), frame)
    return True


@runs(ast.Assert)
def _assert(run: Interpreter, node: ast.Assert, frame: Frame) -> bool:
    """What a test asserts of a model's output is a reader of it; no loss that it compares another with is a finding."""
    if run.uses is not None:
        visited, called = dict(run.visited), set(run.called)
        run.trail.attempt(lambda: run.evaluate(node.test, frame))
        run.visited, run.called = visited, called  # what only an assertion calls is run alone, too, as it is without it
    return True


@runs(ast.If)
def _if(run: Interpreter, node: ast.If, frame: Frame) -> bool:
    decided = truth(run.evaluate(node.test, frame))
    if decided is not None:
        return run.block(node.body if decided else node.orelse, frame)
    return run.trail.branch([partial(run.block, node.body, frame), partial(run.block, node.orelse, frame)])


@runs(ast.For, ast.AsyncFor)
def _for(run: Interpreter, node: ast.For | ast.AsyncFor, frame: Frame) -> bool:
    iterable = run.evaluate(node.iter, frame)
    items = sequence(iterable)
    if items and len(items) <= run.budget.most_unrolled:
        around, frame.continues = frame.continues, False
        for item in items:
            assign(run, node.target, item, frame)
            if not run.block(node.body, frame) and frame.returns and not frame.continues:
                break
        frame.continues = around
    else:
        assign(run, node.target, element(iterable), frame)
        _repeat(run, node.body, frame)
    return run.block(node.orelse, frame) if node.orelse else True


@runs(ast.While)
def _while(run: Interpreter, node: ast.While, frame: Frame) -> bool:
    run.evaluate(node.test, frame)
    _repeat(run, node.body, frame)
    return True


def _repeat(run: Interpreter, body: list[ast.stmt], frame: Frame) -> None:
    """A body that runs nobody knows how often, run once; what grows in it has no certain length any more."""
    run.loops += 1
    try:
        run.block(body, frame)
    finally:
        run.loops -= 1


@runs(ast.With, ast.AsyncWith)
def _with(run: Interpreter, node: ast.With | ast.AsyncWith, frame: Frame) -> bool:
    without_gradient = 0
    for item in node.items:
        value = run.evaluate(item.context_expr, frame)
        without_gradient += isinstance(value, Built) and value.signature.op == "no_grad"
        if item.optional_vars is not None:
            assign(run, item.optional_vars, value, frame)
    run.no_grad += without_gradient
    try:
        return run.block(node.body, frame)
    finally:
        run.no_grad -= without_gradient


@runs(ast.Try)
def _try(run: Interpreter, node: ast.Try, frame: Frame) -> bool:
    def way(handler: ast.ExceptHandler) -> bool:
        if handler.name:
            run.bind(frame, handler.name, opaque("exception"))
        return run.block(handler.body, frame)

    if run.block([*node.body, *node.orelse], frame):
        # The handlers are looked at for what stands in them; the state goes on as if nothing was raised.
        for handler in node.handlers:
            run.trail.attempt(partial(way, handler))
        return run.block(node.finalbody, frame)
    falls_through = run.trail.branch([partial(way, h) for h in node.handlers]) if node.handlers else False
    return run.block(node.finalbody, frame) and falls_through


@runs(ast.Match)
def _match(run: Interpreter, node: ast.Match, frame: Frame) -> bool:
    subject = run.evaluate(node.subject, frame)

    def way(case: ast.match_case) -> bool:
        for inner in ast.walk(case.pattern):
            if isinstance(inner, (ast.MatchAs, ast.MatchStar)) and inner.name:
                run.bind(frame, inner.name, opaque(inner.name, subject))
        return run.block(case.body, frame)

    return run.trail.branch([*(partial(way, case) for case in node.cases), lambda: True])


@runs(ast.Return)
def _return(run: Interpreter, node: ast.Return, frame: Frame) -> bool:
    frame.returns.append(run.evaluate(node.value, frame) if node.value is not None else None)
    return False


@runs(ast.Raise, ast.Break, ast.Continue)
def _leave(_run: Interpreter, node: ast.Raise | ast.Break | ast.Continue, frame: Frame) -> bool:
    frame.continues = frame.continues or isinstance(node, ast.Continue)
    return False


@runs(ast.Global)
def _global(_run: Interpreter, node: ast.Global, frame: Frame) -> bool:
    frame.globals |= frozenset(node.names)
    return True


@runs(ast.Nonlocal)
def _nonlocal(_run: Interpreter, node: ast.Nonlocal, frame: Frame) -> bool:
    frame.nonlocals |= frozenset(node.names)
    return True


@runs(ast.FunctionDef, ast.AsyncFunctionDef)
def _function(run: Interpreter, node: ast.FunctionDef | ast.AsyncFunctionDef, frame: Frame) -> bool:
    function = run.define(node, frame)
    value: Value = function
    for decorator in reversed(node.decorator_list):
        value = decorated(run, value, run.evaluate(decorator, frame), Site(decorator, frame))
    run.bind(scope_of(node.name, frame), node.name, value)
    return True


@runs(ast.ClassDef)
def _class(run: Interpreter, node: ast.ClassDef, frame: Frame) -> bool:
    cls = Class(node, [run.evaluate(b, frame) for b in node.bases])
    body = Frame(frame.module, frame)
    run.block(node.body, body)
    for name, value in body.vars.items():
        run.write(cls.slots, name, value)
        function = value.function if isinstance(value, (Partial, Bound)) else value
        if isinstance(function, Function) and function.owner is None:
            function.owner = cls
    cls.slots.setdefault(FIELDS, _fields(node))
    _tell_parent(run, cls, Site(node, frame))
    made: Value = cls
    for decorator in reversed(node.decorator_list):
        made = decorated(run, made, run.evaluate(decorator, frame), Site(decorator, frame))
    run.bind(scope_of(node.name, frame), node.name, made)
    return True


def _tell_parent(run: Interpreter, cls: Class, site: Site) -> None:
    """A class that is defined is handed to ``__init_subclass__`` of the class that it derives from."""
    hook = cls.find("__init_subclass__", after=cls)
    if isinstance(hook, Function):
        assert isinstance(site.node, ast.ClassDef)
        given = {k.arg: run.evaluate(k.value, site.frame) for k in site.node.keywords if k.arg is not None}
        run.call_function(hook, Call([cls], given, site))


@runs(ast.Delete)
def _delete(run: Interpreter, node: ast.Delete, frame: Frame) -> bool:
    for place in node.targets:
        if isinstance(place, ast.Subscript):
            owner, index = run.evaluate(place.value, frame), run.evaluate(place.slice, frame)
            if is_constant(index):
                invoke(run, get_attribute(run, owner, "pop"), Call([index], {}, Site(node, frame)))
            else:
                forget_length(run, owner)
    return True


def _fields(node: ast.ClassDef) -> tuple[str, ...]:
    """Annotated names of a class body: the fields of a dataclass or flax module, in order."""
    return tuple(s.target.id for s in node.body if isinstance(s, ast.AnnAssign) and isinstance(s.target, ast.Name))


@runs(ast.Import)
def _import(run: Interpreter, node: ast.Import, frame: Frame) -> bool:
    for alias in node.names:
        top = alias.name.partition(".")[0]
        if alias.asname:
            run.bind(frame, alias.asname, imported(run, alias.name, frame))
        else:
            run.bind(frame, top, imported(run, top, frame))
    return True


def imported(run: Interpreter, dotted: str, frame: Frame) -> Value:
    """The module by that name: the project's own, run when it is first used, or an external one."""
    path = run.project.find(frame.module.path, dotted)
    return External(dotted) if path is None else Lazy(path, None)


@runs(ast.ImportFrom)
def _import_from(run: Interpreter, node: ast.ImportFrom, frame: Frame) -> bool:
    module = node.module or ""
    path = run.project.find(frame.module.path, module, node.level)
    for alias in node.names:
        if alias.name == "*":
            _import_all(run, module if path is None else path, frame)
            continue
        run.bind(frame, alias.asname or alias.name, _name_from(run, node, path, alias.name, frame))
    return True


def _name_from(run: Interpreter, node: ast.ImportFrom, path: Path | None, name: str, frame: Frame) -> Value:
    inside = f"{node.module}.{name}" if node.module else name
    inner = run.project.find(frame.module.path, inside, node.level)
    if inner is not None and path is None:
        return Lazy(inner, None)
    if inner is not None and path is not None and path.name == "__init__.py":
        return Lazy(path, name, within=inner)
    if path is not None:
        return Lazy(path, name)
    if node.level:  # a module of the project's own that isn't at hand
        return External(f".{inside}") if suggests(name, Meaning.OPERATION) else opaque(f"module {inside}")
    return get_attribute(run, External(node.module or ""), name)


def _import_all(run: Interpreter, source: Path | str, frame: Frame) -> None:
    module = frame.module.frame.vars
    if isinstance(source, str):
        run.write(module, STARRED, (*tuple_in(module, STARRED), External(source)))
        return
    names = run.names(source, frame)
    for name, value in list(names.vars.items()) if names is not None else ():
        if not name.startswith("_"):
            run.bind(frame, name, value)
