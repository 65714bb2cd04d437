"""Hands rows of torch tensors to the CPU kernel: pointers, strides, threads, pooled gradient buffers."""

from __future__ import annotations

import ctypes
import weakref
from typing import NamedTuple, NoReturn

import torch
from torch import Tensor

from finallayer import kernels

_DTYPES = {
    torch.float32: kernels.FLOAT32,
    torch.bfloat16: kernels.BFLOAT16,
    torch.float16: kernels.FLOAT16,
}
_TARGET_KINDS = {torch.int32: kernels.INDEX32, torch.int64: kernels.INDEX64, torch.float32: kernels.DISTRIBUTION}
LIBRARY = kernels.library()
Arguments = ctypes.c_char * kernels.XENT_ARGS.size
_pack_into = kernels.XENT_ARGS.pack_into

# Gradients of at least this many bytes come from the kernel's pool: below it, the allocator is as fast.
_POOLED_BYTES = 1 << 20


class Terms(NamedTuple):
    """What a cross-entropy is made of, besides its tensors."""

    reduction: str = "mean"
    ignore_index: int = -100
    label_smoothing: float = 0.0
    z_loss: float = 0.0
    softcap: float = 0.0  # none
    temperature: float = 1.0


def serves(logits: Tensor) -> bool:
    """Whether the kernel can take these logits; otherwise `_framework` computes the same."""
    return LIBRARY is not None and logits.is_cpu and logits.dtype in _DTYPES


def _pointer(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()


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
    """Fill the given outputs for ``logits`` (rows, classes), with unit stride along the classes.

    Every other tensor is contiguous: ``target`` (rows,) int32 or int64, or (rows, classes) float32; ``weight``
    (classes,), ``row_weight``, ``row_upstream``, ``lse_upstream``, ``loss``, ``lse`` (rows,) and ``reduced`` ()
    float32; ``correct`` (rows,) uint8; ``grad`` like the logits, or the logits themselves.

    Raises:
        IndexError: a target is outside [0, classes) and not ``ignore_index``.
    """
    assert LIBRARY is not None
    rows, classes = logits.shape
    arguments = Arguments()
    _pack_into(
        arguments,
        0,
        rows,
        classes,
        logits.data_ptr(),
        logits.stride(0),
        _DTYPES[logits.dtype],
        target.data_ptr(),
        _TARGET_KINDS[target.dtype],
        1 if target.dim() == 1 else classes,
        terms.ignore_index,
        _pointer(weight),
        _pointer(row_weight),
        terms.label_smoothing,
        terms.z_loss,
        kernels.REDUCTIONS[terms.reduction],
        upstream,
        _pointer(row_upstream),
        _pointer(lse_upstream),
        _pointer(loss),
        _pointer(lse),
        _pointer(reduced),
        _pointer(grad),
        0 if grad is None else grad.stride(0),
        _pointer(correct),
        torch.get_num_threads(),
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
    """Fill the given outputs; all tensors contiguous, float32 but for ``logits`` and ``grad``.

    ``weight`` and ``pos_weight`` repeat over the elements.
    """
    assert LIBRARY is not None
    arguments = kernels.BCE_ARGS.pack(
        logits.numel(),
        logits.data_ptr(),
        _DTYPES[logits.dtype],
        target.data_ptr(),
        _pointer(weight),
        0 if weight is None else weight.numel(),
        _pointer(pos_weight),
        0 if pos_weight is None else pos_weight.numel(),
        kernels.REDUCTIONS[reduction],
        upstream,
        _pointer(element_upstream),
        _pointer(loss),
        _pointer(reduced),
        _pointer(grad),
        torch.get_num_threads(),
    )
    status = LIBRARY.fl_bce(arguments)
    if status:
        raise RuntimeError(f"binary_cross_entropy_with_logits: the kernel refused its arguments (status {status})")


def fail(status: int, arguments: ctypes.Array[ctypes.c_char], target: Tensor, classes: int) -> NoReturn:
    """Raise what ``status`` (fl_status) says."""
    if status == kernels.TARGET_OUT_OF_RANGE:
        raise out_of_range(target, int.from_bytes(arguments.raw[kernels.BAD_ROW_OFFSET :], "little"), classes)
    if status == kernels.NO_MEMORY:
        raise MemoryError("cross_entropy: no memory for the row buffers")
    raise RuntimeError(f"cross_entropy: the kernel refused its arguments (status {status})")


def out_of_range(target: Tensor, row: int, classes: int) -> IndexError:
    """What to raise for a class index outside [0, classes) that is not ignored."""
    return IndexError(f"Target {int(target[row])} is out of bounds: row {row}, expected 0 <= target < {classes}")


def gradient_like(logits: Tensor) -> Tensor:
    """An uninitialised contiguous tensor like ``logits``; large ones from a pool, since fresh pages cost as much as
    the loss itself. The pool takes the memory back when the last tensor on it is gone.
    """
    size = logits.numel() * logits.element_size()
    if size < _POOLED_BYTES:
        return torch.empty_like(logits, memory_format=torch.contiguous_format)
    assert LIBRARY is not None
    address = LIBRARY.fl_buffer_acquire(size)
    if not address:
        raise MemoryError(f"cross_entropy: no memory for a gradient of {size} bytes")
    pages = (ctypes.c_char * size).from_address(address)
    weakref.finalize(pages, LIBRARY.fl_buffer_release, address).atexit = False
    return torch.frombuffer(pages, dtype=logits.dtype).view(logits.shape)
