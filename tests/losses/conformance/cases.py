"""One table of cases, and their truth: what every framework's losses have to give.

A case is rows of logits, a target for each, and options; its truth is mpmath's, for each row's loss and each
element of its gradient. Label smoothing and weights are dyadic numbers, so that they have no rounding of their own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import mpmath
import numpy as np

from finallayer.numerics import oracle

IGNORE = -100
FLOAT32_EXPONENT = -126
FORMATS = {"float32": (23, FLOAT32_EXPONENT), "bfloat16": (7, FLOAT32_EXPONENT), "float16": (10, -14)}
SMALLEST_NORMAL = 2.0**FLOAT32_EXPONENT  # frameworks flush what is smaller to zero
MARGINS = (-80, -40, -17, -16, -1, -1e-3, 0, 1e-3, 1, 16, 17, 18, 40, 60, 80)  # target logit minus the best other
INF, NAN = np.inf, np.nan


@dataclass(frozen=True, eq=False)
class Case:
    """``logits`` (N, C) float32; ``target`` (N,) classes or (N, C) masses; ``upstream`` (N,), by default ones."""

    name: str
    logits: np.ndarray
    target: np.ndarray
    upstream: np.ndarray | None = None
    weight: np.ndarray | None = None
    label_smoothing: float = 0.0
    dtype: str = "float32"

    @property
    def counted(self) -> np.ndarray:
        return self.target != IGNORE if self.target.ndim == 1 else np.ones(len(self.target), bool)

    @property
    def row_upstream(self) -> np.ndarray:
        return np.ones(len(self.logits), np.float32) if self.upstream is None else self.upstream

    @property
    def masses(self) -> np.ndarray:
        """What each class weighs in its row's loss, exactly, for frameworks that take class masses only."""
        target = self.target
        classes = self.logits.shape[1]
        if target.ndim == 1:
            target = np.arange(classes) == target[:, None]
        smoothed = (1 - self.label_smoothing) * target.astype(np.float64) + self.label_smoothing / classes
        return smoothed * (1.0 if self.weight is None else self.weight)

    @property
    def is_plain(self) -> bool:
        return self.weight is None and self.label_smoothing == 0.0


@dataclass(frozen=True)
class Truth:
    """Losses (N,), their gradients (N, C), and the size of the terms that a gradient is the difference of, or 0."""

    loss: list[Any]
    gradient: list[list[Any]]
    terms: np.ndarray


@cache
def truth(case: Case) -> Truth:
    logits, masses = case.logits.astype(np.float64), case.masses
    losses, gradients, terms = [], [], np.zeros(logits.shape)
    for i, (z, q) in enumerate(zip(logits, masses, strict=True)):
        if not case.counted[i]:
            losses.append(0.0)
            gradients.append([0.0] * len(z))
        elif np.isnan(z).any() or (z == INF).any() or (z == -INF).all():
            losses.append(NAN)
            gradients.append([NAN] * len(z))
        else:
            exact = oracle.xent_logits(list(q), z, digits=25)
            losses.append(exact.loss)
            gradients.append(exact.grad)
            # A hard target's gradient is one term, right in all its digits; a distribution's is the difference of two.
            if np.count_nonzero(q) > 1:
                probs = np.array([float(x) for x in oracle.softmax(z, digits=25)])
                terms[i] = np.maximum(probs * (q.sum() - q), q * (1 - probs))
    return Truth(losses, gradients, terms)


def loss_error(case: Case, loss: np.ndarray, dtype: str = "float32") -> float:
    """The largest error of a row's loss, in ulp of ``dtype``."""
    pairs = zip(loss, truth(case).loss, strict=True)
    return max((_error(got, exact, 0.0, dtype) for got, exact in pairs), default=0.0)


def gradient_error(case: Case, gradient: np.ndarray, upstream: np.ndarray | None = None) -> float:
    """The largest error of an element of the gradient, in ulp of the case's dtype, and of its larger term."""
    upstream = case.row_upstream if upstream is None else upstream
    expected = truth(case)
    rows = zip(gradient, expected.gradient, expected.terms, upstream.astype(float), strict=True)
    return max(
        (
            _error(got, exact * u, size * abs(u), case.dtype)
            for row, exact_row, sizes, u in rows
            for got, exact, size in zip(row, exact_row, sizes, strict=True)
        ),
        default=0.0,
    )


def _error(got: Any, exact: Any, size: float, dtype: str) -> float:
    """The error in ulp of the larger of ``exact`` and ``size``; below the normal range of float32, there is none."""
    got, exact = float(got), mpmath.mpf(exact)
    if np.isnan(got) or mpmath.isnan(exact) or np.isinf(got) or mpmath.isinf(exact):
        same = got == exact or (np.isnan(got) and mpmath.isnan(exact))
        overflows = got == np.sign(got) * INF and abs(exact) >= 3.4028235e38 and exact * got > 0
        return 0.0 if same or overflows else INF
    fraction_bits, smallest_exponent = FORMATS[dtype]
    if smallest_exponent == FLOAT32_EXPONENT and abs(exact) < SMALLEST_NORMAL and abs(got) <= SMALLEST_NORMAL:
        return 0.0
    exponent = np.frexp(max(float(abs(exact)), size))[1] - 1
    return float(abs(got - exact) / mpmath.ldexp(1, int(max(exponent, smallest_exponent)) - fraction_bits))


def np_dtype(name: str) -> np.dtype:
    import ml_dtypes  # comes with jax; NumPy has no bfloat16 of its own

    return np.dtype(getattr(ml_dtypes, name, None) or name)


def _rows_at_margins(classes: int, offset: float = 0.0, spread: float = 2.0, margins=MARGINS) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(classes)
    z = rng.normal(size=(len(margins), classes)) * spread
    target = rng.integers(0, classes, len(margins))
    for row, t, margin in zip(z, target, margins, strict=True):
        row[t] = max(np.delete(row, t)) + margin
    return {"logits": (z + offset).astype(np.float32), "target": target.astype(np.int32)}


def _rows(rows: int, classes: int, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).normal(size=(rows, classes)) * 3).astype(np.float32)


def _distributions(rows: int, classes: int) -> np.ndarray:
    return np.random.default_rng(1).dirichlet(np.ones(classes), rows).astype(np.float32)


_SIX = _rows(6, 8)
_TARGET = np.array([3, 0, 7, 1, 2, 5], np.int32)
_WEIGHT = np.array([1, 0.5, 2, 4, 0.25, 1, 8, 0.125], np.float32)
_UPSTREAM = np.array([1, -2.5, 0, 1e-6, 3e4, 0.1], np.float32)
_SOFT = _distributions(6, 8)


def _with(array: np.ndarray, **at: float) -> np.ndarray:
    """A copy with some elements replaced: ``r1c2=...`` is row 1, column 2; ``r1=...`` a whole row."""
    changed = array.copy()
    for name, value in at.items():
        row, _, column = name.removeprefix("r").partition("c")
        changed[(int(row), int(column)) if column else int(row)] = value
    return changed


CASES = (
    *(Case(f"margins, {c} classes", **_rows_at_margins(c)) for c in (2, 3, 10, 100)),
    *(Case(f"margins, offset {o:.0e}", **_rows_at_margins(10, offset=o)) for o in (1e4, -1e4, 1e6)),
    Case("margins, spread logits", **_rows_at_margins(10, spread=20.0)),
    Case("margins, 1000 classes", **_rows_at_margins(1000, margins=(-80, -1, 16, 18, 80))),
    Case("one class", _rows(3, 1), np.zeros(3, np.int32)),
    Case("all tied", np.full((2, 7), 1.5, np.float32), np.array([0, 6], np.int32)),
    Case("tied for the maximum", _with(_SIX, r0c3=9, r0c4=9, r1c5=9, r1c6=9), _TARGET),
    Case("huge logits", _with(_SIX, r0c3=3e38, r1c4=3e38, r2=-3e38, r3c0=1e-42), _TARGET),
    Case("exponentials below float32's", _SIX - np.float32(95), _TARGET),
    Case("targets' exponentials below float32's", _with(_SIX, r0c3=-95, r3c1=-102), _TARGET),
    Case("masked classes", _with(_SIX, r0c1=-INF, r1c1=-INF, r1c2=-INF, r2c0=-INF), _TARGET),
    Case("masked target", _with(_SIX, r0c3=-INF, r2c7=-INF), _TARGET),
    Case("one class left", _with(_with(_SIX, r0=-INF, r1=-INF), r0c3=2, r1c5=2), _TARGET),
    Case("all masked", _with(_SIX, r1=-INF), _TARGET),
    Case("nan in a row", _with(_SIX, r1c2=NAN, r4c2=NAN), _TARGET),
    Case("+inf in a row", _with(_SIX, r1c2=INF, r4c2=INF), _TARGET),
    Case("ignored first", _SIX, _with(_TARGET, r0=IGNORE)),
    Case("ignored in the middle", _SIX, _with(_TARGET, r2=IGNORE, r3=IGNORE)),
    Case("ignored last", _SIX, _with(_TARGET, r5=IGNORE)),
    Case("all ignored", _SIX, np.full(6, IGNORE, np.int32)),
    Case("ignored, of which one nan", _with(_SIX, r2c1=NAN), _with(_TARGET, r2=IGNORE)),
    Case("upstream", _SIX, _TARGET, upstream=_UPSTREAM),
    Case("upstream, ignored", _SIX, _with(_TARGET, r4=IGNORE), upstream=_UPSTREAM),
    Case("int64 targets", _SIX, _TARGET.astype(np.int64)),
    Case("class weights", _SIX, _TARGET, weight=_WEIGHT),
    Case("label smoothing", _SIX, _TARGET, label_smoothing=0.125),
    Case("class weights, label smoothing", _SIX, _TARGET, weight=_WEIGHT, label_smoothing=0.125),
    Case("class weights, smoothing, ignored", _SIX, _with(_TARGET, r0=IGNORE), None, _WEIGHT, 0.5),
    Case("label smoothing, confident", _with(_SIX, r0c3=60, r1c1=60), _TARGET, label_smoothing=0.25),
    Case("distributions", _SIX, _SOFT),
    Case("distributions, upstream", _SIX, _SOFT, upstream=_UPSTREAM),
    Case("distributions, class weights, smoothing", _SIX, _SOFT, weight=_WEIGHT, label_smoothing=0.125),
    Case("distributions, one-hot", _with(_SIX, r0c3=60, r1c1=60), np.eye(8, dtype=np.float32)[_TARGET]),
    Case("distributions, no mass on masked", _with(_SIX, r0c1=-INF), _with(_SOFT, r0c1=0)),
    Case("distributions, mass on masked", _with(_SIX, r0c1=-INF), _SOFT),
    Case("non-contiguous", _rows(8, 12)[::-2, ::2][:, :6], np.arange(8, dtype=np.int32)[::2] % 6),
    Case("no rows", np.zeros((0, 5), np.float32), np.zeros(0, np.int32)),
)


def _rounded(case: Case, dtype: str) -> Case:
    logits = case.logits.astype(np_dtype(dtype)).astype(np.float32)
    upstream = case.row_upstream.astype(np_dtype(dtype)).astype(np.float32)  # as a 16-bit loss hands it back
    return replace(case, name=f"{case.name}, {dtype}", logits=logits, upstream=upstream, dtype=dtype)


HALF_CASES = tuple(
    _rounded(case, dtype)
    for dtype in ("bfloat16", "float16")
    for case in CASES
    if case.name in ("margins, 10 classes", "upstream", "label smoothing", "masked target", "ignored last")
)

BINARY_LOGITS = np.concatenate([np.linspace(-80, 80, 41), [1e4, -1e4, 1e-30, INF, -INF]]).astype(np.float32)
BINARY_TARGETS = (0.0, 1.0, 0.25)


def binary_errors(y: float, loss: np.ndarray, gradient: np.ndarray) -> tuple[float, float]:
    """The largest errors of loss and gradient for the finite `BINARY_LOGITS` against one target, in ulp."""
    worst = [0.0, 0.0]
    for z, got_loss, got_gradient in zip(BINARY_LOGITS, loss, gradient, strict=True):
        if np.isfinite(z):
            exact = oracle.bce_logits(y, z, digits=25)
            size = max(y * (1 - _sigmoid(z)), (1 - y) * _sigmoid(z)) if 0 < y < 1 else 0.0
            worst[0] = max(worst[0], _error(got_loss, exact.loss, 0.0, "float32"))
            worst[1] = max(worst[1], _error(got_gradient, exact.grad[0], size, "float32"))
    return worst[0], worst[1]


def _sigmoid(z: float) -> float:
    return float(oracle.softmax([z, 0])[0])
