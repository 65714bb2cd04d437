"""The same cross-entropy in torch's own operations: for other devices and dtypes, and where no kernel was built.

Row by row as in ``finallayer_kernels.cpp`` (the anchor class is kept out of the sum), in float64 where the device
has it.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from finallayer.losses.torch._kernel import Terms, out_of_range, real_dtype


def _wide(tensor: Tensor) -> Tensor:
    return tensor.to(torch.float32 if tensor.device.type == "mps" else torch.float64)


def _check_range(target: Tensor, ignored: Tensor, classes: int) -> None:
    """On the CPU, in the words of the kernel's path; elsewhere the gather itself fails, and no check has to wait."""
    if target.device.type != "cpu":
        return
    wrong = ~ignored & ((target < 0) | (target >= classes))
    if wrong.any():
        raise out_of_range(target, int(wrong.nonzero()[0]), classes)


class _Rows(NamedTuple):
    """Per row, with shape (rows, 1); per class, with shape (rows, classes)."""

    anchor: Tensor  # class index
    anchor_loss: Tensor  # lse - z_anchor
    lse: Tensor
    softmax: Tensor  # per class
    others_share: Tensor  # 1 - softmax at the anchor, without the subtraction
    mass: Tensor  # per class: the target's mass, 0 at the anchor
    anchor_mass: Tensor
    rest_mass: Tensor
    gap: Tensor  # sum_j mass_j (z_anchor - z_j)
    counts: Tensor  # 0 for an ignored row, else 1


def _rows(logits: Tensor, target: Tensor, weight: Tensor | None, terms: Terms) -> _Rows:
    z = _wide(logits.detach())
    classes = z.shape[1]
    smooth, keep = terms.label_smoothing / max(classes, 1), 1 - terms.label_smoothing
    if target.is_floating_point():
        anchor = z.argmax(dim=1, keepdim=True)
        probabilities = keep * _wide(target.detach()) + smooth
        counts = torch.ones_like(z[:, :1])
    else:
        ignored = (target == terms.ignore_index).unsqueeze(1)
        _check_range(target, ignored.squeeze(1), classes)
        anchor = target.long().unsqueeze(1).masked_fill(ignored, 0)
        probabilities = torch.full_like(z, smooth).scatter_add(1, anchor, torch.full_like(z[:, :1], keep))
        counts = (~ignored).to(z.dtype)
    mass = probabilities if weight is None else probabilities * _wide(weight)
    anchor_mass = mass.gather(1, anchor)
    mass = mass.scatter(1, anchor, 0.0)

    z_anchor = z.gather(1, anchor)
    others = z.scatter(1, anchor, -torch.inf)
    peak = others.amax(dim=1, keepdim=True)
    exps = torch.exp(others - peak.masked_fill(peak == -torch.inf, 0.0))
    others_sum = exps.sum(dim=1, keepdim=True)
    q = torch.where(peak == -torch.inf, torch.inf, z_anchor - peak)
    scale = torch.exp(-q.clamp(min=0))
    anchor_exp = torch.exp(q.clamp(max=0))
    total = others_sum * scale + anchor_exp
    anchor_loss = torch.where(q > 0, torch.log1p(others_sum * scale), torch.log(total) - q)
    lse = torch.where(q > 0, z_anchor + anchor_loss, peak + torch.log(total))
    undefined = (z_anchor == torch.inf) | ((z_anchor == -torch.inf) & (peak == -torch.inf))
    anchor_loss, lse, scale = (v.masked_fill(undefined, torch.nan) for v in (anchor_loss, lse, scale))
    gap = torch.where(mass == 0, 0.0, mass * (z_anchor - z)).sum(dim=1, keepdim=True)
    return _Rows(
        anchor,
        anchor_loss,
        lse,
        (exps * scale / total).scatter(1, anchor, anchor_exp / total),
        others_sum * scale / total,
        mass,
        anchor_mass,
        mass.sum(dim=1, keepdim=True),
        gap,
        counts,
    )


def forward(logits: Tensor, target: Tensor, weight: Tensor | None, terms: Terms) -> tuple[Tensor, Tensor]:
    """Each row's loss and log-sum-exp, (rows,) float32 (float64 for float64)."""
    r = _rows(logits, target, weight, terms)
    mass = r.anchor_mass + r.rest_mass
    weighted = torch.where(mass == 0, 0.0, mass * r.anchor_loss)
    loss = torch.where(weighted == torch.inf, weighted, weighted + r.gap)
    if terms.z_loss:
        loss = loss + terms.z_loss * r.lse.square()
    loss = torch.where(r.counts == 0, 0.0, loss)
    real = real_dtype(logits.dtype)
    return loss.squeeze(1).to(real), r.lse.squeeze(1).to(real)


def backward(
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None,
    terms: Terms,
    loss_upstream: Tensor,
    lse_upstream: Tensor,
) -> Tensor:
    """The gradient of ``sum_i loss_upstream[i] loss_i + lse_upstream[i] lse_i``, in the dtype of the logits."""
    r = _rows(logits, target, weight, terms)
    push = _wide(loss_upstream).unsqueeze(1) * r.counts
    lse_pull = _wide(lse_upstream).unsqueeze(1) + 2 * terms.z_loss * r.lse * push
    mass = r.anchor_mass + r.rest_mass
    gradient = (push * mass + lse_pull) * r.softmax - push * r.mass
    at_anchor = push * (r.rest_mass - mass * r.others_share) + lse_pull * r.softmax.gather(1, r.anchor)
    gradient = gradient.scatter(1, r.anchor, at_anchor)
    idle = (push == 0) & (_wide(lse_upstream).unsqueeze(1) == 0) & (r.counts == 0)
    return gradient.masked_fill(idle, 0.0).to(logits.dtype)
