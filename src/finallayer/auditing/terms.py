"""Which terms of a loss are a classifier's on a target: of these alone a margin is told.

An entropy, a smoothing towards all classes, a chain's normaliser or attention have no target that could trail.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from finallayer.canonical import constant
from finallayer.expr import GUARDS, LOSSES, MOVES, PICKS, Node, Role, having, logits, make, target, through
from finallayer.formulas import is_share
from finallayer.kinds import LOG_KINDS, PROBABILITY_KINDS, Kind
from finallayer.live.trained import is_unknown, may_be_trained, reached
from finallayer.rules.margin import again, loss_of, safe_margins
from finallayer.rules.route import maker

_HEADS = having(Role.HEAD)
_PREDICTIONS = PROBABILITY_KINDS | LOG_KINDS
#: What adds losses up; what multiplies; what weighs or averages them, or leaves them what they are.
_ADDS = frozenset({"add", "sub"})
_PRODUCTS = frozenset({"mul", "matmul"})
_WEIGHS = (MOVES - {"stop_gradient"}) | {"scale", "neg", "mean", "sum"}
#: What a formula subtracts the target's score from.
_NORMALISERS = frozenset({"logsumexp", "softplus"})
#: A product of sums becomes at most so many products, and a sum of more terms has so many to it.
MOST_PRODUCTS = 24


class Classifiers(NamedTuple):
    """A term in which a prediction meets its target."""

    loss: Node  # the same of one row of logits
    meets: frozenset[int]  # the operations between the loss and the softmax, by identity

    @property
    def margins(self) -> dict[str, float] | None:
        """Up to which margin its gradient is right, in each format."""
        return safe_margins(self.loss)

    def measures(self, met: Node) -> bool:
        """Whether the margins of a batch that met its labels here are this term's."""
        return id(met) in self.meets


class Product(NamedTuple):
    """One product of the sum that a loss is."""

    factors: tuple[Node, ...] = ()
    path: tuple[Node, ...] = ()  # the operations around them
    sign: int = 1


def classifiers(loss: Node) -> tuple[list[Classifiers], list[Node]]:
    """The terms of a loss that are a classifier's on a target, and what is made of a softmax or sigmoid else."""
    found: list[Classifiers] = []
    others: list[Node] = []
    is_reached = reached(may_be_trained)
    is_known = is_reached(loss)  # what is trained
    total = list(_products(loss))
    for product in total:
        one = _of_loss(product) or _of_formula(product) or _by_hand(product, total)
        if one is not None:
            found.append(one)
        elif not any(_is_scored(product, other) for other in total):
            others += [
                f for f in product.factors if is_reached(f) >= is_known and any(n.op in _HEADS for n in f.walk())
            ][:1]
    return found, others


def _products(x: Node, above: Product = Product()) -> Iterator[Product]:  # noqa: B008 -- it is immutable
    """The products that a loss is the sum of, without numbers."""
    waiting = [(x, above)]
    while waiting:
        node, around = waiting.pop()
        inside = around._replace(path=(*around.path, node))
        if not _is_taken_apart(node):
            yield inside._replace(factors=(node,), path=around.path)
        elif node.op in _ADDS:
            waiting.append((node.args[1], inside._replace(sign=-around.sign if node.op == "sub" else around.sign)))
            waiting.append((node.args[0], inside))
        elif node.op in _PRODUCTS:
            left, right = (list(_products(a)) for a in node.args)
            yield from _multiplied(left, right, inside)
        else:
            by = node.attrs.get("by")
            negative = node.op == "neg" or (node.op == "scale" and isinstance(by, (int, float)) and by < 0)
            waiting.append((node.args[0], inside._replace(sign=-around.sign if negative else around.sign)))


def _is_taken_apart(node: Node) -> bool:
    if not node.args or (node.kind is Kind.LOGITS and node.op not in MOVES | {"neg"}):
        return False
    if node.kind in _PREDICTIONS and node.op not in _WEIGHS:
        return False
    return node.op in _WEIGHS or node.op == "div" or (node.op in _ADDS | _PRODUCTS and len(node.args) == 2)


def _multiplied(left: list[Product], right: list[Product], within: Product) -> Iterator[Product]:
    if len(left) * len(right) > MOST_PRODUCTS:
        return
    for a in left:
        for b in right:
            path = (*within.path, *a.path, *b.path)
            yield Product((*a.factors, *b.factors), path, within.sign * a.sign * b.sign)


def _of_loss(product: Product) -> Classifiers | None:
    """A framework's loss, of whichever weight."""
    x = next((f for f in product.factors if f.op in LOSSES and len(f.args) > 1), None)
    if x is None or _is_made_of(x.args[1], x.args[0]):
        return None
    if not x.operation.over and maker(x.args[0]).kind not in _PREDICTIONS:
        return None
    loss = again(x, logits(), target()) if _are_scores_of_their_own(x.args[0]) else x
    return _term(loss, [x])


def _of_formula(product: Product) -> Classifiers | None:
    """A log of what a softmax or sigmoid gives, of which a label picks or weighs the classes."""
    for x in product.factors:
        steps = list(_above_head(x))
        others = [f for f in product.factors if f is not x]
        if x.kind not in LOG_KINDS or any(_is_made_of(f, x) for f in others):
            continue
        if any(map(_may_be_label, others)) or any(map(_is_by_label, (*product.path, *steps))):
            return _term(_twice(_head(x)) or loss_of(x), [*product.path, *steps])
    return None


def _twice(head: Node) -> Node | None:
    """The loss on one row that the log of a softmax of softmax outputs is; None where it is no such."""
    inner = through(head.args[0], MOVES | {"neg", "scale"}) if head.args else head
    if head.op not in _HEADS or inner is head or inner.kind not in _PREDICTIONS:
        return None
    doubled = again(head, again(maker(inner), logits()))
    log = doubled if doubled.kind in LOG_KINDS else make("log", doubled)
    return make("neg", make("gather", log, target()) if log.kind is Kind.LOG_PROBS else log)


def _by_hand(product: Product, total: list[Product]) -> Classifiers | None:
    """``logsumexp(z) - z[y]``, and ``softplus(z) - z * y``."""
    x = next((f for f in product.factors if f.op in _NORMALISERS and f.args), None)
    scored = [other for other in total if _is_scored(other, product)]
    if x is None or not scored:
        return None
    row = again(x, logits())
    loss = make("sub", row, make("gather", logits(), target())) if x.op == "logsumexp" else row
    return _term(loss, [step for other in scored for step in other.path])


def _is_scored(score: Product, normaliser: Product) -> bool:
    """Whether a term takes the target's score off the normaliser that another one is."""
    rows = [_bare(f.args[0]) for f in normaliser.factors if f.op in _NORMALISERS and f.args]
    picked = any(map(_is_by_label, score.path)) or any(map(_may_be_label, score.factors[1:]))
    return picked and score.sign != normaliser.sign and any(_bare(f) in rows for f in score.factors)


def _term(loss: Node, met: Iterable[Node]) -> Classifiers:
    return Classifiers(loss, frozenset(map(id, met)))


def _are_scores_of_their_own(prediction: Node) -> bool:
    """Whether what a loss is handed is what a layer, attention or the like has made, whatever of."""
    core = through(prediction, MOVES | GUARDS | {"scale", "neg"})
    return core.kind is Kind.UNKNOWN and core.op not in _HEADS | _ADDS | {"log"}


def _above_head(x: Node) -> Iterator[Node]:
    """A log and what stands between it and the softmax."""
    while x.op not in _HEADS and x.args:
        yield x
        x = x.args[0]


def _head(x: Node) -> Node:
    """The softmax, or whatever else is at the end of a log's way."""
    *_, last = x, *_above_head(x)
    return last if last.op in _HEADS or not last.args else last.args[0]


def _bare(x: Node) -> Node:
    return through(x, MOVES)


def _is_by_label(step: Node) -> bool:
    """Whether an index that isn't spelled out picks entries."""
    return step.op == "gather" or (step.op in PICKS and ("at" in step.attrs or len(step.args) > 1))


def _may_be_label(weight: Node) -> bool:
    """Whether a factor may say which class it is: no number, no share, no weight that is learned."""
    core = through(weight, MOVES | {"neg", "scale"})
    return constant(core) is None and not is_share(core) and core.kind is not Kind.PARAMETER


def _is_made_of(value: Node, prediction: Node) -> bool:
    """Whether what should be a target is made of the very scores that are to be trained by it, or may be."""
    head = _head(prediction)
    scores = head.args[0] if head.op in _HEADS and head.args else head
    return reached(lambda node: node == scores or is_unknown(node))(value)
