"""The interval of an expression holds every value that the expression can take, and is as narrow as rules need it."""

from __future__ import annotations

import math
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finallayer.expr import Node, make
from finallayer.rules.bounds import ANY, NEVER_NEGATIVE, NEVER_POSITIVE, Interval, exp_is_safe, interval

X = make("opaque", name="x")
Y = make("opaque", name="y")
TANH = make("activation", X, name="torch.tanh")


class Sample(NamedTuple):
    """An expression, and one value that it takes."""

    node: Node
    value: float


NUMBERS = st.floats(-8, 8).map(lambda v: round(v, 3))


def leaves() -> st.SearchStrategy[Sample]:
    return st.one_of(
        st.tuples(st.sampled_from("abc"), NUMBERS).map(lambda t: Sample(make("opaque", name=f"{t[0]}{t[1]}"), t[1])),
        NUMBERS.map(lambda v: Sample(make("const", value=v), v)),
    )


def of_one(children: st.SearchStrategy[Sample]) -> st.SearchStrategy[Sample]:
    def apply(how: str, x: Sample, number: float) -> Sample:
        node, v = x
        ways = {
            "neg": lambda: Sample(make("neg", node), -v),
            "abs": lambda: Sample(make("abs", node), abs(v)),
            "exp": lambda: Sample(make("exp", node), math.exp(min(v, 700))),
            "square": lambda: Sample(make("pow", node, make("const", value=2)), v * v),
            "cube": lambda: Sample(make("pow", node, value=3), v**3),
            "itself": lambda: Sample(make("mul", node, node), v * v),
            "tanh": lambda: Sample(make("activation", node, name="jax.numpy.tanh"), math.tanh(v)),
            "relu": lambda: Sample(make("activation", node, name="torch.relu"), max(v, 0.0)),
            "sigmoid": lambda: Sample(make("sigmoid", node), 1 / (1 + math.exp(-max(v, -700)))),
            "softplus": lambda: Sample(make("softplus", node), max(v, 0) + math.log1p(math.exp(-abs(v)))),
            "one_minus": lambda: Sample(make("one_minus", node), 1 - v),
            "scale": lambda: Sample(make("scale", node, by=number), v * number),
            "from": lambda: Sample(make("clip", node, low=number), max(v, number)),
            "to": lambda: Sample(make("clip", node, high=number), min(v, number)),
            "twice": lambda: Sample(make("sum", node), 2 * v),
            "reshape": lambda: Sample(make("reshape", node), v),
        }
        return ways[how]()

    names = "neg abs exp square cube itself tanh relu sigmoid softplus one_minus scale from to twice reshape".split()
    return st.builds(apply, st.sampled_from(names), children, NUMBERS)


def of_two(children: st.SearchStrategy[Sample]) -> st.SearchStrategy[Sample]:
    def apply(how: str, x: Sample, y: Sample) -> Sample:
        ways = {
            "add": lambda: x.value + y.value,
            "sub": lambda: x.value - y.value,
            "mul": lambda: x.value * y.value,
            "div": lambda: x.value / y.value if y.value else math.inf,
            "concat": lambda: y.value,
        }
        return Sample(make(how, x.node, y.node), ways[how]())

    return st.builds(apply, st.sampled_from(["add", "sub", "mul", "div", "concat"]), children, children)


@given(st.recursive(leaves(), lambda inner: st.one_of(of_one(inner), of_two(inner)), max_leaves=6))
def test_no_value_lies_outside(sample: Sample) -> None:
    low, high = interval(sample.node)
    slack = 1e-9 * abs(sample.value) if math.isfinite(sample.value) else 0.0
    assert low - slack <= sample.value <= high + slack or math.isinf(sample.value)


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (X, ANY),
        (make("const", value=3), (3, 3)),
        (TANH, (-1, 1)),
        (make("one_minus", TANH), (0, 2)),
        (make("scale", TANH, by=-20.0), (-20, 20)),
        (make("add", TANH, make("const", value=2.0)), (1, 3)),
        (make("sub", make("sigmoid", X), make("const", value=2.0)), (-2, -1)),
        (make("mul", TANH, make("activation", Y, name="relu6")), (-6, 6)),
        (make("concat", TANH, make("const", value=5.0)), (-1, 5)),
        (make("clip", make("clip", X, low=0), high=7), (0, 7)),
        (make("clip", TANH, low=-9, high=0.5), (-1, 0.5)),
        (make("log", make("const", value=math.e)), (1, 1)),
        (make("softmax", X), (0, 1)),
        (make("log_softmax", X), NEVER_POSITIVE),
        (make("shift", X), NEVER_POSITIVE),
        (make("sum", make("abs", X)), NEVER_NEGATIVE),
        (make("sum", make("neg", make("abs", X))), NEVER_POSITIVE),
        (make("sum", TANH), ANY),
        (make("div", make("abs", X), make("exp", Y)), NEVER_NEGATIVE),
        (make("div", make("abs", X), make("neg", make("exp", Y))), NEVER_POSITIVE),
        (make("div", make("abs", X), Y), ANY),
        (make("pow", X, make("const", value=4)), NEVER_NEGATIVE),
        (make("pow", X, Y), ANY),
        (make("scale", X, by="?"), ANY),
        (make("nll", make("softmax", X), Y), (-1, 0)),
        (make("nll", make("softmax", X), Y, reduction="sum"), NEVER_POSITIVE),
        (make("nll", make("log_softmax", X), Y), NEVER_NEGATIVE),
        (make("nll", X, Y, reduction="sum"), ANY),
    ],
    ids=str,
)
def test_how_narrow_it_is(node: Node, expected: Interval | tuple[float, float]) -> None:
    assert interval(node) == pytest.approx(Interval(*expected))


def test_eighty_is_the_limit_of_an_exponent() -> None:
    assert exp_is_safe(make("scale", TANH, by=80.0))
    assert not exp_is_safe(make("scale", TANH, by=81.0))


def test_a_temperature_that_is_given_makes_no_cosine_large_but_a_learned_one_may() -> None:
    cosine = make("cosine", X, Y)
    assert exp_is_safe(make("div", cosine, make("opaque", name="config[tau]")))
    assert exp_is_safe(make("neg", make("div", TANH, make("opaque", name="t"))))
    assert not exp_is_safe(make("div", cosine, make("parameter", name="t")))
    assert not exp_is_safe(make("div", X, make("opaque", name="t")))
