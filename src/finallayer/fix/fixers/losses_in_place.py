"""Fixes at a loss whose softmax or sigmoid stands in the same function: it reads the logits, and the softmax stays.

``p = softmax(z)``, ``loss = ce(p, y)`` becomes ``ce(z, y)``: what else reads ``p`` goes on reading probabilities. Where
nothing else needs them, the softmax itself goes, which is a fix of heads, unless what is left of it bore a name that
says "probabilities".
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from finallayer.expr import Node, logits, make, target
from finallayer.findings import Match, Sighting
from finallayer.fix.fixers.dialect import Dialect, Edits
from finallayer.fix.fixers.head_removal import HEAD_OF, ON_LOGITS, is_along_other_axis, parses_after
from finallayer.fix.fixers.removal import does_more
from finallayer.fix.flow.analysed import AnalysedModule, made_alike
from finallayer.fix.flow.context import Context
from finallayer.fix.flow.head import Head
from finallayer.fix.flow.naming import says_probabilities
from finallayer.fix.flow.place import Place
from finallayer.fix.flow.readers import Readers
from finallayer.fix.flow.roles import CROSS_ENTROPIES, runs_project_code
from finallayer.fix.registry import Proposal, cannot_see, mends
from finallayer.fix.text.edits import together
from finallayer.fix.text.spelling import Written
from finallayer.fix.text.syntax import last_name
from finallayer.rules.margin import loss_of
from finallayer.rules.route import maker
from finallayer.source.values import Built


@mends("FL101", "FL104", "FL301", "FL302")
def logits_at_loss(sighting: Sighting, _match: Match, context: Context) -> Iterator[Proposal]:
    """``ce(p, y)`` of ``p = softmax(z)`` becomes ``ce(z, y)``, where ``p`` is needed besides."""
    loss = sighting.node
    place = _place(loss, context)
    if place is None or not _is_needed_besides(place, loss, context):
        return
    criterion = _Criterion(loss, context)
    parts = [_handed_logits(loss, context) for loss in criterion.losses]
    told = _told(sighting, criterion.losses, context)
    edits = together([*parts, told])
    if not edits or not parses_after(context.modules(), edits):
        return
    new = make(ON_LOGITS.get(loss.op, loss.op), logits(), target())
    note = cannot_see("calls the loss", criterion.unseen)
    yield Proposal(edits, loss_of(loss), new, note, maker(loss.args[0]).op == "sigmoid", loss.op not in ON_LOGITS)


def _place(loss: Node, context: Context) -> Place | None:
    """The argument of a loss that is made by a softmax or sigmoid of its own function; None for any other."""
    made = maker(loss.args[0]) if loss.op in CROSS_ENTROPIES and loss.args else None
    if made is None or made.op != HEAD_OF[loss.op] or is_along_other_axis(made):
        return None
    place = Place.of_argument(context, loss)
    if place is None or place.flips() or (place.maker is not None and does_more(place.maker)):
        return None
    return place if made.attrs.get("naive") is None or place.descent.own else None


def _handed_logits(loss: Node, context: Context) -> Edits | None:
    """The edits that hand a loss the logits; None where that can't be done."""
    place = _place(loss, context)
    z = place.logits_argument() if place is not None else None
    named = place.logits(context, z) if place is not None and z is not None else None
    return (place.edits(Written(named.text), named) or None) if place is not None and named is not None else None


def _told(sighting: Sighting, losses: list[Node], context: Context) -> Edits | None:
    """The edits that tell a loss that it is handed logits; none where it takes nothing else."""
    if sighting.node.op not in ON_LOGITS:
        return ()
    dialect = Dialect.of(sighting.framework)
    modules = [context.module_at(loss.origin) for loss in losses]
    if dialect is None:
        return None
    pairs = zip(losses, modules, strict=True)
    return together(dialect.on_logits(module, loss) if module is not None else None for loss, module in pairs)


def _is_needed_besides(place: Place, loss: Node, context: Context) -> bool:
    """Whether something else than the loss needs the probabilities, or they have a name that would lie of logits."""
    definition = place.descent.definition
    if definition is None:
        return False
    if any(says_probabilities(last_name(t)) for t in definition.targets):
        return True
    made = maker(loss.args[0])
    if made.origin is None:
        return False
    readers = Readers(Head(made.op, frozenset({made.origin})), context.modules(), context.uses())
    return bool(readers.wraps or readers.refusals or readers.unseen)


class _Criterion:
    """The losses that one object computes, which are told together that they are handed logits."""

    def __init__(self, loss: Node, context: Context) -> None:
        self.losses, self.unseen = [loss], list[str]()
        module = context.module_at(loss.origin)
        call = module.syntax.expression(loss.origin) if module is not None else None
        built = module.layer(call.func) if module is not None and isinstance(call, ast.Call) else None
        if built is None or loss.op not in ON_LOGITS:
            return
        self._context = context
        self._collect(built)

    def _collect(self, built: Built) -> None:
        modules = self._context.modules().values()
        calls = {
            module.syntax.file.origin(node)
            for module in modules
            for node in module.syntax.nodes
            if isinstance(node, ast.Call) and any(made_alike(v, built) for v in module.values(node.func))
        }
        found = {s.node.origin: s.node for s in self._context.sightings() if s.node.origin in calls and s.node.args}
        self.losses = list(found.values())
        if set(found) != calls:
            self.unseen.append("a call of it that is no loss")
        for module in modules:
            self.unseen += _handed_on(module, built)


def _handed_on(module: AnalysedModule, built: Built) -> Iterator[str]:
    """Where a loss object goes that it may be called unseen; a phrase each."""
    names = set[str]()
    for node in module.syntax.nodes:
        if not isinstance(node, ast.expr) or not any(made_alike(v, built) for v in module.values(node)):
            continue
        names.add(last_name(node))
        inner, around = module.syntax.user(node)
        if isinstance(around, ast.Call) and (around.func is inner or _follows(module, around)):
            continue
        if not isinstance(around, (ast.Assign, ast.AnnAssign, ast.Expr)):
            yield f"`{module.syntax.text(node)}` is handed on (line {node.lineno})"
    for node in module.syntax.nodes:
        read = isinstance(node, (ast.Name, ast.Attribute)) and isinstance(node.ctx, ast.Load)
        if isinstance(node, ast.expr) and read and last_name(node) in names - {""} and not module.evaluated(node):
            yield f"`{module.syntax.text(node)}` in code that nothing runs (line {node.lineno})"


def _follows(module: AnalysedModule, call: ast.Call) -> bool:
    callees = module.values(call.func)
    return bool(callees) and all(map(runs_project_code, callees))
