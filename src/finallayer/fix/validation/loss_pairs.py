"""Losses and metrics of both programs, place by place: the same, or the one that was meant where the old was wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from finallayer.catalog.names import canonical
from finallayer.expr import (
    GUARDS,
    LOSSES,
    MOVES,
    ON_LOGITS,
    SEVERAL,
    TRANSPARENT,
    Node,
    Origin,
    make,
    once,
    through,
)
from finallayer.findings import Sighting
from finallayer.fix.flow.known_calls import known_call
from finallayer.fix.flow.targets import are_distributions, has_two_axes
from finallayer.fix.validation.forms import Forms, Known, log_form
from finallayer.fix.validation.programs import Programs
from finallayer.rules.bounds import may_be_logits
from finallayer.rules.judging import place_of
from finallayer.rules.route import maker, units
from finallayer.source.values import MadeOf

#: What is compared here: losses, and what asks for probabilities by their size.
_COMPARED = LOSSES | {"metric", "threshold"}
#: A log that was wrong, of logits, and what takes its place.
_LOGS = frozenset({"log", "log_softmax", "log_sigmoid"})
#: A head of a head, of which one is too many.
_TWICE = frozenset({"softmax", "sigmoid"})
#: Rules that say so.
_ONE_TOO_MANY = frozenset({"FL101", "FL104"})
#: What a wrong program has put between the logits and the loss.
_HEADS = frozenset("softmax log_softmax sigmoid log_sigmoid log exp".split())
#: Activations whose outputs are nobody's logits.
_POSITIVE = frozenset({"relu", "relu6", "softplus", "exponential", "hardsigmoid"})
_FAMILY = {"xent_logits": "xent", "xent_probs": "xent", "nll": "xent", "bce_logits": "bce", "bce_probs": "bce"}
#: Rules that say that another loss was meant, and not only another argument.
_OF_METRICS = frozenset({"FL102", "FL108"})
_OTHER_LOSS = frozenset({"FL105", "FL106"})

#: Fused cross-entropies, a loss a row.
_FUSED = ("optax.softmax_cross_entropy", "tensorflow.nn.softmax_cross_entropy_with_logits")


class _Pair(NamedTuple):
    """What both programs compute at one place."""

    origin: Origin
    old: Node
    new: Node


def mended(programs: Programs, known: Known) -> Known:
    """The wrong heads and losses that the edited program has made right, besides what is known."""
    wrong: dict[Origin, set[str]] = {}
    heads: dict[Origin, str] = {}
    left = {place_of(j.finding) for j in programs.judged_after}
    for judged in programs.program.judged:
        code, origin = place_of(judged.finding)
        wrong.setdefault(origin, set()).add(code)
        if code in _OTHER_LOSS and (code, origin) not in left:
            heads |= _meant_head(judged.sighting.node)
    everywhere = set().union(*wrong.values()) & _OF_METRICS
    proven = {
        (pair.origin, pair.old): pair.new
        for pair in _pairs(programs, known._replace(heads=heads), _COMPARED | _LOGS | _TWICE)
        if pair.old != pair.new and _is_meant(pair.old, pair.new, wrong.get(pair.origin, set()) | everywhere)
    }
    return known._replace(proven=proven, heads=heads)


def _meant_head(found: Node) -> dict[Origin, str]:
    """The head that doesn't belong to its loss, and that which was meant."""
    head = found if found.op == "softmax" else maker(found.args[0])
    if found.op == "bce_probs" and head.op == "softmax" and units(head) != 1:
        return {}  # the softmax of several classes stays: it is the loss that doesn't belong to it
    other = {"softmax": "sigmoid", "sigmoid": "softmax"}.get(head.op)
    return {head.origin: other} if other is not None and head.origin is not None else {}


def formulas(programs: Programs) -> dict[Origin, dict[Node, int]]:
    """Where the edited program has a fused cross-entropy in a formula's place, and which forms have two axes there.

    TensorFlow's takes for granted that the targets sum to one: only of such it has the same gradient.
    """
    before, forms = _places(programs.seen, _COMPARED), Forms(programs.new.made_of)
    found: dict[Origin, dict[Node, int]] = {}
    for loss in (s.node for s in programs.seen_after):
        origin, name = loss.origin, canonical(str(loss.attrs.get("name")))
        if origin is None or origin in before or not name.startswith(_FUSED):
            continue
        module = programs.module_after(origin.path)
        known = known_call(module, module.syntax.expression(origin)) if module is not None else None
        labels = known.argument("target") if known is not None else None
        if module is not None and labels is not None:
            any_targets = not name.startswith("tensorflow.")
            if any_targets or are_distributions(labels, module, programs.modules_after()):
                found[origin] = {forms.of(loss.args[-1]): 2} if has_two_axes(labels, module) else {}
    return found


def differing(programs: Programs, known: Known) -> Iterator[Origin]:
    """Where the programs compute another loss or metric."""
    pairs = list(_pairs(programs, known, _COMPARED))
    yield from dict.fromkeys(pair.origin for pair in pairs if pair.old != pair.new)
    yield from _places(programs.seen, _COMPARED).keys() - _places(programs.seen_after, _COMPARED).keys()


def _pairs(programs: Programs, known: Known, ops: frozenset[str]) -> Iterator[_Pair]:
    before, after = programs.forms(known)
    old, new = _places(programs.seen, ops), _places(programs.seen_after, ops)
    for origin, nodes in old.items():
        there = new.get(origin, [])
        if len(there) == len(nodes):
            yield from (_Pair(origin, before.of(a), after.of(b)) for a, b in zip(nodes, there, strict=True))
        elif there:
            yield from (_Pair(origin, before.of(a), after.of(b)) for a in nodes for b in there)


def _places(seen: Iterable[Sighting], ops: frozenset[str]) -> dict[Origin, list[Node]]:
    found: dict[Origin, list[Node]] = {}
    for sighting in seen:
        if sighting.node.op in ops and sighting.node.origin is not None:
            found.setdefault(sighting.node.origin, []).append(sighting.node)
    return found


def _is_meant(old: Node, new: Node, codes: set[str]) -> bool:
    """Whether a new form is what an old one was meant to be, that is wrong as the rules of these codes say."""
    if not codes or len(old.args) != len(new.args) or old.args[1:] != new.args[1:]:
        return False
    if new.op in ("threshold", "metric"):
        forms = Forms(MadeOf())
        heads = map(forms.made, (make("sigmoid", old.args[0]), make("softmax", old.args[0], axis=-1)))
        asked = (make(old.op, head, *old.args[1:], **old.attrs) for head in heads)
        return bool(codes & _OF_METRICS) and new in map(forms.made, asked)
    if old.op in _TWICE:
        first = old.args[0]
        return bool(codes & _ONE_TOO_MANY) and first.op == old.op and new == first and _are_scores(first.args[0])
    if old.op == "log":
        along = new.op == "log_sigmoid" or (new.op == "log_softmax" and new.attrs.get("axis") != 0)
        return "FL102" in codes and along and new.args[0] == old.args[0] and _are_scores(old.args[0])
    if old.op == new.op and new.op in ("kl", "nll"):
        logs = log_form(old.args[0])
        made = through(new.args[0], MOVES)
        of_logits = made.op == "log_softmax" and made.attrs.get("axis") != 0 and _logits(new.args[0]) == old.args[0]
        return "FL103" in codes and (new.args[0] == logs if logs is not None else of_logits)
    if new.args and "FL102" in codes and not may_be_logits(new.args[0]):
        return False  # nothing was applied to them before, so they were meant to be what they are
    same = _FAMILY.get(old.op, old.op) == _FAMILY.get(new.op) or bool(codes & _OTHER_LOSS)
    return new.op in ON_LOGITS and same and _logits(old.args[0]) == new.args[0] and _are_scores(new.args[0])


def _logits(x: Node) -> Node:
    """A value without the heads that a wrong program has put before, or among, what moves its numbers."""

    @once
    def logits(x: Node) -> Node:
        if x.op in _HEADS | GUARDS:
            return logits(x.args[0])
        if x.op not in TRANSPARENT or not x.args:
            return x
        parts = x.args if x.op in SEVERAL else x.args[:1]
        return Node(x.op, (*map(logits, parts), *x.args[len(parts) :]), x.attrs, x.origin)

    return logits(x)


def _are_scores(z: Node) -> bool:
    """Whether a value may be logits: no head has made it, nor what leaves no negative number."""
    made = through(z, MOVES)
    positive = made.op == "activation" and made.attrs.get("name") in _POSITIVE
    return made.op not in _HEADS | GUARDS and not positive
