"""All that reads what a softmax or sigmoid made, in a program that was interpreted: who is indifferent, who isn't.

A reader is found where an expression stands for the head's output and what is around it doesn't any more. ``argmax``
reads the same from logits; what needs probabilities gets the softmax back right at that expression.
"""

from __future__ import annotations

import ast
from typing import NamedTuple

from finallayer.expr import Node
from finallayer.fix.flow.bindings import home, parameters
from finallayer.fix.flow.callers import parameter_behind, unknown_callers
from finallayer.fix.flow.head import Head, Output, is_predict
from finallayer.fix.flow.head import held as contents
from finallayer.fix.flow.owners import Owners
from finallayer.fix.flow.roles import Role, Roles, kept_as
from finallayer.fix.text.syntax import Syntax
from finallayer.source.uses import Uses
from finallayer.source.values import Built, Instance, List, Value


class Place(NamedTuple):
    """An expression of a file, and what its value is to the head."""

    path: str
    node: ast.expr
    derived: bool  # the head's numbers in another shape or place
    whole: bool  # every value that the expression had is the head's output


class Readers:
    """What reads a head's output, as far as the analysis of one file shows.

    ``handled``: expressions that the fix rewrites anyway, whatever they read.
    """

    def __init__(
        self, head: Head, uses: Uses, syntaxes: dict[str, Syntax], handled: frozenset[ast.expr] = frozenset()
    ) -> None:
        self.uses, self.syntaxes, self._handled = uses, syntaxes, handled
        self.wraps: list[Place] = []  # expressions that need the softmax back
        self.predictions: list[Place] = []  # Keras: calls of predict whose probabilities somebody needs
        self.refusals: list[str] = []  # what stands against any fix
        self.unseen: list[str] = []  # readers that nobody can see from here
        self._appended = self._displayed = self._taken_out = self._moved_together = False  # what lists do with it
        self._listed = False  # whether lists of it are read as a whole
        self._output = Output(head, uses, syntaxes)
        self._roles = Roles(self._output)
        self._owners = Owners(self._output)
        self._collect()
        #: Keras: where the model meets its loss and its metrics
        self.compiled = [Place(path, call, False, True) for path, call in self._owners.compiled]

    def steps(self, value: Value) -> list[Node] | None:
        """The operations from a value back to the head; None where it isn't the head's output, or not it alone."""
        return self._output.steps(value)

    def _collect(self) -> None:
        boundaries: list[Place] = []
        derived_needs: list[list[Node]] = []
        names: set[tuple[ast.AST, str]] = set()  # of the output and its models, each with the scope that it belongs to
        models: set[str] = set()
        attributes: set[str] = set()
        handed: dict[ast.FunctionDef, None] = {}  # functions that get the output as an argument
        for path, syntax in self.syntaxes.items():
            for node in list(self.uses.values.get(path, ())):
                values = self.uses.of(path, node)
                reads = any(map(self._output.touches, values))
                owns = any(map(self._owners.include, values))
                if (reads or owns) and isinstance(node, ast.Name):
                    names.add((home(syntax, node), node.id))
                    models |= {node.id} if owns else set()
                if reads and (function := parameter_behind(syntax, node)) is not None:
                    handed[function] = None
                if reads and node not in self._handled:
                    attributes |= kept_as(syntax, node)
                    self._judge(path, syntax, node, values, boundaries, derived_needs)
                if owns:
                    self._owners.judge(path, syntax, node)
        for path, syntax in self.syntaxes.items():
            self._unseen_names(path, syntax, names, models)
            self._unseen_attributes(path, syntax, attributes)
        self.unseen += [who for f in handed for who in unknown_callers(f, self.syntaxes, self.uses)]
        self.unseen += self._owners.unseen
        if not self.uses.complete:
            self.unseen.append("the program is too large to be followed to its end")
        for place in boundaries:
            self._restore_at(place, derived_needs)
        if any(not self._output.through_predict(chain) for chain in derived_needs):
            self._refuse_lists()

    def _refuse_lists(self) -> None:
        """Softmax comes back where an output is appended, which is no help to lists that are made or read otherwise."""
        if self._appended and self._taken_out:
            self.refusals.append("items of a list are read one by one and together")
        if (self._moved_together or self._listed) and (self._displayed or not self._appended):
            self.refusals.append("outputs are put together that aren't appended to a list one by one")

    def _judge(
        self,
        path: str,
        syntax: Syntax,
        node: ast.expr,
        values: list[Value],
        boundaries: list[Place],
        derived_needs: list[list[Node]],
    ) -> None:
        known = [way for v in values for way in self._output.ways(v)]
        held = not known  # a container, or a value that is only perhaps the head's
        derived = any(self._output.is_derived(c) for c in known)
        place = Place(path, node, derived, all(self._output.steps(v) is not None for v in values))
        if isinstance(node, ast.Call) and is_predict(node):
            boundaries.append(place._replace(derived=False))
        role = self._roles.of(path, syntax, node)
        self._note_lists(path, syntax, node, role, held, derived)
        match role:
            case Role.STORED if derived:
                derived_needs.extend(known)
            case Role.STORED if not kept_as(syntax, node):
                self._cannot_see("the output is kept for later", node)
            case Role.CHANGES:
                self.refusals.append(f"line {node.lineno} changes the output in place")
            case Role.BOUNDARY if not derived and not held:
                boundaries.append(place)
            case Role.NEEDS if held and (inside := self._inside(values)):
                derived_needs.extend(inside)
                self._listed |= not all(map(self._output.is_derived, inside))
            case Role.NEEDS if held:
                self.refusals.append(f"line {node.lineno} reads the output together with something else")
            case Role.NEEDS if derived:
                derived_needs.extend(known)
            case Role.NEEDS:
                self.wraps.append(place)
            case Role.LOSS if (derived or held) and self._output.head.op == "softmax":
                self.refusals.append(f"the loss in line {node.lineno} reads the softmax in another shape")

    def _note_lists(self, path: str, syntax: Syntax, node: ast.expr, role: Role, held: bool, derived: bool) -> None:
        """Remember what lists have to do with the output as it is."""
        around = syntax.parent(node)
        if held:
            self._taken_out |= isinstance(around, (ast.For, ast.comprehension)) or _is_unpacked(around)
            self._moved_together |= role is Role.BOUNDARY and not isinstance(around, (ast.For, ast.comprehension))
        elif not derived:
            owners = self.uses.of(path, node.value) if isinstance(node, ast.Subscript) else []
            self._taken_out |= any(isinstance(o, List) for o in owners)
            self._appended |= role is Role.BOUNDARY and isinstance(around, ast.Call)
            self._displayed |= isinstance(around, (ast.List, ast.Tuple, ast.ListComp, ast.GeneratorExp, ast.Dict))

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

    def _restore_at(self, place: Place, needs: list[list[Node]]) -> None:
        syntax = self.syntaxes[place.path]
        origin = syntax.file.origin(place.node)
        if isinstance(place.node, ast.Call) and is_predict(place.node):
            if any(step.origin == origin for chain in needs for step in chain):
                self.predictions.append(place)
        elif any(not self._output.through_predict(chain) for chain in needs):
            self.wraps.append(place)

    def _cannot_see(self, what: str, node: ast.expr | ast.stmt) -> None:
        self.unseen.append(f"{what} (line {node.lineno})")

    def _unseen_names(self, path: str, syntax: Syntax, names: set[tuple[ast.AST, str]], models: set[str]) -> None:
        """Code that the analysis never ran, and that speaks of the output or its model, or would give another."""
        for node in syntax.loads():
            unrun = not self.uses.evaluated(path, node) and not syntax.in_annotation(node)
            if unrun and (home(syntax, node), node.id) in names:
                self._cannot_see(f"`{node.id}` in code that nothing runs", node)
            elif node.id in models and self._is_unknown_argument(path, syntax, node):
                self._cannot_see(f"`{node.id}`, an argument in a function that nothing calls,", node)
        for statement in syntax.nodes:
            if isinstance(statement, ast.Assign) and not self.uses.evaluated(path, statement.value):
                bound = [n for t in statement.targets for n in ast.walk(t) if isinstance(n, ast.Name)]
                another = [n.id for n in bound if (home(syntax, n), n.id) in names]
                if another:
                    self._cannot_see(f"`{min(another)}` is another in code that nothing runs", statement)

    def _is_unknown_argument(self, path: str, syntax: Syntax, node: ast.Name) -> bool:
        """Whether a name is a parameter that no call of the program gives a value."""
        scope = syntax.scope(node)
        if isinstance(scope, ast.Module) or node.id not in parameters(scope) or self.uses.is_called(scope):
            return False
        return not any(self._output.touches(v) or isinstance(v, (Built, Instance)) for v in self.uses.of(path, node))

    def _unseen_attributes(self, path: str, syntax: Syntax, attributes: set[str]) -> None:
        """Readers of an attribute that keeps the output, to whom the analysis couldn't say that it does."""
        for node in syntax.nodes:
            if isinstance(node, ast.Attribute) and node.attr in attributes:
                known = self.uses.of(path, node) if isinstance(node.ctx, ast.Load) else self._kept(path, syntax, node)
                if not any(map(self._output.touches, known)):
                    self._cannot_see(f"`{syntax.text(node)}` may be the output", node)

    def _kept(self, path: str, syntax: Syntax, target: ast.Attribute) -> list[Value]:
        """What an assignment keeps as an attribute."""
        statement = syntax.parent(target)
        return self.uses.of(path, statement.value) if isinstance(statement, ast.Assign) else []


def _is_unpacked(statement: ast.AST | None) -> bool:
    """``first, second = outputs``"""
    return isinstance(statement, ast.Assign) and any(isinstance(t, (ast.Tuple, ast.List)) for t in statement.targets)
