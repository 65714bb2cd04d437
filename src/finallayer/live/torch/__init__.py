"""PyTorch: a loss is run once while every operation is watched, and what it changed is put back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from finallayer.live.handing import by_name, minimised
from finallayer.live.observation import Observation
from finallayer.live.stack import Stack
from finallayer.live.torch import graph
from finallayer.live.torch.following import tensors_in
from finallayer.live.torch.observer import TORCH, Observer


def observe(loss: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Observation:
    """Run a loss once and tell what it does."""
    with watching(loss, args, kwargs) as seen:
        return seen(loss(*args, **kwargs))


@contextmanager
def watching(
    loss: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Iterator[Callable[[Any], Observation]]:
    """Around a run of a loss on these arguments; gives what tells of it, once it has given its result."""
    observer = Observer()
    with observer.watching():
        for name, value in by_name(loss, args, kwargs).items():
            if isinstance(value, torch.Tensor):
                observer.named(value, name)
        yield lambda given: observer.observation(minimised(given, torch.Tensor))


def read(loss: torch.Tensor) -> Observation:
    """Tell what a loss tensor was computed by, as far as its autograd graph shows."""
    return graph.read(loss, Stack([TORCH]))


def is_tensor(value: object) -> bool:
    """Whether a value is a tensor of this framework's."""
    return isinstance(value, torch.Tensor)


def holds_arrays(*values: Any) -> bool:
    """Whether any tensor of this framework's is in these structures."""
    return any(True for _ in tensors_in(values))
