"""The place that a fix rewrites, and the logits behind it as that place can read them."""

from __future__ import annotations

import ast
from collections.abc import Callable

from finallayer.catalog.frameworks import writes
from finallayer.expr import TRANSPARENT, Node
from finallayer.findings import Edit, Sighting
from finallayer.fix.flow.bindings import unchanged
from finallayer.fix.flow.context import Context
from finallayer.fix.flow.descent import Descent, Step, descend
from finallayer.fix.flow.naming import Named, name_logits
from finallayer.fix.flow.unread import removals
from finallayer.fix.text.spelling import Speller, Written
from finallayer.fix.text.syntax import Syntax, last_name

#: What stands between a softmax and its log only to keep that finite, or to no effect.
GUARDS = frozenset({"clip", "add_eps", "identity"})
#: The functions whose first argument is the logits.
_MAKERS = frozenset({"softmax", "log_softmax", "sigmoid", "expit"})
_NAMES_OF_LOGITS = frozenset({"logits", "input", "x", "features"})


class Place:
    """An expression of the source that a fix replaces, and the way from it down to the call that made its values."""

    def __init__(self, syntax: Syntax, node: ast.expr, descent: Descent) -> None:
        self.syntax = syntax
        self.node = node
        self.descent = descent
        self.speller = Speller(syntax)

    @classmethod
    def of_log(
        cls, context: Context, log: Node, arrived: Callable[[ast.expr], bool] = lambda here: False
    ) -> Place | None:
        """A call of log, and what it is taken of; ``arrived``: what else ends the way down from there."""
        syntax, call = _call_at(context, log)
        argument = call and only_argument(call)
        if syntax is None or call is None or argument is None or not is_natural_log(call):
            return None
        descent = descend(syntax, argument, log.args[0], arrived)
        return cls(syntax, call, descent) if descent is not None else None

    @classmethod
    def of_argument(cls, context: Context, loss: Node) -> Place | None:
        """The argument of a loss that holds its prediction."""
        syntax, call = _call_at(context, loss)
        if syntax is None or call is None:
            return None
        given = [*call.args, *(k.value for k in call.keywords)]
        found = [cls(syntax, a, d) for a in given if (d := descend(syntax, a, loss.args[0])) is not None]
        return found[0] if len(found) == 1 else None

    def framework(self, sighting: Sighting) -> str | None:
        return self.speller.framework(sighting.framework, self.node, self.descent.made)

    def flips(self) -> bool:
        """Whether the log is of one minus the probability."""
        return sum(step.kind == "one_minus" for step in self.descent.steps) % 2 == 1

    def logits_argument(self) -> ast.expr | None:
        """The logits in what makes the probabilities: a framework's function, a tensor's method, a layer, a formula."""
        made = self.descent.made
        if not isinstance(made, ast.Call):
            return _logits_of_formula(made)
        dotted = self.speller.imports.dotted(made.func)
        if dotted is None and isinstance(made.func, ast.Attribute) and made.func.attr in _MAKERS and _is_method(made):
            return made.func.value
        if dotted is None or dotted.rpartition(".")[2] not in _MAKERS or writes(dotted) is None:
            return self.descent.given  # a layer may do more than the softmax: Dense(10, activation="softmax")
        if made.args:
            return None if isinstance(made.args[0], ast.Starred) else made.args[0]
        return next((k.value for k in made.keywords if k.arg in _NAMES_OF_LOGITS), None)

    def other_arguments(self, logits: ast.expr) -> list[str] | None:
        """What makes the probabilities is given besides the logits and a name; None where the place can't say it."""
        call = self.descent.made
        if not isinstance(call, ast.Call):
            return None
        kept = [(a, self.syntax.text(a)) for a in call.args if a is not logits]
        kept += [
            (k.value, f"{k.arg}={self.syntax.text(k.value)}")
            for k in call.keywords
            if k.arg != "name" and k.value is not logits
        ]
        if call.keywords and any(k.arg is None for k in call.keywords):
            return None
        for node, _ in kept:
            if (
                not _is_constant(node)
                and not unchanged(self.syntax, node, call, self.node)
                and not _inside(self.node, call)
            ):
                return None
        return [text for _, text in kept]

    def logits(self, context: Context, z: ast.expr) -> Named | None:
        """The logits as the log's place can read them."""
        definition = self.descent.definition
        if definition is None:
            return Named(self.syntax.text(z))
        return name_logits(context, self.syntax, self.descent, definition, z, self.node)

    def replaced(self, written: Written | None) -> tuple[Edit, ...]:
        """The edits that put a new expression in the place's stead; none where that can't be done."""
        text = written and self._with_shape(written.text)
        return (*written.edits, self.syntax.replace(self.node, self._as_operand(text))) if written and text else ()

    def edits(self, written: Written | None, named: Named) -> tuple[Edit, ...]:
        """Those edits, and those that name the logits or take out what nobody reads any more."""
        text = written and self._with_shape(written.text)
        if not written or not text:
            return ()
        unread = removals(self.syntax, [self.node], [text]) if not named.edits else ()
        return (*named.edits, *unread, *self.replaced(written))

    def _with_shape(self, text: str) -> str | None:
        """The new call with the indexing and reshaping that stood between it and the log; guards are dropped."""
        passed_name = False
        outer: list[Step] = []
        for step in self.descent.steps:
            if step.kind == "name":
                passed_name = True
            elif step.kind in TRANSPARENT - GUARDS:
                if passed_name:
                    return None  # what it is indexed with may have changed since
                outer.append(step)
            elif step.kind not in GUARDS and step.kind != "one_minus":
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
        parent = self.syntax.parent(self.node)
        tight = isinstance(parent, (ast.Attribute, ast.Subscript)) or (
            isinstance(parent, ast.BinOp) and isinstance(parent.op, ast.Pow)
        )
        return f"({text})" if text.startswith("-") and tight else text


def _inside(outer: ast.AST, node: ast.AST) -> bool:
    return any(n is node for n in ast.walk(outer))


def _is_constant(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) or (isinstance(node, ast.UnaryOp) and isinstance(node.operand, ast.Constant))


def _call_at(context: Context, node: Node) -> tuple[Syntax | None, ast.Call | None]:
    syntax = context.syntax(node.origin.path) if node.origin is not None else None
    call = syntax.expression(node.origin) if syntax is not None else None
    return syntax, call if isinstance(call, ast.Call) else None


def is_natural_log(call: ast.Call) -> bool:
    """Whether a call is of ``log`` itself: not of ``log2``, nor of one that works in place."""
    return last_name(call.func) == "log"


def only_argument(call: ast.Call) -> ast.expr | None:
    """What a log is taken of: its only argument, or the tensor whose method it is."""
    given = [*call.args, *(k.value for k in call.keywords if k.arg != "name")]
    if len(given) == 1 and not isinstance(given[0], ast.Starred):
        return given[0]
    return call.func.value if isinstance(call.func, ast.Attribute) and not given else None


def _is_method(made: ast.Call) -> bool:
    """Whether a call may be a tensor's method: it is handed an axis at most."""
    given = [*made.args, *(k.value for k in made.keywords)]
    return all(isinstance(a.operand if isinstance(a, ast.UnaryOp) else a, ast.Constant) for a in given)


def _logits_of_formula(made: ast.expr) -> ast.expr | None:
    """The ``z`` of ``1 / (1 + exp(-z))``."""
    match made:
        case ast.BinOp(op=ast.Div(), right=ast.BinOp(op=ast.Add(), left=left, right=right)):
            for side in (left, right):
                power = only_argument(side) if isinstance(side, ast.Call) else None
                if isinstance(power, ast.UnaryOp) and isinstance(power.op, ast.USub):
                    return power.operand
    return None
