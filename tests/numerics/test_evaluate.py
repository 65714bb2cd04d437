"""Loss expressions evaluated: the numbers and the safe margins of the frameworks themselves."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finallayer.expr import UNREAD, Node, logits, make, target
from finallayer.numerics import evaluate as module
from finallayer.numerics import oracle
from finallayer.numerics.evaluate import evaluate, expression_safe_margin
from finallayer.numerics.forward_backward import COMPOSITES, OPERATIONS
from finallayer.numerics.program import UnevaluableError
from finallayer.numerics.safe_margin import safe_margin

torch = pytest.importorskip("torch")
F = torch.nn.functional

Z, Y = logits(), target()
PROBS, SIGMOID = make("softmax", Z), make("sigmoid", Z)


def nll(log_probs: Node) -> Node:
    return make("mean", make("nll", log_probs, Y))


def by_hand(z: Any) -> Any:
    return z.exp() / z.exp().sum(-1, keepdim=True)


#: name -> the expression, and the same in PyTorch for a batch of one row and its label
CATEGORICAL = {
    "cross_entropy": (make("xent_logits", Z, Y), F.cross_entropy),
    "nll(log_softmax)": (nll(make("log_softmax", Z)), lambda z, y: F.nll_loss(F.log_softmax(z, -1), y)),
    "log(softmax)": (nll(make("log", PROBS)), lambda z, y: F.nll_loss(z.softmax(-1).log(), y)),
    "log(softmax + 1e-10)": (
        nll(make("log", make("add_eps", PROBS, eps=1e-10))),
        lambda z, y: F.nll_loss((z.softmax(-1) + 1e-10).log(), y),
    ),
    "log(clip(softmax))": (
        nll(make("log", make("clip", PROBS, low=1e-7))),
        lambda z, y: F.nll_loss(z.softmax(-1).clamp(min=1e-7).log(), y),
    ),
    "log(gather(softmax))": (
        make("neg", make("log", make("gather", PROBS, Y))),
        lambda z, y: -z.softmax(-1)[0, y[0]].log(),
    ),
    "sum(y * log(softmax))": (
        make("neg", make("sum", make("mul", Y, make("log", PROBS)))),
        lambda z, y: -(F.one_hot(y, z.shape[-1]) * z.softmax(-1).log()).sum(),
    ),
    "log(exp/sum exp)": (
        nll(make("log", make("softmax", Z, naive=True))),
        lambda z, y: F.nll_loss(by_hand(z).log(), y),
    ),
    "log(sum exp) - z_y": (
        make("sub", make("logsumexp", Z, naive=True), make("gather", Z, Y)),
        lambda z, y: z.exp().sum(-1).log()[0] - z[0, y[0]],
    ),
    "logsumexp - z_y": (
        make("sub", make("logsumexp", Z), make("gather", Z, Y)),
        lambda z, y: z.logsumexp(-1)[0] - z[0, y[0]],
    ),
    "kl(log_softmax)": (
        make("kl", make("log_softmax", Z), Y),
        lambda z, y: F.kl_div(F.log_softmax(z, -1), F.one_hot(y, z.shape[-1]).to(z.dtype), reduction="sum"),
    ),
    "cross_entropy(softmax)": (make("xent_logits", PROBS, Y), lambda z, y: F.cross_entropy(z.softmax(-1), y)),
}

#: the same for one logit and a label of 0 or 1
BINARY = {
    "bce_with_logits": (make("bce_logits", Z, Y), F.binary_cross_entropy_with_logits),
    "bce(sigmoid)": (make("bce_probs", SIGMOID, Y), lambda z, y: F.binary_cross_entropy(z.sigmoid(), y)),
    "y log(p) + (1-y) log(1-p)": (
        make(
            "neg",
            make(
                "add",
                make("mul", Y, make("log", SIGMOID)),
                make("mul", make("one_minus", Y), make("log", make("one_minus", SIGMOID))),
            ),
        ),
        lambda z, y: -(y * z.sigmoid().log() + (1 - y) * (1 - z.sigmoid()).log()).sum(),
    ),
    "softplus - y z": (
        make("sub", make("softplus", Z), make("mul", Y, Z)),
        lambda z, y: (F.softplus(z) - y * z).sum(),
    ),
    "log(1 + exp) - y z": (
        make("sub", make("softplus", Z, naive=True), make("mul", Y, Z)),
        lambda z, y: ((1 + z.exp()).log() - y * z).sum(),
    ),
    "log_sigmoid": (
        make(
            "neg",
            make(
                "add",
                make("mul", Y, make("log_sigmoid", Z)),
                make("mul", make("one_minus", Y), make("log_sigmoid", make("neg", Z))),
            ),
        ),
        lambda z, y: -(y * F.logsigmoid(z) + (1 - y) * F.logsigmoid(-z)).sum(),
    ),
    "bce_with_logits(sigmoid)": (
        make("bce_logits", SIGMOID, Y),
        lambda z, y: F.binary_cross_entropy_with_logits(z.sigmoid(), y),
    ),
}


def torch_loss_and_grad(loss, row, label: int, dtype: str) -> tuple[float, list[float]]:
    z = torch.tensor([float(v) for v in row], dtype=torch.float64).to(getattr(torch, dtype)).requires_grad_()
    row_and_label = (z[None], torch.tensor([label])) if z.numel() > 1 else (z, torch.tensor([label], dtype=z.dtype))
    value = loss(*row_and_label)
    value.backward()
    return value.item(), z.grad.double().tolist()


class TestAgainstTorch:
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    @pytest.mark.parametrize("name", [*CATEGORICAL, *BINARY])
    def test_loss_and_gradient(self, name: str, dtype: str) -> None:
        """Moderate rows to a few roundings; extreme ones too, where both break down the same way."""
        expression, loss = (CATEGORICAL | BINARY)[name]
        rng = np.random.default_rng(0)
        width = 4 if name in CATEGORICAL else 1
        rows = [*rng.normal(0, 2, (20, width)).astype(dtype), np.eye(1, width)[0] * 200, np.eye(1, width)[0] * -200]
        eps = float(np.finfo(dtype).eps)
        for i, row in enumerate(rows):
            got = evaluate(expression, row.tolist(), i % 2, dtype)
            value, grad = torch_loss_and_grad(loss, row, i % 2, dtype)
            np.testing.assert_allclose(got.loss, value, rtol=20 * eps, atol=2 * eps)
            np.testing.assert_allclose(got.grad, grad, rtol=20 * eps, atol=4 * eps)

    @pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
    @pytest.mark.parametrize("name", CATEGORICAL)
    def test_safe_margin_of_a_row_of_classes(self, name: str, dtype: str) -> None:
        expression, loss = CATEGORICAL[name]
        real = safe_margin(lambda z, y: torch_loss_and_grad(loss, z, y, dtype)[1], dtype, classes=3)
        assert expression_safe_margin(expression, dtype) == pytest.approx(real, abs=0.1)

    @pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
    @pytest.mark.parametrize("name", BINARY)
    def test_safe_margin_of_a_binary_logit(self, name: str, dtype: str) -> None:
        """Row (margin, 0) stands for the logit -margin of label 1, and the logit margin of label 0."""
        expression, loss = BINARY[name]

        def grad(z: np.ndarray, label: int) -> list[float]:
            margin = float(z[0])
            of_one = torch_loss_and_grad(loss, [-margin], 1, dtype)[1][0]
            of_zero = torch_loss_and_grad(loss, [margin], 0, dtype)[1][0]
            return [of_zero, of_one]

        real = safe_margin(grad, dtype, classes=2)
        assert expression_safe_margin(expression, dtype) == pytest.approx(real, abs=0.1)


KERAS_AND_JAX = """
import json, jax, jax.numpy as jnp, keras, numpy as np, optax
from finallayer.numerics.safe_margin import safe_margin

def at(x, y):
    return x[0, y[0]]

LOSSES = {
    "keras": lambda z, y: keras.losses.sparse_categorical_crossentropy(y, keras.ops.softmax(z))[0],
    "keras binary": lambda z, y: keras.losses.binary_crossentropy(
        jnp.ones((1, 1)), keras.ops.sigmoid(z[:, 1:] - z[:, :1]))[0],
    "optax": lambda z, y: optax.softmax_cross_entropy_with_integer_labels(z, y)[0],
    "log(softmax)": lambda z, y: -jnp.log(at(jax.nn.softmax(z), y)),
    "log(softmax + 1e-10)": lambda z, y: -jnp.log(at(jax.nn.softmax(z) + 1e-10, y)),
    "log(clip(softmax))": lambda z, y: -jnp.log(at(jnp.clip(jax.nn.softmax(z), 1e-7, 1.0), y)),
}

def margin(loss, dtype, classes):
    grad = jax.jit(jax.grad(lambda z, y: loss(z[None], y[None])))
    return safe_margin(lambda z, y: np.asarray(grad(z, jnp.array(y)), np.float64), dtype, classes=classes)

print(json.dumps({name: {dtype: margin(loss, dtype, 2 if "binary" in name else 3)
                         for dtype in ("float32", "bfloat16", "float16")} for name, loss in LOSSES.items()}))
"""


@pytest.fixture(scope="module")
def keras_and_jax_margins() -> dict[str, dict[str, float]]:
    """In a process of their own: Keras has one backend per process."""
    env = {"KERAS_BACKEND": "jax", "PYTHONPATH": str(Path(module.__file__).parents[2]), "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", KERAS_AND_JAX], env=env, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


IN_KERAS_AND_JAX = {
    "keras": make("xent_probs", PROBS, Y, eps=1e-7),
    "keras binary": make("bce_probs", SIGMOID, Y, eps=1e-7),
    "optax": make("xent_logits", Z, Y),
    **{name: CATEGORICAL[name][0] for name in ("log(softmax)", "log(softmax + 1e-10)", "log(clip(softmax))")},
}


class TestAgainstKerasAndJax:
    @pytest.mark.parametrize("name", IN_KERAS_AND_JAX)
    def test_safe_margins(self, name: str, keras_and_jax_margins: dict[str, dict[str, float]]) -> None:
        for dtype, real in keras_and_jax_margins[name].items():
            ours = expression_safe_margin(IN_KERAS_AND_JAX[name], dtype)
            assert ours is not None
            if name == "log(softmax)" and dtype != "float16":
                # XLA flushes subnormals: it breaks down at log(1/tiny) = 87.3, others at log(max) = 88.7
                assert real == pytest.approx(126 * math.log(2), abs=0.4)
                assert real < ours < real + 1.6
            elif name == "keras binary":
                # Keras' label 1 only; ours is the worse label, whose 1 - x cancels in 16 bits
                assert ours == pytest.approx(real, abs=0.1) if dtype == "float32" else ours <= real
            else:
                assert ours == pytest.approx(real, abs=0.1)

    def test_the_number_everyone_quotes(self) -> None:
        assert expression_safe_margin(IN_KERAS_AND_JAX["keras"]) == pytest.approx(16.12, abs=0.005)


class TestExactEvaluation:
    def test_is_the_oracle_for_a_stable_loss(self) -> None:
        row = [3.0, -40.0, 0.5]
        loss, grad = evaluate(make("xent_logits", Z, Y), row, 1, "exact")
        truth = oracle.xent_logits(1, row)
        with mpmath.workdps(50):
            assert abs(loss - truth.loss) < mpmath.mpf(10) ** -50
            assert max(abs(g - t) for g, t in zip(grad, truth.grad, strict=True)) < mpmath.mpf(10) ** -50

    def test_follows_the_expression_clips_and_all(self) -> None:
        clipped = make("xent_probs", PROBS, Y, eps=1e-7)
        assert evaluate(clipped, [20.0, 0.0], 1, "exact").grad == [0, 0]

    def test_takes_target_distributions(self) -> None:
        row, p = [0.5, -1.0, 2.0], [0.2, 0.5, 0.3]
        loss, grad = evaluate(make("xent_logits", Z, Y), row, p, "float64")
        truth = oracle.xent_logits(p, row)
        assert loss == pytest.approx(float(truth.loss), rel=1e-15)
        assert grad == pytest.approx([float(g) for g in truth.grad], rel=1e-13)


OF_LOG_SOFTMAX = 128 * math.log(2)  # where 1/x overflows in float32


class TestWhatTheLogitsAre:
    """The last value of kind logits before the loss; and what an expression short of a loss is completed to."""

    @pytest.mark.parametrize(
        "expression",
        [
            make("log", PROBS),
            make("gather", make("log", PROBS), Y),
            make("log", make("softmax", make("affine", make("softmax", make("opaque", name="features")), units=3))),
            make("log", make("softmax", make("scale", make("affine", make("opaque")), by=0.5))),
            make("log", make("softmax", make("opaque", name="x"))),
            make(
                "log", make("softmax", make("add", make("matmul", make("opaque", name="x")), make("opaque", name="b")))
            ),
            make("log", make("cast", make("reshape", PROBS))),
            make("mul", make("opaque", name="y"), make("neg", make("log", PROBS))),
            make("neg", make("sum", make("mul", make("opaque", name="y"), make("log", PROBS)))),
            make("mul", nll(make("log", PROBS)), make("opaque", name="weight")),
            make("add", nll(make("log", PROBS)), make("parameter", name="regulariser")),
            make("kl", make("log", PROBS), make("softmax", make("logits", name="teacher"))),
            nll(make("log", make("join", PROBS, PROBS))),
        ],
        ids=str,
    )
    def test_all_are_the_log_of_a_softmax(self, expression: Node) -> None:
        assert expression_safe_margin(expression) == pytest.approx(OF_LOG_SOFTMAX, abs=0.001)

    def test_a_weight_moves_the_overflow_by_its_log(self) -> None:
        """The gradient is right up to the factor; -0.25/x overflows log 4 later than -1/x."""
        weighted = make("scale", nll(make("log", PROBS)), by=0.25)
        assert expression_safe_margin(weighted) == pytest.approx(88.72 + math.log(4), abs=0.01)

    def test_a_clip_of_the_logits_is_not_part_of_them(self) -> None:
        assert expression_safe_margin(make("xent_logits", make("clip", Z, low=-50.0, high=50.0), Y)) == pytest.approx(
            50, abs=0.1
        )

    def test_a_softmax_short_of_its_log_is_judged_by_the_log(self) -> None:
        assert expression_safe_margin(PROBS) == pytest.approx(OF_LOG_SOFTMAX, abs=0.001)

    def test_a_log_sum_exp_alone_is_judged_by_its_own_gradient(self) -> None:
        assert expression_safe_margin(make("logsumexp", Z)) == math.inf
        assert expression_safe_margin(make("logsumexp", Z, naive=True)) == pytest.approx(88.72, abs=0.01)

    def test_a_loss_reads_its_target_whatever_it_was_made_of(self) -> None:
        for op, probs in (("bce_probs", SIGMOID), ("xent_probs", PROBS)):
            expected = expression_safe_margin(make(op, probs, Y, eps=1e-7))
            assert expected == pytest.approx(16.12, abs=0.01)
            assert expression_safe_margin(make(op, probs, make("opaque", name="labels"), eps=1e-7)) == expected

    @pytest.mark.parametrize(("outer", "margin"), [(SIGMOID, 88.72), (make("one_minus", SIGMOID), 16.635)])
    def test_half_of_a_binary_loss_is_judged_by_its_own_label(self, outer: Node, margin: float) -> None:
        assert expression_safe_margin(make("log", outer)) == pytest.approx(margin, abs=0.01)


@st.composite
def expressions(draw: st.DrawFn) -> Node:
    """Any operations on any, right or wrong, that end anywhere."""
    leaves = [Z, Z, Y, make("opaque", name="w"), make("parameter"), make("const", value=draw(st.floats(-2, 2)))]
    nodes = list(leaves)
    ops = sorted(set(OPERATIONS) | set(COMPOSITES) | {"affine", "pow"})
    for _ in range(draw(st.integers(1, 8))):
        args = draw(st.lists(st.sampled_from([*nodes[-4:], Z, Y]), min_size=0, max_size=3))
        attrs: dict[str, Any] = draw(
            st.fixed_dictionaries({}, optional={n: st.sampled_from([None, 1e-7, 2, "x"]) for n in NUMERIC})
        )
        nodes.append(make(draw(st.sampled_from(ops)), *args, naive=draw(st.booleans()), **attrs))
    return nodes[-1]


NUMERIC = ("eps", "low", "high", "value", "by")


class TestWhatHasNoMargin:
    @pytest.mark.parametrize("loss", [make("xent_logits", PROBS, Y), make("bce_logits", SIGMOID, Y)])
    def test_normalised_twice_is_wrong_from_the_start(self, loss: Node) -> None:
        assert expression_safe_margin(loss) == 0

    @pytest.mark.parametrize(
        "expression",
        [
            make("mse", PROBS, Y),
            make("nll", PROBS, Y),
            make("xent_probs", Z, Y, eps=1e-7),
            make("xent_probs", SIGMOID, Y, eps=1e-7),
            make("mul", make("one_minus", make("gather", PROBS, Y)), make("log", make("gather", PROBS, Y))),
        ],
        ids=str,
    )
    def test_another_loss_than_cross_entropy(self, expression: Node) -> None:
        assert expression_safe_margin(expression) is None

    @pytest.mark.parametrize(
        ("expression", "why"),
        [
            (make("log", Y), "no logits"),
            (make("argmax", Z), "no logits"),
            (make("log", make("pow", PROBS, make("const", value=2))), "pow has no value|no logits"),
            (make("log", make("add_eps", PROBS, eps=None)), "add_eps without a known eps"),
            (make("xent_probs", PROBS, Y, eps=UNREAD), "clip without a known low or high"),
            (make("mul", PROBS, PROBS, PROBS), "mul of 3 arguments"),
            (make("mul", PROBS, make("concat", PROBS, PROBS)), r"mul of values of \[3, 6\] numbers|mul of values"),
            (make("add", make("log", PROBS), make("log", make("softmax", logits("other")))), "several sets of logits"),
        ],
        ids=str,
    )
    def test_what_has_no_value_on_one_row_says_why(self, expression: Node, why: str) -> None:
        assert expression_safe_margin(expression) is None
        with pytest.raises(UnevaluableError, match=why):
            evaluate(expression, [1.0, 0.0], 1)

    def test_what_exp_is_taken_of_is_scores_whatever_it_is(self) -> None:
        total = make("log", make("sum", make("exp", make("opaque", name="x"))))
        assert expression_safe_margin(total) == pytest.approx(88.72, abs=0.01)

    @pytest.mark.undeclared
    @settings(max_examples=200)
    @given(expression=expressions())
    def test_no_expression_whatever_raises(self, expression: Node) -> None:
        for dtype in ("float32", "float16"):
            margin = expression_safe_margin(expression, dtype)
            assert margin is None or margin >= 0

    def test_nor_does_one_too_deep_or_too_large(self) -> None:
        deep = PROBS
        for _ in range(3000):
            deep = make("identity", deep)
        assert expression_safe_margin(make("log", deep)) is None
        assert expression_safe_margin(make("log", make("scale", PROBS, by=10**400))) is None

    def test_an_unknown_dtype_is_refused(self) -> None:
        with pytest.raises(ValueError, match="unknown dtype 'int8'"):
            expression_safe_margin(PROBS, "int8")


def test_alike_expressions_are_evaluated_once() -> None:
    expression_safe_margin(nll(make("log", make("softmax", logits("a")))))
    before = module._safe_margin.cache_info()
    expression_safe_margin(nll(make("log", make("softmax", logits("b"), axis=1))))
    after = module._safe_margin.cache_info()
    assert (after.hits, after.misses) == (before.hits + 1, before.misses)


def test_needs_neither_numpy_nor_mpmath() -> None:
    code = (
        "import sys; from finallayer.expr import *; from finallayer.numerics.evaluate import expression_safe_margin\n"
        "z, y = logits(), target()\n"
        "assert expression_safe_margin(make('xent_probs', make('softmax', z), y, eps=1e-7), 'bfloat16') == 16\n"
        "assert not {'numpy', 'mpmath', 'ml_dtypes'} & set(sys.modules)"
    )
    subprocess.run(
        [sys.executable, "-c", code], check=True, env={"PYTHONPATH": str(Path(module.__file__).parents[2])}, timeout=60
    )
