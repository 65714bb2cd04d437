"""Calls the C ABI on NumPy arrays, and the truth to judge it by: long doubles without the target in the sum."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from finallayer import kernels

FLOAT32, BFLOAT16, FLOAT16 = np.dtype(np.float32), np.dtype(ml_dtypes.bfloat16), np.dtype(np.float16)
FLOAT64 = np.dtype(np.float64)
DTYPES = {
    FLOAT32: kernels.FLOAT32,
    BFLOAT16: kernels.BFLOAT16,
    FLOAT16: kernels.FLOAT16,
    FLOAT64: kernels.FLOAT64,
}
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
    softcap: float = 0.0
    temperature: float = 1.0
    upstream: float = 1.0
    row_upstream: np.ndarray | None = None
    lse_upstream: np.ndarray | None = None


class Result(NamedTuple):
    loss: np.ndarray
    lse: np.ndarray
    reduced: Any
    grad: np.ndarray
    correct: np.ndarray


def _at(array: np.ndarray | None) -> int:
    return 0 if array is None else array.ctypes.data


def _code(array: np.ndarray | None) -> int:
    return 0 if array is None else DTYPES[array.dtype]


def real(dtype: np.dtype) -> np.dtype:
    """What stands beside logits of ``dtype``."""
    return FLOAT64 if dtype == FLOAT64 else FLOAT32


def _strides(array: np.ndarray) -> tuple[int, int, int]:
    """Between the rows of (rows, classes) or (n, classes, pixels), and between classes; in elements."""
    outer, classes, *inner = (s // array.itemsize for s in array.strides)
    return outer, inner[0] if inner else 0, classes


def packed(
    z: np.ndarray, target: np.ndarray, terms: Terms, outputs: dict[str, np.ndarray], threads: int = 1
) -> ctypes.Array[ctypes.c_char]:
    """The argument struct of a call. ``z`` is (rows, classes) or (n, classes, pixels); ``outputs`` as in `Result`."""
    classes, inner = z.shape[1], z.shape[2] if z.ndim == 3 else 1
    distribution = target.dtype in DTYPES
    beside = {k: v for k, v in vars(terms).items() if isinstance(v, np.ndarray)}
    assert all(v.flags.c_contiguous for v in beside.values())
    assert terms.lse_upstream is None or terms.lse_upstream.dtype == real(z.dtype)
    grad = outputs.get("grad")
    loss = outputs.get("loss", outputs.get("reduced"))
    return ctypes.create_string_buffer(
        kernels.XENT_ARGS.pack(
            _at(z), _at(target), _at(terms.class_weight), _at(terms.row_weight), _at(terms.row_upstream),
            _at(outputs.get("loss")), _at(outputs.get("reduced")), _at(grad), terms.upstream, threads,
            z.size // classes if classes else len(target), inner, classes, DTYPES[z.dtype], *_strides(z),
            kernels.DISTRIBUTION if distribution else KINDS[target.dtype],
            DTYPES[target.dtype] if distribution else 0, *(_strides(target) if distribution else (inner, 1, 0)),
            terms.ignore_index, _code(terms.class_weight), _code(terms.row_weight), _code(terms.row_upstream),
            terms.label_smoothing, terms.z_loss, terms.softcap, terms.temperature, kernels.REDUCTIONS[terms.reduction],
            _at(terms.lse_upstream), DTYPES[z.dtype if loss is None else loss.dtype], _at(outputs.get("lse")),
            *((0, 0, 0) if grad is None else _strides(grad)), _at(outputs.get("correct")), -1,
        )
    )  # fmt: skip


def call(
    lib: ctypes.CDLL,
    z: np.ndarray,
    target: np.ndarray,
    terms: Terms = Terms(),
    *,
    grad: np.ndarray | None = None,
    threads: int = 1,
    lse: bool | None = None,
    loss_dtype: np.dtype | None = None,
) -> Result:
    """Run the kernel on ``z``; the gradient goes to ``grad`` if one is given (it may be ``z``).

    ``lse`` says whether it is asked for, which makes the kernel compute in double; by default if the terms do, too.
    """
    rows = z.size // max(z.shape[1], 1)
    beside, loss_dtype = real(z.dtype), loss_dtype or real(z.dtype)
    outputs: dict[str, Any] = {
        "loss": np.full(rows, -1, loss_dtype),
        "lse": np.full(rows, -1, beside),
        "reduced": np.full(1, -1, loss_dtype),
        "grad": np.full(z.shape, 7, z.dtype) if grad is None else grad,
        "correct": np.full(rows, 2, "u1"),
    }
    if terms.reduction != "none":
        terms = replace(terms, row_upstream=None)
    if not (lse if lse is not None else terms.lse_upstream is not None or terms.z_loss):
        outputs["lse"] = None
    arguments = packed(z, target, terms, {k: v for k, v in outputs.items() if v is not None}, threads)
    status = lib.fl_xent(arguments)
    if status == kernels.TARGET_OUT_OF_RANGE:
        raise IndexError(int.from_bytes(arguments.raw[kernels.BAD_ROW_OFFSET : kernels.XENT_ARGS.size], "little"))
    assert status == kernels.OK
    return Result(**{**outputs, "reduced": outputs["reduced"][0]})


class Truth(NamedTuple):
    loss: np.ndarray
    lse: np.ndarray
    reduced: float
    grad: np.ndarray
    size: (
        np.ndarray
    )  # of the largest of the terms whose difference is `grad`: what its error is measured by if they cancel


def truth(z: np.ndarray, target: np.ndarray, terms: Terms = Terms()) -> Truth:
    """The same in long doubles, written from the definition of the loss. Rows must have one unmasked class."""
    wide = np.longdouble
    if z.ndim == 3:
        return _truth_of_pixels(z, target, terms)
    z = z.astype(wide)
    slope = np.ones((), wide)
    if terms.softcap:
        y = z / wide(terms.softcap)
        z, slope = wide(terms.softcap) * np.tanh(y), 4 * np.exp(-2 * np.abs(y)) / (1 + np.exp(-2 * np.abs(y))) ** 2
    z, slope = z / wide(terms.temperature), slope / wide(terms.temperature)
    rows, classes = z.shape
    every = np.arange(rows)
    c = np.ones(classes, wide) if terms.class_weight is None else terms.class_weight.astype(wide)
    w = np.ones(rows, wide) if terms.row_weight is None else terms.row_weight.astype(wide)
    s, z_loss = wide(terms.label_smoothing), wide(terms.z_loss)
    if target.dtype in DTYPES:
        counts = np.ones(rows, bool)
        anchor = z.argmax(1)
        mass = ((1 - s) * target.astype(wide) + s / classes) * c
        weights = w
    else:
        counts = target != terms.ignore_index
        anchor = np.where(counts, target, 0)
        mass = np.full(z.shape, s / classes, wide)
        mass[every, anchor] += 1 - s
        mass *= c
        weights = np.where(counts, w * c[anchor], 0)
    mass_anchor = mass[every, anchor].copy()
    mass[every, anchor] = 0
    z_anchor = z[every, anchor]
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        e = np.exp(z - z_anchor[:, None])  # relative to the anchor: up to e^11356
        e[every, anchor] = 0
        high = e.max(1, initial=0) > 1e4900
        assert not high.any(), "margins beyond the reach of this truth"
        others = e.sum(1)
        anchor_loss = np.log1p(others)
        gap = np.where(mass == 0, 0, mass * (z_anchor[:, None] - z)).sum(1)
        lse = z_anchor + anchor_loss
    total = mass.sum(1) + mass_anchor
    loss = np.where(counts, w * (total * anchor_loss + gap + z_loss * lse**2), 0)
    denominator = weights.sum() if terms.reduction == "mean" else 1.0
    factor = 1 / denominator if denominator else 0.0
    push = terms.upstream * factor * w * counts
    if terms.row_upstream is not None:
        push = push * terms.row_upstream.astype(wide)
    lse_push = np.zeros(rows, wide) if terms.lse_upstream is None else terms.lse_upstream.astype(wide)
    pull = lse_push + 2 * z_loss * lse * push
    grad = ((push * total + pull) / (1 + others))[:, None] * e - push[:, None] * mass
    grad[every, anchor] = push * (mass.sum(1) - total * others / (1 + others)) + pull / (1 + others)
    grad[(push == 0) & (lse_push == 0)] = 0
    softmax = e / (1 + others)[:, None]
    softmax[every, anchor] = 1 / (1 + others)
    mass[every, anchor] = mass_anchor
    terms_of_loss = np.maximum(softmax * total[:, None], mass)
    share = others / (1 + others)
    terms_of_loss[every, anchor] = np.minimum(
        terms_of_loss[every, anchor], np.maximum(mass.sum(1) - mass_anchor, total * share)
    )
    size = np.maximum(np.abs(push[:, None]) * terms_of_loss, np.abs(pull)[:, None] * softmax)
    return Truth(loss, lse, loss.sum() * factor, grad * slope, np.maximum(size * slope, np.abs(grad * slope)))


def _truth_of_pixels(z: np.ndarray, target: np.ndarray, terms: Terms) -> Truth:
    n, classes, pixels = z.shape
    rows = np.moveaxis(z, 1, 2).reshape(-1, classes)
    flat = np.moveaxis(target, 1, 2).reshape(-1, classes) if target.dtype in DTYPES else target.reshape(-1)
    exact = truth(rows, flat, terms)

    def as_pixels(values: np.ndarray) -> np.ndarray:
        return np.moveaxis(values.reshape(n, pixels, classes), 2, 1)

    return exact._replace(grad=as_pixels(exact.grad), size=as_pixels(exact.size))


def ulps(got: np.ndarray, exact: np.ndarray, dtype: Any, size: np.ndarray | None = None) -> np.ndarray:
    """How far ``got`` is from ``exact`` (long double), in units in the last place of ``dtype`` at ``exact``, or at
    ``size`` if that is given.
    """
    info = ml_dtypes.finfo(dtype)
    _, exponent = np.frexp(np.abs(np.asarray(exact if size is None else size, np.longdouble)))
    unit = np.ldexp(np.longdouble(1), np.maximum(exponent - 1, info.minexp) - info.nmant)
    return np.abs(got.astype(np.longdouble) - exact) / unit


# A float32 result is within 4 ulp. A 16-bit one is the float32 result rounded: half a unit, and 4 float32 units more.
BOUND = {FLOAT64: 4.0, FLOAT32: 4.0, BFLOAT16: 0.5 + 4 / 2**16, FLOAT16: 0.5 + 4 / 2**13}


def worst(got: Result, exact: Truth) -> dict[str, float]:
    """The largest error of losses, sum and gradient, as a share of what is allowed; inf for what is not finite.

    In float64, where two terms of an element may cancel and nothing wider is at hand, the larger term is the measure.
    """
    shares = {
        "loss": ulps(got.loss, exact.loss, got.loss.dtype) / BOUND[got.loss.dtype],
        "reduced": ulps(np.array(got.reduced), np.array(exact.reduced), got.loss.dtype) / BOUND[got.loss.dtype],
        "grad": ulps(got.grad, exact.grad, got.grad.dtype, exact.size if got.grad.dtype == FLOAT64 else None)
        / BOUND[got.grad.dtype],
    }
    return {k: float(np.nan_to_num(v, nan=np.inf).max(initial=0)) for k, v in shares.items()}


def hard_rows(rng: np.random.Generator, rows: int, classes: int, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Rows on which kernels fail: margins of +-80 (float64: 600), offsets to 1e6, ties, masked classes; and targets."""
    limit = {FLOAT16: 30.0, FLOAT64: 600.0}.get(dtype, 80.0)  # float16: of what it can hold beside an offset
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


def pushed_rows(rng: np.random.Generator, classes: int) -> tuple[np.ndarray, np.ndarray, Terms]:
    """Rows in float64 whose upstreams, of any size, round every product that they are in; and targets."""
    rows = max(20, 200_000 // classes)
    z = rng.normal(0, 1, (rows, classes)) * rng.choice([0.3, 1, 4, 20], (rows, 1))
    upstream = rng.uniform(0.5, 1.5, rows) * rng.choice([1.0, 1e36, 1e-3], rows)
    return z, rng.integers(0, classes, rows), Terms(row_upstream=upstream)


def options(
    rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype, soft: bool, terms: dict[str, object]
) -> tuple[np.ndarray, np.ndarray, Terms]:
    """Logits, target and the terms, their ``True`` filled in with arrays."""
    classes, rows = shape[1], int(np.prod(shape)) // shape[1]
    offset = rng.choice([-90, 0, 50], (shape[0], *[1] * (len(shape) - 1)))
    z = (rng.normal(0, 3, shape) + offset).astype(dtype)
    target = rng.integers(0, classes, shape[:1] + shape[2:])
    arrays = {
        "class_weight": rng.uniform(0, 2, classes).astype(real(dtype)),
        "row_weight": rng.uniform(0, 2, rows).astype(real(dtype)),
        "lse_upstream": rng.normal(0, 1, rows).astype(real(dtype)),
    }
    filled = {k: arrays[k] if v is True else v for k, v in terms.items()}
    t = Terms(ignore_index=int(target.flat[3]), **filled)
    if soft:
        p = rng.random(shape) ** 8
        target = (p / p.sum(1, keepdims=True)).astype(real(dtype))
    return z, target, t


def call_binary(
    lib: ctypes.CDLL,
    z: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray | None = None,
    pos_weight: np.ndarray | None = None,
    upstream: float = 1.0,
    reduction: str = "sum",
    wanted: tuple[str, ...] = ("loss", "grad"),
    loss_dtype: np.dtype | None = None,
) -> tuple[np.ndarray, np.ndarray, Any]:
    """Losses, gradient and reduced loss of binary cross-entropy; ``weight`` and ``pos_weight`` repeat.

    What is not ``wanted`` is not asked for; the reduced loss goes with the losses.
    """
    loss_dtype = loss_dtype or real(z.dtype)
    loss, grad, reduced = np.full(z.shape, -1, loss_dtype), np.full(z.shape, 7, z.dtype), np.full(1, -1, loss_dtype)
    arguments = kernels.BCE_ARGS.pack(
        _at(z), _at(y), _at(weight), _at(pos_weight), 0, _at(loss if "loss" in wanted else None),
        _at(reduced if "loss" in wanted else None), _at(grad if "grad" in wanted else None), upstream, 1,
        z.size, DTYPES[z.dtype], DTYPES[y.dtype], _code(weight), 0 if weight is None else weight.size,
        _code(pos_weight), 0 if pos_weight is None else pos_weight.size, 0, kernels.REDUCTIONS[reduction],
        DTYPES[loss.dtype],
    )  # fmt: skip
    assert lib.fl_bce(ctypes.create_string_buffer(arguments)) == kernels.OK
    return loss, grad, reduced[0]


def binary_truth(
    z: np.ndarray, y: np.ndarray, weight: np.ndarray | None = None, pos_weight: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Losses, gradient and the size of its larger term."""
    z, y = z.astype(np.longdouble), y.astype(np.longdouble)
    w = np.ones(z.size, np.longdouble) if weight is None else np.resize(weight, z.size).astype(np.longdouble)
    v = np.ones(z.size, np.longdouble) if pos_weight is None else np.resize(pos_weight, z.size).astype(np.longdouble)
    w, v = w.reshape(z.shape), v.reshape(z.shape)
    tail = np.log1p(np.exp(-np.abs(z)))
    loss = w * ((1 - y) * (np.maximum(z, 0) + tail) + v * y * (np.maximum(-z, 0) + tail))
    up, down = (1 - y) / (1 + np.exp(-z)), v * y / (1 + np.exp(z))
    return loss, w * (up - down), w * np.maximum(up, down)
