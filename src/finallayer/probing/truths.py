"""What a loss ought to give: the known losses of logits and labels, and which of them a measured loss is.

Each is written in terms of the cross-entropy's own exact results, so that the same lines give the truth in float64
(``numerics.blocks``) and in mpmath's numbers (``numerics.oracle``). A loss is recognised by its gradient on moderate
rows of logits, where whatever is that loss at all is right.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import exp, isfinite
from typing import Any, NamedTuple

import numpy as np

from finallayer.numerics import blocks, oracle
from finallayer.probing.frameworks.framework import Array

#: How far a gradient may be from a known loss's, by its largest element: rounding in float32, or an epsilon within.
CLOSE, ROUGH = 5e-5, 0.05
#: The exponents of a focal loss that are tried.
GAMMAS = tuple(0.25 * k for k in range(1, 21))
#: As many digits as a parameter that somebody chose has.
DIGITS = 4


class Sample(NamedTuple):
    """A row of logits, its label, and what the loss gave there."""

    row: Array
    label: int
    loss: float
    gradient: Array


class Given(NamedTuple):
    """A loss and its gradient, floats or mpmath numbers."""

    loss: Any
    gradient: list[Any]


@dataclass(frozen=True)
class Truth:
    """A known loss, ``factor * loss + shift``. ``binary``: a sigmoid a class, and the label's is 1."""

    name: str
    binary: bool = False
    smoothing: float = 0.0
    gamma: float = 0.0
    twice: bool = False  # the cross-entropy of softmax outputs taken for logits: no loss that anybody should want
    factor: float = 1.0
    shift: float | None = 0.0  # None: the value isn't this loss's, though its gradient is
    exact: bool = True  # parameters and factor are numbers that somebody chose, not fitted ones

    def at(self, row: Array, label: int) -> Given:
        """The loss of one row and its gradient, in float64."""
        with np.errstate(all="ignore"):
            return self._scaled(self._of(np.asarray(row, dtype=np.float64), label, _block, _block_of_outcomes, exp))

    def losses(self, rows: Array, label: int) -> Array:
        """The losses of several rows with one label, in float64."""
        if self.binary or self.twice or self.smoothing or self.gamma:
            return np.array([self.at(row, label).loss for row in rows])
        with np.errstate(all="ignore"):
            return self.factor * blocks.xent_logits(np.full(len(rows), label), rows).loss + (self.shift or 0)

    def exactly(self, row: Array, label: int) -> Given:
        """The loss of one row and its gradient, in mpmath's numbers."""
        import mpmath

        with mpmath.workdps(oracle.DIGITS):
            return self._scaled(self._of(row, label, _exact, _exact_of_outcomes, mpmath.exp))

    def _scaled(self, given: Given) -> Given:
        return Given(self.factor * given.loss + (self.shift or 0), [self.factor * g for g in given.gradient])

    def _of(
        self,
        row: Array,
        label: int,
        of_classes: Callable[[Any, Array], Given],
        of_outcomes: Callable[[int, Array], list[Given]],
        exp: Callable[[Any], Any],
    ) -> Given:
        if self.binary:
            each = [self._focal(one, 0, exp) for one in of_outcomes(label, row)]
            return Given(sum(one.loss for one in each), [one.gradient[0] for one in each])
        if self.twice:
            return _twice(row, label)
        target: Any = label
        if self.smoothing:
            target = np.full(len(row), self.smoothing / len(row))
            target[label] += 1 - self.smoothing
        return self._focal(of_classes(target, row), label, exp)

    def _focal(self, one: Given, label: int, exp: Callable[[Any], Any]) -> Given:
        """``(1 - p)^gamma * loss``, given a cross-entropy and its gradient, ``p - 1`` at the target."""
        if not self.gamma or not one.loss:
            return one
        rest = abs(one.gradient[label])
        sure = one.loss * exp(-one.loss) if isfinite(one.loss) else 0
        steeper = rest**self.gamma + self.gamma * rest ** (self.gamma - 1) * sure
        return Given(rest**self.gamma * one.loss, [steeper * g for g in one.gradient])


def _block(target: Any, row: Array) -> Given:
    if isinstance(target, int):
        return _hard(target, tuple(row))
    one = blocks.xent_logits(target, row)
    return Given(float(one.loss), one.grad.tolist())


@lru_cache(maxsize=1024)
def _hard(label: int, row: tuple[float, ...]) -> Given:
    """A row that is asked for again, by one known loss after the other."""
    one = blocks.xent_logits(label, np.array(row))
    return Given(float(one.loss), one.grad.tolist())


def _block_of_outcomes(label: int, row: Array) -> list[Given]:
    """Each class apart: whether it is the label's."""
    return _outcomes_of(label, tuple(row))


@lru_cache(maxsize=1024)
def _outcomes_of(label: int, row: tuple[float, ...]) -> list[Given]:
    logits = np.array(row)
    each = blocks.xent_logits(_outcomes(label, logits), np.stack([logits, np.zeros_like(logits)], axis=-1))
    return [Given(loss, [g]) for loss, g in zip(each.loss.tolist(), each.grad[:, 0].tolist(), strict=True)]


def _exact(target: Any, row: Array) -> Given:
    return Given(*oracle.xent_logits(target, row))


def _exact_of_outcomes(label: int, row: Array) -> list[Given]:
    return [Given(*oracle.bce_logits(1 - int(k), z)) for k, z in zip(_outcomes(label, row), row, strict=True)]


def _outcomes(label: int, row: Array) -> Array:
    """0 for the label's class, 1 for each other: the index of what is right of (logit, 0)."""
    return np.asarray(np.arange(len(row)) != label, dtype=np.int64)


def _twice(row: Array, label: int) -> Given:
    x = blocks.softmax(row)
    outer = blocks.xent_logits(label, x)
    return Given(float(outer.loss), blocks.softmax_backward(x, outer.grad).tolist())


def recognised(samples: Sequence[Sample]) -> Truth | None:
    """The known loss that these samples are of; None where they are of none."""
    classes = len(samples[0].row)
    if not all(np.isfinite(s.loss) and np.isfinite(s.gradient).all() for s in samples):
        return None
    plain = [Truth("cross-entropy")] if classes > 1 else []
    binary = [Truth("binary cross-entropy", binary=True)]
    focal = [replace(t, name=f"focal loss, gamma {g:g}", gamma=g) for t in plain for g in GAMMAS]
    focal += [replace(t, name=f"binary focal loss, gamma {g:g}", gamma=g) for t in binary for g in GAMMAS]
    twice = [Truth("cross-entropy of a softmax of the logits: softmax twice", twice=True)] if classes > 1 else []
    smooth = _smoothed(samples) if classes > 1 else []
    for tolerance, tried in ((CLOSE, [*plain, *binary, *smooth, *focal, *twice]), (ROUGH, [*plain, *binary])):
        for truth in tried:
            fitted = _fitted(truth, samples, tolerance)
            if fitted is not None:
                return fitted
    return None


def _fitted(truth: Truth, samples: Sequence[Sample], tolerance: float) -> Truth | None:
    """The loss with the factor and the shift that the samples show; None where they are of another."""
    if not _leans(truth, samples[0]):
        return None
    given = [truth.at(s.row, s.label) for s in samples]
    wanted = np.array([g.gradient for g in given])
    got = np.array([s.gradient for s in samples])
    factor = float(np.vdot(got, wanted) / np.vdot(wanted, wanted))
    if tolerance == ROUGH:
        factor = _without_epsilon(truth, samples, got, wanted) or factor
    if not factor > 0 or np.abs(got - factor * wanted).max() > tolerance * factor:
        return None
    chosen, exact = _chosen(factor, tolerance, len(samples[0].row))
    shifts = np.array([s.loss - chosen * float(g.loss) for s, g in zip(samples, given, strict=True)])
    near = 10 * tolerance * chosen
    shift: float | None = float(shifts.mean())
    if np.ptp(shifts) > near:
        shift = None
    elif abs(shifts).max() <= near:
        shift = 0.0
    return replace(truth, factor=chosen, shift=shift, exact=truth.exact and exact and not shift and tolerance == CLOSE)


def _without_epsilon(truth: Truth, samples: Sequence[Sample], got: Array, wanted: Array) -> float | None:
    """The factor of a loss whose log is of ``p + eps``: a gradient is ``p / (p + eps)`` of what it ought to be, whose
    inverse is linear in ``1 / p``; None where it isn't."""
    if truth.binary:
        ratios, p = (got / wanted).ravel(), 1 - np.abs(wanted).ravel()
    else:
        ratios = (got * wanted).sum(1) / (wanted * wanted).sum(1)
        p = np.array([1 - abs(row[s.label]) for row, s in zip(wanted, samples, strict=True)])
    if not (ratios > 0).all() or not (p > 0).all():
        return None
    lines = np.stack([np.ones_like(p), 1 / p], axis=1)
    (offset, slope), *_ = np.linalg.lstsq(lines, 1 / ratios, rcond=None)
    fits = offset > 0 and slope > 0 and np.allclose(lines @ (offset, slope), 1 / ratios, rtol=100 * CLOSE)
    return float(1 / offset) if fits else None


def _leans(truth: Truth, sample: Sample) -> bool:
    """Whether one gradient has the truth's direction: who asks for all of many losses asks for this first."""
    wanted = np.array(truth.at(sample.row, sample.label).gradient)
    sizes = np.linalg.norm(wanted) * np.linalg.norm(sample.gradient)
    return bool(sizes > 0 and np.vdot(wanted, sample.gradient) > (1 - 2 * ROUGH) * sizes)


def _smoothed(samples: Sequence[Sample]) -> list[Truth]:
    """The label smoothing that would explain the samples: their gradient is a combination of two."""
    hard, even, got = [], [], []
    for sample in samples:
        label = np.eye(len(sample.row))[sample.label]
        hard.append(np.array(_block(sample.label, sample.row).gradient))
        even.append(label - 1 / len(sample.row))
        got.append(sample.gradient)
    columns = np.stack([np.concatenate(hard), np.concatenate(even)], axis=1)
    factor, weight = np.linalg.lstsq(columns, np.concatenate(got), rcond=None)[0]
    share = float(weight / factor) if factor else 0.0
    if not 1e-4 < share <= 1:
        return []
    chosen, exact = _chosen(share, CLOSE, len(samples[0].row))
    name = f"cross-entropy with label smoothing {chosen:.4g}"
    return [Truth(name, smoothing=chosen, exact=exact)]


def _chosen(number: float, tolerance: float, classes: int) -> tuple[float, bool]:
    """The number that somebody has chosen who got this one by rounding, and whether there is one: few digits, or a
    part of so many classes."""
    for chosen in (round(number, DIGITS), round(number * classes, DIGITS) / classes):
        if chosen and abs(chosen - number) <= tolerance * number:
            return chosen, True
    return number, False
