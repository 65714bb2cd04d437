"""Fixes of logs of a softmax that NumPy's own functions write out: the log is taken of its scores, by a logsumexp.

``p = exp(z - max(z)) / sum(...)``, ``log(p[rows, y])`` becomes ``log_p[rows, y]``. The probabilities stay: a gradient
that is written by hand is made of them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from finallayer.findings import Edit, Match, Sighting
from finallayer.fix.flow.analysed import AnalysedModule
from finallayer.fix.flow.bindings import are_shown, path_of, reaching, unchanged
from finallayer.fix.flow.context import Context
from finallayer.fix.flow.descent import definition
from finallayer.fix.flow.known_calls import known_call, sides
from finallayer.fix.flow.makers import NLL, makers_of
from finallayer.fix.flow.moved_log import SIMPLE
from finallayer.fix.flow.place import Place
from finallayer.fix.registry import Proposal, mends
from finallayer.fix.text.spelling import Written
from finallayer.rules.margin import loss_of


@mends("FL201", "FL202", "FL203")
def log_of_formula(sighting: Sighting, _match: Match, context: Context) -> Iterator[Proposal]:
    """``log(p)`` of a softmax written out becomes ``z - logaddexp.reduce(z)``."""
    log = sighting.node
    module = context.module_at(log.origin)
    makers = makers_of([log]) if module is not None else None
    if module is None or makers is None or makers.op != "softmax" or not isinstance(makers.axis, int):
        return
    place = Place.of_log(context, log, lambda here: _scores(module, here) is not None)
    z = _scores(module, place.descent.made) if place is not None else None
    if place is None or z is None or place.flips() or place.framework(sighting) != "numpy":
        return
    if not unchanged(place.syntax, z, z, place.node):
        return
    written = makers.log(place.speller, "numpy", place.syntax.text(z), False, place.node)
    edits = _named(place, written, context) if written is not None else ()
    if edits:
        yield Proposal(edits, loss_of(log), NLL)


def _named(place: Place, written: Written, context: Context) -> tuple[Edit, ...]:
    """The edits that put the log in its place: under a name, where only some of it is read."""
    statement = place.syntax.statement(place.node)
    if not any(step.kind == "index" for step in place.descent.steps):
        return place.replaced(written)
    if not isinstance(statement, SIMPLE) or are_shown(place.syntax.scope(place.node)):
        return ()
    path = path_of(place.descent.made) or ""
    wanted = f"log_{path.rpartition('.')[2]}"
    name = context.name(place.syntax, place.node, wanted, wanted)
    replaced = place.replaced(Written(name))
    return (*written.edits, place.syntax.insert_before(statement, f"{name} = {written.text}"), *replaced)


def _scores(module: AnalysedModule, probabilities: ast.expr) -> ast.expr | None:
    """The scores of a softmax that is written out where a name gets its value: of ``exp(z - max(z)) / sum``, z."""
    path = path_of(probabilities)
    made = reaching(module.syntax, probabilities, path) if path is not None else None
    match made:
        case ast.Assign(value=value) if (parts := sides(module, value, ast.Div, "div")) is not None:
            power = parts[0]
        case ast.AugAssign(op=ast.Div(), target=target) if path is not None and path_of(target) == path:
            first = reaching(module.syntax, made, path)
            if not isinstance(first, ast.Assign):
                return None
            power = first.value
        case _:
            return None
    name = path_of(power)
    given = definition(module.syntax, power, name) if name is not None else None
    exp = known_call(module, given.value if given is not None else power, "exp")
    return _unshifted(module, exp.only_operand) if exp is not None and exp.only_operand is not None else None


def _unshifted(module: AnalysedModule, scores: ast.expr) -> ast.expr | None:
    """Scores by a name, without the maximum that is taken from them."""
    match scores:
        case ast.BinOp(op=ast.Sub(), left=left, right=right) if path_of(left) is not None:
            largest = known_call(module, right, "max")
            of_them = largest is not None and largest.operand is not None
            return left if of_them and largest and ast.dump(largest.operand or right) == ast.dump(left) else None
    return scores if path_of(scores) is not None else None
