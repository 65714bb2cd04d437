"""Fixes of logs of a softmax or sigmoid: the log moves inside, to ``log_softmax`` or ``log_sigmoid`` of the logits.

The probabilities stay where they are for whoever else reads them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from finallayer.expr import Node, make
from finallayer.fix.registry import Context, Proposal, mends
from finallayer.fix.syntax import Syntax
from finallayer.rules.base import Edit, Match, Sighting
from finallayer.rules.margin import loss_of
from finallayer.rules.route import guard, maker, route


@mends("FL201", "FL202", "FL203")
def log_softmax(sighting: Sighting, match: Match, context: Context) -> Iterator[Proposal]:
    """``log(softmax(z))``, also guarded, indexed or through a variable, becomes ``log_softmax(z)``."""
    log = sighting.node
    softmax = maker(log.args[0])
    if softmax.op != "softmax" or softmax.attrs.get("naive") or log.origin is None or softmax.origin is None:
        return
    if any(step.op == "one_minus" for step in route(log.args[0])):
        return
    syntax = context.syntax(log.origin.path)
    if syntax is None or softmax.origin.path != log.origin.path:
        return
    place, call = syntax.expression(log.origin), syntax.expression(softmax.origin)
    if not isinstance(place, ast.Call) or not isinstance(call, ast.Call):
        return
    edits = _edits(syntax, place, call, log)
    if edits:
        new = make("log_softmax", *softmax.args, axis=softmax.attrs.get("axis"))
        yield Proposal(edits, loss_of(log), loss_of(new))


def _edits(syntax: Syntax, log: ast.Call, softmax: ast.Call, node: Node) -> tuple[Edit, ...]:
    spelled = respelled(syntax, softmax)
    argument = _argument(log)
    if spelled is None or argument is None:
        return ()
    if softmax in ast.walk(argument):
        text = _without_guards(syntax, argument, softmax, f"{spelled}", node)
        return (syntax.replace(log, text),) if text else ()
    return ()


def _argument(call: ast.Call) -> ast.expr | None:
    """What a log is taken of: its argument, or the tensor whose method it is."""
    if call.args:
        return call.args[0]
    return call.func.value if isinstance(call.func, ast.Attribute) else None


def respelled(syntax: Syntax, softmax: ast.Call) -> str | None:
    """The softmax call as the call of log_softmax that stands beside it: ``F.softmax(z, 1)`` to ``F.log_softmax(z, 1)``."""
    func = softmax.func
    if not isinstance(func, ast.Attribute) or func.attr != "softmax":
        return None
    whole, name = syntax.text(softmax), syntax.text(func)
    return name.removesuffix("softmax") + "log_softmax" + whole[len(name) :]


def _without_guards(syntax: Syntax, argument: ast.expr, carrier: ast.expr, new: str, log: Node) -> str | None:
    """The log's argument with the softmax respelled; None where a guard stands between that can't be taken away."""
    if guard(log.args[0]) is None:
        whole, part = syntax.text(argument), syntax.text(carrier)
        return whole.replace(part, new, 1) if whole.count(part) == 1 else None
    inner = argument
    while inner is not carrier:
        candidates = [c for c in ast.iter_child_nodes(inner) if carrier in ast.walk(c)]
        if len(candidates) != 1 or not isinstance(candidates[0], ast.expr):
            return None
        inner = candidates[0]
        if isinstance(inner, (ast.Subscript, ast.Attribute)):
            return None
    return new
