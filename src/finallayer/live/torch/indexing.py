"""Indexing: which entries ``tensor[index]`` picks, as the source front end would say it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from finallayer.catalog.applying import Applied
from finallayer.expr import MOVES, Node, through


def entries(read: Callable[[Any], Node | None], args: Sequence[Any]) -> Applied | None:
    """What an index picks of a tensor: an entry of each row, rows, or a part."""
    if len(args) != 2 or not isinstance(args[0], torch.Tensor):
        return None
    tensor, index = args
    parts = parts_of(index)
    whole = read(tensor)
    if whole is None:
        return None
    nodes = [read(part) for part in parts]
    attrs: dict[str, Any] = {}
    labels = [n for n in nodes if n is not None]
    if labels:
        attrs["at"] = str(labels[-1].attrs.get("name", labels[-1].op))
    counts = [n is not None and through(n, MOVES).op == "numbers" for n in nodes]
    if len(parts) == 2 and counts.count(True) == 1 and nodes[counts.index(False)] is not None:
        attrs |= {"each": True, "picked_along": counts.index(False)}
    elif len(parts) > 1 and nodes[-1] is not None and all(n is not None for n in nodes):
        attrs["each"] = True
    elif type(parts[0]) is int or isinstance(parts[0], slice):
        attrs["rows"] = True
    return Applied("index", [whole, *labels], attrs)


def parts_of(index: Any) -> tuple[Any, ...]:
    """What an index says of each axis; a mode is handed a tuple of tensors as a list."""
    if isinstance(index, list) and any(isinstance(part, torch.Tensor) for part in index):
        return tuple(index)
    return index if isinstance(index, tuple) else (index,)
