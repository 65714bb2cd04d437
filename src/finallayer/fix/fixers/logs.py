"""Fixes of logs of a softmax or sigmoid: the log moves inside, to ``log_softmax`` or ``log_sigmoid`` of the logits.

The probabilities stay where they are for whoever else reads them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from finallayer.canonical import LARGEST_EPS
from finallayer.catalog.names import canonical
from finallayer.expr import GUARDS, Node, logits, make, target
from finallayer.findings import Edit, Match, Sighting
from finallayer.fix.fixers.cross_entropy import fused
from finallayer.fix.fixers.removal import does_more
from finallayer.fix.flow.context import Context
from finallayer.fix.flow.descent import BY_MASK
from finallayer.fix.flow.idle_layer import idle_layer
from finallayer.fix.flow.known_calls import known_call
from finallayer.fix.flow.makers import NLL, NLL_OF_SIGMOID, may_be_masked
from finallayer.fix.flow.moved_log import where_it_was_named, with_log
from finallayer.fix.flow.place import Place
from finallayer.fix.registry import Proposal, mends
from finallayer.fix.text.spelling import FRAMEWORKS, Written, as_object, negated
from finallayer.kinds import Kind
from finallayer.rules.judging import judge
from finallayer.rules.margin import loss_of, unpaired
from finallayer.rules.route import guard, is_detached, maker, route

XENT = make("xent_logits", logits(), target())


@mends("FL201", "FL202", "FL203")
def log_softmax(sighting: Sighting, _match: Match, context: Context) -> Iterator[Proposal]:
    """``log(softmax(z))``, also guarded, indexed or through a variable, becomes ``log_softmax(z)``."""
    log = sighting.node
    softmax = maker(log.args[0])
    if softmax.op != "softmax" or (guard(log.args[0]) is not None and may_be_masked(softmax)):
        return
    place = Place.of_log(context, log)
    whole = with_fused(place, softmax, sighting, context)
    if whole:
        yield Proposal(whole, loss_of(log), XENT)
    edits = with_log_softmax(place, softmax, sighting, context)
    if edits and place is not None:
        yield Proposal(edits, loss_of(log), NLL, _counts_no_class(place, place.framework(sighting)))


def _counts_no_class(place: Place, framework: str | None) -> str:
    """Why the log of a guarded sum over one-hot rows may count otherwise; PyTorch refuses a label that no class has."""
    kinds = {step.kind for step in place.descent.steps}
    if BY_MASK not in kinds or kinds.isdisjoint(GUARDS) or framework == "torch":
        return ""
    return "a row in which no class is 1 would count 0, and no more the log of the guard"


def with_fused(place: Place | None, softmax: Node, sighting: Sighting, context: Context) -> tuple[Edit, ...]:
    """The edits that put a fused cross-entropy of the logits in the place of the whole formula around a log."""
    if place is None or not can_be_log_softmax(place, softmax) or (place.maker and does_more(place.maker)):
        return ()
    modules = context.modules()
    framework, z = place.framework(sighting), place.logits_argument()
    named = place.logits(context, z) if z is not None else None
    if place.syntax.file.path not in modules or framework is None or named is None:
        return ()
    whole = fused(place, modules, softmax.attrs.get("axis"), framework, named.text)
    return whole.place.edits(whole.written, named) if whole is not None else ()


def can_be_log_softmax(place: Place, softmax: Node) -> bool:
    """Whether a log can move into the softmax; one that is written out is mended where it stands."""
    written_out = softmax.attrs.get("naive") and not place.descent.own
    leaves_out = place.maker is not None and place.maker.argument("where") is not None
    if leaves_out and any(step.kind in GUARDS for step in place.descent.steps):
        return False  # a class that is left out has the probability 0, and a log only by an epsilon
    if may_be_masked(softmax) and any(step.kind == BY_MASK for step in place.descent.steps):
        return False  # 0 * p is 0, but 0 * log_softmax(z) isn't
    return not place.flips() and not softmax.attrs.get("whole") and not written_out


def with_log_softmax(
    place: Place | None, softmax: Node, sighting: Sighting, context: Context, in_place_of_name: bool = False
) -> tuple[Edit, ...]:
    """The edits that put log_softmax of the logits in the place of what is made of a softmax.

    ``in_place_of_name``: rather where that has a name, ``p = softmax(z)``, if only this place reads it.
    """
    if place is None or not can_be_log_softmax(place, softmax):
        return ()
    axis, framework = softmax.attrs.get("axis"), place.framework(sighting)

    def write(at: Place, z: str) -> Written | None:
        return _called_as_before(at, _log_softmax_of(at, z, axis, framework), framework)

    named = where_it_was_named(place, context, write, beside=False) if in_place_of_name else ()
    beside = [other for other in _beside(place, "softmax", context) if can_be_log_softmax(other, softmax)]
    return with_idle_layer(place, named or with_log(place, context, write, beside))


def with_idle_layer(place: Place, edits: tuple[Edit, ...]) -> tuple[Edit, ...]:
    """The edits, and that which takes out the layer that made the probabilities, where they have it applied no more."""
    made, syntax = place.descent.made, place.syntax
    if not edits or place.maker is None or place.maker.calls != "layer" or not isinstance(made, ast.Call):
        return edits
    at = syntax.file.in_cell(syntax.file.origin(made))
    start, end = (at.line, at.column), (at.end_line, at.end_column)
    gone = any(
        (e.path, e.cell) == (at.path, at.cell) and (e.line, e.column) <= start and end <= (e.end_line, e.end_column)
        for e in edits
    )
    return (*edits, *idle_layer(syntax, made.func)) if gone else edits


def _beside(place: Place, op: str, context: Context) -> list[Place]:
    """The other logs of the same probabilities in a function that are mended, too, each in its own turn."""
    scope, definition = place.syntax.scope(place.node), place.descent.definition
    found: dict[ast.expr, Place] = {}
    for sighting in context.sightings() if definition is not None else ():
        log = sighting.node
        if log.op != "log" or log.origin is None or log.origin.path != place.syntax.file.path:
            continue
        other = Place.of_log(context, log) if maker(log.args[0]).op == op else None
        if other is None or other.node is place.node or other.descent.definition is not definition:
            continue
        if other.syntax.scope(other.node) is scope and _is_mended(sighting):
            found[other.node] = other
    return list(found.values())


def _is_mended(sighting: Sighting) -> bool:
    """Whether a log is found fault with, and no guard before it is so large that it is part of what the loss means."""
    stated = [n.attrs.get(name) for n in route(sighting.node.args[0]) for name in ("eps", "low", "high")]
    sizes = [min(abs(v), abs(1 - v)) for v in stated if isinstance(v, (int, float))]
    return max(sizes, default=0.0) <= LARGEST_EPS and any(judge([unpaired(sighting)]))


def _called_as_before(place: Place, written: Written | None, framework: str | None) -> Written | None:
    """What is written in a log's place, by the name that the log had in TensorFlow's graph."""
    log = known_call(place.module, place.node, "log")
    name = log.argument("name") if log is not None and framework == "tensorflow" else None
    if written is None or name is None or not written.text.endswith(")") or written.text.startswith("-"):
        return written
    return written._replace(text=f"{written.text[:-1]}, name={place.syntax.text(name)})")


#: Modules that have a log_softmax beside their softmax, with the same arguments.
WITH_LOG_SOFTMAX = frozenset(
    "torch torch.nn.functional torch.special tensorflow.nn tensorflow.compat.v1.nn jax.nn flax.linen keras.ops "
    "scipy.special".split()
)


def _log_softmax_of(place: Place, logits: str, axis: object, framework: str | None) -> Written | None:
    """The log_softmax of logits as they are written, in the user's own words where the softmax has a twin."""
    made, speller = place.descent.made, place.speller
    softmax = known_call(place.module, made, "softmax")
    twin = softmax.name.removesuffix(".softmax") if softmax is not None and softmax.last_name == "softmax" else None
    if softmax is not None and (softmax.calls == "method" or twin in WITH_LOG_SOFTMAX):
        rest = place.other_arguments(softmax)
        if rest is None:
            return None
        if softmax.calls == "method":
            return Written(f"{as_object(logits)}.log_softmax({', '.join(rest)})")
        return speller.call(f"{twin}.log_softmax", ", ".join([logits, *rest]), place.node)
    if framework is None or not isinstance(axis, int) or not isinstance(made, ast.Call):
        return None
    return speller.along(FRAMEWORKS[framework].log_softmax, logits, framework, axis, place.node)


@mends("FL103")
def log_softmax_for_nll(sighting: Sighting, _match: Match, context: Context) -> Iterator[Proposal]:
    """``nll_loss(softmax(z), y)``, which is wrong maths, becomes ``nll_loss(log_softmax(z), y)``."""
    loss = sighting.node
    softmax = maker(loss.args[0])
    if is_likelihood(loss, context) and softmax.op == "softmax":
        place = Place.of_argument(context, loss)
        edits = with_log_softmax(place, softmax, sighting, context, in_place_of_name=True)
        if edits:
            yield Proposal(edits, None, make(loss.op, make("log_softmax", logits()), target()), meant_otherwise(loss))


def meant_otherwise(loss: Node) -> str:
    """Why a loss of probabilities that picks them a row may be no cross-entropy; empty where it is minimised as one."""
    reduced = loss.op != "nll" or loss.attrs.get("reduction") in (None, "mean", "sum")
    return "" if reduced else "what it gives for each row may be meant: minus the probability of the class"


def is_likelihood(loss: Node, context: Context) -> bool:
    """Whether a loss takes log-probabilities, and a divergence what may be its target: none with the two swapped."""
    if loss.op != "kl":
        return loss.op == "nll"
    made = maker(loss.args[0])
    trained = all(s.training for s in context.sightings() if s.node.op == made.op and s.node.origin == made.origin)
    return trained and loss.args[1].kind in (Kind.PROBS, Kind.TARGET, Kind.UNKNOWN) and not is_detached(loss.args[0])


@mends("FL303")
def logits_for_xent(sighting: Sighting, _match: Match, context: Context) -> Iterator[Proposal]:
    """``cross_entropy(log_softmax(z), y)`` becomes ``cross_entropy(z, y)``."""
    loss = sighting.node
    place = Place.of_argument(context, loss) if loss.op == "xent_logits" else None
    z = place and place.logits_argument()
    named = place and z and place.logits(context, z)
    if place and named and maker(loss.args[0]).op == "log_softmax" and not place.flips():
        edits = place.edits(Written(named.text), named)
        old, new = (make("xent_logits", x, target()) for x in (make("log_softmax", logits()), logits()))
        if edits:
            yield Proposal(edits, old, new)


@mends("FL203", "FL202", "FL205")
def log_sigmoid(sighting: Sighting, _match: Match, context: Context) -> Iterator[Proposal]:
    """``log(sigmoid(z))`` becomes ``log_sigmoid(z)``, ``log(1 - sigmoid(z))`` ``log_sigmoid(-z)``."""
    log = sighting.node
    place = Place.of_log(context, log) if maker(log.args[0]).op == "sigmoid" else None
    if place is None:
        return
    framework, flips = place.framework(sighting), place.flips()

    def write(at: Place, z: str) -> Written | None:
        own = at.speller.log_sigmoid(framework, z, at.flips(), at.node) if framework is not None else None
        return _called_as_before(at, own, framework) or _softplus_of_keras(at, z)

    edits = with_idle_layer(place, with_log(place, context, write, _beside(place, "sigmoid", context)))
    if edits:
        yield Proposal(edits, loss_of(log), NLL_OF_SIGMOID[flips], binary=True)


def _softplus_of_keras(place: Place, z: str) -> Written | None:
    """The log of ``K.sigmoid(z)`` as ``-K.softplus(-z)``: Keras' old backend has no log_sigmoid."""
    sigmoid = known_call(place.module, place.descent.made, "sigmoid")
    if sigmoid is None or canonical(sigmoid.name) != "keras.backend.sigmoid":
        return None
    softplus = f"{sigmoid.name.rpartition('.')[0]}.softplus"
    call = place.speller.call(softplus, z if place.flips() else negated(z), place.node)
    return call and Written(f"-{call.text}", call.edits)
