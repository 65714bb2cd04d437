"""What each kind of statement does to the abstract state. A handler says whether control goes on behind it."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar, cast, overload

from finallayer.catalog.conventions import Meaning, suggests
from finallayer.catalog.frameworks import BY_ROOT
from finallayer.expr import Node
from finallayer.source.arg_scopes import scopes_of
from finallayer.source.asking import cases, found_out
from finallayer.source.assignment import assign, change, scope_of
from finallayer.source.attributes import get_attribute
from finallayer.source.budget import Shortfall
from finallayer.source.calls import invoke
from finallayer.source.conditions import Clause, Fact
from finallayer.source.containers import element, forget_length, sequence, truth
from finallayer.source.decorators import decorated
from finallayer.source.expressions import binary
from finallayer.source.interpreter import STATEMENTS, Interpreter, Loop, Statement
from finallayer.source.rounds import counted_from, last_item
from finallayer.source.surgery import leave_out
from finallayer.source.trail import Change, Changes, Place
from finallayer.source.values import (
    FIELDS,
    MISSING,
    MOST_ANCESTORS,
    STARRED,
    Bound,
    Built,
    Call,
    Class,
    External,
    Frame,
    Function,
    Lazy,
    Missing,
    Partial,
    Site,
    Value,
    is_constant,
    opaque,
    tuple_in,
    union,
)
from finallayer.source.walking import walk

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
        change(run, node.value.func.value, value, frame)
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
    ways = [partial(run.block, node.body, frame), partial(run.block, node.orelse, frame)]
    return run.fork([*ways], [*found_out(run, node.test, frame)])


@runs(ast.For, ast.AsyncFor)
def _for(run: Interpreter, node: ast.For | ast.AsyncFor, frame: Frame) -> bool:
    iterable = run.evaluate(node.iter, frame)
    items = sequence(iterable)
    if items and len(items) <= run.budget.most_unrolled:
        around, frame.continues = frame.continues, False
        for item in items:
            assign(run, node.target, item, frame)
            goes_on = run.supposing((), partial(run.block, node.body, frame))
            if not goes_on and frame.returns and not frame.continues:
                break
        frame.continues = around
    else:
        item = element(iterable)
        assign(run, node.target, item, frame)
        _repeat(run, node, frame)
        last = last_item(run, node, iterable, item, frame)
        if not isinstance(last, Missing):
            _last_round(run, node, last, frame)
    return run.block(node.orelse, frame) if node.orelse else True


def _last_round(run: Interpreter, node: ast.For | ast.AsyncFor, item: Value, frame: Frame) -> None:
    index = counted_from(item[0] if isinstance(item, tuple) and item else item)
    around = run.ends
    run.ends = run.ends | {index[0]} if index is not None else run.ends
    assign(run, node.target, item, frame)
    _repeat(run, node, frame)
    run.ends = around


@runs(ast.While)
def _while(run: Interpreter, node: ast.While, frame: Frame) -> bool:
    run.evaluate(node.test, frame)
    _repeat(run, node, frame)
    return True


def _repeat(run: Interpreter, loop: Loop, frame: Frame) -> None:
    """A body that runs nobody knows how often, run once; what grows in it has no certain length any more."""
    run.repeating.append(loop)
    flags = {name: value for name, value in frame.vars.items() if isinstance(value, bool)}
    try:
        before = run.trail.mark()
        run.supposing((), partial(run.block, loop.body, frame))
        turned = any(frame.vars.get(name) is (not value) for name, value in flags.items())
        if turned or run.trail.turned_over(before):  # the first round is one of its own
            run.supposing((), partial(run.block, loop.body, frame))
    finally:
        run.repeating.pop()


@runs(ast.With, ast.AsyncWith)
def _with(run: Interpreter, node: ast.With | ast.AsyncWith, frame: Frame) -> bool:
    without_gradient, scopes = 0, run.scopes
    for item in node.items:
        value = run.evaluate(item.context_expr, frame)
        without_gradient += isinstance(value, Built) and value.signature.op == "no_grad"
        scopes = [*scopes, *scopes_of(value)]
        if item.optional_vars is not None:
            assign(run, item.optional_vars, value, frame)
    run.no_grad += without_gradient
    around, run.scopes = run.scopes, scopes
    try:
        return run.block(node.body, frame)
    finally:
        run.no_grad -= without_gradient
        run.scopes = around


@runs(ast.Try)
def _try(run: Interpreter, node: ast.Try, frame: Frame) -> bool:
    """The state goes on as if nothing was raised; but what nobody knows is what a handler leaves in its place."""
    goes_on, changes = run.trail.attempt(partial(run.block, [*node.body, *node.orelse], frame))
    after = run.taken

    def way(handler: ast.ExceptHandler) -> bool:
        run.trail.repeat({place: change for place, change in changes.items() if change[1] not in change[0]})
        if handler.name:
            run.bind(frame, handler.name, opaque("exception"))
        return run.block(handler.body, frame)

    if not goes_on:
        handled = (
            run.fork([partial(way, h) for h in node.handlers], _places(node, node.handlers)) if node.handlers else False
        )
        return run.block(node.finalbody, frame) and handled
    caught = [run.supposing((), partial(run.trail.attempt, partial(way, handler))) for handler in node.handlers]
    run.taken = after
    fallbacks = [left for handled, left in caught if handled]
    stand_ins = {place: _left(changes[place], place, fallbacks) for place in changes if fallbacks}
    run.trail.repeat(changes)
    _fall_back(run, changes, stand_ins, _places(node, [node, *node.handlers]))
    return run.block(node.finalbody, frame)


def _places(node: ast.AST, ways: Sequence[ast.AST]) -> list[Clause]:
    """What tells ways apart of which nobody knows what decides: that only one of them is taken."""
    return [((Fact(("way of", id(node)), True, frozenset((i,)), frozenset()),),) for i in range(len(ways))]


def _left(change: Change, place: Place, fallbacks: list[Changes]) -> list[Value | Missing]:
    """What each handler leaves at a place that has not been written yet."""
    slots, key, _ = change
    return [left[place][2] if place in left else slots.get(key, MISSING) for left in fallbacks]


def _fall_back(
    run: Interpreter, changes: Changes, stand_ins: dict[Place, list[Value | Missing]], places: list[Clause]
) -> None:
    """What stands in for a name where its import fails, or for a value that the analysis doesn't know."""
    for place, left in stand_ins.items():
        slots, key, tried = changes[place]
        if isinstance(tried, Missing) or not _is_foreign(tried):
            continue
        known = [(v, w) for v, w in zip(left, places[1:], strict=False) if v is not None and not isinstance(v, Missing)]
        values: list[Value] = [tried, *(v for v, _ in known)]
        if known:
            run.write(slots, key, union(values, [(places[0],), *((w,) for _, w in known)]))


def _is_foreign(value: Value) -> bool:
    """Whether nobody knows a value: a name of a module that isn't at hand, or what one gave."""
    if isinstance(value, External):
        return value.name.partition(".")[0] not in BY_ROOT
    return isinstance(value, Node) and value.op == "opaque"


@runs(ast.Match)
def _match(run: Interpreter, node: ast.Match, frame: Frame) -> bool:
    subject = run.evaluate(node.subject, frame)

    def way(case: ast.match_case) -> bool:
        for inner in walk(case.pattern):
            if isinstance(inner, (ast.MatchAs, ast.MatchStar)) and inner.name:
                run.bind(frame, inner.name, opaque(inner.name, subject))
        return run.block(case.body, frame)

    ways: list[Callable[[], bool]] = [partial(way, case) for case in node.cases]
    clauses, exhaustive = cases(run, node, frame)
    return run.fork(ways if exhaustive else [*ways, lambda: True], clauses)


@runs(ast.Return)
def _return(run: Interpreter, node: ast.Return, frame: Frame) -> bool:
    value = run.evaluate(node.value, frame) if node.value is not None else None
    frame.returns.append((value, run.taken))
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
    if len(cls.ancestry()) >= MOST_ANCESTORS:
        run.budget.left_out(Shortfall.ANCESTORS, Site(node, frame).origin)
    run.definitions += 1
    body = Frame(frame.module, frame)
    run.block(node.body, body)
    for name, value in body.vars.items():
        run.write(cls.slots, name, value)
        if run.uses is not None:
            run.uses.keeps(cls, name, value)
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
            leave_out(run, place, owner, frame)
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
