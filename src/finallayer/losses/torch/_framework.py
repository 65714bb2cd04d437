"""The kernel's work in torch's own operations: where no kernel was built, and on other devices.

Rows are walked in chunks that fit the cache, each read once; loss and gradient come from one softmax. With the anchor
(the target; for a distribution, the largest logit) taken out of it, the sum of what is left is ``1 - x_anchor`` without
a subtraction: nothing cancels. All but float64 logits are computed in float64, where its rounding is out of sight;
float64 ones, and all where the device has no float64, with the rounding of ``z - max`` corrected.

Classes lie on dimension 1, of (N, C, d1, ..., dk); what is given per row has the shape (N, d1, ..., dk).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from finallayer.losses.torch import _plain
from finallayer.losses.torch._composed import target_mass, transformed, wide
from finallayer.losses.torch._kernel import Terms, out_of_range

# Logits walked at a time: on the CPU what leaves each thread room in its cache, else what keeps the device busy.
CPU_CHUNK = 1 << 16
DEVICE_CHUNK = 1 << 22
# Up to here, rows are turned into columns: many short sums are slow.
_FEW_CLASSES = 32
# Below this, a softmax loses digits to the end of float64's range: the loss is taken from log-sum-exp.
_LOST = 1e-290


class _Chunk(NamedTuple):
    """Some rows of all tensors: (n, C) and (n,), or (n, C, m) and (n, m)."""

    where: tuple[slice, ...]  # of a tensor that has an element a row

    def classes(self, tensor: Tensor) -> Tensor:
        """Of (N, C) or (N, C, M)."""
        return tensor[self.where[0]] if len(self.where) == 1 else tensor[self.where[0], :, self.where[1]]

    def rows(self, tensor: Tensor) -> Tensor:
        """Of (N,) or (N, M), with a dimension for the class."""
        return tensor[self.where].unsqueeze(1)


class _Softmax(NamedTuple):
    """All but ``exps`` with one class; the softmax is ``exps / total``."""

    exps: Tensor  # 0 at the anchor
    anchor_exp: Tensor
    total: Tensor
    rest: Tensor  # the softmax of all classes but the anchor


class _Mass(NamedTuple):
    """What a row's loss puts on the anchor and on the other classes (n, C): 0 at the anchor; None: nowhere else."""

    anchor: Tensor
    others: Tensor | None
    rest: Tensor | float  # the sum of the others

    @property
    def total(self) -> Tensor:
        return self.anchor + self.rest


class _Call(NamedTuple):
    """What the chunks have in common; tensors as (N, C) and (N,) or (N, C, M) and (N, M)."""

    logits: Tensor
    target: Tensor
    weight: Tensor | None
    terms: Terms
    counts: Tensor  # 1, or 0 for an ignored row
    push: Tensor | None  # times which the gradient of a row's loss is wanted
    pull: Tensor | None  # and of its lse
    loss: Tensor
    lse: Tensor | None
    grad: Tensor | None


def cross_entropy(
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None,
    row_weight: Tensor | None,
    terms: Terms,
    *,
    upstream: float | Tensor = 1.0,
    row_upstream: Tensor | None = None,
    lse_upstream: Tensor | None = None,
    loss: Tensor | None = None,
    lse: Tensor | None = None,
    reduced: Tensor | None = None,
    grad: Tensor | None = None,
    correct: Tensor | None = None,
) -> None:
    """Fill the given outputs, as `_kernel.cross_entropy` does; ``grad`` may be the logits themselves.

    Raises:
        IndexError: a target on the CPU is outside [0, classes) and not ``ignore_index``.
    """
    if correct is not None:
        correct.copy_((logits.argmax(1) == target) & (target != terms.ignore_index))
    if (
        lse_upstream is None
        and isinstance(upstream, float)
        and _plain.serves(logits, target, terms)
        and (grad is None or grad.data_ptr() != logits.data_ptr())
    ):
        given = _plain.Given(logits, target, weight, row_weight, row_upstream)
        if _plain.cross_entropy(given, terms, upstream, _plain.Wanted(loss, reduced, grad, lse)):
            return
    counts = _counts(target, logits, terms)
    weights = counts if row_weight is None else counts * wide(row_weight)
    factor = mean_factor(target, weight, weights, terms) if terms.reduction == "mean" else 1.0
    push = None
    if grad is not None:
        push = weights * factor * upstream
        push = push if row_upstream is None else push * wide(row_upstream)
    pull = None if lse_upstream is None else wide(lse_upstream)
    losses = torch.empty_like(counts)
    rows, classes, *spread = logits.shape
    inner = math.prod(spread)
    turned = logits.dim() == 2 and classes <= _FEW_CLASSES < rows

    def by_class(tensor: Tensor) -> Tensor:
        if tensor.dim() == 2:
            return tensor.t().unsqueeze(0) if turned else tensor
        return tensor.reshape(rows, classes, inner)

    def by_row(tensor: Tensor) -> Tensor:
        if tensor.dim() == 1:
            return tensor.unsqueeze(0) if turned else tensor
        return tensor.reshape(rows, inner)

    gradient = None if grad is None else by_class(grad)
    call = _Call(
        by_class(logits),
        by_class(target) if target.is_floating_point() else by_row(target),
        weight,
        terms,
        by_row(counts),
        None if push is None else by_row(push),
        None if pull is None else by_row(pull),
        by_row(losses),
        None if lse is None else by_row(lse),
        gradient,
    )
    plain = not (terms.label_smoothing or terms.z_loss or terms.softcap or terms.temperature != 1.0)
    walk = _walk_plain if plain and pull is None and not target.is_floating_point() else _walk
    for chunk in _chunks(call.logits):
        walk(call, chunk)
    losses = torch.where(weights == 0, 0.0, losses * weights)
    if loss is not None:
        loss.copy_(losses)
    if reduced is not None:
        reduced.copy_(losses.sum() * factor)


def mean_factor(target: Tensor, weight: Tensor | None, weights: Tensor, terms: Terms) -> Tensor:
    """One over what ``reduction="mean"`` divides by, 0 where that is 0: the weights of the rows that count."""
    if weight is not None and not target.is_floating_point():
        weights = weights * wide(weight)[target.long().masked_fill(target == terms.ignore_index, 0)]
    total = weights.sum()
    return torch.where(total == 0, 0.0, 1 / total)


def _counts(target: Tensor, logits: Tensor, terms: Terms) -> Tensor:
    """1 for each row, 0 for one that is ignored."""
    if target.is_floating_point():
        return torch.ones_like(wide(logits[:, :0].sum(1)))
    check_range(target, logits.shape[1], terms)
    return wide(target != terms.ignore_index)


def check_range(target: Tensor, classes: int, terms: Terms) -> None:
    """On the CPU, in the words of the kernel's path; elsewhere the gather itself fails, and no check has to wait."""
    if target.device.type != "cpu" or not target.numel():
        return
    counts = target != terms.ignore_index
    low, high = torch.aminmax(target.masked_fill(~counts, 0))
    if low < 0 or (high >= classes and (classes or counts.any())):
        wrong = counts & ((target < 0) | (target >= classes))
        raise out_of_range(target, int(wrong.reshape(-1).nonzero()[0]), classes)


def _chunks(logits: Tensor) -> Iterator[_Chunk]:
    most = CPU_CHUNK * torch.get_num_threads() if logits.device.type == "cpu" else DEVICE_CHUNK
    for place in _plain.places(logits, most):
        along = place or (slice(None),) * (2 * logits.dim() - 3)  # rows, or rows, classes and what lies within
        yield _Chunk(along[::2])


def _walk_plain(call: _Call, chunk: _Chunk) -> None:
    """`_walk` for class indices without extras, in the fewest operations."""
    x, counts = chunk.classes(call.logits), chunk.rows(call.counts)
    anchor = _anchor(x, call, chunk)
    s = _softmax(x, anchor)
    loss, lse = _losses(s, x, wide(x.gather(1, anchor)))
    if call.lse is not None:
        call.lse[chunk.where] = lse.squeeze(1).to(call.lse.dtype)
    mass = None if call.weight is None else wide(call.weight)[anchor]
    if mass is not None:
        loss = torch.where(mass == 0, 0.0, mass * loss)
    call.loss[chunk.where] = torch.where(counts == 0, 0.0, loss).squeeze(1)
    if call.grad is not None and call.push is not None:
        push = chunk.rows(call.push) if mass is None else chunk.rows(call.push) * mass
        gradient = s.exps.mul_(push / s.total).scatter_(1, anchor, -push * s.rest)
        chunk.classes(call.grad).copy_(_without_ignored(gradient, counts))


def _walk(call: _Call, chunk: _Chunk) -> None:
    terms = call.terms
    z, counts = chunk.classes(call.logits), chunk.rows(call.counts)
    transforms = terms.softcap or terms.temperature != 1.0
    x = transformed(wide(z), terms.softcap, terms.temperature) if transforms else z
    anchor = _anchor(x, call, chunk)
    x_anchor = wide(x.gather(1, anchor))
    s = _softmax(x, anchor)
    loss, lse = _losses(s, x, x_anchor)
    mass = _mass(x, anchor, call, chunk)
    row_loss = torch.where(mass.total == 0, 0.0, mass.total * loss)
    if mass.others is not None:
        ahead = (x_anchor - x).masked_fill_(mass.others == 0, 0.0)
        gap = (mass.others * ahead).sum(1, keepdim=True)
        row_loss = torch.where(row_loss.isinf(), row_loss, row_loss + gap)
    if terms.z_loss:
        row_loss = row_loss + terms.z_loss * lse.square()
    call.loss[chunk.where] = torch.where(counts == 0, 0.0, row_loss).squeeze(1)
    if call.lse is not None:
        call.lse[chunk.where] = lse.squeeze(1).to(call.lse.dtype)
    if call.grad is not None and call.push is not None:
        push, pull = chunk.rows(call.push), None if call.pull is None else chunk.rows(call.pull)
        if terms.z_loss:
            pull = push * (2 * terms.z_loss * lse) + (0.0 if pull is None else pull)
        gradient = _gradient(s, mass, anchor, push, pull)
        if transforms:
            gradient.mul_(_slope(z, terms))
        if call.pull is None:
            gradient = _without_ignored(gradient, counts)
        chunk.classes(call.grad).copy_(gradient)


def _anchor(x: Tensor, call: _Call, chunk: _Chunk) -> Tensor:
    if call.target.is_floating_point():
        return x.argmax(1, keepdim=True)
    target = chunk.rows(call.target)
    return target.long().masked_fill(target == call.terms.ignore_index, 0)


def _softmax(x: Tensor, anchor: Tensor) -> _Softmax:
    widened = wide(x[:0]).dtype
    exps = _corrected_exps(x) if x.dtype == widened else torch.softmax(x, 1, dtype=widened)
    anchor_exp = exps.gather(1, anchor)
    exps.scatter_(1, anchor, 0.0)
    others = exps.sum(1, keepdim=True)
    total = others + anchor_exp
    return _Softmax(exps, anchor_exp, total, others / total)


def _corrected_exps(x: Tensor) -> Tensor:
    """``exp(x - max)``, right to the last digits however far below the maximum (Knuth's TwoSum)."""
    peak = x.amax(1, keepdim=True)
    d = x - peak
    peak_part = d - x
    error = torch.sub(x, d - peak_part).sub_(peak_part.add_(peak)).nan_to_num_(0.0, 0.0, 0.0)
    exps = d.exp_()
    return torch.addcmul(exps, exps, error, out=error)


def _losses(s: _Softmax, x: Tensor, x_anchor: Tensor) -> tuple[Tensor, Tensor]:
    """``lse - x_anchor`` and the lse, with one class."""
    loss = torch.where(s.rest <= 0.5, -torch.log1p(-s.rest), -torch.log(s.anchor_exp / s.total))
    lost = s.anchor_exp < _LOST
    if x.device.type == "cpu" and not lost.any():
        return loss, x_anchor + loss
    lse = torch.logsumexp(wide(x), 1, keepdim=True)
    lse = lse.masked_fill(lse == torch.inf, torch.nan)
    return torch.where(lost, lse - x_anchor, loss), torch.where(lost, lse, x_anchor + loss)


def _mass(x: Tensor, anchor: Tensor, call: _Call, chunk: _Chunk) -> _Mass:
    terms, weight = call.terms, call.weight
    if not call.target.is_floating_point() and not terms.label_smoothing:
        every = torch.ones_like(anchor, dtype=torch.float64 if x.device.type != "mps" else torch.float32)
        return _Mass(every if weight is None else wide(weight)[anchor], None, 0.0)
    target = chunk.classes(call.target) if call.target.is_floating_point() else call.target
    mass = target_mass(wide(x), anchor, target, weight, terms.label_smoothing)
    at_anchor = mass.gather(1, anchor)
    mass.scatter_(1, anchor, 0.0)
    return _Mass(at_anchor, mass, mass.sum(1, keepdim=True))


def _gradient(s: _Softmax, mass: _Mass, anchor: Tensor, push: Tensor, pull: Tensor | None) -> Tensor:
    """With respect to the transformed logits; takes the place of ``s.exps``."""
    at_anchor = push * (mass.rest - mass.total * s.rest)
    slope = push * mass.total
    if pull is not None:
        slope = slope + pull
        at_anchor = at_anchor + pull * (s.anchor_exp / s.total)
    gradient = s.exps.mul_(slope / s.total)
    if mass.others is not None:
        gradient.sub_(mass.others.mul_(push))
    return gradient.scatter_(1, anchor, at_anchor)


def _slope(z: Tensor, terms: Terms) -> Tensor:
    """The derivative of `transformed`; 1 - tanh^2 without the subtraction."""
    if not terms.softcap:
        return torch.full_like(wide(z[:1, :1]), 1 / terms.temperature)
    tail = torch.exp(-2 * (wide(z) / terms.softcap).abs())
    return 4 / terms.temperature * tail / (1 + tail).square()


def _without_ignored(gradient: Tensor, counts: Tensor) -> Tensor:
    """Rows that do not count have gradient 0, even where they hold a NaN."""
    ignored = counts == 0
    if gradient.device.type == "cpu" and not ignored.any():
        return gradient
    return gradient.masked_fill_(ignored, 0.0)
