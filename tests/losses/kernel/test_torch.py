"""`finallayer.losses.torch` against torch's own functions in float64, under everything that torch can do to a loss."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from finallayer.losses import torch as ours
from finallayer.losses.torch import _fused, _kernel, _quick

from .kernel_rows import (
    BFLOAT16,
    FLOAT16,
    FLOAT32,
    FLOAT64,
    Terms,
    binary_truth,
    hard_rows,
    pushed_rows,
    truth,
    ulps,
)

CLOSE = {"rtol": 2e-6, "atol": 1e-7}


@pytest.fixture(params=["kernel", "framework"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to the same result: the compiled kernel, and torch's own operations."""
    if request.param == "framework":
        monkeypatch.setattr(_kernel, "serves", lambda *tensors: False)
        monkeypatch.setattr(_quick, "LIBRARY", None)
    elif _kernel.LIBRARY is None:
        pytest.skip("the kernel is not built")
    return str(request.param)


def both(z: Tensor, compute: Any) -> Iterator[tuple[Tensor, Tensor]]:
    """``compute(function namespace, logits)`` by us in float32 and by torch in float64: losses, then gradients."""
    mine, theirs = z.detach().clone().requires_grad_(), z.detach().double().requires_grad_()
    a, b = compute(ours, mine), compute(F, theirs)
    yield a, b
    upstream = torch.linspace(0.5, 2, a.numel()).reshape(a.shape)
    yield torch.autograd.grad(a, mine, upstream)[0], torch.autograd.grad(b, theirs, upstream.double())[0]


SHAPES = {
    "(C,)": ((7,), ()),
    "(N, C)": ((5, 7), (5,)),
    "(N, C, d)": ((3, 7, 4), (3, 4)),
    "(N, C, d, e)": ((2, 7, 3, 4), (2, 3, 4)),
}


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_arguments_mean_what_torchs_mean(path: str, shape: tuple[Any, Any], reduction: str) -> None:
    torch.manual_seed(0)
    z, target = torch.randn(shape[0]) * 3, torch.randint(7, shape[1])
    if target.dim():
        target.view(-1)[1] = 3
    soft = torch.softmax(torch.randn(shape[0]), dim=min(1, z.dim() - 1))
    weight = torch.rand(7) + 0.1
    for w, smoothing, t in itertools.product((None, weight), (0.0, 0.2), (target, soft)):

        def compute(f: Any, logits: Tensor, w: Any = w, smoothing: float = smoothing, t: Tensor = t) -> Tensor:
            cast = {} if w is None else {"weight": w.to(logits.dtype)}
            t = t.to(logits.dtype) if t.is_floating_point() else t
            ignore = {} if t.is_floating_point() else {"ignore_index": 3}
            if not t.dim():
                ignore = {}
            return f.cross_entropy(logits, t, label_smoothing=smoothing, reduction=reduction, **ignore, **cast)

        for a, b in both(z, compute):
            torch.testing.assert_close(a.double(), b, **CLOSE)


def test_the_module_is_the_function() -> None:
    z, t, w = torch.randn(6, 5), torch.randint(5, (6,)), torch.rand(5)
    arguments = {"label_smoothing": 0.1, "ignore_index": 2, "reduction": "sum"}
    assert ours.CrossEntropyLoss(w, **arguments)(z, t) == ours.cross_entropy(z, t, w, **arguments)
    assert list(ours.CrossEntropyLoss(w).state_dict()) == list(torch.nn.CrossEntropyLoss(w).state_dict())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_hard_rows_through_autograd(path: str, dtype: torch.dtype) -> None:
    kind = {torch.float32: FLOAT32, torch.bfloat16: BFLOAT16, torch.float16: FLOAT16}[dtype]
    rows, target = hard_rows(np.random.default_rng(4), 300, 41, kind)
    z = torch.from_numpy(rows.astype("f4")).to(dtype).requires_grad_()
    loss = ours.cross_entropy(z, torch.from_numpy(target))
    assert loss.dtype == dtype
    loss.backward()
    exact = truth(rows, target, Terms("mean"))
    assert z.grad is not None
    assert ulps(z.grad.float().numpy(), exact.grad, kind).max() <= (4 if dtype == torch.float32 else 0.502)
    assert ulps(loss.detach().float().numpy(), np.array(exact.reduced), kind) <= (4 if kind == FLOAT32 else 0.502)


@pytest.mark.parametrize("classes", [10, 129])
def test_float64_under_any_upstream(path: str, classes: int) -> None:
    """Within what docs/losses.md says of each way."""
    rows, target, terms = pushed_rows(np.random.default_rng(classes), classes)
    z = torch.from_numpy(rows).requires_grad_()
    loss = ours.cross_entropy(z, torch.from_numpy(target), reduction="none")
    loss.backward(torch.from_numpy(terms.row_upstream))
    exact = truth(rows, target, terms)
    assert z.grad is not None
    assert ulps(loss.detach().numpy(), exact.loss, FLOAT64).max() <= 4
    assert ulps(z.grad.numpy(), exact.grad, FLOAT64).max() <= (4 if path == "kernel" else 10)


@pytest.mark.parametrize("dtype", [FLOAT32, FLOAT64], ids=str)
def test_binary_targets_in_between(path: str, dtype: np.dtype) -> None:
    """Those near sigmoid(z), too, where the terms of the gradient cancel."""
    rng = np.random.default_rng(3)
    z = (rng.normal(0, 1, 20_000) * rng.choice([0.01, 1, 8, 30], 20_000)).astype(dtype)
    near = 1 / (1 + np.exp(-z.astype("f8"))) * (1 + rng.normal(0, 1e-3, z.size))
    y = np.where(rng.random(z.size) < 0.5, near, rng.random(z.size)).clip(0, 1).astype(dtype)
    logits = torch.from_numpy(z).requires_grad_()
    loss = ours.binary_cross_entropy_with_logits(logits, torch.from_numpy(y), reduction="none")
    loss.sum().backward()
    exact, exact_gradient, size = binary_truth(z, y)
    assert logits.grad is not None
    assert ulps(loss.detach().numpy(), exact, dtype).max() <= 4
    assert ulps(logits.grad.numpy(), exact_gradient, dtype, size).max() <= (4 if path == "kernel" else 5)


@given(margin=st.floats(-80, 80), offset=st.sampled_from([0.0, 100.0, 1e4, 1e6]), classes=st.integers(2, 50))
def test_any_margin_at_any_offset(margin: float, offset: float, classes: int) -> None:
    z = torch.zeros(1, classes) + offset
    z[0, 0] += margin
    actual = float(z[0, 0]) - float(z[0, 1])
    z.requires_grad_()
    loss = ours.cross_entropy(z, torch.tensor([0]))
    loss.backward()
    expected = np.logaddexp(0, np.log(classes - 1) - actual) if actual < 30 else (classes - 1) * np.exp(-actual)
    assert z.grad is not None
    np.testing.assert_allclose(float(loss), expected, rtol=4e-7)
    share = (classes - 1) / (np.exp(min(actual, 700)) + classes - 1)
    np.testing.assert_allclose(float(z.grad[0, 0]), -share, rtol=4e-7)


def test_extras(path: str) -> None:
    torch.manual_seed(0)
    z = (torch.randn(40, 9) * 4).requires_grad_()
    t = torch.randint(9, (40,))
    t[5] = -100
    token = torch.rand(40)
    out = ours.cross_entropy(
        z, t, z_loss=0.01, softcap=6.0, temperature=1.5, token_weight=token, return_lse=True, return_accuracy=True
    )
    assert isinstance(out, ours.CrossEntropyOutput) and out.lse is not None and out.accuracy is not None
    (got,) = torch.autograd.grad(out.loss + out.lse.sum() * 0.1, z)
    x = z.detach().double().requires_grad_()
    capped = 6 * torch.tanh(x / 6) / 1.5
    lse = capped.logsumexp(1)
    kept = t != -100
    rows = F.cross_entropy(capped, t, reduction="none") + 0.01 * lse**2 * kept
    loss = (rows * token).sum() / token[kept].sum()
    (expected,) = torch.autograd.grad(loss + lse.sum() * 0.1, x)
    torch.testing.assert_close(out.loss.double(), loss, **CLOSE)
    torch.testing.assert_close(out.lse.double(), lse, **CLOSE)
    torch.testing.assert_close(got.double(), expected, rtol=1e-5, atol=1e-7)
    assert out.accuracy == (z.argmax(1) == t)[kept].float().mean()


@pytest.mark.parametrize("soft", [False, True])
def test_first_and_second_derivatives_by_finite_differences(soft: bool) -> None:
    torch.manual_seed(0)
    z = torch.randn(4, 5, dtype=torch.float64, requires_grad=True)
    t = torch.softmax(torch.randn(4, 5, dtype=torch.float64), 1) if soft else torch.tensor([0, 4, -100, 2])

    def f(z: Tensor) -> Tensor:
        out = ours.cross_entropy(z, t, label_smoothing=0.1, z_loss=0.01, return_lse=True)
        assert isinstance(out, ours.CrossEntropyOutput) and out.lse is not None
        return out.loss.double() + 0.1 * out.lse.double().sum()

    loose = {"eps": 1e-3, "atol": 1e-4, "rtol": 1e-3, "nondet_tol": 0.0}  # the rows' losses are float32
    assert torch.autograd.gradcheck(f, (z,), **loose)
    assert torch.autograd.gradgradcheck(f, (z,), **loose)


@pytest.mark.parametrize("rows", [6, 4000], ids=["small", "large"])
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_double_backward_of_the_fused_path(rows: int, reduction: str) -> None:
    torch.manual_seed(0)
    z, t = torch.randn(rows, 11), torch.randint(11, (rows,))
    penalties = []
    for f, x in ((ours, z.clone()), (F, z.double())):
        x.requires_grad_()
        loss = f.cross_entropy(x, t, reduction=reduction).sum()
        (first,) = torch.autograd.grad(loss, x, create_graph=True)
        penalties.append(torch.autograd.grad(first.square().sum(), x)[0].double())
    torch.testing.assert_close(*penalties, rtol=1e-4, atol=1e-8)


def test_a_learned_distribution_gets_its_gradient() -> None:
    p = torch.softmax(torch.randn(3, 4), 1).requires_grad_()
    z = torch.randn(3, 4)
    (got,) = torch.autograd.grad(ours.cross_entropy(z, p), p)
    (expected,) = torch.autograd.grad(F.cross_entropy(z, p), p)
    torch.testing.assert_close(got, expected, **CLOSE)


@pytest.mark.parametrize("classes", [10, 3000])
def test_backward_twice_and_with_any_upstream(classes: int) -> None:
    z, t = torch.randn(300, classes, requires_grad=True), torch.randint(classes, (300,))
    loss = ours.cross_entropy(z, t)
    loss.backward(retain_graph=True)
    assert z.grad is not None
    first = z.grad.clone()
    (loss * 3).backward()
    torch.testing.assert_close(z.grad, first * 4)


def test_gradients_alive_at_once_do_not_share_memory(path: str) -> None:
    z, t = torch.randn(1500, 1000, requires_grad=True), torch.randint(1000, (1500,))
    (a,) = torch.autograd.grad(ours.cross_entropy(z, t), z)
    before = a.clone()
    (b,) = torch.autograd.grad(ours.cross_entropy(z, (t + 1) % 1000), z)
    assert (a == before).all() and not (a == b).all()
    address = b.data_ptr()
    del b
    (c,) = torch.autograd.grad(ours.cross_entropy(z, t), z)
    assert path == "framework" or c.data_ptr() == address, "the pool hands freed pages out again"


@pytest.mark.parametrize("classes", [10, 3000])
def test_logits_changed_before_backward_are_noticed(path: str, classes: int) -> None:
    z, t = torch.randn(300, classes, requires_grad=True), torch.randint(classes, (300,))
    as_it_was = torch.autograd.grad(ours.cross_entropy(z, t), z)[0] * 2
    loss = ours.cross_entropy(z, t) * 2  # which no gradient is ready for
    with torch.no_grad():
        z.mul_(2)
    if path == "framework" and classes == 10:  # nothing of the logits is needed any more, as with torch's own
        torch.testing.assert_close(torch.autograd.grad(loss, z)[0], as_it_was)
        return
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@pytest.mark.parametrize("upstream", [torch.nan, torch.inf, -torch.inf, 0.0])
@pytest.mark.parametrize("shape", [(6, 10), (6, 300), (700, 400)])
def test_an_upstream_that_is_not_finite_stays_where_torch_has_it(
    path: str, shape: tuple[int, int], upstream: float
) -> None:
    z, target = torch.randn(shape, requires_grad=True), torch.arange(shape[0]) % shape[1]
    target[0] = -100
    for reduction in ("mean", "sum", "none"):
        pushes = torch.full((shape[0],) if reduction == "none" else (), upstream)
        mine, theirs = (
            torch.autograd.grad(f.cross_entropy(z, target, reduction=reduction), z, pushes)[0] for f in (ours, F)
        )
        assert (mine[0] == 0).all()
        assert torch.equal(mine.isfinite(), theirs.isfinite())
        assert path == "framework" or mine.isnan().any() == (upstream != upstream)  # inf - inf is never formed


def _resized(tensor: Tensor) -> None:
    tensor.untyped_storage().resize_(0)


def _replaced(tensor: Tensor) -> None:
    tensor.data = tensor.detach().clone().flip(-1)


def _narrowed(tensor: Tensor) -> None:
    tensor.data = tensor.detach().half() if tensor.is_floating_point() else tensor.detach().int()


def _shared(tensor: Tensor) -> None:
    tensor.detach().share_memory_()


@pytest.mark.parametrize("rows", [6, 600], ids=["few", "many"])
@pytest.mark.parametrize("which", ["logits", "target", "weight", "token_weight"])
@pytest.mark.parametrize("move", [_resized, _replaced, _narrowed, _shared])
def test_memory_that_is_gone_before_backward_is_not_read(path: str, move: Any, which: str, rows: int) -> None:
    """What moves or frees a storage leaves its tensor's version as it was: the addresses must be asked for again."""
    torch.manual_seed(0)
    tensors = {
        "logits": torch.randn(rows, 400, requires_grad=True) * 1.0,
        "target": torch.randint(400, (rows,)),
        "weight": torch.rand(400) + 0.5,
        "token_weight": torch.rand(rows) + 0.5,
    }
    options = {"weight": tensors["weight"], "token_weight": tensors["token_weight"]}
    loss = ours.cross_entropy(tensors["logits"], tensors["target"], reduction="none", **options)
    logits, upstream = tensors["logits"], torch.rand(rows)
    move(tensors[which])
    if rows > 6 and move is not _shared and (which.endswith("weight") or move is _narrowed):
        pytest.skip("autograd has saved what the loss was made of, or takes it as it is now")
    rubbish = [torch.full((rows, 400), torch.nan) for _ in range(8)]
    if move is _resized or (move is _narrowed and path == "kernel"):
        with pytest.raises((RuntimeError, ValueError, TypeError)):
            torch.autograd.grad(loss, logits, upstream)
        return
    found = torch.autograd.grad(loss, logits, upstream)[0]
    now = logits.detach().clone().requires_grad_()
    target, weight = tensors["target"].long(), tensors["weight"].to(now.dtype)  # torch's takes no others
    again = F.cross_entropy(now, target, weight, reduction="none") * tensors["token_weight"]
    narrow = {"rtol": 2e-3, "atol": 2e-5} if move is _narrowed else {"rtol": None, "atol": None}
    torch.testing.assert_close(found, torch.autograd.grad(again, now, upstream)[0], check_dtype=False, **narrow)
    assert len(rubbish) == 8


def test_in_place_writes_the_gradient_over_the_logits() -> None:
    x, t = torch.randn(50, 8, requires_grad=True), torch.randint(30, (50,))
    w = torch.randn(30, 8, requires_grad=True)
    for scale in (1.0, 3.0):
        logits = F.linear(x, w)
        loss = ours.cross_entropy(logits, t, in_place=True) * scale
        got = torch.autograd.grad(loss, (x, w))
        expected = torch.autograd.grad(F.cross_entropy(F.linear(x, w), t) * scale, (x, w))
        for a, b in zip(got, expected, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_in_place_refuses_what_is_not_safe() -> None:
    leaf, t = torch.randn(4, 6, requires_grad=True), torch.randint(6, (4,))
    for logits, arguments in (
        (leaf, {}),
        (leaf.view(2, 2, 6).view(4, 6), {}),
        (leaf * 2, {"reduction": "none"}),
        ((leaf * 2).t().contiguous().t(), {}),
    ):
        with pytest.raises(ValueError, match="in_place=True"):
            ours.cross_entropy(logits, t, in_place=True, **arguments)
    saved = torch.exp(leaf)  # its backward needs its result, which the gradient overwrites
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        ours.cross_entropy(saved, t, in_place=True).backward()


def test_edges(path: str) -> None:
    z = torch.randn(4, 3, requires_grad=True)
    ignored = ours.cross_entropy(z, torch.full((4,), -100))
    ignored.backward()
    assert ignored == 0 and z.grad is not None and not z.grad.any()
    empty = torch.randn(0, 3, requires_grad=True)
    ours.cross_entropy(empty, torch.empty(0, dtype=torch.long)).backward()
    assert empty.grad is not None and empty.grad.shape == (0, 3)
    masked = torch.tensor([[0.0, -torch.inf, 1.0]], requires_grad=True)
    ours.cross_entropy(masked, torch.tensor([0])).backward()
    assert masked.grad is not None and masked.grad[0, 1] == 0
    assert ours.cross_entropy(masked, torch.tensor([1])) == torch.inf
    poisoned = torch.zeros(2, 3)
    poisoned[0, 1] = torch.nan
    assert ours.cross_entropy(poisoned, torch.tensor([0, 1]), reduction="none").isnan().tolist() == [True, False]
    transposed = torch.randn(3, 4).t()
    expected = F.cross_entropy(transposed, torch.tensor([0, 1, 2, 0]))
    torch.testing.assert_close(ours.cross_entropy(transposed, torch.tensor([0, 1, 2, 0])), expected)
    int32 = ours.cross_entropy(transposed, torch.tensor([0, 1, 2, 0], dtype=torch.int32))
    torch.testing.assert_close(int32, expected)


@pytest.mark.skipif(_kernel.LIBRARY is None, reason="the kernel is not built")
@pytest.mark.parametrize("order", [(1, 0, 2, 3), (0, 2, 3, 1), (3, 2, 1, 0)])
def test_few_logits_in_any_layout_go_the_short_way(order: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_fused, "cross_entropy", None)  # the general one
    torch.manual_seed(0)
    shape = (4, 7, 3, 5)
    dense = torch.randn(shape)
    inverse = [order.index(i) for i in range(4)]
    laid_out = dense.permute(order).contiguous().permute(inverse)
    assert not laid_out.is_contiguous() and torch.equal(laid_out, dense)
    target = torch.randint(7, (4, 3, 5))
    results = []
    for z in (dense, laid_out):
        z = z.detach().requires_grad_()
        loss = ours.cross_entropy(z, target, reduction="none")
        (first,) = torch.autograd.grad(loss.square().sum(), z, create_graph=True)
        results.append((loss, first, torch.autograd.grad(first.square().sum(), z)[0]))
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected)


def test_targets_out_of_range_are_named(path: str) -> None:
    for shape in ((4, 3), (400, 300)):
        t = torch.zeros(shape[0], dtype=torch.long)
        t[2] = shape[1]
        with pytest.raises(
            IndexError, match=f"Target {shape[1]} is out of bounds: row 2, expected 0 <= target < {shape[1]}"
        ):
            ours.cross_entropy(torch.randn(shape), t)


def test_compile_without_a_graph_break() -> None:
    w = torch.randn(20, 6, requires_grad=True)
    x, t = torch.randn(8, 6), torch.randint(20, (8,))

    def step(w: Tensor) -> Tensor:
        linear = ours.linear_cross_entropy(x, w, t)
        binary = ours.binary_cross_entropy_with_logits(x @ w.t(), torch.zeros(8, 20))
        loss = ours.cross_entropy(x @ w.t(), t, label_smoothing=0.1, z_loss=0.01)
        assert isinstance(loss, Tensor)
        return loss + linear + binary

    compiled = torch.compile(step, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(w), step(w))
    (a,), (b,) = torch.autograd.grad(compiled(w), w), torch.autograd.grad(step(w), w)
    torch.testing.assert_close(a, b)


def test_opcheck() -> None:
    from finallayer.losses.torch import _ops

    z, t = torch.randn(5, 6, requires_grad=True), torch.randint(6, (5,))
    torch.library.opcheck(_ops.xent, (z, t, None, -100, 0.1, 0.01, 0.0, 1.0))
    torch.library.opcheck(_ops.xent_backward, (z, t, None, torch.ones(5), torch.zeros(5), -100, 0.1, 0.01, 4.0, 0.5))


def test_func_transforms() -> None:
    z, t = torch.randn(6, 4, 5), torch.randint(5, (6, 4))

    def loss(f: Any) -> Any:
        return lambda z, t: f.cross_entropy(z, t)

    torch.testing.assert_close(torch.func.grad(loss(ours))(z[0], t[0]), torch.func.grad(loss(F))(z[0], t[0]))
    for dims in ((0, 0), (0, None), (None, 0)):
        a, b = (z if dims[0] == 0 else z[0]), (t if dims[1] == 0 else t[0])
        got, expected = (torch.vmap(torch.func.grad(loss(f)), dims)(a, b) for f in (ours, F))
        torch.testing.assert_close(got, expected)
    weights = torch.rand(6, 5) + 0.5
    weighted = [lambda z, t, w, f=f: f.cross_entropy(z, t, w, label_smoothing=0.1) for f in (ours, F)]
    got, expected = (torch.vmap(torch.func.grad(f))(z, t, weights) for f in weighted)
    torch.testing.assert_close(got, expected)
    got, expected = (torch.vmap(f, (None, None, 0))(z[0], t[0], weights) for f in weighted)
    torch.testing.assert_close(got, expected)
    got, expected = (torch.func.jacrev(torch.func.grad(loss(f)))(z[0], t[0]) for f in (ours, F))
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-6)


def test_autocast() -> None:
    x, w, t = torch.randn(8, 6), torch.randn(9, 6, requires_grad=True), torch.randint(9, (8,))
    with torch.autocast("cpu", torch.bfloat16):
        logits = F.linear(x, w)
        assert logits.dtype == torch.bfloat16
        loss = ours.cross_entropy(logits, t)
        fused = ours.linear_cross_entropy(x, w, t)
    assert loss.dtype == fused.dtype == torch.float32
    torch.testing.assert_close(loss, F.cross_entropy(logits.float(), t))
    torch.testing.assert_close(loss, fused, rtol=1e-2, atol=1e-2)
    (loss + fused).backward()
    assert w.grad is not None and w.grad.dtype == torch.float32


#: Run in a process of its own, which ends without tearing gloo down: its threads may wait for each other for ever.
_DATA_PARALLEL = """
import os
import torch
import torch.nn.functional as F
from finallayer.losses import torch as ours

torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(6, 5))
x, t = torch.randn(8, 6), torch.randint(5, (8,))
ours.cross_entropy(model(x), t).backward()
got = [p.grad.clone() for p in model.parameters() if p.grad is not None]
model.zero_grad()
F.cross_entropy(model(x), t).backward()
for a, p in zip(got, model.parameters(), strict=True):
    torch.testing.assert_close(a, p.grad)
print("the same gradients", flush=True)
os._exit(0)
"""


def test_distributed_data_parallel() -> None:
    ran = subprocess.run([sys.executable, "-c", _DATA_PARALLEL], capture_output=True, text=True, timeout=120)
    assert ran.stdout.strip() == "the same gradients", ran.stderr


LINEAR = {
    "plain": {},
    "smoothing": {"label_smoothing": 0.1, "class_weight": True},
    "capped": {"softcap": 5.0, "temperature": 0.7, "z_loss": 1e-3},
    "weighted tokens": {"token_weight": True},
}


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("arguments", LINEAR.values(), ids=LINEAR.keys())
def test_linear_cross_entropy_is_the_two_together(
    arguments: dict[str, Any], reduction: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("finallayer.losses.torch._linear._CHUNK_ELEMENTS", 101 * 7)
    torch.manual_seed(0)
    h, w, b = (torch.randn(s, requires_grad=True) for s in ((5, 6, 16), (101, 16), (101,)))
    t = torch.randint(101, (5, 6))
    t[2, 3] = -100
    extras = {"class_weight": torch.rand(101), "token_weight": torch.rand(5, 6)}
    arguments = {k: extras[k] if v is True else v for k, v in arguments.items()}
    fused = ours.linear_cross_entropy(h, w, t, b, reduction=reduction, **arguments)
    named = {("weight" if k == "class_weight" else k): v for k, v in arguments.items()}
    apart = ours.cross_entropy(F.linear(h, w, b).movedim(-1, 1), t, reduction=reduction, **named)
    assert isinstance(apart, Tensor)
    torch.testing.assert_close(fused, apart, rtol=1e-5, atol=1e-5)
    for create_graph in (False, True):
        got = torch.autograd.grad(fused.square().sum(), (h, w, b), retain_graph=True, create_graph=create_graph)
        expected = torch.autograd.grad(apart.square().sum(), (h, w, b), retain_graph=True)
        for x, y in zip(got, expected, strict=True):
            torch.testing.assert_close(x, y, rtol=1e-4, atol=1e-5 * float(y.abs().max()))


def test_linear_cross_entropy_in_bfloat16_sums_the_weight_gradient_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("finallayer.losses.torch._linear._CHUNK_ELEMENTS", 50 * 4)
    torch.manual_seed(0)
    h, w = (torch.randn(s, dtype=torch.bfloat16, requires_grad=True) for s in ((400, 8), (50, 8)))
    t = torch.randint(50, (400,))
    got = torch.autograd.grad(ours.linear_cross_entropy(h, w, t), (h, w))
    wide = [x.detach().double().requires_grad_() for x in (h, w)]
    exact = torch.autograd.grad(F.cross_entropy(F.linear(*wide), t), wide)
    for a, b in zip(got, exact, strict=True):
        assert (a.double() - b).norm() <= 0.01 * b.norm()


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_binary_arguments_mean_what_torchs_mean(path: str, reduction: str) -> None:
    torch.manual_seed(0)
    z, y = torch.randn(6, 5) * 4, torch.rand(6, 5)
    y[0] = 1
    y[1] = 0
    for weight, pos_weight in itertools.product((None, torch.rand(5), torch.rand(6, 1)), (None, torch.rand(5) + 0.5)):

        def compute(f: Any, logits: Tensor, w: Any = weight, p: Any = pos_weight) -> Tensor:
            w, p = (None if v is None else v.to(logits.dtype) for v in (w, p))
            return f.binary_cross_entropy_with_logits(logits, y.to(logits.dtype), w, reduction=reduction, pos_weight=p)

        for a, b in both(z, compute):
            torch.testing.assert_close(a.double(), b, **CLOSE)
    loss, module = ours.binary_cross_entropy_with_logits(z, y), ours.BCEWithLogitsLoss()
    assert module(z, y) == loss


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_binary_is_exact_at_both_ends(path: str, dtype: torch.dtype) -> None:
    kind = {torch.float32: FLOAT32, torch.bfloat16: BFLOAT16, torch.float16: FLOAT16}[dtype]
    z = torch.cat([torch.linspace(-100, 100, 4001), torch.tensor([0.0, -0.0, 1e-30])]).to(dtype)
    for y in (0.0, 1.0):
        x = z.clone().requires_grad_()
        loss = ours.binary_cross_entropy_with_logits(x, torch.full_like(x, y), reduction="none")
        (grad,) = torch.autograd.grad(loss.sum(), x)
        wide = z.double().numpy() * (1 if y == 0 else -1)
        bound = 4 if dtype == torch.float32 else 0.502
        assert ulps(loss.detach().float().numpy(), np.logaddexp(0, wide), kind).max() <= bound
        exact = (1 if y == 0 else -1) / (1 + np.exp(-wide))
        assert ulps(grad.float().numpy(), exact, kind).max() <= bound


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_a_large_upstream_for_rows_far_above_what_their_first_logits_promise(dtype: torch.dtype) -> None:
    """The exponentials of such a row are stored near 2^122: a factor of 1024 must not take them over the top."""
    rows = 60
    z = torch.randn(rows, 1030, generator=torch.Generator().manual_seed(0)).to(dtype)
    z[:, 900] = torch.linspace(30, 60, rows).to(dtype)
    t = torch.arange(rows)
    for upstream in (1.0, 1024.0, 16384.0):
        leaf, wide = z.clone().requires_grad_(), z.double().requires_grad_()
        (ours.cross_entropy(leaf, t, reduction="sum") * upstream).backward()
        (F.cross_entropy(wide, t, reduction="sum") * upstream).backward()
        assert leaf.grad is not None and wide.grad is not None
        tolerance = 1e-6 if dtype == torch.float32 else 1e-2
        torch.testing.assert_close(leaf.grad.double(), wide.grad, rtol=tolerance, atol=1e-7 * upstream)


WITHOUT_PRIVATE_NAMES = """
import torch
import torch.nn.functional as F
private = torch.autograd.function._SingleLevelFunction
del torch.autograd.function._SingleLevelFunction
from finallayer.losses import torch as ours
from finallayer.losses.torch import _eager, _quick
torch.autograd.function._SingleLevelFunction = private  # which torch itself needs
assert _eager.SingleLevelFunction is torch.autograd.Function
_eager.call_backward_at_once(type("NoPlace", (), {}))
del _quick.Quick._backward_cls.apply  # torch's own is left
for rows in (4, 30_000):
    z, y = torch.randn(rows, 10, requires_grad=True), torch.randint(10, (rows,))
    x, w, q = torch.randn(rows, 3, requires_grad=True), torch.randn(10, 3), torch.rand(rows, 10)
    pairs = (
        (z, ours.cross_entropy(z, y), F.cross_entropy(z, y)),
        (z, ours.binary_cross_entropy_with_logits(z, q), F.binary_cross_entropy_with_logits(z, q)),
        (x, ours.linear_cross_entropy(x, w, y), F.cross_entropy(x @ w.t(), y)),
    )
    for leaf, mine, theirs in pairs:
        torch.testing.assert_close(mine, theirs)
        torch.testing.assert_close(torch.autograd.grad(mine, leaf)[0], torch.autograd.grad(theirs, leaf)[0])
"""


def test_torchs_private_names_may_go() -> None:
    subprocess.run([sys.executable, "-c", WITHOUT_PRIVATE_NAMES], check=True)
