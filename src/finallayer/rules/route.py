"""The route that a value took from the final layer to the place where a rule looks at it."""

from __future__ import annotations

from collections.abc import Iterator

from finallayer.expr import TRANSPARENT, Node, through
from finallayer.kinds import PROBABILITY_KINDS, Kind
from finallayer.rules.base import Sighting

#: What may stand between a softmax or sigmoid and the log or loss that reads its probabilities.
_ROUTE = TRANSPARENT | {"one_minus", "clip", "add_eps", "bernoulli"}
#: So many sums of scores, one in the other, are looked into.
MOST_SUMS = 6
#: What may stand between scores that carry no gradient and the softmax or sigmoid that reads them.
_SCORES = (TRANSPARENT - {"stop_gradient"}) | {"scale", "shift"}
#: Operations that keep every axis where it was, and as long as it was.
_SAME_AXES = frozenset(
    (
        "cast identity stop_gradient neg one_minus clip add_eps scale shift activation norm dropout "
        "log log1p exp softmax log_softmax sigmoid log_sigmoid softplus"
    ).split()
)


def route(x: Node) -> Iterator[Node]:
    """The operations from a probability back to what made it, that one excluded."""
    while x.op in _ROUTE and x.args:
        yield x
        x = x.args[0]


def maker(x: Node) -> Node:
    """The softmax or sigmoid (or exp of its log) that made a probability."""
    return through(x, _ROUTE)


def is_no_loss(log: Node) -> bool:
    """Whether a log is known not to be a classifier's loss: it is multiplied by its own argument (an entropy: where p
    nearly vanishes, p*log(p) does too), weighed by a return (a policy gradient), drawn from, or summed into the log
    of a running product."""
    return any(log.attrs.get(what) for what in ("entropy", "policy", "sampled", "product"))


def is_exempt(x: Node) -> bool:
    """Whether no classifier is trained through this value: it is a table of constants, the gradient stops on the way,
    or an action is picked."""
    leaves = (node.op for node in x.walk() if not node.args)
    made = maker(x)
    scores = through(made.args[0], _SCORES) if made.args else made
    return (
        all(op in ("const", "numbers") for op in leaves)
        or scores.op == "stop_gradient"
        or any(step.op == "stop_gradient" or _picks_an_action(step) for step in route(x))
    )


def _picks_an_action(step: Node) -> bool:
    """Whether a policy's probability of an action is read: its log is no classifier's loss. An action is drawn from the
    distribution itself, or goes by that name. (A name proves nothing, but is reason enough to keep silent.)"""
    if step.op not in ("index", "gather"):
        return False
    names = [step.attrs.get("at"), *(index.attrs.get("name") for index in step.args[1:])]
    drawn = "sample" in (step.attrs.get("at"), *(through(index, TRANSPARENT).op for index in step.args[1:]))
    return drawn or any("action" in str(name).lower() for name in names)


def guard(x: Node) -> Node | None:
    """The clip or epsilon that keeps a probability from 0 on its way to a log; the clip where there are both."""
    guards = [step for step in route(x) if step.op == "add_eps" or (step.op == "clip" and _bites(step))]
    return min(guards, key=lambda step: step.op != "clip", default=None)


def guarded_probability(sighting: Sighting, by: str) -> Node | None:
    """What a log is taken of, where it is a trained probability that this operation keeps from 0 (clip or add_eps)."""
    match sighting:
        case Sighting(node=Node(args=(Node() as x, *_)) as log, training=True) if (
            x.kind in PROBABILITY_KINDS and not is_exempt(x) and not is_no_loss(log)
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
    return next((step for step in _unmoved(x) if step.op in ("softmax", "log_softmax")), None)


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
    return None


def _unmoved(x: Node) -> Iterator[Node]:
    """This value and those that it was made of, as long as every axis stayed where it was."""
    yield x
    while x.op in _SAME_AXES and x.args:
        x = x.args[0]
        yield x


def _layer(x: Node, most: int = MOST_SUMS) -> Node | None:
    """The affine map at the end of a value's way, under a bias that was added by hand."""
    *_, z = _unmoved(x)
    if z.op not in ("add", "sub"):
        return z if z.op in ("affine", "matmul") else None
    found: Node | None = None
    for term in z.args:  # one of another shape would broadcast
        if term.kind is Kind.PARAMETER:
            continue
        layer = _layer(term, most - 1) if most else None
        if layer is None or (found is not None and _shape(layer) != _shape(found)):
            return None
        found = layer
    return found


def _shape(layer: Node) -> tuple[object, ...]:
    return layer.op, layer.attrs.get("units"), layer.attrs.get("axis")
