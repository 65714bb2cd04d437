"""The abstract interpreter: runs a module's code on abstract values and writes down every operation it meets.

Nothing of the user's code is executed or imported. The syntax is spread over ``statements`` and ``expressions`` (a
function a node type), what a call does over ``calls``, ``attributes``, ``constructs`` and ``builtins``. What isn't
understood becomes an opaque value. Work is bounded: by steps, by depth, and by the loops that are unrolled.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

from finallayer.canonical import SPELLINGS_OF_LOSSES
from finallayer.expr import MOVES, SEVERAL, Node, Origin, Role, having, through
from finallayer.recording import Recorder, Scene
from finallayer.source.alternatives import ON_EVERY_WAY, alternatives
from finallayer.source.arg_scopes import Scope
from finallayer.source.budget import MOST_STEPS_COARSELY, Budget, OutOfBudget, Shortfall
from finallayer.source.by_hand import asks_for_gradients, differentiates_itself, has_own_gradient, only_tests
from finallayer.source.conditions import Clause, Way, contradict
from finallayer.source.parameters import bind_parameters
from finallayer.source.project import Project
from finallayer.source.recursion import is_missed
from finallayer.source.symbols import construct_of
from finallayer.source.trail import Trail
from finallayer.source.uses import Uses
from finallayer.source.values import (
    CONSTANTS,
    MISSING,
    Attributes,
    Built,
    Call,
    Class,
    External,
    Frame,
    Function,
    Instance,
    Lazy,
    Module,
    Site,
    Union,
    Value,
    nameless,
    opaque,
    union,
)
from finallayer.source.walking import names_in

#: Nested calls of the project's functions.
MOST_DEPTH = 24
#: Modules of the project that one file's analysis may parse and run, and their bytes altogether.
MOST_MODULES = 40
MOST_IMPORTED = 600_000


#: What stands around a place that runs, but not around the module that it imports.
_AROUND = (
    "stack",
    "sites",
    "no_grad",
    "read_out",
    "compiling",
    "silent",
    "assumed",
    "coupled",
    "taken",
    "repeating",
    "scopes",
)


#: Where a prediction meets what reads it.
_MEETING = having(Role.LOSS) | having(Role.READER) | SPELLINGS_OF_LOSSES

#: What has weights of its own; and what depends on all of its arguments, not on the first alone, as by an index.
_LAYERS = having(Role.LAYER)
_ACROSS = having(Role.ARITHMETIC) | having(Role.LOSS) | SEVERAL | {"where", "logaddexp"}
_CONSTANTS = having(Role.CONSTANT)

#: Values that hold nothing that may change.
_LASTING = (*CONSTANTS, Node, External, Class, Function)

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")
#: The places where what is called at a place was made, each with its name.
Makers = dict[Origin, dict[Origin, str]]
#: A loop, by its syntax.
Loop = ast.For | ast.AsyncFor | ast.While


class Interpreter:
    """The state of one analysis: what has been met, and what the program's state is at this point."""

    def __init__(self, project: Project, uses: Uses | None = None) -> None:
        self.project = project
        self.uses = uses  # what is remembered of every expression; None where nobody asks
        self.trail = Trail()
        self.recorder = Recorder(follows=True)
        self.makers: Makers = {}  # where the layers and losses were made that are called, by where they are called
        self.stack: list[Function] = []
        self.sites: list[Site] = []  # where each of them was called; its own definition where nobody calls it
        self.functions: dict[ast.AST, Function] = {}  # every function defined, by its definition
        self.defined: list[Function] = []  # the same, each time that its definition was run
        self.definitions = 0  # how often any definition, of a class too, was run
        self.heirs: tuple[int, dict[Class, dict[Class, None]]] | None = None  # as of so many definitions
        self.visited: dict[ast.AST, None] = {}  # definitions that have been run
        self.called: set[ast.AST] = set()  # those that a call of the program's has entered
        self.instances: list[Instance] = []
        self.attributes: dict[tuple[Hashable, str], Value] = {}  # given to what has no slots: to foreign modules, say
        self.no_grad = 0
        self.without_gradient: dict[int, Node] = {}  # what was made where no gradient is asked for, by its identity
        self.read_out = 0  # > 0 in an expression of this function that is only read as a number: (...).item()
        self.reading = 0  # > 0 while values are handed to what only reads them
        self.compiling = 0  # > 0 where a model meets what it is compiled with
        self.silent = 0  # > 0 while a call is evaluated that may not happen this way
        self.taken: Way = ()  # what the way that is run now has found out
        self.repeating: list[Loop] = []  # the loops whose bodies run, of which nobody knows how often
        self.scopes: list[Scope] = []  # what is given to functions that are called here
        self.words: dict[ast.expr, tuple[frozenset[str], bool]] = {}  # what the texts of tests say
        self.texts: dict[ast.expr, str] = {}  # and the texts themselves
        self.ends: frozenset[Node] = frozenset()  # what the indices of the loops in their last rounds count to
        self.over = False  # whether the program has come to its end, and what nobody calls is run
        self.layers: dict[Built, Hashable] = {}  # what tells the layers that have been called from each other
        self.assumed = 0  # > 0 on an object that nobody makes this way: its losses may never meet its outputs
        self.coupled = 0  # > 0 where several flags are open at once, which whoever calls may set together
        self.budget = Budget()
        self.modules: dict[str, Module | None] = {}
        self.imported = 0  # bytes of the modules read for this analysis
        self.entry: Module | None = None

    def record(self, op: str, args: list[Node], attrs: Attributes, site: Site, framework: str = "") -> Node:
        """An operation on tensors, written down."""

        def scene() -> Scene:
            called = bool(self.sites) and self.sites[-1].node is not self.stack[-1].node  # else nobody calls it
            caller = self.sites[-1].origin if called else None
            training = not (self.no_grad or self.read_out or stopped)
            functions = tuple([function.node for function in self.stack])
            asked = self.entry is None or not only_tests(self.entry.tree)
            return Scene(training, caller, self.compiling > 0, self._is_by_hand(site), asked, functions)

        stopped = bool(self.without_gradient) and self._has_stopped(op, args)
        origin = site.origin
        silent = self.silent > 0 or (self.assumed > 0 and op in _MEETING and not _is_made_here(args, site))
        made = self.recorder.record(op, args, attrs, origin, framework, scene, silent)
        if (self.no_grad or stopped) and not any(made is arg for arg in args):
            self.without_gradient[id(made)] = made
        if not (silent or self.coupled) and made.op in ON_EVERY_WAY:
            for alternative in alternatives(args, self.taken, self.repeating):
                self.recorder.record(op, alternative.args, attrs, origin, framework, scene, supposed=alternative)
        return made

    def _has_stopped(self, op: str, args: list[Node]) -> bool:
        """Whether no gradient comes back through an operation: it went by none of its arguments, and it has no weights
        of its own."""
        across = args if op in _ACROSS else args[:1]
        return op not in _LAYERS and bool(across) and all(map(self._is_without_gradient, across))

    def _is_without_gradient(self, x: Node) -> bool:
        while id(x) not in self.without_gradient and x.op in MOVES and x.args:
            x = x.args[0]
        several = x.op in SEVERAL and bool(x.args)
        return (
            id(x) in self.without_gradient
            or x.op in _CONSTANTS
            or (several and all(id(a) in self.without_gradient for a in (through(a, MOVES) for a in x.args)))
        )

    def _is_by_hand(self, site: Site) -> bool:
        """Whether the gradient of what happens here is written by hand."""
        own = any(map(has_own_gradient, self.stack))
        asked = self.entry is not None and asks_for_gradients(self.entry.tree)
        return own or (differentiates_itself(site.frame.module.tree) and not asked)

    def block(self, body: list[ast.stmt], frame: Frame) -> bool:
        """Run statements in order; whether control reaches the end."""
        budget = self.budget
        for statement in body:
            budget.steps += 1  # as budget.step() does
            if budget.steps > budget.most:
                raise OutOfBudget
            handler = STATEMENTS.get(type(statement))
            if handler is not None and not handler(self, statement, frame):
                return False
        return True

    def evaluate(self, node: ast.expr, frame: Frame) -> Value:
        """The abstract value of an expression."""
        budget = self.budget
        budget.steps += 1  # as budget.step() does, which would be a call for each expression
        if budget.steps > budget.most:
            raise OutOfBudget
        handler = EXPRESSIONS.get(type(node))
        value = handler(self, node, frame) if handler is not None else self.opaque_at(Site(node, frame))
        if self.uses is not None:
            self.uses.saw(frame.module.path, node, value)
        return value

    @contextmanager
    def reading_if(self, reads: bool) -> Iterator[None]:
        """While values are handed over that are only read there, if they are."""
        self.reading += reads
        try:
            yield
        finally:
            self.reading -= reads

    def opaque_at(self, site: Site, *parts: Value) -> Node:
        """A value that isn't understood, told apart by where it was made and what went in."""
        node, path = site.node, site.frame.module.path
        return nameless(f"{path}:{getattr(node, 'lineno', 0)}:{getattr(node, 'col_offset', 0)}", *parts)

    def fork(self, ways: list[Callable[[], bool]], found_out: list[Clause]) -> bool:
        """Run each way from the same state, knowing what it has found out, and join those that fall through.

        Where only one does, what it has found out holds from there on.
        """
        before = self.taken
        ends: list[Way] = [()] * len(ways)

        def run(number: int) -> bool:
            self.taken = (*before, found_out[number])
            falls_through = ways[number]()
            ends[number] = self.taken[len(before) :]
            return falls_through

        live = self.trail.branch([partial(run, number) for number in range(len(ways))], ends)
        self.taken = (*before, *ends[live[0]]) if len(live) == 1 else before
        return bool(live)

    def supposing(self, found_out: Way, way: Callable[[], T]) -> T:
        """What something gives on a way that is taken."""
        before = self.taken
        self.taken = (*before, *found_out)
        try:
            return way()
        finally:
            self.taken = before

    def each(self, one_of: Union, way: Callable[[Value], Value]) -> Value:
        """What something gives for each of several values, those left out that are never meant on this way."""
        when = one_of.when or ((),) * len(one_of.values)
        meant = [(v, w) for v, w in zip(one_of.values, when, strict=True) if not w or not contradict(w, self.taken)]
        given = [self.supposing(w, partial(way, v)) for v, w in meant]
        return union(given, [w for _, w in meant] if one_of.when else ())

    def complete(self, site: Site, work: Callable[[], object], steps: int | None = None) -> bool:
        """Do some work, with at most so many steps (None: those that are left); whether it came to its end.

        Where it costs too much it is undone and done once more, with loops run once. Where that costs too much, too,
        it is undone, and written down as left out.
        """
        why = self.attempted(work) if steps is None or self.budget.allow(steps) else Shortfall.STEPS
        if why is not None and self.budget.allow(MOST_STEPS_COARSELY):
            with self.budget.coarsely():
                why = self.attempted(work)
        if why is not None:
            self.budget.left_out(why, site.origin)
        return why is None

    def attempted(self, work: Callable[[], object]) -> Shortfall | None:
        """Do some work, and what kept it from its end: it is undone then."""
        around = {name: getattr(self, name) for name in _AROUND}
        objects, visited = len(self.instances), len(self.visited)
        try:
            with self.trail.bounded(OutOfBudget, RecursionError):
                work()
        except (OutOfBudget, RecursionError) as error:
            vars(self).update(around)
            del self.instances[objects:]
            for node in list(self.visited)[visited:]:
                del self.visited[node]
            return Shortfall.STEPS if isinstance(error, OutOfBudget) else Shortfall.RECURSION
        return None

    def layer(self, built: Built) -> Hashable:
        """What tells a layer from others: itself, or where it is made, if only what nobody calls has called it.

        Each method that nobody calls is run on an object of its own, which stands for the same one.
        """
        return self.layers.setdefault(built, built.site.node if self.over else built)

    def write(self, slots: dict[K, Value], key: K, value: Value) -> None:
        self.trail.write(slots, key, value)

    def bind(self, frame: Frame, name: str, value: Value) -> None:
        """Write a name; a frame that came into being since the last branch is lost as a whole where that is undone."""
        if frame.way == self.trail.way:
            frame.vars[name] = value
        else:
            self.trail.write(frame.vars, name, value)
        if self.uses is not None:
            self.uses.binds(frame.module, frame.scope, name, value)

    def define(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, frame: Frame) -> Function:
        """The function that a definition makes; its defaults are evaluated now."""
        function = Function(node, frame)
        function.defaults = [self.evaluate(d, frame) for d in node.args.defaults]
        function.kw_defaults = [MISSING if d is None else self.evaluate(d, frame) for d in node.args.kw_defaults]
        self.functions[node] = function
        self.defined.append(function)
        self.definitions += 1
        return function

    def call_function(self, function: Function, call: Call) -> Value:
        """Run one of the project's functions on a call's arguments, in a frame of its own."""
        node = function.node
        if [f.node for f in self.stack].count(node) >= 2:
            if is_missed(function):
                self.budget.left_out(Shortfall.ROUNDS, self.sites[0].origin)
            return opaque(f"recursive {function.name}")
        if len(self.stack) >= MOST_DEPTH:
            self.budget.left_out(Shortfall.DEPTH, self.sites[0].origin)
            return self.opaque_at(call.site)
        alike = _alike(function, call)
        begun = self.budget.begin(alike)
        self.visited[node] = None
        if call.site.node is not node:
            self.called.add(node)
        if self.uses is not None:
            self.uses.enters(node)
        frame = Frame(function.frame.module, function.frame, function, self.trail.way)
        bind_parameters(function, frame, call)
        if self.uses is not None:
            for parameter, argument in frame.vars.items():
                self.uses.binds(frame.module, node, parameter, argument)
        self.stack.append(function)
        self.sites.append(call.site)
        without_gradient = bool(function.decorators) and any(map(stops_gradient, function.decorators))
        self.no_grad += without_gradient
        read_out, self.read_out = self.read_out, 0  # a training step, too, gives its loss to be read
        before = self.taken
        try:
            if isinstance(node, ast.Lambda):
                frame.returns.append((self.evaluate(node.body, frame), self.taken))
            else:
                self.block(node.body, frame)
        except OutOfBudget:
            self.budget.ran_out(alike, begun)
            raise
        finally:
            self.stack.pop()
            self.sites.pop()
            self.no_grad -= without_gradient
            self.read_out = read_out
            self.taken = before
        if frame.changed:
            self._changed_by_callee(function, frame, call)
        given = [value for value, _ in frame.returns]
        value = union(given, [taken[len(before) :] for _, taken in frame.returns]) if given else None
        if frame.yields:  # a generator: what it yields isn't followed
            value = self.opaque_at(call.site)
        if self.uses is not None:
            self.uses.gave(function, value)
        return value

    def _changed_by_callee(self, function: Function, frame: Frame, call: Call) -> None:
        """What a function did to a tensor in place has happened to its caller's."""
        node = call.site.node
        if not isinstance(node, ast.Call) or any(isinstance(a, ast.Starred) for a in node.args):
            return
        names = [a.arg for a in (*function.node.args.posonlyargs, *function.node.args.args)]
        handed = dict(zip(names[max(len(call.args) - len(node.args), 0) :], node.args, strict=False))
        handed |= {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg is not None}
        for name in frame.changed & handed.keys() - names_in(function.node).stored:
            place = handed[name]
            if isinstance(place, (ast.Name, ast.Attribute)):
                ASSIGN[type(place)](self, place, frame.vars[name], call.site.frame)

    def resolve(self, value: Value, frame: Frame) -> Value:
        """The value behind an import that is used now."""
        if isinstance(value, Union) and any(isinstance(v, Lazy) for v in value.values):
            return union([self.resolve(v, frame) for v in value.values], value.when)
        passed: set[Lazy] = set()
        while isinstance(value, Lazy):
            names = self.names(value.path, frame)
            if value.name is None:
                return names if names is not None else opaque(f"module {value.path}")
            if names is not None and value.name in names.vars and value not in passed:
                passed.add(value)
                value = names.vars[value.name]
            elif value.within is not None:
                value = Lazy(value.within, None)
            else:  # or two import it from each other
                return opaque(f"{value.path}:{value.name}")
        return value

    def names(self, path: Path, frame: Frame) -> Frame | None:
        """The names of a project's module, which is run now if it wasn't yet."""
        self.project.depend(frame.module.path, path)
        module = self.module(path)
        return self.load(module) if module is not None else None

    def module(self, path: Path) -> Module | None:
        """This analysis's own copy of a project's module, so that what it does there touches no other.

        None where it can't be read, or where as much has been read as one file may cost.
        """
        key = str(path)
        if key not in self.modules:
            self.imported += self.project.size(path)
            allowed = self._may_read_more()
            file = self.project.file(path) if allowed else None
            if not allowed:
                self.budget.left_out(Shortfall.MODULES, Origin(key))
            elif self.project.is_broken(path):
                self.budget.left_out(Shortfall.UNREAD, Origin(key))
            self.modules[key] = Module(file) if file is not None else None
            if file is None and self.uses is not None:
                self.uses.unread.add(key)
        return self.modules[key]

    def _may_read_more(self) -> bool:
        return len(self.modules) < MOST_MODULES and self.imported <= MOST_IMPORTED

    def load(self, module: Module) -> Frame:
        """Run a module's body once, as an import does, and give its names."""
        if not module.entered:
            try:
                with self.budget.import_apart(), self.entering(module):
                    self.block(module.tree.body, module.frame)
            except (OutOfBudget, RecursionError):  # whoever tries again begins anew
                module.leave()
                raise
        return module.frame

    @contextmanager
    def entering(self, module: Module) -> Iterator[None]:
        """Around the run of a module's body."""
        module.entered = True
        with self._outside_everything(), self.trail.apart():
            module.frame.vars["__name__"] = "__main__" if module is self.entry else "module"
            yield

    @contextmanager
    def _outside_everything(self) -> Iterator[None]:
        """As at a program's top: no call, loop or ``no_grad`` around what runs here."""
        around = {name: getattr(self, name) for name in _AROUND}
        self.stack, self.sites, self.repeating, self.taken, self.scopes = [], [], [], (), []
        self.no_grad = self.read_out = self.compiling = self.silent = self.assumed = self.coupled = 0
        try:
            yield
        finally:
            vars(self).update(around)


def _alike(function: Function, call: Call) -> Hashable:
    """What calls have in common that cost as much; None where that depends on what some object holds."""
    args = call.args
    new = bool(args) and function.name == "__init__" and isinstance(args[0], Instance) and args[0].is_new
    made = args[0].cls if new and isinstance(args[0], Instance) else None
    given = [*(("", arg) for arg in args[new:]), *call.kwargs.items()]
    known = tuple((name, type(arg), arg) for name, arg in given if isinstance(arg, _LASTING))
    return (function, made, known, call.complete) if len(known) == len(given) else None


def _is_made_here(args: list[Node], site: Site) -> bool:
    """Whether the function in which a prediction is read has made it, too: whoever comes here has come by both."""
    function, made = site.frame.function, through(args[0], MOVES).origin if args else None
    if function is None or made is None or made.path != site.origin.path:
        return False
    node = function.node
    return node.lineno <= made.line and made.end_line <= (node.end_lineno or 0)


#: What a statement does; whether control goes on behind it.
Statement = Callable[[Interpreter, ast.stmt, Frame], bool]
#: The value of an expression.
Expression = Callable[[Interpreter, ast.expr, Frame], Value]
#: Which function handles which syntax: filled by ``statements`` and ``expressions``.
#: How a place gets a value: filled by ``assignment``.
ASSIGN: dict[type[ast.expr], Callable[[Interpreter, ast.expr, Value, Frame], None]] = {}
STATEMENTS: dict[type[ast.stmt], Statement] = {}
EXPRESSIONS: dict[type[ast.expr], Expression] = {}


def stops_gradient(decorator: Value) -> bool:
    """Whether a decorator is ``torch.no_grad()`` or the like, with or without brackets."""
    return construct_of(decorator.symbol if isinstance(decorator, Built) else decorator) == "no_grad"
