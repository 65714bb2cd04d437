"""The GPU kernel in Triton's interpreter: every option against long double, and what is around them.

``python -m tests.losses.triton.rows [PART ...]`` prints JSON: for each check the largest error as a share of what is
allowed, or 2 where something else is wrong. Set ``FINALLAYER_TEST_TILE=blocks`` for rows that don't fit on chip.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

from . import interpreted  # isort: skip # before Triton

import numpy as np
import torch

from finallayer.losses import torch as ours
from finallayer.losses.torch import _kernel, _triton

from ..kernel import kernel_rows
from ..kernel.kernel_rows import BFLOAT16, BOUND, FLOAT32, Terms

interpreted.install()

WRONG = 2.0
KINDS = {torch.float32: FLOAT32, torch.bfloat16: BFLOAT16}
OPTIONS: dict[str, tuple[bool, dict[str, Any]]] = {
    "class weights": (False, {"class_weight": True}),
    "token weights": (False, {"row_weight": True}),
    "smoothing, class weights": (False, {"label_smoothing": 0.1, "class_weight": True}),
    "z-loss": (False, {"z_loss": 0.01}),
    "softcap, temperature": (False, {"softcap": 30.0, "temperature": 2.5}),
    "distributions": (True, {}),
    "everything": (
        True,
        {"label_smoothing": 0.1, "class_weight": True, "row_weight": True, "z_loss": 0.01, "softcap": 20.0},
    ),
}


def tensor(array: np.ndarray | None) -> torch.Tensor | None:
    return None if array is None else torch.from_numpy(np.ascontiguousarray(array))


def logits_of(array: np.ndarray, dtype: torch.dtype) -> torch.Tensor:
    return torch.from_numpy(array.astype(np.float32)).to(dtype).requires_grad_()


def share(got: torch.Tensor, exact: Any, kind: np.dtype, size: Any = None) -> float:
    ulps = kernel_rows.ulps(got.detach().float().numpy(), np.asarray(exact), kind, size)
    return float(np.nan_to_num(ulps, nan=np.inf).max()) / BOUND[kind]


def options(dtypes: tuple[torch.dtype, ...] = (torch.float32, torch.bfloat16)) -> Iterator[tuple[str, float]]:
    """Losses and gradients with each option, of pixels, too."""
    for dtype in dtypes:
        kind = KINDS[dtype]
        for name, (soft, given) in OPTIONS.items():
            for shape in ((12, 41), (2, 9, 5)) if dtype == torch.float32 else ((12, 41),):
                rng = np.random.default_rng(7)
                z, target, terms = kernel_rows.options(rng, shape, kind, soft, given | {"reduction": "mean"})
                logits = logits_of(z, dtype)
                token_weight = None if terms.row_weight is None else terms.row_weight.reshape(shape[:1] + shape[2:])
                loss = ours.cross_entropy(
                    logits,
                    torch.from_numpy(target),
                    tensor(terms.class_weight),
                    **({} if soft else {"ignore_index": terms.ignore_index}),
                    label_smoothing=terms.label_smoothing,
                    z_loss=terms.z_loss,
                    softcap=terms.softcap or None,
                    temperature=terms.temperature,
                    token_weight=tensor(token_weight),
                )
                loss.backward()
                exact = kernel_rows.truth(z, target, terms)
                assert logits.grad is not None
                size = exact.size if name != "class weights" else None
                errors = share(loss, exact.reduced, kind), share(logits.grad, exact.grad, kind, size)
                yield f"{name}, {dtype}, {shape}", max(errors)


def margins() -> Iterator[tuple[str, float]]:
    """Hard rows: margins to 80, offsets to 1e6, ties, masked classes."""
    for dtype, kind in KINDS.items():
        z, target = kernel_rows.hard_rows(np.random.default_rng(3), 40, 70, kind)
        logits = logits_of(z, dtype)
        loss = ours.cross_entropy(logits, torch.from_numpy(target), reduction="none")
        loss.sum().backward()
        exact = kernel_rows.truth(z, target, Terms("none"))
        assert logits.grad is not None
        yield f"hard rows, {dtype}", max(share(loss, exact.loss, kind), share(logits.grad, exact.grad, kind))
    z = np.random.default_rng(1).normal(0, 1, (6, 70)).astype(np.float32)
    z[0, 40], z[1, 69], z[3], z[4, 3] = 30, 90, z[3] * 2 + 3e6, -np.inf
    z[2] += 2e6
    target = np.array([40, 0, 5, 69, 3, 1])
    logits = logits_of(z, torch.float32)
    loss = ours.cross_entropy(logits, torch.from_numpy(target), reduction="none")
    loss[[0, 1, 2, 3, 5]].sum().backward()
    exact = kernel_rows.truth(np.delete(z, 4, 0), np.delete(target, 4), Terms("none"))
    keep = [0, 1, 2, 3, 5]
    assert logits.grad is not None
    errors = share(loss[keep], exact.loss, FLOAT32), share(logits.grad[keep], exact.grad, FLOAT32)
    yield "a frame that was guessed wrong, and huge offsets", max(errors)
    yield "a masked target", 0.0 if loss[4].isposinf() else WRONG
    alone = torch.full((2, 70), -torch.inf)
    alone[0, 3], alone[1, 69] = 2.0, -7.0
    alone.requires_grad_()
    loss = ours.cross_entropy(alone, torch.tensor([3, 69]))
    gradient = torch.autograd.grad(loss * 2.0**60, alone)[0]
    yield "one class that isn't masked", 0.0 if loss == 0.0 and not gradient.any() else WRONG


def ordinary(z: torch.Tensor, function: Any) -> Any:
    """What the same gives without Triton."""
    serves, _triton.serves = _triton.serves, lambda logits: False
    try:
        return function(z.detach().clone().requires_grad_())
    finally:
        _triton.serves = serves


def alike(got: Any, expected: Any) -> float:
    pairs = zip(got, expected, strict=True)
    same = all(torch.allclose(a.double(), b.double(), rtol=3e-6, atol=1e-9, equal_nan=True) for a, b in pairs)
    return 0.0 if same else WRONG


def outputs() -> Iterator[tuple[str, float]]:
    """What is returned besides, layouts, many rows, and classes out of range: as in torch's own operations."""
    torch.manual_seed(0)
    z, target = torch.randn(9, 70) * 3, torch.randint(70, (9,))
    target[2], target[5], z[5, 3] = -100, -100, torch.nan
    z[1, 4] = z[1, 7] = 20.0
    target[1] = 7
    for options in ({}, {"label_smoothing": 0.1}):

        def everything(z: torch.Tensor, options: Any = options) -> Any:
            out = ours.cross_entropy(z, target, return_lse=True, return_accuracy=True, **options)
            assert isinstance(out, ours.CrossEntropyOutput) and out.lse is not None and out.accuracy is not None
            weights = torch.linspace(-1, 1, 9)
            weights[5] = 0.0
            gradient = torch.autograd.grad(out.loss, z, retain_graph=True)[0]
            both = torch.autograd.grad(out.loss + (out.lse * weights)[[0, 1, 2, 8]].sum(), z)[0][[0, 1, 2, 3, 8]]
            return out.loss, out.lse, out.accuracy, gradient, both

        yield f"lse and accuracy, {options}", alike(everything(z.clone().requires_grad_()), ordinary(z, everything))
    pixels = torch.randn(2, 5, 4, 3).transpose(2, 3)

    def strided(z: torch.Tensor) -> Any:
        loss = ours.cross_entropy(z.transpose(2, 3), torch.arange(24).reshape(2, 4, 3) % 5)
        return loss, torch.autograd.grad(loss, z)[0]

    yield "strided pixels", alike(strided(pixels.clone().requires_grad_()), ordinary(pixels, strided))
    many, classes = torch.randn(1100, 3), torch.arange(1100) % 3
    weighted = torch.tensor([1.0, 0.5, 3.0])

    def mean(z: torch.Tensor) -> Any:
        loss = ours.cross_entropy(z, classes, weighted, ignore_index=1)
        return loss, torch.autograd.grad(loss, z)[0]

    yield "rows of several programs", alike(mean(many.clone().requires_grad_()), ordinary(many, mean))
    wrong = torch.randn(4, 70, requires_grad=True)
    loss = ours.cross_entropy(wrong, torch.tensor([1, 70, -3, 2]), reduction="none")
    gradient = torch.autograd.grad(loss.sum(), wrong)[0]
    seen = loss.isnan().tolist() == gradient.isnan().all(1).tolist() == [False, True, True, False]
    yield "a class out of range is NaN in its row", 0.0 if seen and gradient[[0, 3]].isfinite().all() else WRONG


def upstreams() -> Iterator[tuple[str, float]]:
    """A gradient is the same to the bit whatever upstream it was first computed for, and is computed once if it can."""
    torch.manual_seed(1)
    z, target = torch.randn(8, 70).bfloat16().requires_grad_(), torch.randint(70, (8,))

    def gradient(factor: float) -> torch.Tensor:
        return torch.autograd.grad(ours.cross_entropy(z, target) * factor, z)[0]

    _triton._expected.clear()
    first = [gradient(f) for f in (1.0, 3.0, -0.1)]
    again = []
    for factor in (1.0, 3.0, -0.1):
        gradient(factor)
        again.append(gradient(factor))
    same = all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    yield "an upstream that was expected and one that wasn't", 0.0 if same else WRONG
    grad = torch.empty_like(z)
    terms = _kernel.Terms("mean")
    arguments = (z.detach(), target, None, None, terms)
    loss = torch.empty(())
    numbers = _triton.cross_entropy(*arguments, upstream=torch.tensor(3.0), reduced=loss, grad=grad)
    assert numbers is not None
    right = torch.equal(grad, first[1])
    grad.fill_(7.0)
    _triton.mend(*arguments, numbers, torch.tensor(3.0), grad)
    untouched = bool((grad == 7.0).all())
    _triton.mend(*arguments, numbers, torch.tensor(-0.1, dtype=z.dtype), grad)
    yield "rows are taken again only where they must be", 0.0 if right and untouched else WRONG
    yield "and then are right", 0.0 if torch.equal(grad, first[2]) else WRONG


def linear() -> Iterator[tuple[str, float]]:
    """The gradient is written over a chunk's logits."""
    hidden, weight = torch.randn(7, 6), torch.randn(70, 6)
    target = torch.randint(70, (7,))

    def both(hidden: torch.Tensor) -> Any:
        layer = weight.clone().requires_grad_()
        out = ours.linear_cross_entropy(hidden, layer, target, return_accuracy=True, z_loss=0.0)
        assert isinstance(out, ours.CrossEntropyOutput) and out.accuracy is not None
        return out.loss, out.accuracy, *torch.autograd.grad(out.loss * 2, (hidden, layer))

    yield "the layer and its loss", alike(both(hidden.clone().requires_grad_()), ordinary(hidden, both))


PARTS: dict[str, Callable[[], Iterator[tuple[str, float]]]] = {
    "options": options,
    "float32 options": lambda: options((torch.float32,)),
    "margins": margins,
    "outputs": outputs,
    "upstreams": upstreams,
    "linear": linear,
}
ALL = ("options", "margins", "outputs", "upstreams", "linear")


def main(parts: list[str]) -> None:
    print(json.dumps({name: error for part in parts or ALL for name, error in PARTS[part]()}))


if __name__ == "__main__":
    main(sys.argv[1:])
