"""What a loss is handed, and what it gives back to be minimised."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def by_name(loss: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments by the names that the loss gives them."""
    try:
        return dict(inspect.signature(loss).bind(*args, **kwargs).arguments)
    except (TypeError, ValueError):
        return {**{f"argument {i}": a for i, a in enumerate(args, 1)}, **kwargs}


def minimised(given: Any, tensor: type | tuple[type, ...]) -> list[Any]:
    """What a loss gives back to be minimised: the tensor, or those of a tuple or dictionary."""
    if isinstance(given, tensor):
        return [given]
    if isinstance(given, Mapping):
        given = list(given.values())
    return [t for t in given if isinstance(t, tensor)] if isinstance(given, (list, tuple)) else []
