"""Which node of the loss expression each tensor holds now: by identity, as long as nothing has changed its numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from weakref import ref

import torch

from finallayer.expr import Node, make


class _Entry(NamedTuple):
    tensor: Callable[[], Any]
    node: Node
    storage: int | None
    differentiable: bool  # it was made where gradients were asked for


class Following:
    """The tensors that are known, and what each of them holds."""

    def __init__(self) -> None:
        self._entries: dict[int, _Entry] = {}
        self._stored: dict[int, set[int]] = {}  # which tensors share a storage, by identity

    def get(self, tensor: torch.Tensor) -> Node | None:
        """What a tensor holds; None where nobody knows."""
        entry = self._entries.get(id(tensor))
        if entry is None or entry.tensor() is not tensor:
            return None
        if not entry.differentiable and torch.is_grad_enabled() and not tensor.requires_grad:
            self.bind(tensor, make("stop_gradient", entry.node))
            return self._entries[id(tensor)].node
        return entry.node

    def bind(self, tensor: torch.Tensor, node: Node) -> int | None:
        """From here on a tensor holds this; gives its storage."""
        storage = storage_of(tensor)
        self._entries[id(tensor)] = _Entry(ref(tensor), node, storage, torch.is_grad_enabled())
        if storage is not None:
            self._stored.setdefault(storage, set()).add(id(tensor))
        return storage

    def changed(self, tensor: torch.Tensor) -> None:
        """A tensor's numbers are others now, and those of every tensor that shares them."""
        storage = storage_of(tensor)
        sharing = self._stored.pop(storage, set()) if storage is not None else set()
        for key in {*sharing, id(tensor)}:
            self._entries.pop(key, None)


def tensors_in(value: Any) -> Iterator[torch.Tensor]:
    """Every tensor in a structure of lists, tuples and dictionaries."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from tensors_in(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from tensors_in(item)


def storage_of(tensor: torch.Tensor) -> int | None:
    """What tells whether two tensors share their numbers; None where a tensor hides it."""
    try:
        return int(tensor.untyped_storage()._cdata)
    except (RuntimeError, NotImplementedError, AttributeError):
        return None
