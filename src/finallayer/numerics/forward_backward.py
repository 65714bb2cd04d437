"""Every canonical operation of a loss expression on one row: its forward and its backward, side by side.

A value is a list: one number per class, or a single number, which broadcasts. An operation takes its arguments' values
and gives its own, and a function from the gradient with respect to that value to those with respect to the arguments.
As in the frameworks' kernels, an operation rounds what it gives, not each step on the way there, except where that
shows. What is made of several operations is in :data:`COMPOSITES`, or, written by hand, in :data:`NAIVE`.

To add an operation, add its line to :data:`OPERATIONS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from finallayer.expr import Node, make, target
from finallayer.numerics.arithmetic import Arithmetic, Number

Value = list[Number]
Attrs = dict[str, Any]
Backward = Callable[[Value], Sequence[Value]]
Operation = Callable[[Arithmetic, list[Value], Attrs], tuple[Value, Backward]]


def elementwise(
    forward: Callable[[Arithmetic, Number], Number],
    backward: Callable[[Arithmetic, Number, Number, Number], Number],
) -> Operation:
    """``y = forward(x)`` for each element; ``backward`` gets the upstream gradient, ``x`` and ``y``."""

    def operation(m: Arithmetic, args: list[Value], _attrs: Attrs) -> tuple[Value, Backward]:
        x = args[0]
        y = [m.round(forward(m, v)) for v in x]
        return y, lambda g: [[m.round(backward(m, *gxy)) for gxy in zip(g, x, y, strict=True)]]

    return operation


def of_two(
    forward: Callable[[Arithmetic, Number, Number], Number],
    backward: Callable[[Arithmetic, Number, Number, Number], tuple[Number, Number]],
) -> Operation:
    """``forward(a, b)`` for each pair; ``backward`` gets the upstream gradient, ``a`` and ``b``."""

    def operation(m: Arithmetic, args: list[Value], _attrs: Attrs) -> tuple[Value, Backward]:
        a, b = _broadcast(args[0], args[1])

        def back(g: Value) -> Sequence[Value]:
            pairs = [backward(m, *gab) for gab in zip(g, a, b, strict=True)]
            return [
                _unbroadcast(m, [m.round(d) for d in grads], len(arg))
                for grads, arg in zip(zip(*pairs, strict=True), args, strict=True)
            ]

        return [m.round(forward(m, *ab)) for ab in zip(a, b, strict=True)], back

    return operation


def _broadcast(a: Value, b: Value) -> tuple[Value, Value]:
    n = max(len(a), len(b))
    return (a * n if len(a) == 1 else a), (b * n if len(b) == 1 else b)


def _unbroadcast(m: Arithmetic, grad: Value, length: int) -> Value:
    return [m.round(m.sum(grad))] if length == 1 and len(grad) > 1 else grad


# Element by element


def _sigmoid(m: Arithmetic, x: Number) -> Number:
    """As kernels have it: in float32 it reaches 1 at log(2^24) = 16.6, where ``1 + exp(-x)`` rounds to 1."""
    return m.div(1, m.inner(1 + m.exp(-x)))


def _softplus(m: Arithmetic, x: Number) -> Number:
    return max(x, 0) + m.log1p(m.exp(-abs(x)))


def clip(m: Arithmetic, args: list[Value], attrs: Attrs) -> tuple[Value, Backward]:
    """Gradient 1 inside the bounds, and exactly 0 outside."""
    low, high = (None if v is None else m.round(v) for v in (attrs.get("low"), attrs.get("high")))
    x = args[0]
    clipped = [v if low is None or not v < low else low for v in x]
    clipped = [v if high is None or not v > high else high for v in clipped]
    return clipped, lambda g: [[d if v == y else 0.0 for d, v, y in zip(g, x, clipped, strict=True)]]


def add_eps(m: Arithmetic, args: list[Value], attrs: Attrs) -> tuple[Value, Backward]:
    return [m.round(v + attrs["eps"]) for v in args[0]], lambda g: [g]


def scale(m: Arithmetic, args: list[Value], attrs: Attrs) -> tuple[Value, Backward]:
    by = m.round(attrs["by"])
    return [m.round(v * by) for v in args[0]], lambda g: [[m.round(d * by) for d in g]]


def identity(_m: Arithmetic, args: list[Value], _attrs: Attrs) -> tuple[Value, Backward]:
    return args[0], lambda g: [g]


def stop_gradient(_m: Arithmetic, args: list[Value], _attrs: Attrs) -> tuple[Value, Backward]:
    return args[0], lambda g: [[0.0] * len(g)]


def const(m: Arithmetic, _args: list[Value], attrs: Attrs) -> tuple[Value, Backward]:
    return [m.round(attrs["value"])], lambda _g: []


def _div_backward(m: Arithmetic, g: Number, a: Number, b: Number) -> tuple[Number, Number]:
    """PyTorch's formula, with its roundings: ``a/b/b`` underflows long before ``a/b`` does."""
    return m.div(g, b), -g * m.round(m.div(m.round(m.div(a, b)), b))


# Over the classes


def softmax(m: Arithmetic, args: list[Value], _attrs: Attrs) -> tuple[Value, Backward]:
    top = max(args[0])
    e = [m.exp(v - top) for v in args[0]]
    total = m.sum(e)
    x = [m.round(m.div(v, total)) for v in e]

    def backward(g: Value) -> Sequence[Value]:
        dot = m.sum([d * v for d, v in zip(g, x, strict=True)])
        return [[m.round(v * (d - dot)) for d, v in zip(g, x, strict=True)]]

    return x, backward


def log_softmax(m: Arithmetic, args: list[Value], _attrs: Attrs) -> tuple[Value, Backward]:
    log_total = _logsumexp(m, args[0])
    y = [m.round(v - log_total) for v in args[0]]

    def backward(g: Value) -> Sequence[Value]:
        total = m.sum(g)
        return [[m.round(d - m.round(m.exp(v)) * total) for d, v in zip(g, y, strict=True)]]

    return y, backward


def logsumexp(m: Arithmetic, args: list[Value], _attrs: Attrs) -> tuple[Value, Backward]:
    y = m.round(_logsumexp(m, args[0]))
    return [y], lambda g: [[m.round(g[0] * m.exp(v - y)) for v in args[0]]]


def _logsumexp(m: Arithmetic, x: Value) -> Number:
    top = max(x)
    return top + m.log(m.sum([m.exp(v - top) for v in x]))


def sum_(m: Arithmetic, args: list[Value], _attrs: Attrs) -> tuple[Value, Backward]:
    return [m.round(m.sum(args[0]))], lambda g: [g * len(args[0])]


def mean(m: Arithmetic, args: list[Value], _attrs: Attrs) -> tuple[Value, Backward]:
    n = len(args[0])
    return [m.round(m.sum(args[0]) / n)], lambda g: [[m.round(g[0] / n)] * n]


def max_(m: Arithmetic, args: list[Value], _attrs: Attrs) -> tuple[Value, Backward]:
    """Ties share the gradient."""
    top = max(args[0])
    ties = sum(v == top for v in args[0])
    return [top], lambda g: [[m.round(g[0] / ties) if v == top else 0.0 for v in args[0]]]


def gather(_m: Arithmetic, args: list[Value], _attrs: Attrs) -> tuple[Value, Backward]:
    """The target's entry; what is one number already stays."""
    x, p = args
    if len(x) == 1:
        return x, lambda g: [g, [0.0] * len(p)]
    label = p.index(max(p))
    return [x[label]], lambda g: [[g[0] if j == label else 0.0 for j in range(len(x))], [0.0] * len(p)]


def concat(_m: Arithmetic, args: list[Value], _attrs: Attrs) -> tuple[Value, Backward]:
    def backward(g: Value) -> Sequence[Value]:
        ends = [sum(len(a) for a in args[: i + 1]) for i in range(len(args))]
        return [g[end - len(a) : end] for end, a in zip(ends, args, strict=True)]

    return [v for a in args for v in a], backward


# Losses: prediction and target


def nll(m: Arithmetic, args: list[Value], _attrs: Attrs) -> tuple[Value, Backward]:
    """``-sum p*x`` of log-probabilities ``x``, over the classes that carry target mass."""
    x, p = args
    loss = -m.sum([q * v for q, v in zip(p, x, strict=True) if q])
    return [m.round(loss)], lambda g: [[m.round(-q * g[0]) for q in p], [0.0] * len(p)]


def kl(m: Arithmetic, args: list[Value], _attrs: Attrs) -> tuple[Value, Backward]:
    """``sum p*(log p - x)`` of log-probabilities ``x``."""
    x, p = args
    loss = m.sum([q * (m.log(q) - v) for q, v in zip(p, x, strict=True) if q])
    return [m.round(loss)], lambda g: [[m.round(-q * g[0]) for q in p], [0.0] * len(p)]


def mse(m: Arithmetic, args: list[Value], _attrs: Attrs) -> tuple[Value, Backward]:
    x, p = _broadcast(args[0], args[1])
    n = len(x)
    loss = m.sum([(v - q) * (v - q) for v, q in zip(x, p, strict=True)]) / n
    return [m.round(loss)], lambda g: [
        [m.round(2 * (v - q) * g[0] / n) for v, q in zip(x, p, strict=True)],
        [0.0] * len(args[1]),
    ]


def bce_logits(m: Arithmetic, args: list[Value], _attrs: Attrs) -> tuple[Value, Backward]:
    """``softplus(z) - y*z``, the mean over the outputs."""
    z, y = _broadcast(args[0], args[1])
    n = len(z)
    loss = m.sum([max(v, 0) - v * q + m.log1p(m.exp(-abs(v))) for v, q in zip(z, y, strict=True)]) / n
    return [m.round(loss)], lambda g: [
        [m.round((m.round(_sigmoid(m, v)) - q) * g[0] / n) for v, q in zip(z, y, strict=True)],
        [0.0] * len(args[1]),
    ]


def bce_probs(m: Arithmetic, args: list[Value], _attrs: Attrs) -> tuple[Value, Backward]:
    """PyTorch's: no clip of the probabilities, but logarithms from -100 up and a denominator of at least 1e-12.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.BCELoss.html
    """
    x, y = _broadcast(args[0], args[1])
    n = len(x)
    loss = -m.sum([q * max(m.log(v), -100) + (1 - q) * max(m.log1p(-v), -100) for v, q in zip(x, y, strict=True)]) / n

    def backward(g: Value) -> Sequence[Value]:
        slopes = [m.div(v - q, max(m.round(v * m.round(1 - v)), 1e-12)) for v, q in zip(x, y, strict=True)]
        return [[m.round(d * g[0] / n) for d in slopes], [0.0] * len(args[1])]

    return [m.round(loss)], backward


OPERATIONS: dict[str, Operation] = {
    "const": const,
    "identity": identity,
    "reshape": identity,
    "index": identity,
    "cast": identity,
    "mask": identity,  # no class of the row is masked
    "dropout": identity,
    "join": identity,  # the ways agree in kind: the first stands for all
    "one_hot": identity,  # a target is a distribution here, however it came
    "stop_gradient": stop_gradient,
    "log": elementwise(lambda m, x: m.log(x), lambda m, g, x, _y: m.div(g, x)),
    "log1p": elementwise(lambda m, x: m.log1p(x), lambda m, g, x, _y: m.div(g, m.round(1 + x))),
    "exp": elementwise(lambda m, x: m.exp(x), lambda _m, g, _x, y: g * y),
    "neg": elementwise(lambda _m, x: -x, lambda _m, g, _x, _y: -g),
    "one_minus": elementwise(lambda _m, x: 1 - x, lambda _m, g, _x, _y: -g),
    "sigmoid": elementwise(_sigmoid, lambda _m, g, _x, y: g * (1 - y) * y),
    "log_sigmoid": elementwise(lambda m, x: -_softplus(m, -x), lambda m, g, x, _y: g * _sigmoid(m, -x)),
    "softplus": elementwise(_softplus, lambda m, g, x, _y: g * _sigmoid(m, x)),
    "clip": clip,
    "add_eps": add_eps,
    "scale": scale,
    "add": of_two(lambda _m, a, b: a + b, lambda _m, g, _a, _b: (g, g)),
    "sub": of_two(lambda _m, a, b: a - b, lambda _m, g, _a, _b: (g, -g)),
    "mul": of_two(lambda _m, a, b: a * b, lambda _m, g, a, b: (g * b, g * a)),
    "div": of_two(lambda m, a, b: m.div(a, b), _div_backward),
    "softmax": softmax,
    "log_softmax": log_softmax,
    "logsumexp": logsumexp,
    "sum": sum_,
    "mean": mean,
    "max": max_,
    "gather": gather,
    "concat": concat,
    "nll": nll,
    "kl": kl,
    "mse": mse,
    "bce_logits": bce_logits,
    "bce_probs": bce_probs,
}


# What an operation is composed of. What frameworks keep as one operation, and what users write by hand (``naive``)


def _xent_logits(node: Node) -> Node:
    return make("nll", make("log_softmax", node.args[0]), *node.args[1:])


def _xent_probs(node: Node) -> Node:
    return make("nll", make("log", _clipped(node)), *node.args[1:])


def _bce_probs(node: Node) -> Node:
    if not node.attrs.get("eps"):
        return node
    x, y = _clipped(node), target()
    ones = make("mul", y, make("log", x))
    zeros = make("mul", make("one_minus", y), make("log", make("one_minus", x)))
    return make("mean", make("neg", make("add", ones, zeros)))


def _clipped(node: Node) -> Node:
    eps = node.attrs.get("eps")
    high = 1 - eps if isinstance(eps, (int, float)) else None
    return make("clip", node.args[0], low=eps, high=high) if eps else node.args[0]


def _shift(node: Node) -> Node:
    return make("sub", node.args[0], make("max", node.args[0]))


def _naive_softmax(node: Node) -> Node:
    e = make("exp", node.args[0])
    return make("div", e, make("sum", e))


def _naive_log_softmax(node: Node) -> Node:
    return make("sub", node.args[0], _naive_logsumexp(node))


def _naive_logsumexp(node: Node) -> Node:
    return make("log", make("sum", make("exp", node.args[0])))


def _naive_sigmoid(node: Node) -> Node:
    one = make("const", value=1.0)
    return make("div", one, make("add", one, make("exp", make("neg", node.args[0]))))


def _naive_softplus(node: Node) -> Node:
    return make("log", make("add", make("const", value=1.0), make("exp", node.args[0])))


COMPOSITES: dict[str, Callable[[Node], Node]] = {
    "xent_logits": _xent_logits,
    "xent_probs": _xent_probs,
    "kl_probs": _xent_probs,  # but for the target's entropy, which has no gradient
    "bce_probs": _bce_probs,
    "shift": _shift,
}

NAIVE: dict[str, Callable[[Node], Node]] = {
    "softmax": _naive_softmax,
    "log_softmax": _naive_log_softmax,
    "logsumexp": _naive_logsumexp,
    "sigmoid": _naive_sigmoid,
    "softplus": _naive_softplus,
}


def composed(node: Node) -> Node:
    """The expression that the node's operation stands for; the node itself where the operation is elementary."""
    by_hand = NAIVE.get(node.op) if node.attrs.get("naive") else None
    compose = by_hand or COMPOSITES.get(node.op)
    return compose(node) if compose else node
