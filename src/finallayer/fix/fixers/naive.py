"""Fixes of formulas written out with exp: softmax, softplus and logsumexp become the framework's own functions."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple, TypeGuard

from finallayer.expr import Node, Origin, logits, make, target
from finallayer.findings import Edit, Match, Sighting
from finallayer.fix.flow.bindings import path_of, unchanged
from finallayer.fix.flow.context import Context
from finallayer.fix.flow.descent import definition
from finallayer.fix.flow.place import only_argument
from finallayer.fix.flow.unread import removals
from finallayer.fix.registry import Proposal, mends
from finallayer.fix.text.spelling import FRAMEWORKS, Speller, Written
from finallayer.fix.text.syntax import Syntax, last_name
from finallayer.rules.margin import loss_of

_LOGS = frozenset({"log", "log1p"})
_EXP = frozenset({"exp"})
_ADDITIONS = frozenset({"add"})
_DIVISIONS = frozenset({"div", "divide", "truediv", "true_divide"})
_SUMS = frozenset({"sum", "reduce_sum"})
_CLIPS = frozenset({"clip_by_value", "clip", "clamp"})
_AXES = frozenset({"axis", "dim", "axes", "reduction_indices"})
_KEEPS = frozenset({"keepdims", "keepdim", "keep_dims"})
#: Calls that spread a sum over the classes again.
_SPREADS = frozenset(
    {"tile", "expand_dims", "unsqueeze", "reshape", "view", "repeat", "broadcast_to", "expand", "stack"}
)
#: A clip of scores with bounds from here on is there for exp, which the framework's function doesn't need.
_SMALLEST_GUARD = 20.0


@mends("FL206")
def softplus(sighting: Sighting, match: Match, context: Context) -> Iterator[Proposal]:
    """``log(1 + exp(z))`` becomes ``softplus(z)``."""
    found = _Formula.at(context, sighting.node.origin)
    power = found and found.only_exp()
    framework = found and found.framework(sighting)
    if not found or not power or not framework or not found.is_log_of(power) or not found.is_bare_but([power]):
        return
    z = found.syntax.text(_scores(found, power))
    dotted = FRAMEWORKS[framework].softplus
    call = (
        found.speller.call(dotted, z, found.node)
        if dotted
        else found.speller.call("numpy.logaddexp", f"0, {z}", found.node)
    )
    yield from found.proposal(call, loss_of(sighting.node), make("softplus", logits()), binary=True)


@mends("FL207")
def logsumexp(sighting: Sighting, match: Match, context: Context) -> Iterator[Proposal]:
    """``log(sum(exp(z), axis))`` becomes ``logsumexp(z, axis)``."""
    found = _Formula.at(context, sighting.node.origin)
    power = found and found.only_exp()
    framework = found and found.framework(sighting)
    total = found and found.only_sum()
    if not found or not power or not framework or not total or _argument(total.call) is not power:
        return
    if not found.is_log_of(total.call):
        return
    if not found.is_bare_but([power, *total.arguments()]) or (total.axis is None and framework == "torch"):
        return
    functions = FRAMEWORKS[framework]
    given = [found.syntax.text(_scores(found, power))]
    given += [f"{functions.axis}={found.syntax.text(total.axis)}"] if total.axis else []
    given += [f"{functions.keepdims}={found.syntax.text(total.keeps)}"] if total.keeps else []
    call = found.speller.call(functions.logsumexp, ", ".join(given), found.node)
    yield from found.proposal(call, loss_of(sighting.node), make("logsumexp", logits()))


@mends("FL204")
def softmax(sighting: Sighting, match: Match, context: Context) -> Iterator[Proposal]:
    """``exp(z) / sum(exp(z), axis)`` becomes ``softmax(z, axis)``."""
    found = _Formula.at(context, sighting.node.origin)
    sides = found and _division(found.node)
    framework = found and found.framework(sighting)
    if not found or not sides or not framework:
        return
    power, total = found.exp_behind(sides[0]), found.sum_behind(sides[1])
    if (
        power is None
        or total is None
        or total.axis is None
        or not (total.spread or ast.unparse(total.axis) in ("0", "-2"))
        or not found.is_summed(power, total)
    ):
        return
    z = _scores(found, power)
    is_here = _is_inside(found.node, power)
    if not is_here and not (path_of(z) and unchanged(found.syntax, z, power, found.node)):
        return
    functions = FRAMEWORKS[framework]
    call = found.speller.call(
        functions.softmax, f"{found.syntax.text(z)}, {functions.axis}={found.syntax.text(total.axis)}", found.node
    )
    # a softmax is no loss: any that reads all of it will do for the proof
    old = make("mse", make("softmax", logits(), naive=True), target())
    new = make("mse", make("softmax", logits()), target())
    unread = removals(found.syntax, [found.node], [call.text]) if call is not None else ()
    yield from found.proposal(call, old, new, more=unread)


class _Sum(NamedTuple):
    """A sum over an axis: how the user wrote the axis, and whether it can be divided by as it is."""

    call: ast.Call
    axis: ast.expr | None
    keeps: ast.expr | None
    spread: bool = False

    def arguments(self) -> list[ast.expr]:
        return [a for a in (self.axis, self.keeps) if a is not None]


class _Formula:
    """An expression of the source that amounts to one operation."""

    def __init__(self, syntax: Syntax, node: ast.expr) -> None:
        self.syntax = syntax
        self.node = node
        self.speller = Speller(syntax)

    @classmethod
    def at(cls, context: Context, origin: Origin | None) -> _Formula | None:
        syntax = context.syntax(origin.path) if origin is not None else None
        node = syntax.expression(origin) if syntax is not None else None
        return cls(syntax, node) if syntax is not None and node is not None else None

    def framework(self, sighting: Sighting) -> str | None:
        return self.speller.framework(sighting.framework, self.node)

    def is_log_of(self, part: ast.expr) -> bool:
        """Whether the formula is the log of a part, with only numbers added to that, or a clip around it."""
        argument = only_argument(self.node) if _is_call_of(self.node, _LOGS) else None
        inner: ast.AST | None = part
        while inner is not argument:
            inner = self.syntax.parent(inner) if inner is not None else None
            match inner:
                case ast.BinOp(op=ast.Add()):
                    continue
                case ast.Attribute(attr=name) if name in _ADDITIONS | _CLIPS:
                    continue
            if not _is_call_of(inner, _ADDITIONS | _CLIPS):
                return False
        return argument is not None

    def only_exp(self) -> ast.Call | None:
        calls = [n for n in ast.walk(self.node) if _is_call_of(n, _EXP)]
        return _bare_exp(calls[0]) if len(calls) == 1 else None

    def only_sum(self) -> _Sum | None:
        sums = [s for n in ast.walk(self.node) if (s := self._sum(n)) is not None]
        return sums[0] if len(sums) == 1 else None

    def is_bare_but(self, parts: list[ast.expr]) -> bool:
        """Whether the formula reads nothing besides these parts: all the rest is numbers and the framework's."""
        inside = {n for part in parts for n in ast.walk(part)}
        rest = (n for n in ast.walk(self.node) if n not in inside and isinstance(n, ast.Name))
        return all(n.id in self.speller.imports.names for n in rest)

    def exp_behind(self, node: ast.expr) -> ast.Call | None:
        """The exp call that an expression is, maybe by name."""
        return _bare_exp(self._resolved(node))

    def is_summed(self, power: ast.Call, total: _Sum) -> bool:
        """Whether a sum is of the same powers."""
        summed = _argument(total.call)
        other = self.exp_behind(summed) if summed is not None else None
        if other is None or other is power:
            return other is not None
        z, same = _scores(self, power), _scores(self, other)
        if ast.dump(z) != ast.dump(same):
            return False
        inside = _is_inside(self.node, power) and _is_inside(self.node, other)
        return inside or unchanged(self.syntax, z, power, other)

    def sum_behind(self, node: ast.expr, spread: bool = False, budget: int = 6) -> _Sum | None:
        """The sum that an expression is, maybe by name, indexed with None, or spread over the classes again."""
        node = self._resolved(node)
        if not budget:
            return None
        found = self._sum(node)
        if found is not None:
            kept = isinstance(found.keeps, ast.Constant) and found.keeps.value is True
            return found._replace(spread=spread or kept)
        if isinstance(node, ast.Subscript):
            return self.sum_behind(node.value, True, budget - 1)
        if _is_call_of(node, _SPREADS):
            inner = _argument(node)
            return self.sum_behind(inner, True, budget - 1) if inner is not None else None
        return None

    def proposal(
        self, call: Written | None, old: Node, new: Node, binary: bool = False, more: tuple[Edit, ...] = ()
    ) -> Iterator[Proposal]:
        if call is not None:
            edits = (*call.edits, *more, self.syntax.replace(self.node, call.text))
            yield Proposal(edits, old, new, binary=binary)

    def _resolved(self, node: ast.expr) -> ast.expr:
        path = path_of(node)
        statement = definition(self.syntax, node, path) if path else None
        return statement.value if statement is not None else node

    def _sum(self, node: ast.AST) -> _Sum | None:
        if not _is_call_of(node, _SUMS):
            return None
        rest = node.args if self._is_method(node) else node.args[1:]
        keywords = {k.arg: k.value for k in node.keywords}
        if len(rest) > 2 or None in keywords or set(keywords) - _AXES - _KEEPS - {"input", "a", "x", "input_tensor"}:
            return None
        axis = next((keywords[n] for n in keywords if n in _AXES), rest[0] if rest else None)
        if len(rest) > 1 and not (isinstance(rest[1], ast.Constant) and isinstance(rest[1].value, bool)):
            return None  # NumPy's third argument is a type
        keeps = next((keywords[n] for n in keywords if n in _KEEPS), rest[1] if len(rest) > 1 else None)
        return _Sum(node, axis, keeps)

    def _is_method(self, call: ast.Call) -> bool:
        return isinstance(call.func, ast.Attribute) and self.speller.imports.dotted(call.func) is None


def _scores(found: _Formula, power: ast.Call) -> ast.expr:
    """What an exp is taken of, without a clip that only keeps it from overflowing."""
    z = _argument(power)
    if _is_call_of(z, _CLIPS):
        bounds = [_number(a) for a in (*z.args, *(k.value for k in z.keywords))]
        if all(abs(b) >= _SMALLEST_GUARD for b in bounds if b is not None) and any(b is not None for b in bounds):
            return _argument(z) or z
    assert z is not None
    return z


def _bare_exp(node: ast.AST) -> ast.Call | None:
    """A call of exp that is told nothing but what it is of: no type, nor where."""
    return node if _is_call_of(node, _EXP) and only_argument(node) is not None else None


def _argument(call: ast.Call) -> ast.expr | None:
    """A function's first argument; a method's object."""
    func = call.func
    if isinstance(func, ast.Attribute) and (not call.args or _number(call.args[0]) is not None):
        return func.value
    return call.args[0] if call.args else None


def _division(node: ast.expr) -> tuple[ast.expr, ast.expr] | None:
    match node:
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            return left, right
        case ast.Call(args=[left, right]) if _is_call_of(node, _DIVISIONS):
            return left, right
    return None


def _is_call_of(node: ast.AST | None, names: frozenset[str]) -> TypeGuard[ast.Call]:
    return isinstance(node, ast.Call) and last_name(node.func) in names


def _is_inside(outer: ast.AST, node: ast.AST) -> bool:
    return any(n is node for n in ast.walk(outer))


def _number(node: ast.expr) -> float | None:
    try:
        value = ast.literal_eval(node)
    except ValueError:
        return None
    return float(value) if isinstance(value, (int, float)) else None
