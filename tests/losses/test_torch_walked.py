"""Without a kernel, usual calls on the CPU: however they are cut into parts, and where float32 is not enough."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from finallayer.losses.torch import _kernel, _plain, _plans, _quick, _recorded, cross_entropy  # noqa: E402

#: A share of the largest number.
CLOSE = {torch.float32: 1e-6, torch.float64: 1e-14, torch.bfloat16: 1e-2}


@pytest.fixture(autouse=True)
def no_kernel(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(_kernel, "serves", lambda *_: False)
    monkeypatch.setattr(_quick, "LIBRARY", None)
    monkeypatch.setattr(_plans, "_plans", _quick.Plans())
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def loss_and_gradient(function: Any, z: Any, target: Any, **options: Any) -> tuple[Any, Any]:
    leaf = z.detach().requires_grad_()
    loss = function(leaf, target, **options)
    (loss.double() * torch.arange(1, 1 + loss.numel()).view(loss.shape)).sum().backward()
    return loss.detach().double(), leaf.grad.double()


def is_torchs(z: Any, target: Any, **options: Any) -> bool:
    """Whether loss and gradient are what torch has in float64; of logits at which that has digits enough."""
    found = loss_and_gradient(cross_entropy, z, target, **options)
    wide = {k: v.double() if isinstance(v, torch.Tensor) else v for k, v in options.items()}
    expected = loss_and_gradient(torch.nn.functional.cross_entropy, z.double(), target, **wide)
    return all(
        torch.allclose(a, b, rtol=CLOSE[z.dtype], atol=CLOSE[z.dtype] * float(b.abs().max()))
        for a, b in zip(found, expected, strict=True)
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("shape", [(40, 30), (90, 3), (3, 5, 64), (5, 7, 4, 6)], ids=str)
@pytest.mark.parametrize("turned", [False, True], ids=["as it is", "turned over"])
def test_parts_are_put_together(
    dtype: Any, shape: tuple[int, ...], turned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_recorded, "MOST_LOGITS", 0)
    monkeypatch.setattr(_plain, "CHUNK", 1 << 9)  # 128 float32
    monkeypatch.setattr(_plain, "_MOST_ROWS", 32)
    monkeypatch.setattr(_plans, "MOST_LOGITS", 0)
    walked = 0
    walk_through = _plain._walk_through

    def counting(*arguments: Any) -> None:
        nonlocal walked
        walked += 1
        walk_through(*arguments)

    monkeypatch.setattr(_plain, "_walk_through", counting)
    torch.manual_seed(0)
    z = (torch.randn(shape) * 3).to(dtype)
    z = z.transpose(0, 1).contiguous().transpose(0, 1) if turned else z
    target = torch.randint(shape[1], shape[:1] + shape[2:])
    target.view(-1)[::7] = -100
    weight = torch.rand(shape[1]).to(dtype)
    for reduction in ("mean", "none"):
        for options in ({}, {"weight": weight}, {"label_smoothing": 0.1}):
            before = walked
            assert is_torchs(z, target, reduction=reduction, **options)
            assert walked > before + 2
    assert is_torchs(z, target.clamp(min=0))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("size", [75.0, 900.0])
@pytest.mark.parametrize("classes", [4, 500])
@pytest.mark.parametrize("turned", [False, True], ids=["as it is", "turned over"])
def test_large_logits(dtype: Any, size: float, classes: int, turned: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exponentials of some are out of the range of what they would be held in, below or above."""
    for module, most in ((_recorded, "MOST_LOGITS"), (_plans, "MOST_LOGITS"), (_plain, "_FEW_LOGITS")):
        monkeypatch.setattr(module, most, 0)  # as of many logits
    torch.manual_seed(0)
    z = torch.rand(4000 // classes, classes) * 50 - 25
    z[:5] *= size / 25  # the gradient doesn't take the place of logits that are needed once more
    z = z.to(dtype)
    z = z.t().contiguous().t() if turned else z
    target = z.argmin(1)
    assert is_torchs(z, target)
    assert is_torchs(z, target, label_smoothing=0.1)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_a_masked_class_in_an_ignored_row_changes_nothing(reduction: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    z, target = torch.randn(6, 5), torch.arange(6) % 5
    target[2] = -100
    masked = z.clone()
    masked[2, 1] = -torch.inf
    for most in (_recorded.MOST_LOGITS, 0):
        monkeypatch.setattr(_recorded, "MOST_LOGITS", most)
        monkeypatch.setattr(_plans, "_plans", _quick.Plans())
        for options in ({}, {"label_smoothing": 0.1}):
            whole, found = (
                loss_and_gradient(cross_entropy, x, target, reduction=reduction, **options) for x in (z, masked)
            )
            assert all(torch.allclose(a, b, rtol=1e-6, atol=0.0) for a, b in zip(whole, found, strict=True))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("margin", [10.0, 20.0, 40.0])
def test_few_confident_rows_without_a_gradient(reduction: str, margin: float) -> None:
    z = torch.zeros(6, 10)
    z[:, 2] = margin
    loss = cross_entropy(z, torch.full((6,), 2), reduction=reduction)
    exact = torch.tensor(9.0).double().mul(torch.tensor(-margin).double().exp()).log1p()
    expected = exact * (6 if reduction == "sum" else 1)
    assert torch.allclose(loss.double(), expected, rtol=5e-7, atol=0.0)
