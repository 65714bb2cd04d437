"""Fixes of heads that don't belong to their loss: that loss on logits says what is learned, and the head goes.

A softmax over one unit before a binary loss was meant to be a sigmoid. A sigmoid before a loss for one class of several
was meant to be a softmax where each label is one class: always so of a sparse loss, and of rows that are made one-hot.
"""

from __future__ import annotations

from collections.abc import Iterator

from finallayer.expr import Node, make
from finallayer.findings import Match, Sighting
from finallayer.fix.fixers.head_removal import Exchange, without
from finallayer.fix.flow.context import Context
from finallayer.fix.registry import Offer, Reach, mends
from finallayer.kinds import Kind
from finallayer.rules.route import maker, units


@mends("FL105", reach=Reach.MODEL)
def one_unit(sighting: Sighting, _match: Match, context: Context) -> Iterator[Offer]:
    """A softmax over one unit before a binary loss goes; who reads probabilities gets a sigmoid."""
    found = sighting.node
    losses = [s for s in context.sightings() if _reads(s.node, found)] if found.op == "softmax" else [sighting]
    for loss in losses[:1]:  # the others are looked at with it
        match loss.node:
            case Node(op="bce_probs", args=(Node(kind=Kind.PROBS) as x, *_)) if units(x) == 1:
                yield from without(Exchange(x, make("sigmoid", *maker(x).args)), loss, context)


def _reads(loss: Node, softmax: Node) -> bool:
    """Whether a loss is handed what a softmax made."""
    made = maker(loss.args[0]) if loss.args else loss
    return made.op == softmax.op == "softmax" and made.origin == softmax.origin


@mends("FL106", reach=Reach.MODEL)
def one_class_of_several(sighting: Sighting, _match: Match, context: Context) -> Iterator[Offer]:
    """A sigmoid before a loss for one class of several goes; who reads probabilities gets a softmax.

    So does a softmax over several classes before a binary loss, which becomes that for one class of several.
    """
    loss = sighting.node
    match loss:
        case Node(op="bce_probs", args=(Node(kind=Kind.PROBS) as x, *_)):
            doubt = "where several classes may be true at once, it is the softmax that is wrong"
            yield from without(Exchange(x, maker(x), loss_too=True), sighting, context, doubt)
        case Node(op="xent_probs" | "xent_logits", args=(Node(kind=Kind.SIGMOID_PROBS) as x, *_)) if units(x) != 1:
            is_sparse = "sparse" in str(loss.attrs.get("name", "")).lower()
            doubt = "" if is_sparse else "where several classes may be true at once, it is the loss that is wrong"
            yield from without(Exchange(x, make("softmax", *maker(x).args, axis=-1)), sighting, context, doubt)
