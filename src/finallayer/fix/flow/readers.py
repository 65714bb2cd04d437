"""All that reads what a softmax or sigmoid made, in a program that was interpreted: who is indifferent, who isn't.

A reader is found where an expression stands for the head's output and what is around it doesn't any more. ``argmax``
reads the same from logits; what needs probabilities gets the softmax back right at that expression.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from finallayer.expr import Node
from finallayer.fix.flow.analysed import AnalysedModule, where
from finallayer.fix.flow.bindings import home, parameters
from finallayer.fix.flow.callbacks import in_callbacks
from finallayer.fix.flow.callers import parameter_behind, unknown_callers
from finallayer.fix.flow.head import Head, Output, is_predict
from finallayer.fix.flow.head import held as contents
from finallayer.fix.flow.hooks import in_hooks
from finallayer.fix.flow.only_read import functions_around, only_reading
from finallayer.fix.flow.owners import Owners
from finallayer.fix.flow.reaching import expressions
from finallayer.fix.flow.roles import Role, Roles, kept_as
from finallayer.fix.flow.unrun import asks_for_another, asks_nothing, needs_probabilities, stands_for
from finallayer.fix.text.names import names_head, says_probabilities
from finallayer.fix.text.syntax import Syntax, last_name
from finallayer.source.uses import Uses
from finallayer.source.values import Built, Function, Instance, List, Value
from finallayer.source.walking import walk

#: Functions that show every name of a scope.
_NAMESPACES = frozenset({"globals", "locals", "vars"})


class Reader(NamedTuple):
    """An expression of a file that reads the head's output, and what its value is to the head."""

    module: AnalysedModule
    node: ast.expr
    derived: bool = False  # the head's numbers in another shape or place
    whole: bool = True  # every value that the expression had is the head's output

    @property
    def can_be_wrapped(self) -> bool:
        """Whether a softmax around it gives the probabilities that it read, and what it names (``p := net(x)``)."""
        plain = self.whole and not self.derived and not isinstance(self.node, ast.NamedExpr)
        return plain and self.module.syntax.is_legible(self.node)


@dataclass
class _Known:
    """What stands for the output or its models: the code that nothing runs may speak of it."""

    names: set[tuple[ast.AST, str]] = field(default_factory=set)  # each with the scope that it belongs to
    models: set[str] = field(default_factory=set)
    attributes: set[str] = field(default_factory=set)  # that keep the output
    handed: dict[ast.FunctionDef, AnalysedModule] = field(default_factory=dict)  # functions that get it as an argument


class Readers:
    """What reads a head's output, as far as the analysis of one file shows.

    ``handled``: expressions that the fix rewrites anyway, whatever they read. ``at_calls``: what a function only reads
    is given back where that is called.
    """

    def __init__(
        self,
        head: Head,
        modules: Mapping[str, AnalysedModule],
        uses: Uses,
        handled: frozenset[ast.expr] = frozenset(),
        at_calls: bool = False,
    ) -> None:
        self._modules, self._uses, self._handled = modules, uses, handled
        self.wraps: list[Reader] = []  # expressions that need the softmax back
        self.predictions: list[Reader] = []  # Keras: calls of predict whose probabilities somebody needs
        self.refusals: list[str] = []  # what stands against any fix
        self.again: list[Reader] = []  # what applies the head again, which stands against most
        self.unseen: list[str] = []  # readers that nobody can see from here
        self._boundaries: list[Reader] = []  # where a softmax can come back for what reads it farther on
        self._needs: list[list[Node]] = []  # the ways to the head of what needs it back in another shape or place
        self._appended = self._displayed = self._taken_out = self._moved_together = False  # what lists do with it
        self._met = False
        self._listed = False  # whether lists of it are read as a whole
        self._output = Output(head, modules, uses)
        self._roles = Roles(self._output)
        self._owners = Owners(self._output)
        if at_calls:
            self._roles.only_reading = only_reading(self._output, self._roles, modules)
        self._collect()
        #: Keras: where the model meets its loss and its metrics
        self.compiled = [Reader(module, call) for module, call in self._owners.compiled]

    @property
    def reads(self) -> bool:
        """Whether this program comes to the output, or to what gives it, at all."""
        return self._met

    @property
    def only_reading(self) -> frozenset[ast.FunctionDef]:
        """The functions that are handed probabilities, as before."""
        return self._roles.only_reading

    @property
    def lines(self) -> list[str]:
        """Where the expressions are that need the head back."""
        found = sorted((*self.wraps, *self.predictions), key=lambda reader: reader.node.lineno)
        return list(dict.fromkeys(reader.module.syntax.where(reader.node) for reader in found))

    @property
    def all_apply_it_again(self) -> bool:
        """Whether all that reads the numbers, besides losses, applies the head itself: it takes them for logits."""
        needing = self.wraps or self.predictions or self._needs
        return bool(self.again) and len(self.again) == len(self.refusals) and not needing

    def steps(self, value: Value) -> list[Node] | None:
        """The operations from a value back to the head; None where it isn't the head's output, or not it alone."""
        return self._output.steps(value)

    def is_output(self, value: Value) -> bool:
        """Whether a value is the head's output, in whatever shape, and still its framework's own tensor."""
        ways = self._output.ways(value)
        return bool(ways) and not any(self._output.leaves_framework(step) for way in ways for step in way)

    def _collect(self) -> None:
        known = _Known()
        for module in self._modules.values():
            for node in list(expressions(self._uses, module.path, self._output.head)):
                self._meet(module, node, known)
        for module in self._modules.values():
            known.names |= set(_defined(module.syntax, self._owners.definitions))
        for module in self._modules.values():
            self._unseen_names(module, known)
            self._attempted_names(module, known)
            self._unseen_attributes(module, known.attributes)
        for function, module in known.handed.items():
            self.unseen += unknown_callers(function, module, self._modules.values())
        self.unseen += self._owners.unseen
        for module in self._modules.values():
            self.unseen += in_hooks(module) if self._met else ()
            self.unseen += in_callbacks(module, self._owners) if self._owners.compiled else ()
        if not self._uses.complete:
            self.unseen.append("the program is too large to be followed to its end")
        for reader in self._boundaries:
            self._restore_at(reader)
        if any(not self._output.through_predict(way) for way in self._needs):
            self._refuse_lists()

    def _meet(self, module: AnalysedModule, node: ast.expr, known: _Known) -> None:
        """Take note of an expression that stands for the output, or for what gives it."""
        values = module.values(node)
        reads = any(self._output.touches(v) and not self._output.is_mixed_into(v) for v in values)
        reads = reads and not self._roles.is_mixed(module, node)  # each of its items is judged
        owns = any(map(self._owners.include, values))
        makes = any(map(self._owners.make_one, values))
        self._met |= reads or owns or makes
        as_before = reads and bool(functions_around(module.syntax, node, self._roles.only_reading))
        ours = owns or (reads and not as_before)  # what stands for probabilities again, stands for them everywhere
        if ours and isinstance(node, ast.Name):
            known.names.add((home(module.syntax, node), node.id))
            known.models |= {node.id} if owns else set()
        if ours:
            known.names |= set(_named(module.syntax, node))
        if reads and (function := parameter_behind(module.syntax, node)) is not None:
            known.handed[function] = module
        if as_before:
            return
        if reads and node not in self._handled:
            known.attributes |= kept_as(module.syntax, node)
            self._judge(module, node, values)
        self._owners.judge_layer(module, node)
        if owns:
            self._owners.judge(module, node)
        elif any(map(self._owners.holds, values)):
            self._owners.judge_container(module, node)
        elif makes:
            self._owners.judge_maker(module, node)

    def _refuse_lists(self) -> None:
        """Softmax comes back where an output is appended, which is no help to lists that are made or read otherwise."""
        if self._appended and self._taken_out:
            self.refusals.append("items of a list are read one by one and together")
        if (self._moved_together or self._listed) and (self._displayed or not self._appended):
            self.refusals.append("outputs are put together that aren't appended to a list one by one")

    def _judge(self, module: AnalysedModule, node: ast.expr, values: list[Value]) -> None:
        """Decide what becomes of an expression that reads the output."""
        ways = [way for v in values for way in self._output.ways(v)]
        derived = any(map(self._output.is_derived, ways))
        reader = Reader(module, node, derived, all(self._output.steps(v) is not None for v in values))
        if is_predict(module, node):
            self._boundaries.append(reader._replace(derived=False))
        role = self._roles.of(module, node)
        if _gives_coroutine(module, node):
            self._cannot_see("a coroutine gives the output", node)
            return
        if not ways:  # a container, or a value that is only perhaps the head's
            self._note_list(module, node, role)
            self._judge_holder(reader, role, values)
            return
        if not derived:
            self._note_item(module, node, role)
            self._note_name(module, node, role)
        match role:
            case Role.NEEDS | Role.STORED if derived:
                self._needs += ways
            case Role.CHANGES if self._are_predicted(ways) and not is_predict(module, node):
                self._needs += ways
            case Role.NEEDS:
                self.wraps.append(reader)
            case Role.AGAIN:
                self.again.append(reader)
                self.refusals.append(f"{module.syntax.where(node)} applies the {self._output.head.op} again")
            case Role.BOUNDARY if not derived:
                self._boundaries.append(reader)
            case Role.LOSS if derived and not all(map(self._output.keep_classes, values)):
                self._refuse_reshaped_loss(node)
            case _:
                self._judge_any(reader, role)

    def _judge_holder(self, reader: Reader, role: Role, values: list[Value]) -> None:
        """The same, of an expression that holds the output among others."""
        node = reader.node
        match role:
            case Role.NEEDS if inside := self._inside(values):
                self._needs += inside
                self._listed |= not all(map(self._output.is_derived, inside))
            case Role.CHANGES if self._are_predicted(inside := self._inside(values)):
                self._needs += inside
            case Role.NEEDS:
                self.refusals.append(
                    f"{reader.module.syntax.where(node)} reads the output together with something else"
                )
            case Role.LOSS:
                self._refuse_reshaped_loss(node)
            case _:
                self._judge_any(reader, role)

    def _are_predicted(self, ways: list[list[Node]]) -> bool:
        """Whether all came out of Keras' ``predict``, which gives probabilities again, whatever is done to them."""
        return bool(ways) and all(map(self._output.through_predict, ways))

    def _judge_any(self, reader: Reader, role: Role) -> None:
        if role is Role.STORED and not kept_as(reader.module.syntax, reader.node):
            self._cannot_see("the output is kept for later", reader.node)
        elif role is Role.CHANGES:
            self.refusals.append(f"{reader.module.syntax.where(reader.node)} changes the output in place")

    def _refuse_reshaped_loss(self, node: ast.expr) -> None:
        if self._output.head.op == "softmax":
            self.refusals.append(f"the loss in {where(self._modules, node)} reads the softmax in another shape")

    def _note_list(self, module: AnalysedModule, node: ast.expr, role: Role) -> None:
        """Remember what becomes of a list of outputs."""
        around = module.syntax.parent(node)
        iterated = isinstance(around, (ast.For, ast.comprehension))
        self._taken_out |= iterated or _is_unpacked(around)
        self._moved_together |= role is Role.BOUNDARY and not iterated

    def _note_item(self, module: AnalysedModule, node: ast.expr, role: Role) -> None:
        """Remember what lists have to do with the output as it is."""
        around = module.syntax.parent(node)
        owners = module.values(node.value) if isinstance(node, ast.Subscript) else []
        self._taken_out |= any(isinstance(o, List) for o in owners)
        self._appended |= role is Role.BOUNDARY and isinstance(around, ast.Call)
        self._displayed |= isinstance(around, (ast.List, ast.Tuple, ast.ListComp, ast.GeneratorExp, ast.Dict))

    def _note_name(self, module: AnalysedModule, node: ast.expr, role: Role) -> None:
        """Note a function that says that it gives probabilities, and won't."""
        returned = role is Role.FLOWS and isinstance(module.syntax.parent(node), ast.Return)
        name = getattr(module.syntax.scope(node), "name", "") if returned else ""
        if says_probabilities(name) and not names_head(name):  # the head's own function stays what it is
            self._cannot_see(f"`{name}` is called for probabilities", node)

    def _inside(self, values: list[Value]) -> list[list[Node]]:
        """The ways to the head of what containers hold, where all of it goes through a boundary: none if not."""
        found = [self._way_inside(v, False) for v in values]
        return [way for ways in found for way in ways or ()] if None not in found else []

    def _way_inside(self, value: Value, listed: bool) -> list[list[Node]] | None:
        """Items of lists are restored where they are appended; others must have gone through a boundary before."""
        if not self._output.touches(value):
            return []
        if isinstance(value, Node):
            ways = self._output.ways(value)
            return ways if ways and (listed or all(map(self._output.is_derived, ways))) else None
        found = [self._way_inside(v, listed or isinstance(value, List)) for v in contents(value)]
        return [way for ways in found for way in ways or ()] if None not in found else None

    def _restore_at(self, reader: Reader) -> None:
        if is_predict(reader.module, reader.node):
            origin = reader.module.syntax.file.origin(reader.node)
            if any(step.origin == origin for way in self._needs for step in way):
                self.predictions.append(reader)
        elif any(not self._output.through_predict(way) for way in self._needs):
            self.wraps.append(reader)

    def _cannot_see(self, what: str, node: ast.expr | ast.stmt) -> None:
        self._met = True
        self.unseen.append(f"{what} ({where(self._modules, node)})")

    def _unseen_names(self, module: AnalysedModule, known: _Known) -> None:
        """Code that the analysis never ran, and that speaks of the output or its model, or would give another."""
        syntax, names = module.syntax, {name for _, name in known.names} | known.models | _NAMESPACES
        for node in (n for n in syntax.loads() if n.id in names):
            unrun = not module.evaluated(node) and not syntax.in_annotation(node)
            if unrun and (home(syntax, node), node.id) in known.names:
                self._judge_unrun(module, node)
            elif _shows_all(syntax, node) and any(scope in _scopes(syntax, node) for scope, _ in known.names):
                self._cannot_see(f"what `{node.id}()` shows", node)
            elif node.id in known.models and self._is_unknown_argument(module, node):
                self._cannot_see(f"`{node.id}`, an argument in a function that nothing calls,", node)
        for assigned in syntax.all_of(ast.Assign):
            if not module.evaluated(assigned.value):
                bound = [n for t in assigned.targets for n in walk(t) if isinstance(n, ast.Name)]
                another = [n.id for n in bound if (home(syntax, n), n.id) in known.names]
                if another:
                    self._cannot_see(f"`{min(another)}` is another in code that nothing runs", assigned)

        for name, statement in _imported_otherwise(syntax, self._modules):
            if (syntax.file.tree, name) in known.names:
                self._cannot_see(f"`{name}` is imported from elsewhere by code that nothing runs", statement)

    def _attempted_names(self, module: AnalysedModule, known: _Known) -> None:
        """Names that a ``try`` binds to something else, say: which it is afterwards, the analysis can't tell."""
        syntax = module.syntax
        for attempt in syntax.nodes:
            for name in (n for part in _perhaps_run(attempt) for n in walk(part)):
                if not isinstance(name, ast.Name) or isinstance(name.ctx, ast.Load):
                    continue
                key = (home(syntax, name), name.id)
                if key in known.names and not self._binds_ours(module, name) and _is_read_after(syntax, attempt, key):
                    line = attempt.lineno if isinstance(attempt, ast.stmt) else 0
                    self.unseen.append(f"which `{name.id}` there is after line {line}")

    def _binds_ours(self, module: AnalysedModule, target: ast.Name) -> bool:
        statement = module.syntax.parent(target)
        return isinstance(statement, ast.Assign) and any(map(self._is_ours, module.values(statement.value)))

    def _judge_unrun(self, module: AnalysedModule, node: ast.Name) -> None:
        """Give the head back to what code that nothing runs computes of the output: the other branch, say."""
        if node in self._handled or asks_nothing(module, node) or asks_for_another(module, node, self._is_ours):
            return
        if needs_probabilities(module, node) and stands_for(module, node, self._output):
            self.wraps.append(Reader(module, node))
        else:
            around = module.syntax.parent(node)
            said = module.syntax.text(around if isinstance(around, ast.Attribute) else node)
            self._cannot_see(f"`{said}` in code that nothing runs", node)

    def _is_ours(self, value: Value) -> bool:
        return self._output.touches(value) or self._owners.include(value) or self._owners.holds(value)

    def _is_unknown_argument(self, module: AnalysedModule, node: ast.Name) -> bool:
        """Whether a name is a parameter that no call of the program gives a value."""
        scope = module.syntax.scope(node)
        if isinstance(scope, ast.Module) or node.id not in parameters(scope) or module.is_called(scope):
            return False
        if (cls := _class_of_self(module.syntax, node, scope)) is not None and not self._owners.may_be(module, cls):
            return False
        return not any(self._output.touches(v) or isinstance(v, (Built, Instance)) for v in module.values(node))

    def _unseen_attributes(self, module: AnalysedModule, attributes: set[str]) -> None:
        """Readers of an attribute that keeps the output, to whom the analysis couldn't say that it does."""
        for node in module.syntax.all_of(ast.Attribute) if attributes else ():
            if node.attr in attributes:
                known = module.values(node) if isinstance(node.ctx, ast.Load) else _kept(module, node)
                if not any(map(self._output.touches, known)):
                    self._cannot_see(f"`{module.syntax.text(node)}` may be the output", node)


def _defined(syntax: Syntax, definitions: Iterable[ast.AST]) -> Iterator[tuple[ast.AST, str]]:
    """The names by which a file knows functions and classes that it defines or imports, each with its scope."""
    defined = {node: node.name for node in definitions if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    names = set(defined.values())
    for node in syntax.nodes:
        if node in defined and isinstance(syntax.parent(node), ast.Module):
            yield syntax.file.tree, defined[node]
        elif isinstance(node, ast.ImportFrom):
            yield from ((syntax.scope(node), a.asname or a.name) for a in node.names if a.name in names)


def _imported_otherwise(syntax: Syntax, modules: Iterable[str]) -> Iterator[tuple[str, ast.stmt]]:
    """The names that the module imports in one branch or another, where this program never came to one of the files."""
    homes = {Path(path).stem for path in modules}
    branches: dict[str, list[ast.ImportFrom]] = {}
    for node in syntax.nodes:
        if isinstance(node, ast.ImportFrom) and isinstance(syntax.parent(node), (ast.If, ast.Try, ast.ExceptHandler)):
            for alias in node.names:
                branches.setdefault(alias.asname or alias.name, []).append(node)
    for name, imports in branches.items():
        unread = [i for i in imports if (i.module or "").rpartition(".")[2] not in homes]
        yield from ((name, i) for i in unread[:1] if len(imports) > 1)


def _named(syntax: Syntax, value: ast.expr) -> Iterator[tuple[ast.AST, str]]:
    """The names that an assignment gives to a value, each with its scope: only code that nothing runs may read them."""
    statement = syntax.parent(value)
    targets = statement.targets if isinstance(statement, ast.Assign) and statement.value is value else []
    for name in (n for target in targets for n in walk(target)):
        if isinstance(name, ast.Name) and not isinstance(name.ctx, ast.Load):
            yield home(syntax, name), name.id


def _perhaps_run(node: ast.AST) -> list[ast.AST]:
    """What of a statement runs only perhaps, where the analysis goes on as if it always, or never, did."""
    match node:
        case ast.Try(body=body, handlers=handlers) if any(map(_goes_on, handlers)):
            return [*body, *handlers]
        case ast.For(orelse=orelse) | ast.While(orelse=orelse):
            return [*orelse]
        case ast.With(items=items, body=body) if any("suppress" in ast.unparse(i.context_expr) for i in items):
            return [*body]
    return []


def _goes_on(handler: ast.ExceptHandler) -> bool:
    """Whether the program goes on behind a ``try`` after one of its handlers."""
    return not isinstance(handler.body[-1], (ast.Raise, ast.Return, ast.Continue, ast.Break))


def _is_read_after(syntax: Syntax, attempt: ast.AST, key: tuple[ast.AST, str]) -> bool:
    """Whether a name is read behind a ``try``, or in another function, which may run then."""
    scope = syntax.scope(attempt)
    reads = (n for n in syntax.loads() if n.id == key[1] and home(syntax, n) is key[0])
    last = getattr(attempt, "end_lineno", 0)
    return any(n.lineno > last or syntax.scope(n) is not scope for n in reads)


def _gives_coroutine(module: AnalysedModule, node: ast.expr) -> bool:
    """Whether an expression calls an ``async def``: what it gives is awaited elsewhere."""
    callees = module.values(node.func) if isinstance(node, ast.Call) else []
    return any(isinstance(c, Function) and isinstance(c.node, ast.AsyncFunctionDef) for c in callees)


def _shows_all(syntax: Syntax, node: ast.Name) -> bool:
    """Whether a name is that of ``locals``, and called."""
    call = syntax.parent(node) if node.id in _NAMESPACES else None
    return isinstance(call, ast.Call) and call.func is node and not call.args and home(syntax, node) is syntax.file.tree


def _scopes(syntax: Syntax, node: ast.Name) -> tuple[ast.AST, ...]:
    """The scopes whose names ``globals()``, ``locals()`` or ``vars()`` may show."""
    return (syntax.file.tree,) if node.id == "globals" else (syntax.scope(node),)


def _class_of_self(syntax: Syntax, node: ast.Name, method: ast.AST) -> ast.ClassDef | None:
    """The class whose object a name is: the first parameter of one of its methods."""
    cls = syntax.parent(method)
    if not isinstance(cls, ast.ClassDef) or not isinstance(method, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return None
    first = [*method.args.posonlyargs, *method.args.args][:1]
    static = any(last_name(d) == "staticmethod" for d in method.decorator_list)
    return cls if first and first[0].arg == node.id and not static else None


def _kept(module: AnalysedModule, target: ast.Attribute) -> list[Value]:
    """What an assignment keeps as an attribute."""
    statement = module.syntax.parent(target)
    return module.values(statement.value) if isinstance(statement, ast.Assign) else []


def _is_unpacked(statement: ast.AST | None) -> bool:
    """``first, second = outputs``"""
    return isinstance(statement, ast.Assign) and any(isinstance(t, (ast.Tuple, ast.List)) for t in statement.targets)
