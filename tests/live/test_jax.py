"""JAX losses, traced: what is reported, at which line, of which expression; and nothing of a loss that is right."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

import finallayer

HEAD = """\
import jax
import jax.numpy as jnp
import optax
from jax import nn

y = jnp.arange(8) % 5
onehot = nn.one_hot(y, 5)
params = {"w": jnp.ones((4, 5)), "b": jnp.ones(5)}
x = jnp.ones((8, 4))

def net(params, x):
    return x @ params["w"] + params["b"]

"""
FIRST = HEAD.count("\n") + 1

#: name -> (the loss; what is reported: rule, and the part of the line that it stands at)
BAD: dict[str, tuple[str, set[tuple[str, str]]]] = {
    "softmax + cross entropy": (
        "return optax.softmax_cross_entropy(nn.softmax(net(params, x)), onehot).mean()",
        {("FL101", "optax.softmax_cross_entropy(nn.softmax(net(params, x)), onehot)")},
    ),
    "the same with integer labels": (
        "return optax.softmax_cross_entropy_with_integer_labels(nn.softmax(net(params, x)), y).mean()",
        {("FL101", "optax.softmax_cross_entropy_with_integer_labels(nn.softmax(net(params, x)), y)")},
    ),
    "log(softmax + eps)": (
        "return -(jnp.log(nn.softmax(net(params, x)) + 1e-8) * onehot).sum(1).mean()",
        {("FL203", "jnp.log(nn.softmax(net(params, x)) + 1e-8)")},
    ),
    "clip": (
        "return -(jnp.log(jnp.clip(nn.softmax(net(params, x)), 1e-7, 1.0)) * onehot).sum()",
        {("FL202", "jnp.log(jnp.clip(nn.softmax(net(params, x)), 1e-7, 1.0))")},
    ),
    "picked": (
        "return -jnp.log(nn.softmax(net(params, x)))[jnp.arange(8), y].mean()",
        {("FL201", "jnp.log(nn.softmax(net(params, x)))")},
    ),
    "by hand": (
        "e = jnp.exp(net(params, x))\n    return -jnp.log((e / e.sum(1, keepdims=True))[jnp.arange(8), y]).mean()",
        {
            ("FL204", "e / e.sum(1, keepdims=True)"),
            ("FL201", "jnp.log((e / e.sum(1, keepdims=True))[jnp.arange(8), y])"),
        },
    ),
    "log(sigmoid)": (
        "return -jnp.log(nn.sigmoid(net(params, x))).mean()",
        {("FL205", "jnp.log(nn.sigmoid(net(params, x)))")},
    ),
    "double sigmoid": (
        "return optax.sigmoid_binary_cross_entropy(nn.sigmoid(net(params, x)), onehot).mean()",
        {("FL104", "optax.sigmoid_binary_cross_entropy(nn.sigmoid(net(params, x)), onehot)")},
    ),
    "compiled": (
        "return jax.jit(lambda z: -(jnp.log(nn.softmax(z) + 1e-8) * onehot).sum(1).mean())(net(params, x))",
        {("FL203", "jnp.log(nn.softmax(z) + 1e-8)")},
    ),
    "in a gradient": (
        "value, _ = jax.value_and_grad(lambda p: -jnp.log(nn.softmax(net(p, x)))[0, 1])(params)\n    return value",
        {("FL201", "jnp.log(nn.softmax(net(p, x)))")},
    ),
    "in a branch": (
        "z = net(params, x)\n"
        "    return -jax.lax.cond(z.sum() > 0, lambda z: jnp.log(nn.softmax(z)), nn.log_softmax, z).mean()",
        {("FL201", "jnp.log(nn.softmax(z))")},
    ),
    "of what a branch gives": (
        "p = jax.lax.cond(x.sum() > 0, lambda z: nn.softmax(z), lambda z: nn.softmax(2 * z), net(params, x))\n"
        "    return -jnp.log(p).mean()",
        {("FL201", "jnp.log(p)")},
    ),
    "in a loop over rows": (
        "def body(total, row):\n        z, label = row\n        return total - jnp.log(nn.softmax(z)[label]), None\n"
        "    return jax.lax.scan(body, 0.0, (net(params, x), y))[0]",
        {("FL201", "jnp.log(nn.softmax(z)[label])")},
    ),
    "of what a loop over rows gives": (
        "_, p = jax.lax.scan(lambda state, z: (state, nn.softmax(z)), 0.0, net(params, x))\n"
        "    return -jnp.log(p).mean()",
        {("FL201", "jnp.log(p)")},
    ),
    "for each sample": (
        "return -jax.vmap(lambda z, label: jnp.log(nn.softmax(z)[label] + 1e-8))(net(params, x), y).mean()",
        {("FL203", "jnp.log(nn.softmax(z)[label] + 1e-8)")},
    ),
    "computed again for its gradient": (
        "return jax.checkpoint(lambda z: -jnp.log(nn.softmax(z)).mean())(net(params, x))",
        {("FL201", "jnp.log(nn.softmax(z))")},
    ),
    "a gradient written beside it": (
        "cross = jax.custom_vjp(lambda z: -jnp.log(nn.softmax(z)).mean())\n"
        "    cross.defvjp(lambda z: (cross(z), z), lambda z, g: (g * z,))\n"
        "    return cross(net(params, x))",
        {("FL201", "jnp.log(nn.softmax(z))")},
    ),
    "a Python `if` on the loss": (
        "p = nn.softmax(net(params, x))\n    value = -jnp.log(p[jnp.arange(8), y] + 1e-8).mean()\n"
        "    return 2 * value if value > 1 else value",
        {("FL203", "jnp.log(p[jnp.arange(8), y] + 1e-8)")},
    ),
    "a gradient written beside it, and an `if`": (
        "cross = jax.custom_vjp(lambda z: -jnp.log(nn.softmax(z)).mean())\n"
        "    cross.defvjp(lambda z: (cross(z), z), lambda z, g: (g * z,))\n"
        "    return cross(net(params, x)) if x.sum() > 0 else 0.0",
        {("FL201", "jnp.log(nn.softmax(z))")},
    ),
    "one bad loss of a sum": (
        "z = net(params, x)\n    bad = jnp.log(nn.softmax(2 * z))\n"
        "    return optax.softmax_cross_entropy(z, onehot).mean() - bad.mean()",
        {("FL201", "jnp.log(nn.softmax(2 * z))")},
    ),
}
GOOD: dict[str, str] = {
    "cross entropy": "return optax.softmax_cross_entropy(net(params, x), onehot).mean()",
    "integer labels": "return optax.softmax_cross_entropy_with_integer_labels(net(params, x), y).mean()",
    "log-softmax": "return -(nn.log_softmax(net(params, x)) * onehot).sum(1).mean()",
    "binary": "return optax.sigmoid_binary_cross_entropy(net(params, x), onehot).mean()",
    "a regression": "return ((net(params, x) - 1) ** 2).mean()",
    "label smoothing": "return optax.softmax_cross_entropy(net(params, x), optax.smooth_labels(onehot, 0.1)).mean()",
    "a teacher": """t = jax.lax.stop_gradient(nn.softmax(net(params, x) / 2))
    entropy = jax.lax.stop_gradient(-(t * jnp.log(t + 1e-8)).sum())
    return optax.kl_divergence(nn.log_softmax(net(params, x)), t).mean() + 0 * entropy""",
    "the softmax of a teacher that isn't trained": "return optax.kl_divergence("
    "nn.log_softmax(net(params, x)), nn.softmax(x @ jnp.ones((4, 5)))).mean()",
    "samples picked by their numbers": """keep = x.sum(1) > 0
    rows = nn.log_softmax(net(params, x))[keep]
    return -rows[jnp.arange(len(rows)), y[keep]].mean() + float(x.sum()) * 0""",
    "for each sample, a loop over branches": """total = 0.0
    for z, label in zip(net(params, x), y):
        loss = optax.softmax_cross_entropy_with_integer_labels(nn.relu(z), label)
        total = total + (jnp.minimum(loss, 3.0) if loss > 1 else jax.jit(lambda l: l * 2)(loss))
    return total""",
    "the norm of a gradient": """
    def loss(p):
        return optax.softmax_cross_entropy(net(p, x), onehot).mean()
    return loss(params) + optax.tree.norm(jax.grad(loss)(params))""",
    "for each sample": "return -jax.vmap(lambda z, t: nn.log_softmax(z)[t])(net(params, x), y).mean()",
    "a loop over rows": """def body(total, row):
        z, label = row
        return total + optax.softmax_cross_entropy_with_integer_labels(z, label), nn.softmax(z)
    total, p = jax.lax.scan(body, 0.0, (net(params, x), y))
    return total + 0 * jax.lax.stop_gradient(p).max()""",
    "a recurrent network": """def cell(h, row):
        h = jnp.tanh(h @ jnp.ones((5, 5)) + net(params, row))
        return h, h
    h, states = jax.lax.scan(cell, jnp.zeros(5), x)
    return optax.softmax_cross_entropy(states, onehot).mean()""",
    "a branch": "return optax.softmax_cross_entropy("
    "jax.lax.cond(x.sum() > 0, lambda z: z, lambda z: 2 * z, net(params, x)), onehot).mean()",
    "a loop": "return jax.lax.fori_loop(0, 3, lambda i, t: t + net(params, x).sum(), 0.0)",
}


def program(folder: Path, body: str) -> Any:
    file = folder / "program.py"
    file.write_text(f"{HEAD}def loss(params, x):\n    {body}\n")
    spec = importlib.util.spec_from_file_location("program", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def audit(folder: Path, body: str) -> finallayer.Audit:
    module = program(folder, body)
    return finallayer.audit(module.loss, module.params, module.x)


@pytest.mark.parametrize("name", BAD)
def test_a_bad_loss_is_reported_at_its_place(name: str, tmp_path: Path) -> None:
    body, expected = BAD[name]
    audited = audit(tmp_path, body)
    lines = (tmp_path / "program.py").read_text().splitlines()
    found = {(f.rule.code, lines[f.origin.line - 1][f.origin.column : f.origin.end_column]) for f in audited.findings}
    assert found == expected


@pytest.mark.parametrize("name", GOOD)
def test_nothing_is_reported_of_a_loss_that_is_right(name: str, tmp_path: Path) -> None:
    assert audit(tmp_path, GOOD[name]).findings == ()


def test_the_expression_and_its_margin_are_those_of_the_formula(tmp_path: Path) -> None:
    audited = audit(tmp_path, BAD["log(softmax + eps)"][0])
    assert audited.findings[0].expression == "neg(gather(log(add_eps(softmax(z), eps=1e-08)), y))"
    assert audited.safe_margin is not None and 13 < audited.safe_margin["float32"] < 14
    assert "params['w']" in audited.expressions[0] or "softmax" in audited.expressions[0]


def test_a_function_of_the_users_own_that_is_called_log_softmax_is_read_not_believed(tmp_path: Path) -> None:
    body = """def log_softmax(z):
        return jnp.log(nn.softmax(z))
    return -jax.jit(log_softmax)(net(params, x))[0, 0]"""
    assert [f.rule.code for f in audit(tmp_path, body).findings] == ["FL201"]


def test_a_loop_that_nobody_can_follow_is_named(tmp_path: Path) -> None:
    body = """p = jax.lax.while_loop(lambda p: p.sum() > 100, lambda p: p / 2, nn.softmax(net(params, x)))
    total, _ = jax.lax.scan(lambda state, row: (state * row, None), jnp.ones(5), p)
    return -jnp.log(total).mean()"""
    audited = audit(tmp_path, body)
    assert audited.findings == () and {b.name for b in audited.blind} == {"while", "scan"}


def test_what_is_not_understood_is_named(tmp_path: Path) -> None:
    audited = audit(tmp_path, "return jnp.linalg.qr(nn.softmax(net(params, x)))[1].sum()")
    assert audited.findings == () and audited.blind != ()


def test_an_equation_that_gives_nothing_is_passed_over() -> None:
    jax, jnp = pytest.importorskip("jax"), pytest.importorskip("jax.numpy")

    def loss(w: Any, x: Any, y: Any) -> Any:
        jax.debug.print("{}", x.sum())
        return -jax.nn.log_softmax(x @ w["w"])[jnp.arange(2), y].mean()

    audit = finallayer.audit(loss, {"w": jnp.ones((4, 3))}, jnp.ones((2, 4)), jnp.array([0, 1]))
    assert audit.safe_margin is not None and audit.safe_margin["float32"] == float("inf")


def test_a_loss_that_looks_at_its_numbers_is_read_as_one_that_does_not(tmp_path: Path) -> None:
    body = BAD["log(softmax + eps)"][0]
    traced, looked = audit(tmp_path, body), audit(tmp_path, f"assert net(params, x).sum() > 0\n    {body}")
    assert traced.expressions == looked.expressions and traced.safe_margin == looked.safe_margin
    assert looked.blind == ()


def test_what_a_loss_raises_that_looks_at_its_numbers_is_its_own(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError) as raised:
        audit(tmp_path, "return 1 / 0 if x.sum() > 0 else x.sum()")
    assert raised.value.__context__ is None


def test_numpys_generator_is_as_it_was(tmp_path: Path) -> None:
    import numpy as np

    np.random.seed(3)
    wanted = np.random.rand()
    np.random.seed(3)
    audit(tmp_path, "import numpy as np\n    return net(params, x + np.random.rand(8, 4)).sum()")
    assert np.random.rand() == wanted
