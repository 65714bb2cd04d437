"""Where the edited program shows something else than the old one: what differs, followed to where it is seen.

An expression that stands for something else is fine while what is around it is explained: it amounts to the same, or
it is followed on. What ends a chain is a sink: a value returned to nobody known, printed, kept, asked in a branch.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

from finallayer.expr import Node, Role, having
from finallayer.fix.flow.analysed import AnalysedModule, alternatives
from finallayer.fix.flow.bindings import home
from finallayer.fix.flow.callers import reads_of_default
from finallayer.fix.flow.known_calls import known_call
from finallayer.fix.flow.roles import HARMLESS_CALLS, is_numberless, runs_project_code
from finallayer.fix.flow.unrun import asks_nothing
from finallayer.fix.text.syntax import Syntax
from finallayer.fix.validation.forms import Forms
from finallayer.fix.validation.programs import Programs
from finallayer.kinds import PROBABILITY_KINDS
from finallayer.source.handlers import OF_MODELS
from finallayer.source.values import Bound, Built, Class, Dict, External, Function, Instance, List, Value, is_constant

_READERS = having(Role.READER)
#: What shows, or runs, whatever a scope holds.
_NAMESPACES = frozenset("globals locals vars eval exec".split())
#: What a variable of the module is called that nothing reads, unless somebody imports it or looks at it.
_UNREAD = "the module's"


class Status(IntEnum):
    """What became of an expression, the gravest last."""

    SAME = 0
    UNSEEN = 1  # no analysis came here
    UNKNOWN = 2  # only one of both did
    DIFFERS = 3


class Sink(NamedTuple):
    """A place at which the programs differ, or can't be compared, and what sees it there."""

    status: Status
    path: str
    node: ast.AST
    what: str


class Differences:
    """All that differs between two programs, by the forms of their values."""

    def __init__(self, programs: Programs, before: Forms, after: Forms) -> None:
        self._programs, self._before, self._after = programs, before, after
        self._status: dict[tuple[str, ast.expr], Status] = {}

    def sinks(self) -> Iterator[Sink]:
        """Every place at which a difference is seen."""
        for path, module in self._programs.modules.items():
            for node in list(self._programs.old.values.get(path, ())):
                if self.status(path, node) in (Status.DIFFERS, Status.UNKNOWN):
                    yield from self._seen_by(module, node)
        yield from self._in_code_that_nothing_runs()

    def status(self, path: str, node: ast.expr) -> Status:
        """What became of an expression of the old program; UNSEEN, too, for what the fix has rewritten."""
        key = path, node
        if key not in self._status:
            self._status[key] = self._compared(path, node)
        return self._status[key]

    def _compared(self, path: str, node: ast.expr) -> Status:
        if self._programs.counterpart(path, node) is None:
            return Status.UNSEEN
        old, new = self._programs.before(path, node), self._programs.after(path, node)
        if not old or not new:
            return Status.UNKNOWN if old or new else Status.UNSEEN
        if len(old) == len(new) and all(map(_are_alike, old, new)):
            return Status.SAME
        same = {self._before.of(v) for v in old} == {self._after.of(v) for v in new}
        return Status.SAME if same else Status.DIFFERS

    def _seen_by(self, module: AnalysedModule, node: ast.expr) -> Iterator[Sink]:
        """The sink that an expression which differs ends in, if it does."""
        what = self._end(module, node)
        if what:
            unread = what.startswith(_UNREAD) and all(map(_is_output, module.values(node)))
            open_to_all = unread or any(map(_is_object, module.values(node)))
            status = Status.UNKNOWN if open_to_all else self.status(module.path, node)
            yield Sink(status, module.path, node, what)

    def _end(self, module: AnalysedModule, node: ast.expr) -> str:
        """What sees an expression at its place; empty where it is followed on."""
        inner, around = module.syntax.user(node)
        if self._reads(module, node):
            return "what a metric or threshold says"
        match around:
            case ast.Call() if inner is around.func:
                return "" if self._explains(module, around) else "what an unknown call gives"
            case ast.Call() if isinstance(inner, ast.Starred) and _spreads_unknown(module, around, node):
                return f"`{module.syntax.text(around.func)}` is handed its items"  # which nobody follows further
            case ast.Call():
                return self._as_argument(module, around)
            case ast.Return() | ast.Lambda():
                scope = around if isinstance(around, ast.Lambda) else module.syntax.scope(around)
                return (
                    "" if module.uses.is_called_anywhere(scope) else "what a function returns that nothing here calls"
                )
            case ast.Subscript() if inner is around.slice:
                return "an index"
            case ast.Assign(targets=targets):
                return next(filter(None, (self._assigned(module, t, node) for t in targets)), "")
            case ast.AnnAssign(target=target) | ast.NamedExpr(target=target) | ast.AugAssign(target=target):
                return "" if target is inner else self._assigned(module, target)
            case ast.Expr():
                return "what a cell displays" if self._is_displayed(module, around) else ""
            case ast.IfExp() if inner is around.test:
                return "" if self._is_flag(module, node) else "a condition"
            case ast.If() if inner is around.test and _only_chooses(around) and self._is_flag(module, node):
                return ""
            case ast.If(orelse=[]) if inner is around.test and self._is_as_often_true(module, node):
                return ""
            case ast.comprehension() if inner is not around.iter:
                return "a condition"
            case ast.arguments():
                return "" if self._is_read_as_default(module, node) else "what reads it"
        return "" if isinstance(around, _FOLLOWED) else "what reads it"

    def _is_read_as_default(self, module: AnalysedModule, default: ast.expr) -> bool:
        """Whether the analysis came to where a parameter is read that has this default, and found that there."""
        reads = reads_of_default(module.syntax, default)
        met = {self._before.of(v) for read in reads for v in self._programs.before(module.path, read)}
        return bool(met) and {self._before.of(v) for v in self._programs.before(module.path, default)} <= met

    def _brings_new(self, path: str, node: ast.expr) -> bool:
        """Whether an expression stands for something in the new program that it never stood for in the old."""
        if self.status(path, node) is not Status.DIFFERS:
            return False
        old, new = self._programs.before(path, node), self._programs.after(path, node)
        return not {self._after.of(v) for v in new} <= {self._before.of(v) for v in old}

    def _is_flag(self, module: AnalysedModule, node: ast.expr) -> bool:
        """Whether an expression is true or false in both programs, whatever numbers they compute."""
        old, new = self._programs.before(module.path, node), self._programs.after(module.path, node)
        return bool(old) and bool(new) and all(isinstance(v, bool) for v in (*old, *new))

    def _is_as_often_true(self, module: AnalysedModule, test: ast.expr) -> bool:
        """Whether a test holds as often in both programs: what is asked more often in one does nothing there."""
        old, new = self._programs.before(module.path, test), self._programs.after(module.path, test)
        return self._is_flag(module, test) and old.count(True) == new.count(True)

    def _reads(self, module: AnalysedModule, node: ast.expr) -> bool:
        values = module.values(node)
        return bool(values) and all(isinstance(v, Node) and v.op in _READERS for v in values)

    def _explains(self, module: AnalysedModule, call: ast.Call) -> bool:
        """Whether what a call gives says all that the call does with what it is handed."""
        if self._programs.counterpart(module.path, call) is None:
            return True  # rewritten: what is around it is compared
        callees = [c for v in module.values(call.func) for c in alternatives(v)]
        if not callees:
            return False
        known = all(runs_project_code(c) or isinstance(c, Built) for c in callees)
        return known or known_call(module, call) is not None or all(map(is_known, callees))

    def _as_argument(self, module: AnalysedModule, call: ast.Call) -> str:
        callees = [c for v in module.values(call.func) for c in alternatives(v)]
        if callees and all(isinstance(c, External) and c.name in HARMLESS_CALLS for c in callees):
            return ""
        if callees and all(isinstance(c, Bound) and isinstance(c.owner, (List, Dict)) for c in callees):
            return ""
        if self._explains(module, call) or is_numberless(module, call):
            return ""
        return f"`{module.syntax.text(call.func)}` is handed it"

    def _assigned(self, module: AnalysedModule, target: ast.expr, value: ast.expr | None = None) -> str:
        match target:
            case ast.Name(id=name) if isinstance(home(module.syntax, target), ast.Module):
                return "" if name == "_" or _is_read(module.syntax, name) else f"{_UNREAD} `{name}`"
            case ast.Attribute(attr=name):
                return "" if self._is_read_as(name) else f"{_UNREAD} `.{name}`"
            case ast.Tuple(elts=elements) | ast.List(elts=elements):
                differing = (e for i, e in enumerate(elements) if self._differs_at(module, value, i, len(elements)))
                return next(filter(None, (self._assigned(module, e) for e in differing)), "")
            case ast.Starred(value=several):
                return self._assigned(module, several)
            case ast.Subscript(value=owner):
                known = module.values(owner)
                kept = bool(known) and all(isinstance(v, (List, Dict)) for v in known)
                return "" if kept else "what is written into an array"
        return ""

    def _differs_at(self, module: AnalysedModule, value: ast.expr | None, place: int, length: int) -> bool:
        """Whether one of several values that are taken apart differs, or may."""
        old = self._programs.before(module.path, value) if value is not None else []
        new = self._programs.after(module.path, value) if value is not None else []
        items = [[v[place] if isinstance(v, tuple) and len(v) == length else None for v in vs] for vs in (old, new)]
        if not old or not new or any(item is None for several in items for item in several):
            return True
        return {self._before.of(v) for v in items[0]} != {self._after.of(v) for v in items[1]}

    def _is_read_as(self, attribute: str) -> bool:
        """Whether the program reads an attribute by this name."""
        return any(
            isinstance(node, ast.Attribute) and node.attr == attribute and isinstance(node.ctx, ast.Load)
            for module in self._programs.modules.values()
            for node in module.syntax.nodes
        )

    def _is_displayed(self, module: AnalysedModule, statement: ast.Expr) -> bool:
        """Whether a statement is the last of a notebook's cell."""
        file = module.syntax.file
        cells = [c.line for c in file.cells]
        if statement not in file.tree.body or not cells:
            return False
        after = [s.lineno for s in file.tree.body if s.lineno > statement.lineno]
        nearest = min(after, default=None)
        return nearest is None or any(statement.lineno < line <= nearest for line in cells)

    def _in_code_that_nothing_runs(self) -> Iterator[Sink]:
        """Code that no analysis came to, and that speaks of what differs; and what shows every name of a scope."""
        for path, module in self._programs.modules.items():
            differing = [
                node
                for node in self._programs.old.values.get(path, ())
                if isinstance(node, ast.Name) and self._brings_new(path, node)
            ]
            yield from unrun(module, {(home(module.syntax, node), node.id) for node in differing})


def unrun(module: AnalysedModule, names: set[tuple[ast.AST, str]]) -> Iterator[Sink]:
    """Where code that no analysis came to speaks of names, each of a scope, and what shows all names."""
    syntax = module.syntax
    for node in syntax.loads() if names else ():
        if _shows_all(syntax, node) and any(scope in _shown(syntax, node) for scope, _ in names):
            yield Sink(Status.UNKNOWN, module.path, node, f"what `{node.id}()` shows")
        elif not module.evaluated(node) and not syntax.in_annotation(node) and (home(syntax, node), node.id) in names:
            if asks_nothing(module, node):
                continue
            yield Sink(Status.UNKNOWN, module.path, node, f"`{node.id}` in code that nothing runs")


def _only_chooses(choice: ast.If) -> bool:
    """Whether the branches of a choice only give, or name, one value or another: it is followed on."""
    block = (*choice.body, *choice.orelse)
    named = (s.targets if isinstance(s, ast.Assign) else [] for s in block)
    return all(isinstance(s, (ast.Return, ast.Assign)) for s in block) and all(
        isinstance(target, ast.Name) for targets in named for target in targets
    )


def _shows_all(syntax: Syntax, node: ast.Name) -> bool:
    """Whether a name is that of ``locals``, called without an object, or of what runs a text."""
    call = syntax.parent(node) if node.id in _NAMESPACES else None
    return isinstance(call, ast.Call) and call.func is node and (node.id in ("eval", "exec") or not call.args)


def _shown(syntax: Syntax, node: ast.Name) -> tuple[ast.AST, ...]:
    """The scopes whose names it may show."""
    module = syntax.file.tree
    return (
        (module,) if node.id == "globals" else (syntax.scope(node), *([module] if node.id in ("eval", "exec") else []))
    )


def _is_read(syntax: Syntax, name: str) -> bool:
    """Whether a file reads a variable of the module's own."""
    return any(n.id == name and home(syntax, n) is syntax.file.tree for n in syntax.loads())


def _is_output(value: Value) -> bool:
    """Whether a value is what a head gives, and nothing that is computed from it."""
    if isinstance(value, (tuple, List)):
        return any(map(_is_output, value.items if isinstance(value, List) else value))
    return isinstance(value, Node) and value.kind in PROBABILITY_KINDS


def _are_alike(one: Value, other: Value) -> bool:
    """Whether two values are the same at first sight: constants, a framework's, or the code of a file left as it is."""
    if type(one) is not type(other):
        return False
    match one, other:
        case External(name=name), External(name=another):
            return name == another
        case Function(node=node), Function(node=another):
            return node is another
        case Class(node=node), Class(node=another):
            return node is another
        case Instance(cls=cls, site=site), Instance(cls=another, site=place):
            return cls.node is another.node and site.node is place.node
        case Bound(function=str() as name, owner=owner), Bound(function=str() as another, owner=whose):
            return name == another and _are_alike(owner, whose)
    return is_constant(one) and one == other


def _is_object(value: Value) -> bool:
    """Whether a value is, or holds, a layer, model or function: another one may do the same for who gets it."""
    items = value.items if isinstance(value, List) else alternatives(value)
    return any(isinstance(item, (Built, Instance, Function, Class)) for item in items)


def is_known(callee: Value) -> bool:
    """Whether a callee is the catalogue's."""
    from finallayer.catalog import method
    from finallayer.source.symbols import signature_of

    match callee:
        case External(name=name):
            return signature_of(name) is not None or name.removeprefix("builtins.") in _BUILTINS
        case Bound(function=str(), owner=List() | Dict()):
            return True
        case Bound(function=str() as name):
            return method(name) is not None or name in OF_MODELS
    return False


#: Builtins of which the interpreter knows what they give.
_BUILTINS = frozenset("enumerate zip list tuple reversed map dict float int abs getattr".split())

#: Syntax whose value says all that it reads of an expression in it, or that hands it on to a name.
_FOLLOWED = (
    *(ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.Tuple, ast.List, ast.Set, ast.Dict),
    *(ast.Subscript, ast.Attribute, ast.ListComp, ast.GeneratorExp, ast.SetComp, ast.NamedExpr, ast.Await),
    *(ast.For, ast.comprehension),
)


def _spreads_unknown(module: AnalysedModule, call: ast.Call, several: ast.expr) -> bool:
    """Whether a call hands the project's code, by a star, items that aren't known one by one, to be followed on."""
    ours = any(runs_project_code(c) for v in module.values(call.func) for c in alternatives(v))
    known = (isinstance(v, tuple) or (isinstance(v, List) and v.exact) for v in module.values(several))
    return ours and not all(known)
