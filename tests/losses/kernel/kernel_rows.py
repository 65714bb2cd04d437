"""Calls the C ABI on NumPy arrays, and the truth to judge it by: float64 without the target in the sum."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from finallayer import kernels

FLOAT32, BFLOAT16, FLOAT16 = np.dtype(np.float32), np.dtype(ml_dtypes.bfloat16), np.dtype(np.float16)
DTYPES = {FLOAT32: kernels.FLOAT32, BFLOAT16: kernels.BFLOAT16, FLOAT16: kernels.FLOAT16}
KINDS = {np.dtype(np.int32): kernels.INDEX32, np.dtype(np.int64): kernels.INDEX64}


@dataclass(frozen=True)
class Terms:
    """The arguments of a call besides logits and targets, with the kernel's defaults."""

    reduction: str = "none"
    ignore_index: int = -100
    class_weight: np.ndarray | None = None
    row_weight: np.ndarray | None = None
    label_smoothing: float = 0.0
    z_loss: float = 0.0
    upstream: float = 1.0
    row_upstream: np.ndarray | None = None
    lse_upstream: np.ndarray | None = None


class Result(NamedTuple):
    loss: np.ndarray
    lse: np.ndarray
    reduced: np.float32
    grad: np.ndarray
    correct: np.ndarray


def _at(array: np.ndarray | None) -> int:
    return 0 if array is None else array.ctypes.data


def call(
    lib: ctypes.CDLL,
    z: np.ndarray,
    target: np.ndarray,
    terms: Terms = Terms(),
    *,
    grad: np.ndarray | None = None,
    threads: int = 1,
) -> Result:
    """Run the kernel on ``z`` (rows, classes); the gradient goes to ``grad`` if one is given (it may be ``z``)."""
    rows, classes = z.shape
    dtype = DTYPES[z.dtype]
    loss, lse, reduced = np.full(rows, -1, "f4"), np.full(rows, -1, "f4"), np.full(1, -1, "f4")
    correct = np.full(rows, 2, "u1")
    grad = np.full(z.shape, 7, z.dtype) if grad is None else grad
    distribution = target.ndim == 2
    arguments = ctypes.create_string_buffer(
        kernels.XENT_ARGS.pack(
            rows, classes, _at(z), z.strides[0] // z.itemsize, dtype,
            _at(target), kernels.DISTRIBUTION if distribution else KINDS[target.dtype],
            classes if distribution else 1, terms.ignore_index, _at(terms.class_weight), _at(terms.row_weight),
            terms.label_smoothing, terms.z_loss, kernels.REDUCTIONS[terms.reduction], terms.upstream,
            _at(terms.row_upstream), _at(terms.lse_upstream), _at(loss), _at(lse), _at(reduced),
            _at(grad), grad.strides[0] // grad.itemsize, _at(correct), threads, -1,
        )
    )  # fmt: skip
    status = lib.fl_xent(arguments)
    if status == kernels.TARGET_OUT_OF_RANGE:
        raise IndexError(int.from_bytes(arguments.raw[kernels.BAD_ROW_OFFSET : kernels.XENT_ARGS.size], "little"))
    assert status == kernels.OK
    return Result(loss, lse, reduced[0], grad, correct)


class Truth(NamedTuple):
    loss: np.ndarray
    lse: np.ndarray
    reduced: float
    grad: np.ndarray


def truth(z: np.ndarray, target: np.ndarray, terms: Terms = Terms()) -> Truth:
    """The same in float64, written from the definition of the loss. Rows must have one unmasked class."""
    z = z.astype("f8")
    rows, classes = z.shape
    every = np.arange(rows)
    c = np.ones(classes) if terms.class_weight is None else terms.class_weight.astype("f8")
    w = np.ones(rows) if terms.row_weight is None else terms.row_weight.astype("f8")
    s = terms.label_smoothing
    if target.ndim == 2:
        counts = np.ones(rows, bool)
        anchor = z.argmax(1)
        mass = ((1 - s) * target.astype("f8") + s / classes) * c
        weights = w
    else:
        counts = target != terms.ignore_index
        anchor = np.where(counts, target, 0)
        mass = np.full(z.shape, s / classes)
        mass[every, anchor] += 1 - s
        mass *= c
        weights = np.where(counts, w * c[anchor], 0)
    mass_anchor = mass[every, anchor].copy()
    mass[every, anchor] = 0
    z_anchor = z[every, anchor]
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        e = np.exp(z - z_anchor[:, None])  # relative to the anchor: up to e^709
        e[every, anchor] = 0
        high = e.max(1, initial=0) > 1e300
        assert not high.any(), "margins beyond the reach of this truth"
        others = e.sum(1)
        anchor_loss = np.log1p(others)
        gap = np.where(mass == 0, 0, mass * (z_anchor[:, None] - z)).sum(1)
        lse = z_anchor + anchor_loss
    total = mass.sum(1) + mass_anchor
    loss = np.where(counts, w * (total * anchor_loss + gap + terms.z_loss * lse**2), 0)
    denominator = weights.sum() if terms.reduction == "mean" else 1.0
    factor = 1 / denominator if denominator else 0.0
    push = terms.upstream * factor * w * counts
    if terms.row_upstream is not None:
        push = push * terms.row_upstream.astype("f8")
    lse_push = np.zeros(rows) if terms.lse_upstream is None else terms.lse_upstream.astype("f8")
    pull = lse_push + 2 * terms.z_loss * lse * push
    grad = ((push * total + pull) / (1 + others))[:, None] * e - push[:, None] * mass
    grad[every, anchor] = push * (mass.sum(1) - total * others / (1 + others)) + pull / (1 + others)
    grad[(push == 0) & (lse_push == 0)] = 0
    return Truth(loss, lse, loss.sum() * factor, grad)


def ulps(got: np.ndarray, exact: np.ndarray, dtype: Any) -> np.ndarray:
    """How far ``got`` is from ``exact`` (float64), in units in the last place of ``dtype`` at ``exact``."""
    info = ml_dtypes.finfo(dtype)
    _, exponent = np.frexp(np.abs(exact))
    unit = np.ldexp(1.0, np.maximum(exponent - 1, info.minexp) - info.nmant)
    return np.abs(got.astype("f8") - exact) / unit


# A float32 result is within 4 ulp. A 16-bit one is the float32 result rounded: half a unit, and 4 float32 units more.
BOUND = {FLOAT32: 4.0, BFLOAT16: 0.5 + 4 / 2**16, FLOAT16: 0.5 + 4 / 2**13}


def worst(got: Result, exact: Truth) -> dict[str, float]:
    """The largest error of losses, sum and gradient, as a share of what is allowed; inf for what is not finite."""
    shares = {
        "loss": ulps(got.loss, exact.loss, FLOAT32) / BOUND[FLOAT32],
        "reduced": ulps(np.array(got.reduced), np.array(exact.reduced), FLOAT32) / BOUND[FLOAT32],
        "grad": ulps(got.grad, exact.grad, got.grad.dtype) / BOUND[got.grad.dtype],
    }
    return {k: float(np.nan_to_num(v, nan=np.inf).max(initial=0)) for k, v in shares.items()}


def hard_rows(rng: np.random.Generator, rows: int, classes: int, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Rows on which kernels fail: margins from -80 to 80, offsets to 1e6, ties, masked classes; and their targets."""
    limit = 30.0 if dtype == FLOAT16 else 80.0  # of what float16 can hold beside an offset
    z = rng.normal(0, 1, (rows, classes)) * rng.choice([0.0, 1.0, 4.0], (rows, 1))
    target = rng.integers(0, classes, rows)
    every = np.arange(rows)
    margin = rng.uniform(-limit, limit, rows) * rng.choice([0.0, 0.1, 1.0], rows)
    z[every, target] = z.max(1) + margin
    z += rng.choice([0.0, 0.0, -50.0, 100.0, 1e3] + ([] if dtype == FLOAT16 else [-1e4, 1e6]), (rows, 1))
    masked = rng.random(z.shape) < rng.choice([0.0, 0.2], (rows, 1))
    masked[every, target] = False
    z[masked] = -np.inf
    return z.astype(dtype), target
