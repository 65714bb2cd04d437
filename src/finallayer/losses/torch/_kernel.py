"""The only way from torch tensors to the CPU kernel: every one is checked before its address is taken."""

from __future__ import annotations

import ctypes
import weakref
from typing import NamedTuple, NoReturn

import torch
from torch import Tensor

from finallayer import kernels
from finallayer.losses.torch._threads import parallel_of_torch

DTYPES = {
    torch.float32: kernels.FLOAT32,
    torch.bfloat16: kernels.BFLOAT16,
    torch.float16: kernels.FLOAT16,
    torch.float64: kernels.FLOAT64,
}
INDEX_KINDS = {torch.int32: kernels.INDEX32, torch.int64: kernels.INDEX64}
_PLAIN = (Tensor, torch.nn.Parameter)
LIBRARY = kernels.library()
if LIBRARY is not None:
    LIBRARY.fl_work_with(parallel_of_torch())
Arguments = ctypes.c_char * kernels.XENT_ARGS.size
_pack_into = kernels.XENT_ARGS.pack_into

# Gradients of at least this many bytes come from the kernel's pool: below it, the allocator is as fast.
_POOLED_BYTES = 1 << 18


class Terms(NamedTuple):
    """What a cross-entropy is made of, besides its tensors."""

    reduction: str = "mean"
    ignore_index: int = -100
    label_smoothing: float = 0.0
    z_loss: float = 0.0
    softcap: float = 0.0  # none
    temperature: float = 1.0


class Layout(NamedTuple):
    """Where rows of classes stand in a tensor (N, C, d1, ..., dk): strides in elements."""

    rows: int
    inner: int  # rows that lie `inner_stride` apart, before the next step of `outer_stride`
    classes: int
    outer_stride: int
    inner_stride: int
    class_stride: int

    @property
    def strides(self) -> tuple[int, int, int]:
        return self[3:]


def serves(logits: Tensor, *others: Tensor | None) -> bool:
    """Whether the kernel can take these tensors; otherwise `_framework` computes the same."""
    return (
        LIBRARY is not None
        and logits.dtype in DTYPES
        and is_plain(logits)
        and all(t is None or is_plain(t) for t in others)
    )


def is_plain(tensor: Tensor) -> bool:
    """Whether this is memory of the CPU as it stands: dense, no subclass, no pending negation."""
    return (
        type(tensor) in _PLAIN
        and tensor.is_cpu
        and tensor.layout is torch.strided
        and not tensor.is_nested
        and not tensor.is_neg()
    )


def is_there(tensor: Tensor) -> bool:
    """Whether the storage of a strided tensor holds all that its strides reach: torch does not ask everywhere."""
    return not tensor.numel() or _bytes_up_to(tensor, extent(tensor)) <= tensor.untyped_storage().nbytes()


def is_readable(tensor: Tensor) -> bool:
    """Both: whether torch's own operations can read this without harm."""
    return is_plain(tensor) and is_there(tensor)


def extent(tensor: Tensor) -> int:
    """From the first element of a tensor to behind its last, in elements."""
    return 1 + sum((n - 1) * s for n, s in zip(tensor.shape, tensor.stride(), strict=True)) if tensor.numel() else 0


def check_is_there(tensor: Tensor, name: str) -> None:
    """Raise RuntimeError if it is not (`is_there`)."""
    _address_within(tensor, name, extent(tensor))


def real_dtype(logits_dtype: torch.dtype) -> torch.dtype:
    """What stands beside logits of a dtype: weights, probabilities, losses, lse and upstream gradients."""
    return torch.float64 if logits_dtype is torch.float64 else torch.float32


def layout(tensor: Tensor) -> Layout | None:
    """Where rows and classes stand in (N, C, d1, ..., dk); None if d1, ..., dk have no common stride: copy it then."""
    shape, strides = tensor.shape, tensor.stride()
    inner, inner_stride = 1, 0
    for size, stride in zip(reversed(shape[2:]), reversed(strides[2:]), strict=True):
        if size == 1:
            continue
        if inner == 1:
            inner_stride = stride
        elif stride != inner * inner_stride:
            return None
        inner *= size
    return Layout(shape[0] * inner, max(inner, 1), shape[1], strides[0], inner_stride, strides[1])


def address(tensor: Tensor, name: str, dtype: torch.dtype, count: int) -> int:
    """The address of a contiguous tensor of ``count`` elements of ``dtype``, every one of them really there.

    Raises:
        RuntimeError: it is on another device, of another dtype, a subclass, a view that stands for other numbers, or
            its storage is gone.
        ValueError: it has another number of elements.
    """
    if tensor.dtype is not dtype or not is_plain(tensor) or not tensor.is_contiguous():
        raise _refusal(tensor, name, dtype)
    if tensor.numel() != count:
        raise ValueError(f"{name}: expected {count} elements, got shape {tuple(tensor.shape)}")
    return _address_within(tensor, name, count)


def _number(tensor: Tensor, name: str) -> torch.dtype:
    """Its dtype, any that the kernel reads numbers in."""
    if tensor.dtype not in DTYPES:
        raise _refusal(tensor, name, torch.float32)
    return tensor.dtype


def _numbers(tensor: Tensor | None, name: str, count: int) -> tuple[int, int]:
    """Address and dtype of contiguous numbers; zeros where there are none."""
    if tensor is None:
        return 0, 0
    return address(tensor, name, _number(tensor, name), count), DTYPES[tensor.dtype]


def _optional(tensor: Tensor | None, name: str, dtype: torch.dtype, count: int) -> int:
    return 0 if tensor is None else address(tensor, name, dtype, count)


def _strided_address(tensor: Tensor, name: str, dtype: torch.dtype, shape: torch.Size) -> tuple[int, Layout]:
    """The address of a tensor (N, C, d1, ..., dk) with the strides of its rows and classes."""
    if tensor.dtype is not dtype or not is_plain(tensor):
        raise _refusal(tensor, name, dtype)
    if tensor.shape != shape or len(shape) < 2:
        raise ValueError(f"{name}: expected shape {tuple(shape)}, got {tuple(tensor.shape)}")
    if len(shape) == 2 and tensor.is_contiguous():  # the usual case, shortly
        rows, classes = shape
        return _address_within(tensor, name, rows * classes), Layout(rows, 1, classes, classes, 0, 1)
    found = layout(tensor)
    if found is None:
        raise _refusal(tensor, name, dtype)
    return _address_within(tensor, name, extent(tensor)), found


def _bytes_up_to(tensor: Tensor, extent: int) -> int:
    return int((tensor.storage_offset() + extent) * tensor.element_size())


def _address_within(tensor: Tensor, name: str, extent: int) -> int:
    there = tensor.untyped_storage().nbytes()
    if extent and _bytes_up_to(tensor, extent) > there:
        raise RuntimeError(f"{name}: its storage holds {there} bytes, fewer than its shape {tuple(tensor.shape)} needs")
    return tensor.data_ptr()


def _refusal(tensor: Tensor, name: str, dtype: torch.dtype) -> RuntimeError:
    kind = "" if type(tensor) in _PLAIN else f" in a {type(tensor).__name__}"
    return RuntimeError(
        f"{name}: expected {dtype} in contiguous memory of the CPU, got {tensor.dtype} on {tensor.device}{kind}"
        + ("" if tensor.layout is torch.strided and not tensor.is_nested else f", {tensor.layout}")
    )


def cross_entropy(
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None,
    row_weight: Tensor | None,
    terms: Terms,
    *,
    upstream: float = 1.0,
    row_upstream: Tensor | None = None,
    lse_upstream: Tensor | None = None,
    loss: Tensor | None = None,
    lse: Tensor | None = None,
    reduced: Tensor | None = None,
    grad: Tensor | None = None,
    correct: Tensor | None = None,
) -> None:
    """Fill the given outputs for ``logits`` (N, C, d1, ..., dk), of any strides for which `layout` holds.

    "real" is `real_dtype` of the logits. ``target`` holds class indices, int32 or int64, (N, d1, ..., dk) contiguous,
    or probabilities with the shape of the logits. ``weight`` is (C,); ``row_weight``, ``row_upstream``
    (``reduction="none"`` only), ``lse_upstream``, ``lse``, ``correct`` have an element a row. lse and its upstream are
    real, ``correct`` is uint8, probabilities, weights and ``row_upstream`` are of any dtype of `DTYPES`.
    ``loss`` (an element a row) and ``reduced`` (one) are real or of the logits' dtype, both alike. ``grad`` is of the
    logits' shape and dtype, or the logits themselves. All but logits, probabilities and ``grad`` are contiguous.

    Raises:
        IndexError: a target is outside [0, classes) and not ``ignore_index``.
        RuntimeError, ValueError: a tensor is not as described.
    """
    assert LIBRARY is not None
    dtype = logits.dtype
    if dtype not in DTYPES:
        raise _refusal(logits, "input", torch.float32)
    real = torch.float64 if dtype is torch.float64 else torch.float32
    at_logits, where = _strided_address(logits, "input", dtype, logits.shape)
    rows, classes = where.rows, where.classes
    if target.dtype in INDEX_KINDS:
        kind = INDEX_KINDS[target.dtype]
        at_target, target_strides = address(target, "target", target.dtype, rows), (where.inner, 1, 0)
    else:
        kind = kernels.DISTRIBUTION
        at_target, target_layout = _strided_address(target, "target", _number(target, "target"), logits.shape)
        target_strides = target_layout.strides
    at_grad, grad_strides = 0, (0, 0, 0)
    if grad is not None:
        at_grad, grad_layout = _strided_address(grad, "gradient", dtype, logits.shape)
        grad_strides = grad_layout.strides
    loss_dtype = real if loss is None and reduced is None else (loss if reduced is None else reduced).dtype  # type: ignore[union-attr]
    if loss_dtype is not real and loss_dtype is not dtype:
        raise RuntimeError(f"loss: expected {real} or {dtype}, got {loss_dtype}")
    beside = (
        (weight, "weight", classes),
        (row_weight, "token_weight", rows),
        (row_upstream, "gradient of the loss", rows),
    )
    at_numbers, codes = zip(*(_numbers(*given) for given in beside), strict=True)
    arguments = Arguments()
    _pack_into(
        arguments,
        0,
        at_logits,
        at_target,
        *at_numbers,
        _optional(loss, "loss", loss_dtype, rows),
        _optional(reduced, "loss", loss_dtype, 1),
        at_grad,
        upstream,
        torch.get_num_threads(),
        rows,
        where.inner,
        classes,
        DTYPES[dtype],
        *where.strides,
        kind,
        DTYPES.get(target.dtype, 0),
        *target_strides,
        terms.ignore_index,
        *codes,
        terms.label_smoothing,
        terms.z_loss,
        terms.softcap,
        terms.temperature,
        kernels.REDUCTIONS[terms.reduction],
        _optional(lse_upstream, "gradient of the lse", real, rows),
        DTYPES[loss_dtype],
        _optional(lse, "lse", real, rows),
        *grad_strides,
        _optional(correct, "correct", torch.uint8, rows),
        0,
    )
    status = LIBRARY.fl_xent(arguments)
    if status:
        fail(status, arguments, target, classes)


def binary_cross_entropy(
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None,
    pos_weight: Tensor | None,
    reduction: str,
    *,
    upstream: float = 1.0,
    element_upstream: Tensor | None = None,
    loss: Tensor | None = None,
    reduced: Tensor | None = None,
    grad: Tensor | None = None,
) -> None:
    """Fill the given outputs. All tensors are contiguous, of any dtype of `DTYPES`, but ``grad`` is of the logits',
    and ``loss`` and ``reduced`` are of theirs or `real_dtype` of it.

    ``weight`` and ``pos_weight`` repeat over the elements.

    Raises:
        RuntimeError, ValueError: a tensor is not as described.
    """
    assert LIBRARY is not None
    dtype, count = logits.dtype, logits.numel()
    if dtype not in DTYPES:
        raise _refusal(logits, "input", torch.float32)
    real = real_dtype(dtype)
    loss_dtype = real if loss is None and reduced is None else (loss if reduced is None else reduced).dtype  # type: ignore[union-attr]
    if loss_dtype is not real and loss_dtype is not dtype:
        raise RuntimeError(f"loss: expected {real} or {dtype}, got {loss_dtype}")
    periods = [0 if t is None else t.numel() for t in (weight, pos_weight)]
    for period in periods:
        if period and count % period:
            raise ValueError(f"weight: {period} elements do not repeat over {count}")
    beside = (
        (target, "target", count),
        (weight, "weight", periods[0]),
        (pos_weight, "pos_weight", periods[1]),
        (element_upstream, "gradient of the loss", count),
    )
    at_numbers, codes = zip(*(_numbers(*given) for given in beside), strict=True)
    arguments = kernels.BCE_ARGS.pack(
        address(logits, "input", dtype, count),
        *at_numbers,
        _optional(loss, "loss", loss_dtype, count),
        _optional(reduced, "loss", loss_dtype, 1),
        _optional(grad, "gradient", dtype, count),
        upstream,
        torch.get_num_threads(),
        count,
        DTYPES[dtype],
        codes[0],
        codes[1],
        periods[0],
        codes[2],
        periods[1],
        codes[3],
        kernels.REDUCTIONS[reduction],
        DTYPES[loss_dtype],
    )
    status = LIBRARY.fl_bce(arguments)
    if status:
        fail_binary(status)


def scale(gradient: Tensor, factor: float) -> bool:
    """Multiply, in place, a gradient that was computed with upstream 1 and that nobody has seen.

    True if it is now as good as one computed with upstream ``factor``; False if it is lost and to be computed again
    (``fl_scale`` says when: an underflow took digits, or a 16-bit format would round twice).
    """
    assert LIBRARY is not None
    if gradient.dtype not in DTYPES:
        raise _refusal(gradient, "gradient", torch.float32)
    count = gradient.numel()
    at = address(gradient, "gradient", gradient.dtype, count)
    status = LIBRARY.fl_scale(at, count, DTYPES[gradient.dtype], factor, torch.get_num_threads())
    return bool(status == kernels.OK)


def fail(status: int, arguments: ctypes.Array[ctypes.c_char], target: Tensor, classes: int) -> NoReturn:
    """Raise what ``status`` (fl_status) says."""
    if status == kernels.TARGET_OUT_OF_RANGE:
        raise out_of_range(target, int.from_bytes(arguments.raw[kernels.BAD_ROW_OFFSET :], "little"), classes)
    if status == kernels.NO_MEMORY:
        raise MemoryError("cross_entropy: no memory for the row buffers")
    raise RuntimeError(f"cross_entropy: the kernel refused its arguments (status {status})")


def fail_binary(status: int, *_: object) -> NoReturn:
    """Raise what ``status`` (fl_status) of the binary loss says."""
    if status == kernels.NO_MEMORY:
        raise MemoryError("binary_cross_entropy_with_logits: no memory for the sums")
    raise RuntimeError(f"binary_cross_entropy_with_logits: the kernel refused its arguments (status {status})")


def out_of_range(target: Tensor, row: int, classes: int) -> IndexError:
    """What to raise for a class index outside [0, classes) that is not ignored."""
    wrong = int(target.reshape(-1)[row])
    return IndexError(f"Target {wrong} is out of bounds: row {row}, expected 0 <= target < {classes}")


def gradient_like(logits: Tensor) -> Tensor:
    """An uninitialised contiguous tensor like ``logits``; large ones from a pool, since fresh pages cost as much as
    the loss itself. The pool takes the memory back when the last tensor on it is gone.
    """
    size = logits.numel() * logits.element_size()
    if size < _POOLED_BYTES:
        return torch.empty(logits.shape, dtype=logits.dtype, device="cpu")
    assert LIBRARY is not None
    pooled = LIBRARY.fl_buffer_acquire(size)
    if not pooled:
        raise MemoryError(f"cross_entropy: no memory for a gradient of {size} bytes")
    pages = (ctypes.c_char * size).from_address(pooled)
    weakref.finalize(pages, LIBRARY.fl_buffer_release, pooled).atexit = False
    return torch.frombuffer(pages, dtype=logits.dtype).view(logits.shape)
