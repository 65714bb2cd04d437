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
from finallayer.fix.fixers.head_removal import (
    HEAD_OF,
    ON_LOGITS,
    is_along_other_axis,
    is_shown_both_ways,
    parses_after,
)
from finallayer.fix.fixers.removal import does_more
from finallayer.fix.flow.at_hand import at_hand
from finallayer.fix.flow.context import Context
from finallayer.fix.flow.criterion import Criterion
from finallayer.fix.flow.head import Head
from finallayer.fix.flow.place import Place
from finallayer.fix.flow.roles import CROSS_ENTROPIES
from finallayer.fix.registry import Proposal, cannot_see, mends
from finallayer.fix.text.edits import together
from finallayer.fix.text.names import says_probabilities
from finallayer.fix.text.spelling import Written
from finallayer.fix.text.syntax import last_name
from finallayer.rules.margin import loss_of
from finallayer.rules.route import maker


@mends("FL101", "FL104", "FL301", "FL302")
def logits_at_loss(sighting: Sighting, _match: Match, context: Context) -> Iterator[Proposal]:
    """``ce(p, y)`` of ``p = softmax(z)`` becomes ``ce(z, y)``, where ``p`` is needed besides."""
    loss = sighting.node
    place = _place(loss, context)
    is_needed = place is not None and _is_needed_besides(place, loss, context)
    if (not is_needed and _came_together(loss, context) is None) or is_shown_both_ways(loss, context):
        return
    criterion = Criterion(loss, context) if loss.op in ON_LOGITS else None
    losses = criterion.losses if criterion is not None else [loss]
    parts = [_handed_logits(loss, context) for loss in losses]
    told = _told(sighting, losses, context)
    edits = together([*parts, told])
    if not edits or not parses_after(context.modules(), edits):
        return
    new = make(ON_LOGITS.get(loss.op, loss.op), logits(), target())
    note = cannot_see("calls the loss", criterion.unseen if criterion is not None else ())
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


def _came_together(loss: Node, context: Context) -> Edits | None:
    """The edits that hand a loss the logits which came with the probabilities; None where none did."""
    module = context.module_at(loss.origin)
    call = module.syntax.expression(loss.origin) if module is not None else None
    made = loss.args[0] if loss.op in CROSS_ENTROPIES and loss.args else None
    if module is None or not isinstance(call, ast.Call) or made is None or made.op != HEAD_OF[loss.op]:
        return None
    if is_along_other_axis(made):
        return None
    given = [*call.args, *(k.value for k in call.keywords)]
    predictions = [a for a in given if any(v == made for v in module.values(a))]
    named = at_hand(module, predictions[0], context) if len(predictions) == 1 else None
    return (*named.edits, module.syntax.replace(predictions[0], named.text)) if named is not None else None


def _handed_logits(loss: Node, context: Context) -> Edits | None:
    """The edits that hand a loss the logits; None where that can't be done."""
    edits = _came_together(loss, context)
    if edits is not None:
        return edits
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
    readers = context.readers(Head(made.op, frozenset({made.origin})))
    return bool(readers.wraps or readers.refusals or readers.unseen)
