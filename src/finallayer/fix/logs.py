"""Fixes of logs of a softmax or sigmoid: the log moves inside, to ``log_softmax`` or ``log_sigmoid`` of the logits.

The probabilities stay where they are for whoever else reads them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from finallayer.expr import TRANSPARENT, Node, logits, make, target
from finallayer.fix.descent import Descent, Step, descend
from finallayer.fix.naming import Named, name_logits
from finallayer.fix.registry import Context, Proposal, mends
from finallayer.fix.spelling import FRAMEWORKS, Speller, Written, negated
from finallayer.fix.syntax import Syntax
from finallayer.rules.base import Match, Sighting
from finallayer.rules.margin import loss_of
from finallayer.rules.route import maker

_GUARDS = frozenset({"clip", "add_eps", "identity"})
_NAMES_OF_LOGITS = frozenset({"logits", "input", "x", "features"})


@mends("FL201", "FL202", "FL203")
def log_softmax(sighting: Sighting, match: Match, context: Context) -> Iterator[Proposal]:
    """``log(softmax(z))``, also guarded, indexed or through a variable, becomes ``log_softmax(z)``."""
    log = sighting.node
    softmax = maker(log.args[0])
    if softmax.op != "softmax" or softmax.attrs.get("naive") or softmax.attrs.get("whole"):
        return
    found = _Place.find(context, log, softmax)
    if found is None or found.flips():
        return
    z = _logits_of_call(found.descent.made)
    named = z and found.logits(context, z)
    if z is None or not named:
        return
    framework = found.framework(sighting)
    axis = softmax.attrs.get("axis")
    call = found.speller.log_softmax(found.descent.made, z, named.text, axis, framework, found.call)
    new = make("neg", make("gather", make("log_softmax", logits()), target()))
    yield from found.proposal(call, named, loss_of(log), new)


@mends("FL203", "FL202", "FL205")
def log_sigmoid(sighting: Sighting, match: Match, context: Context) -> Iterator[Proposal]:
    """``log(sigmoid(z))`` becomes ``log_sigmoid(z)``, ``log(1 - sigmoid(z))`` ``log_sigmoid(-z)``."""
    log = sighting.node
    sigmoid = maker(log.args[0])
    found = _Place.find(context, log, sigmoid) if sigmoid.op == "sigmoid" else None
    if found is None:
        return
    z = _logits_of_call(found.descent.made) or _logits_of_formula(found.descent.made)
    named = z and found.logits(context, z)
    framework = found.framework(sighting)
    if not named or framework is None:
        return
    flips = found.flips()
    text = negated(named.text) if flips else named.text
    call = _written_log_sigmoid(found.speller, framework, text, found.call)
    z_node = make("neg", logits()) if flips else logits()
    yield from found.proposal(call, named, loss_of(log), make("neg", make("log_sigmoid", z_node)), binary=True)


def _written_log_sigmoid(speller: Speller, framework: str, z: str, at: ast.AST) -> Written | None:
    dotted = FRAMEWORKS[framework].log_sigmoid
    if dotted is not None:
        return speller.call(dotted, z, at)
    call = speller.call("numpy.logaddexp", f"0, {negated(z)}", at)
    return call and Written(f"-{call.text}", call.edits)


class _Place:
    """A log in the source, and the way from its argument down to the call that made the probabilities."""

    def __init__(self, syntax: Syntax, call: ast.Call, descent: Descent) -> None:
        self.syntax = syntax
        self.call = call
        self.descent = descent
        self.speller = Speller(syntax)

    @classmethod
    def find(cls, context: Context, log: Node, made: Node) -> _Place | None:
        if log.origin is None or made.origin is None or made.origin.path != log.origin.path:
            return None
        syntax = context.syntax(log.origin.path)
        call = syntax and syntax.expression(log.origin)
        argument = _argument(call) if isinstance(call, ast.Call) else None
        if syntax is None or argument is None or not isinstance(call, ast.Call):
            return None
        descent = descend(syntax, argument, log.args[0])
        return cls(syntax, call, descent) if descent is not None else None

    def framework(self, sighting: Sighting) -> str | None:
        named = self.speller.framework(self.call, self.descent.made)
        return named or (sighting.framework if sighting.framework in FRAMEWORKS else None)

    def flips(self) -> bool:
        """Whether the log is of one minus the probability."""
        return sum(step.kind == "one_minus" for step in self.descent.steps) % 2 == 1

    def logits(self, context: Context, z: ast.expr) -> Named | None:
        """The logits as the log's place can read them."""
        definition = self.descent.definition
        if definition is None:
            return Named(self.syntax.text(z))
        read = next(s.outer for s in self.descent.steps if s.statement is definition)
        return name_logits(context, self.syntax, definition, z, read, self.call)

    def proposal(
        self, call: Written | None, named: Named, old: Node, new: Node, binary: bool = False
    ) -> Iterator[Proposal]:
        text = call and self._with_shape(call.text)
        if call and text:
            edits = (*named.edits, *call.edits, self.syntax.replace(self.call, self._as_operand(text)))
            yield Proposal(edits, old, new, binary=binary)

    def _with_shape(self, text: str) -> str | None:
        """The new call with the indexing and reshaping that stood between it and the log; guards are dropped."""
        passed_name = False
        outer: list[Step] = []
        for step in self.descent.steps:
            if step.kind == "name":
                passed_name = True
            elif step.kind in TRANSPARENT - _GUARDS:
                if passed_name:
                    return None  # what it is indexed with may have changed since
                outer.append(step)
            elif step.kind not in _GUARDS and step.kind != "one_minus":
                return None
        for step in reversed(outer):
            text = self._around(step, text)
        return text

    def _around(self, step: Step, text: str) -> str:
        """A step's own text with its inner expression replaced."""
        whole, inner = self.syntax.file.origin(step.outer), self.syntax.file.origin(step.inner)
        before = self.syntax.between((whole.line, whole.column), (inner.line, inner.column))
        after = self.syntax.between((inner.end_line, inner.end_column), (whole.end_line, whole.end_column))
        return f"{before}{text}{after}"

    def _as_operand(self, text: str) -> str:
        """The new text where the log stood: in brackets where a minus sign would bind otherwise."""
        parent = self.syntax.parent(self.call)
        tight = isinstance(parent, (ast.Attribute, ast.Subscript)) or (
            isinstance(parent, ast.BinOp) and isinstance(parent.op, ast.Pow)
        )
        return f"({text})" if text.startswith("-") and tight else text


def _argument(call: ast.Call) -> ast.expr | None:
    """What a log is taken of: its only argument, or the tensor whose method it is."""
    given = [*call.args, *(k.value for k in call.keywords if k.arg != "name")]
    if len(given) == 1 and not isinstance(given[0], ast.Starred):
        return given[0]
    return call.func.value if isinstance(call.func, ast.Attribute) and not given else None


def _logits_of_call(made: ast.expr) -> ast.expr | None:
    """The logits in a call of softmax or sigmoid: the first argument, or the tensor whose method it is."""
    if not isinstance(made, ast.Call):
        return None
    if isinstance(made.func, ast.Attribute) and made.func.attr in ("softmax", "sigmoid") and _is_method(made):
        return made.func.value
    if made.args:
        return None if isinstance(made.args[0], ast.Starred) else made.args[0]
    return next((k.value for k in made.keywords if k.arg in _NAMES_OF_LOGITS), None)


def _is_method(made: ast.Call) -> bool:
    """Whether the call is a tensor's method: it is handed an axis at most."""
    values = [a for a in made.args if not isinstance(a, (ast.Constant, ast.UnaryOp))]
    return not values and not any(k.arg in _NAMES_OF_LOGITS for k in made.keywords)


def _logits_of_formula(made: ast.expr) -> ast.expr | None:
    """The ``z`` of ``1 / (1 + exp(-z))``."""
    match made:
        case ast.BinOp(op=ast.Div(), right=ast.BinOp(op=ast.Add(), left=left, right=right)):
            for side in (left, right):
                power = _argument(side) if isinstance(side, ast.Call) else None
                if isinstance(power, ast.UnaryOp) and isinstance(power.op, ast.USub):
                    return power.operand
    return None
