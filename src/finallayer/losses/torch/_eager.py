"""Whether torch runs a call as it is written, or something watches: a tracer, a transform, a mode, a subclass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd import forward_ad, function
from torch.nn import Parameter

if TYPE_CHECKING:
    SingleLevelFunction = function._SingleLevelFunction
else:
    # Function without what its apply() does for torch.func: nothing of ours comes here under a transform. The name is
    # torch's own to change.
    SingleLevelFunction = getattr(function, "_SingleLevelFunction", torch.autograd.Function)

PLAIN = (Tensor, Parameter)

is_compiling = torch.compiler.is_compiling
is_exporting = torch.compiler.is_exporting
_dispatch_modes = torch._C._len_torch_dispatch_stack
_functorch_level = torch._C._functorch.peek_interpreter_stack
is_legacy_batched = torch._C._functorch.is_legacy_batchedtensor
_tracing_state = torch._C._get_tracing_state


def as_written(tensor: Tensor) -> bool:
    """A plain tensor, no tracing, no ``torch.func`` level, no forward-mode AD.

    Not to be asked under torch.compile (`is_compiling`): its guards would hold dynamic sizes fast.
    """
    return (
        type(tensor) in PLAIN
        and _dispatch_modes() == 0
        and _functorch_level() is None
        and forward_ad._current_level < 0
        and _tracing_state() is None
    )


def in_transform() -> bool:
    """Whether a ``torch.func`` transform is in force."""
    return _functorch_level() is not None


def is_batched(upstream: Tensor | None) -> bool:
    """Whether this is many upstream gradients in one tensor, as under ``is_grads_batched=True``."""
    return upstream is not None and is_legacy_batched(upstream)


def is_simple_transform() -> bool:
    """Only vmap and at most one level of reverse-mode AD: what the vmap rules of `_transforms` serve."""
    stack = torch._C._functorch.get_interpreter_stack() or []
    kinds = [level.key() for level in stack]
    transform = torch._C._functorch.TransformType
    return all(k in (transform.Vmap, transform.Grad) for k in kinds) and kinds.count(transform.Grad) <= 1


def is_traced() -> bool:
    """Whether the call is being recorded as a graph of operations (torch.compile, make_fx, a dispatch mode)."""
    return is_compiling() or (_dispatch_modes() != 0 and _tracing_state() is None)


def is_autocast(tensor: Tensor) -> bool:
    """Whether autocast is on for the device of a tensor."""
    return tensor.device.type != "meta" and torch.is_autocast_enabled(tensor.device.type)


def call_backward_at_once(loss: Any) -> None:
    """Let the engine call ``loss.backward``, not a method that looks it up, where torch has a place for that."""
    node = getattr(loss, "_backward_cls", None)
    if node is not None:
        node.apply = loss.backward
