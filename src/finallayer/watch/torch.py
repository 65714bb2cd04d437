"""PyTorch: one object that counts, and a context in which it finds the loss by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from math import inf
from typing import Any

import torch

from finallayer.watch.notices import Notices
from finallayer.watch.of_graph import prediction
from finallayer.watch.quantities import BINS, EDGES, MOST_PROBED, SHARE, Counts, Limits, stride

#: So many steps' rows are kept until they are measured, within so many numbers.
KEPT, MOST_NUMBERS = 64, 2**22
#: Before the histogram: samples, silenced, collapsed, not finite, losses, how many of these.
TOTALS = 6
TINY = 1e-37
FIX = (
    "Rules FL201 to FL204: hand the logits to `cross_entropy`, or take the log by `log_softmax`, in place of a log of "
    "a softmax. `finallayer explain FL203` says why, `finallayer fix` does it."
)


class Watch:
    """Counts what a training run's final layer does: give it the logits and labels of each step, or let it find them.

    ``loss``: the loss that the model is trained by, to be probed at the first step for its safe margin
    (``finallayer.probe``); or ``limits``. Without either, a loss of logits is assumed, which silences nothing, until
    one that is found is audited. ``share``: of the samples of a large batch that are measured, evenly spread; 1 for
    all. Of a batch of few logits all are.

    Nothing is fetched from the device until ``values()`` is called.
    """

    def __init__(
        self, loss: Callable[..., Any] | None = None, *, limits: Limits | None = None, share: float = SHARE
    ) -> None:
        self.limits = limits or Limits()
        self._to_probe = loss if limits is None else None
        self._to_audit = limits is None and loss is None
        self.share = share
        self.notices = Notices(FIX)
        self._buffer: _Buffer | None = None
        self._totals: torch.Tensor | None = None

    @torch.no_grad()
    def update(self, logits: torch.Tensor, target: torch.Tensor, loss: torch.Tensor | None = None) -> None:
        """Count one step.

        ``logits``: shape ``(N, C)`` or ``(N, C, ...)``, as ``torch.nn.functional.cross_entropy`` takes them, any float
        dtype. ``target``: class indices, -100 ignored, or distributions of the logits' shape, of which the likeliest
        class counts. ``loss``: the step's mean loss, a tensor of one number; without it the cross-entropy of the
        measured rows stands for it.

        Raises ``ValueError`` where the shapes don't fit.
        """
        logits = logits.detach()
        if logits.dim() > 2:
            logits = logits.movedim(1, -1).reshape(-1, logits.shape[1])
        if target.is_floating_point():
            target = target.movedim(1, -1).flatten(0, -2).argmax(-1)
        if logits.dim() != 2 or target.numel() != len(logits):
            raise ValueError(f"expected logits (N, C) and N labels, not {tuple(logits.shape)}, {tuple(target.shape)}")
        self._keep(logits, target.detach().reshape(-1), loss, False)

    def found(self, loss: torch.Tensor) -> bool:
        """Count one step whose logits and labels the graph of its loss shows; whether it does.

        The first such loss is audited (``finallayer.audit``), for its safe margin, where no other was given.
        """
        seen = prediction(loss) if loss.grad_fn is not None else None
        if seen is not None and self._to_audit:
            self._audit(loss)
        if seen is not None:
            with torch.no_grad():
                self._keep(seen.scores.detach(), seen.target, loss, seen.are_probabilities)
        return seen is not None

    def values(self) -> dict[str, float]:
        """The quantities since the last ``reset()``, by the names under which they are logged; this waits for the
        device."""
        return self._counts().values(self.limits.floor)

    def histogram(self) -> list[float]:
        """How many margins lay between each two of ``finallayer.watch.quantities.EDGES``: 64 numbers."""
        return list(self._counts().histogram)

    def reset(self) -> None:
        """Begin anew, as after an epoch; what is wrong is said once."""
        self.notices.after_epoch(self.values())
        self._totals = None

    def __enter__(self) -> Watch:
        self._context = backwards(self.found)
        self._context.__enter__()
        return self

    def __exit__(self, *_raised: object) -> None:
        self._context.__exit__(None, None, None)
        del self._context
        self.notices.after_epoch(self.values())

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_context"}  # which is of this process

    def _audit(self, loss: torch.Tensor) -> None:
        from finallayer.auditing import audit

        self._to_audit = False
        seen = audit(loss)
        margin = (seen.safe_margin or {}).get("float32", inf)
        self.limits = replace(self.limits, silenced=margin)
        self.notices.audited(seen.findings, margin)

    def _keep(self, scores: torch.Tensor, target: torch.Tensor, loss: torch.Tensor | None, are_probs: bool) -> None:
        if self._to_probe is not None:
            self.limits, self._to_probe = _probed(self._to_probe, scores.shape[-1]), None
        if not scores.numel():  # an empty batch
            return
        step = stride(scores.numel(), self.share)
        if step > 1:
            scores, target = scores[::step], target[::step]
        like = (scores.shape, scores.dtype, scores.device, are_probs, loss is not None)
        if self._buffer is None or self._buffer.like != like:
            self._flush()
            self._buffer = _Buffer(like)
        if self._buffer.add(scores, target, loss):
            self._flush()

    @torch.no_grad()
    def _flush(self) -> None:
        """Measure what was kept."""
        if self._buffer is None or not self._buffer.filled:
            return
        totals = self._buffer.counted(self.limits)
        self._totals = totals if self._totals is None else self._totals.to(totals.device) + totals
        self._buffer.filled = 0

    def _counts(self) -> Counts:
        self._flush()
        numbers = [0.0] * (TOTALS + BINS) if self._totals is None else self._totals.tolist()
        samples, silenced, collapsed, nonfinite, losses, weighed = numbers[:TOTALS]
        return Counts(samples, silenced, collapsed, nonfinite, losses, weighed, numbers[TOTALS:])


class _Buffer:
    """The rows of a few steps, of one shape, which are measured together."""

    def __init__(self, like: tuple[torch.Size, torch.dtype, torch.device, bool, bool]) -> None:
        self.like = like
        shape, dtype, device, self.are_probabilities, self.has_loss = like
        self.steps = max(1, min(KEPT, MOST_NUMBERS // max(1, shape.numel())))
        self.filled = 0
        self.scores = torch.empty((self.steps, *shape), dtype=dtype, device=device)
        self.target = torch.empty((self.steps, shape[0]), dtype=torch.int64, device=device)
        self.losses = torch.zeros(self.steps, dtype=torch.float32, device=device)
        self.edges = torch.tensor(EDGES, dtype=torch.float32, device=device)
        self.places = [(self.scores[k], self.target[k], self.losses[k]) for k in range(self.steps)]

    def add(self, scores: torch.Tensor, target: torch.Tensor, loss: torch.Tensor | None) -> bool:
        """Copy one step's; whether the buffer is full."""
        kept, labels, value = self.places[self.filled]
        kept.copy_(scores)
        labels.copy_(target)
        if loss is not None:
            value.copy_(loss.detach())
        self.filled += 1
        return self.filled == self.steps

    def counted(self, limits: Limits) -> torch.Tensor:
        """The totals and the histogram, on the device."""
        scores = self.scores[: self.filled].flatten(0, 1).float()
        target = self.target[: self.filled].flatten()
        counted = (target >= 0) & (target < scores.shape[-1])
        z = scores.clamp(min=TINY).log() if self.are_probabilities else scores
        at = torch.where(counted, target, 0)[:, None]
        own = z.gather(1, at)[:, 0]
        best = z.scatter_(1, at, float("-inf")).amax(1)  # in place, as all that follows: nobody else reads the buffer
        odds = z.sub_(best[:, None]).exp_().sum(1).log() + best - own
        margin = best - own
        finite = torch.isfinite(odds)
        known = counted & finite
        each = torch.nn.functional.softplus(torch.where(known, odds, 0))
        told = self.losses[: self.filled]
        losses = [told.nan_to_num(0, 0, 0).sum(), torch.isfinite(told).sum()]
        if not self.has_loss:
            losses = [(each * known).sum(), known.sum()]
        counts = [counted, (odds > limits.silenced) & counted, (odds < -limits.collapsed) & counted, counted & ~finite]
        totals = torch.stack([*(c.sum().float() for c in counts), *(one.float() for one in losses)])
        histogram = torch.zeros(BINS, device=z.device)
        histogram.scatter_add_(0, torch.bucketize(margin.nan_to_num(), self.edges), known.float())
        return torch.cat([totals, histogram]).double()


@contextmanager
def backwards(saw: Callable[[torch.Tensor], Any]) -> Iterator[None]:
    """While every loss whose backward pass is called is seen before that."""
    backward = torch.autograd.backward

    def watched(tensors: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(tensors, torch.Tensor):
            saw(tensors)
        return backward(tensors, *args, **kwargs)

    torch.autograd.backward = watched
    try:
        yield
    finally:
        torch.autograd.backward = backward


def _probed(loss: Callable[..., Any], classes: int) -> Limits:
    from finallayer.probing import probe

    with torch.enable_grad():
        return Limits.of(probe(loss, min(classes, MOST_PROBED), framework="torch"))
