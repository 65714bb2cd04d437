"""Losses that are written out: what the terms of a sum amount to, however they are nested, signed and weighed.

A cross-entropy by hand may have its minus anywhere, any number of sums and means, one term or two, and its entry picked
by an index, a one-hot row or a contraction. All of that is one sum of products; what it is a loss of shows there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from finallayer.canonical import bare, constant
from finallayer.expr import GUARDS, MOVES, PICKS, Node, Origin, make, through
from finallayer.kinds import LOG_KINDS, PROBABILITY_KINDS, Kind

#: What may complete a formula, its sign or its last sum.
COMPLETING = frozenset({"neg", "scale", "sum", "mean", "mul", "add", "sub", "matmul", "div"})
#: Sums nested deeper than this, or of more terms, are nobody's formula: shared parts are visited once for each use.
DEEPEST, MOST_TERMS = 12, 24
_TOTALS = frozenset({"sum", "mean"})
_PRODUCTS = frozenset({"mul", "matmul"})
_SAME = MOVES - PICKS
#: What a formula is told by.
_TOLD = frozenset({"log", "softplus", "logsumexp", "nll"})
_TELLING = PROBABILITY_KINDS | LOG_KINDS
_ANY_SIZE = MOVES | GUARDS | _TOTALS | {"neg", "scale", "abs"}


class Term(NamedTuple):
    """One product of a sum: the factor that it is about, and what that is weighed by."""

    about: Node
    sign: int = 1
    weights: tuple[Node, ...] = ()
    picked: tuple[Node, ...] = ()  # the operations that pick some of its entries
    totals: tuple[Node, ...] = ()  # the sums and means around it

    @property
    def is_picked(self) -> bool:
        """Whether an index that the program is given picks its entries."""
        return any(step.op == "gather" or "at" in step.attrs for step in self.picked)


def terms(x: Node) -> list[Term]:
    """The products that a value is the sum of; none where there are too many."""
    found: list[Term] = []
    for term in _expanded(Term(x), DEEPEST):
        found.append(term)
        if len(found) > MOST_TERMS:
            return []
    return found


def _expanded(term: Term, deep: int) -> Iterator[Term]:
    x = term.about
    inside = [term._replace(about=arg) for arg in x.args[:2]] if deep else []
    if not inside:
        yield term
    elif x.op in _SAME:
        yield from _expanded(inside[0], deep - 1)
    elif x.op in PICKS:
        yield from _expanded(inside[0]._replace(picked=(*term.picked, x)), deep - 1)
    elif x.op in _TOTALS:
        yield from _expanded(inside[0]._replace(totals=(*term.totals, x)), deep - 1)
    elif x.op == "neg" or x.op == "scale":
        yield from _expanded(inside[0]._replace(sign=term.sign * _sign(x)), deep - 1)
    elif x.op in ("add", "sub") and len(inside) == 2:
        yield from _expanded(inside[0], deep - 1)
        yield from _expanded(inside[1]._replace(sign=-term.sign if x.op == "sub" else term.sign), deep - 1)
    elif x.op == "div":
        share = make("div", make("const", value=1.0), x.args[1])
        yield from _expanded(
            inside[0]._replace(sign=term.sign * _sign(x.args[1]), weights=(*term.weights, share)), deep - 1
        )
    elif x.op in _PRODUCTS and len(x.args) == 2:
        yield from _multiplied(term, deep)
    else:
        yield term


def _multiplied(term: Term, deep: int) -> Iterator[Term]:
    """A product's terms: those of the factor that holds a log, or a softmax's output, times the other."""
    product = term.about
    total = (*term.totals, product) if product.op == "matmul" else term.totals
    for factor, other in (product.args, product.args[::-1]):
        if not _tells(factor, deep):
            continue
        inner = list(islice(_expanded(Term(factor), deep - 1), MOST_TERMS + 1))
        if any(map(_is_told_by, (t.about for t in inner))):
            sign = term.sign * _sign(other)
            for t in inner:
                yield Term(
                    t.about, sign * t.sign, (*term.weights, *t.weights, other), term.picked + t.picked, total + t.totals
                )
            return
    yield term


def _is_told_by(x: Node) -> bool:
    return x.op in _TOLD or x.kind in _TELLING


def _tells(x: Node, deep: int) -> bool:
    """Whether anything within so many operations could be what a formula is told by; shared parts are met once."""
    level = {id(x): x}
    met: set[int] = set()
    for _ in range(deep + 1):
        if any(map(_is_told_by, level.values())):
            return True
        met |= level.keys()
        level = {id(a): a for node in level.values() for a in node.args if id(a) not in met}
    return False


def _sign(x: Node) -> int:
    """The sign that a factor's spelling gives its product."""
    sign = 1
    while x.op in MOVES | {"neg", "scale", "div", "mul"} and x.args:
        by = x.attrs.get("by")
        if x.op == "neg" or (x.op == "scale" and isinstance(by, (int, float)) and by < 0):
            sign = -sign
        x = x.args[0]
    number = constant(x)
    return -sign if number is not None and number < 0 else sign


# Cross-entropies of what has a log


def likelihoods(total: Sequence[Term]) -> Iterator[tuple[Node, str]]:
    """The logs of scores that a sum takes the negative of, as a cross-entropy does: weighed by data or picked by a
    label, over the ``classes``; or with the log of one minus them, of one ``outcome``."""
    logs = [(t, x) for t in total if t.about.op == "log" for x, sign in sides(t.about) if t.sign * sign < 0]
    opposed = any(x.op == "one_minus" and x.args[0].kind is Kind.LOGITS for _, x in logs)
    for term, x in logs:
        if x.kind is not Kind.LOGITS:
            continue
        picked = term.is_picked or is_picked(term.about.args[0])
        if any(other.about.op != "log" and _is_made_of(other, x) for other in total):
            yield term.about, "no_loss"  # of a count or a scale: its own size is a term, too
        elif opposed:
            yield term.about, "of_outcome"
        elif picked or any(_may_be_target(w, x) for w in term.weights):
            yield term.about, "of_classes"


def weighed(total: Sequence[Term]) -> Iterator[tuple[Node, str]]:
    """The logs that a sum weighs by what may say which class it is, and by nothing that is made of their probability:
    a policy's, say, of which the entropy is a term, too."""
    for term in total:
        x = bare(term.about.args[0]) if term.about.op == "log" and term.totals else None
        if x is None or any(x in map(bare, _parts(w)) for w in term.weights):
            continue
        if any(_may_be_target(w, x) for w in term.weights):
            yield term.about, "of_picked"


def opposites(total: Sequence[Term]) -> Iterator[tuple[Node, str]]:
    """The logs of one minus a probability whose own log is a term, too: both are one formula."""
    logs = [(t.about, x) for t in total if t.about.op == "log" for x, _ in sides(t.about)]
    own = [x for _, x in logs]
    yield from ((log, "of_opposite") for log, x in logs if x.op == "one_minus" and bare(x.args[0]) in own)


def sides(log: Node) -> Iterator[tuple[Node, int]]:
    """What a log is taken of, without what moves or guards it, and with which sign: both parts of a quotient."""
    x = through(log.args[0], MOVES | GUARDS)
    parts = zip(x.args, (1, -1), strict=False) if x.op == "div" else [(x, 1)]
    yield from ((_unpicked(through(part, MOVES | GUARDS)), sign) for part, sign in parts)


def _unpicked(x: Node) -> Node:
    """The scores of which a one-hot row picks an entry: ``sum(z * one_hot(y), axis)``."""
    if x.op == "sum" and x.args[0].op == "mul":
        for z, labels in (x.args[0].args, x.args[0].args[::-1]):
            if z.kind is Kind.LOGITS and labels.kind is Kind.TARGET:
                return through(z, MOVES | GUARDS)
    return x


def is_picked(x: Node) -> bool:
    """Whether an entry is picked on the way to a value, by an index that isn't spelled out."""
    while x.args:
        if x.op == "sum" and _unpicked(x) is not x:
            return True
        if x.op not in MOVES | GUARDS:
            return False
        if x.op == "gather" or (x.op in PICKS and "at" in x.attrs):
            return True
        x = x.args[0]
    return False


def _may_be_target(weight: Node, x: Node) -> bool:
    """Whether a factor may say which class it is: no number, no share, nothing that is made of the prediction."""
    core = through(weight, _ANY_SIZE)
    known = core.kind not in (Kind.UNKNOWN, Kind.TARGET) or constant(core) is not None
    return not known and not (core.op == "div" and constant(core.args[0]) is not None) and x not in _parts(weight)


def _is_made_of(term: Term, x: Node) -> bool:
    """Whether a term grows, or falls, with a value as such."""
    return any(x in _parts(part) for part in (term.about, *term.weights))


def _parts(x: Node) -> list[Node]:
    """A value, what it is the size, sum or product of, and so on: the arithmetic below it."""
    found: list[Node] = []
    waiting = [x]
    while waiting and len(found) < MOST_TERMS:
        part = waiting.pop()
        found.append(part)
        if part.op in _ANY_SIZE | _PRODUCTS | {"add", "sub", "div", "one_minus"}:
            waiting += part.args[: 1 if part.op in PICKS else 2]
    return found


# Losses that are handed another kind than they take


def summed(total: Sequence[Term]) -> Iterator[Node]:
    """The losses of each sample that a sum adds up: none that only fetches what it is weighed by."""
    yield from (t.about for t in total if t.about.attrs.get("reduction") == "none" and t.sign > 0 and t.totals)


def handed(total: Sequence[Term], origin: Origin | None) -> Iterator[Node]:
    """The losses that a sum amounts to, where what it is handed went through a softmax or sigmoid already."""
    for term in total:
        if term.about.op in ("softplus", "logsumexp", "log") and term.sign > 0:
            yield from _on_logits(term, total)
    if len(total) == 1:
        yield from _without_log(total[0], origin)


def _on_logits(term: Term, total: Sequence[Term]) -> Iterator[Node]:
    """``relu(z) - z*y + log(1 + exp(-|z|))`` and ``logsumexp(z) - z[y]``, in any spelling."""
    z = _scores(_in_two_parts(term.about))
    if z.op == "log" or z.kind not in PROBABILITY_KINDS | LOG_KINDS:
        return
    for other in total:
        parts = [other.about, *other.weights]
        if other is term or not any(_scores(p) == z for p in parts):
            continue
        if term.about.op == "logsumexp" and other.sign < 0:
            yield make("xent_logits", z, _target(other), origin=term.about.origin)
        elif term.about.op != "logsumexp" and len(parts) > 1:
            yield make("bce_logits", z, _target(other), origin=term.about.origin)
        else:
            continue
        return


def _scores(x: Node) -> Node:
    """The value whose size, sign, softplus or logsumexp this is."""
    return through(x, MOVES | {"neg", "abs", "softplus", "logsumexp"})


def _in_two_parts(log: Node) -> Node:
    """The ``-z - m`` of ``log(exp(-m) + exp(-z - m))``, without m: a softplus that is shifted by hand."""
    x = through(log.args[0], MOVES) if log.op == "log" else log
    if x.op == "add" and all(a.op == "exp" for a in x.args):
        return next((a.args[0].args[0] for a in x.args if a.args[0].op == "sub"), log)
    return log


def _target(term: Term) -> Node:
    return next(iter(term.weights), make("opaque", name="label"))


def _without_log(term: Term, origin: Origin | None) -> Iterator[Node]:
    """``-softmax(z)[y].mean()``, and nothing besides: the negative of what the target's log should be."""
    p, labels = term.about, [w for w in term.weights if through(w, _SAME | {"neg"}).kind is Kind.TARGET]
    averaged = (
        any(t.op == "mean" or "axis" not in t.attrs for t in term.totals if t.op in _TOTALS) or len(term.totals) > 1
    )
    if p.kind is not Kind.PROBS or term.sign > 0 or not averaged:
        return
    others = [w for w in term.weights if w not in labels and constant(w) is None]
    if any(not is_share(w) or _is_made_of(Term(w), p) for w in others):
        return
    if labels or ((not term.weights or all(map(is_share, term.weights))) and any(map(_is_by_label, term.picked))):
        yield make("nll", p, labels[0] if labels else make("opaque", name="label"), origin=origin)


def is_another(op: str, args: Sequence[Node], made: Node, p: Node) -> bool:
    """Whether an operation on the negative of a picked probability shows that it was no loss: an overlap over what
    there is of both, one minus it, an exponential, an order."""
    if op == "div":
        return len(args) > 1 and _is_made_of(Term(args[1]), p)
    number = any(constant(a) is not None for a in args)
    return made.op not in COMPLETING | MOVES or (op in ("add", "sub") and number)


def is_share(weight: Node) -> bool:
    """Whether a factor is one over something, such as over how many there are."""
    return constant(weight) is not None or (weight.op == "div" and constant(weight.args[0]) is not None)


def _is_by_label(step: Node) -> bool:
    """Whether an entry of each row is picked by an index of the row's own that the program is given."""
    if step.op == "gather":
        index = through(step.args[1], MOVES) if len(step.args) > 1 else None
        return step.attrs.get("by") != "outcome" and (
            index is None or index.op == "opaque" or index.kind is Kind.TARGET
        )
    return bool(step.attrs.get("each"))
