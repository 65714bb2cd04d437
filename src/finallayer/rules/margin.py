"""What an unstable loss costs: the loss that a finding is about, its safe margin, and what happens beyond it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from math import inf, isfinite

from finallayer.expr import GUARDS, TRANSPARENT, Node, Role, having, logits, make, target
from finallayer.findings import Match, Related, Severity, Sighting
from finallayer.kinds import Kind
from finallayer.rules.bounds import interval, is_similarity
from finallayer.rules.route import guard, is_by_hand, maker

#: The formats whose safe margin a finding states, the one of its message first.
FORMATS = ("float32", "bfloat16", "float16")

_HEADS = having(Role.HEAD)
_NUMERIC_ATTRS = ("naive", "eps", "low", "high", "by", "value")


def loss_of(node: Node) -> Node:
    """The loss on one row that a log, or a loss on probabilities, amounts to, over a leaf for the logits.

    Only what changes numbers is kept, so that alike places of a program share one evaluation:
    ``log(add_eps(index(softmax(dense(x)))))`` becomes ``neg(gather(log(add_eps(softmax(z)))))``.
    """
    bare = _bare(node)
    if node.kind in (Kind.LOG_PROBS, Kind.LOG_SIGMOID):
        return make("neg", make("gather", bare, target()) if node.kind is Kind.LOG_PROBS else bare)
    if node.op == "softmax":
        return make("neg", make("gather", make("log", bare), target()))
    return bare


def _bare(node: Node) -> Node:
    if node.op == "mixture":  # as unstable as the member that is right
        return _bare(node.args[0])
    if node.op == "bernoulli":
        return _stated(node.args[0])
    if node.op in _HEADS:
        return again(node, logits())
    if not node.args:
        return node
    inner = _bare(node.args[0])
    if node.op in TRANSPARENT:
        return inner
    return again(node, inner, target()) if len(node.args) > 1 else again(node, inner)


def again(node: Node, *args: Node) -> Node:
    """The same operation of other arguments, with those of its attributes that change numbers."""
    return make(node.op, *args, **{name: node.attrs[name] for name in _NUMERIC_ATTRS if name in node.attrs})


def _stated(p: Node) -> Node:
    """What a formula says is a probability: a sigmoid, behind the guards that are in sight."""
    if not p.args or p.op not in TRANSPARENT | GUARDS:
        return make("sigmoid", logits())
    inner = _stated(p.args[0])
    return again(p, inner) if p.op in GUARDS else inner


@cache
def safe_margins(loss: Node) -> dict[str, float] | None:
    """The safe margin of a loss in every format of :data:`FORMATS`, in nats; None where it has none to state."""
    from finallayer.numerics.evaluate import expression_safe_margin

    if not all(_is_read(n) for n in loss.walk()):
        return None
    margins = {dtype: expression_safe_margin(loss, dtype) for dtype in FORMATS}
    known = {dtype: margin for dtype, margin in margins.items() if margin is not None}
    return known if len(known) == len(FORMATS) else None


def _is_read(node: Node) -> bool:
    """Whether the numbers that a guard depends on could be read from the program."""
    needed = node.operation.needs.split()
    return not needed or any(isinstance(node.attrs.get(name), (int, float)) for name in needed)


def cost(loss: Node, unless: str = "") -> str:
    """The end of a message: what an unstable loss costs, and where it doesn't; empty where there is nothing to say."""
    parts = [part for part in (_consequence(loss), unless) if part]
    return "; " + ", ".join(parts) if parts else ""


_OF_ITSELF = "; times the probability itself it is NaN, gradient and all, once that rounds to 0"


def judged(sighting: Sighting, message: str, loss: Node, related: tuple[Related, ...] = ()) -> Iterator[Match]:
    """The match of an unstable log, with what it costs.

    In NumPy, and where the value is only read, that is only what becomes of the value, once for a formula, as advice;
    of a guard before a value that is only read it is nothing. Nor is there a match where the scores are too close
    together, or to 0, for anything to happen.
    """
    if _is_harmless(sighting.node, loss):
        return
    if not sighting.asked:
        if guard(sighting.node.args[0]) is None and not sighting.node.attrs.get("of_opposite"):
            value = f"{_value(sighting.node)}, no gradient is asked of it here"
            yield Match(f"{message}; {value}", related=related, severity=Severity.ADVICE)
    elif not is_by_hand(sighting):
        itself = bool(sighting.node.attrs.get("self_weighted")) and guard(sighting.node.args[0]) is None
        yield Match(f"{message}{_OF_ITSELF if itself else cost(loss)}", None if itself else loss, related)
    elif not sighting.node.attrs.get("of_opposite"):
        value = f"{_value(sighting.node)}, a gradient that is written by hand isn't touched"
        yield Match(f"{message}; {value}", related=related, severity=Severity.ADVICE)


def _is_harmless(log: Node, loss: Node) -> bool:
    """Whether no scores can be as wrong as it takes to make the log of their softmax or sigmoid a mistake."""
    made = maker(log.args[0]) if log.op == "log" else log
    if made.op not in _HEADS or not made.args:
        return False
    if is_similarity(made.args[0]):
        return True
    low, high = interval(made.args[0])
    reach = high - low if made.kind is Kind.PROBS else max(-low, high)
    return reach < (safe_margins(loss) or {}).get(FORMATS[0], 0)


def unpaired(sighting: Sighting) -> Sighting:
    """A log as it is judged by itself: one beside the other outcome's is as unstable, and reported once with that."""
    node = sighting.node
    attrs = {name: value for name, value in node.attrs.items() if name != "of_opposite"}
    return sighting._replace(node=Node(node.op, node.args, attrs, node.origin))


def _value(node: Node) -> str:
    """What becomes of a loss's value, whatever becomes of its gradient."""
    guarded = guard(node.args[0]) if node.op == "log" else None
    if guarded is not None:
        becomes = f"stops growing at the {'clip' if guarded.op == 'clip' else 'epsilon'}"
    elif node.op == "log":
        becomes = f"is {'NaN' if node.attrs.get('self_weighted') else 'infinite'} once the probability rounds to 0"
    else:
        becomes = "is infinite once a logit reaches 709.8 (float64) or 88.7 (float32)"
    return f"the value {becomes}"


@cache
def _consequence(loss: Node) -> str:
    """What a loss's gradient does beyond its safe margin in float32; empty where nothing happens."""
    margin = (safe_margins(loss) or {}).get(FORMATS[0], inf)
    if not 0 < margin < inf:
        return ""
    at, far = _gradient(loss, margin * 1.01 + 0.1), _gradient(loss, 4 * margin)
    if at == 0:
        becomes = "exactly 0"
    elif not isfinite(at):
        becomes = "NaN or infinite"
    else:
        becomes = f"off by more than 1 %, and soon {'vanishing' if isfinite(far) else 'NaN'},"
    return f"the gradient is {becomes} once {_event(loss)} {margin:.1f} ({FORMATS[0]})"


def _event(loss: Node) -> str:
    if any(n.attrs.get("naive") for n in loss.walk()):
        return "a logit reaches"
    return "the logit is wrong by" if _is_binary(loss) else "the target trails by"


def _is_binary(loss: Node) -> bool:
    return any(n.operation.over == "outcome" for n in loss.walk())


def _gradient(loss: Node, margin: float) -> float:
    """The size of a loss's gradient where the target trails by the margin, of the worse label; inf if not finite."""
    from finallayer.numerics.evaluate import evaluate

    def gradient(row: list[float], label: int) -> list[float]:
        return [abs(float(g)) for g in evaluate(loss, row, label, FORMATS[0]).grad]

    if not _is_binary(loss):
        sizes = [gradient([margin, 0.0, 0.0], 1)]
    else:
        pulls = {label: evaluate(loss, [0.0], label, FORMATS[0]).grad[0] < 0 for label in (0, 1)}
        sizes = [gradient([-margin if label else margin], label) for label, up in pulls.items() if up == bool(label)]
    if not all(isfinite(g) for row in sizes for g in row):
        return inf
    return min((max(row) for row in sizes), default=inf)
