"""The way from an expression in the source down to the softmax or sigmoid call behind it: names, guards, indices."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import NamedTuple

from finallayer.expr import SEVERAL, TRANSPARENT, Node
from finallayer.fix.flow.analysed import AnalysedModule
from finallayer.fix.flow.bindings import Path, binds_itself, only_binding, path_of, reaching
from finallayer.fix.flow.known_calls import sides
from finallayer.fix.text.syntax import Syntax
from finallayer.rules.route import maker

#: As many steps are followed.
_MOST_STEPS = 12
#: The step from ``p * one_hot(y)``, of whose sum the analysis knows that it picks the target's entries, to ``p``.
BY_MASK = "by_mask"


class Step(NamedTuple):
    """One step: an expression, what it is made of, and how.

    ``kind``: the operation (``clip``, ``index``, ``one_minus``), :data:`BY_MASK`, or ``name``, where ``statement`` gave
    it its value.
    """

    kind: str
    outer: ast.expr
    inner: ast.expr
    statement: ast.Assign | None = None


class Descent(NamedTuple):
    """The steps, and the call that made the probabilities.

    ``given``: the argument of that call which certainly is its logits. ``own``: whether it calls a function of the
    project's own, which gives the softmax of that argument.
    """

    steps: tuple[Step, ...]
    made: ast.expr
    given: ast.expr | None = None
    own: bool = False

    @property
    def definition(self) -> ast.Assign | None:
        """The statement in which the probabilities get their first name, where they have one."""
        return next((s.statement for s in reversed(self.steps) if s.statement is not None), None)


def descend(
    module: AnalysedModule, start: ast.expr, value: Node, arrived: Callable[[ast.expr], bool] = lambda _: False
) -> Descent | None:
    """From an expression, whose value is known, to the call that made it; None where the source leaves it open.

    ``arrived``: what else ends the way, such as an expression whose value comes from another function.
    """
    return _Search(module, maker(value), arrived).descend(start, value, _MOST_STEPS)


class _Search(NamedTuple):
    module: AnalysedModule
    goal: Node
    arrived: Callable[[ast.expr], bool]

    @property
    def syntax(self) -> Syntax:
        return self.module.syntax

    def descend(self, here: ast.expr, value: Node, budget: int) -> Descent | None:
        if self.arrived(here):
            return Descent((), here)
        origin = self.syntax.file.origin(here)
        if not budget or value.op in SEVERAL:
            return None
        path = path_of(here) if isinstance(here, (ast.Name, ast.Attribute)) else None
        if path is not None:
            return self._through_name(here, path, value, budget)
        if self.goal.origin is not None and origin[1:5] == self.goal.origin[1:5]:
            return Descent((), here, self._given(here))
        if isinstance(here, ast.Subscript):
            below = value.args[0] if value.op in TRANSPARENT and value.args else value
            return self._through("index", here, here.value, below, budget)
        factor = self._factor(here, value)
        if factor is not None:
            return self._through(BY_MASK, here, factor, value, budget)
        if value is self.goal:
            given = self._given(here) if self.goal.origin is not None else None
            return Descent((), here, given, own=True) if given is not None else None
        if not value.args:
            return None
        if value.origin is None or origin[1:5] != value.origin[1:5]:
            return self.descend(here, value.args[0], budget - 1) if value.op in TRANSPARENT else None
        ways = [self._through(value.op, here, child, value.args[0], budget) for child in _children(here)]
        found = [way for way in ways if way is not None]
        return found[0] if len(found) == 1 else None

    def _factor(self, here: ast.expr, value: Node) -> ast.expr | None:
        """The one factor of a product that is made where the value which is looked for is, whoever calls."""
        factors = sides(self.module, here, ast.Mult, "mul") or ()
        made = value.op, value.origin
        found = [
            f for f in factors if any(isinstance(v, Node) and (v.op, v.origin) == made for v in self.module.values(f))
        ]
        return found[0] if len(found) == 1 else None

    def _given(self, here: ast.expr) -> ast.expr | None:
        """The one argument of a call whose value is the very one that the softmax is of."""
        if not isinstance(here, ast.Call):
            return None
        given = [a for a in _children(here) if self._is_logits(a, _MOST_STEPS) or self._are_logits_of(here, a)]
        return given[0] if len(given) == 1 else None

    def _are_logits_of(self, call: ast.Call, node: ast.expr) -> bool:
        """Whether a call gives the softmax of an argument whenever it is run, as in the analysis at hand."""
        given, made = self.module.values(node), [v for v in self.module.values(call) if isinstance(v, Node) and v.args]
        always = len(made) == len(self.module.values(call)) and all(any(m.args[0] is v for v in given) for m in made)
        return always and any(self._is_as_at_hand(m) for m in made) and all(m.op == self.goal.op for m in made)

    def _is_as_at_hand(self, made: Node) -> bool:
        """Whether a softmax is made by the goal's formula, of what is computed where its logits are."""
        places = [(m.origin, m.args[0].origin) for m in (made, self.goal) if m.args]
        return len(places) == 2 and places[0] == places[1] and None not in places[0]

    def _is_logits(self, node: ast.expr, budget: int) -> bool:
        values = self.module.values(node)
        if values and self.goal.args and all(v == self.goal.args[0] for v in values):
            return True
        origin = self.goal.args[0].origin if self.goal.args else None
        path = path_of(node)
        if path is not None and budget:
            statement = definition(self.syntax, node, path)
            return statement is not None and self._is_logits(statement.value, budget - 1)
        return origin is not None and origin[:5] == self.syntax.file.origin(node)[:5]

    def _through(self, kind: str, outer: ast.expr, inner: ast.expr, value: Node, budget: int) -> Descent | None:
        below = self.descend(inner, value, budget - 1)
        return below and Descent((Step(kind, outer, inner), *below.steps), *below[1:])

    def _through_name(self, here: ast.expr, path: Path, value: Node, budget: int) -> Descent | None:
        statement = definition(self.syntax, here, path)
        if statement is None:
            return None
        below = self.descend(statement.value, value, budget - 1)
        return below and Descent((Step("name", here, statement.value, statement), *below.steps), *below[1:])


def definition(syntax: Syntax, use: ast.expr, path: Path) -> ast.Assign | None:
    """The one assignment ``path = ...`` that a use reads."""
    statement = reaching(syntax, use, path)
    if statement is not None and "." in path and not binds_itself(statement, path):
        statement = only_binding(syntax, path)
    match statement:
        case ast.Assign(targets=[target]):
            written = path_of(target)
            return statement if written and written.rpartition(".")[2] == path.rpartition(".")[2] else None
    return None


def _children(node: ast.expr) -> Iterator[ast.expr]:
    match node:
        case ast.Call(func=func, args=args, keywords=keywords):
            if isinstance(func, ast.Attribute):
                yield func.value
            yield from args
            yield from (k.value for k in keywords)
        case ast.BinOp(left=left, right=right):
            yield from (left, right)
        case ast.UnaryOp(operand=operand):
            yield operand
