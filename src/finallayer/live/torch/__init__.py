"""PyTorch: a loss is run once while every operation is watched, and what it changed is put back."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from finallayer.expr import Node
from finallayer.kinds import Kind
from finallayer.live.observation import Blind, Observation
from finallayer.live.torch.observer import Observer


def observe(loss: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Observation:
    """Run a loss once and tell what it does."""
    observer = Observer()
    with observer.watching():
        for name, value in _named(loss, args, kwargs).items():
            if isinstance(value, torch.Tensor):
                observer.named(value, name)
        given = loss(*args, **kwargs)
        losses = [n for n in map(observer.node, _losses(given)) if n is not None]
    seen, blind = observer.recorder.sightings(), _blind(observer, losses)
    return Observation(seen, losses, blind, observer.measuring.batches, observer.altered)


def _named(loss: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments by the names that the loss gives them."""
    try:
        return dict(inspect.signature(loss).bind(*args, **kwargs).arguments)
    except (TypeError, ValueError):
        return {**{f"argument {i}": a for i, a in enumerate(args, 1)}, **kwargs}


def _losses(given: Any) -> list[torch.Tensor]:
    """What a loss gives back to be minimised: the tensor, or those of a tuple or dictionary."""
    if isinstance(given, torch.Tensor):
        return [given]
    if isinstance(given, Mapping):
        given = list(given.values())
    return [t for t in given if isinstance(t, torch.Tensor)] if isinstance(given, (list, tuple)) else []


def _blind(observer: Observer, losses: Sequence[Node]) -> list[Blind]:
    """What isn't understood between the losses and the predictions that they are made of."""
    found: dict[Blind, None] = {}
    waiting, seen = list(losses), set[int]()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if node.kind not in (Kind.UNKNOWN,):
            continue
        if id(node) in observer.unknown:
            _, blind, handed = observer.unknown[id(node)]
            found[blind] = None
            waiting += handed
        waiting += node.args
    return list(found)
