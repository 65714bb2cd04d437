"""Each canonical operation: its backward is the derivative of its forward, and its arithmetic is IEEE's."""

from __future__ import annotations

import math
import operator

import mpmath
import numpy as np
import pytest

from finallayer import expr
from finallayer.numerics.arithmetic import exact, rounding_to
from finallayer.numerics.forward_backward import COMPOSITES, NAIVE, OPERATIONS, composed

X = [0.3, 0.1, 0.6]
P = [0.2, 0.7, 0.1]
ONE_HOT = [0.0, 1.0, 0.0]

#: operation -> arguments, attributes, and how many of the arguments have a gradient
EXAMPLES: dict[str, tuple[list[list[float]], dict[str, float], int]] = {
    "const": ([], {"value": 2.5}, 0),
    "clip": ([X], {"low": 0.2, "high": 0.5}, 1),
    "add_eps": ([X], {"eps": 0.01}, 1),
    "scale": ([X], {"by": -1.5}, 1),
    "stop_gradient": ([X], {}, 0),
    "add": ([X, P], {}, 2),
    "sub": ([X, P], {}, 2),
    "mul": ([X, P], {}, 2),
    "div": ([X, P], {}, 2),
    "concat": ([X, [0.4]], {}, 2),
    "gather": ([X, ONE_HOT], {}, 1),
    **{loss: ([X, P], {}, 1) for loss in ("nll", "kl", "mse", "bce_logits", "bce_probs")},
}
UNARY: tuple[list, dict, int] = ([X], {}, 1)


def numeric_gradient(op: str, args: list, attrs: dict, upstream: list, which: int, at: int):
    """The derivative of sum(upstream * op(args)) with respect to one number, by mpmath's differences."""

    def weighted(v):
        moved = [list(a) for a in args]
        moved[which][at] = v
        value, _ = OPERATIONS[op](exact(), moved, attrs)
        return mpmath.fsum(u * y for u, y in zip(upstream, value, strict=True))

    return mpmath.diff(weighted, args[which][at])


@pytest.mark.parametrize("op", OPERATIONS)
def test_the_backward_is_the_derivative_of_the_forward(op: str) -> None:
    args, attrs, differentiable = EXAMPLES.get(op, UNARY)
    with mpmath.workdps(40):
        args = [[mpmath.mpf(v) for v in a] for a in args]
        value, backward = OPERATIONS[op](exact(), args, attrs)
        upstream = [mpmath.mpf(1) / (3 + i) for i in range(len(value))]
        grads = backward(upstream)
        assert len(grads) == len(args)
        for which, arg in enumerate(args):
            assert len(grads[which]) == len(arg)
            for at in range(len(arg)):
                expected = numeric_gradient(op, args, attrs, upstream, which, at) if which < differentiable else 0
                assert abs(grads[which][at] - expected) < 1e-12


def test_classes_that_tie_for_the_maximum_share_its_gradient() -> None:
    value, backward = OPERATIONS["max"](rounding_to("float32"), [[2.0, 1.0, 2.0]], {})
    assert value == [2.0]
    assert backward([3.0]) == [[1.5, 0.0, 1.5]]


@pytest.mark.parametrize("op", ["add", "sub", "mul", "div"])
def test_a_single_number_broadcasts_and_its_gradient_is_the_sum(op: str) -> None:
    with mpmath.workdps(40):
        for args in ([X, [0.5]], [[0.5], X]):
            value, backward = OPERATIONS[op](exact(), args, {})
            assert len(value) == 3
            grads = backward([1, 2, 3])
            for which, arg in enumerate(args):
                for at in range(len(arg)):
                    expected = numeric_gradient(op, args, {}, [1, 2, 3], which, at)
                    assert abs(grads[which][at] - expected) < 1e-12


def test_every_operation_with_a_composition_is_one_that_expressions_have() -> None:
    assert set(COMPOSITES) | set(NAIVE) | set(OPERATIONS) <= set(expr.OPERATIONS)


@pytest.mark.parametrize("op", NAIVE)
def test_a_hand_written_form_is_the_operation_where_nothing_overflows(op: str) -> None:
    z = expr.logits()

    def value(node: expr.Node) -> list[float]:
        if node == z:
            return X
        node = composed(node)
        args = [value(a) for a in node.args]
        return OPERATIONS[node.op](rounding_to("float64"), args, node.attrs)[0]

    naive = expr.make(op, z, naive=True)
    assert composed(naive) != naive
    np.testing.assert_allclose(value(naive), value(expr.make(op, z)), rtol=1e-15)


class TestIeee:
    """No exception, whatever the numbers: what NumPy gives."""

    SPECIAL = (0.0, -0.0, 1.0, -1.0, -2.0, 1e-320, 1e308, 710.0, math.inf, -math.inf, math.nan)

    @pytest.mark.parametrize("name", ["exp", "log", "log1p"])
    def test_functions(self, name: str) -> None:
        ours = getattr(rounding_to("float64"), name)
        with np.errstate(all="ignore"):
            np.testing.assert_allclose([ours(v) for v in self.SPECIAL], getattr(np, name)(self.SPECIAL), rtol=1e-15)

    def test_division(self) -> None:
        div = rounding_to("float64").div
        with np.errstate(all="ignore"):
            for a in self.SPECIAL:
                np.testing.assert_array_equal(
                    [div(a, b) for b in self.SPECIAL], operator.truediv(np.float64(a), np.array(self.SPECIAL))
                )

    def test_mpmath_has_the_same_infinities(self) -> None:
        m = exact()
        assert m.log(m.round(0)) == -mpmath.inf
        assert m.div(m.round(1), m.round(0)) == mpmath.inf
        assert m.div(m.round(-1), m.round(0)) == -mpmath.inf
        assert mpmath.isnan(m.div(m.round(0), m.round(0)))
        assert mpmath.isnan(m.log(m.round(-1)))
