"""PyTorch: each loss whose backward pass is called, with the logits and labels that its graph shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch.utils.data import DataLoader

from finallayer.live.replacing import replaced
from finallayer.running.ledger import Ledger
from finallayer.running.samples import Samples, of_classes, of_outcomes
from finallayer.watch.of_graph import Prediction, along, outcomes, prediction

_FUNCTIONS = ("cross_entropy", "nll_loss")


@contextmanager
def around(ledger: Ledger, _module: str) -> Iterator[None]:
    """Inside, every step of a loop of the program's own, or of a trainer on PyTorch, is counted."""
    seen = _Seen(ledger)
    with ExitStack() as undo:
        for home, name, made in (
            (torch.autograd, "backward", seen.stepping),
            (DataLoader, "__iter__", seen.iterating),
            *((torch.nn.functional, name, seen.evaluating) for name in _FUNCTIONS),
        ):
            undo.enter_context(replaced(home, name, made))
        yield


class _Seen:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._latest: int | None = None  # the loader that batches came from last
        self._trains: int | None = None  # the one that the training's come from: an epoch begins where it does

    def stepping(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """``torch.autograd.backward``, which takes a step."""

        def backward(tensors: Any, *args: Any, **kwargs: Any) -> Any:
            if self._ledger.trainer is not None or not isinstance(tensors, torch.Tensor):
                return original(tensors, *args, **kwargs)
            if not self._ledger.began:
                self._trains = self._latest
            if self._ledger.audit is None and tensors.grad_fn is not None:
                self._audit(tensors)
            with _Gradient(self._found(tensors)) as found:
                given = original(tensors, *args, **kwargs)
            self._ledger.step(found.samples())
            return given

        return backward

    def iterating(self, original: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """``DataLoader.__iter__``, which begins an epoch."""

        def begins(loader: Any) -> Any:
            self._latest = id(loader)
            if self._trains == id(loader) and self._ledger.in_epoch:
                self._ledger.end_epoch()
            return original(loader)

        return begins

    def evaluating(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """A loss, which without a gradient is that of a validation."""

        def evaluated(*args: Any, **kwargs: Any) -> Any:
            ledger = self._ledger
            if not torch.is_grad_enabled() and ledger.trainer is None and ledger.began:
                given = [*args, *(kwargs[k] for k in ("input", "target") if k in kwargs)]
                if len(given) > 1 and (seen := _held_out(*given[:2])) is not None:
                    ledger.held_out(seen)
            return original(*args, **kwargs)

        return evaluated

    def _found(self, loss: torch.Tensor) -> Prediction | None:
        found = None
        if loss.grad_fn is not None:
            found = prediction(loss, deepest=True) or outcomes(loss)
        if found is None:
            self._ledger.note("a PyTorch loss whose graph shows no logits and labels was not measured")
        return found

    def _audit(self, loss: torch.Tensor) -> None:
        from finallayer.running.first_loss import audited

        seen = prediction(loss)
        audited(self._ledger, str(seen.scores.dtype).removeprefix("torch.") if seen else "float32", loss)


class _Gradient:
    """A prediction, and while it is entered, the gradient of its logits that a backward pass gives."""

    def __init__(self, found: Prediction | None) -> None:
        self._found = found
        self._gradient: torch.Tensor | None = None

    def __enter__(self) -> _Gradient:
        if self._found is not None:
            self._hook = self._found.node.register_hook(self._given)
        return self

    def __exit__(self, *_raised: object) -> None:
        if self._found is not None:
            self._hook.remove()

    def _given(self, inner: Any, _outer: Any) -> None:
        self._gradient = inner[0]

    def samples(self) -> Samples | None:
        """What the batch comes to."""
        if self._found is None:
            return None
        scores, target, are_probabilities, node = self._found
        gradient = self._gradient
        if scores.dim() > 1 and gradient is not None:
            gradient = gradient.movedim(along(node), -1)
        tensors = [scores, target] if gradient is None else [scores, target, gradient.reshape(scores.shape)]
        given = list(_arrays(*tensors))
        shown = given[2] if gradient is not None else None
        if scores.dim() > 1:
            return of_classes(given[0], given[1], are_probabilities, shown)
        return of_outcomes(given[0], given[1], are_probabilities, shown)


def _arrays(*tensors: torch.Tensor) -> Iterator[Any]:
    return (t.detach().to("cpu", torch.float64 if t.is_floating_point() else torch.int64).numpy() for t in tensors)


def _held_out(scores: Any, target: Any) -> Samples | None:
    """Of rows and class indices that a loss is handed."""
    if not (isinstance(scores, torch.Tensor) and isinstance(target, torch.Tensor)) or scores.dim() < 2:
        return None
    if torch.compiler.is_compiling() or scores.is_meta:
        return None
    rows = scores.detach().movedim(1, -1)
    labels = target.movedim(1, -1).argmax(-1) if target.is_floating_point() else target
    if labels.shape != rows.shape[:-1]:
        return None
    of_rows, indices = _arrays(rows.reshape(-1, rows.shape[-1]), labels.reshape(-1))
    return of_classes(of_rows, indices, False)
