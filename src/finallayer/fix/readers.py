"""All that reads what a softmax or sigmoid made, in a program that was interpreted: who is indifferent, who isn't.

A reader is found where an expression stands for the head's output and what is around it doesn't any more. ``argmax``
reads the same from logits; what needs probabilities gets the softmax back right at that expression.
"""

from __future__ import annotations

import ast
from typing import NamedTuple

from finallayer.expr import Node
from finallayer.fix.importers import importers
from finallayer.fix.output import Head, Output, flat, is_predict
from finallayer.fix.owners import Owners
from finallayer.fix.roles import LOSSES, Role, Roles, is_accuracy, kept_as
from finallayer.fix.syntax import Syntax
from finallayer.source.uses import Uses
from finallayer.source.values import List, Value

__all__ = ["LOSSES", "Head", "Place", "Readers", "importers", "is_accuracy"]


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
        names: set[str] = set()
        attributes: set[str] = set()
        for path, syntax in self.syntaxes.items():
            for node in list(self.uses.values.get(path, ())):
                values = self.uses.of(path, node)
                reads = any(map(self._output.touches, values))
                owns = any(map(self._owners.include, values))
                if (reads or owns) and isinstance(node, ast.Name):
                    names.add(node.id)
                if reads and node not in self._handled:
                    attributes |= kept_as(syntax, node)
                    self._judge(path, syntax, node, values, boundaries, derived_needs)
                if owns:
                    self._owners.judge(path, syntax, node)
        for path, syntax in self.syntaxes.items():
            self._unseen_names(path, syntax, names)
            self._unseen_attributes(path, syntax, attributes)
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
        if self._moved_together and (self._displayed or not self._appended):
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
        chains = [self._output.steps(v) for v in values]
        known = [c for c in chains if c is not None]
        held = not known  # a container, or a value that is only perhaps the head's
        derived = any(self._output.is_derived(c) for c in known)
        place = Place(path, node, derived, len(known) == len(values))
        if isinstance(node, ast.Call) and is_predict(node) and known:
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
            case Role.NEEDS if held and (inside := self._derived_inside(values)):
                derived_needs.extend(inside)
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
            self._taken_out |= isinstance(around, (ast.For, ast.comprehension))
            self._moved_together |= role is Role.BOUNDARY and not isinstance(around, (ast.For, ast.comprehension))
        elif not derived:
            owners = self.uses.of(path, node.value) if isinstance(node, ast.Subscript) else []
            self._taken_out |= any(isinstance(o, List) for o in owners)
            self._appended |= role is Role.BOUNDARY and isinstance(around, ast.Call)
            self._displayed |= isinstance(around, (ast.List, ast.Tuple, ast.ListComp, ast.GeneratorExp, ast.Dict))

    def _derived_inside(self, values: list[Value]) -> list[list[Node]]:
        """The ways to the head of what containers hold, where all of it went through a boundary."""
        items = [i for v in values for i in flat(v) if self._output.touches(i)]
        chains = [self._output.steps(i) for i in items]
        known = [c for c in chains if c is not None and self._output.is_derived(c)]
        return known if len(known) == len(items) else []

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

    def _unseen_names(self, path: str, syntax: Syntax, names: set[str]) -> None:
        """Code that the analysis never ran, and that speaks of the output or its model, or would give another."""
        for node in syntax.loads():
            if node.id in names and not self.uses.evaluated(path, node) and not syntax.in_annotation(node):
                self._cannot_see(f"`{node.id}` in code that nothing runs", node)
        for statement in ast.walk(syntax.file.tree):
            if isinstance(statement, ast.Assign) and not self.uses.evaluated(path, statement.value):
                bound = {n.id for t in statement.targets for n in ast.walk(t) if isinstance(n, ast.Name)}
                if names & bound:
                    self._cannot_see(f"`{min(names & bound)}` is another in code that nothing runs", statement)

    def _unseen_attributes(self, path: str, syntax: Syntax, attributes: set[str]) -> None:
        """Readers of an attribute that keeps the output, to whom the analysis couldn't say that it does."""
        for node in ast.walk(syntax.file.tree):
            if isinstance(node, ast.Attribute) and node.attr in attributes:
                known = self.uses.of(path, node) if isinstance(node.ctx, ast.Load) else self._kept(path, syntax, node)
                if not any(map(self._output.touches, known)):
                    self._cannot_see(f"`{syntax.text(node)}` may be the output", node)

    def _kept(self, path: str, syntax: Syntax, target: ast.Attribute) -> list[Value]:
        """What an assignment keeps as an attribute."""
        statement = syntax.parent(target)
        return self.uses.of(path, statement.value) if isinstance(statement, ast.Assign) else []
