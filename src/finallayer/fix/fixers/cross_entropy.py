"""Whole cross-entropies, ``-sum(y * log(softmax(z)))``, as the fused call of the framework that has one.

A fused call says what is meant, and is what a framework optimises. It takes the formula's place only where it is
certain to be the same: the sum is over the classes, and, for TensorFlow, whose fused gradient takes that for granted,
each target sums to one. Elsewhere log_softmax stays, which is exact for any targets. PyTorch's ``cross_entropy`` reads
its targets by their type and shape, which a program doesn't tell: there it is log_softmax always.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from finallayer.expr import Node
from finallayer.fix.flow.analysed import AnalysedModule
from finallayer.fix.flow.known_calls import KnownCall, known_call, sides
from finallayer.fix.flow.place import IDLE, Place
from finallayer.fix.flow.targets import are_distributions, has_two_axes
from finallayer.fix.text.spelling import Written
from finallayer.fix.text.syntax import is_inside, is_minus


class _Form(NamedTuple):
    """A framework's fused cross-entropy: how it is called, and whether its gradient needs targets that sum to one."""

    function: str
    arguments: str
    needs_distributions: bool = False
    needs_import: str = ""  # a module that the file must speak of already


_FORMS = {
    "tensorflow": _Form("tensorflow.nn.softmax_cross_entropy_with_logits", "labels={y}, logits={z}", True),
    "jax": _Form("optax.softmax_cross_entropy", "{z}, {y}", needs_import="optax"),
}


class Fused(NamedTuple):
    """The place of a whole cross-entropy, and the fused call that takes it."""

    place: Place
    written: Written


def fused(
    place: Place, modules: Mapping[str, AnalysedModule], axis: object, framework: str, logits: str
) -> Fused | None:
    """The whole cross-entropy around a log of a softmax along ``axis``; None where that isn't certain."""
    module = modules[place.syntax.file.path]
    form, speller = _FORMS.get(framework), place.speller
    bare = all(step.kind in IDLE | {"name"} for step in place.descent.steps)
    if form is None or not bare or (form.needs_import and form.needs_import not in speller.imports.names.values()):
        return None
    formula = _Formula(place)
    if not formula.climb() or formula.target is None or not _is_over_classes(formula, module, axis):
        return None
    if form.needs_distributions and not are_distributions(formula.target, module, modules.values()):
        return None
    arguments = form.arguments.format(y=place.syntax.text(formula.target), z=logits)
    call = speller.call(form.function, arguments, formula.node)
    if call is None:
        return None
    return Fused(Place(place.module, formula.node, place.descent), Written(formula.around(call.text), call.edits))


def _is_over_classes(formula: _Formula, module: AnalysedModule, axis: object) -> bool:
    """Whether the sum is over the axis of the softmax, and that is the last, which a fused call takes."""
    ranks = {v.rank if isinstance(v, Node) else None for v in module.values(formula.log)}
    two_axes = ranks == {2} or (formula.target is not None and has_two_axes(formula.target, module))
    last = {-1, 1} if two_axes else {-1}
    return axis in last and (formula.total is None or formula.axis in {None, *last})


@dataclass
class _Formula:
    """The expression around a log, climbed step by step: the sign, the product, the sum, the mean."""

    place: Place
    target: ast.expr | None = None
    total: ast.Call | None = None
    axis: int | None = None  # of the sum; None: over all
    mean: ast.Call | None = None  # a mean of the sum, where the minus sign stands before it

    def __post_init__(self) -> None:
        self.log = self.node = self.place.node
        self._negated = False

    def climb(self) -> bool:
        """Go from the log to the whole cross-entropy; whether there is one."""
        self._sign()
        if not self._product():
            return False
        self._sign()
        if not self._sum():
            return False
        self._sign()
        if not self._negated:
            self._mean()
        return self._negated

    def around(self, fused: str) -> str:
        """The fused call with the sum and the mean that stay around it."""
        text = fused
        if self.total is not None and self.axis is None:
            text = f"{self._text(self.total.func)}({text})"
        if self.mean is not None:
            whole, inner = self._text(self.mean), self._text(self.mean.args[0])
            text = whole.replace(inner, text, 1)
        return text

    def _text(self, node: ast.expr) -> str:
        return self.place.syntax.text(node)

    @property
    def _parent(self) -> ast.AST | None:
        return self.place.syntax.parent(self.node)

    def _sign(self) -> None:
        match self._parent:
            case ast.UnaryOp(op=ast.USub()) as negation:
                self.node, self._negated = negation, not self._negated

    def _product(self) -> bool:
        product = self._parent
        factors = sides(self.place.module, product, ast.Mult, "mul")
        if not isinstance(product, ast.expr) or factors is None:
            return False
        left, right = factors
        self.node = product
        self.target = left if is_inside(right, self.log) else right
        if is_minus(self.target):
            self.target, self._negated = self.target.operand, not self._negated
        return True

    def _sum(self) -> bool:
        total = self._known(self._parent, "sum")
        if total is None or total.calls != "function" or total.operand is not self.node or total.besides("x", "axis"):
            return False
        along = total.argument("axis")
        self.axis = _one_axis(along) if along is not None else None
        if along is not None and self.axis is None:
            return False
        self.node = self.total = total.node
        return True

    def _mean(self) -> None:
        """``-mean(sum(...))``: the minus sign goes, the mean stays."""
        mean = self._known(self._parent, "mean")
        if mean is not None and mean.calls == "function" and mean.only_operand is self.node and mean.node.args:
            self.node = self.mean = mean.node
            self._sign()

    def _known(self, node: ast.AST | None, op: str) -> KnownCall | None:
        return known_call(self.place.module, node, op)


def _one_axis(node: ast.expr) -> int | None:
    try:
        value = ast.literal_eval(node)
    except ValueError:
        return None
    if isinstance(value, (list, tuple)) and len(value) == 1:
        (value,) = value
    return value if isinstance(value, int) else None
