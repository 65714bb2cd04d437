"""Leaves no trace: whatever a run changes of what was there before it is put back.

Numbers are saved when an operator is about to change them; gradients when a backward pass or an assignment is; a
module's attributes when it is first called; an optimizer's state when it is about to step.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from operator import is_not
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from finallayer.live.replacing import preceded
from finallayer.live.torch.following import storage_of, tensors_in
from finallayer.live.torch.settings import generators_kept, settings_kept

#: Operators that change arguments though their schema doesn't say so, with where those stand.
_UNSAID = {
    "aten::native_batch_norm": (3, 4),
    "aten::cudnn_batch_norm": (3, 4),
    "aten::miopen_batch_norm": (3, 4),
    "aten::_batch_norm_with_update": (3, 4),
}


#: What a module keeps its tensors and parts in.
_HELD = ("_parameters", "_buffers", "_modules")


class _Numbers(NamedTuple):
    tensor: torch.Tensor
    saved: torch.UntypedStorage
    version: int | None


class _Attributes(NamedTuple):
    tensor: torch.Tensor
    grad: torch.Tensor | None
    requires_grad: bool
    data: torch.Tensor


class _Module(NamedTuple):
    """A module, its attributes, and what it keeps its tensors and parts in with what was in there."""

    module: nn.Module
    attributes: dict[str, Any]
    held: list[tuple[dict[str, Any], dict[str, Any]]]

    def restore(self) -> None:
        for now, before in ((vars(self.module), self.attributes), *self.held):
            if (
                len(now) != len(before)
                or any(map(is_not, now.values(), before.values()))
                or now.keys() != before.keys()
            ):
                now.clear()
                now.update(before)


class Untouched:
    """What was there before, as far as something was about to change it."""

    def __init__(self) -> None:
        self._restoring = False
        self._made: set[int] = set()  # the storages that this run has made
        self._numbers: dict[int, _Numbers] = {}
        self._attributes: dict[int, _Attributes] = {}
        self._modules: dict[int, _Module] = {}
        self._optimizers: dict[int, tuple[Any, dict[Any, Any], list[dict[str, Any]]]] = {}

    @contextmanager
    def around(self) -> Iterator[None]:
        """Around a run, after which everything is as it was."""
        self._restoring = True
        with ExitStack() as undo:
            undo.enter_context(generators_kept())
            undo.enter_context(settings_kept())
            undo.callback(self._restore)
            undo.callback(register_optimizer_step_pre_hook(lambda optimizer, *_: self._optimizer(optimizer)).remove)
            undo.enter_context(preceded(nn.Module, "train", self._before_train))
            undo.enter_context(preceded(torch.autograd, "_engine_run_backward", self._before_backward))
            yield

    def made(self, results: Iterable[torch.Tensor], given: Iterable[torch.Tensor]) -> None:
        """These are what the run has made of others, unless they share their numbers with those."""
        if not self._restoring:
            return
        there = {storage_of(tensor) for tensor in given}
        self._made.update(s for t in results if (s := storage_of(t)) is not None and (s not in there))

    def fresh(self, storage: int | None) -> None:
        """The run has made this storage."""
        if storage is not None:
            self._made.add(storage)

    def changing(self, operator: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[torch.Tensor]:
        """The tensors that an operator is about to change, their numbers saved."""
        changed = [t for value in changed_by(operator, args, kwargs) for t in tensors_in(value)]
        for tensor in changed if self._restoring else ():
            storage = storage_of(tensor)
            if storage is not None and storage not in self._made and storage not in self._numbers:
                self._numbers[storage] = _Numbers(tensor, _copied(tensor), _version(tensor))
        return changed

    def assigned(self, tensor: torch.Tensor) -> None:
        """A tensor's gradient, numbers or flag are about to be replaced by others."""
        if self._restoring and id(tensor) not in self._attributes:
            self._attributes[id(tensor)] = _Attributes(tensor, tensor.grad, tensor.requires_grad, tensor.detach())

    def module(self, module: nn.Module) -> None:
        """A module is about to run, or to change its mode."""
        if self._restoring and id(module) not in self._modules:
            attributes = vars(module)
            held = [(own, own.copy()) for name in _HELD if (own := attributes.get(name))]
            self._modules[id(module)] = _Module(module, attributes.copy(), held)

    def _optimizer(self, optimizer: Any) -> None:
        if id(optimizer) not in self._optimizers:
            state = {p: dict(s) if isinstance(s, dict) else s for p, s in optimizer.state.items()}
            self._optimizers[id(optimizer)] = optimizer, state, [dict(g) for g in optimizer.param_groups]

    def _before_train(self, module: nn.Module, *_: Any) -> None:
        for inner in module.modules():
            self.module(inner)

    def _before_backward(self, roots: Any, *_: Any, **__: Any) -> None:
        for leaf in _leaves(list(tensors_in(roots))):
            self.assigned(leaf)

    def _restore(self) -> None:
        for module in self._modules.values():
            module.restore()
        for optimizer, state, groups in self._optimizers.values():
            optimizer.state.clear()
            optimizer.state.update(state)
            for group, before in zip(optimizer.param_groups, groups, strict=False):
                group.clear()
                group.update(before)
        with torch.no_grad():
            for kept in self._attributes.values():
                self._reassign(kept)
            for storage in self._numbers.values():
                storage.tensor.untyped_storage().copy_(storage.saved)
                if storage.version is not None:
                    with suppress(AttributeError, RuntimeError, TypeError):
                        torch._C._autograd._unsafe_set_version_counter((storage.tensor,), (storage.version,))

    @staticmethod
    def _reassign(kept: _Attributes) -> None:
        tensor = kept.tensor
        if storage_of(tensor) != storage_of(kept.data):
            tensor.data = kept.data
        if tensor.grad is not kept.grad:
            tensor.grad = kept.grad
        if tensor.is_leaf and tensor.requires_grad != kept.requires_grad:
            tensor.requires_grad_(kept.requires_grad)


def changed_by(operator: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[Any]:
    """The arguments that an operator changes."""
    schema = operator._schema
    unsaid = _UNSAID.get(schema.name, ())
    if not schema.is_mutable and not unsaid:
        return
    for number, parameter in enumerate(schema.arguments):
        writes = parameter.alias_info is not None and parameter.alias_info.is_write
        if writes or number in unsaid:
            yield args[number] if number < len(args) else kwargs.get(parameter.name)


def _copied(tensor: torch.Tensor) -> torch.UntypedStorage:
    copied: torch.UntypedStorage = tensor.untyped_storage().clone()  # type: ignore[no-untyped-call]
    return copied


def _version(tensor: torch.Tensor) -> int | None:
    try:
        return tensor._version
    except RuntimeError:  # of inference tensors there are none
        return None


def _leaves(roots: Sequence[torch.Tensor]) -> Iterator[torch.Tensor]:
    """The tensors whose gradients a backward pass from these adds up."""
    waiting = [root.grad_fn for root in roots if root.grad_fn is not None]
    yield from (root for root in roots if root.grad_fn is None and root.requires_grad)
    seen = set()
    while waiting:
        node = waiting.pop()
        if node in seen:
            continue
        seen.add(node)
        variable = getattr(node, "variable", None)
        if variable is not None:
            yield variable
        waiting += [inner for inner, _ in node.next_functions if inner is not None]
