"""Fixes of formulas written out with exp: softmax, softplus and logsumexp become the framework's own functions."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from finallayer.expr import Node, Origin, logits, make, target
from finallayer.findings import Edit, Match, Sighting
from finallayer.fix.flow.analysed import AnalysedModule
from finallayer.fix.flow.bindings import are_shown, path_of, reaching, readers, unchanged
from finallayer.fix.flow.context import Context
from finallayer.fix.flow.descent import definition
from finallayer.fix.flow.known_calls import KnownCall, known_call, sides
from finallayer.fix.flow.moved_log import SIMPLE
from finallayer.fix.flow.unread import removals
from finallayer.fix.flow.unshiftable import unshiftable
from finallayer.fix.registry import Proposal, mends
from finallayer.fix.text.deletion import comment_on_call
from finallayer.fix.text.spelling import FRAMEWORKS, Speller, Written
from finallayer.fix.text.syntax import Scope, is_inside
from finallayer.rules.margin import loss_of
from finallayer.source.values import External
from finallayer.source.walking import walk

#: Functions and methods, by their framework's own names, that spread a sum over the classes again.
_SPREADS = frozenset(
    {"tile", "expand_dims", "unsqueeze", "reshape", "view", "repeat", "broadcast_to", "expand", "stack"}
)
#: A clip of scores with bounds from here on is there for exp, which the framework's function doesn't need.
_SMALLEST_GUARD = 20.0


@mends("FL206")
def softplus(sighting: Sighting, _match: Match, context: Context) -> Iterator[Proposal]:
    """``log(1 + exp(z))`` becomes ``softplus(z)``."""
    found = _Formula.at(context, sighting.node.origin)
    power = found and found.only_exp()
    framework = found and found.framework(sighting)
    if not found or not power or not framework or not found.is_log_of(power) or not found.is_bare_but([power.node]):
        return
    if framework == "torch" and found.is_of_whole_numbers(found.scores(power)):
        return
    z = found.syntax.text(found.scores(power))
    dotted = FRAMEWORKS[framework].softplus
    call = (
        found.speller.call(dotted, z, found.node)
        if dotted
        else found.speller.call("numpy.logaddexp", f"0, {z}", found.node)
    )
    yield from found.proposal(call, loss_of(sighting.node), make("softplus", logits()), binary=True)


@mends("FL207")
def logsumexp(sighting: Sighting, _match: Match, context: Context) -> Iterator[Proposal]:
    """``log(sum(exp(z), axis))`` becomes ``logsumexp(z, axis)``."""
    found = _Formula.at(context, sighting.node.origin)
    power = found and found.only_exp()
    framework = found and found.framework(sighting)
    total = found and found.only_sum()
    if not found or not power or not framework or not total or total.call.operand is not power.node:
        return
    if not found.is_log_of(total.call):
        return
    if not found.is_bare_but([power.node, *total.arguments()]) or (total.axis is None and framework == "torch"):
        return
    functions = FRAMEWORKS[framework]
    given = [found.syntax.text(found.scores(power))]
    given += [f"{functions.axis}={found.syntax.text(total.axis)}"] if total.axis else []
    given += [f"{functions.keepdims}={found.syntax.text(total.keeps)}"] if total.keeps else []
    own = framework == "numpy" and not found.speller.has("scipy")
    if own and total.axis is None:
        return  # logaddexp.reduce would go along the first axis
    function = "numpy.logaddexp.reduce" if own else functions.logsumexp
    call = found.speller.call(function, ", ".join(given), found.node)
    yield from found.proposal(call, loss_of(sighting.node), make("logsumexp", logits()))


@mends("FL204")
def softmax(sighting: Sighting, _match: Match, context: Context) -> Iterator[Proposal]:
    """``exp(z) / sum(exp(z), axis)`` becomes ``softmax(z, axis)``."""
    found = _Formula.at(context, sighting.node.origin)
    sides = found and found.division()
    framework = found and found.framework(sighting)
    if not found or not sides or not framework:
        return
    power, total = found.exp_behind(sides[0]), found.sum_behind(sides[1])
    if framework == "numpy" and not found.speller.has("scipy"):
        edits = _shifted(found, power, total, context)
        place = unshiftable(context, found.module, power.operand) if edits and power and power.operand else ""
        if edits:
            yield Proposal(edits, *_SOFTMAXES, f"{place}: NumPy can't shift such an array" if place else "")
        return
    if (
        power is None
        or total is None
        or total.axis is None
        or isinstance(total.axis, (ast.Tuple, ast.List))  # PyTorch and TensorFlow take one axis
        or not (total.spread or ast.unparse(total.axis) in ("0", "-2"))
        or not found.is_summed(power, total)
    ):
        return
    z = found.scores(power)
    if framework == "torch" and found.is_of_whole_numbers(z):
        return
    is_here = is_inside(found.node, power.node)
    if not is_here and not (path_of(z) and unchanged(found.syntax, z, power.node, found.node)):
        return
    functions = FRAMEWORKS[framework]
    call = found.speller.call(
        functions.softmax, f"{found.syntax.text(z)}, {functions.axis}={found.syntax.text(total.axis)}", found.node
    )
    unread = removals(found.syntax, [found.node], [call.text]) if call is not None else ()
    yield from found.proposal(call, *_SOFTMAXES, more=unread)


#: The softmax before and after. It is no loss: any that reads all of it will do for the proof.
_SOFTMAXES = (
    make("mse", make("softmax", logits(), naive=True), target()),
    make("mse", make("softmax", logits()), target()),
)


def _shifted(found: _Formula, power: KnownCall | None, total: _Sum | None, context: Context) -> tuple[Edit, ...]:
    """``exp(z)`` becomes ``exp(z - max(z))`` where NumPy has no softmax: nothing else in the formula changes."""
    if power is None or total is None or isinstance(total.axis, (ast.Tuple, ast.List)):
        return ()
    other = found.exp_behind(total.call.operand) if total.call.operand is not None else None
    if other is None or not found.is_summed(power, total) or not found.is_alone_with(power, other, total):
        return ()
    powers = {call.node: call for call in (power, other)}
    syntax, statement, z = found.syntax, found.syntax.statement(power.node), power.operand
    if z is None or not isinstance(statement, SIMPLE) or any(call.only_operand is None for call in powers.values()):
        return ()
    name, edits = syntax.text(z), list[Edit]()
    if path_of(z) is None:
        name = context.name(syntax, z, name, "logits")
        edits.append(syntax.insert_before(statement, f"{name} = {syntax.text(z)}"))
    along = f", axis={syntax.text(total.axis)}, keepdims=True" if total.axis is not None else ""
    largest = found.speller.call("numpy.max", f"{name}{along}", found.node)
    if largest is None or not syntax.is_legible(z):
        return ()
    shifted = f"{name} - {largest.text}"
    if len(powers) > 1 and not edits:
        name = context.name(syntax, found.node, "shifted", "shifted")
        edits.append(syntax.insert_before(statement, f"{name} = {shifted}"))
        shifted = name
    edits += [syntax.replace(call.only_operand, shifted) for call in powers.values() if call.only_operand is not None]
    return (*largest.edits, *edits)


#: PyTorch's functions that make whole numbers of whole numbers, unless they are told a type.
_OF_WHOLE_NUMBERS = frozenset({"tensor", "as_tensor", "arange", "randint"})
_REAL = frozenset({"float", "float16", "bfloat16", "float32", "float64", "double", "half"})


class _Sum(NamedTuple):
    """A sum over an axis: how the user wrote the axis, and whether it can be divided by as it is."""

    call: KnownCall
    axis: ast.expr | None
    keeps: ast.expr | None
    spread: bool = False

    def arguments(self) -> list[ast.expr]:
        return [a for a in (self.axis, self.keeps) if a is not None]


class _Formula:
    """An expression of the source that amounts to one operation."""

    def __init__(self, module: AnalysedModule, node: ast.expr) -> None:
        self.module = module
        self.syntax = module.syntax
        self.node = node
        self.speller = Speller(module.syntax)

    @classmethod
    def at(cls, context: Context, origin: Origin | None) -> _Formula | None:
        module = context.module_at(origin)
        node = module.syntax.expression(origin) if module is not None else None
        return cls(module, node) if module is not None and node is not None else None

    def framework(self, sighting: Sighting) -> str | None:
        return self.speller.framework(sighting.framework, self.node)

    def is_log_of(self, part: KnownCall) -> bool:
        """Whether the formula is the log of a part, with only numbers added to that, or a clip around it."""
        log = self._call(self.node)
        argument = log.only_operand if log is not None and log.is_natural_log else None
        inner: ast.AST | None = part.node
        while inner is not argument:
            inner = self.syntax.parent(inner) if inner is not None else None
            if isinstance(inner, ast.Attribute):  # exp(z).add(1)
                inner = self.syntax.parent(inner)
            is_addition = isinstance(inner, ast.BinOp) and isinstance(inner.op, ast.Add)
            if not is_addition and self._call(inner, "add", "clip") is None:
                return False
        return argument is not None

    def only_exp(self) -> KnownCall | None:
        calls = [call for n in walk(self.node) if (call := self._call(n, "exp")) is not None]
        return _if_bare(calls[0]) if len(calls) == 1 else None

    def only_sum(self) -> _Sum | None:
        sums = [s for n in walk(self.node) if (s := self._sum(n)) is not None]
        return sums[0] if len(sums) == 1 else None

    def is_bare_but(self, parts: Sequence[ast.expr]) -> bool:
        """Whether the formula reads nothing besides these parts: all the rest is numbers and the framework's."""
        inside = {n for part in parts for n in walk(part)}
        rest = (n for n in walk(self.node) if n not in inside and isinstance(n, ast.Name))
        return all(n.id in self.speller.imports.names for n in rest)

    def exp_behind(self, node: ast.expr) -> KnownCall | None:
        """The exp call that an expression is, maybe by name."""
        return _if_bare(self._call(self._resolved(node), "exp"))

    def scores(self, power: KnownCall) -> ast.expr:
        """What an exp is taken of, without a clip that only keeps it from overflowing."""
        z = power.operand
        clip = self._call(z, "clip")
        bounds = [_number(a.node) for a in clip.besides("x", "name")] if clip is not None else []
        known = [b for b in bounds if b is not None]
        wide = bool(known) and all(abs(b) >= _SMALLEST_GUARD for b in known)
        inner = clip.operand if clip is not None and wide else None
        assert z is not None
        return inner or z

    def is_of_whole_numbers(self, z: ast.expr) -> bool:
        """Whether scores are spelled out as whole numbers: PyTorch has an exponential of those, but no softmax."""
        made = self._resolved(z)
        kinds = {type(n.value) for n in walk(made) if isinstance(n, ast.Constant) and not isinstance(n.value, str)}
        names = {n.attr for n in walk(made) if isinstance(n, ast.Attribute)}
        values = (v for n in walk(made) for v in self.module.values(n) if isinstance(v, External))
        names |= {v.name.rpartition(".")[2] for v in values}
        return isinstance(made, ast.Call) and kinds == {int} and bool(names & _OF_WHOLE_NUMBERS) and not names & _REAL

    def division(self) -> tuple[ast.expr, ast.expr] | None:
        return sides(self.module, self.node, ast.Div, "div")

    def is_summed(self, power: KnownCall, total: _Sum) -> bool:
        """Whether a sum is of the same powers."""
        summed = total.call.operand
        other = self.exp_behind(summed) if summed is not None else None
        if other is None or other.node is power.node:
            return other is not None
        z, same = self.scores(power), self.scores(other)
        if ast.dump(z) != ast.dump(same):
            return False
        inside = is_inside(self.node, power.node) and is_inside(self.node, other.node)
        return inside or unchanged(self.syntax, z, power.node, other.node)

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
        spreading = self._call(node, "reshape", "concat")
        if spreading is None or spreading.last_name not in _SPREADS or spreading.operand is None:
            return None
        return self.sum_behind(spreading.operand, True, budget - 1)

    def is_alone_with(self, power: KnownCall, other: KnownCall, total: _Sum) -> bool:
        """Whether nobody besides the formula reads its powers and their sum."""
        inside = [part for part in (power.node, other.node, total.call.node) if not is_inside(self.node, part)]
        scope = self.syntax.scope(self.node)
        if not inside:
            return True
        if isinstance(scope, ast.Module) or are_shown(scope) or not self._are_beside(power.node, other.node):
            return False
        return all(self._is_only_read_here(scope, part, inside) for part in inside)

    def _are_beside(self, power: ast.expr, other: ast.expr) -> bool:
        """Whether two powers are one, or the second has a statement behind the first's, in the same block."""
        first, second = self.syntax.statement(power), self.syntax.statement(other)
        block = getattr(self.syntax.parent(first), "body", [])
        return power is other or (first in block and second in block and block.index(first) < block.index(second))

    def _is_only_read_here(self, scope: Scope, part: ast.expr, parts: Sequence[ast.expr]) -> bool:
        """Whether a part of the formula has a name that is read by the formula, or by another part."""
        match self.syntax.statement(part):
            case ast.Assign(targets=[ast.Name(id=name)]) as statement if self.syntax.scope(statement) is scope:
                reading = [r for r in readers(scope, name) if reaching(self.syntax, r, name) in (statement, None)]
                return all(any(is_inside(node, r) for node in (self.node, *parts)) for r in reading)
        return False

    def proposal(
        self, call: Written | None, old: Node, new: Node, binary: bool = False, more: tuple[Edit, ...] = ()
    ) -> Iterator[Proposal]:
        if call is not None:
            spoken = comment_on_call(self.syntax, self.node, call.text)
            edits = (*call.edits, *more, self.syntax.replace(self.node, call.text), *spoken)
            yield Proposal(edits, old, new, binary=binary)

    def _resolved(self, node: ast.expr) -> ast.expr:
        path = path_of(node)
        statement = definition(self.syntax, node, path) if path else None
        return statement.value if statement is not None else node

    def _sum(self, node: ast.AST) -> _Sum | None:
        call = self._call(node, "sum")
        if call is None or call.besides("x", "axis", "keepdims", "name"):
            return None  # of another type, or from a start on
        return _Sum(call, call.argument("axis"), call.argument("keepdims"))

    def _call(self, node: ast.AST | None, *ops: str) -> KnownCall | None:
        return known_call(self.module, node, *ops)


def _if_bare(power: KnownCall | None) -> KnownCall | None:
    """A call of exp that is told nothing but what it is of: no type, nor where."""
    return power if power is not None and power.only_operand is not None else None


def _number(node: ast.expr) -> float | None:
    try:
        value = ast.literal_eval(node)
    except ValueError:
        return None
    return float(value) if isinstance(value, (int, float)) else None
