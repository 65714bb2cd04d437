"""What ``torch.func`` wraps and unwraps: rows of a batch that ``vmap`` goes through, and what is differentiated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib import import_module
from typing import Any, Protocol

import torch

from finallayer.expr import Node, make
from finallayer.live.replacing import replaced

#: Where torch's transforms take a tensor and give another for it, and whether what they give may be a gradient.
_PLACES = {
    ("torch._functorch.vmap", "_add_batch_dim"): False,
    ("torch._functorch.vmap", "_remove_batch_dim"): False,
    ("torch._functorch.eager_transforms", "_unwrap_for_grad"): True,
}


class Following(Protocol):
    """Who knows what tensors hold."""

    def known(self, tensor: torch.Tensor) -> Node | None: ...
    def bind(self, tensor: torch.Tensor, node: Node) -> None: ...
    def not_followed(self, tensor: torch.Tensor) -> None: ...


@contextmanager
def followed(following: Following) -> Iterator[None]:
    """While what a transform gives holds what it was given; a gradient, or a tangent, is not followed, and named."""
    with ExitStack() as undo:
        for (module, name), may_be_gradient in _PLACES.items():
            owner = import_module(module)
            if hasattr(owner, name):
                telling = partial(_telling, may_be_gradient=may_be_gradient, following=following)
                undo.enter_context(replaced(owner, name, telling))
        yield


def _telling(original: Callable[..., Any], may_be_gradient: bool, following: Following) -> Callable[..., Any]:
    def wrap(tensor: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(tensor, *args, **kwargs)
        if isinstance(result, torch.Tensor) and isinstance(tensor, torch.Tensor):
            node = following.known(tensor)
            if node is not None:
                following.bind(result, make("reshape", node, rank=result.dim()))
            elif may_be_gradient:
                following.not_followed(result)
        return result

    return wrap
