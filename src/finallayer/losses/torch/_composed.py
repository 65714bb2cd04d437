"""The row losses as one formula in torch's own differentiable operations.

For what a kernel cannot do: forward-mode AD, derivatives of any order, nested ``torch.func`` transforms, meta tensors,
tracing, targets and weights that are themselves learned. With ``u`` the log of the sum of the other classes'
exponentials minus the anchor's logit, ``lse - z_anchor = softplus(u)``; its derivatives, ``sigmoid(u)`` and so on, keep
their digits at both ends, so autograd's are as exact as the loss.

Classes lie on dimension 1, of (N, C, d1, ..., dk).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from finallayer.losses.torch._kernel import Terms


def wide(tensor: Tensor) -> Tensor:
    """In float64, where the device has it."""
    return tensor.to(torch.float32 if tensor.device.type == "mps" else torch.float64)


def rows(
    logits: Tensor, target: Tensor, weight: Tensor | None, terms: Terms, want_lse: bool = True
) -> tuple[Tensor, Tensor | None]:
    """Each row's loss, before its weight and any reduction, and its log-sum-exp: (N, d1, ..., dk), `wide`.

    The anchor is the target, or the largest logit where the target is a distribution.
    """
    if logits.shape[1] == 0:
        return wide(logits).sum(1), wide(logits).sum(1)  # nothing to lose, in the graph
    z = transformed(wide(logits), terms.softcap, terms.temperature)
    lse = log_sum_exp(z) if want_lse else None
    ignored = None
    if target.is_floating_point():
        anchor = z.detach().argmax(1, keepdim=True)
    else:
        ignored = (target == terms.ignore_index).unsqueeze(1)
        anchor = target.long().unsqueeze(1).masked_fill(ignored, 0)
        z = z.masked_fill(ignored, 0.0)  # before anything is computed: a NaN in an ignored row leaves no trace
    loss = _anchor_loss(z, anchor)
    if target.is_floating_point() or terms.label_smoothing:
        loss = _spread(loss, z, anchor, target_mass(z, anchor, target, weight, terms.label_smoothing))
    elif weight is not None:
        loss = _times(wide(weight)[anchor], loss)
    if terms.z_loss:
        loss = loss + terms.z_loss * log_sum_exp(z).unsqueeze(1).square()
    if ignored is not None:
        loss = loss.masked_fill(ignored, 0.0)
    return loss.squeeze(1), lse


def transformed(z: Tensor, softcap: float, temperature: float) -> Tensor:
    """``softcap * tanh(z / softcap) / temperature``; tanh so that its derivative, too, is right where it saturates."""
    if softcap:
        x = z / softcap
        tail = 2 * torch.sigmoid(-2 * x.abs())  # 1 - |tanh|: what 1 - tanh^2 would lose
        z = softcap * torch.where(x.abs() > 1, x.sign() * (1 - tail), torch.tanh(x))
    return z if temperature == 1.0 else z / temperature


def log_sum_exp(z: Tensor) -> Tensor:
    """Over dimension 1; NaN for a row that is all masked or holds +inf."""
    peak = z.detach().amax(1, keepdim=True)
    undefined = peak.isinf()
    shift = peak.masked_fill(undefined, 0.0)
    lse = shift + torch.log(torch.exp(z - shift).sum(1, keepdim=True))
    return lse.masked_fill(undefined, torch.nan).squeeze(1)


def target_mass(z: Tensor, anchor: Tensor, target: Tensor, weight: Tensor | None, label_smoothing: float) -> Tensor:
    """The mass that each row's loss puts on each class, with the shape of ``z``."""
    keep, smooth = 1 - label_smoothing, label_smoothing / z.shape[1]
    if target.is_floating_point():
        mass = keep * wide(target) + smooth
    else:
        mass = torch.zeros_like(z).scatter(1, anchor, keep) + smooth
    return mass if weight is None else mass * wide(weight).reshape(-1, *[1] * (z.dim() - 2))


def _anchor_loss(z: Tensor, anchor: Tensor) -> Tensor:
    """``lse - z_anchor``, as softplus of what the other classes are ahead."""
    z_anchor = z.gather(1, anchor)
    others = z.scatter(1, anchor, -torch.inf)
    peak = others.detach().amax(1, keepdim=True)
    alone = peak == -torch.inf
    shift = peak.masked_fill(alone, 0.0)
    exps = torch.exp(others - shift).sum(1, keepdim=True)
    ahead = torch.log(exps.masked_fill(alone, 1.0)) - (z_anchor - shift)
    loss = -F.logsigmoid(-ahead)  # F.softplus drops the tail from 20 on
    undefined = (z_anchor == torch.inf) | (alone & (z_anchor == -torch.inf))
    return loss.masked_fill(alone, 0.0).masked_fill(undefined, torch.nan)


def _spread(anchor_loss: Tensor, z: Tensor, anchor: Tensor, mass: Tensor) -> Tensor:
    """``sum_j mass_j (lse - z_j)``, by way of the anchor."""
    ahead = z.gather(1, anchor) - z
    ahead = ahead.masked_fill((mass == 0) & ahead.isinf(), 0.0)
    whole = _times(mass.sum(1, keepdim=True), anchor_loss)
    return torch.where(whole.isinf(), whole, whole + (mass * ahead).sum(1, keepdim=True))


def _times(mass: Tensor, loss: Tensor) -> Tensor:
    """The product; 0 where the mass is 0, even of a loss of infinity."""
    return mass * loss.masked_fill((mass == 0) & loss.isinf(), 0.0)


def gradient(
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None,
    terms: Terms,
    loss_upstream: Tensor,
    lse_upstream: Tensor,
) -> Tensor:
    """Of ``sum_i loss_upstream[i] loss_i + lse_upstream[i] lse_i``; itself differentiable, any number of times."""

    def weighted(z: Tensor) -> Tensor:
        loss, lse = rows(z, target, weight, terms)
        assert lse is not None
        return (loss * loss_upstream).sum() + (lse * lse_upstream).sum()

    found: Tensor = torch.func.grad(weighted)(logits)
    return found


def denominator(target: Tensor, weight: Tensor | None, row_weight: Tensor | None, terms: Terms, like: Tensor) -> Tensor:
    """What ``reduction="mean"`` divides by: the sum of the weights of the rows that count, in the dtype of ``like``."""
    counts = torch.ones_like(like)
    if not target.is_floating_point():
        ignored = target == terms.ignore_index
        if weight is not None:
            counts = wide(weight)[target.long().masked_fill(ignored, 0)]
        counts = counts.masked_fill(ignored, 0.0)
    return (counts if row_weight is None else counts * row_weight).sum()
