"""PyTorch: a loss is run once while every operation is watched, and what it changed is put back."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from finallayer.live.observation import Observation
from finallayer.live.stack import Stack
from finallayer.live.torch import graph
from finallayer.live.torch.observer import TORCH, Observer


def observe(
    loss: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], packages: Sequence[str] = ()
) -> Observation:
    """Run a loss once and tell what it does; ``packages``: folders of code that isn't the user's."""
    observer = Observer(packages)
    with observer.watching():
        for name, value in _named(loss, args, kwargs).items():
            if isinstance(value, torch.Tensor):
                observer.named(value, name)
        given = loss(*args, **kwargs)
        return observer.observation(_losses(given))


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


def read(loss: torch.Tensor) -> Observation:
    """Tell what a loss tensor was computed by, as far as its autograd graph shows."""
    return graph.read(loss, Stack([TORCH]))


def is_tensor(value: object) -> bool:
    """Whether a value is a tensor of this framework's."""
    return isinstance(value, torch.Tensor)
