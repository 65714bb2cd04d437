"""Which terms of a loss are a classifier's on a target: of these alone a margin is told.

An entropy, a smoothing towards all classes, a chain's normaliser or attention have no target that could trail.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from finallayer.canonical import constant
from finallayer.expr import GUARDS, LOSSES, MOVES, PICKS, Node, Role, having, logits, make, target, through
from finallayer.formulas import Term, is_share, terms
from finallayer.kinds import LOG_KINDS, PROBABILITY_KINDS, Kind
from finallayer.live.trained import reached
from finallayer.rules.margin import again, loss_of, safe_margins
from finallayer.rules.route import maker

_HEADS = having(Role.HEAD)
_PREDICTIONS = PROBABILITY_KINDS | LOG_KINDS
#: What adds losses up.
_ADDS = frozenset({"add", "sub"})
#: What weighs a loss, or averages it.
_WEIGHS = frozenset({"scale", "neg", "mean", "sum"}) | MOVES
#: What a formula subtracts the target's score from.
_NORMALISERS = frozenset({"logsumexp", "softplus"})


class Classifiers(NamedTuple):
    """A term in which a prediction meets its target."""

    loss: Node  # the same of one row of logits
    meets: frozenset[int]  # the operations that bring them together, by identity
    label: frozenset[int]  # what says which class it is, where that is a factor, by identity

    @property
    def margins(self) -> dict[str, float] | None:
        """Up to which margin its gradient is right, in each format."""
        return safe_margins(self.loss)

    def measures(self, met: Node) -> bool:
        """Whether the margins of a batch that met its labels here are this term's."""
        return id(met) in self.meets or any(id(arg) in self.label for arg in met.args)


def classifiers(loss: Node) -> tuple[list[Classifiers], list[Node]]:
    """The terms of a loss that are a classifier's on a target, and those of a softmax or sigmoid that aren't."""
    found: list[Classifiers] = []
    others: list[Node] = []
    for total in _sums(loss):
        for term in total:
            one = _classifiers(term, total)
            if one is not None:
                found.append(one)
            elif any(node.op in _HEADS for node in term.about.walk()) and not _is_score_of(term, total):
                others.append(term.about)
    return found, others


def _sums(loss: Node) -> Iterator[list[Term]]:
    """A loss as sums of products; one that adds up too many is divided."""
    waiting = [loss]
    while waiting:
        node = waiting.pop()
        total = terms(node)
        inner = through(node, _WEIGHS)
        if total:
            yield total
        elif inner.op in _ADDS:
            waiting += inner.args


def _classifiers(term: Term, total: list[Term]) -> Classifiers | None:
    x = term.about
    if x.op in LOSSES:
        known = x.operation.over or maker(x.args[0]).kind in _PREDICTIONS if x.args else ""
        if not known or len(x.args) < 2 or _is_made_of(x.args[1], x.args[0]):
            return None
        loss = again(x, logits(), target()) if _are_scores_of_their_own(x.args[0]) else x
        return Classifiers(loss, frozenset({id(x)}), frozenset())
    if x.op in _NORMALISERS and x.args:
        return _by_hand(term, total)
    if x.kind not in LOG_KINDS:
        return None
    picked = any(map(_is_by_label, (*term.picked, *_above_head(x))))
    labels = [w for w in term.weights if _may_be_label(w)]
    if not (labels or picked) or any(_is_made_of(w, x) for w in term.weights):
        return None
    meets = map(id, [*term.picked, *_above_head(x)])
    return Classifiers(loss_of(x), frozenset(meets), frozenset(map(id, labels)))


def _are_scores_of_their_own(prediction: Node) -> bool:
    """Whether what a loss is handed is what a layer, attention or the like has made, whatever of."""
    core = through(prediction, MOVES | GUARDS | {"scale", "neg"})
    return core.kind is Kind.UNKNOWN and core.op not in _HEADS | _ADDS | {"log"}


def _is_by_label(step: Node) -> bool:
    """Whether an index that isn't spelled out picks entries."""
    return step.op == "gather" or (step.op in PICKS and ("at" in step.attrs or len(step.args) > 1))


def _above_head(x: Node) -> Iterator[Node]:
    """A log and what stands between it and the softmax."""
    while x.op not in _HEADS and x.args:
        yield x
        x = x.args[0]


def _by_hand(term: Term, total: list[Term]) -> Classifiers | None:
    """``logsumexp(z) - z[y]``, and ``softplus(z) - z * y``."""
    x, z = term.about, term.about.args[0]
    scores = [other for other in total if _scored(other) == _bare(z)]
    if not scores or term.sign < 0:
        return None
    row = again(x, logits())
    loss = make("sub", row, make("gather", logits(), target())) if x.op == "logsumexp" else row
    met = [step for other in scores for step in (*other.picked, other.about)]
    return Classifiers(loss, frozenset(map(id, met)), frozenset())


def _is_score_of(term: Term, total: list[Term]) -> bool:
    """Whether a term is the target's score, whose normaliser is another."""
    return any(o.about.op in _NORMALISERS and _bare(o.about.args[0]) == _scored(term) for o in total)


def _scored(term: Term) -> Node | None:
    """The scores of which a term takes the target's, negative; None where it takes none."""
    if term.sign > 0:
        return None
    x = term.about
    for part in x.args if x.op == "mul" else (x,):
        if part.kind is Kind.LOGITS or term.is_picked or x.op == "mul":
            return _bare(part)
    return None


def _bare(x: Node) -> Node:
    return through(x, MOVES)


def _may_be_label(weight: Node) -> bool:
    """Whether a factor may say which class it is: no number, no share, no weight that is learned."""
    core = through(weight, MOVES | {"neg", "scale"})
    return constant(core) is None and not is_share(core) and core.kind is not Kind.PARAMETER


def _is_made_of(value: Node, prediction: Node) -> bool:
    """Whether what should be a target is made of the very scores that are to be trained by it."""
    *_, last = prediction, *_above_head(prediction)
    head = last if last.op in _HEADS or not last.args else last.args[0]
    scores = head.args[0] if head.op in _HEADS and head.args else head
    return reached(lambda node: node == scores)(value)
