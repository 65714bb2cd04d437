"""The shortest way to the kernel, for the usual calls, where Python's own steps are most of the cost.

At 32 x 10, ``F.cross_entropy`` and its backward pass take 35 microseconds, mostly autograd's. So: what calls of one
kind have in common is checked and packed once (a `Plan`); a call only checks its tensors. No autograd function where no
gradient is wanted, and the inputs are kept on ``ctx`` with their version instead of through ``save_for_backward``.
Whatever is not as usual is left to the general way, which says what is wrong with it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn, cast

import torch
from torch import Tensor

from finallayer import kernels
from finallayer.losses.torch import _eager, _kernel, _recorded, _upstream

# Up to here, keeping the logits alive until the loss itself is dropped costs nothing worth saving.
MOST_LOGITS = 1 << 18
_MOST_PLANS = 256

#: None: no call goes this way.
LIBRARY: Any = _kernel.LIBRARY

Tensors = tuple[Tensor, Tensor, Tensor | None, Tensor | None]  # logits, target, and weights

_item_bytes = {dtype: dtype.itemsize for dtype in (*_kernel.DTYPES, *_kernel.INDEX_KINDS)}
_like = {dtype: torch.zeros((), dtype=dtype, device="cpu") for dtype in _kernel.DTYPES}
_plain = _eager.PLAIN
_strided = torch.strided
_empty_like = torch.empty_like
_is_grad_enabled = torch.is_grad_enabled
_functorch_level = torch._C._functorch.peek_interpreter_stack
_is_batched = _eager.is_legacy_batched
_threads = torch.get_num_threads
_expected = _upstream.expected
_expected_of_all_rows = _upstream.expected_of_all_rows
_of_all_rows = _upstream.of_all_rows
_pack_into = kernels.CHANGING_ARGS.pack_into
_Gradient = Callable[[Tensors, Tensor, Tensor | None, float], Tensor | None]


class Plan(NamedTuple):
    """What calls of one kind have in common."""

    function: str  # of the library; "": torch's own operations, by `native`
    template: Any  # the type of its argument struct, and the bytes of one with what changes left out
    native: Callable[..., bool] | None
    per_row: bool  # no reduction
    loss: Tensor  # of its shape and dtype
    logits: int  # how many
    dtypes: tuple[torch.dtype, ...]  # of the tensors
    counts: tuple[int, ...]  # of their elements
    gradient: _Gradient  # for every backward pass that is not as usual
    fail: Callable[[int, Any, Tensor], NoReturn]
    recorded: _recorded.Loss | None = None  # instead of `native`, where that costs less


class Plans(dict[Any, Plan | None]):
    """Those that were made, by what they were made for; None: there is none for that."""

    def made(self, key: Any, make: Callable[..., Plan | None]) -> Plan | None:
        if key not in self:
            plan = make(*key)
            if len(self) >= _MOST_PLANS:
                self.clear()
            self[key] = plan
        return self[key]


def template(arguments: Any, members: tuple[Any, ...]) -> tuple[Any, bytes]:
    """For a `Plan`: a struct with the given members after those that change."""
    return ctypes.c_char * arguments.size, arguments.pack(*[0] * 8, 0.0, 0, *members)


def loss_like(dtype: torch.dtype, shape: torch.Size | None) -> Tensor:
    """A tensor to make losses like, one number large whatever its shape; None: without dimensions."""
    return _like[dtype] if shape is None else _like[dtype].expand(shape)


def loss(plan: Plan, tensors: Tensors) -> Tensor | None:
    """The loss, if the tensors (of the plan's shapes and dtypes) are dense memory of the CPU, all of it there."""
    if plan.native is not None:
        return _native_loss(plan, tensors)
    logits, target, first, second = tensors
    dtypes, counts = plan.dtypes, plan.counts
    try:
        at_logits, at_target = _place(logits, dtypes[0], counts[0]), _place(target, dtypes[1], counts[1])
        at_first = 0 if first is None else _place(first, dtypes[2], counts[2])
        at_second = 0 if second is None else _place(second, dtypes[3], counts[3])
    except RuntimeError:  # there is no memory behind it
        return None
    if not (at_logits and at_target and (first is None or at_first) and (second is None or at_second)):
        return None
    job = plan, tensors, (at_logits, at_target, at_first, at_second), None
    if logits.requires_grad and _is_grad_enabled():
        return _apply(logits, job)
    result = _empty_like(plan.loss)
    _call(job, 0, result.data_ptr(), 0, 1.0)
    return result


def _native_loss(plan: Plan, tensors: Tensors) -> Tensor | None:
    """The same where there is no library, the gradient computed ahead."""
    assert plan.native is not None
    logits = tensors[0]
    if not _are_readable(plan, tensors):
        return None
    differentiable = logits.requires_grad and _is_grad_enabled()
    if plan.recorded is not None:
        recorded = plan.recorded(*tensors[:3], differentiable)
        if recorded is not None:
            return recorded
    detached, result, gradient, made_for = logits.detach(), _empty_like(plan.loss), None, None
    if differentiable:
        made_for = _expected_of_all_rows(plan.logits) if plan.per_row else _expected(plan.logits)
        gradient = None if made_for is None else _empty_like(detached)
    if not plan.native((detached, *tensors[1:]), result, gradient, 1.0 if made_for is None else made_for):
        return None
    return _apply(logits, (plan, tensors, None, (result, gradient, made_for))) if differentiable else result


def _are_readable(plan: Plan, tensors: Tensors) -> bool:
    """Whether torch's own operations can read them without harm, in any layout."""
    try:
        return all(
            tensor is None or _place(tensor, dtype, count) or _kernel.is_readable(tensor)
            for tensor, dtype, count in zip(tensors, plan.dtypes, plan.counts, strict=True)
        )
    except RuntimeError:  # there is no memory behind one
        return False


def _place(tensor: Tensor, dtype: torch.dtype, count: int) -> int:
    """Where ``count`` numbers of ``dtype`` lie; 0 if they don't, one after the other: `_kernel.address`, shortly."""
    if (
        type(tensor) in _plain
        and tensor.is_cpu
        and tensor.layout is _strided
        and tensor.is_contiguous()
        and not tensor.is_neg()
        and tensor.untyped_storage().nbytes() >= (tensor.storage_offset() + count) * _item_bytes[dtype]
    ):
        return tensor.data_ptr()
    return 0


def _call(job: Any, at_upstream: int, at_loss: int, at_gradient: int, upstream: float) -> None:
    """The kernel, for inputs with their addresses, outputs made here, and upstreams that were checked."""
    plan, tensors, addresses, _ = job
    function, (struct, packed), _, per_row = plan[:4]
    arguments = struct.from_buffer_copy(packed)
    if per_row:
        _pack_into(arguments, 0, *addresses, at_upstream, at_loss, 0, at_gradient, upstream, _threads())
    else:
        _pack_into(arguments, 0, *addresses, 0, 0, at_loss, at_gradient, upstream, _threads())
    if status := getattr(LIBRARY, function)(arguments):
        plan.fail(status, arguments, tensors[1])


def _versions(tensors: Tensors) -> tuple[int, int, int, int]:
    logits, target, first, second = tensors
    return (
        logits._version,
        target._version,
        0 if first is None else first._version,
        0 if second is None else second._version,
    )


def _readdressed(job: Any) -> Any:
    """The job with its tensors where they are now: what moves or frees a storage (``share_memory_``, ``.data =``,
    ``untyped_storage().resize_``) leaves the version of its tensors as it was.
    """
    plan, tensors, *_ = job
    names = ("input", "target", "weight", "weight")
    found = zip(tensors, names, plan.dtypes, plan.counts, strict=True)
    return plan, tensors, tuple(0 if t is None else _kernel.address(t, *checked) for t, *checked in found), None


class Quick(_eager.SingleLevelFunction):
    """The loss of logits whose other inputs are in ``job``, one argument: the cheapest for an autograd function."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, job: Any) -> Tensor:
        plan, tensors, _, ready = ctx.job = job
        ctx.versions = _versions(tensors)
        if ready is not None:
            loss, ctx.gradient, ctx.made_for = ready
            ctx.job = plan, tensors, None, None
            return cast(Tensor, loss)
        result, size = _empty_like(plan.loss), plan.logits
        made_for = _expected_of_all_rows(size) if plan.per_row else _expected(size)
        ctx.made_for = made_for
        if made_for is None:
            ctx.gradient = None
            _call(job, 0, result.data_ptr(), 0, 1.0)
        else:
            ctx.gradient = gradient = _gradient_like(logits, size)
            _call(job, 0, result.data_ptr(), gradient.data_ptr(), made_for)
        return result

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Any:
        gradient, ctx.gradient = ctx.gradient, None  # handed out once: the receiver may add to it in place
        plan, tensors, *_ = job = ctx.job
        plain = not _is_grad_enabled() and _functorch_level() is None and not _is_batched(upstream)
        if plain and gradient is not None:
            wanted = _of_all_rows(upstream) if plan.per_row else upstream.item()
            if wanted == ctx.made_for:
                return gradient, None
        if _versions(tensors) != ctx.versions:
            raise RuntimeError(
                "one of the variables needed for gradient computation has been modified by an inplace operation: "
                "the logits, targets or weights of the loss"
            )
        if plain and plan.per_row and plan.native is None:
            return _pushed_by_rows(job, upstream, gradient), None
        return plan.gradient(tensors, upstream, gradient, ctx.made_for), None


def _pushed_by_rows(job: Any, upstream: Tensor, ready: Tensor | None) -> Tensor:
    """The gradient for an upstream a row, in the place of one that was made for another."""
    plan, (logits, *_), *_ = job
    factor = _of_all_rows(upstream)
    _upstream.learn_of_all_rows(plan.logits, factor)
    gradient = _gradient_like(logits, plan.logits) if ready is None else ready
    at_upstream = 0
    if factor is None:
        pushed = upstream.contiguous().resolve_neg()
        at_upstream = _kernel.address(pushed, "gradient of the loss", plan.loss.dtype, plan.loss.numel())
    _call(_readdressed(job), at_upstream, 0, gradient.data_ptr(), 1.0 if factor is None else factor)
    return gradient


def _gradient_like(logits: Tensor, size: int) -> Tensor:
    return _empty_like(logits) if size <= 1 << 15 else _kernel.gradient_like(logits)


_apply: Callable[[Tensor, Any], Tensor] = Quick.apply  # type: ignore[attr-defined]
_eager.call_backward_at_once(Quick)
