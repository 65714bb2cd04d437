"""The route that a value took from the final layer to the place where a rule looks at it."""

from __future__ import annotations

from collections.abc import Iterator

from finallayer.catalog.frameworks import WITHOUT_GRADIENTS
from finallayer.expr import (
    GUARDS,
    HANDS_ON,
    MOVES,
    OPERATIONS,
    SAME_AXES,
    SEVERAL,
    TRANSPARENT,
    Node,
    Role,
    having,
    is_given,
    through,
)
from finallayer.findings import Sighting
from finallayer.kinds import LOG_KINDS, PROBABILITY_KINDS, Kind

#: What may stand between a softmax or sigmoid and the log or loss that reads its probabilities.
_ROUTE = HANDS_ON | having(Role.STATED)
#: What may stand between scores that carry no gradient and the softmax or sigmoid that reads them.
_SCORES = (TRANSPARENT - {"stop_gradient"}) | {"scale", "shift"}
_CONSTANTS = having(Role.CONSTANT)
#: What has weights of its own, whatever it is given.
_WEIGHTED = frozenset({"affine"})
#: What leaves scores numbers of any size and sign.
_STILL_SCORES = MOVES | {"scale", "neg", "dropout"}
_PREDICTIONS = PROBABILITY_KINDS | LOG_KINDS | {Kind.LOGITS}
#: The softmax and its log.
_SOFTMAXES = frozenset(op for op in SAME_AXES & having(Role.HEAD) if OPERATIONS[op].over == "classes")


def route(x: Node) -> Iterator[Node]:
    """The operations from a probability back to what made it, that one excluded."""
    while x.op in _ROUTE and x.args:
        yield x
        x = x.args[0]


def maker(x: Node) -> Node:
    """The softmax or sigmoid (or exp of its log) that made a probability."""
    return through(x, _ROUTE)


def is_exempt(x: Node) -> bool:
    """Whether no classifier is trained through this value, or not to its harm: it is a table of constants, the gradient
    stops on the way, or only entries that are no smaller than some number are looked at."""
    made = maker(x)
    scores = through(made.args[0], _SCORES) if made.args else made
    return (
        all(node.op in _CONSTANTS if not node.args else node.op not in _WEIGHTED for node in x.walk())
        or scores.op == "stop_gradient"
        or any(step.op == "stop_gradient" or _is_no_smaller(step) for step in route(x))
    )


def _is_no_smaller(step: Node) -> bool:
    """Whether a mask picks only the entries that are above some number: above 0, too, no log is infinite."""
    least = step.attrs.get("least")
    return isinstance(least, (int, float)) and least >= 0


def is_classifiers(log: Node) -> bool:
    """Whether a classifier, or a policy, may be trained through the log of its probabilities, to the log's harm.

    The front end has marked what shows what a log is for: ``no_loss``; or ``self_weighted``, whose gradient vanishes
    with the probability, so that a guard is all it needs, unless the log is ``of_picked`` entries, too.
    """
    (x, *_) = log.args
    itself = log.attrs.get("self_weighted") and not log.attrs.get("of_picked")
    spared = log.attrs.get("no_loss") or (itself and guard(x) is not None)
    return not spared and not is_exempt(x)


def is_by_hand(sighting: Sighting) -> bool:
    """Whether the gradient is written by hand, if there is any."""
    return sighting.by_hand or sighting.framework in WITHOUT_GRADIENTS


def is_detached(x: Node) -> bool:
    """Whether the gradient stops on the way to a value, so that nothing is trained by what is made of it."""
    while x.op in _ROUTE or x.op in SAME_AXES:
        if x.op == "stop_gradient" or not x.args:
            return x.op == "stop_gradient"
        x = x.args[0]
    return False


def are_scores(x: Node) -> bool:
    """Whether a value is what an affine layer gives, moved or scaled at most: numbers of any size and sign."""
    x = through(x, _STILL_SCORES)
    if x.kind is not Kind.LOGITS:
        return False
    if x.op in ("add", "sub", *SEVERAL):
        terms = [term for term in x.args if term.kind is not Kind.PARAMETER]
        has_bias = len(terms) < len(x.args)
        return bool(terms) and all(are_scores(term) or (has_bias and _may_be_table(term)) for term in terms)
    return x.op in ("affine", "logits") or (x.op == "matmul" and not _may_be_table(x))


def _may_be_table(x: Node) -> bool:
    """Whether a product looks something up for all we know: labels times a table of other labels, say, or
    probabilities times those of transitions. With a bias it is a layer all the same."""
    factors = [a for a in x.args if a.kind is not Kind.PARAMETER]
    return x.op == "matmul" and all(a.kind is not Kind.LOGITS for a in factors)


def may_be_prediction(x: Node) -> bool:
    """Whether a value is what a model gives, or may be: a call that isn't understood has given it."""
    x = through(x, MOVES)
    return x.kind in _PREDICTIONS or (is_given(x) and not x.attrs.get("fed"))


def is_the_wrong_way_round(divergence: Node) -> bool:
    """Whether a divergence that takes the log of its prediction is handed that of its target instead."""
    match divergence:
        case Node(op="kl", args=(x, target), attrs={"log_target": False}):
            return x.kind in PROBABILITY_KINDS and target.kind in LOG_KINDS
    return False


def guard(x: Node) -> Node | None:
    """The clip or epsilon that keeps a probability from 0 on its way to a log; the clip where there are both."""
    guards = [step for step in route(x) if step.op in GUARDS and (step.op != "clip" or _bites(step))]
    return min(guards, key=lambda step: step.op != "clip", default=None)


def guarded_probability(sighting: Sighting, by: str) -> Node | None:
    """What a log is taken of, where it is a trained probability that this operation keeps from 0 (clip or add_eps)."""
    match sighting:
        case Sighting(node=Node(args=(Node() as x, *_)) as log, training=True) if (
            x.kind in PROBABILITY_KINDS and is_classifiers(log)
        ):
            guarded = guard(x)
            return x if guarded is not None and guarded.op == by else None
    return None


def _bites(clip: Node) -> bool:
    """Whether a clip changes any probability: a bound lies inside (0, 1), or is one that we couldn't read."""
    stated = [bound for bound in (clip.attrs.get("low"), clip.attrs.get("high")) if isinstance(bound, (int, float))]
    return not stated or any(0 < bound < 1 for bound in stated)


def softmax_of(x: Node) -> Node | None:
    """The softmax behind a value, where no axis has moved since."""
    return next((step for step in _unmoved(x) if step.op in _SOFTMAXES), None)


def units(x: Node) -> int | None:
    """The size of the class axis, where the layer that made the logits states it."""
    layer = _layer(x)
    stated = layer.attrs.get("units") if layer is not None else None
    return stated if isinstance(stated, int) else None


def class_axis(x: Node) -> int | None:
    """The axis along which the layer that made the logits put its units, where that is certain.

    A layer and ``x @ W`` put them last; ``W @ x`` keeps examples in columns.
    """
    match _layer(x):
        case Node(op="affine", attrs=attrs):
            axis = attrs.get("axis", -1)
            return axis if isinstance(axis, int) else None
        case Node(op="matmul", args=(features, weights)) if (
            weights.kind is Kind.PARAMETER and features.kind is not Kind.PARAMETER
        ):
            return -1
        case Node(op="add", args=(Node(op="matmul"), _)):  # weights and bias of one collection
            return -1
    return None


def _unmoved(x: Node) -> Iterator[Node]:
    """This value and those that it was made of, as long as every axis stayed where it was."""
    yield x
    while x.op in SAME_AXES and x.args:
        x = x.args[0]
        yield x


def _is_layer(total: Node) -> bool:
    """Whether ``x @ params["w"] + params["b"]`` is what a sum says: x is multiplied and shifted by two items of one
    collection, of which x is none."""
    match total:
        case Node(op="add", args=(Node(op="matmul", args=(features, weights)), bias)):
            owner = _owner(weights)
            return owner is not None and _owner(bias) == owner != _owner(through(features, MOVES))
    return False


def _owner(part: Node) -> int | None:
    """What an item or attribute was taken from that isn't understood."""
    of, name = part.attrs.get("of", ()), str(part.attrs.get("name", ""))
    is_item, is_attribute = name.endswith("]") and len(of) == 2, "." in name and len(of) == 1
    return of[0] if part.op == "opaque" and (is_item or is_attribute) else None


def _layer(x: Node) -> Node | None:
    """The affine map at the end of a value's way, under a bias that was added by hand; or the sum of the two."""
    layers: list[Node | None] = []
    seen: set[int] = set()
    waiting = [x]
    while waiting:
        *_, z = _unmoved(waiting.pop())
        if id(z) in seen:
            continue
        seen.add(id(z))
        if _is_layer(z):
            layers.append(z)
        elif z.op in ("add", "sub"):  # a term of another shape would broadcast
            waiting += [term for term in z.args[::-1] if term.kind is not Kind.PARAMETER]
        else:
            layers.append(z if z.op in ("affine", "matmul") else None)
    alike = {layer and (layer.op, layer.attrs.get("units"), layer.attrs.get("axis")) for layer in layers}
    return layers[0] if len(alike) == 1 else None
